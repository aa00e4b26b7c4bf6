//! What is kept of the finest key of a call: counts of this tick, and, once it is busy enough to
//! be worth it, baselines, sketches and fits.

use serde::{Deserialize, Serialize};

use super::{
    attempts::Attempts,
    baseline::{Baseline, FORGOTTEN, Pool},
    cusum::Rate,
    fit::Fit,
    lattice::Key,
    level::Level,
    names::Sym,
    recent::Recent,
    sample::Sample,
    signal::{SIGNALS, Signal},
    sketch::Sketch,
};

/// Calls after which baselines and sketches are kept.
const WARM_CALLS: u32 = 48;
/// Attempts beyond this one are deep: SDKs of the providers retry twice.
const USUAL_ATTEMPTS: u16 = 3;
/// Ticks within which a retry follows its failure.
const OWED_TICKS: usize = 8;
/// Values from which quantiles are trusted.
const SKETCH_LEAST: f32 = 100.0;
/// Attempts of the last minutes: half-life one of them, so that a storm shows when it is told.
const ATTEMPTS_KEEP: f32 = 0.5;
/// Half-life of sketches, in blocks: two days.
const SKETCH_KEEP: f32 = 0.997_6;

/// A quantity that is compared with its own past.
#[derive(Debug, Clone, Copy)]
#[repr(usize)]
enum Quantity {
    Latency,
    Ttft,
    Input,
    User,
    Output,
    Cost,
}
const QUANTITIES: usize = 6;

/// A value is odd when it lies beyond `factor` times the quantile: the quantile is where a normal
/// call may lie, the factor is what the day's drift may add. 1.25 is three times the drift of
/// latency and 1.4 three times that of lengths in the public traces.
struct Margin {
    signal: Signal,
    quantity: Quantity,
    quantile: f32,
    factor: f32,
}

const MARGINS: [Margin; 8] = {
    use Quantity::*;
    const fn margin(signal: Signal, quantity: Quantity, quantile: f32, factor: f32) -> Margin {
        Margin {
            signal,
            quantity,
            quantile,
            factor,
        }
    }
    [
        margin(Signal::Latency, Latency, 0.9, 1.25),
        margin(Signal::LatencyTail, Latency, 0.98, 1.5),
        margin(Signal::Ttft, Ttft, 0.9, 1.3),
        margin(Signal::InputLow, Input, 0.08, 1.0 / 1.4),
        margin(Signal::UserLow, User, 0.08, 1.0 / 1.4),
        margin(Signal::InputHigh, Input, 0.92, 1.75),
        margin(Signal::CostHigh, Cost, 0.92, 1.5),
        margin(Signal::OutputHigh, Output, 0.92, 1.3),
    ]
};

/// A leaf.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Leaf {
    pub key: Key,
    /// The same in every process.
    pub hash: u64,
    pub nodes: Vec<u32>,
    /// Its counters of volume: of the feature and of the service.
    pub volumes: [u32; 2],
    pub last_tick: u32,
    /// Was it seen in this minute?
    pub in_minute: bool,
    pub calls: u32,
    pub tick: TickCounts,
    pub warm: Option<Box<Warm>>,
}

/// What a leaf saw in this tick.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TickCounts {
    pub trials: [u16; SIGNALS],
    pub hits: [u16; SIGNALS],
    pub hit_mask: u32,
}

/// What is kept of a busy leaf.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Warm {
    pub baseline: Baseline,
    pub rates: [Rate; SIGNALS],
    sketches: [Sketch; QUANTITIES],
    thresholds: [f32; MARGINS.len()],
    latency: Fit,
    ttft: Fit,
    /// How much slower than its fit the leaf is these hours: latency, TTFT.
    levels: [Level; 2],
    owed: [u16; OWED_TICKS],
    owed_tick: u32,
    minute: [[u16; SIGNALS]; 2],
    recent: Recent,
    /// Signals not learned from, because something is going on.
    frozen: u32,
    pub seen: [[Sym; 3]; 5],
    /// Of the last minutes.
    pub attempts: Attempts,
}

// === impl Leaf ===

impl Leaf {
    /// Counts a call; answers which signals it hit.
    pub fn take(&mut self, call: &Sample, tick: u32, pool: &Pool) -> u32 {
        self.calls = self.calls.saturating_add(1);
        self.last_tick = self.last_tick.max(tick);
        if self.warm.is_none() && self.calls > WARM_CALLS {
            self.warm = Some(Box::new(Warm::new(pool)));
        }
        let failures = (Signal::Tool.bit() - 1) | Signal::DeepRetry.bit();
        let mut trials = failures;
        let mut hits = call.hit;
        if call.used_tools || call.hit & Signal::Tool.bit() != 0 {
            trials |= Signal::Tool.bit();
        }
        if call.attempt > USUAL_ATTEMPTS {
            hits |= Signal::DeepRetry.bit();
        }
        if let Some(warm) = &mut self.warm {
            warm.measure(call, &mut trials, &mut hits);
            warm.attempts.count(call);
            warm.retries(call, tick, &mut trials, &mut hits, &mut self.tick);
        }
        let counts = &mut self.tick;
        for (i, (n, x)) in counts.trials.iter_mut().zip(&mut counts.hits).enumerate() {
            *n = n.saturating_add((trials >> i & 1) as u16);
            *x = x.saturating_add((hits >> i & 1) as u16);
        }
        counts.hit_mask |= hits;
        hits
    }

    /// The rate of a signal.
    pub fn rate(&self, signal: usize, pool: &[Rate; SIGNALS]) -> Rate {
        let rates = self.warm.as_ref().map_or(pool, |warm| &warm.rates);
        rates.get(signal).copied().unwrap_or_default()
    }

    /// Ends the tick: its counts go to the block.
    pub fn end_tick(&mut self) {
        if let Some(warm) = &mut self.warm {
            let block = &mut warm.baseline.current;
            for i in 0..SIGNALS {
                let (n, x) = (self.tick.trials[i], self.tick.hits[i]);
                block.trials[i] += f32::from(n);
                block.hits[i] += f32::from(x);
                warm.minute[0][i] = warm.minute[0][i].saturating_add(n);
                warm.minute[1][i] = warm.minute[1][i].saturating_add(x);
            }
        }
        self.tick = TickCounts::default();
    }

    /// Ends the minute: the pool learns how much minutes differ.
    pub fn end_minute(&mut self, minute: u32, hot: u32, pool: &mut Pool) {
        let Some(warm) = &mut self.warm else { return };
        let counts = std::mem::replace(&mut warm.minute, [[0; SIGNALS]; 2]);
        let [trials, hits] = counts;
        for i in 0..SIGNALS {
            // A key that is new has no level yet that a minute could differ from.
            if hot & (1 << i) == 0 && trials[i] > 0 && warm.baseline.has_level() {
                let p = warm.rates[i].mean;
                pool.minute(i, f32::from(trials[i]), f32::from(hits[i]), p);
            }
        }
        warm.recent.add(minute, counts, hot);
        warm.attempts.fade(ATTEMPTS_KEEP);
        let per_minute = warm.baseline.per_minute();
        for signal in Signal::ALL {
            if warm.recent.level(signal.index()).is_some() {
                warm.renew_one(signal, per_minute, pool);
            }
        }
    }

    /// What the last blocks were like is normal from now on, for signals.
    pub fn accept(&mut self, signals: u32) {
        if let Some(warm) = &mut self.warm {
            warm.baseline.accept(signals);
            warm.recent.forget(signals);
        }
    }

    /// Ends the block: counts become baselines, thresholds and rates are made new.
    pub fn end_block(&mut self, hot: u32, open: u32, pool: &mut Pool) {
        let Some(warm) = &mut self.warm else { return };
        warm.roll(hot, open, pool);
    }
}

// === impl Warm ===

impl Warm {
    fn new(pool: &Pool) -> Warm {
        Warm {
            baseline: Baseline::default(),
            rates: Signal::ALL.map(|signal| pool.rate(signal)),
            sketches: Default::default(),
            thresholds: MARGINS.map(|m| if m.factor > 1.0 { f32::MAX } else { 0.0 }),
            latency: Fit::default(),
            ttft: Fit::default(),
            levels: Default::default(),
            owed: [0; OWED_TICKS],
            owed_tick: 0,
            minute: [[0; SIGNALS]; 2],
            recent: Recent::default(),
            frozen: 0,
            seen: Default::default(),
            attempts: Attempts::default(),
        }
    }

    /// Compares the call's quantities with their past.
    fn measure(&mut self, call: &Sample, trials: &mut u32, hits: &mut u32) {
        let (input, output) = (call.input.unwrap_or(0.0), call.output.unwrap_or(0.0));
        let answered = call.answered;
        let latency = self
            .latency
            .ratio(call.seconds, output, input)
            .filter(|_| answered);
        let ttft = call.ttft.filter(|_| answered);
        let ttft = ttft.and_then(|t| self.ttft.ratio(t, 0.0, input));
        let [latency, ttft] = [(latency, 0), (ttft, 1)].map(|(ratio, i)| {
            let level = self.levels.get_mut(i)?;
            ratio.map(|ratio| level.correct(ratio))
        });
        let values = [
            latency,
            ttft,
            call.input,
            call.user,
            call.output.filter(|_| answered),
            call.cost.filter(|_| answered),
        ];
        for (margin, threshold) in MARGINS.iter().zip(self.thresholds) {
            let Some(value) = values[margin.quantity as usize] else {
                continue;
            };
            if threshold == f32::MAX || threshold == 0.0 {
                continue;
            }
            *trials |= margin.signal.bit();
            let odd = if margin.factor > 1.0 {
                value > threshold
            } else {
                value < threshold
            };
            if odd {
                *hits |= margin.signal.bit();
            }
        }
        for (i, (sketch, value)) in self.sketches.iter_mut().zip(values).enumerate() {
            let about = MARGINS.iter().filter(|m| m.quantity as usize == i);
            if about.fold(0, |mask, m| mask | m.signal.bit()) & self.frozen != 0 {
                continue;
            }
            if let Some(value) = value {
                sketch.add(value);
            }
        }
        if answered && self.frozen & (Signal::Latency.bit() | Signal::LatencyTail.bit()) == 0 {
            self.latency.learn(call.seconds, output, input);
        }
        if let Some(ttft) = call
            .ttft
            .filter(|_| answered && self.frozen & Signal::Ttft.bit() == 0)
        {
            self.ttft.learn(ttft, 0.0, input);
        }
        if self.latency.is_new() {
            self.latency.solve();
            self.ttft.solve();
        }
    }

    /// A failure that invites a retry is a trial once it was retried, or once it is too late.
    fn retries(
        &mut self,
        call: &Sample,
        tick: u32,
        trials: &mut u32,
        hits: &mut u32,
        counts: &mut TickCounts,
    ) {
        let passed = tick.saturating_sub(self.owed_tick).min(OWED_TICKS as u32);
        let retry = Signal::Retry.index();
        for back in 0..passed {
            if let Some(slot) = self.owed.get_mut((tick - back) as usize % OWED_TICKS) {
                counts.trials[retry] = counts.trials[retry].saturating_add(std::mem::take(slot));
            }
        }
        self.owed_tick = tick;
        if call.attempt > 1 {
            *trials |= Signal::Retry.bit();
            *hits |= Signal::Retry.bit();
            for ahead in 1..=OWED_TICKS as u32 {
                if let Some(slot) = self.owed.get_mut((tick + ahead) as usize % OWED_TICKS)
                    && *slot > 0
                {
                    *slot -= 1;
                    break;
                }
            }
        }
        if call.invites_retry
            && let Some(slot) = self.owed.get_mut(tick as usize % OWED_TICKS)
        {
            *slot = slot.saturating_add(1);
        }
    }

    fn roll(&mut self, hot: u32, open: u32, pool: &mut Pool) {
        if let Some(blocks) = self.baseline.idle() {
            if blocks < FORGOTTEN {
                self.levels.iter_mut().for_each(|level| level.roll(false));
                self.renew(pool);
            }
            return;
        }
        self.baseline.roll(hot, open, pool);
        self.frozen = hot | open;
        let late = Signal::Latency.bit() | Signal::LatencyTail.bit();
        for (level, signals) in self.levels.iter_mut().zip([late, Signal::Ttft.bit()]) {
            level.roll(open & signals != 0);
        }
        for sketch in &mut self.sketches {
            sketch.age(SKETCH_KEEP);
        }
        self.latency.age(SKETCH_KEEP);
        self.ttft.age(SKETCH_KEEP);
        self.latency.solve();
        self.ttft.solve();
        for (threshold, margin) in self.thresholds.iter_mut().zip(&MARGINS) {
            let sketch = &self.sketches[margin.quantity as usize];
            if sketch.total() >= SKETCH_LEAST
                && let Some(value) = sketch.quantile(margin.quantile)
            {
                // A narrow distribution has its own edge: shorter than all but one in a hundred.
                let far = value * margin.factor;
                let edge = sketch.quantile(0.01).filter(|_| margin.factor < 1.0);
                *threshold = edge.map_or(far, |edge| far.max(edge));
            }
        }
        self.renew(pool);
    }

    fn renew(&mut self, pool: &Pool) {
        let per_minute = self.baseline.per_minute();
        for signal in Signal::ALL {
            self.renew_one(signal, per_minute, pool);
        }
    }

    fn renew_one(&mut self, signal: Signal, per_minute: f32, pool: &Pool) {
        let rate = self.baseline.rate(signal, pool, per_minute, &self.recent);
        self.rates[signal.index()] = rate;
    }
}
