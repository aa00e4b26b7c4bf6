//! Words that every convention spells its own way: finish reasons, providers, operations, URLs.

use std::borrow::Cow;

use crate::call::{Finish, Operation};

/// What kind of end a finish reason tells, from any spelling.
pub fn finish(reason: &str) -> Finish {
    // `FinishReason.MAX_TOKENS`, `finish_reason: "stop"`, `tool-calls`, `TOOL_CALLS`.
    let word = reason.rsplit(['.', ':']).next().unwrap_or(reason);
    let word: String = word
        .trim_matches(|c: char| !c.is_ascii_alphanumeric())
        .chars()
        .map(|c| {
            if matches!(c, '-' | ' ') {
                '_'
            } else {
                c.to_ascii_lowercase()
            }
        })
        .collect();
    match word.as_str() {
        "stop" | "end_turn" | "stop_sequence" | "complete" | "completed" | "end" | "finished"
        | "eos" | "eos_token" | "done" | "succeeded" | "success" | "pause_turn" | "normal" => {
            Finish::Stop
        }
        "length"
        | "max_tokens"
        | "max_output_tokens"
        | "model_length"
        | "incomplete"
        | "model_context_window_exceeded"
        | "token_limit"
        | "max_length"
        | "error_limit" => Finish::Length,
        "tool_calls" | "tool_call" | "tool_use" | "function_call" | "tooluse" | "toolcalls" => {
            Finish::ToolCalls
        }
        "content_filter"
        | "content_filtered"
        | "safety"
        | "blocked"
        | "recitation"
        | "prohibited_content"
        | "blocklist"
        | "spii"
        | "guardrail_intervened"
        | "error_toxic"
        | "image_safety"
        | "language"
        | "contentfilter" => Finish::ContentFilter,
        "refusal" | "refused" => Finish::Refusal,
        "error" | "failed" | "malformed_function_call" | "unexpected_tool_call" => Finish::Error,
        "unknown"
        | "interrupted"
        | "other"
        | "finish_reason_unspecified"
        | "none"
        | "null"
        | "" => Finish::Interrupted,
        "cancelled" | "canceled" | "abort" | "aborted" | "user_cancel" => Finish::Cancelled,
        _ => Finish::Other,
    }
}

/// The provider's id as the OpenTelemetry registry has it, from any spelling; unknown names are
/// kept in lower case. Empty for names that are an instrumentation's, not a provider's.
pub fn provider(name: &str) -> Cow<'static, str> {
    let name = name.trim();
    // AI SDK: `openai.chat`, `anthropic.messages`, `google.generative-ai`.
    const KNOWN: &[(&str, &str)] = &[
        ("az.ai.openai", "azure.ai.openai"),
        ("azure.ai.openai", "azure.ai.openai"),
        ("azure_openai", "azure.ai.openai"),
        ("azure-openai", "azure.ai.openai"),
        ("azureopenai", "azure.ai.openai"),
        ("az.ai.inference", "azure.ai.inference"),
        ("azure.ai.inference", "azure.ai.inference"),
        ("azure", "azure.ai.openai"),
        ("openai", "openai"),
        ("anthropic", "anthropic"),
        ("claude", "anthropic"),
        ("google.vertex", "gcp.vertex_ai"),
        ("google_vertexai", "gcp.vertex_ai"),
        ("gcp.vertex", "gcp.vertex_ai"),
        ("vertex", "gcp.vertex_ai"),
        ("gcp.gemini", "gcp.gemini"),
        ("gcp.gen_ai", "gcp.gemini"),
        ("gemini", "gcp.gemini"),
        ("google", "gcp.gemini"),
        ("genai", "gcp.gemini"),
        ("aws.bedrock", "aws.bedrock"),
        ("amazon", "aws.bedrock"),
        ("bedrock", "aws.bedrock"),
        ("aws", "aws.bedrock"),
        ("mistral", "mistral_ai"),
        ("cohere", "cohere"),
        ("deepseek", "deepseek"),
        ("groq", "groq"),
        ("xai", "x_ai"),
        ("x_ai", "x_ai"),
        ("x-ai", "x_ai"),
        ("perplexity", "perplexity"),
        ("openrouter", "openrouter"),
        ("together", "together_ai"),
        ("fireworks", "fireworks"),
        ("ollama", "ollama"),
        ("watsonx", "ibm.watsonx.ai"),
        ("ibm.watsonx", "ibm.watsonx.ai"),
        ("hugging", "huggingface"),
        ("moonshot", "moonshot"),
        ("dashscope", "dashscope"),
        ("cerebras", "cerebras"),
    ];
    const NOT_PROVIDERS: [&str; 9] = [
        "strands-agents",
        "langchain",
        "langgraph",
        "crewai",
        "autogen",
        "haystack",
        "unknown",
        "_other",
        "litellm",
    ];
    if NOT_PROVIDERS.iter().any(|n| n.eq_ignore_ascii_case(name)) {
        return Cow::Borrowed("");
    }
    let starts = |prefix: &str| {
        let start = name.as_bytes().get(..prefix.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
    };
    match KNOWN.iter().find(|(prefix, _)| starts(prefix)) {
        Some((_, id)) => Cow::Borrowed(id),
        None => Cow::Owned(name.to_ascii_lowercase()),
    }
}

/// The provider that a model's name tells, for spans that name none.
pub fn provider_of_model(model: &str) -> &'static str {
    let name = model
        .rsplit('/')
        .next()
        .unwrap_or(model)
        .to_ascii_lowercase();
    let starts = |prefixes: &[&str]| prefixes.iter().any(|p| name.starts_with(p));
    if starts(&[
        "anthropic.",
        "us.",
        "eu.",
        "apac.",
        "amazon.",
        "meta.",
        "global.anthropic",
    ]) {
        "aws.bedrock"
    } else if starts(&[
        "gpt-",
        "o1",
        "o3",
        "o4",
        "chatgpt",
        "text-embedding-",
        "davinci",
        "dall-e",
        "whisper",
        "ft:gpt",
    ]) {
        "openai"
    } else if starts(&["claude"]) {
        "anthropic"
    } else if starts(&["gemini"]) {
        "gcp.gemini"
    } else if starts(&["mistral", "mixtral", "codestral", "ministral", "magistral"]) {
        "mistral_ai"
    } else if starts(&["command", "embed-english", "embed-multilingual", "rerank"]) {
        "cohere"
    } else if starts(&["deepseek"]) {
        "deepseek"
    } else if starts(&["grok"]) {
        "x_ai"
    } else {
        ""
    }
}

/// The operation of a name in any convention; `None` when it is not a model call's.
pub fn operation(name: &str) -> Option<Operation> {
    let lower = name.to_ascii_lowercase();
    Some(match lower.as_str() {
        "chat" | "chat.completions" | "chat_completions" | "responses" | "completions"
        | "message" | "messages" | "response" | "streaming_chat" => Operation::Chat,
        "text_completion" | "completion" | "text.completions" => Operation::TextCompletion,
        "generate_content" | "generate" | "generatecontent" => Operation::GenerateContent,
        "embeddings" | "embedding" | "embed" => Operation::Embeddings,
        "rerank" => Operation::Rerank,
        "image_generation" | "image" | "generate_image" => Operation::Image,
        "speech" | "audio" | "transcription" | "speech_to_text" | "text_to_speech" => {
            Operation::Audio
        }
        _ => return None,
    })
}

/// A request to a model provider, told by URL alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    pub provider: &'static str,
    pub endpoint: &'static str,
    pub operation: Operation,
}

/// Recognises a provider's path, whatever the host (proxies and gateways keep the path).
pub fn endpoint(url: &str) -> Option<Endpoint> {
    let (host, path) = split_url(url);
    let path = path
        .split(['?', '#'])
        .next()
        .unwrap_or(path)
        .trim_end_matches('/');
    let openai_host = if host.contains("azure") {
        "azure.ai.openai"
    } else {
        provider_of_host(host)
    };
    let hit = |provider, endpoint, operation| {
        Some(Endpoint {
            provider,
            endpoint,
            operation,
        })
    };
    if path.ends_with("/chat/completions") {
        hit(openai_host, "chat_completions", Operation::Chat)
    } else if path.ends_with("/v1/responses") || path.ends_with("/openai/responses") {
        hit(openai_host, "responses", Operation::Chat)
    } else if path.ends_with("/v1/messages") {
        hit("anthropic", "messages", Operation::Chat)
    } else if path.ends_with("/v1/completions") || path.ends_with("/openai/completions") {
        hit(openai_host, "completions", Operation::TextCompletion)
    } else if path.ends_with("/embeddings") && path.contains("/v1") {
        hit(openai_host, "embeddings", Operation::Embeddings)
    } else if path.contains(":generateContent") || path.contains(":streamGenerateContent") {
        let vertex = host.contains("aiplatform") || path.contains("/publishers/");
        hit(
            if vertex {
                "gcp.vertex_ai"
            } else {
                "gcp.gemini"
            },
            "generate_content",
            Operation::GenerateContent,
        )
    } else if path.starts_with("/model/")
        && [
            "/converse",
            "/converse-stream",
            "/invoke",
            "/invoke-with-response-stream",
        ]
        .iter()
        .any(|end| path.ends_with(end))
    {
        hit("aws.bedrock", "converse", Operation::Chat)
    } else if path.ends_with("/v2/chat") || (path.ends_with("/v1/chat") && host.contains("cohere"))
    {
        hit("cohere", "chat", Operation::Chat)
    } else if path.ends_with("/api/chat") || path.ends_with("/api/generate") {
        hit("ollama", "chat", Operation::Chat)
            .filter(|_| host.contains("11434") || host.contains("ollama"))
    } else {
        None
    }
}

fn provider_of_host(host: &str) -> &'static str {
    const HOSTS: [(&str, &str); 12] = [
        ("api.openai.com", "openai"),
        ("mistral", "mistral_ai"),
        ("groq", "groq"),
        ("deepseek", "deepseek"),
        ("x.ai", "x_ai"),
        ("perplexity", "perplexity"),
        ("openrouter", "openrouter"),
        ("together", "together_ai"),
        ("fireworks", "fireworks"),
        ("googleapis", "gcp.gemini"),
        ("dashscope", "dashscope"),
        ("moonshot", "moonshot"),
    ];
    // A path of OpenAI's on an unknown host: whoever it is speaks OpenAI's API.
    HOSTS
        .iter()
        .find(|(part, _)| host.contains(part))
        .map_or("openai", |(_, id)| id)
}

/// Host (with port) and path of a URL or of a bare path.
fn split_url(url: &str) -> (&str, &str) {
    let Some((_, rest)) = url.split_once("://") else {
        return ("", url);
    };
    match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finish_reasons_of_all_spellings() {
        for (text, want) in [
            ("FinishReason.MAX_TOKENS", Finish::Length),
            ("tool-calls", Finish::ToolCalls),
            ("SAFETY", Finish::ContentFilter),
            ("end_turn", Finish::Stop),
            ("guardrail_intervened", Finish::ContentFilter),
            ("", Finish::Interrupted),
            ("whatever", Finish::Other),
        ] {
            assert_eq!(finish(text), want, "{text}");
        }
    }

    #[test]
    fn urls_of_providers_are_recognised_behind_any_host() {
        let provider = |url| endpoint(url).map(|e| e.provider);
        assert_eq!(
            provider("http://127.0.0.1:9911/v1/chat/completions"),
            Some("openai")
        );
        assert_eq!(
            provider("https://api.groq.com/openai/v1/chat/completions"),
            Some("groq")
        );
        assert_eq!(
            provider("https://gateway.local/v1/messages?beta=true"),
            Some("anthropic")
        );
        assert_eq!(
            provider(
                "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent"
            ),
            Some("gcp.gemini")
        );
        assert_eq!(provider("https://shop.example/api/v1/messages/17"), None);
    }
}
