//! Scenarios of one trace whose spans are all there.

use bumpalo::Bump;

use super::*;
use crate::normalise::otlp::{SpanOf, span, traces};
use crate::{
    decode,
    normalise::{attributes::AttributeTable, memory::observe_all},
};

/// What a test looks at: number, number of the row that counts instead, attempt, input tokens.
type Seen = (u8, Option<u8>, u16, Option<u64>);

/// The rows of some spans, ordinary spans being links.
fn rows(spans: &[SpanOf]) -> Vec<Seen> {
    calls(spans, |call| {
        let number = |id: [u8; 8]| id[7];
        (
            number(call.span_id),
            call.duplicate_of.map(number),
            call.attempt,
            call.usage.input_tokens,
        )
    })
}

fn calls<T: Ord>(spans: &[SpanOf], see: impl Fn(&Call<'_>) -> T) -> Vec<T> {
    let arena = Bump::new();
    let body = traces(spans);
    let request = decode::traces(&body, &arena).unwrap();
    let observed = observe_all(&AttributeTable::builtin(), &request, &arena);
    let links: Vec<Link> = request
        .spans
        .iter()
        .filter_map(|s| Some((s.span_id, s.parent_span_id?)))
        .collect();
    let found = fold(
        observed.spans.iter().flatten().cloned().collect(),
        &links,
        &arena,
    );
    let mut seen: Vec<T> = found.iter().map(see).collect();
    seen.sort();
    seen
}

fn call(id: u64, model: &str) -> SpanOf {
    span(&format!("chat {model}"))
        .id(id)
        .between_ms(id * 10, id * 10 + 5)
        .attr("gen_ai.operation.name", "chat")
        .attr("gen_ai.request.model", model)
        .attr("gen_ai.provider.name", "openai")
}

fn with_tokens(span: SpanOf, tokens: i64) -> SpanOf {
    span.attr("gen_ai.usage.input_tokens", tokens)
}

#[test]
fn of_several_inner_calls_the_last_that_can_be_the_same_is_the_twin() {
    let seen = rows(&[
        with_tokens(call(1, "gpt-4o"), 50),
        with_tokens(call(2, "gpt-4o"), 20).under(1),
        with_tokens(call(3, "gpt-4o-2024-08-06"), 30).under(1),
        with_tokens(call(4, "claude-sonnet-4-5"), 7).under(1),
    ]);
    assert_eq!(
        seen,
        [
            (1, Some(3), 1, Some(50)),
            (2, None, 1, Some(20)),
            (3, None, 1, Some(30)),
            (4, None, 1, Some(7))
        ]
    );
}

#[test]
fn a_chain_of_recorders_points_at_the_innermost() {
    let seen = rows(&[
        call(1, "gpt-4o"),
        span("plumbing").id(9).under(1),
        call(2, "openai/gpt-4o").under(9),
        with_tokens(call(3, "gpt-4o"), 24).under(2),
    ]);
    assert_eq!(
        seen,
        [
            (1, Some(3), 1, None),
            (2, Some(3), 1, None),
            (3, None, 1, Some(24))
        ]
    );
}

#[test]
fn an_answer_under_another_name_is_the_same_call() {
    // The inner recorder only knows who answered, and an alias may lead anywhere.
    let inner = span("inner")
        .id(2)
        .under(1)
        .attr("gen_ai.operation.name", "chat")
        .attr("gen_ai.response.model", "qwen-max-2025-01-25");
    assert_eq!(
        rows(&[call(1, "our-default"), inner])[0],
        (1, Some(2), 1, None)
    );
}

#[test]
fn an_embedding_inside_a_chat_is_no_twin() {
    let embed = call(2, "gpt-4o")
        .under(1)
        .attr("gen_ai.operation.name", "embeddings");
    assert!(
        rows(&[call(1, "gpt-4o"), embed])
            .iter()
            .all(|r| r.1.is_none())
    );
}

#[test]
fn one_response_named_by_two_recorders_is_one_call() {
    let one = |id| call(id, "gpt-4o").attr("gen_ai.response.id", "chatcmpl-1");
    let seen = rows(&[one(1).scope("a"), one(2).scope("b"), one(3).scope("c")]);
    assert_eq!(
        seen.iter().map(|r| r.1).collect::<Vec<_>>(),
        [None, Some(1), Some(1)]
    );
    // The same recorder twice is a cache hit or a fake id, not a twin.
    let seen = rows(&[one(1).scope("a"), one(2).scope("a")]);
    assert!(seen.iter().all(|r| r.1.is_none()));
}

#[test]
fn two_steps_of_a_loop_are_two_calls_and_the_wrapper_is_the_last_one() {
    let step = |id: u64| {
        with_tokens(call(id, "gpt-4o"), id as i64 * 10)
            .under(1)
            .attr("ai.operationId", "ai.generateText.doGenerate")
    };
    let wrapper =
        with_tokens(span("ai.generateText"), 20).attr("ai.operationId", "ai.generateText");
    let seen = rows(&[wrapper, step(2), step(3)]);
    assert_eq!(
        seen,
        [
            (1, Some(3), 1, Some(20)),
            (2, None, 1, Some(20)),
            (3, None, 1, Some(30))
        ]
    );
}

#[test]
fn an_agent_with_no_call_below_stands_for_its_calls() {
    let agent = |id| {
        span("invoke_agent geo")
            .id(id)
            .attr("gen_ai.operation.name", "invoke_agent")
    };
    assert_eq!(rows(&[agent(1), agent(2).under(1)]), [(2, None, 1, None)]);
    assert_eq!(
        rows(&[agent(1), agent(2).under(1), call(3, "gpt-4o").under(2)]),
        [(3, None, 1, None)]
    );
}

#[test]
fn attempts_of_the_sdk_and_of_the_framework_add_up() {
    let failed = |s: SpanOf| s.failed("Overloaded");
    let seen = rows(&[
        failed(call(2, "gpt-4o"))
            .under(1)
            .attr("http.request.resend_count", 2),
        call(3, "gpt-4o")
            .under(1)
            .attr("http.request.resend_count", 1),
    ]);
    assert_eq!(seen.iter().map(|r| r.2).collect::<Vec<_>>(), [3, 5]);
}

#[test]
fn calls_under_different_parents_are_not_retries_of_each_other() {
    let seen = rows(&[
        call(2, "gpt-4o").under(1).failed("Overloaded"),
        call(3, "gpt-4o").under(9),
    ]);
    assert!(seen.iter().all(|r| r.2 == 1));
}

#[test]
fn a_twin_gives_its_errors_and_lacks_nothing() {
    let outer = call(1, "gpt-4o")
        .failed("")
        .exception("RateLimitError", "Error code: 429");
    let inner = call(2, "gpt-4o")
        .under(1)
        .attr("http.response.status_code", 429)
        .failed("");
    let seen = calls(&[outer, inner], |c| {
        let errors = &c.errors;
        (
            c.duplicate_of.is_some(),
            errors.http_status,
            errors.exception_type.to_owned(),
            errors.messages.len(),
        )
    });
    assert_eq!(seen[0], (false, Some(429), "RateLimitError".to_owned(), 1));
}

#[test]
fn parents_in_a_circle_end() {
    let seen = rows(&[
        call(1, "gpt-4o").under(2),
        call(2, "gpt-4o").under(1),
        call(3, "gpt-4o").under(3),
    ]);
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().any(|r| r.1.is_none()));
}
