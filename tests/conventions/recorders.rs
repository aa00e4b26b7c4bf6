use serde_json::json;

use super::{PARIS, QUESTION, has, one};
use crate::{
    otlp::{SpanOf, log, logs, map, span, traces},
    rows::{Body, counted},
};

fn chat(scope: &str, model: &str) -> SpanOf {
    span(&format!("chat {model}"))
        .scope(scope)
        .attr("gen_ai.operation.name", "chat")
        .attr("gen_ai.request.model", model)
}

#[test]
fn traceloop_cohere_counts_in_doubles() {
    let row = one(&[span("cohere.chat")
        .scope("opentelemetry.instrumentation.cohere")
        .client()
        .attr("gen_ai.system", "Cohere")
        .attr("llm.request.type", "chat")
        .attr("gen_ai.request.model", "command-r-08-2024")
        .attr("gen_ai.prompt.0.role", "user")
        .attr("gen_ai.prompt.0.content", "What is the capital of France?")
        .attr("gen_ai.completion.0.role", "assistant")
        .attr("gen_ai.completion.0.content", PARIS)
        .attr("gen_ai.response.finish_reasons", ["COMPLETE"])
        .attr("gen_ai.usage.prompt_tokens", 24.0)
        .attr("gen_ai.usage.completion_tokens", 9.0)
        .attr("llm.usage.total_tokens", 33.0)]);
    has(
        &row,
        json!({"convention": "openllmetry", "provider": "cohere", "tokens": [24, 9], "finish": "Stop COMPLETE",
        "input": ["user: What is the capital of France?"], "output": [format!("assistant: {PARIS}")]}),
    );
}

#[test]
fn old_traceloop_anthropic_asks_for_a_completion_and_chats() {
    let row = one(&[span("anthropic.chat")
        .scope("opentelemetry.instrumentation.anthropic")
        .attr("gen_ai.system", "Anthropic")
        .attr("llm.request.type", "completion")
        .attr("gen_ai.request.model", "claude-sonnet-4-5")]);
    has(&row, json!({"operation": "chat", "provider": "anthropic"}));
}

#[test]
fn litellm_in_semconv_mode_is_one_span() {
    let row = one(&[chat("litellm", "gpt-4o")
        .attr("gen_ai.provider.name", "openai")
        .attr("gen_ai.response.model", "gpt-4o-2024-08-06")
        .attr("gen_ai.response.finish_reasons", r#"["stop"]"#)
        .attr("gen_ai.usage.input_tokens", 24)
        .attr("gen_ai.usage.output_tokens", 9)
        .attr("gen_ai.cost.total_cost", 0.00015)]);
    has(
        &row,
        json!({"convention": "litellm", "finish": "Stop stop", "tokens": [24, 9], "cost": 0.00015}),
    );
}

#[test]
fn mistral_sdk_records_itself() {
    let native = chat("mistralai_sdk_tracer", "mistral-large-latest")
        .attr("gen_ai.provider.name", "mistral_ai")
        .attr("gen_ai.response.model", "mistral-large-2411")
        .attr("gen_ai.usage.input_tokens", 24)
        .attr("gen_ai.usage.output_tokens", 9)
        .attr("gen_ai.response.finish_reasons", ["stop"]);
    has(
        &one(&[native]),
        json!({"convention": "mistral_sdk", "provider": "mistral_ai", "response_model": "mistral-large-2411", "tokens": [24, 9]}),
    );
    let failed = chat("mistralai_sdk_tracer", "mistral-large-latest")
        .attr("error.type", "rate_limited")
        .attr("mistral_ai.error.code", "1300")
        .attr("http.response.status_code", 429)
        .failed("");
    has(
        &one(&[failed]),
        json!({"errors": {"is_error": true, "http": 429, "type": "rate_limited", "code": "1300"}}),
    );
}

#[test]
fn openlit_bedrock_failure_has_the_model_in_its_name_only() {
    let row = one(&[span("chat anthropic.claude-3-5-sonnet-20240620-v1:0")
        .scope("openlit.instrumentation.bedrock")
        .client()
        .failed("ThrottlingException: Too many tokens per day")
        .exception("ThrottlingException", "Too many tokens per day")]);
    has(
        &row,
        json!({"request_model": "anthropic.claude-3-5-sonnet-20240620-v1:0", "provider": "aws.bedrock"}),
    );
}

#[test]
fn openlit_repeats_the_instructions_and_they_count_once() {
    let row = one(&[chat("openlit.instrumentation.openai", "gpt-4o")
        .attr("gen_ai.system_instructions", r#"[{"type":"text","content":"Be brief."}]"#)
        .attr("gen_ai.input.messages", r#"[{"role":"system","parts":[{"type":"text","content":"Be brief."}]},{"role":"user","parts":[{"type":"text","content":"Hi"}]}]"#)]);
    has(&row, json!({"input": ["system: Be brief.", "user: Hi"]}));
}

#[test]
fn an_empty_list_beside_tokens_is_content_that_was_not_recorded() {
    let off = chat("openlit.instrumentation.anthropic", "claude-sonnet-4-5")
        .attr("gen_ai.input.messages", "[]")
        .attr("gen_ai.output.messages", "[]")
        .attr("gen_ai.usage.output_tokens", 18);
    let row = one(&[off]);
    assert!(row.get("output").is_none(), "{row:#}");
    assert!(row.get("input").is_none(), "{row:#}");
}

#[test]
fn anthropic_sdk_inside_openlit_is_one_call() {
    let outer = chat("@openlit/instrumentation-anthropic", "claude-sonnet-4-5")
        .attr("gen_ai.provider.name", "anthropic")
        .attr("gen_ai.usage.input_tokens", 176)
        .attr("gen_ai.usage.output_tokens", 9)
        .attr("gen_ai.usage.cost", 0.01);
    let native = chat("com.anthropic.sdk.typescript", "claude-sonnet-4-5")
        .id(2)
        .under(1)
        .between_ms(1, 900)
        .attr("gen_ai.provider.name", "anthropic")
        .attr("gen_ai.usage.input_tokens", 1200)
        .attr("gen_ai.usage.output_tokens", 9)
        .attr("gen_ai.usage.cache_read.input_tokens", 1024)
        .attr("anthropic.message.stop_reason", "end_turn");
    has(
        &one(&[outer, native]),
        json!({"convention": "anthropic_sdk", "tokens": [1200, 9], "cost": 0.01, "finish": "Stop end_turn"}),
    );
}

#[test]
fn an_inner_call_of_another_model_is_a_call_of_its_own() {
    let outer = chat("app", "gpt-4o").attr("gen_ai.provider.name", "openai");
    let inner = chat("app", "claude-sonnet-4-5")
        .id(2)
        .under(1)
        .attr("gen_ai.provider.name", "anthropic");
    assert_eq!(super::several(&[outer, inner]).len(), 2);
}

#[test]
fn undici_requests_alone_are_calls_and_below_a_call_its_attempts() {
    let post = |id, from: u64, status: i64| {
        span("POST")
            .scope("@opentelemetry/instrumentation-undici")
            .client()
            .id(id)
            .between_ms(from, from + 10)
            .attr("http.request.method", "POST")
            .attr("url.full", "https://api.openai.com/v1/chat/completions")
            .attr("user_agent.original", "OpenAI/JS 6.0")
            .attr("http.response.status_code", status)
    };
    has(
        &one(&[post(1, 0, 429).failed("").attr("error.type", "429")]),
        json!({"operation": "chat", "provider": "openai", "endpoint": "chat_completions"}),
    );
    let call = chat("@opentelemetry/instrumentation-openai", "gpt-4o").client();
    let rows = super::several(&[
        call,
        post(2, 10, 429).under(1),
        post(3, 100, 429).under(1),
        post(4, 300, 200).under(1),
    ]);
    let attempts: Vec<_> = rows
        .iter()
        .map(|r| (r["attempt"].as_u64(), r["errors"]["http"].as_u64()))
        .collect();
    assert_eq!(
        attempts,
        [
            (Some(3), Some(200)),
            (Some(1), Some(429)),
            (Some(2), Some(429))
        ]
    );
}

#[test]
fn events_of_azure_carry_their_content_in_an_attribute() {
    let row = one(&[chat("azure.ai.inference", "gpt-4o")
        .attr("gen_ai.system", "az.ai.inference")
        .event("gen_ai.user.message", &[("gen_ai.event.content", r#"{"role":"user","content":"What is the capital of France?"}"#.into())])
        .event("gen_ai.choice", &[("gen_ai.event.content", r#"{"message":{"content":"Paris is the capital of France."},"finish_reason":"stop","index":0}"#.into())])]);
    has(
        &row,
        json!({"provider": "azure.ai.inference", "finish": "Stop stop",
        "input": ["user: What is the capital of France?"], "output": [format!("assistant: {PARIS}")]}),
    );
}

#[test]
fn log_events_complete_their_span_before_with_and_after_it() {
    let call = Body::Traces(traces(&[chat(
        "opentelemetry.instrumentation.openai_v2",
        "gpt-4o",
    )]));
    let events = Body::Logs(logs(&[
        log("gen_ai.user.message")
            .body(map([("content", "What is the capital of France?".into())])),
        log("gen_ai.choice").body(map([
            ("index", 0.into()),
            ("finish_reason", "stop".into()),
            (
                "message",
                map([("role", "assistant".into()), ("content", PARIS.into())]),
            ),
        ])),
    ]));
    let want = json!({"finish": "Stop stop", "input": ["user: What is the capital of France?"], "output": [format!("assistant: {PARIS}")]});
    for order in [
        [events.clone(), call.clone()],
        [call.clone(), events.clone()],
    ] {
        let rows = counted(&order);
        assert_eq!(rows.len(), 1);
        has(&rows[0], want.clone());
        // What an exporter resends changes nothing.
        let again = counted(&[order.as_slice(), &[events.clone(), call.clone()]].concat());
        assert_eq!(again, rows);
    }
}

#[test]
fn a_call_by_hand_needs_a_model_and_one_more_sign() {
    let row = one(&[span("ask the model")
        .attr("gen_ai.request.model", "gpt-4o")
        .attr("gen_ai.usage.input_tokens", 24)
        .attr("gen_ai.prompt", QUESTION)]);
    has(
        &row,
        json!({"convention": "otel_gen_ai", "tokens": [24, null], "provider": "openai"}),
    );
    assert!(
        super::several(&[span("load model").attr("gen_ai.request.model", "gpt-4o")]).is_empty()
    );
}
