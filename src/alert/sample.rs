//! Samples: one realistic incident of each kind, for `alert test`, the examples in the
//! documentation and the tests.

use crate::detect::{
    BlastRadius, Confidence, Delta, Dimension, Exemplar, Impact, Incident, Kind, Observed, Scope,
    Severity, Share, Unit,
};

/// 2026-11-20T02:14:05Z.
const RAISED_NS: u64 = 1_795_140_845_000_000_000;
const SECOND_NS: u64 = 1_000_000_000;

/// What differs from kind to kind.
struct Case {
    severity: Severity,
    class: &'static str,
    rule: &'static str,
    observed: (f64, f64, f64, Unit),
    codes: &'static [(&'static str, u64)],
    error: &'static str,
    /// Dimension, value, share inside, share outside.
    radius: &'static [(&'static str, &'static str, f64, f64)],
    changes: &'static [(&'static str, &'static str, &'static str)],
    /// Calls, failed, tenants, tokens, dollars, amplification.
    impact: (u64, u64, u64, u64, Option<f64>, Option<f64>),
}

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

const QUOTA_ERROR: &str = r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","param":null,"code":"project_spend_limit_exceeded"}}"#;
const WHO_CHAT: &[(&str, &str, f64, f64)] = &[
    ("service", "assistant", 0.71, 0.68),
    ("service", "search", 0.29, 0.32),
    ("tenant", "acme", 0.22, 0.20),
    ("tenant", "globex", 0.18, 0.19),
];
const NEW_VERSION: &[(&str, &str, &str)] = &[("service_version", "2.41.0", "2.42.0")];
const NEW_MODEL: &[(&str, &str, &str)] =
    &[("response_model", "gpt-4o-2024-08-06", "gpt-4o-2024-11-20")];
const NEW_PROMPT: &[(&str, &str, &str)] =
    &[("system_prompt_hash", "9f31c2d07be4a1d8", "03b7e611c90fa2c4")];

fn failing(
    class: &'static str,
    value: f64,
    baseline: f64,
    codes: &'static [(&'static str, u64)],
    error: &'static str,
) -> Case {
    let failed = (430.0 * value).round() as u64;
    Case {
        severity: Severity::Ticket,
        class,
        rule: "likelihood_ratio_cusum",
        observed: (value, baseline, 0.05, Unit::Ratio),
        codes,
        error,
        radius: WHO_CHAT,
        changes: &[],
        impact: (430, failed, 37, 1_204_000, Some(3.31), None),
    }
}

fn measured(unit: Unit, value: f64, baseline: f64, threshold: f64) -> Case {
    Case {
        severity: Severity::Ticket,
        class: "",
        rule: "likelihood_ratio_cusum",
        observed: (value, baseline, threshold, unit),
        codes: &[],
        error: "",
        radius: WHO_CHAT,
        changes: &[],
        impact: (430, 0, 37, 1_204_000, Some(3.31), None),
    }
}

fn case(kind: Kind) -> Case {
    match kind {
        Kind::QuotaExhausted => Case {
            severity: Severity::Page,
            rule: "likelihood_ratio_cusum",
            impact: (430, 412, 37, 0, None, Some(2.6)),
            ..failing(
                "llm.billing.quota_exhausted",
                0.958,
                0.0,
                &[("project_spend_limit_exceeded", 412)],
                QUOTA_ERROR,
            )
        },
        Kind::RateLimitSpike => Case {
            radius: &[
                ("tenant", "acme", 0.83, 0.12),
                ("service", "batch-tagging", 0.79, 0.08),
            ],
            ..failing(
                "llm.rate_limit.tokens",
                0.31,
                0.004,
                &[("rate_limit_exceeded", 133)],
                "Rate limit reached for gpt-4o in organization org-[redacted] on tokens per min (TPM): Limit 800000, Used 799120, Requested 4312. Please try again in 257ms.",
            )
        },
        Kind::AuthFailure => Case {
            severity: Severity::Page,
            rule: "likelihood_ratio_cusum",
            changes: &[("service_version", "2.41.0", "2.42.0")],
            impact: (208, 208, 21, 0, None, None),
            ..failing(
                "llm.auth.invalid_key",
                1.0,
                0.0,
                &[("401", 208)],
                r#"{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}"#,
            )
        },
        Kind::ModelChange => Case {
            severity: Severity::Info,
            rule: "first_seen_model",
            changes: NEW_MODEL,
            ..measured(Unit::None, 0.0, 0.0, 0.0)
        },
        Kind::UnapprovedModel => Case {
            rule: "model_list",
            changes: &[
                ("request_model", "gpt-4o", "gpt-4.5-preview"),
                ("service_version", "2.41.0", "2.42.0"),
            ],
            ..measured(Unit::None, 0.0, 0.0, 0.0)
        },
        Kind::EmptyRise => Case {
            changes: NEW_MODEL,
            ..failing(
                "llm.output.empty",
                0.093,
                0.002,
                &[("length", 37), ("stop", 3)],
                "",
            )
        },
        Kind::TruncatedRise => Case {
            changes: NEW_PROMPT,
            ..failing("llm.output.truncated", 0.18, 0.011, &[("length", 77)], "")
        },
        Kind::RefusalRise => Case {
            changes: NEW_MODEL,
            ..failing("llm.output.refusal", 0.07, 0.004, &[("refusal", 30)], "")
        },
        Kind::ContentFilterRise => Case {
            radius: &[("tenant", "initech", 0.91, 0.06)],
            ..failing(
                "llm.output.content_filtered",
                0.06,
                0.002,
                &[("content_filter", 26)],
                "The response was filtered due to the prompt triggering the content management policy.",
            )
        },
        Kind::SchemaViolationRise => Case {
            changes: NEW_VERSION,
            ..failing(
                "llm.output.schema_violation",
                0.14,
                0.01,
                &[],
                "$.items[0].price: expected number, found string",
            )
        },
        Kind::InvalidRequestRise => Case {
            changes: NEW_VERSION,
            ..failing(
                "llm.request.invalid",
                0.22,
                0.003,
                &[("unsupported_parameter", 95)],
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
            )
        },
        Kind::ToolErrorRise => Case {
            radius: &[
                ("tool", "lookup_order", 0.97, 0.21),
                ("service", "assistant", 0.98, 0.68),
            ],
            ..failing(
                "llm.tool.execution_failed",
                0.24,
                0.01,
                &[("503", 96), ("timeout", 7)],
                "lookup_order: upstream connect error or disconnect/reset before headers",
            )
        },
        Kind::ProviderOutage => Case {
            severity: Severity::Page,
            rule: "likelihood_ratio_cusum",
            radius: &[
                ("service", "assistant", 0.66, 0.68),
                ("service", "search", 0.34, 0.32),
                ("request_model", "gpt-4o", 0.8, 0.79),
            ],
            impact: (1_310, 1_188, 112, 310_000, Some(0.81), Some(3.1)),
            ..failing(
                "llm.provider.unavailable",
                0.907,
                0.003,
                &[("503", 1_020), ("502", 168)],
                "upstream connect error or disconnect/reset before headers. reset reason: connection timeout",
            )
        },
        Kind::RetryStorm => Case {
            severity: Severity::Page,
            rule: "likelihood_ratio_cusum",
            impact: (2_790, 2_480, 8, 940_000, Some(6.2), Some(9.0)),
            codes: &[("429", 2_301), ("503", 179)],
            ..measured(Unit::Ratio, 0.89, 0.08, 0.28)
        },
        Kind::LatencyShift => Case {
            rule: "likelihood_ratio_cusum",
            ..measured(Unit::Ratio, 0.62, 0.03, 0.13)
        },
        Kind::CostBurn => Case {
            rule: "likelihood_ratio_cusum",
            radius: &[
                ("tenant", "acme", 0.81, 0.2),
                ("feature", "search-answers", 0.92, 0.31),
            ],
            impact: (9_200, 0, 37, 41_000_000, Some(143.1), None),
            ..measured(Unit::Ratio, 0.48, 0.04, 0.14)
        },
        Kind::BudgetExceeded => Case {
            severity: Severity::Page,
            rule: "budget",
            radius: &[
                ("tenant", "acme", 0.44, 0.2),
                ("tenant", "globex", 0.21, 0.19),
            ],
            impact: (212_000, 0, 61, 918_000_000, Some(5_012.4), None),
            ..measured(Unit::Usd, 5_012.4, 3_480.0, 5_000.0)
        },
        Kind::RunawayTenant => Case {
            rule: "poisson_cusum",
            radius: &[
                ("feature", "bulk-rewrite", 0.97, 0.05),
                ("service", "assistant", 1.0, 0.68),
            ],
            impact: (18_400, 120, 1, 77_000_000, Some(211.9), None),
            ..measured(Unit::Calls, 18_400.0, 410.0, 1_640.0)
        },
        Kind::InputShift => Case {
            rule: "likelihood_ratio_cusum",
            changes: NEW_PROMPT,
            ..measured(Unit::Ratio, 0.94, 0.05, 0.16)
        },
        Kind::ContextGrowth => Case {
            rule: "likelihood_ratio_cusum",
            changes: NEW_VERSION,
            ..measured(Unit::Ratio, 0.57, 0.04, 0.17)
        },
        Kind::ContextThrash => Case {
            rule: "likelihood_ratio_cusum",
            ..measured(Unit::Ratio, 0.16, 0.001, 0.031)
        },
        Kind::EvalDrop => Case {
            rule: "binomial_cusum",
            radius: &[],
            changes: NEW_PROMPT,
            impact: (200, 38, 0, 0, None, None),
            ..measured(Unit::PassRate, 0.81, 0.94, 0.89)
        },
        Kind::TelemetryGap => Case {
            severity: Severity::Page,
            rule: "poisson_silence",
            radius: &[],
            impact: (0, 0, 0, 0, None, None),
            changes: NEW_VERSION,
            ..measured(Unit::Calls, 0.0, 212.0, 1.0)
        },
        Kind::ModelDeprecation => Case {
            rule: "model_list",
            class: "llm.model.deprecated",
            error: "The model `gpt-4o` will be retired on 2026-12-15.",
            ..measured(Unit::None, 0.0, 0.0, 0.0)
        },
        Kind::QuotaLow => Case {
            rule: "limit_headers",
            ..measured(Unit::Ratio, 0.08, 1.0, 0.1)
        },
    }
}
