//! The yes-or-no questions that are asked of every call, and what is known of each beforehand.
//!
//! A signal has trials (calls to which the question applies) and hits. Failures are signals, and
//! so are shifts: "longer than any usual call" is a yes or no as well, so that one test serves all.

use crate::call::FailureClass;

use super::Kind;

/// What is known of a signal beforehand.
pub struct Spec {
    /// What its rise is called; `None` = evidence for others only.
    pub kind: Option<Kind>,
    /// Share of hits to expect before anything was seen (public reports of LLM traffic; the pool
    /// takes over within some hundred calls).
    pub prior: f32,
    /// The smallest rise worth an alert, a share of trials. Below it nobody acts.
    pub least: f32,
    /// Seconds that a burst may last without being an incident: errors that heal themselves within
    /// a minute are not paged. A key or a quota does not heal itself.
    pub blip_s: u32,
    /// Levels of the lattice that are tested: bits of [`super::lattice::LEVELS`].
    pub levels: u16,
}

/// Every level without a tenant.
const WIDE: u16 = 0b01_1111_1111;
/// Levels below a service: what a caller does to itself.
const OURS: u16 = 0b00_0000_0111;
/// What a provider does to one customer.
const METERED: u16 = 0b11_1111_1111;

const fn spec(kind: Kind, prior: f32, least: f32, blip_s: u32, levels: u16) -> Spec {
    Spec {
        kind: Some(kind),
        prior,
        least,
        blip_s,
        levels,
    }
}

const fn silent(prior: f32) -> Spec {
    Spec {
        kind: None,
        prior,
        least: 0.05,
        blip_s: 30,
        levels: OURS,
    }
}

/// Makes the questions, what is known of each and their list, so that they cannot disagree.
macro_rules! signals {
    ($($(#[$doc:meta])* $name:ident: $spec:expr,)*) => {
        /// A question. The number is the bit in a mask.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Signal {
            $($(#[$doc])* $name,)*
        }

        /// Number of signals.
        pub const SIGNALS: usize = [$(Signal::$name),*].len();

        impl Signal {
            /// Every signal, in order.
            pub const ALL: [Signal; SIGNALS] = [$(Signal::$name),*];
        }

        /// The table, in the order of [`Signal`].
        pub static SPECS: [Spec; SIGNALS] = [$($spec),*];
    };
}

signals! {
    RateLimit: spec(Kind::RateLimitSpike, 0.02, 0.025, 56, METERED),
    Quota: spec(Kind::QuotaExhausted, 0.0003, 0.04, 16, METERED),
    Auth: spec(Kind::AuthFailure, 0.0005, 0.04, 30, METERED),
    Outage: spec(Kind::ProviderOutage, 0.04, 0.03, 56, WIDE),
    /// Of the outages, those that the provider tells itself: timeouts, which every day has, left out.
    Broken: spec(Kind::ProviderOutage, 0.008, 0.02, 56, WIDE),
    Empty: spec(Kind::EmptyRise, 0.01, 0.02, 56, WIDE),
    Truncated: spec(Kind::TruncatedRise, 0.015, 0.025, 30, WIDE),
    Refusal: spec(Kind::RefusalRise, 0.005, 0.02, 30, WIDE),
    Filter: spec(Kind::ContentFilterRise, 0.003, 0.02, 30, WIDE),
    Schema: spec(Kind::SchemaViolationRise, 0.02, 0.025, 30, WIDE),
    Invalid: spec(Kind::InvalidRequestRise, 0.002, 0.025, 30, WIDE),
    ContextLength: spec(Kind::ContextThrash, 0.001, 0.03, 56, OURS),
    Deprecated: spec(Kind::ModelDeprecation, 0.0002, 0.02, 16, WIDE),
    Tool: spec(Kind::ToolErrorRise, 0.025, 0.05, 56, OURS),
    /// Of the failures that invite a retry: was it retried?
    Retry: spec(Kind::RetryStorm, 0.5, 0.2, 56, OURS),
    /// An attempt beyond what clients do on a normal day.
    DeepRetry: spec(Kind::RetryStorm, 0.0005, 0.01, 56, OURS),
    Latency: spec(Kind::LatencyShift, 0.03, 0.1, 56, WIDE),
    LatencyTail: spec(Kind::LatencyShift, 0.008, 0.04, 56, WIDE),
    Ttft: spec(Kind::LatencyShift, 0.03, 0.1, 56, WIDE),
    InputLow: spec(Kind::InputShift, 0.05, 0.12, 30, OURS),
    UserLow: spec(Kind::InputShift, 0.05, 0.12, 30, OURS),
    InputHigh: spec(Kind::ContextGrowth, 0.04, 0.14, 56, OURS),
    CostHigh: spec(Kind::CostBurn, 0.04, 0.1, 56, OURS),
    OutputHigh: silent(0.04),
}

/// The signal of a failure class; `None` when nothing is raised on it.
pub fn of_class(class: FailureClass) -> Option<Signal> {
    use FailureClass::*;
    Some(match class {
        RateLimitRequests | RateLimitTokens | RateLimitConcurrency | RateLimitUnspecified => {
            Signal::RateLimit
        }
        BillingQuotaExhausted => Signal::Quota,
        AuthInvalidKey
        | AuthMissingKey
        | AccessPermissionDenied
        | AccessModelUnavailable
        | AccessRegionUnsupported => Signal::Auth,
        CapacityOverloaded | ProviderServerError | ProviderUnavailable | NetworkTimeout
        | NetworkConnection | StreamInterrupted => Signal::Outage,
        OutputEmpty => Signal::Empty,
        OutputTruncated => Signal::Truncated,
        OutputRefusal => Signal::Refusal,
        OutputContentFiltered => Signal::Filter,
        OutputInvalidJson | OutputSchemaViolation => Signal::Schema,
        RequestInvalid | RequestInvalidSchema | RequestTooLarge | ModelIncompatible => {
            Signal::Invalid
        }
        RequestContextLength => Signal::ContextLength,
        ModelDeprecated => Signal::Deprecated,
        ToolUnknownTool | ToolInvalidArguments | ToolExecutionFailed => Signal::Tool,
        ClientCancelled | AppError | Unknown => return None,
    })
}

/// The signals that a failure class hits, as a mask.
pub fn hits_of(class: FailureClass) -> u32 {
    use FailureClass::*;
    let broken = matches!(
        class,
        CapacityOverloaded | ProviderServerError | ProviderUnavailable
    );
    of_class(class).map_or(0, Signal::bit) | if broken { Signal::Broken.bit() } else { 0 }
}

/// All signals of a kind.
pub fn of_kind(kind: Kind) -> u32 {
    let of = |s: &&Signal| s.spec().kind == Some(kind);
    Signal::ALL
        .iter()
        .filter(of)
        .fold(0, |mask, s| mask | s.bit())
}

/// Failures after which a client that retries at all retries.
pub fn invites_retry(class: FailureClass) -> bool {
    matches!(
        of_class(class),
        Some(Signal::RateLimit | Signal::Outage | Signal::Empty | Signal::Schema)
    )
}

// === impl Signal ===

impl Signal {
    /// The position in tables.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The bit in masks.
    pub const fn bit(self) -> u32 {
        1 << self as u32
    }

    /// Is it about how calls fail, not about how long or large they are?
    pub fn is_failure(self) -> bool {
        self.index() <= Signal::Tool.index()
    }

    /// What is known of it.
    pub fn spec(self) -> &'static Spec {
        &SPECS[self.index()]
    }
}
