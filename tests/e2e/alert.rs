//! From a failing span to the webhook, and to the rows that tell what became of the alert.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    alerts::{
        http,
        receiver::{Answer, FakeReceiver},
    },
    otlp::{SpanOf, span, traces},
    support::{
        clients::now_ns,
        lapwing::Lapwing,
        send::{PROTOBUF, post},
        wait::until,
    },
};

/// Ends a test whose alert never comes.
const ALERT_TIME_MAX: Duration = Duration::from_secs(180);
const SECOND_NS: u64 = 1_000_000_000;
/// Five calls a second.
const EVERY: Duration = Duration::from_millis(200);
const EVERY_NS: u64 = SECOND_NS / 5;
/// Spans of one request.
const SPANS_PER_REQUEST: usize = 500;

fn call(number: u64, model: &str, end_ns: u64) -> SpanOf {
    span(&format!("chat {model}"))
        .client()
        .in_trace(number)
        .id(number)
        .at_ns(end_ns - SECOND_NS)
        .attr("gen_ai.operation.name", "chat")
        .attr("gen_ai.provider.name", "openai")
        .attr("gen_ai.request.model", model)
}

fn healthy(number: u64, model: &str, end_ns: u64) -> SpanOf {
    call(number, model, end_ns)
        .attr("gen_ai.response.model", model)
        .attr("gen_ai.usage.input_tokens", 400)
        .attr("gen_ai.usage.output_tokens", 100)
}

pub fn out_of_quota(number: u64, model: &str, end_ns: u64) -> SpanOf {
    let text = "Error code: 429 - {'error': {'message': 'You exceeded your current quota, please check your \
                plan and billing details.', 'type': 'insufficient_quota', 'param': None, 'code': 'insufficient_quota'}}";
    call(number, model, end_ns)
        .attr("error.type", "RateLimitError")
        .attr("http.response.status_code", 429)
        .exception("RateLimitError", text)
        .failed(text)
}

fn send(to: SocketAddr, spans: &[SpanOf]) {
    for request in spans.chunks(SPANS_PER_REQUEST) {
        let answer = post(to, "/v1/traces", &[PROTOBUF], &traces(request));
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

/// Every call fails, five a second, until this is dropped.
pub struct Outage {
    began: Instant,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Outage {
    /// Sends what `make` makes of each number and the time.
    pub fn begin(to: SocketAddr, make: impl Fn(u64, u64) -> SpanOf + Send + 'static) -> Outage {
        let (stop, stopped) = mpsc::channel::<()>();
        let began = Instant::now();
        let thread = thread::spawn(move || {
            for number in 1_000_000.. {
                send(to, &[make(number, now_ns())]);
                if stopped.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        });
        Outage {
            began,
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for Outage {
    fn drop(&mut self) {
        drop(self.stop.take());
        let sent = self.thread.take().map(JoinHandle::join);
        if !thread::panicking() {
            assert!(matches!(sent, Some(Ok(()))), "the sender broke off");
        }
    }
}

/// The message of this type, once it is there.
pub fn told(fake: &FakeReceiver, event: &str) -> (Instant, Value) {
    until(event, ALERT_TIME_MAX, || {
        let seen = fake.seen();
        let bodies = seen.iter().map(|s| (s.at, parsed(&s.body)));
        let mut of_event = bodies.filter(|(_, body)| body["type"] == event);
        of_event.next().ok_or_else(|| {
            let all = seen.iter().map(|s| parsed(&s.body));
            let titles: Vec<_> = all
                .map(|b| (b["type"].clone(), b["data"]["title"].clone()))
                .collect();
            format!("{titles:?}")
        })
    })
}

fn parsed(body: &str) -> Value {
    serde_json::from_str(body).expect("JSON")
}

pub fn start(fake: &FakeReceiver) -> Lapwing {
    Lapwing::start_with(&format!(
        "alerts:\n  update_interval: 1s\n  receivers:\n    \
         hook: {{webhook: {{url: '{}', allow_private_addresses: true}}}}\n",
        fake.url()
    ))
}

/// Waits for the alert of an outage that begins now, prints how long it took, and answers with it.
fn measured(what: &str, lapwing: &Lapwing, fake: &FakeReceiver) -> (Outage, Value) {
    let outage = Outage::begin(lapwing.http, |n, at| out_of_quota(n, "gpt-4o", at));
    let (at, body) = told(fake, "alert.firing");
    println!(
        "quota outage at 5 calls/s, {what}: the webhook came {:.1} s after the first failing span left",
        at.duration_since(outage.began).as_secs_f64()
    );
    let data = &body["data"];
    assert_eq!(data["kind"], "quota_exhausted", "{body:#}");
    assert_eq!(data["severity"], "page");
    let verdict = &data["verdict"];
    assert_eq!(verdict["failure_class"], "llm.billing.quota_exhausted");
    assert_eq!(verdict["retry"], "after_fix", "waiting does not help");
    assert_eq!(data["labels"]["provider"], "openai");
    assert!(
        data["evidence"]["codes"]["insufficient_quota"].is_u64(),
        "{body:#}"
    );
    let calls = data["evidence"]["calls"].as_array().expect("calls");
    assert!((3..=5).contains(&calls.len()), "{calls:?}");
    (outage, body)
}

#[test]
fn a_quota_outage_is_told_without_any_traffic_before_it() {
    let fake = FakeReceiver::start(|_| Answer::Status(200));
    let lapwing = start(&fake);
    measured("nothing before it", &lapwing, &fake);
}

/// A row of `llm_alerts`.
#[derive(Debug, Deserialize)]
struct Change {
    change: String,
    status: String,
    id: String,
    fingerprint: String,
    by: String,
}

#[test]
fn a_quota_outage_is_told_and_every_change_of_its_alert_is_stored() {
    let fake = FakeReceiver::start(|_| Answer::Status(200));
    let lapwing = start(&fake);
    let baseline_s = 50 * 60;
    let from_ns = now_ns() - baseline_s * SECOND_NS;
    let calm: Vec<_> = (0..baseline_s * 5)
        .map(|n| healthy(n + 1, "gpt-4o", from_ns + n * EVERY_NS))
        .collect();
    send(lapwing.http, &calm);
    let (going_on, firing) = measured("after 50 min of healthy calls", &lapwing, &fake);
    let id = firing["data"]["id"].as_str().expect("an id").to_owned();

    // Another model of the same provider follows.
    let more = Outage::begin(lapwing.http, |n, at| out_of_quota(2 * n, "gpt-4o-mini", at));
    let (_, updated) = told(&fake, "alert.updated");
    drop(more);
    let of_alert =
        |body: &Value| [&body["data"]["id"], &body["data"]["fingerprint"]].map(Value::clone);
    assert_eq!(of_alert(&updated), of_alert(&firing));
    assert!(
        updated["data"]["labels"]["request_model"].is_null(),
        "{updated:#}"
    );

    let path = format!("/api/v1/alerts/{id}/ack");
    let (status, answer) =
        http(lapwing.admin, "POST", &path, &json!({"by": "ann"})).expect("an answer");
    assert_eq!(status, 200, "{answer}");
    let silence = json!({"matchers": ["provider=openai"], "duration_s": 3600, "author": "ann"});
    let (status, answer) =
        http(lapwing.admin, "POST", "/api/v1/silences", &silence).expect("an answer");
    assert_eq!(status, 201, "{answer}");

    // The rows are looked at once everything is delivered.
    drop(going_on);
    let sql = format!(
        "SELECT change, status, id, fingerprint, by FROM llm_alerts FINAL WHERE id = '{id}' ORDER BY timestamp, number"
    );
    let rows = until("the rows of the alert", ALERT_TIME_MAX, || {
        let rows: Vec<Change> = lapwing.rows(&sql)?;
        match rows.last().is_some_and(|row| row.change == "muted") {
            true => Ok(rows),
            false => Err(format!("{rows:?}")),
        }
    });
    let changes: Vec<&str> = rows.iter().map(|row| row.change.as_str()).collect();
    assert_eq!(
        changes,
        ["opened", "firing", "updated", "acknowledged", "muted"],
        "{rows:#?}"
    );
    assert_eq!(rows[3].by, "ann");
    assert_eq!(rows[1].status, "firing");
    let keys: BTreeSet<_> = rows.iter().map(|row| [&row.id, &row.fingerprint]).collect();
    assert_eq!(keys.len(), 1, "{rows:#?}");
    assert_eq!(json!(keys.first()), json!(of_alert(&firing)));
}
