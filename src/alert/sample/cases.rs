//! Cases: what differs from kind to kind, in numbers and words that a real incident has.

use crate::detect::{Kind, Severity, Unit};

/// What differs from kind to kind.
pub(super) struct Case {
    pub severity: Severity,
    pub class: &'static str,
    pub rule: &'static str,
    pub observed: (f64, f64, f64, Unit),
    pub codes: &'static [(&'static str, u64)],
    pub error: &'static str,
    /// Dimension, value, share inside, share outside.
    pub radius: &'static [(&'static str, &'static str, f64, f64)],
    pub changes: &'static [(&'static str, &'static str, &'static str)],
    /// Calls, failed, tenants, tokens, dollars, amplification.
    pub impact: (u64, u64, u64, u64, Option<f64>, Option<f64>),
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

pub(super) fn case(kind: Kind) -> Case {
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
