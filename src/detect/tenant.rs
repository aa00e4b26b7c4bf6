//! One tenant of a service: does it send many times what it used to?
//!
//! What it used to is its share of the service's calls, so that a busy day of all is not a loop of
//! one.

use serde::{Deserialize, Serialize};

use super::{
    cusum::TICK_S,
    poisson::{EVIDENCE, Poisson, Turn},
    volume::{SHARE_KEEP, Volume},
};

/// One tenant's calls vary more than a service's: four times is a good customer, ten is a loop.
const RUNAWAY: (f32, f32) = (4.0, 10.0);
/// Share of the service's calls that a tenant is expected to have at least: seen for a day, and new.
const SHARE_KNOWN: f32 = 0.02;
const SHARE_NEW: f32 = 0.2;
const DAY_TICKS: u32 = 86_400 / TICK_S;
/// Of the service's excess, the tenant must hold this share.
const EXCESS_SHARE: f32 = 0.5;

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
    pub fn end_minute(&mut self, service: &mut Volume, tick: u32) -> Turn {
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
        if turn == Turn::Normal {
            self.accept(service);
        }
        if matches!(turn, Turn::Rose { .. }) && !self.is_main(expected) {
            self.test = before;
            self.test.s = before.s.min(EXCESS_SHARE * EVIDENCE);
            return Turn::Nothing;
        }
        turn
    }
    /// Makes the share since the onset the known one, as if it had always been like that; the
    /// other tenants keep their calls.
    fn accept(&mut self, service: &mut Volume) {
        let test = std::mem::take(&mut self.test);
        let share = (test.calls / self.service_since.max(1.0)).min(0.99);
        let others = (service.long - self.long).max(0.0);
        let long = (others * share / (1.0 - share)).max(self.long);
        service.long += long - self.long;
        self.long = long;
    }
}
