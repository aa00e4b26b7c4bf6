//! What the detector answers: incidents, with the scope and the evidence that explain them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// An incident opened, changed or closed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Event time at which it was noticed.
    pub at_ns: u64,
    pub state: State,
    pub incident: Incident,
}

/// What happened to an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Opened,
    /// Scope, severity or impact grew.
    Updated,
    Closed,
}

/// One thing that went wrong, from its onset to its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// The same on every replica and in every replay: made of kind, scope at opening and onset.
    pub id: u64,
    pub kind: Kind,
    pub severity: Severity,
    /// The blast radius as labels: the smallest scope that explains the excess.
    pub scope: Scope,
    /// Estimated begin.
    pub onset_ns: u64,
    /// When it was raised.
    pub raised_ns: u64,
    pub ended_ns: Option<u64>,
    /// Text form of the failure class that dominates; empty when it is not about failures.
    pub failure_class: String,
    /// Name of the statistical test or configured rule that found it.
    pub rule: String,
    pub confidence: Confidence,
    pub observed: Observed,
    pub exemplars: Vec<Exemplar>,
    /// Error codes or HTTP statuses with counts, most frequent first.
    pub codes: Vec<(String, u64)>,
    /// One redacted error text.
    pub error: String,
    pub blast_radius: Vec<BlastRadius>,
    /// Scopes beside this one that see the same kind of traffic and are well.
    pub not_affected: Vec<Scope>,
    /// What changed in the hour before the onset.
    pub changes: Vec<Delta>,
    pub impact: Impact,
}

/// Labels of a scope; a dimension that is absent means "all".
pub type Scope = BTreeMap<Dimension, Vec<String>>;

/// A label of a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    Tenant,
    Service,
    Environment,
    Region,
    Feature,
    Provider,
    RequestModel,
}

/// The closed set of what Lapwing raises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    RateLimitSpike,
    QuotaExhausted,
    AuthFailure,
    ModelChange,
    UnapprovedModel,
    EmptyRise,
    TruncatedRise,
    RefusalRise,
    ContentFilterRise,
    SchemaViolationRise,
    InvalidRequestRise,
    ToolErrorRise,
    ProviderOutage,
    RetryStorm,
    LatencyShift,
    CostBurn,
    BudgetExceeded,
    RunawayTenant,
    InputShift,
    ContextGrowth,
    ContextThrash,
    EvalDrop,
    TelemetryGap,
    ModelDeprecation,
    QuotaLow,
}

/// How soon somebody must look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Info,
    Ticket,
    Page,
}

/// How sure the detector is of the kind and class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    Low,
    Medium,
    High,
}

/// The number that moved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    pub value: f64,
    pub baseline: f64,
    /// The value at which the test or rule raises.
    pub threshold: f64,
    pub unit: Unit,
    /// Calls (or cases) that the value rests on.
    pub sample: u64,
    pub window_s: f64,
}

/// Of what `observed` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A share of calls, 0 to 1.
    Ratio,
    Seconds,
    Tokens,
    Characters,
    Usd,
    UsdPerHour,
    Calls,
    /// Share of evaluation cases that passed, 0 to 1.
    PassRate,
    /// No number, such as a model's name that changed.
    None,
}

/// A call that shows the incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exemplar {
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
    pub request_id: String,
    pub at_ns: u64,
}

/// One dimension, and how the affected calls are spread over its values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BlastRadius {
    /// A dimension's name, or `tool`, `response_model`, `streaming`, `code`.
    pub dimension: String,
    pub values: Vec<Share>,
}

/// A value's share of the affected calls, and of the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Share {
    pub value: String,
    pub share_inside: f64,
    pub share_outside: f64,
    pub lift: f64,
}

/// Something that changed: a model's name, a version, a prompt's hash, a price.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delta {
    pub what: String,
    pub from: String,
    pub to: String,
    pub at_ns: u64,
}

/// What it cost so far, from the onset.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Impact {
    pub calls: u64,
    pub failed: u64,
    pub tenants: u64,
    pub tokens: u64,
    pub cost_usd: Option<f64>,
    /// Attempts for one logical call.
    pub amplification: Option<f64>,
}

/// A word that is no kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an alert kind")]
pub struct UnknownKind(pub String);

// === impl Dimension ===

impl Dimension {
    /// Every dimension, in the order of labels.
    pub const ALL: [Dimension; 7] = [
        Dimension::Tenant,
        Dimension::Service,
        Dimension::Environment,
        Dimension::Region,
        Dimension::Feature,
        Dimension::Provider,
        Dimension::RequestModel,
    ];

    /// The label's name: the column of `llm_calls`.
    pub fn as_str(self) -> &'static str {
        match self {
            Dimension::Tenant => "tenant",
            Dimension::Service => "service",
            Dimension::Environment => "environment",
            Dimension::Region => "region",
            Dimension::Feature => "feature",
            Dimension::Provider => "provider",
            Dimension::RequestModel => "request_model",
        }
    }
}

// === impl Kind ===

impl Kind {
    /// Every kind, in the order of the contract.
    pub const ALL: [Kind; 25] = [
        Kind::RateLimitSpike,
        Kind::QuotaExhausted,
        Kind::AuthFailure,
        Kind::ModelChange,
        Kind::UnapprovedModel,
        Kind::EmptyRise,
        Kind::TruncatedRise,
        Kind::RefusalRise,
        Kind::ContentFilterRise,
        Kind::SchemaViolationRise,
        Kind::InvalidRequestRise,
        Kind::ToolErrorRise,
        Kind::ProviderOutage,
        Kind::RetryStorm,
        Kind::LatencyShift,
        Kind::CostBurn,
        Kind::BudgetExceeded,
        Kind::RunawayTenant,
        Kind::InputShift,
        Kind::ContextGrowth,
        Kind::ContextThrash,
        Kind::EvalDrop,
        Kind::TelemetryGap,
        Kind::ModelDeprecation,
        Kind::QuotaLow,
    ];

    /// The word used in alerts, routes and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::RateLimitSpike => "rate_limit_spike",
            Kind::QuotaExhausted => "quota_exhausted",
            Kind::AuthFailure => "auth_failure",
            Kind::ModelChange => "model_change",
            Kind::UnapprovedModel => "unapproved_model",
            Kind::EmptyRise => "empty_rise",
            Kind::TruncatedRise => "truncated_rise",
            Kind::RefusalRise => "refusal_rise",
            Kind::ContentFilterRise => "content_filter_rise",
            Kind::SchemaViolationRise => "schema_violation_rise",
            Kind::InvalidRequestRise => "invalid_request_rise",
            Kind::ToolErrorRise => "tool_error_rise",
            Kind::ProviderOutage => "provider_outage",
            Kind::RetryStorm => "retry_storm",
            Kind::LatencyShift => "latency_shift",
            Kind::CostBurn => "cost_burn",
            Kind::BudgetExceeded => "budget_exceeded",
            Kind::RunawayTenant => "runaway_tenant",
            Kind::InputShift => "input_shift",
            Kind::ContextGrowth => "context_growth",
            Kind::ContextThrash => "context_thrash",
            Kind::EvalDrop => "eval_drop",
            Kind::TelemetryGap => "telemetry_gap",
            Kind::ModelDeprecation => "model_deprecation",
            Kind::QuotaLow => "quota_low",
        }
    }
}

impl std::str::FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(word: &str) -> Result<Kind, UnknownKind> {
        Kind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == word)
            .ok_or_else(|| UnknownKind(word.to_owned()))
    }
}

// === impl Severity ===

impl Severity {
    /// The word used in alerts and routes.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Ticket => "ticket",
            Severity::Page => "page",
        }
    }
}
