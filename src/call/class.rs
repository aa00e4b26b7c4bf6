//! The failure taxonomy: a closed set of classes, and what each means for the person on call.

/// What went wrong with a call. The closed set of the project; its text form is `llm.<...>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FailureClass {
    RequestInvalid,
    RequestInvalidSchema,
    RequestContextLength,
    RequestTooLarge,
    AuthInvalidKey,
    AuthMissingKey,
    AccessPermissionDenied,
    AccessModelUnavailable,
    AccessRegionUnsupported,
    BillingQuotaExhausted,
    RateLimitRequests,
    RateLimitTokens,
    RateLimitConcurrency,
    RateLimitUnspecified,
    CapacityOverloaded,
    ProviderServerError,
    ProviderUnavailable,
    NetworkTimeout,
    NetworkConnection,
    StreamInterrupted,
    ClientCancelled,
    OutputEmpty,
    OutputTruncated,
    OutputContentFiltered,
    OutputRefusal,
    OutputInvalidJson,
    OutputSchemaViolation,
    ToolUnknownTool,
    ToolInvalidArguments,
    ToolExecutionFailed,
    ModelIncompatible,
    ModelDeprecated,
    AppError,
    Unknown,
}

/// When in the life of the call the failure happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    BeforeGeneration,
    DuringGeneration,
    AfterGeneration,
}

/// Whose problem it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultDomain {
    Ours,
    Provider,
    Unknown,
}

/// Will the same request succeed if sent again?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RetryAdvice {
    Never,
    AfterDelay,
    Immediately,
    AfterFix,
}

// === impl FailureClass ===

impl FailureClass {
    /// Every class, in the order of the documentation.
    pub const ALL: [FailureClass; 34] = {
        use FailureClass::*;
        [
            RequestInvalid,
            RequestInvalidSchema,
            RequestContextLength,
            RequestTooLarge,
            AuthInvalidKey,
            AuthMissingKey,
            AccessPermissionDenied,
            AccessModelUnavailable,
            AccessRegionUnsupported,
            BillingQuotaExhausted,
            RateLimitRequests,
            RateLimitTokens,
            RateLimitConcurrency,
            RateLimitUnspecified,
            CapacityOverloaded,
            ProviderServerError,
            ProviderUnavailable,
            NetworkTimeout,
            NetworkConnection,
            StreamInterrupted,
            ClientCancelled,
            OutputEmpty,
            OutputTruncated,
            OutputContentFiltered,
            OutputRefusal,
            OutputInvalidJson,
            OutputSchemaViolation,
            ToolUnknownTool,
            ToolInvalidArguments,
            ToolExecutionFailed,
            ModelIncompatible,
            ModelDeprecated,
            AppError,
            Unknown,
        ]
    };

    /// The text form, as stored and shown.
    pub fn as_str(self) -> &'static str {
        use FailureClass::*;
        match self {
            RequestInvalid => "llm.request.invalid",
            RequestInvalidSchema => "llm.request.invalid_schema",
            RequestContextLength => "llm.request.context_length",
            RequestTooLarge => "llm.request.too_large",
            AuthInvalidKey => "llm.auth.invalid_key",
            AuthMissingKey => "llm.auth.missing_key",
            AccessPermissionDenied => "llm.access.permission_denied",
            AccessModelUnavailable => "llm.access.model_unavailable",
            AccessRegionUnsupported => "llm.access.region_unsupported",
            BillingQuotaExhausted => "llm.billing.quota_exhausted",
            RateLimitRequests => "llm.rate_limit.requests",
            RateLimitTokens => "llm.rate_limit.tokens",
            RateLimitConcurrency => "llm.rate_limit.concurrency",
            RateLimitUnspecified => "llm.rate_limit.unspecified",
            CapacityOverloaded => "llm.capacity.overloaded",
            ProviderServerError => "llm.provider.server_error",
            ProviderUnavailable => "llm.provider.unavailable",
            NetworkTimeout => "llm.network.timeout",
            NetworkConnection => "llm.network.connection",
            StreamInterrupted => "llm.stream.interrupted",
            ClientCancelled => "llm.client.cancelled",
            OutputEmpty => "llm.output.empty",
            OutputTruncated => "llm.output.truncated",
            OutputContentFiltered => "llm.output.content_filtered",
            OutputRefusal => "llm.output.refusal",
            OutputInvalidJson => "llm.output.invalid_json",
            OutputSchemaViolation => "llm.output.schema_violation",
            ToolUnknownTool => "llm.tool.unknown_tool",
            ToolInvalidArguments => "llm.tool.invalid_arguments",
            ToolExecutionFailed => "llm.tool.execution_failed",
            ModelIncompatible => "llm.model.incompatible",
            ModelDeprecated => "llm.model.deprecated",
            AppError => "llm.app.error",
            Unknown => "llm.unknown",
        }
    }

    /// The class of a text form; `None` for a word that is not in the set.
    pub fn parse(text: &str) -> Option<FailureClass> {
        Self::ALL.into_iter().find(|c| c.as_str() == text)
    }
}

// === impl Phase ===

impl Phase {
    /// The text form, as stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::BeforeGeneration => "before_generation",
            Phase::DuringGeneration => "during_generation",
            Phase::AfterGeneration => "after_generation",
        }
    }
}

// === impl FaultDomain ===

impl FaultDomain {
    /// The text form, as stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            FaultDomain::Ours => "ours",
            FaultDomain::Provider => "provider",
            FaultDomain::Unknown => "unknown",
        }
    }
}

// === impl RetryAdvice ===

impl RetryAdvice {
    /// The text form, as stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            RetryAdvice::Never => "never",
            RetryAdvice::AfterDelay => "after_delay",
            RetryAdvice::Immediately => "immediately",
            RetryAdvice::AfterFix => "after_fix",
        }
    }
}
