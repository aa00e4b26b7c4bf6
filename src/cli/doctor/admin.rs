//! The running collector, as its admin port tells it.

use std::{net::SocketAddr, time::Duration};

use super::Findings;
use crate::config::Config;

const TIMEOUT: Duration = Duration::from_secs(5);
const ABOUT: &str = "collector";

/// The page of `/metrics`.
pub(super) struct Metrics(String);

/// Asks for readiness and numbers; `None` when there is no collector at this port.
pub(super) async fn look(config: &Config, findings: &mut Findings) -> Option<Metrics> {
    let address = here(config.admin.listen);
    let client = reqwest::Client::builder().no_proxy().timeout(TIMEOUT);
    let client = client.build().ok()?;
    let get = async |path: &str| {
        let answer = client.get(format!("http://{address}{path}")).send().await?;
        let status = answer.status();
        Ok::<_, reqwest::Error>((status, answer.text().await?))
    };
    let (status, text) = match get("/readyz").await {
        Ok(answer) => answer,
        Err(error) => {
            findings.wrong_because(
                ABOUT,
                &format!("nobody answers at {address} (`admin.listen`): {}", cause(&error)),
                "start `lapwing serve` with this configuration, or give this command the one that the collector runs with (--config)",
            );
            return None;
        }
    };
    if !text.contains("ready") {
        findings.wrong_because(
            ABOUT,
            &format!("who answers at {address} (`admin.listen`) is no lapwing"),
            "find out who has the port (ss -ltnp), or give this command the configuration that the collector runs with",
        );
        return None;
    }
    match status.is_success() {
        true => findings.good(ABOUT, &format!("ready at {address}")),
        false => findings.wrong_because(
            ABOUT,
            &format!("runs at {address} and is not ready"),
            "it is starting or stopping: look at its log",
        ),
    }
    let metrics = Metrics(get("/metrics").await.ok()?.1);
    traffic(&metrics, findings);
    refusals(&metrics, findings);
    journal(&metrics, findings);
    delivery(&metrics, findings);
    forward(&metrics, findings);
    Some(metrics)
}

/// What listens everywhere is asked here.
pub(super) fn here(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.is_ipv4() {
            true => std::net::Ipv4Addr::LOCALHOST.into(),
            false => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

fn traffic(metrics: &Metrics, findings: &mut Findings) {
    const ABOUT: &str = "traffic";
    let [spans, calls] =
        ["lapwing_spans_decoded_total", "lapwing_calls_total"].map(|name| metrics.sum(name, ""));
    let logs = metrics.sum("lapwing_log_records_decoded_total", "");
    let came = format!("since its start: {spans} spans, {logs} log records, {calls} model calls");
    if spans + logs == 0.0 {
        findings.doubt(
            ABOUT,
            &came,
            "nothing has come: look at OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_PROTOCOL of the sender (4317 is grpc, 4318 is http/protobuf or http/json), whether it can reach this machine, and at its own log",
        );
    } else if calls == 0.0 {
        findings.doubt(
            ABOUT,
            &came,
            "spans come, and none is a model call: install an instrumentation of the SDK that is used (docs/quickstart.md); `spans` below shows what came",
        );
    } else {
        findings.good(ABOUT, &came);
    }
    let metric_points = metrics.sum("lapwing_metric_points_rejected_total", "");
    if metric_points > 0.0 {
        findings.doubt(
            ABOUT,
            &format!("{metric_points} metric points were refused: metrics are not stored"),
            "send metrics elsewhere (OTEL_METRICS_EXPORTER=none silences the sender)",
        );
    }
    let rejected = metrics.sum("lapwing_items_rejected_total", "");
    if rejected > 0.0 {
        findings.doubt(
            ABOUT,
            &format!("{rejected} spans or log records can never be accepted"),
            "the answer's partial_success told the sender why: look at its log (an id of a wrong length, a time before 1970)",
        );
    }
}

/// Requests that were turned away at the door.
fn refusals(metrics: &Metrics, findings: &mut Findings) {
    const WHAT_TO_DO: [(&str, &str); 6] = [
        (
            "unauthenticated",
            "the sender's token is wrong or missing: OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20<token>, with a token of `receivers.otlp.auth.bearer_tokens_file`",
        ),
        (
            "too_large",
            "raise receivers.otlp.grpc.max_message_bytes and receivers.otlp.http.max_body_bytes, or let the sender make smaller batches",
        ),
        ("invalid", "the body is no OTLP: look at the sender's log"),
        (
            "unsupported",
            "a wrong path, content type or compression: /v1/traces, application/x-protobuf or application/json, gzip or zstd",
        ),
        (
            "busy",
            "the journal is full, its disk fails, or too much is under way: see below",
        ),
        (
            "slow",
            "senders break off or are too slow: look at the network",
        ),
    ];
    for (reason, todo) in WHAT_TO_DO {
        let label = format!("reason=\"{reason}\"");
        let refused = metrics.sum("lapwing_receiver_refused_requests_total", &label);
        if refused > 0.0 {
            let what = format!("{refused} requests were refused: {reason}");
            findings.doubt("refused", &what, todo);
        }
    }
}

fn journal(metrics: &Metrics, findings: &mut Findings) {
    const ABOUT: &str = "journal";
    let get = |name: &str| metrics.sum(&format!("lapwing_journal_{name}"), "");
    let what = format!(
        "{} rows acknowledged, {} stored, {} waiting",
        get("accepted_rows_total") + get("recovered_rows_total"),
        get("stored_rows_total"),
        get("queued_rows")
    );
    if get("failed") > 0.0 {
        findings.wrong_because(
            ABOUT,
            "its disk failed: nothing is accepted",
            "check the disk of data_dir, then start lapwing again",
        );
    } else if get("full") > 0.0 {
        findings.wrong_because(ABOUT, "it is full: senders are told to retry", "see why the store (or the target of `forward.otlp`) does not take what waits, or raise `journal.max_bytes`");
    } else {
        findings.good(ABOUT, &what);
    }
    let quarantined = get("quarantined_rows_total");
    if quarantined > 0.0 {
        findings.doubt(
            ABOUT,
            &format!("the store refused {quarantined} rows for good"),
            "`lapwing journal status` says why; `lapwing journal replay` sends them again",
        );
    }
}

fn delivery(metrics: &Metrics, findings: &mut Findings) {
    const ABOUT: &str = "delivery";
    let error = metrics.sum("lapwing_exporter_last_error_code", "");
    if metrics.sum("lapwing_exporter_held", "") > 0.0 {
        findings.wrong_because(
            ABOUT,
            "the store waits for its operator",
            "the collector's log says what to do",
        );
    } else if error > 0.0 {
        findings.wrong_because(
            ABOUT,
            &format!("inserts fail; ClickHouse's last error code is {error}"),
            "the collector's log has the message; docs/reliability.md says what is done about each code",
        );
    } else {
        findings.good(ABOUT, "no insert fails");
    }
}

fn forward(metrics: &Metrics, findings: &mut Findings) {
    const ABOUT: &str = "forward";
    if !metrics.0.contains("lapwing_forward_spans_total") {
        return;
    }
    let get = |name: &str| metrics.sum(&format!("lapwing_forward_{name}"), "");
    if get("held") > 0.0 || get("failing") > 0.0 {
        findings.wrong_because(
            ABOUT,
            "the target of `forward.otlp` does not take what is passed on",
            "the collector's log says why; the journal keeps what waits",
        );
        return;
    }
    findings.good(ABOUT, &format!("{} spans passed on", get("spans_total")));
    let refused = get("refused_items_total");
    if refused > 0.0 {
        let what = format!("the target refused {refused} items for good");
        findings.doubt(
            ABOUT,
            &what,
            "the collector's log says why; they are stored here",
        );
    }
}

// === impl Metrics ===

impl Metrics {
    /// A metric, added up over the labels that contain this.
    fn sum(&self, name: &str, label: &str) -> f64 {
        let of = |line: &&str| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']) && rest.contains(label))
        };
        let values = self.0.lines().filter(of);
        values
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }
}

/// The innermost cause: the outer ones repeat the address.
fn cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(inner) => cause(inner),
        None => error.to_string(),
    }
}
