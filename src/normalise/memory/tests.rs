//! Scenarios of evidence that comes late, twice, too much or in any order.

#[path = "../../../tests/support/otlp.rs"]
mod otlp;
mod properties;

use std::collections::BTreeMap;

use bumpalo::Bump;

use self::otlp::{SpanOf, log, logs, map, span, trace_id, traces};
use super::*;
use crate::decode;

type Key = ([u8; 16], [u8; 8]);

/// A row as the store would have it.
#[derive(Debug, Clone, PartialEq)]
struct Stored {
    name: String,
    duplicate_of: Option<[u8; 8]>,
    attempt: u16,
    input_tokens: u64,
    output: String,
    is_error: bool,
    version: u32,
}

/// A memory with the table that its changes were written to.
struct Store {
    memory: Memory,
    rows: BTreeMap<Key, Stored>,
    /// Changes ever written.
    written: usize,
}

impl Store {
    fn new() -> Store {
        Store::with(MemoryLimits::default())
    }

    fn with(limits: MemoryLimits) -> Store {
        Store {
            memory: Memory::new(limits),
            rows: BTreeMap::new(),
            written: 0,
        }
    }

    fn spans(&mut self, spans: &[SpanOf]) -> usize {
        self.spans_at(spans, 0)
    }

    /// Takes one request in; returns how many rows it wrote, taken back ones included.
    fn spans_at(&mut self, spans: &[SpanOf], now_ns: u64) -> usize {
        let arena = Bump::new();
        let body = traces(spans);
        let request = decode::traces(&body, &arena).unwrap();
        let table = AttributeTable::builtin();
        let observed = observe_all(&table, &request, &arena);
        let changes = self
            .memory
            .spans(&table, &request, &observed, &arena, now_ns);
        self.apply(changes)
    }

    fn logs(&mut self, events: &[otlp::LogOf]) -> usize {
        let arena = Bump::new();
        let body = logs(events);
        let request = decode::logs(&body, &arena).unwrap();
        let changes = self
            .memory
            .logs(&AttributeTable::builtin(), &request, &arena, 0);
        self.apply(changes)
    }

    fn apply(&mut self, changes: Changes<'_>) -> usize {
        for change in &changes.rows {
            let call = &change.call;
            let key = (call.trace_id, call.span_id);
            let row = Stored {
                name: call.span_name.to_owned(),
                duplicate_of: call.duplicate_of,
                attempt: call.attempt,
                input_tokens: call.usage.input_tokens.unwrap_or(0),
                output: call.output.text.to_owned(),
                is_error: call.errors.is_error,
                version: change.version,
            };
            if change.sign > 0 {
                let was = self.rows.insert(key, row);
                assert_eq!(was, None, "a row is taken back before it is written anew");
            } else {
                let was = self.rows.remove(&key);
                assert_eq!(was, Some(row), "a row is taken back as it was written");
            }
        }
        self.written += changes.rows.len();
        changes.rows.len()
    }

    fn counted(&self) -> Vec<&Stored> {
        self.rows
            .values()
            .filter(|r| r.duplicate_of.is_none())
            .collect()
    }

    fn tokens(&self) -> u64 {
        self.counted().iter().map(|r| r.input_tokens).sum()
    }
}

fn call(name: &str) -> SpanOf {
    span(name)
        .attr("gen_ai.operation.name", "chat")
        .attr("gen_ai.request.model", "gpt-4o")
        .attr("gen_ai.provider.name", "openai")
        .attr("gen_ai.usage.input_tokens", 24)
}

fn post(id: u64, from: u64, status: i64) -> SpanOf {
    span("POST")
        .client()
        .id(id)
        .between_ms(from, from + 10)
        .attr("http.request.method", "POST")
        .attr("url.full", "https://api.openai.com/v1/chat/completions")
        .attr("http.response.status_code", status)
}

#[test]
fn a_twin_below_counts_whichever_comes_first() {
    let outer = call("outer");
    let inner = call("inner").id(2).under(1).between_ms(5, 900);
    for order in [[outer.clone(), inner.clone()], [inner, outer]] {
        let mut store = Store::new();
        store.spans(&order[..1]);
        assert_eq!(store.tokens(), 24, "right before the second request");
        store.spans(&order[1..]);
        let counted = store.counted();
        assert_eq!((counted.len(), counted[0].name.as_str()), (1, "inner"));
        assert_eq!((store.tokens(), store.rows.len()), (24, 2));
    }
}

#[test]
fn a_wrapper_that_comes_late_brings_its_failure() {
    let mut store = Store::new();
    store.spans(&[call("ai.generateObject.doGenerate")
        .id(2)
        .under(1)
        .attr("ai.operationId", "ai.generateObject.doGenerate")]);
    assert!(!store.counted()[0].is_error);
    store.spans(&[span("ai.generateObject")
        .attr("ai.operationId", "ai.generateObject")
        .failed("No object generated")]);
    let counted = store.counted();
    assert_eq!((counted.len(), counted[0].version), (1, 2));
    assert!(counted[0].is_error);
}

#[test]
fn a_request_below_a_call_that_comes_late_is_no_row_of_its_own() {
    let mut store = Store::new();
    store.spans(&[post(2, 10, 200).under(1)]);
    assert_eq!(store.rows.len(), 1, "all that is known");
    store.spans(&[call("chat gpt-4o")]);
    assert_eq!(
        (store.rows.len(), store.counted()[0].name.as_str()),
        (1, "chat gpt-4o")
    );
}

#[test]
fn requests_below_one_call_are_its_attempts() {
    let mut store = Store::new();
    for http in [post(2, 10, 429), post(3, 100, 429), post(4, 300, 200)] {
        store.spans(&[http.under(1)]);
    }
    store.spans(&[call("chat gpt-4o")]);
    let mut attempts: Vec<u16> = store.counted().iter().map(|r| r.attempt).collect();
    attempts.sort_unstable();
    assert_eq!(attempts, [1, 2, 3]);
    assert_eq!(store.tokens(), 24, "the answer belongs to one");
}

#[test]
fn siblings_after_a_failed_one_are_its_retries_and_after_a_good_one_are_not() {
    let mut store = Store::new();
    for (id, failed) in [(2, true), (3, true), (4, false), (5, false)] {
        let one = call("chat")
            .id(id)
            .under(1)
            .between_ms(id * 100, id * 100 + 50);
        store.spans(&[if failed {
            one.failed("Overloaded")
        } else {
            one
        }]);
    }
    let attempts: Vec<u16> = store.rows.values().map(|r| r.attempt).collect();
    assert_eq!(attempts, [1, 2, 3, 1]);
}

fn native_twin() -> (SpanOf, SpanOf) {
    let claude = |name: &str, scope: &str| {
        span(name)
            .scope(scope)
            .attr("gen_ai.operation.name", "chat")
            .attr("gen_ai.provider.name", "anthropic")
            .attr("gen_ai.request.model", "claude-sonnet-4-5")
            .attr("gen_ai.usage.input_tokens", 24)
    };
    (
        claude("anthropic.chat", "opentelemetry.instrumentation.anthropic"),
        claude("anthropic.messages.create", "com.anthropic.sdk.python")
            .trace(2)
            .id(9)
            .between_ms(1, 990),
    )
}

#[test]
fn an_sdk_that_records_itself_in_another_trace_is_a_twin() {
    let (outer, native) = native_twin();
    for order in [[outer.clone(), native.clone()], [native, outer]] {
        let mut store = Store::new();
        store.spans(&order);
        assert_eq!(
            (store.counted().len(), store.tokens()),
            (1, 24),
            "in one request"
        );
        let mut store = Store::new();
        store.spans(&order[..1]);
        store.spans(&order[1..]);
        assert_eq!(
            (store.counted().len(), store.tokens()),
            (1, 24),
            "in two requests"
        );
        assert_eq!(store.rows.len(), 2);
    }
}

#[test]
fn traces_that_turn_out_to_be_one_group_keep_their_totals() {
    // Both traces have rows already, one of them a failed attempt with its own history.
    let (outer, native) = native_twin();
    let mut store = Store::new();
    store.spans(&[outer, post(5, 10, 200).trace(1).under(7)]);
    store.spans(&[native.clone()]);
    store.spans(&[call("late").trace(2).id(10).between_ms(2000, 2100)]);
    store.spans(&[native, call("later").id(11).between_ms(3000, 3100)]);
    assert_eq!(store.tokens(), 24 * 3);
}

#[test]
fn the_record_of_a_stream_in_another_trace_belongs_to_its_request() {
    let part = |name: &str, kind: &str| {
        span(name)
            .scope("logfire.openai")
            .attr("logfire.span_type", kind)
            .attr("gen_ai.request.model", "gpt-4o")
            .attr(
                "request_data",
                r#"{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"Hi"}]}"#,
            )
    };
    let request = part("Chat Completion", "span").between_ms(0, 20);
    let record = part("streaming response from gpt-4o", "log")
        .trace(2)
        .id(2)
        .between_ms(400, 400)
        .attr("response_data", r#"{"combined_chunk_content":"Paris."}"#);
    let mut store = Store::new();
    store.spans(&[request]);
    store.spans(&[record]);
    let counted = store.counted();
    assert_eq!(
        (counted.len(), counted[0].output.contains("Paris.")),
        (1, true)
    );
}

#[test]
fn log_events_join_their_span_whenever_they_come() {
    let choice = || {
        log("gen_ai.choice").body(map([
            ("finish_reason", "stop".into()),
            ("message", map([("content", "Paris.".into())])),
        ]))
    };
    let mut first = Store::new();
    first.logs(&[choice()]);
    first.spans(&[call("chat")]);
    let mut last = Store::new();
    last.spans(&[call("chat")]);
    last.logs(&[choice()]);
    for store in [&first, &last] {
        assert!(
            store.counted()[0].output.contains("Paris."),
            "{:?}",
            store.rows
        );
    }
    assert_eq!(
        last.logs(&[choice()]),
        0,
        "an event sent again says nothing new"
    );
}

#[test]
fn what_is_sent_again_changes_nothing() {
    let spans = [
        call("outer"),
        call("inner").id(2).under(1),
        post(3, 10, 200).under(2),
    ];
    let mut store = Store::new();
    store.spans(&spans);
    assert_eq!(store.spans(&spans), 0);
    assert_eq!(store.spans(&spans[1..2]), 0);
}

#[test]
fn forgotten_traces_start_anew() {
    let mut store = Store::new();
    store.spans(&[call("chat")]);
    store.memory.forget(&[trace_id(1)]);
    assert_eq!(store.memory.bytes(), 0);
    store.rows.clear();
    assert_eq!(store.spans(&[call("chat")]), 1);
    assert_eq!(store.counted()[0].version, 1);
}

#[test]
fn memory_is_bounded_by_bytes_and_the_count_of_them_does_not_drift() {
    let bytes_max = 20_000;
    let mut store = Store::with(MemoryLimits {
        bytes_max,
        age_max_ns: u64::MAX,
    });
    for round in 0..50_u64 {
        for trace in 1..=250 {
            store.spans(&[call("chat").trace(trace).id(round + 1)]);
            assert!(store.memory.bytes() <= bytes_max);
        }
        store.rows.clear();
    }
    let held: usize = store.memory.groups.values().map(Group::bytes).sum();
    assert_eq!(store.memory.bytes(), held);
}

#[test]
fn memory_is_bounded_by_age_also_behind_a_trace_that_lives_on() {
    let mut store = Store::with(MemoryLimits {
        bytes_max: usize::MAX,
        age_max_ns: 100,
    });
    for now_ns in 0..1000_u64 {
        let living = call("chat").id(now_ns + 1).between_ms(now_ns, now_ns + 1);
        let passing = call("chat")
            .trace(2 + (now_ns % 200) as u8)
            .id(now_ns + 5000);
        store.spans_at(&[living, passing], now_ns);
    }
    let held = store.memory.groups.len();
    assert!((50..=110).contains(&held), "{held} traces held");
    assert!(store.memory.order.len() <= held + 1);
}

#[test]
fn a_long_trace_goes_on_without_its_past() {
    let mut store = Store::new();
    for n in 1..=1000_u64 {
        let one = call("chat").id(n).between_ms(n * 10, n * 10 + 5);
        assert_eq!(store.spans(std::slice::from_ref(&one)), 1);
        assert_eq!(store.spans(&[one]), 0, "sent again");
    }
    assert_eq!(store.tokens(), 24 * 1000);
    assert!(
        store.memory.bytes() < 100_000,
        "{} bytes",
        store.memory.bytes()
    );
}

#[test]
fn hostile_traces_are_survived() {
    // Parents in a circle, a span that is its own parent, one id with two contents.
    let mut store = Store::new();
    store.spans(&[
        call("a").id(1).under(2),
        call("b").id(2).under(1),
        call("c").id(3).under(3),
    ]);
    store.spans(&[
        call("x").id(4).between_ms(10, 20),
        call("y").id(4).between_ms(5, 20),
    ]);
    store.spans(&[call("z").id(5)]);
    assert!(
        store.rows.values().any(|r| r.name == "x") && !store.rows.values().any(|r| r.name == "y")
    );
    assert!(!store.counted().is_empty());
}

#[test]
fn ten_thousand_spans_in_one_trace_are_worked_out_in_one_go() {
    let shapes: [fn(u64) -> SpanOf; 4] = [
        |n| call("chain").id(n).under(n - 1),
        |n| call("fan").id(n).under(1).attr("gen_ai.response.id", "one"),
        |n| {
            call("failed")
                .id(n)
                .under(1)
                .between_ms(n, n)
                .failed("Overloaded")
        },
        |n| {
            span("ai.generateText")
                .attr("ai.operationId", "ai.generateText")
                .id(n)
                .under(n / 2)
        },
    ];
    for shape in shapes {
        let spans: Vec<SpanOf> = (2..10_000).map(shape).collect();
        let mut store = Store::new();
        store.spans(&spans);
        assert!(!store.counted().is_empty());
        assert!(
            store.memory.bytes() < 1 << 20,
            "what cannot be used is not kept"
        );
    }
}
