//! The forwarder's numbers.

use std::sync::atomic::Ordering::Relaxed;

use super::Page;
use crate::forward::ForwardStats;

/// The lines of the page about what is passed on.
pub fn lines(stats: &ForwardStats) -> String {
    let mut page = Page(String::new());
    let counters = [
        ("spans", "Spans that the target accepted", &stats.spans),
        (
            "log_records",
            "Log records that the target accepted",
            &stats.log_records,
        ),
        (
            "requests",
            "Requests that the target accepted",
            &stats.requests,
        ),
        (
            "retries",
            "Attempts that the target did not accept and that are made again",
            &stats.retries,
        ),
        (
            "rejected_items",
            "Items that the target left out of requests that it accepted",
            &stats.rejected,
        ),
        (
            "refused_items",
            "Items that the target refused for good: stored here, not passed on",
            &stats.refused,
        ),
    ];
    for (name, help, counter) in counters {
        let name = format!("lapwing_forward_{name}_total");
        page.head(&name, "counter", help);
        page.line(&name, "", counter.load(Relaxed) as f64);
    }
    let flag = |flag: &std::sync::atomic::AtomicBool| f64::from(u8::from(flag.load(Relaxed)));
    let gauges = [
        (
            "failing",
            "1 since an attempt failed, until one is accepted",
            flag(&stats.is_failing),
        ),
        (
            "held",
            "1 while the target refuses us as a whole; the log says what to set right",
            flag(&stats.is_held),
        ),
        (
            "segments_behind",
            "Segments of the journal that are kept for the target",
            stats.segments_behind.load(Relaxed) as f64,
        ),
    ];
    for (name, help, value) in gauges {
        let name = format!("lapwing_forward_{name}");
        page.head(&name, "gauge", help);
        page.line(&name, "", value);
    }
    page.0
}
