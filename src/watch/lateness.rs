//! How late facts are: the watermark waits for as long as it must, and every alert comes sooner for
//! it. What is measured is the largest delay of the last minutes; until something was measured,
//! and after a silence, the configured bound holds.
//!
//! Not here: what becomes of a fact that is later still. The detector counts it in the current tick.

use std::collections::VecDeque;

const SECOND_NS: u64 = 1_000_000_000;
/// Delays are kept as one maximum for each ten seconds: two rounds of an exporter.
const SLOT_NS: u64 = 10 * SECOND_NS;
/// Five minutes: a service that calls once a minute is remembered.
const SLOTS: u64 = 30;
/// On top of the largest delay seen: the next one may be a little larger.
const MARGIN_S: u32 = 1;

/// The delays of the last minutes.
#[derive(Debug)]
pub struct Lateness {
    most_s: u32,
    /// Number of the slot and the largest delay in it, oldest first.
    slots: VecDeque<(u64, u64)>,
    /// When the first of the records came that the slots are about.
    since_ns: u64,
}

// === impl Lateness ===

impl Lateness {
    /// Never longer than `most_s`.
    pub fn new(most_s: u32) -> Lateness {
        Lateness {
            most_s,
            slots: VecDeque::new(),
            since_ns: 0,
        }
    }

    /// The oldest fact of a record came this long after the newest of all. What even the longest
    /// wait would have missed (a backlog, history) says nothing about how long to wait, nor do the
    /// facts that came with it.
    pub fn seen(&mut self, now_ns: u64, delay_ns: u64) {
        if delay_ns > u64::from(self.most_s) * SECOND_NS {
            return;
        }
        self.forget(now_ns);
        if self.slots.is_empty() {
            self.since_ns = now_ns;
        }
        let slot = now_ns / SLOT_NS;
        match self.slots.back_mut() {
            Some((last, delay)) if *last >= slot => *delay = delay_ns.max(*delay),
            _ => self.slots.push_back((slot, delay_ns)),
        }
    }

    /// How long to wait now, in seconds.
    pub fn seconds(&mut self, now_ns: u64) -> u32 {
        self.forget(now_ns);
        let delay_ns = self.slots.iter().map(|(_, delay)| *delay).max();
        match delay_ns {
            Some(delay_ns) if now_ns.saturating_sub(self.since_ns) >= SLOT_NS => {
                let seconds = u32::try_from(delay_ns.div_ceil(SECOND_NS)).unwrap_or(u32::MAX);
                seconds.saturating_add(MARGIN_S).min(self.most_s)
            }
            _ => self.most_s,
        }
    }

    fn forget(&mut self, now_ns: u64) {
        let oldest = (now_ns / SLOT_NS).saturating_sub(SLOTS);
        while self.slots.front().is_some_and(|(slot, _)| *slot < oldest) {
            self.slots.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_780_000_000 * SECOND_NS;

    fn at(seconds: u64) -> u64 {
        START + seconds * SECOND_NS
    }

    #[test]
    fn the_wait_is_as_long_as_exporters_are_late() {
        let mut lateness = Lateness::new(10);
        assert_eq!(lateness.seconds(at(0)), 10, "nothing is known");
        for second in 0..=10 {
            lateness.seen(at(second), 30_000_000);
        }
        assert_eq!(lateness.seconds(at(9)), 10, "not known for long enough");
        assert_eq!(lateness.seconds(at(10)), 2);
        lateness.seen(at(11), 4_200_000_000);
        assert_eq!(lateness.seconds(at(12)), 6, "another exporter, at once");
        lateness.seen(at(13), 3_000 * SECOND_NS);
        assert_eq!(lateness.seconds(at(14)), 6, "history is not waited for");
        lateness.seen(at(15), 10 * SECOND_NS);
        assert_eq!(lateness.seconds(at(16)), 10, "never longer than allowed");
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        let mut lateness = Lateness::new(10);
        lateness.seen(at(0), 5 * SECOND_NS);
        for second in (20..400).step_by(20) {
            lateness.seen(at(second), 0);
        }
        assert_eq!(lateness.seconds(at(400)), 1);
        assert_eq!(lateness.seconds(at(1000)), 10, "silent for long");
    }
}
