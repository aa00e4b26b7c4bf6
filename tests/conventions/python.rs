use serde_json::json;

use super::{PARIS, QUESTION, has, one, several};
use crate::otlp::{SpanOf, span};

fn openinference(package: &str, name: &str) -> SpanOf {
    span(name)
        .scope(&format!("openinference.instrumentation.{package}"))
        .attr("openinference.span.kind", "LLM")
}

#[test]
fn openinference_names_the_request_in_most_frameworks() {
    for (package, name, model) in [
        ("llama_index", "OpenAI.chat", "gpt-4o"),
        ("dspy", "LM.__call__", "openai/gpt-4o"),
        ("smolagents", "OpenAIServerModel.generate", "gpt-4o"),
        ("litellm", "completion", "openai/gpt-4o"),
    ] {
        let call = openinference(package, name)
            .id(2)
            .under(1)
            .attr("llm.model_name", model)
            .attr("llm.provider", "openai")
            .attr("llm.token_count.prompt", 24)
            .attr("llm.token_count.completion", 9)
            .attr("llm.input_messages.0.message.role", "user")
            .attr(
                "llm.input_messages.0.message.content",
                "What is the capital of France?",
            )
            .attr("llm.output_messages.0.message.role", "assistant")
            .attr(
                "llm.output_messages.0.message.contents.0.message_content.type",
                "text",
            )
            .attr(
                "llm.output_messages.0.message.contents.0.message_content.text",
                PARIS,
            );
        let chain = openinference(package, "chain").attr("openinference.span.kind", "CHAIN");
        let row = one(&[chain, call]);
        has(
            &row,
            json!({"span": name, "request_model": model, "provider": "openai", "tokens": [24, 9],
            "input": ["user: What is the capital of France?"], "output": [format!("assistant: {PARIS}")]}),
        );
        assert!(row.get("response_model").is_none(), "{package}: {row:#}");
    }
}

#[test]
fn openinference_google_genai_is_read_with_its_thinking() {
    let row = one(&[openinference("google_genai", "generate_content")
        .attr("llm.model_name", "gemini-2.5-flash")
        .attr("llm.provider", "google")
        .attr("llm.token_count.prompt", 24)
        .attr("llm.token_count.completion", 712)
        .attr("llm.token_count.completion_details.reasoning", 640)
        .attr("llm.token_count.total", 736)
        .attr("output.value", r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"Paris is the capital of France."}]},"finish_reason":"STOP"}],"model_version":"gemini-2.5-flash"}"#)]);
    has(
        &row,
        json!({"provider": "gcp.gemini", "tokens": [24, 712], "reasoning": 640, "finish": "Stop STOP",
        "response_model": "gemini-2.5-flash", "output": [format!("assistant: {PARIS}")]}),
    );
    let blocked = one(&[openinference("google_genai", "generate_content")
        .attr("llm.model_name", "gemini-2.5-flash")
        .attr("output.value", r#"{"prompt_feedback":{"block_reason":"PROHIBITED_CONTENT"},"usage_metadata":{"prompt_token_count":24}}"#)]);
    assert_eq!(blocked["finish"], "ContentFilter PROHIBITED_CONTENT");
}

#[test]
fn crewai_shows_its_failure_on_the_agent_alone() {
    let crew = openinference("crewai", "Crew_1.kickoff").attr("openinference.span.kind", "CHAIN");
    let agent = openinference("crewai", "Geographer._execute_core")
        .id(2)
        .under(1)
        .attr("openinference.span.kind", "AGENT")
        .failed("RateLimitError: Error code: 429")
        .exception("RateLimitError", "Error code: 429");
    let row = one(&[crew, agent]);
    has(&row, json!({"operation": "invoke_agent"}));
    assert_eq!(row["errors"]["exception"], "RateLimitError");
}

#[test]
fn autogen_shows_its_failure_on_the_agent_alone() {
    let agent = |name: &str, operation: &str| {
        span(name)
            .scope("autogen-core")
            .attr("gen_ai.operation.name", operation)
            .attr("gen_ai.system", "autogen")
            .attr("gen_ai.agent.name", "geo")
    };
    let failed = agent("invoke_agent geo", "invoke_agent")
        .id(2)
        .under(1)
        .attr("error.type", "RateLimitError")
        .failed("Error code: 429")
        .exception("RateLimitError", "Error code: 429");
    let row = one(&[agent("create_agent geo", "create_agent"), failed]);
    has(&row, json!({"operation": "invoke_agent", "feature": "geo"}));
    assert!(row.get("provider").is_none());
}

fn haystack(class: &str) -> SpanOf {
    span("haystack.component.run")
        .scope("haystack")
        .attr("haystack.component.name", "llm")
        .attr("haystack.component.type", class)
        .attr(
            "haystack.component.fully_qualified_type",
            "haystack.components.generators.chat.openai.OpenAIChatGenerator",
        )
        .id(2)
        .under(1)
}

#[test]
fn haystack_keeps_everything_in_its_output() {
    let call = haystack("OpenAIChatGenerator")
        .attr("haystack.component.input", r#"{"messages":[{"role":"user","meta":{},"name":null,"content":[{"text":"What is the capital of France?"}]}],"generation_kwargs":{"model":"gpt-4o"},"tools":null}"#)
        .attr("haystack.component.output", r#"{"replies":[{"role":"assistant","meta":{"model":"gpt-4o-2024-08-06","index":0,"finish_reason":"stop","usage":{"completion_tokens":9,"prompt_tokens":1200,"total_tokens":1209,"prompt_tokens_details":{"cached_tokens":1024},"completion_tokens_details":{"reasoning_tokens":0}}},"name":null,"content":[{"text":"Paris is the capital of France."}]}]}"#);
    let prompt = haystack("ChatPromptBuilder").id(3);
    let row = one(&[
        span("haystack.pipeline.run").scope("haystack"),
        prompt,
        call,
    ]);
    has(
        &row,
        json!({"convention": "haystack", "provider": "openai", "request_model": "gpt-4o",
        "response_model": "gpt-4o-2024-08-06", "tokens": [1200, 9], "cache_read": 1024, "finish": "Stop stop",
        "input": ["user: What is the capital of France?"], "output": [format!("assistant: {PARIS}")]}),
    );
    let tool = haystack("OpenAIChatGenerator").attr("haystack.component.output", r#"{"replies":[{"role":"assistant","meta":{"finish_reason":"tool_calls"},"content":[{"tool_call":{"tool_name":"get_weather","arguments":{"location":"Paris"},"id":"call_1","extra":null}}]}]}"#);
    has(
        &one(&[tool]),
        json!({"finish": "ToolCalls tool_calls", "output": [r#"assistant: ToolCall get_weather({"location":"Paris"})"#]}),
    );
}

#[test]
fn semantic_kernel_writes_the_reason_in_the_singular() {
    let call = span("chat.completions gpt-4o")
        .scope("semantic_kernel.utils.telemetry.model_diagnostics.decorators")
        .id(2)
        .under(1)
        .attr("gen_ai.operation.name", "chat.completions")
        .attr("gen_ai.system", "openai")
        .attr("gen_ai.request.model", "gpt-4o")
        .attr("gen_ai.response.id", "chatcmpl-1")
        .attr("gen_ai.response.finish_reason", "FinishReason.LENGTH")
        .attr("gen_ai.usage.input_tokens", 24);
    let function = span("execute_tool chat-plugin")
        .scope("semantic_kernel.functions.kernel_function")
        .attr("gen_ai.operation.name", "execute_tool");
    has(
        &one(&[function, call]),
        json!({"convention": "semantic_kernel", "operation": "chat", "finish": "Length FinishReason.LENGTH",
        "request_model": "gpt-4o", "tokens": [24, null]}),
    );
    let failed = span("chat.completions gpt-4o")
        .scope("semantic_kernel.utils.telemetry.model_diagnostics.decorators")
        .attr("gen_ai.operation.name", "chat.completions")
        .attr("gen_ai.request.model", "gpt-4o")
        .attr(
            "error.type",
            "<class 'semantic_kernel.exceptions.service_exceptions.ServiceResponseException'>",
        )
        .failed("(\"service failed\", RateLimitError(\"Error code: 429\"))");
    assert_eq!(one(&[failed])["errors"]["is_error"], true);
}

#[test]
fn mlflow_semconv_mode_names_the_answer_as_the_request() {
    let mlflow = |name: &str| {
        span(name)
            .scope("mlflow.tracing.provider")
            .attr("gen_ai.operation.name", "chat")
            .attr("model", "\"gpt-4o\"")
    };
    let ok = mlflow("chat gpt-4o-2024-08-06")
        .attr("gen_ai.request.model", "gpt-4o-2024-08-06")
        .attr("gen_ai.response.model", "gpt-4o-2024-08-06")
        .attr("gen_ai.response.finish_reasons", ["stop"])
        .attr("gen_ai.usage.input_tokens", 24)
        .attr("gen_ai.usage.output_tokens", 9);
    has(
        &one(&[ok]),
        json!({"convention": "mlflow", "request_model": "gpt-4o", "response_model": "gpt-4o-2024-08-06", "tokens": [24, 9]}),
    );
    let failed = one(&[mlflow("chat")
        .failed("Error code: 429")
        .exception("RateLimitError", "Error code: 429")]);
    has(&failed, json!({"request_model": "gpt-4o"}));
    assert!(failed.get("response_model").is_none());
}

#[test]
fn logfire_3_has_everything_in_two_documents() {
    let request = |name: &str, scope: &str| {
        span(name)
            .scope(scope)
            .client()
            .attr("logfire.span_type", "span")
            .attr("logfire.tags", ["LLM"])
    };
    let openai = request("Chat Completion with {request_data[model]!r}", "logfire.openai")
        .attr("gen_ai.request.model", "gpt-4o")
        .attr("gen_ai.system", "openai")
        .attr("gen_ai.response.model", "gpt-4o-2024-08-06")
        .attr("gen_ai.usage.input_tokens", 24)
        .attr("gen_ai.usage.output_tokens", 9)
        .attr("request_data", format!(r#"{{"messages":{QUESTION},"model":"gpt-4o","stream":false,"tools":[{{"type":"function","function":{{"name":"get_weather","parameters":{{}}}}}}]}}"#).as_str())
        .attr("response_data", r#"{"message":{"content":"Paris is the capital of France.","refusal":null,"role":"assistant"},"usage":{"prompt_tokens":24,"completion_tokens":9}}"#);
    has(
        &one(&[openai]),
        json!({"convention": "logfire", "tokens": [24, 9], "streaming": false, "tools": ["get_weather"],
        "input": ["system: Be brief.", "user: What is the capital of France?"], "output": [format!("assistant: {PARIS}")]}),
    );
    let anthropic = request("Message with {request_data[model]!r}", "logfire.anthropic")
        .attr("request_data", r#"{"max_tokens":256,"system":"Be brief.","messages":[{"role":"user","content":"What is the capital of France?"}],"model":"claude-sonnet-4-5"}"#)
        .attr("response_data", r#"{"message":{"role":"assistant","content":"Paris is the capital of France."},"usage":{"input_tokens":24,"output_tokens":9,"cache_read_input_tokens":0}}"#);
    has(
        &one(&[anthropic]),
        json!({"request_model": "claude-sonnet-4-5", "provider": "anthropic", "tokens": [24, 9], "max_tokens": 256,
        "input": ["system: Be brief.", "user: What is the capital of France?"], "output": [format!("assistant: {PARIS}")]}),
    );
}

#[test]
fn logfire_3_stream_is_one_call() {
    let data = format!(r#"{{"messages":{QUESTION},"model":"gpt-4o","stream":true}}"#);
    let part = |name: &str, kind: &str| {
        span(name)
            .scope("logfire.openai")
            .attr("logfire.span_type", kind)
            .attr("gen_ai.request.model", "gpt-4o")
            .attr("request_data", data.as_str())
    };
    let request = part("Chat Completion with {request_data[model]!r}", "span").between_ms(0, 20);
    let record = part(
        "streaming response from {request_data[model]!r} took {duration:.2f}s",
        "log",
    )
    .id(2)
    .between_ms(400, 400)
    .attr(
        "response_data",
        r#"{"combined_chunk_content":"Paris is the capital of France.","chunk_count":9}"#,
    );
    has(
        &one(&[request, record]),
        json!({"streaming": true, "output": [format!("assistant: {PARIS}")]}),
    );
}

#[test]
fn strands_opt_in_puts_one_key_into_each_event() {
    let details = "gen_ai.client.inference.operation.details";
    let call = span("chat")
        .scope("strands.telemetry.tracer")
        .id(2)
        .under(1)
        .attr("gen_ai.operation.name", "chat")
        .attr("gen_ai.provider.name", "strands-agents")
        .attr("gen_ai.request.model", "gpt-4o")
        .attr("gen_ai.usage.input_tokens", 24)
        .attr("gen_ai.usage.output_tokens", 9)
        .attr("gen_ai.server.time_to_first_token", 350)
        .event(details, &[("gen_ai.input.messages", r#"[{"role":"user","parts":[{"type":"text","content":"What is the capital of France?"}]}]"#.into())])
        .event(details, &[("gen_ai.system_instructions", r#"[{"type":"text","content":"Be brief."}]"#.into())])
        .event(details, &[("gen_ai.output.messages", r#"[{"role":"assistant","parts":[{"type":"text","content":"Paris is the capital of France."}],"finish_reason":"end_turn"}]"#.into())]);
    let agent = span("invoke_agent geo")
        .scope("strands.telemetry.tracer")
        .attr("gen_ai.operation.name", "invoke_agent");
    let cycle = span("execute_event_loop_cycle")
        .scope("strands.telemetry.tracer")
        .id(3)
        .under(1);
    has(
        &one(&[agent, cycle, call]),
        json!({"convention": "strands", "provider": "openai", "finish": "Stop end_turn", "ttft": "told",
        "input": ["system: Be brief.", "user: What is the capital of France?"], "output": [format!("assistant: {PARIS}")]}),
    );
}

#[test]
fn langfuse_around_langchain_and_openai_is_one_call() {
    let generation = |name: &str| {
        span(name)
            .scope("langfuse-sdk")
            .attr("langfuse.observation.type", "generation")
            .attr("langfuse.observation.input", QUESTION)
    };
    let langchain = generation("ChatOpenAI")
        .id(2)
        .under(1)
        .between_ms(10, 500)
        .attr("langfuse.observation.metadata.ls_provider", "openai")
        .attr("langfuse.observation.metadata.ls_model_name", "gpt-4o")
        .attr("langfuse.observation.model.name", "gpt-4o-2024-08-06")
        .attr(
            "langfuse.observation.usage_details",
            r#"{"input":24,"output":9,"total":33}"#,
        );
    let openai = generation("OpenAI-generation")
        .id(3)
        .between_ms(20, 480)
        .attr("langfuse.observation.model.name", "gpt-4o")
        .attr(
            "langfuse.observation.usage_details",
            r#"{"prompt_tokens":24,"completion_tokens":9,"total_tokens":33}"#,
        );
    let chain = span("support_chain")
        .scope("langfuse-sdk")
        .attr("langfuse.observation.type", "chain")
        .between_ms(0, 520);
    for parent in [1, 2] {
        let row = one(&[
            chain.clone(),
            langchain.clone(),
            openai.clone().under(parent),
        ]);
        has(
            &row,
            json!({"request_model": "gpt-4o", "response_model": "gpt-4o-2024-08-06", "tokens": [24, 9], "provider": "openai"}),
        );
    }
}

#[test]
fn parallel_calls_with_different_questions_are_not_twins() {
    let ask = |id, from, to, question: &str| {
        span("OpenAI-generation")
            .scope("langfuse-sdk")
            .id(id)
            .under(1)
            .between_ms(from, to)
            .attr("langfuse.observation.type", "generation")
            .attr("langfuse.observation.model.name", "gpt-4o")
            .attr("langfuse.observation.input", question)
    };
    assert_eq!(
        several(&[
            ask(2, 0, 900, "one"),
            ask(3, 10, 500, "two"),
            ask(4, 20, 400, "one")
        ])
        .len(),
        3
    );
}
