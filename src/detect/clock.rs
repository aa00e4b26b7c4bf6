//! Event time: facts wait until their tick is complete.
//!
//! The watermark is the newest event time seen, less the lateness that is allowed for. What is
//! older than the watermark is counted in the current tick, not dropped: it is still evidence.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{cusum::TICK_S, sample::Sample};

/// Nanoseconds of a tick.
pub const TICK_NS: u64 = TICK_S as u64 * 1_000_000_000;
/// A fact from further in the future is counted now: a wrong clock must not stop the others.
const AHEAD_TICKS: u32 = 3600 / TICK_S;

/// Facts that wait.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Clock {
    waiting: BTreeMap<u32, Vec<Sample>>,
    /// The next tick to be worked off; 0 = nothing seen yet.
    pub next: u32,
    newest_ns: u64,
    /// Facts that came after their tick was closed.
    pub late: u64,
}

/// The tick of a time.
pub fn tick_of(ns: u64) -> u32 {
    u32::try_from(ns / TICK_NS).unwrap_or(u32::MAX)
}

/// Where a tick ends, nanoseconds.
pub fn end_of(tick: u32) -> u64 {
    (u64::from(tick) + 1) * TICK_NS
}

// === impl Clock ===

impl Clock {
    /// Keeps a fact until its tick is complete.
    pub fn push(&mut self, sample: Sample) {
        let mut tick = tick_of(sample.end_ns);
        if self.next == 0 {
            self.next = tick;
        }
        let newest = tick_of(self.newest_ns).max(self.next);
        if tick > newest.saturating_add(AHEAD_TICKS) && self.newest_ns > 0 {
            tick = newest;
        } else {
            self.newest_ns = self.newest_ns.max(sample.end_ns);
        }
        if tick < self.next {
            self.late += 1;
            tick = self.next;
        }
        self.waiting.entry(tick).or_default().push(sample);
    }

    /// Up to which tick (exclusive) everything is there.
    pub fn complete(&self, lateness_s: u32) -> u32 {
        tick_of(
            self.newest_ns
                .saturating_sub(u64::from(lateness_s) * 1_000_000_000),
        )
    }

    /// The newest time seen or passed, nanoseconds; 0 = none.
    pub fn newest_ns(&self) -> u64 {
        self.newest_ns
    }

    /// Time passes without facts.
    pub fn advance(&mut self, watermark_ns: u64) {
        self.newest_ns = self.newest_ns.max(watermark_ns);
        if self.next == 0 {
            self.next = tick_of(watermark_ns);
        }
    }

    /// The facts of a tick, in an order that does not depend on how they came.
    pub fn take(&mut self, tick: u32) -> Vec<Sample> {
        let mut facts = self.waiting.remove(&tick).unwrap_or_default();
        facts.sort_unstable_by_key(|s| (s.end_ns, s.span_id, s.trace_id));
        facts
    }

    /// The next tick in which there is something.
    pub fn first_waiting(&self) -> Option<u32> {
        self.waiting.keys().next().copied()
    }
}
