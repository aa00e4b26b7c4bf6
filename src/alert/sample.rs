//! Samples: one realistic incident of each kind, for `alert test`, the examples in the
//! documentation and the tests.

/// What differs from kind to kind.
mod cases;

use self::cases::case;
use crate::detect::{
    BlastRadius, Confidence, Delta, Dimension, Exemplar, Impact, Incident, Kind, Observed, Scope,
    Share,
};

/// 2026-11-20T02:14:05Z.
const RAISED_NS: u64 = 1_795_140_845_000_000_000;
const SECOND_NS: u64 = 1_000_000_000;

/// The same incident, now.
pub fn incident_at(kind: Kind, raised_ns: u64) -> Incident {
    let mut incident = incident(kind);
    let shift = |at: u64| at.saturating_sub(RAISED_NS).saturating_add(raised_ns);
    let back = |at: u64| raised_ns.saturating_sub(RAISED_NS.saturating_sub(at));
    let moved = |at: u64| if at < RAISED_NS { back(at) } else { shift(at) };
    incident.onset_ns = moved(incident.onset_ns);
    incident.raised_ns = raised_ns;
    incident
        .exemplars
        .iter_mut()
        .for_each(|e| e.at_ns = moved(e.at_ns));
    incident
        .changes
        .iter_mut()
        .for_each(|c| c.at_ns = moved(c.at_ns));
    incident
}

/// An incident of this kind; the same whenever it is asked for.
pub fn incident(kind: Kind) -> Incident {
    let case = case(kind);
    let number = 1 + Kind::ALL.iter().position(|k| *k == kind).unwrap_or(0) as u64;
    let (value, baseline, threshold, unit) = case.observed;
    let (calls, failed, tenants, tokens, cost_usd, amplification) = case.impact;
    let has_calls = kind != Kind::TelemetryGap && kind != Kind::EvalDrop;
    let exemplar = |n: u64| Exemplar {
        trace_id: u128::from_be_bytes([0x4b; 16])
            .wrapping_add(u128::from(number << 8 | n))
            .to_be_bytes(),
        span_id: (0x00f0_67aa_0ba9_02b7_u64 + (number << 8 | n)).to_be_bytes(),
        request_id: format!("req_{number:02}{n}8f21c6"),
        at_ns: RAISED_NS - (4 - n) * SECOND_NS,
    };
    Incident {
        id: 0x1a70_0000_0000_0000 + number,
        kind,
        severity: case.severity,
        scope: scope(kind),
        onset_ns: RAISED_NS - 95 * SECOND_NS,
        raised_ns: RAISED_NS,
        ended_ns: None,
        failure_class: case.class.to_owned(),
        rule: case.rule.to_owned(),
        confidence: Confidence::High,
        observed: Observed {
            value,
            baseline,
            threshold,
            unit,
            sample: calls,
            window_s: window_s(kind),
        },
        exemplars: if has_calls {
            (1..=3).map(exemplar).collect()
        } else {
            Vec::new()
        },
        codes: case
            .codes
            .iter()
            .map(|(code, n)| ((*code).to_owned(), *n))
            .collect(),
        error: case.error.to_owned(),
        blast_radius: radius(case.radius),
        not_affected: beside(kind),
        changes: case
            .changes
            .iter()
            .map(|(what, from, to)| Delta {
                what: (*what).to_owned(),
                from: (*from).to_owned(),
                to: (*to).to_owned(),
                at_ns: RAISED_NS - 180 * SECOND_NS,
            })
            .collect(),
        impact: Impact {
            calls,
            failed,
            tenants,
            tokens,
            cost_usd,
            amplification,
        },
    }
}

/// The window that a rule of this kind looks at, in seconds.
fn window_s(kind: Kind) -> f64 {
    match kind {
        Kind::BudgetExceeded => 30.0 * 86_400.0,
        Kind::CostBurn | Kind::RunawayTenant | Kind::EvalDrop => 3_600.0,
        Kind::TelemetryGap => 360.0,
        _ => 120.0,
    }
}

fn radius(rows: &[(&str, &str, f64, f64)]) -> Vec<BlastRadius> {
    let mut out: Vec<BlastRadius> = Vec::new();
    for (dimension, value, inside, outside) in rows {
        let share = Share {
            value: (*value).to_owned(),
            share_inside: *inside,
            share_outside: *outside,
            lift: inside / outside.max(0.01),
        };
        match out.iter_mut().find(|r| r.dimension == *dimension) {
            Some(row) => row.values.push(share),
            None => out.push(BlastRadius {
                dimension: (*dimension).to_owned(),
                values: vec![share],
            }),
        }
    }
    out
}

fn of(labels: &[(Dimension, &str)]) -> Scope {
    labels
        .iter()
        .map(|(d, v)| (*d, vec![(*v).to_owned()]))
        .collect()
}

fn scope(kind: Kind) -> Scope {
    use Dimension::{Environment, Feature, Provider, RequestModel, Service, Tenant};
    match kind {
        Kind::ProviderOutage => of(&[(Provider, "openai"), (Environment, "prod")]),
        Kind::AuthFailure => of(&[
            (Provider, "anthropic"),
            (Service, "assistant"),
            (Environment, "prod"),
        ]),
        Kind::RunawayTenant => of(&[
            (Tenant, "acme"),
            (Provider, "openai"),
            (Environment, "prod"),
        ]),
        Kind::BudgetExceeded => of(&[(Feature, "search-answers"), (Environment, "prod")]),
        Kind::UnapprovedModel => of(&[
            (Provider, "openai"),
            (RequestModel, "gpt-4.5-preview"),
            (Environment, "prod"),
        ]),
        Kind::TelemetryGap => of(&[(Service, "checkout-assistant"), (Environment, "prod")]),
        Kind::EvalDrop => of(&[
            (Service, "assistant"),
            (Feature, "summaries"),
            (RequestModel, "gpt-4o"),
        ]),
        Kind::RetryStorm => of(&[
            (Service, "ingest-worker"),
            (Provider, "openai"),
            (Environment, "prod"),
        ]),
        Kind::InputShift | Kind::ContextGrowth | Kind::ContextThrash => of(&[
            (Service, "assistant"),
            (Feature, "support-chat"),
            (Environment, "prod"),
        ]),
        _ => of(&[
            (Provider, "openai"),
            (RequestModel, "gpt-4o"),
            (Environment, "prod"),
        ]),
    }
}

fn beside(kind: Kind) -> Vec<Scope> {
    use Dimension::{Environment, Provider, Service, Tenant};
    match kind {
        Kind::AuthFailure => vec![of(&[(Provider, "openai")]), of(&[(Environment, "staging")])],
        Kind::RunawayTenant => vec![of(&[(Tenant, "globex")]), of(&[(Tenant, "initech")])],
        Kind::TelemetryGap => vec![
            of(&[(Service, "assistant")]),
            of(&[(Service, "ingest-worker")]),
        ],
        _ => vec![
            of(&[(Provider, "anthropic")]),
            of(&[(Environment, "staging")]),
        ],
    }
}
