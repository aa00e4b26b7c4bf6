//! What time it is for the detector: it goes on from the start, or from the last snapshot.
//!
//! A system clock that jumps would make everything stale that comes from hosts whose clocks are
//! right, or stop the watermark. So a jump is not believed until the facts say the same: calls are
//! told shortly after they end.

/// A smaller difference is none: it makes nothing stale, and going back would cost the baselines.
const STEP_MIN_NS: u64 = 600_000_000_000;
/// Facts in a row that must side with the system clock,
const FACTS_MIN: u32 = 20;
/// over at least this long.
const STAY_NS: u64 = 60_000_000_000;

/// Both clocks at one moment, nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Now {
    /// The system clock's.
    pub wall_ns: u64,
    /// That of a clock that nobody sets.
    pub steady_ns: u64,
}

/// The detector's time.
#[derive(Debug, Clone, Default)]
pub struct Time {
    /// Ahead of the steady clock by this, nanoseconds.
    ahead_ns: i64,
    /// Facts in a row that sided with the system clock, and since when.
    siding: u32,
    since_ns: u64,
}

impl Time {
    /// Begins now, or where the snapshot ended, if that is much later: either may have had the wrong
    /// clock, and facts will tell.
    pub fn new(now: Now, snapshot_ns: u64) -> Time {
        let is_later = snapshot_ns > now.wall_ns.saturating_add(STEP_MIN_NS);
        let begin_ns = if is_later { snapshot_ns } else { now.wall_ns };
        Time {
            ahead_ns: difference(begin_ns, now.steady_ns),
            ..Time::default()
        }
    }

    pub fn ns(&self, now: Now) -> u64 {
        now.steady_ns.saturating_add_signed(self.ahead_ns)
    }

    /// A fact that ended then was told now. When enough of them side with the system clock the time
    /// is set to it; gives by how much, nanoseconds.
    pub fn witness(&mut self, end_ns: u64, now: Now) -> Option<i64> {
        let ours_ns = self.ns(now);
        let step = difference(now.wall_ns, ours_ns);
        let sides = end_ns.abs_diff(now.wall_ns) < end_ns.abs_diff(ours_ns);
        if step.unsigned_abs() < STEP_MIN_NS || !sides {
            self.siding = 0;
            return None;
        }
        if self.siding == 0 {
            self.since_ns = now.steady_ns;
        }
        self.siding = self.siding.saturating_add(1);
        let stays = now.steady_ns.saturating_sub(self.since_ns) >= STAY_NS;
        if self.siding < FACTS_MIN || !stays {
            return None;
        }
        self.siding = 0;
        self.ahead_ns = self.ahead_ns.saturating_add(step);
        Some(step)
    }
}

fn difference(a: u64, b: u64) -> i64 {
    let size = i64::try_from(a.abs_diff(b)).unwrap_or(i64::MAX);
    if a < b { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;
    const HOUR_NS: u64 = 3600 * SECOND_NS;
    const NOW_NS: u64 = 1_790_000_000 * SECOND_NS;

    fn at(seconds: u64, wall_ns: u64) -> Now {
        Now {
            wall_ns: wall_ns + seconds * SECOND_NS,
            steady_ns: NOW_NS + seconds * SECOND_NS,
        }
    }

    fn begun() -> Time {
        Time::new(at(0, NOW_NS), 0)
    }

    #[test]
    fn a_jump_that_the_facts_do_not_share_is_none() {
        for wall_ns in [NOW_NS + 5 * HOUR_NS, NOW_NS - 5 * HOUR_NS] {
            let mut time = begun();
            for second in 1..600 {
                let now = at(second, wall_ns);
                assert_eq!(time.ns(now), NOW_NS + second * SECOND_NS);
                // From hosts whose clocks are right.
                assert_eq!(time.witness(now.steady_ns - SECOND_NS, now), None);
            }
        }
    }

    #[test]
    fn a_jump_that_stays_and_that_facts_share_is_followed_once() {
        for wall_ns in [NOW_NS + 5 * HOUR_NS, NOW_NS - 5 * HOUR_NS] {
            let mut time = begun();
            let mut steps = Vec::new();
            for second in 1..600 {
                let now = at(second, wall_ns);
                let step = time.witness(now.wall_ns - SECOND_NS, now);
                steps.extend(step.map(|step| (second, step)));
            }
            let step = difference(wall_ns, NOW_NS);
            assert_eq!(steps, [(61, step)]);
            assert_eq!(time.ns(at(600, wall_ns)), wall_ns + 600 * SECOND_NS);
        }
    }

    #[test]
    fn a_jump_back_and_forth_is_none() {
        let mut time = begun();
        for second in 1..600 {
            let jumps = second % 40 < 20;
            let now = at(second, NOW_NS + u64::from(jumps) * 5 * HOUR_NS);
            assert_eq!(time.witness(now.wall_ns, now), None);
        }
    }

    #[test]
    fn a_start_before_the_last_snapshot_goes_on_from_there() {
        let snapshot_ns = NOW_NS + HOUR_NS;
        let time = Time::new(at(0, NOW_NS), snapshot_ns);
        assert_eq!(time.ns(at(3, NOW_NS)), snapshot_ns + 3 * SECOND_NS);
        // Some sender's clock is a minute ahead: that is no wrong clock of ours.
        let time = Time::new(at(0, NOW_NS), NOW_NS + 60 * SECOND_NS);
        assert_eq!(time.ns(at(3, NOW_NS)), NOW_NS + 3 * SECOND_NS);
    }
}
