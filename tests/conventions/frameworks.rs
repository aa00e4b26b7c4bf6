use serde_json::json;

use super::{PARIS, has, one, several};
use crate::{
    otlp::{SpanOf, log, logs, span, traces},
    rows::{Body, counted},
};

fn openinference(package: &str, name: &str) -> SpanOf {
    span(name)
        .scope(&format!("openinference.instrumentation.{package}"))
        .attr("openinference.span.kind", "LLM")
        .attr("llm.model_name", "gpt-4o")
}

#[test]
fn llama_index_prepares_a_request_and_that_is_no_call() {
    let prepared = openinference("llama_index", "OpenAI._prepare_chat_with_tools").id(1);
    let asked = openinference("llama_index", "OpenAI.chat")
        .id(2)
        .attr("llm.token_count.prompt", 82)
        .attr("llm.token_count.completion", 18);
    let row = one(&[prepared, asked]);
    has(&row, json!({"span": "OpenAI.chat", "tokens": [82, 18]}));
}

#[test]
fn llama_index_prints_an_answer_of_nothing() {
    let row = one(&[openinference("llama_index", "OpenAI.chat")
        .attr("llm.output_messages.0.message.role", "assistant")
        .attr("output.value", "assistant: None")]);
    has(&row, json!({"output": ["assistant: "]}));
}

#[test]
fn agents_of_openai_stream_a_response_in_a_list() {
    let row = one(&[openinference("openai_agents", "generation").attr(
        "output.value",
        r#"[{"id":"__fake_id__","error":null,"model":"gpt-4o","object":"response","output":[{"id":"__fake_id__","content":[{"annotations":[],"text":"Paris is the capital of France.","type":"output_text"}],"role":"assistant","type":"message"}],"text":null,"usage":{"input_tokens":1200,"input_tokens_details":{"cached_tokens":1024},"output_tokens":9}}]"#,
    )]);
    has(
        &row,
        json!({"tokens": [1200, 9], "cache_read": 1024, "output": [format!("assistant: {PARIS}")]}),
    );
}

#[test]
fn a_method_that_streams_says_so() {
    for (name, streams) in [
        ("OpenAIModel.generate_stream", true),
        ("OpenAI.astream_chat", true),
        ("OpenAI.stream_chat", true),
        ("OpenAI.chat", false),
        ("chat stream-3.1", false),
    ] {
        let row = one(&[openinference("smolagents", name)]);
        assert_eq!(row.get("streaming").is_some(), streams, "{name}");
    }
}

fn logfire(name: &str) -> SpanOf {
    span(name)
        .scope("logfire.openai")
        .attr("gen_ai.request.model", "gpt-4o")
        .attr("gen_ai.response.model", "gpt-4o")
}

#[test]
fn logfire_3_has_the_responses_api_as_events_and_the_answer_last() {
    const ASKED: &str = r#"[{"event.name":"gen_ai.system.message","content":"Be brief.","role":"system"},{"event.name":"gen_ai.user.message","content":"What is the capital of France?","role":"user"}"#;
    let events = |answer: &str| format!("{ASKED}{answer}]");
    let call = |answer: &str| {
        logfire("Responses API with {gen_ai.request.model!r}")
            .attr("logfire.span_type", "span")
            .attr("events", events(answer).as_str())
    };
    let question = json!(["system: Be brief.", "user: What is the capital of France?"]);
    let failed = one(&[call("").failed("RateLimitError: Error code: 429")]);
    has(
        &failed,
        json!({"convention": "logfire", "provider": "openai", "input": question}),
    );
    let answered = one(&[call(
        r#",{"event.name":"gen_ai.assistant.message","content":"Paris is the capital of France.","role":"assistant"}"#,
    )]);
    has(
        &answered,
        json!({"input": question, "output": [format!("assistant: {PARIS}")]}),
    );
    let refused = one(&[call(
        r#",{"event.name":"gen_ai.unknown","role":"assistant","content":"refusal\n\nSee JSON for details","data":{"refusal":"I can't help with that.","type":"refusal"}}"#,
    )]);
    has(
        &refused,
        json!({"output": ["assistant: Refusal(I can't help with that.)"]}),
    );
}

#[test]
fn logfire_3_tells_a_broken_stream_by_counts_that_were_asked_for() {
    let stream = |options: &str, usage: &str| {
        let asked = format!(r#"{{"model":"gpt-4o","stream":true{options}}}"#);
        let said =
            format!(r#"{{"message":{{"role":"assistant","content":"Paris"}},"usage":{usage}}}"#);
        let request = logfire("Chat Completion with {request_data[model]!r}")
            .id(1)
            .between_ms(0, 10)
            .attr("logfire.span_type", "span")
            .attr("request_data", asked.as_str());
        let answer =
            logfire("streaming response from {request_data[model]!r} took {duration:.2f}s")
                .id(2)
                .between_ms(20, 20)
                .attr("logfire.span_type", "log")
                .attr("request_data", asked.as_str())
                .attr("response_data", said.as_str());
        one(&[request, answer])["finish"].clone()
    };
    let counted = r#"{"prompt_tokens":24,"completion_tokens":9}"#;
    let options = r#","stream_options":{"include_usage":true}"#;
    assert_eq!(stream(options, "null"), "Interrupted ");
    assert_eq!(stream(options, counted), "Unknown ");
    assert_eq!(stream("", "null"), "Unknown ");
}

#[test]
fn litellm_copies_an_embedding_request_without_its_operation() {
    let call = span("litellm_request")
        .scope("litellm")
        .id(1)
        .attr("gen_ai.operation.name", "embedding")
        .attr("gen_ai.request.model", "text-embedding-3-small")
        .attr("litellm.provider.model", "openai/text-embedding-3-small")
        .attr("gen_ai.usage.input_tokens", 8);
    let raw = span("raw_gen_ai_request")
        .scope("litellm")
        .id(2)
        .under(1)
        .attr("llm.None.model", "text-embedding-3-small");
    has(
        &one(&[call, raw]),
        json!({"operation": "embeddings", "request_model": "text-embedding-3-small", "tokens": [8, null]}),
    );
}

#[test]
fn haystack_names_its_components_after_the_provider() {
    for (class, provider) in [
        ("OpenAIChatGenerator", "openai"),
        ("AzureOpenAIChatGenerator", "azure.ai.openai"),
        ("AnthropicChatGenerator", "anthropic"),
        ("AmazonBedrockChatGenerator", "aws.bedrock"),
        ("MyOwnGenerator", ""),
    ] {
        let row = one(&[span("haystack.component.run")
            .scope("haystack")
            .attr("haystack.component.type", class)
            .failed("RateLimitError")]);
        assert_eq!(row["provider"].as_str().unwrap_or(""), provider, "{class}");
    }
    let answered = one(&[span("haystack.component.run")
        .scope("haystack")
        .attr("haystack.component.type", "MyOwnGenerator")
        .attr("haystack.component.output", r#"{"replies":[{"role":"assistant","meta":{"model":"gpt-4o-2024-08-06","finish_reason":"stop","usage":null},"content":[{"text":"Paris is the capital of France."}]}]}"#)]);
    has(&answered, json!({"provider": "openai"}));
}

fn mlflow(outputs: &str) -> SpanOf {
    span("Messages.create")
        .scope("mlflow.tracing.provider")
        .attr("mlflow.spanType", "\"CHAT_MODEL\"")
        .attr(
            "mlflow.spanInputs",
            r#"{"model":"claude-sonnet-4-5","stream":true}"#,
        )
        .attr("mlflow.spanOutputs", outputs)
}

#[test]
fn mlflow_lets_go_of_a_stream_that_nobody_read_yet() {
    let row = one(&[mlflow("\"<anthropic.Stream object at 0x7f344519b850>\"")]);
    has(&row, json!({"streaming": true, "finish": "Other "}));
    assert!(row.get("output").is_none(), "{row:#}");
    // A model may well write so.
    let row = one(&[mlflow("\"<b>an object at 0x10</b>\"")]);
    assert!(row.get("output").is_some(), "{row:#}");
}

#[test]
fn what_made_a_response_incomplete_is_its_finish_reason() {
    let row = one(&[mlflow(
        r#"{"id":"resp_1","incomplete_details":{"reason":"content_filter"},"output":[]}"#,
    )
    .attr("gen_ai.response.finish_reasons", ["incomplete"])]);
    has(&row, json!({"finish": "ContentFilter content_filter"}));
}

#[test]
fn two_requests_of_one_agent_stay_two() {
    let call = |id: u64, from: u64| {
        openinference("llama_index", "OpenAI.chat")
            .id(id)
            .under(9)
            .between_ms(from, from + 5)
    };
    assert_eq!(several(&[call(1, 0), call(2, 10)]).len(), 2);
}

#[test]
fn semantic_kernel_logs_its_answer_as_a_text() {
    let call = span("chat gpt-4o")
        .id(1)
        .scope("semantic_kernel.utils.telemetry.model_diagnostics.decorators")
        .attr("gen_ai.operation.name", "chat")
        .attr("gen_ai.request.model", "gpt-4o");
    let asked = log("gen_ai.user.message")
        .of(1, 1)
        .body(r#"{"role": "user", "content": "What is the capital of France?"}"#);
    let choice = log("gen_ai.choice").of(1, 1).body(
        r#"{"message": {"role": "assistant", "content": "Paris is the capital of France."}, "finish_reason": "stop"}"#,
    );
    let bodies = [
        Body::Traces(traces(&[call])),
        Body::Logs(logs(&[asked, choice])),
    ];
    let rows = counted(&bodies);
    has(
        &rows[0],
        json!({"finish": "Stop stop", "input": ["user: What is the capital of France?"],
        "output": [format!("assistant: {PARIS}")]}),
    );
}
