use serde_json::json;

use super::{PARIS, QUESTION, has, one, several};
use crate::otlp::{SpanOf, span};

fn ai_sdk(operation: &str) -> SpanOf {
    span(operation)
        .scope("ai")
        .attr("ai.operationId", operation)
        .attr("operation.name", format!("{operation} support").as_str())
        .attr("ai.model.id", "gpt-4o")
        .attr("ai.model.provider", "openai.chat")
        .attr("ai.telemetry.functionId", "support")
        .attr("ai.telemetry.metadata.userId", "user-42")
}

fn answered(span: SpanOf) -> SpanOf {
    span.attr("ai.response.finishReason", "stop")
        .attr("ai.response.text", PARIS)
        .attr("ai.usage.promptTokens", 24)
        .attr("ai.usage.completionTokens", 9)
}

#[test]
fn ai_sdk_4_counts_the_call_and_not_its_wrapper() {
    let wrapper = answered(ai_sdk("ai.generateText")).attr(
        "ai.prompt",
        r#"{"system":"Be brief.","prompt":"What is the capital of France?"}"#,
    );
    let call = answered(ai_sdk("ai.generateText.doGenerate"))
        .id(2)
        .under(1)
        .attr("ai.prompt.messages", QUESTION)
        .attr("gen_ai.system", "openai.chat")
        .attr("gen_ai.request.model", "gpt-4o")
        .attr("gen_ai.response.model", "gpt-4o-2024-08-06")
        .attr("gen_ai.response.id", "chatcmpl-1")
        .attr("gen_ai.response.finish_reasons", ["stop"])
        .attr("gen_ai.usage.input_tokens", 24)
        .attr("gen_ai.usage.output_tokens", 9);
    has(
        &one(&[call, wrapper]),
        json!({"span": "ai.generateText.doGenerate", "convention": "vercel_ai_sdk", "provider": "openai",
            "request_model": "gpt-4o", "response_model": "gpt-4o-2024-08-06", "tokens": [24, 9],
            "finish": "Stop stop", "feature": "support", "user": "user-42",
            "input": ["system: Be brief.", "user: What is the capital of France?"],
            "output": [format!("assistant: {PARIS}")]}),
    );
}

#[test]
fn ai_sdk_4_wrapper_brings_the_failure_after_a_green_call() {
    let wrapper = ai_sdk("ai.generateObject")
        .failed("No object generated: could not parse the response.")
        .exception(
            "AI_NoObjectGeneratedError",
            "No object generated: could not parse the response.",
        );
    let call = ai_sdk("ai.generateObject.doGenerate")
        .id(2)
        .under(1)
        .attr("ai.response.finishReason", "stop")
        .attr("ai.response.object", "{\"city\": Paris")
        .attr("gen_ai.usage.input_tokens", 24)
        .attr("gen_ai.usage.output_tokens", 9);
    let row = one(&[wrapper, call]);
    has(&row, json!({"response_format": "Json", "tokens": [24, 9]}));
    assert_eq!(row["errors"]["exception"], "AI_NoObjectGeneratedError");
}

#[test]
fn ai_sdk_retries_are_attempts_of_their_own() {
    let attempt = |id, from| {
        ai_sdk("ai.generateText.doGenerate")
            .id(id)
            .under(1)
            .between_ms(from, from + 10)
            .attr("ai.prompt.messages", QUESTION)
    };
    let failed = |s: SpanOf| {
        s.failed("Overloaded")
            .exception("AI_APICallError", "Overloaded")
    };
    let rows = several(&[
        answered(ai_sdk("ai.generateText")),
        failed(attempt(2, 10)),
        failed(attempt(3, 100)),
        answered(attempt(4, 300)),
    ]);
    let attempts: Vec<_> = rows.iter().map(|r| r["attempt"].clone()).collect();
    assert_eq!(attempts, [1, 2, 3]);
    assert!(rows[2].get("errors").is_none());
}

#[test]
fn ai_sdk_embeddings_have_one_count() {
    let call = ai_sdk("ai.embed.doEmbed")
        .id(2)
        .under(1)
        .attr("ai.usage.tokens", 8);
    let row = one(&[ai_sdk("ai.embed").attr("ai.usage.tokens", 8), call]);
    has(
        &row,
        json!({"operation": "embeddings", "tokens": [8, null], "request_model": "gpt-4o"}),
    );
}

#[test]
fn ai_sdk_6_input_has_its_cached_part_and_5_has_not() {
    let anthropic = |s: SpanOf| {
        s.attr("gen_ai.system", "anthropic.messages")
            .attr("gen_ai.usage.output_tokens", 9)
    };
    let six = anthropic(ai_sdk("ai.generateText.doGenerate"))
        .attr("gen_ai.usage.input_tokens", 1200)
        .attr("ai.usage.inputTokenDetails.cacheReadTokens", 1024)
        .attr("ai.usage.inputTokenDetails.noCacheTokens", 176)
        .attr("ai.usage.totalTokens", 1209);
    has(
        &one(&[six]),
        json!({"tokens": [1200, 9], "cache_read": 1024}),
    );
    let five = anthropic(ai_sdk("ai.generateText.doGenerate"))
        .attr("gen_ai.usage.input_tokens", 176)
        .attr("ai.response.providerMetadata", r#"{"anthropic":{"usage":{"input_tokens":176,"cache_read_input_tokens":1024},"cacheCreationInputTokens":0}}"#);
    has(
        &one(&[five]),
        json!({"tokens": [1200, 9], "cache_read": 1024}),
    );
}

#[test]
fn ai_sdk_7_counts_the_chat_span_below_step_and_agent() {
    let semconv = |name: &str, operation: &str| {
        span(name)
            .scope("gen_ai")
            .attr("gen_ai.operation.name", operation)
            .attr("gen_ai.provider.name", "openai")
            .attr("gen_ai.request.model", "gpt-4o")
            .attr("gen_ai.usage.input_tokens", 24)
            .attr("gen_ai.usage.output_tokens", 9)
    };
    let chat = semconv("chat gpt-4o", "chat")
        .client()
        .id(3)
        .under(2)
        .attr("gen_ai.response.model", "gpt-4o-2024-08-06")
        .attr("gen_ai.response.finish_reasons", ["tool-calls"]);
    let row = one(&[
        semconv("invoke_agent gpt-4o", "invoke_agent"),
        semconv("step 0", "agent_step").id(2).under(1),
        chat,
    ]);
    has(
        &row,
        json!({"span": "chat gpt-4o", "tokens": [24, 9], "finish": "ToolCalls tool-calls",
        "response_model": "gpt-4o-2024-08-06"}),
    );
}

fn mastra(name: &str, kind: &str) -> SpanOf {
    span(name)
        .scope("@mastra/otel")
        .attr("mastra.span.type", kind)
        .attr("mastra.trace_id", "1")
}

fn mastra_chat() -> SpanOf {
    mastra("chat gpt-4o", "model_generation")
        .client()
        .id(2)
        .under(1)
        .attr("gen_ai.operation.name", "chat")
        .attr("gen_ai.system", "openai.chat")
        .attr("gen_ai.request.model", "gpt-4o")
        .attr("userId", "user-42")
        .attr("sessionId", "sess-7")
        .attr(
            "input",
            r#"{"messages":[{"role":"user","content":"What is the capital of France?"}]}"#,
        )
}

#[test]
fn mastra_counts_the_step_with_the_tokens_of_the_loop() {
    let chat = mastra_chat()
        .attr("gen_ai.response.finish_reasons", "stop")
        .attr("gen_ai.usage.input_tokens", 24)
        .attr("gen_ai.usage.output_tokens", 9)
        .attr("gen_ai.usage.cached_input_tokens", 0)
        .attr("output", format!(r#"{{"text":"{PARIS}"}}"#).as_str());
    let step = mastra("step: 0", "model_step")
        .id(3)
        .under(2)
        .attr("gen_ai.operation.name", "model.step")
        .attr("id", "chatcmpl-1")
        .attr("modelId", "gpt-4o-2024-08-06");
    let chunk = mastra("chunk: 'text'", "model_chunk")
        .id(4)
        .under(3)
        .attr("output", r#"{"text":"Paris"}"#);
    let agent = mastra("agent.geo", "agent_run").attr("gen_ai.operation.name", "agent.run");
    let row = one(&[chunk, step, chat, agent]);
    has(
        &row,
        json!({"request_model": "gpt-4o", "response_model": "gpt-4o-2024-08-06", "tokens": [24, 9],
        "finish": "Stop stop", "provider": "openai", "user": "user-42", "session": "sess-7",
        "response_id": "chatcmpl-1",
        "input": ["user: What is the capital of France?"], "output": [format!("assistant: {PARIS}")]}),
    );
}

#[test]
fn mastra_error_lies_in_the_output_of_a_chunk() {
    let chat = mastra_chat()
        .attr("gen_ai.response.finish_reasons", "error")
        .attr("gen_ai.usage.input_tokens", 0)
        .attr("gen_ai.usage.output_tokens", 0);
    let step = mastra("step: 0", "model_step").id(3).under(2);
    let error = mastra("chunk: 'error'", "model_chunk").id(4).under(3).attr(
        "output",
        r#"{"error":{"name":"AI_APICallError","message":"You exceeded your current quota","statusCode":429}}"#,
    );
    let row = one(&[error, step, chat]);
    has(
        &row,
        json!({"errors": {"is_error": true, "http": 429, "exception": "AI_APICallError",
        "messages": ["You exceeded your current quota"]}, "tokens": [null, null]}),
    );
    assert!(row.get("output").is_none(), "{row:#}");
}

fn genkit(name: &str, subtype: &str) -> SpanOf {
    span(name)
        .scope("genkit-tracer")
        .attr("genkit:name", name)
        .attr("genkit:type", "action")
        .attr("genkit:metadata:subtype", subtype)
}

#[test]
fn genkit_model_action_is_the_call() {
    let model = genkit("openai/gpt-4o", "model")
        .id(3)
        .under(2)
        .attr("genkit:state", "success")
        .attr("genkit:input", r#"{"messages":[{"role":"system","content":[{"text":"Be brief."}]},{"role":"user","content":[{"text":"What is the capital of France?"}]}],"config":{"maxOutputTokens":64},"tools":[{"name":"get_weather","description":"d","inputSchema":{"type":"object"}}],"output":{"format":"json","schema":{"type":"object"}}}"#)
        .attr("genkit:output", r#"{"message":{"role":"model","content":[{"text":"Paris is the capital of France."}]},"finishReason":"stop","usage":{"inputTokens":1200,"outputTokens":9},"raw":{"id":"chatcmpl-1","model":"gpt-4o-2024-08-06","usage":{"prompt_tokens":1200,"completion_tokens":9,"prompt_tokens_details":{"cached_tokens":1024}}}}"#);
    let row = one(&[
        model,
        genkit("generate", "util").id(2).under(1),
        genkit("geoFlow", "flow"),
    ]);
    has(
        &row,
        json!({"convention": "genkit", "provider": "openai", "request_model": "gpt-4o",
        "response_model": "gpt-4o-2024-08-06", "response_id": "chatcmpl-1", "tokens": [1200, 9], "cache_read": 1024,
        "finish": "Stop stop", "max_tokens": 64, "tools": ["get_weather"], "response_format": "Json",
        "input": ["system: Be brief.", "user: What is the capital of France?"], "output": [format!("assistant: {PARIS}")]}),
    );
}

#[test]
fn genkit_failure_and_refusal_are_kept() {
    let failed = genkit("openai/gpt-4o", "model")
        .id(2)
        .under(1)
        .attr("genkit:state", "error")
        .failed("RESOURCE_EXHAUSTED: 429 You exceeded your current quota")
        .exception(
            "429",
            "RESOURCE_EXHAUSTED: 429 You exceeded your current quota",
        );
    let flow =
        genkit("geoFlow", "flow").failed("RESOURCE_EXHAUSTED: 429 You exceeded your current quota");
    let row = one(&[failed, flow]);
    assert_eq!(row["errors"]["http"], 429);
    let refused = genkit("openai/gpt-4o", "model").attr("genkit:output", r#"{"message":{"role":"model","content":[]},"finishReason":"stop","usage":{"inputTokens":24,"outputTokens":11},"raw":{"choices":[{"message":{"role":"assistant","content":null,"refusal":"I can't assist."}}]}}"#);
    has(
        &one(&[refused]),
        json!({"output": ["assistant: Refusal(I can't assist.)"]}),
    );
}

#[test]
fn langsmith_exporter_adds_to_the_ai_sdk_and_stands_alone() {
    let call = answered(ai_sdk("ai.generateText.doGenerate"))
        .id(2)
        .under(1)
        .attr("langsmith.span.kind", "llm")
        .attr("langsmith.usage_metadata", r#"{"input_tokens":24,"output_tokens":9,"total_tokens":33,"input_token_details":{"cache_read":0}}"#)
        .attr("gen_ai.prompt", QUESTION);
    let wrapper = answered(ai_sdk("ai.generateText")).attr("langsmith.span.kind", "llm");
    has(
        &one(&[wrapper, call]),
        json!({"convention": "vercel_ai_sdk", "tokens": [24, 9]}),
    );
    let alone = span("ChatOpenAI")
        .scope("langsmith")
        .attr("langsmith.span.kind", "llm")
        .attr("gen_ai.operation.name", "chat")
        .attr("gen_ai.system", "openai")
        .attr("gen_ai.request.model", "gpt-4o")
        .attr("gen_ai.usage.input_tokens", 24)
        .attr("gen_ai.usage.output_tokens", 9)
        .attr("langsmith.metadata.user_id", "user-42")
        .attr("langsmith.metadata.plan", "pro")
        .attr("gen_ai.prompt", format!(r#"{{"messages":{QUESTION}}}"#).as_str())
        .attr("gen_ai.completion", r#"{"generations":[[{"text":"Paris is the capital of France.","message":{"id":["langchain","schema","messages","AIMessage"],"kwargs":{"content":"Paris is the capital of France.","response_metadata":{"finish_reason":"stop","model_name":"gpt-4o-2024-08-06"}}}}]]}"#);
    has(
        &one(&[alone]),
        json!({"convention": "langsmith", "tokens": [24, 9], "user": "user-42",
        "finish": "Stop stop", "response_model": "gpt-4o-2024-08-06", "output": [format!("assistant: {PARIS}")],
        "input": ["system: Be brief.", "user: What is the capital of France?"]}),
    );
}

#[test]
fn langfuse_js_subtracts_what_it_lists() {
    let row = one(&[span("geo-answer")
        .scope("langfuse-sdk")
        .attr("langfuse.observation.type", "generation")
        .attr("langfuse.observation.model.name", "gemini-2.5-flash")
        .attr("langfuse.observation.usage_details", r#"{"input":176,"input_cached_tokens":1024,"output":72,"output_reasoning_tokens":640,"total":1912}"#)
        .attr("langfuse.observation.output", PARIS)]);
    has(
        &row,
        json!({"tokens": [1200, 712], "cache_read": 1024, "reasoning": 640, "output": [format!("assistant: {PARIS}")]}),
    );
}

#[test]
fn traceloop_langchain_js_sends_a_trace_per_step() {
    let step = |trace, name: &str, operation: &str| {
        span(name)
            .scope("@traceloop/instrumentation-langchain")
            .trace(trace)
            .id(u64::from(trace))
            .attr("gen_ai.operation.name", operation)
            .attr("gen_ai.provider.name", "openai")
    };
    let chat = step(3, "chat gpt-4o", "chat")
        .attr("gen_ai.request.model", "gpt-4o")
        .attr("gen_ai.response.model", "gpt-4o")
        .attr("gen_ai.usage.input_tokens", 24)
        .attr("gen_ai.usage.output_tokens", 9);
    let row = one(&[
        step(1, "workflow chain", "workflow"),
        step(2, "workflow prompt", "workflow"),
        chat,
        step(4, "workflow parser", "workflow"),
    ]);
    has(&row, json!({"span": "chat gpt-4o", "tokens": [24, 9]}));
}
