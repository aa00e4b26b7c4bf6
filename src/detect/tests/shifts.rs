//! What changes without failing: latency, input, cost, models, evaluations, and what lists say.

use super::*;

#[test]
fn shifts_of_latency_and_input_are_told() {
    let slow = world(3.5, |call, hour, _| {
        if hour >= 3.0 && call.provider == "anthropic" {
            call.duration_ns *= 2;
        }
    });
    let changes = run(DetectorConfig::default(), &slow);
    assert_eq!(
        opened(&changes).iter().map(|i| i.kind).collect::<Vec<_>>(),
        [Kind::LatencyShift]
    );

    let short = world(3.5, |call, hour, _| {
        if hour >= 3.0 && call.feature == "reply" {
            call.user_chars = Some(12);
        }
    });
    let changes = run(DetectorConfig::default(), &short);
    assert_eq!(
        opened(&changes).iter().map(|i| i.kind).collect::<Vec<_>>(),
        [Kind::InputShift]
    );

    let dear = world(3.5, |call, hour, _| {
        if hour >= 3.0 && call.feature == "reply" {
            call.output_tokens = call.output_tokens.map(|n| n * 4);
            call.duration_ns = 400_000_000 + call.output_tokens.unwrap_or(0) * 10_000_000;
            call.cost_nano_usd = call.cost_nano_usd.map(|n| n * 4);
        }
    });
    let changes = run(DetectorConfig::default(), &dear);
    assert_eq!(
        opened(&changes).iter().map(|i| i.kind).collect::<Vec<_>>(),
        [Kind::CostBurn]
    );
}

#[test]
fn a_new_model_is_told_and_a_known_mix_is_not() {
    let calls = world(2.0, |call, hour, dice| {
        if call.provider == "openai" {
            call.response_model = if dice.roll() < 0.3 {
                "gpt-4o-b"
            } else {
                "gpt-4o-a"
            };
        }
        if hour >= 1.0 && call.provider == "anthropic" {
            call.response_model = "claude-sonnet-next";
        }
    });
    let changes = run(DetectorConfig::default(), &calls);
    let [incident] = opened(&changes)[..] else {
        panic!("{changes:?}")
    };
    assert_eq!(incident.kind, Kind::ModelChange);
    assert_eq!(
        label(incident, Dimension::RequestModel),
        Some("claude-sonnet")
    );
    assert!(
        incident
            .changes
            .iter()
            .any(|d| d.to == "claude-sonnet-next")
    );
}

#[test]
fn evaluations_that_fail_more_are_told() {
    let (mut detector, mut out, mut dice) = (
        Detector::new(DetectorConfig::default()),
        Vec::new(),
        Dice(7),
    );
    for run in 0..60_u64 {
        for case in 0..100_u64 {
            let share = if run < 50 { 0.93 } else { 0.8 };
            let fact = Fact::Eval(EvalFact {
                end_ns: START + run * 4 * HOUR + case * SECOND,
                service: "shop",
                environment: "prod",
                feature: "answer",
                suite: "golden",
                passed: Some(dice.roll() < share),
                ..EvalFact::default()
            });
            detector.observe(&fact, &mut out);
        }
    }
    let [incident] = opened(&out)[..] else {
        panic!("{out:?}")
    };
    assert_eq!(incident.kind, Kind::EvalDrop);
    assert!(incident.raised_ns < START + 53 * 4 * HOUR);
}

#[test]
fn lists_budgets_limits_and_headers_are_watched() {
    let config = DetectorConfig {
        approved_models: vec!["gpt-*".to_owned()],
        deprecated_models: vec!["gpt-4o".to_owned()],
        budgets: vec![Budget {
            name: "desk".to_owned(),
            scope: [(Dimension::Service, vec!["desk".to_owned()])].into(),
            usd: 1.0,
            period: Period::Day,
        }],
        rules: vec![StaticRule {
            name: "empty".to_owned(),
            kind: Kind::EmptyRise,
            scope: Scope::new(),
            failure_class: "llm.output.empty".to_owned(),
            above: 0.001,
            calls_min: 100,
            window_s: 300,
        }],
        ..DetectorConfig::default()
    };
    let calls = world(0.5, |call, hour, _| {
        call.remaining_requests = Some(if hour < 0.2 { 500 } else { 10 });
    });
    let changes = run(config, &calls);
    let kinds: std::collections::BTreeSet<Kind> = opened(&changes).iter().map(|i| i.kind).collect();
    for kind in [
        Kind::UnapprovedModel,
        Kind::ModelDeprecation,
        Kind::BudgetExceeded,
        Kind::EmptyRise,
        Kind::QuotaLow,
    ] {
        assert!(kinds.contains(&kind), "{kind:?} in {kinds:?}");
    }
}
