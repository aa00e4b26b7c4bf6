//! Evidence that comes late corrects the row, and the totals are right before and after.
//!
//! Each scenario has a service of its own in the shared collector.

use std::sync::{Arc, Mutex, Weak};

use serde::Deserialize;

use crate::{
    otlp::{LogOf, SpanOf, log, logs, span, traces},
    support::{
        clients::now_ns,
        lapwing::Lapwing,
        send::{PROTOBUF, post},
    },
};

const MS: u64 = 1_000_000;
/// Of `gpt-4o` with 1000 tokens in and 100 out: 2.50 and 10.00 dollars for a million.
const COST: &str = "0.0035";
const QUESTION: &str = "What is the capital of France?";

fn lapwing() -> Arc<Lapwing> {
    static SHARED: Mutex<Weak<Lapwing>> = Mutex::new(Weak::new());
    Lapwing::shared(&SHARED)
}

/// What the store says of a service.
#[derive(Debug, PartialEq, Deserialize)]
struct Counted {
    rows: u64,
    class: String,
    asked: u64,
    answered: u64,
}

/// What the rollup says of a service.
#[derive(Debug, PartialEq, Deserialize)]
struct Totals {
    calls: i64,
    failed: i64,
    input: i64,
    output: i64,
    cost: String,
}

#[track_caller]
fn send(lapwing: &Lapwing, path: &str, body: &[u8]) {
    let answer = post(lapwing.http, path, &[PROTOBUF], body);
    assert_eq!((answer.status, answer.text().as_str()), (200, ""));
}

fn counted(lapwing: &Lapwing, service: &str) -> Counted {
    let sql = format!(
        "SELECT toUInt32(count()) AS rows, any(failure_class) AS class, \
         toUInt32(countIf(input_content LIKE '%{QUESTION}%')) AS asked, \
         toUInt32(countIf(output_content LIKE '%Paris%')) AS answered \
         FROM llm_calls WHERE service = '{service}' AND duplicate_of = ''"
    );
    lapwing.rows(&sql).expect("rows").remove(0)
}

fn totals(lapwing: &Lapwing, table: &str, service: &str) -> Totals {
    let sql = format!(
        "SELECT toInt32(sum(calls)) AS calls, toInt32(sum(failed)) AS failed, \
         toInt32(sum(input_tokens)) AS input, toInt32(sum(output_tokens)) AS output, \
         toString(sum(cost_usd)) AS cost FROM {table} WHERE service = '{service}'"
    );
    lapwing.rows(&sql).expect("rows").remove(0)
}

/// One call counts, in the calls and in both rollups.
#[track_caller]
fn assert_one(lapwing: &Lapwing, service: &str, class: &str, with_content: bool) {
    let content = u64::from(with_content);
    let expected = Counted {
        rows: 1,
        class: class.to_owned(),
        asked: content,
        answered: content,
    };
    assert_eq!(counted(lapwing, service), expected, "{service}");
    for table in ["llm_calls_1m", "llm_calls_1h"] {
        let expected = Totals {
            calls: 1,
            failed: i64::from(!class.is_empty()),
            input: 1000,
            output: 100,
            cost: COST.to_owned(),
        };
        assert_eq!(totals(lapwing, table, service), expected, "{service}");
    }
}

/// A call without content.
fn call(service: &str, trace: u8, start_ns: u64) -> SpanOf {
    span("chat gpt-4o")
        .client()
        .trace(trace)
        .at_ns(start_ns)
        .service(service)
        .attr("gen_ai.operation.name", "chat")
        .attr("gen_ai.provider.name", "openai")
        .attr("gen_ai.request.model", "gpt-4o")
        .attr("gen_ai.response.model", "gpt-4o-2024-08-06")
        .attr("gen_ai.response.id", format!("chatcmpl-{trace}").as_str())
        .attr("gen_ai.usage.input_tokens", 1000)
        .attr("gen_ai.usage.output_tokens", 100)
}

/// Its content, which also shows that the answer was cut off.
fn details(trace: u8, start_ns: u64) -> LogOf {
    let message = |role: &str, text: &str, more: &str| {
        format!(r#"[{{"role":"{role}","parts":[{{"type":"text","content":"{text}"}}]{more}}}]"#)
    };
    log("gen_ai.client.inference.operation.details")
        .of(trace, 1)
        .at_ns(start_ns + 900 * MS)
        .attr(
            "gen_ai.input.messages",
            message("user", QUESTION, "").as_str(),
        )
        .attr(
            "gen_ai.output.messages",
            message("assistant", "Paris is", r#","finish_reason":"length""#).as_str(),
        )
}

const CUT: &str = "llm.output.truncated";

#[test]
fn a_log_event_after_its_span_corrects_the_row() {
    let (lapwing, now) = (lapwing(), now_ns());
    send(&lapwing, "/v1/traces", &traces(&[call("after", 1, now)]));
    assert_one(&lapwing, "after", "", false);
    let event = logs(&[details(1, now)]);
    send(&lapwing, "/v1/logs", &event);
    assert_one(&lapwing, "after", CUT, true);
    // And nothing of that again.
    send(&lapwing, "/v1/logs", &event);
    send(&lapwing, "/v1/traces", &traces(&[call("after", 1, now)]));
    assert_one(&lapwing, "after", CUT, true);
}

#[test]
fn a_log_event_before_its_span_waits_for_it() {
    let (lapwing, now) = (lapwing(), now_ns());
    send(&lapwing, "/v1/logs", &logs(&[details(2, now)]));
    assert_eq!(counted(&lapwing, "before").rows, 0);
    send(&lapwing, "/v1/traces", &traces(&[call("before", 2, now)]));
    assert_one(&lapwing, "before", CUT, true);
}

#[test]
fn a_log_event_at_the_same_moment_as_its_span() {
    let (lapwing, now) = (lapwing(), now_ns());
    std::thread::scope(|scope| {
        scope.spawn(|| send(&lapwing, "/v1/logs", &logs(&[details(3, now)])));
        scope.spawn(|| send(&lapwing, "/v1/traces", &traces(&[call("same", 3, now)])));
    });
    assert_one(&lapwing, "same", CUT, true);
}

#[test]
fn a_wrapper_after_its_call_counts_once() {
    let (lapwing, now) = (lapwing(), now_ns());
    let inner = call("wrapped", 4, now + MS).id(2).under(1);
    send(&lapwing, "/v1/traces", &traces(&[inner]));
    assert_one(&lapwing, "wrapped", "", false);
    let wrapper = call("wrapped", 4, now).scope("openinference.instrumentation.langchain");
    send(&lapwing, "/v1/traces", &traces(&[wrapper]));
    assert_one(&lapwing, "wrapped", "", false);
    let both = "SELECT count() FROM llm_calls WHERE service = 'wrapped' AND duplicate_of != ''";
    assert_eq!(lapwing.value(both).as_deref(), Ok("1"));
}

#[test]
fn a_twin_in_a_later_request_counts_once() {
    let (lapwing, now) = (lapwing(), now_ns());
    let one = call("twins", 5, now)
        .id(2)
        .scope("opentelemetry.instrumentation.openai_v2");
    send(&lapwing, "/v1/traces", &traces(&[one]));
    assert_one(&lapwing, "twins", "", false);
    // Another library beside it saw the same call, a moment later.
    let other = call("twins", 5, now + MS)
        .id(3)
        .scope("openlit.otel.tracing");
    send(&lapwing, "/v1/traces", &traces(&[other]));
    assert_one(&lapwing, "twins", "", false);
}

#[test]
fn a_batch_sent_twice_is_one_batch_of_calls() {
    let (lapwing, now) = (lapwing(), now_ns());
    let batch = traces(&[call("resent", 6, now)]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| send(&lapwing, "/v1/traces", &batch));
        }
    });
    assert_one(&lapwing, "resent", "", false);
}
