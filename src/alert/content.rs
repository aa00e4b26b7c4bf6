//! Content: the payload of an alert, as its contract says, and the title in people's words.
//!
//! Everything from outside is bounded here, once: a payload stays below [`PAYLOAD_BYTES_MAX`]
//! whatever a model is called and however long an error is. Prompts and answers are never part of
//! it.

pub mod links;
mod title;

use std::collections::BTreeMap;

use serde::Serialize;

pub use self::links::{Bases, Links};
use super::{
    labels,
    model::{Alert, Event},
    runbook::Runbooks,
    text,
};
use crate::detect::{Confidence, Dimension, Incident, Scope, Unit};

/// What Standard Webhooks recommends at most.
pub const PAYLOAD_BYTES_MAX: usize = 20_000;
const ERROR_CHARS_MAX: usize = 1_500;
const NAME_CHARS_MAX: usize = 120;
const CALLS_MAX: usize = 5;
const CODES_MAX: usize = 10;
const DIMENSIONS_MAX: usize = 10;
const SHARES_MAX: usize = 5;
const BESIDE_MAX: usize = 8;
const CHANGES_MAX: usize = 8;

/// What is posted: Standard Webhooks' envelope around the alert.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Payload {
    #[serde(rename = "type")]
    pub event: String,
    pub timestamp: String,
    pub data: Data,
}

/// The alert.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Data {
    pub id: String,
    pub fingerprint: String,
    pub kind: &'static str,
    pub severity: &'static str,
    /// `firing` or `resolved`.
    pub status: &'static str,
    pub title: String,
    /// Estimated onset.
    pub starts_at: String,
    pub detected_at: String,
    pub ends_at: Option<String>,
    /// The scope; several values are separated by commas.
    pub labels: BTreeMap<String, String>,
    pub verdict: VerdictData,
    pub observed: ObservedData,
    pub evidence: Evidence,
    pub blast_radius: Vec<Radius>,
    pub not_affected: Vec<BTreeMap<String, String>>,
    pub changes: Vec<Changed>,
    pub impact: ImpactData,
    pub links: Links,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VerdictData {
    pub failure_class: String,
    pub fault_domain: String,
    pub phase: String,
    pub retry: String,
    pub clears_when: String,
    pub rule: String,
    pub confidence: &'static str,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ObservedData {
    pub value: f64,
    pub baseline: f64,
    pub threshold: f64,
    pub unit: &'static str,
    pub sample: u64,
    pub window_s: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evidence {
    pub calls: Vec<CallData>,
    pub codes: BTreeMap<String, u64>,
    pub error: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CallData {
    pub trace_id: String,
    pub span_id: String,
    pub request_id: String,
    pub at: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Radius {
    pub dimension: String,
    pub values: Vec<ShareData>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShareData {
    pub value: String,
    pub share_inside: f64,
    pub share_outside: f64,
    pub lift: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Changed {
    pub what: String,
    pub from: String,
    pub to: String,
    pub at: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImpactData {
    pub calls: u64,
    pub failed: u64,
    pub tenants: u64,
    pub tokens: u64,
    pub cost_usd: Option<f64>,
    pub amplification: Option<f64>,
}

/// The payload for one event of an alert. `now_ns` is when it is decided, not when it is sent.
pub fn payload(
    books: &Runbooks,
    bases: &Bases,
    alert: &Alert,
    event: Event,
    now_ns: u64,
) -> Payload {
    let incident = &alert.incident;
    let verdict = books.verdict(incident);
    let payload = Payload {
        event: format!("alert.{}", event.as_str()),
        timestamp: text::time(now_ns),
        data: Data {
            id: alert.id.clone(),
            fingerprint: alert.fingerprint.clone(),
            kind: incident.kind.as_str(),
            severity: incident.severity.as_str(),
            status: if event == Event::Resolved {
                "resolved"
            } else {
                "firing"
            },
            title: title::title(books, incident),
            starts_at: text::time(incident.onset_ns),
            detected_at: text::time(incident.raised_ns),
            ends_at: (event == Event::Resolved)
                .then(|| incident.ended_ns.or(alert.resolved_at_ns).map(text::time))
                .flatten(),
            labels: short_labels(incident),
            verdict: VerdictData {
                failure_class: text::line(&incident.failure_class, NAME_CHARS_MAX),
                fault_domain: verdict.fault_domain.to_owned(),
                phase: verdict.phase.to_owned(),
                retry: verdict.retry.to_owned(),
                clears_when: text::line(verdict.clears_when, 400),
                rule: text::line(&incident.rule, NAME_CHARS_MAX),
                confidence: confidence(incident.confidence),
            },
            observed: observed(incident),
            evidence: evidence(incident),
            blast_radius: blast_radius(incident),
            not_affected: incident
                .not_affected
                .iter()
                .take(BESIDE_MAX)
                .map(scope)
                .collect(),
            changes: incident
                .changes
                .iter()
                .take(CHANGES_MAX)
                .map(|delta| Changed {
                    what: text::line(&delta.what, 60),
                    from: text::line(&delta.from, NAME_CHARS_MAX),
                    to: text::line(&delta.to, NAME_CHARS_MAX),
                    at: text::time(delta.at_ns),
                })
                .collect(),
            impact: impact(incident),
            links: links::links(books, bases, alert, &verdict),
        },
    };
    fitted(payload)
}

/// Leaves out the least telling parts until it is small enough.
fn fitted(mut payload: Payload) -> Payload {
    const STEPS: [fn(&mut Data); 6] = [
        |data| data.evidence.error = text::line(&data.evidence.error, 300),
        |data| {
            data.blast_radius
                .iter_mut()
                .for_each(|row| row.values.truncate(2))
        },
        |data| data.not_affected.truncate(2),
        |data| data.changes.truncate(2),
        |data| data.links.sql.clear(),
        |data| (data.blast_radius, data.not_affected) = (Vec::new(), Vec::new()),
    ];
    for step in STEPS {
        let bytes = serde_json::to_string(&payload).map_or(0, |json| json.len());
        if bytes <= PAYLOAD_BYTES_MAX {
            break;
        }
        step(&mut payload.data);
    }
    payload
}

/// The value with its unit, in words: `96 % of calls`.
pub fn quantity(unit: Unit, value: f64) -> String {
    title::quantity(unit, value)
}

fn short_labels(incident: &Incident) -> BTreeMap<String, String> {
    let joined = labels::joined(&labels::scope(incident)).into_iter();
    joined
        .map(|(name, value)| (name, text::cut(&value, 400)))
        .collect()
}

fn scope(scope: &Scope) -> BTreeMap<String, String> {
    let short = |(dimension, values): (&Dimension, &Vec<String>)| {
        let values: Vec<String> = values.iter().take(3).map(|v| text::line(v, 80)).collect();
        (dimension.as_str().to_owned(), values.join(","))
    };
    scope.iter().map(short).collect()
}

fn observed(incident: &Incident) -> ObservedData {
    let observed = &incident.observed;
    ObservedData {
        value: finite(observed.value),
        baseline: finite(observed.baseline),
        threshold: finite(observed.threshold),
        unit: unit(observed.unit),
        sample: observed.sample,
        window_s: finite(observed.window_s),
    }
}

fn evidence(incident: &Incident) -> Evidence {
    let call = |e: &crate::detect::Exemplar| CallData {
        trace_id: hex(&e.trace_id),
        span_id: hex(&e.span_id),
        request_id: text::line(&e.request_id, NAME_CHARS_MAX),
        at: text::time(e.at_ns),
    };
    let codes = incident.codes.iter().take(CODES_MAX);
    Evidence {
        calls: incident
            .exemplars
            .iter()
            .take(CALLS_MAX)
            .map(call)
            .collect(),
        codes: codes.map(|(code, n)| (text::line(code, 80), *n)).collect(),
        error: text::line(&incident.error, ERROR_CHARS_MAX),
    }
}

fn blast_radius(incident: &Incident) -> Vec<Radius> {
    let share = |s: &crate::detect::Share| ShareData {
        value: text::line(&s.value, 80),
        share_inside: finite(s.share_inside),
        share_outside: finite(s.share_outside),
        lift: finite(s.lift),
    };
    let rows = incident.blast_radius.iter().take(DIMENSIONS_MAX);
    rows.map(|row| Radius {
        dimension: text::line(&row.dimension, 40),
        values: row.values.iter().take(SHARES_MAX).map(share).collect(),
    })
    .collect()
}

fn impact(incident: &Incident) -> ImpactData {
    let impact = &incident.impact;
    ImpactData {
        calls: impact.calls,
        failed: impact.failed,
        tenants: impact.tenants,
        tokens: impact.tokens,
        cost_usd: impact.cost_usd.filter(|v| v.is_finite()),
        amplification: impact.amplification.filter(|v| v.is_finite()),
    }
}

/// JSON has no infinity; a lift over nothing is simply large.
fn finite(value: f64) -> f64 {
    match value {
        v if v.is_nan() => 0.0,
        v => v.clamp(-1e15, 1e15),
    }
}

fn confidence(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Low => "low",
        Confidence::Medium => "medium",
        Confidence::High => "high",
    }
}

fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Ratio => "ratio",
        Unit::Seconds => "seconds",
        Unit::Tokens => "tokens",
        Unit::Characters => "characters",
        Unit::Usd => "usd",
        Unit::UsdPerHour => "usd_per_hour",
        Unit::Calls => "calls",
        Unit::PassRate => "pass_rate",
        Unit::None => "none",
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
