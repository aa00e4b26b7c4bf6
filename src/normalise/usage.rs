//! Tokens as billed, from recorders that disagree on what "input" includes.
//!
//! The model's rule is OTel's: input includes cached tokens, output includes reasoning. Some
//! recorders report the parts apart; each sign of that is checked here, the numbers' own first
//! and the recorder's name last.

use super::{attributes::Field, fields::Fields};
use crate::call::{TokensSource, Usage};

/// Recorders whose input leaves cached tokens out, by scope and (normalised) provider.
const INPUT_WITHOUT_CACHE: [(&str, &str); 6] = [
    ("openlit.", "anthropic"),
    ("@openlit/", "anthropic"),
    ("@traceloop/instrumentation-anthropic", "anthropic"),
    // AI SDK 4 and 5; from 6 on they report the parts by name, which is seen below.
    ("ai", "anthropic"),
    ("langfuse-sdk", ""),
    ("openlit.", "aws.bedrock"),
];
/// Recorders whose output leaves reasoning out.
const OUTPUT_WITHOUT_REASONING: [(&str, &str); 5] = [
    ("openlit.", "gcp.gemini"),
    ("@openlit/", "gcp.gemini"),
    (
        "opentelemetry.instrumentation.google_generativeai",
        "gcp.gemini",
    ),
    ("@traceloop/instrumentation-google", "gcp.gemini"),
    ("ai", "gcp.gemini"),
];

/// Reads the token counts of a call.
pub fn read(fields: &Fields<'_, '_>, scope: &str, provider: &str, streaming: bool) -> Usage {
    let input = fields.count(Field::InputTokens);
    let output = fields.count(Field::OutputTokens);
    let total = fields.count(Field::TotalTokens);
    let cache_read = fields.count(Field::CacheReadTokens);
    let cache_write = fields.count(Field::CacheWriteTokens);
    let reasoning = fields.count(Field::ReasoningTokens);
    let listed = |list: &[(&str, &str)]| {
        list.iter().any(|(s, p)| {
            let same_scope = if *s == "ai" {
                scope == "ai"
            } else {
                scope.starts_with(s)
            };
            same_scope && (p.is_empty() || *p == provider)
        })
    };

    let cached = cache_read.unwrap_or(0) + cache_write.unwrap_or(0);
    let thought = reasoning.unwrap_or(0);
    let plain = input.unwrap_or(0) + output.unwrap_or(0);
    let apart = Apart {
        cached,
        thought,
        plain,
        total,
    };
    let input = input.map(|count| {
        let by_name = listed(&INPUT_WITHOUT_CACHE) && !apart.total_is(plain);
        let left_out = cached > 0 && (count < cached || apart.total_has_cached() || by_name);
        if left_out { count + cached } else { count }
    });
    let output = output.map(|count| {
        let by_name = listed(&OUTPUT_WITHOUT_REASONING) && !apart.total_is(plain);
        let left_out = thought > 0 && (count < thought || apart.total_has_thought() || by_name);
        if left_out { count + thought } else { count }
    });
    // LiteLLM and others report 0 of everything for streams without usage.
    let nothing = input.unwrap_or(0) == 0 && output.unwrap_or(0) == 0;
    let (input, output) = match (nothing, input) {
        (true, Some(0)) => (None, None),
        _ => (input, output),
    };
    let guessed = (scope.starts_with("openlit.") || scope.starts_with("@openlit/")) && streaming;
    Usage {
        input_tokens: input,
        output_tokens: output,
        cache_read_tokens: cache_read,
        cache_write_tokens: cache_write,
        cache_write_1h_tokens: fields.count(Field::CacheWrite1hTokens),
        reasoning_tokens: reasoning,
        input_audio_tokens: fields.count(Field::InputAudioTokens),
        output_audio_tokens: fields.count(Field::OutputAudioTokens),
        source: match (input.or(output), guessed) {
            (None, _) => TokensSource::None,
            (Some(_), true) => TokensSource::Estimated,
            (Some(_), false) => TokensSource::Provider,
        },
    }
}

/// What the recorder's own total says about the parts.
struct Apart {
    cached: u64,
    thought: u64,
    plain: u64,
    total: Option<u64>,
}

// === impl Apart ===

impl Apart {
    fn total_is(&self, sum: u64) -> bool {
        self.total == Some(sum)
    }

    fn total_has_cached(&self) -> bool {
        let sum = self.plain + self.cached;
        self.total_is(sum) || self.total_is(sum + self.thought)
    }

    fn total_has_thought(&self) -> bool {
        let sum = self.plain + self.thought;
        self.total_is(sum) || self.total_is(sum + self.cached)
    }
}
