//! Clock: the time of day as it was at the start, and steady from there on.
//!
//! What is kept for a while (the requests and traces of the last minutes) is measured with it: a
//! system clock that is set while lapwing runs neither empties such a window nor keeps it for ever.
//! Not for times that are stored or shown.

use std::{
    sync::LazyLock,
    time::{Instant, SystemTime},
};

/// Nanoseconds since the Unix epoch by the system clock, which may jump.
pub fn wall_ns() -> u64 {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// The same as it would be had nobody set the clock since the start: it never goes back.
pub fn steady_ns() -> u64 {
    static START: LazyLock<(u64, Instant)> = LazyLock::new(|| (wall_ns(), Instant::now()));
    let (wall_ns, since) = *START;
    wall_ns.saturating_add(u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX))
}

/// [`steady_ns`] in seconds.
pub fn steady_s() -> u64 {
    steady_ns() / 1_000_000_000
}
