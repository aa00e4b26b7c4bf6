//! Words that every convention spells its own way: finish reasons, providers, operations, URLs.
//!
//! The words are data (`rules/vocabulary.toml`); only the paths of providers' APIs, which have a
//! form of their own, are told apart here.

mod table;

use std::borrow::Cow;

use table::{TABLE, Table, WORD_BYTES_MAX, start_of};

use crate::call::{Finish, Operation};

/// What kind of end a finish reason tells, from any spelling.
pub fn finish(reason: &str) -> Finish {
    // `FinishReason.MAX_TOKENS`, `finish_reason: "stop"`, `tool-calls`, `TOOL_CALLS`.
    let word = reason.rsplit(['.', ':']).next().unwrap_or(reason);
    let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let mut folded = [0_u8; WORD_BYTES_MAX];
    let Some(folded) = folded.get_mut(..word.len()) else {
        return Finish::Other;
    };
    for (to, from) in folded.iter_mut().zip(word.bytes()) {
        *to = match from {
            b'-' | b' ' => b'_',
            other => other.to_ascii_lowercase(),
        };
    }
    let known = TABLE.finish.get(&*folded);
    known.copied().unwrap_or(Finish::Other)
}

/// The provider's id as the OpenTelemetry registry has it, from any spelling; unknown names are
/// kept in lower case. Empty for names that are an instrumentation's, not a provider's.
pub fn provider(name: &str) -> Cow<'static, str> {
    let name = name.trim();
    let table: &'static Table = &TABLE;
    if table
        .not_provider
        .iter()
        .any(|n| n.eq_ignore_ascii_case(name))
    {
        return Cow::Borrowed("");
    }
    match start_of(&table.provider, name) {
        Some(id) => Cow::Borrowed(id),
        None => Cow::Owned(name.to_ascii_lowercase()),
    }
}

/// The provider that a model's name tells, for spans that name none.
pub fn provider_of_model(model: &str) -> &'static str {
    let name = model.rsplit('/').next().unwrap_or(model);
    let table: &'static Table = &TABLE;
    start_of(&table.model, name).unwrap_or("")
}

/// The operation of a name in any convention; `None` when it is not a model call's.
pub fn operation(name: &str) -> Option<Operation> {
    let mut folded = [0_u8; WORD_BYTES_MAX];
    let folded = folded.get_mut(..name.len())?;
    folded.copy_from_slice(name.as_bytes());
    folded.make_ascii_lowercase();
    TABLE.operation.get(&*folded).copied()
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
    let table: &'static Table = &TABLE;
    // A path of OpenAI's on an unknown host: whoever it is speaks OpenAI's API.
    let known = table.host.iter().find(|h| host.contains(&h.part));
    known.map_or("openai", |h| &h.id)
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
