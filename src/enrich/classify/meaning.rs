//! What each class means for the person on call: phase, whose problem, whether to retry.
//!
//! One table; a signature may override phase and retry where a provider says more (a daily quota
//! refills by itself, a request larger than the whole limit never fits).

use crate::call::{FailureClass, FaultDomain, Phase, RetryAdvice};

/// The usual circumstances of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    pub phase: Phase,
    pub fault_domain: FaultDomain,
    pub retry: RetryAdvice,
}

/// The row of a class.
///
/// Sources: the error guides of OpenAI (a quota is not restored by retrying; 429 and 503 are),
/// Anthropic (529 and 5xx are retried, 4xx are not) and Google (UNAVAILABLE and
/// DEADLINE_EXCEEDED are retried with back-off).
pub fn meaning(class: FailureClass) -> Meaning {
    use FailureClass::*;
    use FaultDomain::{Ours, Provider, Unknown as Nobody};
    use Phase::{AfterGeneration as After, BeforeGeneration as Before, DuringGeneration as During};
    use RetryAdvice::{AfterDelay, AfterFix, Immediately, Never};
    let (phase, fault_domain, retry) = match class {
        // The request or the account has to change.
        RequestInvalid | RequestInvalidSchema | RequestContextLength | RequestTooLarge => {
            (Before, Ours, AfterFix)
        }
        AuthInvalidKey | AuthMissingKey => (Before, Ours, AfterFix),
        AccessPermissionDenied | AccessModelUnavailable | AccessRegionUnsupported => {
            (Before, Ours, AfterFix)
        }
        BillingQuotaExhausted => (Before, Ours, AfterFix),
        ModelIncompatible | ModelDeprecated => (Before, Ours, AfterFix),
        // Limits of ours clear by waiting.
        RateLimitRequests | RateLimitTokens | RateLimitConcurrency | RateLimitUnspecified => {
            (Before, Ours, AfterDelay)
        }
        // The provider has to recover.
        CapacityOverloaded | ProviderUnavailable => (Before, Provider, AfterDelay),
        ProviderServerError => (During, Provider, AfterDelay),
        NetworkTimeout => (During, Nobody, AfterDelay),
        NetworkConnection => (Before, Nobody, AfterDelay),
        StreamInterrupted => (During, Nobody, Immediately),
        ClientCancelled => (During, Ours, Never),
        // The model answered, but not what was needed: another sample may do.
        OutputEmpty | OutputInvalidJson | OutputSchemaViolation => (After, Provider, Immediately),
        ToolUnknownTool | ToolInvalidArguments => (After, Provider, Immediately),
        OutputTruncated => (After, Ours, AfterFix),
        OutputContentFiltered => (Before, Ours, AfterFix),
        OutputRefusal => (After, Ours, AfterFix),
        ToolExecutionFailed => (After, Ours, AfterFix),
        AppError => (After, Ours, AfterFix),
        Unknown => (Before, Nobody, AfterDelay),
    };
    Meaning {
        phase,
        fault_domain,
        retry,
    }
}
