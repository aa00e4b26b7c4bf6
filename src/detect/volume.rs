//! How many calls of a service come: what is expected, growth, silence.
//!
//! What is expected is taken from the same hour, and the hours beside it, of the last seven days:
//! the second largest for "too many", so that a weekday is not compared with a Sunday, and the
//! smallest for "too few".

use serde::{Deserialize, Serialize};

use super::{
    cusum::TICK_S,
    lattice::Key,
    poisson::{Poisson, Turn},
};

/// Hours remembered: a week.
const HOURS: usize = 168;
const HOUR_TICKS: u32 = 3600 / TICK_S;
/// Hours of history before anything is said about volume.
const LEARN_HOURS: u32 = 49;
/// Calls a minute that are expected at least: below, growth is not worth an alert.
const RATE_MIN: f32 = 0.2;
/// Of the busiest five minutes at this hour, this share may be lasting: a batch fills a part of an hour.
const PEAK_SHARE: f32 = 0.6;
/// Days of history before a silence means something.
const SILENCE_DAYS: usize = 3;
/// A campaign or a second batch may triple the traffic; from five times somebody has to know.
const GROWTH: (f32, f32) = (2.7, 4.8);
/// Time constant of the peak, minutes.
const PEAK_MINUTES: f32 = 4.0;
/// Expected calls in a silence that chance does not explain (e^-20), and its least length.
const SILENT_CALLS: f32 = 20.0;
const SILENT_MINUTES: f32 = 15.0;
/// Hours until the week's history knows a new normal: the same hour of the day before and its
/// neighbours must be whole.
const KNOWN_HOURS: u32 = 26;
/// Half-life of a tenant's share, minutes: 3 days.
pub const SHARE_KEEP: f32 = 0.999_84;

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
    /// A new normal that the history does not know yet: its factor, and the hour from which on it
    /// is known.
    accepted: Option<(f32, u32)>,
}

/// Who answers for the volume of a service.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Held {
    /// The service itself.
    No,
    /// One tenant whose excess is under suspicion.
    ByTenant,
    /// The tenant's excess has become normal in this minute, so the service's is too.
    Accepted,
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
            accepted: None,
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
        let factor = self.accepted.map_or(1.0, |(factor, _)| factor);
        self.high.map(|high| high * factor)
    }

    /// Ends the minute.
    pub fn end_minute(&mut self, tick: u32, held: Held) -> Turn {
        let now = std::mem::take(&mut self.minute);
        let hour = tick / HOUR_TICKS;
        if hour != self.hour {
            self.end_hour(hour);
        }
        let expected = self.expected();
        // What is too much is not history; twice the usual is, so that growth is followed.
        let known = now.min(expected.map_or(f32::MAX, |expected| 2.0 * expected));
        self.this_hour += known;
        self.lately += (known - self.lately) / PEAK_MINUTES;
        self.peak = self.peak.max(self.lately);
        self.long = self.long * SHARE_KEEP + known;
        if let Some(turn) = self.silence(now) {
            return turn;
        }
        let Some(expected) = expected else {
            return Turn::Nothing;
        };
        if held != Held::No && !self.test.open {
            self.test.count(now, expected);
            if held == Held::Accepted {
                self.accept();
            }
            return Turn::Nothing;
        }
        let turn = self.test.step(now, expected, GROWTH, tick);
        if turn == Turn::Normal {
            self.accept();
        }
        turn
    }

    /// Makes the level since the onset the new normal.
    fn accept(&mut self) {
        let test = std::mem::take(&mut self.test);
        let before = self.accepted.map_or(1.0, |(factor, _)| factor);
        let factor = before * test.factor().max(1.0);
        self.accepted = Some((factor, self.hour + KNOWN_HOURS));
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
        self.accepted = self.accepted.filter(|(_, known)| hour < *known);
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
