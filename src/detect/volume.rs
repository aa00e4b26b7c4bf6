//! How many calls come: sudden growth, one tenant that runs away, silence.
//!
//! What is expected is taken from the same hour, and the hours beside it, of the last seven days:
//! the second largest for "too many", so that a weekday is not compared with a Sunday, and the
//! smallest for "too few".

use serde::{Deserialize, Serialize};

use super::{cusum::TICK_S, lattice::Key};

/// Hours remembered: a week.
const HOURS: usize = 168;
const HOUR_TICKS: u32 = 3600 / TICK_S;
/// Hours of history before anything is said about volume.
const LEARN_HOURS: u32 = 49;
/// Calls a minute that are expected at least: below, growth is not worth an alert.
const RATE_MIN: f32 = 0.2;
/// Of the busiest five minutes at this hour, this share may be lasting: a batch fills a part of an hour.
const PEAK_SHARE: f32 = 0.6;
/// Evidence fades, share kept a minute: e-fold in 45 minutes.
const FADE: f32 = 0.978;
/// Days of history before a silence means something.
const SILENCE_DAYS: usize = 3;
/// A campaign or a second batch may triple the traffic; from five times somebody has to know.
const GROWTH: (f32, f32) = (2.7, 4.8);
/// One tenant's calls vary more than a service's: four times is a good customer, ten is a loop.
const RUNAWAY: (f32, f32) = (4.0, 10.0);
/// Squared coefficient of variation of a minute's rate beyond chance (0.5 in the public traces).
const BURST: f32 = 0.25;
/// Nats that one minute may give, and that are needed.
const MINUTE_CAP: f32 = 4.0;
const EVIDENCE: f32 = 10.0;
/// Minutes and calls that are needed beside.
const MINUTES_MIN: u32 = 4;
const CALLS_MIN: f32 = 30.0;
/// Time constant of the peak, minutes.
const PEAK_MINUTES: f32 = 4.0;
/// Expected calls in a silence that chance does not explain (e^-20), and its least length.
const SILENT_CALLS: f32 = 20.0;
const SILENT_MINUTES: f32 = 15.0;
/// Minutes below half of the alternative after which it is over; and until it is normal (8 h).
const CALM_MINUTES: u16 = 10;
const ACCEPT_MINUTES: u32 = 480;
/// Share of the service's calls that a tenant is expected to have at least: seen for a day, and new.
const SHARE_KNOWN: f32 = 0.02;
const SHARE_NEW: f32 = 0.2;
const DAY_TICKS: u32 = 86_400 / TICK_S;
/// Of the service's excess, the tenant must hold this share.
const EXCESS_SHARE: f32 = 0.5;
/// Half-life of a tenant's share, minutes: 3 days.
const SHARE_KEEP: f32 = 0.999_84;

/// The calls of a scope over time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Volume {
    pub key: Key,
    /// Calls of each hour of the week; negative = not known.
    hours: Vec<f32>,
    /// The busiest five minutes of each, calls a minute.
    peaks: Vec<f32>,
    peak: f32,
    lately: f32,
    hour: u32,
    first_hour: u32,
    this_hour: f32,
    minute: f32,
    /// Calls a minute that are expected at most, and at least.
    high: Option<f32>,
    low: f32,
    silent: f32,
    silent_minutes: f32,
    pub long: f32,
    test: Poisson,
}

/// A sequential test of a rate.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Poisson {
    pub s: f32,
    pub onset: u32,
    calls: f32,
    minutes: u32,
    open: bool,
    calm: u16,
}

/// One tenant of a service.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Cell {
    pub service: u32,
    pub tenant: u32,
    long: f32,
    first: u32,
    last: u32,
    minute: f32,
    service_since: f32,
    test: Poisson,
}

/// What the end of a minute says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Turn {
    Nothing,
    /// Calls a minute now and expected, and since when.
    Rose {
        now: f32,
        expected: f32,
        calls: f32,
        onset: u32,
    },
    Over,
    /// Silent for so many minutes, with so many calls expected.
    Silent {
        minutes: f32,
        expected: f32,
    },
    Back,
}

// === impl Volume ===

impl Volume {
    pub fn new(key: Key, tick: u32) -> Volume {
        Volume {
            key,
            hours: Vec::new(),
            peaks: Vec::new(),
            peak: 0.0,
            lately: 0.0,
            hour: tick / HOUR_TICKS,
            first_hour: tick / HOUR_TICKS,
            this_hour: 0.0,
            minute: 0.0,
            high: None,
            low: 0.0,
            silent: 0.0,
            silent_minutes: 0.0,
            long: 0.0,
            test: Poisson::default(),
        }
    }

    /// Counts calls.
    pub fn add(&mut self, calls: f32) {
        self.minute += calls;
    }

    /// Calls of this minute so far.
    pub fn now(&self) -> f32 {
        self.minute
    }

    /// Calls a minute that are expected at most; `None` = not known yet.
    pub fn expected(&self) -> Option<f32> {
        self.high
    }

    /// Ends the minute.
    pub fn end_minute(&mut self, tick: u32, held: bool) -> Turn {
        let now = std::mem::take(&mut self.minute);
        let hour = tick / HOUR_TICKS;
        if hour != self.hour {
            self.end_hour(hour);
        }
        let accepted = self.test.minutes > ACCEPT_MINUTES;
        let cap = self
            .high
            .filter(|_| !accepted)
            .map_or(f32::MAX, |high| 2.0 * high);
        self.this_hour += now.min(cap);
        self.lately += (now.min(cap) - self.lately) / PEAK_MINUTES;
        self.peak = self.peak.max(self.lately);
        self.long = self.long * SHARE_KEEP + now.min(cap);
        if let Some(turn) = self.silence(now) {
            return turn;
        }
        match self.high {
            Some(high) if !held => self.test.step(now, high, GROWTH, tick),
            _ => Turn::Nothing,
        }
    }

    fn silence(&mut self, now: f32) -> Option<Turn> {
        let told = self.silent >= SILENT_CALLS && self.silent_minutes >= SILENT_MINUTES;
        if now > 0.0 {
            (self.silent, self.silent_minutes) = (0.0, 0.0);
            return told.then_some(Turn::Back);
        }
        self.silent += self.low;
        self.silent_minutes += 1.0;
        let tell = !told && self.silent >= SILENT_CALLS && self.silent_minutes >= SILENT_MINUTES;
        tell.then_some(Turn::Silent {
            minutes: self.silent_minutes,
            expected: self.silent,
        })
    }

    fn end_hour(&mut self, hour: u32) {
        if self.hours.is_empty() {
            self.hours = vec![-1.0; HOURS];
            self.peaks = vec![-1.0; HOURS];
        }
        for passed in self.hour..hour.min(self.hour + HOURS as u32) {
            let calls = std::mem::take(&mut self.this_hour);
            // The hour in which it began is not whole.
            let whole = passed > self.first_hour;
            if let Some(slot) = self.hours.get_mut(passed as usize % HOURS) {
                *slot = if whole { calls } else { -1.0 };
            }
            if let Some(slot) = self.peaks.get_mut(passed as usize % HOURS) {
                *slot = std::mem::take(&mut self.peak);
            }
        }
        self.hour = hour;
        let mut same = self.same_hours(hour, &self.hours);
        let peak = self
            .same_hours(hour, &self.peaks)
            .into_iter()
            .fold(0.0, f32::max);
        same.sort_by(f32::total_cmp);
        let enough = hour.saturating_sub(self.first_hour) >= LEARN_HOURS && !same.is_empty();
        let second = same
            .len()
            .saturating_sub(if same.len() >= 6 { 2 } else { 1 });
        self.high = same
            .get(second)
            .filter(|_| enough)
            .map(|calls| (calls / 60.0).max(PEAK_SHARE * peak).max(RATE_MIN));
        let days = same.len() / 3;
        self.low = match same.first() {
            Some(least) if days >= SILENCE_DAYS => least / 60.0 / 2.0,
            _ => 0.0,
        };
    }

    /// Calls of this hour and its neighbours on the days before.
    fn same_hours(&self, hour: u32, of: &[f32]) -> Vec<f32> {
        let hours = (1..=7_u32).flat_map(|day| (0..3).map(move |beside| (day, beside)));
        hours
            .filter_map(|(day, beside)| (hour + beside).checked_sub(day * 24 + 1))
            // A neighbour of the hour a week ago has been written over.
            .filter(|at| hour - at <= HOURS as u32 && *at > self.first_hour)
            .filter_map(|at| of.get(at as usize % HOURS).copied())
            .filter(|calls| *calls >= 0.0)
            .collect()
    }
}

// === impl Poisson ===

impl Poisson {
    /// Ends a minute with `now` calls where `expected` are usual; a rate of `bounds.0` times that
    /// is no news, one of `bounds.1` times is.
    fn step(&mut self, now: f32, expected: f32, bounds: (f32, f32), tick: u32) -> Turn {
        let (low, high) = (expected * bounds.0, expected * bounds.1);
        if self.open {
            self.minutes += 1;
            let calm = now < (low + high) / 2.0;
            self.calm = if calm { self.calm + 1 } else { 0 };
            if self.calm < CALM_MINUTES && self.minutes <= ACCEPT_MINUTES {
                return Turn::Nothing;
            }
            *self = Poisson::default();
            return Turn::Over;
        }
        let phi = 1.0 + BURST * expected;
        let gain = (now * (high / low).ln() - (high - low)) / phi;
        if self.s <= 0.0 {
            *self = Poisson {
                onset: tick.saturating_sub(60 / TICK_S),
                ..Poisson::default()
            };
        }
        self.s = self.s * FADE + gain.min(MINUTE_CAP);
        if self.s <= 0.0 {
            return Turn::Nothing;
        }
        self.calls += now;
        self.minutes += 1;
        if self.s < EVIDENCE || self.minutes < MINUTES_MIN || self.calls < CALLS_MIN {
            return Turn::Nothing;
        }
        self.open = true;
        Turn::Rose {
            now: self.calls / self.minutes as f32,
            expected,
            calls: self.calls,
            onset: self.onset,
        }
    }
}

// === impl Cell ===

impl Cell {
    pub fn new(service: u32, tenant: u32, tick: u32) -> Cell {
        Cell {
            service,
            tenant,
            long: 0.0,
            first: tick,
            last: tick,
            minute: 0.0,
            service_since: 0.0,
            test: Poisson::default(),
        }
    }

    /// Counts calls; true when they are the first of the minute.
    pub fn add(&mut self, calls: f32) -> bool {
        let first = self.minute == 0.0;
        self.minute += calls;
        first
    }

    /// Is it under suspicion, so that it has to be looked at every minute?
    pub fn is_watched(&self) -> bool {
        self.test.s > 0.0 || self.test.open
    }

    /// Does it explain that the service has so many calls?
    pub fn is_main(&self, expected: f32) -> bool {
        let minutes = self.test.minutes as f32;
        let excess = (self.service_since - expected * minutes).max(0.0);
        (self.test.s > 2.0 || self.test.open) && self.test.calls >= EXCESS_SHARE * excess
    }

    /// Ends the minute, beside the volume of the service.
    pub fn end_minute(&mut self, service: &Volume, tick: u32) -> Turn {
        let now = std::mem::take(&mut self.minute);
        let passed = tick.saturating_sub(self.last) as f32 / (60.0 / TICK_S as f32);
        self.long *= SHARE_KEEP.powf(passed);
        self.last = tick;
        let share = self.long / service.long.max(1.0);
        let floor = if tick.saturating_sub(self.first) < DAY_TICKS {
            SHARE_NEW
        } else {
            SHARE_KNOWN
        };
        if !self.is_watched() {
            self.service_since = 0.0;
        }
        let Some(expected) = service.expected() else {
            self.long += now;
            return Turn::Nothing;
        };
        self.service_since += service.now();
        let own = (share.max(floor) * expected).max(0.02);
        self.long += if self.is_watched() {
            now.min(2.0 * own)
        } else {
            now
        };
        let before = self.test;
        let turn = self.test.step(now, own, RUNAWAY, tick);
        if matches!(turn, Turn::Rose { .. }) && !self.is_main(expected) {
            self.test = Poisson {
                s: before.s.min(EXCESS_SHARE * EVIDENCE),
                ..before
            };
            return Turn::Nothing;
        }
        turn
    }
}
