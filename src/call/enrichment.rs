//! What Lapwing works out about a call: failure, cost, profile.

use super::{FailureClass, FaultDomain, Phase, RetryAdvice};

/// Everything that `enrich` adds to a call.
#[derive(Debug, Clone, Default)]
pub struct Enrichment {
    /// `None` = the call was good.
    pub failure: Option<Failure>,
    /// How the stream went: `complete`, `interrupted`, `cancelled`, or empty when the call was
    /// not streamed or not told.
    pub stream_outcome: &'static str,
    pub cost: Cost,
    pub profile: Profile,
}

/// The verdict about a failed call, with its evidence.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    pub class: FailureClass,
    pub phase: Phase,
    pub fault_domain: FaultDomain,
    pub retry: RetryAdvice,
    /// Milliseconds to wait, when the provider told.
    pub retry_after_ms: Option<u64>,
    /// HTTP status from an attribute or from the text.
    pub http_status: Option<u16>,
    /// The provider's error code or type, from an attribute or from the text; may be empty.
    pub error_code: String,
    /// The provider's request id, from the text; may be empty.
    pub request_id: String,
    /// Redacted, shortened error text.
    pub message: String,
    /// Rule id, and after a colon the text that matched.
    pub evidence: String,
}

/// Money in USD. `None` is "not known", never 0.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cost {
    pub total_usd: Option<f64>,
    pub input_usd: Option<f64>,
    pub output_usd: Option<f64>,
    pub status: CostStatus,
    /// The price row used, such as `openai/gpt-4o@2024-08-06`; empty when none was.
    pub price_id: String,
}

/// Why the cost is what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CostStatus {
    /// Priced from provider-reported tokens.
    Priced,
    /// A part has no count or no price (one side, or the service tier): a lower or upper bound.
    Partial,
    /// Priced from tokens that the instrumentation guessed.
    Estimated,
    /// No price of ours; the instrumentation's own figure is kept.
    Reported,
    /// The call has no token counts.
    #[default]
    NoTokens,
    /// The model is not in the price table.
    NoPrice,
    /// The call failed before generation: nothing is billed.
    NotBilled,
}

/// What kind of input and output the call had; every count is of Unicode text, not bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Profile {
    pub message_count: u32,
    pub input_chars: u32,
    pub input_words: u32,
    /// Characters of the last user message.
    pub user_chars: u32,
    /// XXH3-64 of the system prompt; 0 when there is none.
    pub system_prompt_hash: u64,
    /// XXH3-64 of the whole input; 0 when content was not recorded.
    pub prompt_hash: u64,
    pub has_code: bool,
    /// ISO 639-3 of the user's text; empty when unsure or too short.
    pub language: &'static str,
    pub context_documents: u16,
    pub input_flags: Vec<&'static str>,
    pub output_chars: u32,
    pub output_flags: Vec<&'static str>,
    pub tool_names: Vec<String>,
    pub tool_flags: Vec<&'static str>,
}

// === impl CostStatus ===

impl CostStatus {
    /// The name stored in `llm_calls.cost_status`.
    pub fn as_str(self) -> &'static str {
        match self {
            CostStatus::Priced => "priced",
            CostStatus::Partial => "partial",
            CostStatus::Estimated => "estimated",
            CostStatus::Reported => "reported",
            CostStatus::NoTokens => "no_tokens",
            CostStatus::NoPrice => "no_price",
            CostStatus::NotBilled => "not_billed",
        }
    }
}
