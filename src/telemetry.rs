//! Telemetry: the collector's own numbers, in Prometheus' text form.
//!
//! The numbers are the atomics of the stages themselves; nothing is counted twice. The invariant
//! `accepted + recovered = stored + quarantined + damaged + queued` can be read off the page.

mod forward;
mod journal;

use std::{fmt::Write, sync::atomic::Ordering};

pub use self::forward::lines as forward;

use crate::{
    block::Table,
    journal::{Delivery, Journal, TableStats},
    pipeline::{Durable, Latency, Pipeline},
    receive::{Reason, ReceiveStats, Signal, Transport},
    watch::WatchStats,
};

/// The page of `/metrics`.
pub fn metrics<D: Durable>(
    pipeline: &Pipeline<D>,
    received: &ReceiveStats,
    journal: &Journal,
    delivery: Option<&Delivery>,
    watch: &WatchStats,
) -> String {
    let mut page = Page(String::with_capacity(8 << 10));
    receivers(&mut page, received);
    let stats = &pipeline.stats;
    let counters = [
        ("lapwing_spans_decoded_total", "Spans decoded", &stats.spans),
        (
            "lapwing_log_records_decoded_total",
            "Log records decoded",
            &stats.log_records,
        ),
        (
            "lapwing_metric_points_rejected_total",
            "Metric points rejected: not stored yet",
            &stats.metric_points_rejected,
        ),
        (
            "lapwing_items_rejected_total",
            "Spans and log records that can never be accepted",
            &stats.rejected,
        ),
        (
            "lapwing_strings_repaired_total",
            "Strings that were not UTF-8",
            &stats.strings_repaired,
        ),
        (
            "lapwing_redacted_total",
            "Secrets and personal data overwritten in requests",
            &stats.redacted,
        ),
        (
            "lapwing_calls_total",
            "Rows of model calls written",
            &stats.calls,
        ),
        (
            "lapwing_corrections_total",
            "Rows of model calls taken back for a better one",
            &stats.corrections,
        ),
        (
            "lapwing_requests_not_durable_total",
            "Requests told to retry because storage failed",
            &stats.not_durable,
        ),
        (
            "lapwing_detector_facts_total",
            "Facts that the detector was told",
            &watch.facts,
        ),
        (
            "lapwing_detector_facts_stale_total",
            "Facts more than an hour older than the newest: stored, and not looked at",
            &watch.stale,
        ),
        (
            "lapwing_detector_records_unreadable_total",
            "Journal records whose facts could not be read",
            &watch.unreadable,
        ),
        (
            "lapwing_detector_changes_total",
            "Incidents opened, changed and closed",
            &watch.incidents,
        ),
        (
            "lapwing_detector_snapshots_failed_total",
            "Times that the detector's state could not be written",
            &watch.snapshots_failed,
        ),
        (
            "lapwing_detector_faults_total",
            "Times that the detector broke off by a fault in it and began again",
            &watch.faults,
        ),
        (
            "lapwing_requests_resent_total",
            "Requests known from before and answered without storing them again",
            &stats.resent,
        ),
    ];
    for (name, help, counter) in counters {
        page.head(name, "counter", help);
        page.line(name, "", counter.load(Ordering::Relaxed) as f64);
    }
    page.head(
        "lapwing_correlation_bytes",
        "gauge",
        "Evidence of recent traces in memory",
    );
    page.line(
        "lapwing_correlation_bytes",
        "",
        pipeline.memory_bytes() as f64,
    );
    unpriced(&mut page, &stats.unpriced.list());
    latency(&mut page, &stats.latency);
    self::journal::lines(&mut page, journal);
    if let Some(delivery) = delivery {
        tables(&mut page, delivery);
    }
    process(&mut page);
    page.0
}

struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String cannot fail.
        _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &str, value: f64) {
        _ = match labels {
            "" => writeln!(self.0, "{name} {value}"),
            labels => writeln!(self.0, "{name}{{{labels}}} {value}"),
        };
    }
}

fn receivers(page: &mut Page, stats: &ReceiveStats) {
    const TRANSPORTS: [(Transport, &str); 2] =
        [(Transport::Grpc, "grpc"), (Transport::Http, "http")];
    const SIGNALS: [(Signal, &str); 3] = [
        (Signal::Traces, "traces"),
        (Signal::Logs, "logs"),
        (Signal::Metrics, "metrics"),
    ];
    const REASONS: [(Reason, &str); 6] = [
        (Reason::Invalid, "invalid"),
        (Reason::Busy, "busy"),
        (Reason::TooLarge, "too_large"),
        (Reason::Slow, "slow"),
        (Reason::Unauthenticated, "unauthenticated"),
        (Reason::Unsupported, "unsupported"),
    ];
    let name = "lapwing_receiver_requests_total";
    page.head(name, "counter", "Requests accepted");
    for (transport, t) in TRANSPORTS {
        for (signal, s) in SIGNALS {
            let labels = format!("transport=\"{t}\",data_type=\"{s}\"");
            page.line(
                name,
                &labels,
                stats.of(transport, signal).requests.load(Ordering::Relaxed) as f64,
            );
        }
    }
    let name = "lapwing_receiver_bytes_total";
    page.head(name, "counter", "Bytes of accepted requests, decompressed");
    for (transport, t) in TRANSPORTS {
        for (signal, s) in SIGNALS {
            let labels = format!("transport=\"{t}\",data_type=\"{s}\"");
            page.line(
                name,
                &labels,
                stats.of(transport, signal).bytes.load(Ordering::Relaxed) as f64,
            );
        }
    }
    let name = "lapwing_receiver_refused_requests_total";
    page.head(name, "counter", "Requests refused");
    for (transport, t) in TRANSPORTS {
        for (reason, r) in REASONS {
            let known: u64 = SIGNALS
                .iter()
                .map(|(s, _)| stats.refused(transport, Some(*s), reason))
                .sum();
            let all = known + stats.refused(transport, None, reason);
            page.line(
                name,
                &format!("transport=\"{t}\",reason=\"{r}\""),
                all as f64,
            );
        }
    }
}

fn latency(page: &mut Page, latency: &Latency) {
    let name = "lapwing_ack_seconds";
    page.head(
        name,
        "summary",
        "Time from a request's bytes to its acknowledgement",
    );
    let Some(histogram) = latency.snapshot() else {
        return;
    };
    for quantile in [0.5, 0.9, 0.99, 1.0] {
        let seconds = histogram.value_at_quantile(quantile) as f64 / 1e6;
        page.line(name, &format!("quantile=\"{quantile}\""), seconds);
    }
    page.line("lapwing_ack_seconds_count", "", histogram.len() as f64);
}

fn tables(page: &mut Page, delivery: &Delivery) {
    type Get = fn(&TableStats) -> f64;
    let rows: [(&str, &str, &str, Get); 10] = [
        (
            "lapwing_exporter_sent_rows_total",
            "counter",
            "Rows stored",
            |s| s.rows.load(Ordering::Relaxed) as f64,
        ),
        (
            "lapwing_exporter_sent_bytes_total",
            "counter",
            "Bytes of inserts that succeeded",
            |s| s.bytes.load(Ordering::Relaxed) as f64,
        ),
        (
            "lapwing_exporter_inserts_total",
            "counter",
            "Inserts that succeeded",
            |s| s.inserts.load(Ordering::Relaxed) as f64,
        ),
        (
            "lapwing_exporter_retries_total",
            "counter",
            "Insert attempts after the first",
            |s| s.retries.load(Ordering::Relaxed) as f64,
        ),
        (
            "lapwing_exporter_splits_total",
            "counter",
            "Inserts halved because the store refused them as a whole",
            |s| s.splits.load(Ordering::Relaxed) as f64,
        ),
        (
            "lapwing_exporter_quarantined_rows_total",
            "counter",
            "Rows that the store refuses for good, kept in the quarantine",
            |s| s.quarantined_rows.load(Ordering::Relaxed) as f64,
        ),
        (
            "lapwing_exporter_broken_plans_total",
            "counter",
            "Inserts whose blocks were damaged on disk while they were in doubt",
            |s| s.broken_plans.load(Ordering::Relaxed) as f64,
        ),
        (
            "lapwing_exporter_held",
            "gauge",
            "1 while the store waits for its operator; the log says what to do",
            |s| f64::from(u8::from(s.held.load(Ordering::Relaxed))),
        ),
        (
            "lapwing_exporter_last_error_code",
            "gauge",
            "ClickHouse's number of the last error, 1 if it had none; 0 while inserts succeed",
            |s| f64::from(s.last_error.load(Ordering::Relaxed)),
        ),
        (
            "lapwing_exporter_queue_bytes",
            "gauge",
            "Bytes of inserts under way",
            |s| s.queue_bytes.load(Ordering::Relaxed) as f64,
        ),
    ];
    for (name, kind, help, get) in rows {
        page.head(name, kind, help);
        for table in Table::ALL {
            if let Some(stats) = delivery.stats(table) {
                page.line(name, &format!("table=\"{}\"", table.name()), get(stats));
            }
        }
    }
    let name = "lapwing_exporter_failed_attempts_total";
    page.head(
        name,
        "counter",
        "Insert attempts that failed, by what is done about it",
    );
    for table in Table::ALL {
        let Some(stats) = delivery.stats(table) else {
            continue;
        };
        for (action, failed) in ["retry", "hold", "split", "quarantine"]
            .iter()
            .zip(&stats.failed)
        {
            let labels = format!("table=\"{}\",action=\"{action}\"", table.name());
            page.line(name, &labels, failed.load(Ordering::Relaxed) as f64);
        }
    }
}

/// Models to add to a price file.
fn unpriced(page: &mut Page, models: &[(String, String, u64)]) {
    const NAME: &str = "lapwing_unpriced_calls_total";
    page.head(
        NAME,
        "counter",
        "Calls with tokens of models without a price",
    );
    for (provider, model, calls) in models {
        let labels = format!(
            "provider=\"{}\",model=\"{}\"",
            escaped(provider),
            escaped(model)
        );
        page.line(NAME, &labels, *calls as f64);
    }
}

/// A label's value, as the text format wants it.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

fn process(page: &mut Page) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let rss_kib = status.lines().find_map(|line| {
        line.strip_prefix("VmRSS:")?
            .trim()
            .split(' ')
            .next()?
            .parse::<f64>()
            .ok()
    });
    if let Some(kib) = rss_kib {
        page.head(
            "lapwing_process_memory_rss_bytes",
            "gauge",
            "Resident memory, without the embedded engine",
        );
        page.line("lapwing_process_memory_rss_bytes", "", kib * 1024.0);
    }
}
