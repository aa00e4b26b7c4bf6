//! A sequential test of how many calls come a minute: has the rate multiplied, is it over, has it
//! become normal? What is expected is the caller's to know.

use serde::{Deserialize, Serialize};

use super::cusum::TICK_S;

/// Evidence fades, share kept a minute: e-fold in 45 minutes.
const FADE: f32 = 0.978;
/// Squared coefficient of variation of a minute's rate beyond chance (0.5 in the public traces).
const BURST: f32 = 0.25;
/// Nats that one minute may give, and that are needed.
const MINUTE_CAP: f32 = 4.0;
pub const EVIDENCE: f32 = 10.0;
/// Minutes and calls that are needed beside.
const MINUTES_MIN: u32 = 4;
const CALLS_MIN: f32 = 30.0;
/// Minutes that the mean of as many minutes must be below half way to the alternative before it is
/// over: single minutes of bursty traffic are empty.
const CALM_MINUTES: u16 = 10;
/// A level that lasted for so many minutes (8 h) is the new normal.
const ACCEPT_MINUTES: u32 = 480;

/// A sequential test of a rate.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Poisson {
    pub s: f32,
    pub onset: u32,
    /// Calls since the onset, and those that were expected.
    pub calls: f32,
    pub expected: f32,
    pub minutes: u32,
    pub open: bool,
    /// Calls a minute of late, and for how long they have been few.
    lately: f32,
    calm: u16,
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
    /// It lasts, and is no news any more.
    Normal,
    /// Silent for so many minutes, with so many calls expected.
    Silent {
        minutes: f32,
        expected: f32,
    },
    Back,
}

// === impl Poisson ===

impl Poisson {
    /// Ends a minute with `now` calls where `expected` are usual; a rate of `bounds.0` times that
    /// is no news, one of `bounds.1` times is.
    pub fn step(&mut self, now: f32, expected: f32, bounds: (f32, f32), tick: u32) -> Turn {
        let (low, high) = (expected * bounds.0, expected * bounds.1);
        if self.open {
            self.count(now, expected);
            self.lately += (now - self.lately) / f32::from(CALM_MINUTES);
            let calm = self.lately < (low + high) / 2.0;
            self.calm = if calm { self.calm + 1 } else { 0 };
            if self.calm >= CALM_MINUTES {
                *self = Poisson::default();
                return Turn::Over;
            }
            return match self.minutes > ACCEPT_MINUTES {
                true => Turn::Normal,
                false => Turn::Nothing,
            };
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
        self.count(now, expected);
        if self.s < EVIDENCE || self.minutes < MINUTES_MIN || self.calls < CALLS_MIN {
            return Turn::Nothing;
        }
        self.open = true;
        self.lately = self.calls / self.minutes as f32;
        Turn::Rose {
            now: self.lately,
            expected,
            calls: self.calls,
            onset: self.onset,
        }
    }

    /// Counts a minute that belongs to the rise.
    pub fn count(&mut self, now: f32, expected: f32) {
        self.calls += now;
        self.expected += expected;
        self.minutes += 1;
    }

    /// Calls since the onset, relative to those expected.
    pub fn factor(&self) -> f32 {
        self.calls / self.expected.max(1.0)
    }
}
