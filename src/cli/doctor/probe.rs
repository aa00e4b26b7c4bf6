//! The probe: a span of our own, sent as a client sends and looked for as a user looks.
//!
//! It is no model call, so that it is in no rollup, wakes no detector, costs nothing and is in no
//! answer about traffic: only a row of `otel_traces`, of a service of its own, that the retention
//! takes away. That calls are recognised is looked at apart, without sending one.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prost::Message as _;
use serde::Deserialize;
use tokio::time::{Instant, sleep};

use super::{Findings, receivers::export, store::rows};
use crate::{
    config::Config,
    forward::{Outcome, Protocol},
    proto::opentelemetry::proto::{
        collector::trace::v1::ExportTraceServiceRequest,
        common::v1::{AnyValue, KeyValue, any_value::Value},
        resource::v1::Resource,
        trace::v1::{ResourceSpans, ScopeSpans, Span},
    },
    store::Store,
};

/// The service that the probes are of.
pub(super) const SERVICE: &str = "lapwing-doctor";
/// A row that takes longer is told to be missing.
const VISIBLE_MAX: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug, Deserialize)]
struct Count {
    n: u64,
}

/// Sends a span by each protocol and waits until it is in the store.
pub(super) async fn send(config: &Config, store: &Store, findings: &mut Findings) {
    const ABOUT: &str = "probe";
    for (protocol, name) in [
        (Protocol::Grpc, "OTLP/gRPC"),
        (Protocol::HttpProtobuf, "OTLP/HTTP"),
    ] {
        let trace_id = random();
        let request = request(trace_id, "doctor", &[("lapwing.doctor", "probe")]);
        let began = Instant::now();
        let answered = match export(config, protocol, request.into()).await {
            Outcome::Accepted { rejected: 0, .. } => began.elapsed(),
            // What is wrong with the receiver is told above.
            outcome => {
                let what = format!("a span by {name} is not accepted: {}", reason(&outcome));
                findings.wrong_because(ABOUT, &what, "see the receiver above");
                continue;
            }
        };
        match visible(store, trace_id, began).await {
            Some(seen) => findings.good(
                ABOUT,
                &format!(
                    "a span by {name} was acknowledged after {} ms and is in the store after {} ms",
                    answered.as_millis(),
                    seen.as_millis()
                ),
            ),
            None => findings.wrong_because(
                ABOUT,
                &format!(
                    "a span by {name} was acknowledged and is not in the store after {} s",
                    VISIBLE_MAX.as_secs()
                ),
                "it waits in the journal: see `journal`, `delivery` and the collector's log. Does this command look into the store that the collector writes to?",
            ),
        }
    }
}

/// A plain call of the `gen_ai` convention, for the rules alone.
pub(super) fn call() -> Vec<u8> {
    request(
        random(),
        "chat gpt-4o",
        &[
            ("gen_ai.operation.name", "chat"),
            ("gen_ai.provider.name", "openai"),
            ("gen_ai.request.model", "gpt-4o"),
        ],
    )
}

async fn visible(store: &Store, trace_id: [u8; 16], began: Instant) -> Option<Duration> {
    let id = u128::from_be_bytes(trace_id);
    let sql =
        format!("SELECT count() AS n FROM {{database}}.otel_traces WHERE TraceId = '{id:032x}'");
    while began.elapsed() < VISIBLE_MAX {
        // Who does not answer now may answer soon.
        let found = rows::<Count>(store, &sql).await.unwrap_or_default();
        if found.iter().any(|count| count.n > 0) {
            return Some(began.elapsed());
        }
        sleep(LOOK_EVERY).await;
    }
    None
}

fn request(trace_id: [u8; 16], name: &str, attributes: &[(&str, &str)]) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_ns = now.map_or(0, |now| now.as_nanos() as u64);
    let attributes = attributes.iter().map(|(key, value)| text(key, value));
    let span = Span {
        trace_id: trace_id.to_vec(),
        span_id: trace_id[8..].to_vec(),
        name: name.to_owned(),
        kind: 1,
        start_time_unix_nano: now_ns,
        end_time_unix_nano: now_ns,
        attributes: attributes.collect(),
        ..Span::default()
    };
    let resource = Resource {
        attributes: vec![text("service.name", SERVICE)],
        ..Resource::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![ScopeSpans {
                spans: vec![span],
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
    .encode_to_vec()
}

fn text(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Value::StringValue(value.to_owned())),
        }),
    }
}

/// Different in each run, and never zero.
fn random() -> [u8; 16] {
    let mut id = [1; 16];
    // Without randomness the time alone tells probes apart.
    if getrandom::fill(&mut id).is_err() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        id = now.map_or(1, |now| now.as_nanos()).to_be_bytes();
    }
    id[15] |= 1;
    id
}

fn reason(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Accepted { message, .. } => message,
        Outcome::Retry { reason, .. } | Outcome::Held { reason } | Outcome::Refused { reason } => {
            reason
        }
    }
}
