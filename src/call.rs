//! The model: one attempt of one model call, whoever instrumented it.
//!
//! Depends on nothing. `normalise` fills a [`Call`] from spans and log events, `enrich` adds an
//! [`Enrichment`], `block` writes both as one row of `llm_calls`. No attribute name, no OTLP type
//! and no ClickHouse type appears here. Texts are borrowed from the request (or its arena), so a
//! call lives as long as the request that brought it.

mod class;
mod content;
mod enrichment;
mod evaluation;
mod tool;

pub use class::{FailureClass, FaultDomain, Phase, RetryAdvice};
pub use content::{Message, Part, PartKind, Role, ToolDefinition};
pub use enrichment::{Cost, CostStatus, Enrichment, Failure, Profile};
pub use evaluation::Evaluation;
pub use tool::{ToolCall, ToolLayer, ToolOutcome, ToolRun};

/// One attempt of a model call as recorded: what was asked, by whom, what came back.
///
/// Empty strings and `None` mean "not recorded". Times are nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Call<'a> {
    // Which span.
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
    pub parent_span_id: Option<[u8; 8]>,
    pub span_name: &'a str,
    /// Set when this row is a second view (twin, wrapper) of another row, which counts instead.
    pub duplicate_of: Option<[u8; 8]>,
    pub start_ns: u64,
    pub duration_ns: u64,
    /// Time from the start to the first token.
    pub ttft_ns: Option<u64>,

    // Who asked.
    pub service: &'a str,
    pub service_version: &'a str,
    pub environment: &'a str,
    pub region: &'a str,
    pub tenant: &'a str,
    pub feature: &'a str,
    pub user_id: &'a str,
    pub session_id: &'a str,
    /// The user's own labels, such as tags and metadata.
    pub dimensions: &'a [(&'a str, &'a str)],

    // Who recorded it.
    pub instrumentation: &'a str,
    pub instrumentation_version: &'a str,
    /// Name of the convention that was recognised, such as `otel_gen_ai` or `openinference`.
    pub convention: &'static str,
    /// Version of the semantic convention, when the scope names one.
    pub schema_version: &'a str,

    // What was asked.
    pub operation: Operation,
    /// The API, such as `chat_completions`, `responses`, `messages`; or the URL path.
    pub endpoint: &'a str,
    /// `interactive`, `deferred` or `batch`, when told.
    pub lane: &'a str,
    /// Normalised provider id, such as `openai`, `anthropic`, `aws.bedrock`.
    pub provider: &'a str,
    pub server_address: &'a str,
    pub request_model: &'a str,
    pub max_tokens: Option<u64>,
    pub streaming: Option<bool>,
    /// What kind of answer was asked for.
    pub response_format: ResponseFormat,
    /// JSON schema of the answer that was asked for, as JSON text.
    pub response_schema: &'a str,
    /// Tools that the model was allowed to call; `None` when the instrumentation does not record
    /// them.
    pub tool_definitions: Option<&'a [ToolDefinition<'a>]>,

    // What came back.
    pub response_model: &'a str,
    pub system_fingerprint: &'a str,
    pub service_tier: &'a str,
    pub response_id: &'a str,
    pub request_id: &'a str,
    pub usage: Usage,
    /// As recorded, in the recorder's spelling.
    pub finish_reason: &'a str,
    /// What kind of end the finish reason tells.
    pub finish: Finish,
    /// Cost in USD as the instrumentation reported it.
    pub reported_cost_usd: Option<f64>,

    // How it failed, as recorded.
    pub errors: Errors<'a>,
    /// 1 for the first attempt of the same logical call.
    pub attempt: u16,

    // What was said.
    pub input: Content<'a>,
    pub output: Content<'a>,
    /// What came of the tool calls in the answer, as far as spans show it.
    pub tool_runs: &'a [ToolRun<'a>],
    /// Names of tools that were executed with success in this trace before this call began, each
    /// once. Told of calls that failed or did not end in the ordinary way.
    pub tools_done: &'a [&'a str],
    /// 1 when all calls are sent; 10 when the sender keeps one in ten.
    pub sample_weight: f64,
}

/// What the model was asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Operation {
    #[default]
    Chat,
    TextCompletion,
    Embeddings,
    GenerateContent,
    Rerank,
    Image,
    Audio,
    /// An agent framework's own operation whose model calls were not recorded.
    InvokeAgent,
    /// Recognised by its URL only.
    Http,
    /// No model call: a tool at work that no answer asked for. Its only row is in
    /// `llm_tool_calls`.
    ExecuteTool,
}

/// The kind of answer that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ResponseFormat {
    #[default]
    Unspecified,
    Text,
    Json,
}

/// Tokens as billed: input includes cached ones, output includes reasoning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    pub input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
    pub cache_read_tokens: Option<u64>,
    pub cache_write_tokens: Option<u64>,
    /// The part of `cache_write_tokens` that was written for one hour (dearer than 5 minutes).
    pub cache_write_1h_tokens: Option<u64>,
    pub reasoning_tokens: Option<u64>,
    /// The parts of `input_tokens` and `output_tokens` that were sound, which has a price of its own.
    pub input_audio_tokens: Option<u64>,
    pub output_audio_tokens: Option<u64>,
    pub source: TokensSource,
}

/// Where the token counts come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TokensSource {
    /// No counts.
    #[default]
    None,
    /// Reported by the provider.
    Provider,
    /// Guessed by the instrumentation.
    Estimated,
}

/// How the generation ended, from any spelling of the finish reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Finish {
    /// No finish reason recorded.
    #[default]
    Unknown,
    Stop,
    Length,
    ToolCalls,
    ContentFilter,
    Refusal,
    /// The recorder says that it ended by an error.
    Error,
    /// The recorder says that the stream ended without a reason (`""`, `unknown`, `interrupted`).
    Interrupted,
    Cancelled,
    /// A word that no table knows.
    Other,
}

/// The error evidence of a call, from its span, its events, its wrapper and its HTTP child.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Errors<'a> {
    /// The span status says Error (here or on a twin).
    pub is_error: bool,
    pub http_status: Option<u16>,
    /// `error.type`, as recorded: a class name, a provider's type or code, or a status.
    pub error_type: &'a str,
    /// The provider's error code, when recorded apart from the text.
    pub error_code: &'a str,
    pub exception_type: &'a str,
    /// Texts from the most to the least specific: exception message, status message, others.
    pub messages: &'a [&'a str],
    /// Delay that a header or field told, in milliseconds.
    pub retry_after_ms: Option<u64>,
}

/// One side of the conversation.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Content<'a> {
    /// Was this side recorded at all? Distinguishes "empty answer" from "content is off".
    pub recorded: bool,
    /// What is stored: JSON messages, or plain text where the recorder has nothing better.
    pub text: &'a str,
    /// The same, taken apart; empty when it could not be.
    pub messages: &'a [Message<'a>],
}

// === impl Operation ===

impl Operation {
    /// The name stored in `llm_calls.operation`.
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Chat => "chat",
            Operation::TextCompletion => "text_completion",
            Operation::Embeddings => "embeddings",
            Operation::GenerateContent => "generate_content",
            Operation::Rerank => "rerank",
            Operation::Image => "image",
            Operation::Audio => "audio",
            Operation::InvokeAgent => "invoke_agent",
            Operation::Http => "http",
            Operation::ExecuteTool => "execute_tool",
        }
    }
}

// === impl TokensSource ===

impl TokensSource {
    /// The name stored in `llm_calls.tokens_source`.
    pub fn as_str(self) -> &'static str {
        match self {
            TokensSource::None => "none",
            TokensSource::Provider => "provider",
            TokensSource::Estimated => "estimated",
        }
    }
}
