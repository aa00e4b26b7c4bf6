//! The test: a capped likelihood-ratio CUSUM with three alternatives, and a guard against bursts.
//!
//! `s` is the evidence, in nats, that the share of hits rose by a small, a middle or a large step
//! since `onset`. It never falls below zero, so the onset moves on until something begins. An
//! incident must stand without its strongest minute: evidence outside the best window of the
//! length of a blip has to convince on its own.

use serde::{Deserialize, Serialize};

/// Alternatives tested side by side: small, middle, large.
pub const ALTERNATIVES: usize = 3;
/// Seconds of a tick, the unit of event time of the tests.
pub const TICK_S: u32 = 2;
/// Ticks that the blip guard looks back, at most.
pub const WINDOW: usize = 28;
/// Evidence that one tick may give: calls in a tick share their fate (fan-out, one bad
/// connection), so they are not independent witnesses.
const TICK_CAP: f32 = 4.5;
/// Evidence fades with this time constant, ticks: three hours. A rise that cannot convince within
/// some hours is a drift, which the baseline follows.
const FADE_TICKS: f32 = 3.0 * 3600.0 / TICK_S as f32;
/// The steps, as shares of the trials that were good before. The small one is the signal's own.
const MIDDLE: f32 = 0.1;
const LARGE: f32 = 0.4;

/// Ticks between the quiet and half of the evidence of a steep rise.
const STEEP_TICKS: u32 = 4;
/// Nats that must be added after the window of a blip.
const AFTER: f32 = 2.0;

/// What a hit and a miss say under each alternative, in nats.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// The baseline, doubt included.
    pub p0: f32,
    /// The baseline without doubt.
    pub mean: f32,
    pub hit: [f32; ALTERNATIVES],
    pub miss: [f32; ALTERNATIVES],
}

/// What has to be there before an alert is raised.
#[derive(Debug, Clone, Copy)]
pub struct Bar {
    /// Nats of evidence.
    pub evidence: f32,
    /// Nats outside the strongest window.
    pub outside: f32,
    pub hits: u32,
    /// Ticks of the window of a blip.
    pub window: u32,
}

/// A test under way: exists only while there is evidence.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Candidate {
    pub signal: u8,
    pub tracks: [Track; ALTERNATIVES],
    /// Added up in this tick.
    pub gain: [f32; ALTERNATIVES],
    pub hits: u32,
    pub trials: u32,
    /// Expected hits, for the observed baseline.
    pub expected: f32,
    last_tick: u32,
}

/// The evidence for one alternative.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Track {
    pub s: f32,
    /// The most that it was, fading too: evidence that falls is no news.
    peak: f32,
    /// Evidence without the cap, by which scopes are compared.
    pub raw: f32,
    pub onset: u32,
    pub hits: u32,
    pub trials: u32,
    pub expected: f32,
    ticks_hit: u16,
    window: [f32; WINDOW],
    window_sum: f32,
    window_max: f32,
    /// When the evidence was last below half of what is needed, and below what one tick may give.
    low: u32,
    quiet: u32,
    /// The evidence one window later.
    mark: Option<f32>,
}

// === impl Rate ===

impl Rate {
    /// Rates for a baseline and the smallest step that is told from its noise; `phi` is the
    /// overdispersion, by which the evidence is divided. A key that is not `grown` is tested for
    /// large steps only.
    pub fn new(p0: f32, small: f32, phi: f32, grown: bool) -> Rate {
        let p0 = p0.clamp(2e-4, 0.9);
        let mut rate = Rate {
            p0,
            mean: p0,
            ..Rate::default()
        };
        for (i, step) in [small, MIDDLE.max(2.0 * small), LARGE]
            .into_iter()
            .enumerate()
        {
            if !grown && i != 2 {
                continue;
            }
            let p1 = (p0 + step * (1.0 - p0)).min(0.98);
            rate.hit[i] = (p1 / p0).ln() / phi;
            rate.miss[i] = ((1.0 - p1) / (1.0 - p0)).ln() / phi;
        }
        rate
    }
}

// === impl Candidate ===

impl Candidate {
    pub fn new(signal: u8, tick: u32) -> Candidate {
        Candidate {
            signal,
            tracks: Default::default(),
            gain: [0.0; ALTERNATIVES],
            hits: 0,
            trials: 0,
            expected: 0.0,
            last_tick: tick,
        }
    }

    /// Counts trials of this tick.
    pub fn add(&mut self, rate: &Rate, trials: u32, hits: u32) {
        let misses = trials.saturating_sub(hits) as f32;
        for ((gain, hit), miss) in self.gain.iter_mut().zip(rate.hit).zip(rate.miss) {
            *gain += hits as f32 * hit + misses * miss;
        }
        self.hits += hits;
        self.trials += trials;
        self.expected += rate.p0 * trials as f32;
    }

    /// Ends the tick; false when no evidence is left.
    pub fn step(&mut self, tick: u32, bar: &Bar) -> bool {
        let passed = tick.saturating_sub(self.last_tick);
        let keep = (-(passed as f32) / FADE_TICKS).exp();
        let mut alive = false;
        for (track, gain) in self.tracks.iter_mut().zip(self.gain) {
            if track.begin(tick, gain) && track.gain(gain, keep) {
                track.count(self.hits, self.trials, self.expected);
                track.slide(tick, passed, bar.window, gain.min(TICK_CAP));
                track.mark(tick, bar);
                alive = true;
            }
        }
        self.gain = [0.0; ALTERNATIVES];
        (self.hits, self.trials, self.expected) = (0, 0, 0.0);
        self.last_tick = tick;
        alive
    }

    /// The alternative that has passed the bar with the most evidence.
    pub fn passed(&self, bar: &Bar, tick: u32) -> Option<&Track> {
        self.tracks
            .iter()
            .filter(|t| t.passes(bar, tick))
            .max_by(|a, b| a.raw.total_cmp(&b.raw))
    }

    /// The alternative that explains best.
    pub fn best(&self) -> &Track {
        let [first, ..] = &self.tracks;
        self.tracks
            .iter()
            .max_by(|a, b| a.raw.total_cmp(&b.raw))
            .unwrap_or(first)
    }

    /// The evidence, in nats.
    pub fn evidence(&self) -> f32 {
        self.tracks.iter().map(|t| t.s).fold(0.0, f32::max)
    }
}

// === impl Track ===

impl Track {
    /// Is there evidence, from before or from now on?
    fn begin(&mut self, tick: u32, gain: f32) -> bool {
        if self.s > 0.0 {
            return true;
        }
        if gain > 0.0 {
            *self = Track {
                onset: tick,
                quiet: tick.saturating_sub(1),
                ..Track::default()
            };
        }
        gain > 0.0
    }

    /// Adds evidence; false when none is left.
    fn gain(&mut self, gain: f32, keep: f32) -> bool {
        self.s = self.s * keep + gain.min(TICK_CAP);
        self.peak = self.s.max(self.peak * keep);
        self.raw = self.raw * keep + gain;
        if self.s <= 0.0 {
            *self = Track::default();
        }
        self.s > 0.0
    }

    fn count(&mut self, hits: u32, trials: u32, expected: f32) {
        self.hits += hits;
        self.trials += trials;
        self.expected += expected;
        self.ticks_hit = self.ticks_hit.saturating_add(u16::from(hits > 0));
    }

    /// Keeps the evidence of the window, and of the best one.
    fn slide(&mut self, tick: u32, passed: u32, window: u32, gain: f32) {
        let window = window.clamp(1, WINDOW as u32);
        for skipped in 0..passed.min(window) {
            if let Some(slot) = self.window.get_mut(((tick - skipped) % window) as usize) {
                self.window_sum -= *slot;
                *slot = 0.0;
            }
        }
        if let Some(slot) = self.window.get_mut((tick % window) as usize) {
            *slot += gain;
            self.window_sum += gain;
        }
        self.window_max = self.window_max.max(self.window_sum);
    }

    /// Notes how the evidence stood one window after it began to convince: a blip on top of a
    /// noisy hour adds nothing after that. What rises steeply out of the quiet began right there.
    fn mark(&mut self, tick: u32, bar: &Bar) {
        if self.s < TICK_CAP {
            self.quiet = tick;
        }
        if self.s < bar.evidence / 2.0 {
            (self.low, self.mark) = (tick, None);
            return;
        }
        let began = match self.low.saturating_sub(self.quiet) <= STEEP_TICKS {
            true => self.quiet.min(self.low),
            false => self.low,
        };
        if self.mark.is_none() && tick >= began + bar.window {
            self.mark = Some(self.s);
        }
    }

    fn passes(&self, bar: &Bar, tick: u32) -> bool {
        self.s >= bar.evidence
            && self.s >= self.peak - AFTER
            && self.mark.is_some_and(|mark| self.s >= mark + AFTER)
            && self.s - self.window_max >= bar.outside
            && self.hits >= bar.hits
            && self.ticks_hit >= 3
            && tick - self.onset >= bar.window
    }
}
