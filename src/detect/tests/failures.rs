//! Failures: each by its name, in its scope, once.

use super::*;

#[test]
fn a_quiet_day_raises_nothing() {
    assert_eq!(
        opened(&run(DetectorConfig::default(), &world(8.0, |_, _, _| ()))),
        Vec::<&Incident>::new()
    );
}

#[test]
fn each_failure_is_raised_once_by_its_name_within_minutes() {
    for (class, kind) in [
        ("llm.rate_limit.requests", Kind::RateLimitSpike),
        ("llm.billing.quota_exhausted", Kind::QuotaExhausted),
        ("llm.auth.invalid_key", Kind::AuthFailure),
        ("llm.capacity.overloaded", Kind::ProviderOutage),
        ("llm.output.empty", Kind::EmptyRise),
        ("llm.output.truncated", Kind::TruncatedRise),
        ("llm.output.refusal", Kind::RefusalRise),
        ("llm.output.content_filtered", Kind::ContentFilterRise),
        ("llm.output.schema_violation", Kind::SchemaViolationRise),
        ("llm.request.invalid", Kind::InvalidRequestRise),
        ("llm.tool.execution_failed", Kind::ToolErrorRise),
        ("llm.request.context_length", Kind::ContextThrash),
        ("llm.model.deprecated", Kind::ModelDeprecation),
    ] {
        let changes = run(DetectorConfig::default(), &failing(class, "anthropic", 0.4));
        let found = opened(&changes);
        assert_eq!(
            found.iter().map(|i| i.kind).collect::<Vec<_>>(),
            [kind],
            "{class}"
        );
        let seconds = (found[0].raised_ns - START - 3 * HOUR) / SECOND;
        assert!(seconds < 120, "{class}: {seconds} s");
        assert_eq!(found[0].failure_class, class);
        assert!(!found[0].exemplars.is_empty(), "{class}");
        assert!(found[0].observed.value > found[0].observed.baseline);
    }
}

#[test]
fn the_scope_is_what_fails_and_no_more() {
    let changes = run(
        DetectorConfig::default(),
        &failing("llm.capacity.overloaded", "openai", 0.4),
    );
    let [incident] = opened(&changes)[..] else {
        panic!("{changes:?}")
    };
    assert_eq!(label(incident, Dimension::Provider), Some("openai"));
    assert_eq!(
        label(incident, Dimension::Service),
        None,
        "two services fail"
    );

    let calls = world(3.5, |call, hour, dice| {
        if hour >= 3.0 && call.feature == "search" && dice.roll() < 0.4 {
            call.failure_class = "llm.output.truncated";
        }
    });
    let changes = run(DetectorConfig::default(), &calls);
    let [incident] = opened(&changes)[..] else {
        panic!("{changes:?}")
    };
    assert_eq!(label(incident, Dimension::Feature), Some("search"));

    let calls = world(3.5, |call, hour, dice| {
        if hour >= 3.0 && call.service == "desk" && call.tenant == "b" && dice.roll() < 0.8 {
            call.failure_class = "llm.rate_limit.tokens";
        }
    });
    let changes = run(DetectorConfig::default(), &calls);
    let [incident] = opened(&changes)[..] else {
        panic!("{changes:?}")
    };
    assert_eq!(label(incident, Dimension::Tenant), Some("b"));
}

#[test]
fn a_burst_shorter_than_a_minute_is_no_incident() {
    let calls = world(3.5, |call, hour, dice| {
        let seconds = (hour - 3.0) * 3600.0;
        if (0.0..50.0).contains(&seconds) && dice.roll() < 0.9 {
            call.failure_class = "llm.capacity.overloaded";
        }
    });
    assert_eq!(
        opened(&run(DetectorConfig::default(), &calls)),
        Vec::<&Incident>::new()
    );
}

#[test]
fn an_incident_is_closed_when_it_is_over() {
    let calls = world(4.5, |call, hour, dice| {
        if (3.0..3.3).contains(&hour) && call.provider == "anthropic" && dice.roll() < 0.4 {
            call.failure_class = "llm.capacity.overloaded";
        }
    });
    let changes = run(DetectorConfig::default(), &calls);
    let states: Vec<State> = changes
        .iter()
        .map(|c| c.state)
        .filter(|s| *s != State::Updated)
        .collect();
    assert_eq!(states, [State::Opened, State::Closed]);
    assert!(
        changes
            .last()
            .is_some_and(|c| c.incident.ended_ns.is_some())
    );
}

#[test]
fn what_lasts_is_told_once_and_becomes_normal() {
    let calls = world(14.0, |call, hour, dice| {
        if hour >= 3.0 && call.provider == "anthropic" && dice.roll() < 0.2 {
            call.failure_class = "llm.output.truncated";
        }
    });
    let changes = run(DetectorConfig::default(), &calls);
    let states: Vec<State> = changes.iter().map(|c| c.state).collect();
    assert_eq!(states, [State::Opened, State::Closed], "{changes:?}");
    assert!(changes[1].at_ns > START + 11 * HOUR, "after eight hours");
}

#[test]
fn an_unspecified_429_is_a_quota_when_nothing_gets_through() {
    let all = failing("llm.rate_limit.unspecified", "anthropic", 1.0);
    let changes = run(DetectorConfig::default(), &all);
    let [incident] = opened(&changes)[..] else {
        panic!("{changes:?}")
    };
    assert_eq!(
        (incident.kind, incident.confidence),
        (Kind::QuotaExhausted, Confidence::Medium)
    );

    let some = failing("llm.rate_limit.unspecified", "anthropic", 0.6);
    let changes = run(DetectorConfig::default(), &some);
    let [incident] = opened(&changes)[..] else {
        panic!("{changes:?}")
    };
    assert_eq!(incident.kind, Kind::RateLimitSpike);
}

#[test]
fn clients_that_multiply_failures_are_a_storm() {
    let mut calls = world(3.5, |call, hour, dice| {
        if hour >= 3.0 && call.service == "desk" && dice.roll() < 0.5 {
            call.failure_class = "llm.capacity.overloaded";
        }
    });
    let mut more = Vec::new();
    for call in &calls {
        let storm = call.service == "desk" && call.end_ns > START + 3 * HOUR;
        let bad = call.failure_class == "llm.capacity.overloaded"
            || call.failure_class == "llm.provider.server_error";
        for attempt in 2..if storm && bad { 7 } else { 2 } {
            let mut again = call.clone();
            again.attempt = attempt;
            again.end_ns += u64::from(attempt) * SECOND / 2;
            more.push(again);
        }
    }
    calls.append(&mut more);
    calls.sort_by_key(|call| call.end_ns);
    let changes = run(DetectorConfig::default(), &calls);
    assert_eq!(
        opened(&changes).iter().map(|i| i.kind).collect::<Vec<_>>(),
        [Kind::RetryStorm]
    );
    let last = changes.last().map(|c| &c.incident.impact);
    let attempts = opened(&changes)[0].impact.amplification;
    assert!(attempts.is_some_and(|n| n > 1.1), "{attempts:?}");
    assert!(
        last.is_some_and(|i| i.amplification >= attempts),
        "{last:?}"
    );
}
