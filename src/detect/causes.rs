//! Which kinds of incidents explain which others: a cause and its symptoms are one incident.

use super::Kind;

/// Which kinds are symptoms of which, in the same scope at the same time.
pub fn explains(cause: Kind, symptom: Kind) -> bool {
    use Kind::*;
    let symptoms: &[Kind] = match cause {
        ProviderOutage => &[
            LatencyShift,
            EmptyRise,
            RateLimitSpike,
            TruncatedRise,
            EvalDrop,
        ],
        QuotaExhausted => &[RateLimitSpike, RetryStorm, QuotaLow, EvalDrop],
        RateLimitSpike => &[RetryStorm, LatencyShift, QuotaLow],
        RetryStorm => &[
            ProviderOutage,
            RateLimitSpike,
            LatencyShift,
            CostBurn,
            RunawayTenant,
        ],
        ModelChange => &[
            EvalDrop,
            LatencyShift,
            SchemaViolationRise,
            CostBurn,
            TruncatedRise,
            RefusalRise,
            UnapprovedModel,
        ],
        EmptyRise | SchemaViolationRise | ToolErrorRise => &[RetryStorm, EvalDrop, LatencyShift],
        TruncatedRise => &[EvalDrop, SchemaViolationRise, CostBurn, LatencyShift],
        LatencyShift => &[ProviderOutage],
        CostBurn => &[
            ContextGrowth,
            LatencyShift,
            TruncatedRise,
            RateLimitSpike,
            InputShift,
        ],
        RunawayTenant => &[
            CostBurn,
            RateLimitSpike,
            ContextGrowth,
            LatencyShift,
            InputShift,
        ],
        InputShift => &[EvalDrop, LatencyShift, ContextGrowth],
        ContextGrowth => &[
            InputShift,
            CostBurn,
            LatencyShift,
            ContextThrash,
            RunawayTenant,
        ],
        RefusalRise | ContentFilterRise => &[RefusalRise, EvalDrop],
        ModelDeprecation => &[InvalidRequestRise, AuthFailure],
        TelemetryGap => &[],
        _ => &[],
    };
    symptoms.contains(&symptom)
}
