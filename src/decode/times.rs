//! Times: items that say when they happened by a broken clock or in another unit are left out.
//!
//! A row of 1970 is past every retention, and one beyond 2106 wraps around in ClickHouse's 32-bit
//! seconds: the store would take either and drop it unseen. Better to say so at the door. A log
//! record without any time is no mistake (OTLP: whoever receives it sets the observed time).

use std::ops::Range;

use super::{Logs, Rejected, Traces};

/// What is taken, in nanoseconds since the epoch: from 2000-01-01 until 2100-01-01.
const TIMES_NS: Range<u64> = 946_684_800_000_000_000..4_102_444_800_000_000_000;

// === impl Traces ===

impl Traces<'_> {
    /// Leaves out spans without a time, and with one that no clock shows now.
    pub fn reject_times(&mut self) {
        let rejected = &mut self.rejected;
        self.spans.retain(|span| {
            let wrong = match (span.start_ns, span.end_ns) {
                (0, 0) => Some("it has neither a start nor an end time".to_owned()),
                (start, end) => outside("start", start).or_else(|| outside("end", end)),
            };
            keep("span", span.name, wrong, rejected)
        });
    }
}

// === impl Logs ===

impl Logs<'_> {
    /// Leaves out records whose time no clock shows now; those without one were observed now.
    pub fn reject_times(&mut self, now_ns: u64) {
        let rejected = &mut self.rejected;
        self.records.retain_mut(|record| {
            if record.time_ns == 0 && record.observed_time_ns == 0 {
                record.observed_time_ns = now_ns;
            }
            let wrong = outside("its", record.time_ns)
                .or_else(|| outside("observed", record.observed_time_ns));
            keep("log record", record.event_name, wrong, rejected)
        });
    }
}

fn outside(which: &str, ns: u64) -> Option<String> {
    (ns != 0 && !TIMES_NS.contains(&ns)).then(|| {
        format!("{which} time {ns} ns is not between 2000 and 2100: check the clock and the unit")
    })
}

fn keep(noun: &str, name: &str, wrong: Option<String>, rejected: &mut Rejected) -> bool {
    let Some(wrong) = wrong else { return true };
    rejected.count = rejected.count.saturating_add(1);
    if rejected.first_reason.is_none() {
        let name: String = name.chars().take(NAME_CHARS_MAX).collect();
        rejected.first_reason = Some(format!("{noun} `{name}`: {wrong}"));
    }
    false
}

/// Characters of a rejected item's name that are quoted.
const NAME_CHARS_MAX: usize = 80;

#[cfg(test)]
mod tests {
    use super::super::{LogRecord, Span};
    use super::*;

    const NOW_NS: u64 = 1_790_000_000_000_000_000;

    fn span(name: &'static str, start_ns: u64, end_ns: u64) -> Span<'static> {
        Span {
            name,
            start_ns,
            end_ns,
            ..Span::default()
        }
    }

    #[test]
    fn a_span_of_1970_or_2200_is_left_out_and_the_first_reason_is_told() {
        let mut traces = Traces {
            spans: vec![
                span("good", NOW_NS, NOW_NS + 1),
                span("in microseconds", NOW_NS / 1000, NOW_NS / 1000),
                span("2200", 7_258_118_400_000_000_000, 0),
                span("never ends", NOW_NS, u64::MAX),
                span("no time", 0, 0),
                span("ended only", 0, NOW_NS),
            ],
            ..Traces::default()
        };
        traces.reject_times();
        let kept: Vec<&str> = traces.spans.iter().map(|s| s.name).collect();
        assert_eq!(kept, ["good", "ended only"]);
        assert_eq!(traces.rejected.count, 4);
        assert_eq!(
            traces.rejected.first_reason.as_deref(),
            Some(
                "span `in microseconds`: start time 1790000000000000 ns is not between 2000 and \
                 2100: check the clock and the unit"
            )
        );
    }

    #[test]
    fn a_log_record_without_a_time_was_observed_now() {
        let record = |time_ns, observed_time_ns| LogRecord {
            time_ns,
            observed_time_ns,
            ..LogRecord::default()
        };
        let mut logs = Logs {
            records: vec![record(0, 0), record(1, 0), record(0, NOW_NS - 5)],
            ..Logs::default()
        };
        logs.reject_times(NOW_NS);
        let kept: Vec<u64> = logs.records.iter().map(|r| r.observed_time_ns).collect();
        assert_eq!(kept, [NOW_NS, NOW_NS - 5]);
        assert_eq!(logs.rejected.count, 1);
    }
}
