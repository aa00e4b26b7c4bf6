//! What an operator may set. Without any of it the detector works.

use serde::{Deserialize, Serialize};

use super::{Kind, Scope};

/// How much evidence an alert needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sensitivity {
    /// Fewer false alerts, a third later.
    Low,
    #[default]
    Medium,
    /// A quarter sooner, several times the false alerts.
    High,
}

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DetectorConfig {
    pub sensitivity: Sensitivity,
    /// How late a fact may be and still be counted in its place, seconds. It delays every alert
    /// by as much. 0 for input that is in order.
    pub lateness_s: u32,
    /// Keys (service, feature, provider, model ...) that are kept.
    pub keys_max: usize,
    /// Kinds that are never raised.
    pub disabled: Vec<Kind>,
    /// Models that may answer, by full name or with a final `*`; empty = all.
    pub approved_models: Vec<String>,
    /// Models with an announced end.
    pub deprecated_models: Vec<String>,
    pub rules: Vec<StaticRule>,
    pub budgets: Vec<Budget>,
    /// The first one whose scope matches is used.
    pub overrides: Vec<Override>,
}

/// A fixed limit, for those who must have one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaticRule {
    pub name: String,
    pub kind: Kind,
    #[serde(default)]
    pub scope: Scope,
    /// Text form of a failure class or the beginning of one (`llm.rate_limit`); empty = any.
    #[serde(default)]
    pub failure_class: String,
    /// Share of calls above which it raises.
    pub above: f64,
    /// Not before so many calls were seen in the window.
    pub calls_min: u32,
    pub window_s: u32,
}

/// Money that may be spent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    pub name: String,
    #[serde(default)]
    pub scope: Scope,
    pub usd: f64,
    pub period: Period,
}

/// What a budget is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    Hour,
    Day,
    /// 30 days.
    Month,
}

/// Another setting for a part of the traffic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Override {
    pub scope: Scope,
    /// Kinds that this is about; empty = all.
    #[serde(default)]
    pub kinds: Vec<Kind>,
    #[serde(default)]
    pub sensitivity: Option<Sensitivity>,
    #[serde(default)]
    pub disabled: bool,
}

// === impl DetectorConfig ===

impl Default for DetectorConfig {
    fn default() -> DetectorConfig {
        DetectorConfig {
            sensitivity: Sensitivity::default(),
            lateness_s: 0,
            keys_max: 100_000,
            disabled: Vec::new(),
            approved_models: Vec::new(),
            deprecated_models: Vec::new(),
            rules: Vec::new(),
            budgets: Vec::new(),
            overrides: Vec::new(),
        }
    }
}

impl DetectorConfig {
    /// The override for an incident, if any.
    pub fn override_of(&self, kind: Kind, scope: &Scope) -> Option<&Override> {
        self.overrides
            .iter()
            .find(|o| (o.kinds.is_empty() || o.kinds.contains(&kind)) && lies_in(scope, &o.scope))
    }
}

impl DetectorConfig {
    /// Nats that an incident of this kind and scope needs.
    pub fn evidence(&self, kind: Kind, scope: &Scope) -> f32 {
        let own = self.override_of(kind, scope).and_then(|o| o.sensitivity);
        own.unwrap_or(self.sensitivity).evidence()
    }

    /// The least that any incident needs.
    pub fn least_evidence(&self) -> f32 {
        let own = self.overrides.iter().filter_map(|o| o.sensitivity);
        own.chain([self.sensitivity])
            .map(Sensitivity::evidence)
            .fold(f32::MAX, f32::min)
    }
}

// === impl Sensitivity ===

impl Sensitivity {
    /// Nats of evidence that an alert needs.
    ///
    /// A test without change passes `h` nats about every `e^h` calls; with some hundred tests per
    /// call on 10^6 calls a week, 13 leaves about one false alert a week.
    pub fn evidence(self) -> f32 {
        match self {
            Sensitivity::Low => 16.0,
            Sensitivity::Medium => 13.0,
            Sensitivity::High => 9.0,
        }
    }
}

/// Is `scope` inside of `wide`? A value of `wide` may end in `*`.
pub fn lies_in(scope: &Scope, wide: &Scope) -> bool {
    wide.iter().all(|(dimension, allowed)| {
        scope.get(dimension).is_some_and(|values| {
            values
                .iter()
                .all(|value| allowed.iter().any(|pattern| matches(pattern, value)))
        })
    })
}

/// A name, or the beginning of one before a final `*`.
pub fn matches(pattern: &str, value: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => value.starts_with(start),
        None => pattern == value,
    }
}
