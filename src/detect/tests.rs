//! Scenarios: a small world of calls, something that happens in it, and what is raised.

use super::*;

const SECOND: u64 = 1_000_000_000;
const HOUR: u64 = 3600 * SECOND;
const START: u64 = 1_772_409_600 * SECOND;

/// Three services, two providers; one call a second each, nearly all good.
const SERVICES: [(&str, &str, &str, &str); 3] = [
    ("shop", "search", "openai", "gpt-4o"),
    ("shop", "answer", "anthropic", "claude-sonnet"),
    ("desk", "reply", "openai", "gpt-4o"),
];

/// A generator of even numbers in 0..1, the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Makes `hours` of traffic; `alter` may change each call.
fn world(
    hours: f64,
    alter: impl Fn(&mut CallFact<'static>, f64, &mut Dice),
) -> Vec<CallFact<'static>> {
    let (mut dice, mut calls) = (Dice(0x9e37_79b9_7f4a_7c15), Vec::new());
    for second in 0..(hours * 3600.0) as u64 {
        for (i, (service, feature, provider, model)) in SERVICES.into_iter().enumerate() {
            let spread = (dice.roll() + dice.roll() + dice.roll() - 1.5) * 0.5;
            let output = (200.0 * f64::exp(spread)) as u64;
            let failure_class = match dice.roll() {
                p if p < 0.01 => "llm.provider.server_error",
                p if p < 0.02 => "llm.rate_limit.requests",
                p if p < 0.03 => "llm.output.empty",
                _ => "",
            };
            let mut call = CallFact {
                end_ns: START + second * SECOND + (dice.roll() * 1e9) as u64,
                duration_ns: ((0.4 + output as f64 * 0.01)
                    * f64::exp((dice.roll() - 0.5) * 0.5)
                    * 1e9) as u64,
                span_id: (second * 3 + i as u64).to_be_bytes(),
                tenant: ["a", "b", "c", "d"][(dice.roll() * 4.0) as usize % 4],
                service,
                environment: "prod",
                feature,
                provider,
                request_model: model,
                response_model: model,
                failure_class,
                attempt: 1,
                input_tokens: Some((1000.0 * f64::exp((dice.roll() - 0.5) * 0.8)) as u64),
                user_chars: Some((400.0 * f64::exp(spread)) as u64),
                output_tokens: Some(if failure_class.is_empty() { output } else { 0 }),
                cost_nano_usd: Some(output * 10_000),
                weight: 1.0,
                ..CallFact::default()
            };
            alter(&mut call, second as f64 / 3600.0, &mut dice);
            calls.push(call);
        }
    }
    calls.sort_by_key(|call| call.end_ns);
    calls
}

fn run(config: DetectorConfig, calls: &[CallFact<'static>]) -> Vec<Change> {
    let (mut detector, mut out) = (Detector::new(config), Vec::new());
    for call in calls {
        detector.observe(&Fact::Call(call.clone()), &mut out);
    }
    out
}

fn opened(changes: &[Change]) -> Vec<&Incident> {
    let opened = changes.iter().filter(|c| c.state == State::Opened);
    opened.map(|c| &c.incident).collect()
}

fn label(incident: &Incident, dimension: Dimension) -> Option<&str> {
    incident.scope.get(&dimension)?.first().map(String::as_str)
}

/// From hour 3 on, a share of the calls of a provider fails in a way.
fn failing(class: &'static str, provider: &'static str, share: f64) -> Vec<CallFact<'static>> {
    world(3.5, move |call, hour, dice| {
        if hour >= 3.0 && call.provider == provider && dice.roll() < share {
            call.failure_class = class;
            call.output_tokens = Some(0);
        }
    })
}

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
}

/// Three days at a call every 20 seconds.
fn days(alter: impl Fn(&mut CallFact<'static>, f64) -> u32) -> Vec<CallFact<'static>> {
    let mut calls = Vec::new();
    for (i, call) in world(1.0, |_, _, _| ())
        .into_iter()
        .cycle()
        .take(4 * 4320)
        .enumerate()
    {
        let mut call = CallFact {
            failure_class: "",
            ..call
        };
        call.end_ns = START + i as u64 * 20 * SECOND;
        let copies = alter(&mut call, i as f64 * 20.0 / 3600.0);
        for copy in 0..copies {
            let mut call = call.clone();
            call.end_ns += u64::from(copy) * SECOND / 4;
            // More traffic is that of everybody, unless it is very much more.
            if (2..20).contains(&copies) {
                call.tenant = ["a", "b", "c", "d"][copy as usize % 4];
            }
            calls.push(call);
        }
    }
    calls.sort_by_key(|call| call.end_ns);
    calls
}

#[test]
fn traffic_that_multiplies_and_a_tenant_that_runs_away_are_told() {
    let calls = days(|call, hour| {
        if hour > 80.0 && call.service == "shop" {
            12
        } else {
            1
        }
    });
    let changes = run(DetectorConfig::default(), &calls);
    assert_eq!(
        opened(&changes).first().map(|i| i.kind),
        Some(Kind::CostBurn)
    );

    let calls = days(|call, hour| {
        if hour > 80.0 && call.service == "shop" && call.tenant == "c" {
            40
        } else {
            1
        }
    });
    let changes = run(DetectorConfig::default(), &calls);
    // Its calls come in bursts of minutes, so it may be told again after a pause.
    assert_eq!(
        opened(&changes).first().map(|i| i.kind),
        Some(Kind::RunawayTenant)
    );
}

#[test]
fn a_service_that_falls_silent_is_a_gap() {
    let calls =
        days(|call, hour| u32::from(!(hour > 80.0 && hour < 84.0 && call.service == "shop")));
    let changes = run(DetectorConfig::default(), &calls);
    let states: Vec<(Kind, State)> = changes.iter().map(|c| (c.incident.kind, c.state)).collect();
    assert_eq!(
        states,
        [
            (Kind::TelemetryGap, State::Opened),
            (Kind::TelemetryGap, State::Closed)
        ]
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

#[test]
fn a_restart_changes_nothing() {
    let calls = failing("llm.capacity.overloaded", "anthropic", 0.4);
    let whole = run(DetectorConfig::default(), &calls);
    for cut in [
        calls.len() / 2,
        calls.len() * 6 / 7 + 150,
        calls.len() - 100,
    ] {
        let (mut detector, mut out) = (Detector::new(DetectorConfig::default()), Vec::new());
        for call in &calls[..cut] {
            detector.observe(&Fact::Call(call.clone()), &mut out);
        }
        let mut bytes = Vec::new();
        detector.snapshot(&mut bytes).expect("a snapshot");
        let mut detector =
            Detector::restore(&bytes, DetectorConfig::default()).expect("the same state");
        for call in &calls[cut..] {
            detector.observe(&Fact::Call(call.clone()), &mut out);
        }
        let brief = |c: &[Change]| {
            c.iter()
                .map(|c| (c.at_ns, c.state, c.incident.id))
                .collect::<Vec<_>>()
        };
        assert_eq!(brief(&out), brief(&whole), "cut at {cut}");
    }
    let refused = Detector::restore(b"{\"version\":999,\"state\":{}}", DetectorConfig::default());
    assert!(matches!(
        refused,
        Err(SnapshotError::Version { found: 999 })
    ));
}

#[test]
fn the_order_of_arrival_within_the_lateness_changes_nothing() {
    let config = DetectorConfig {
        lateness_s: 20,
        ..DetectorConfig::default()
    };
    let calls = failing("llm.capacity.overloaded", "anthropic", 0.4);
    let mut shuffled = calls.clone();
    let mut dice = Dice(3);
    let mut order: Vec<u64> = calls
        .iter()
        .map(|c| c.end_ns + (dice.roll() * 15e9) as u64)
        .collect();
    shuffled.sort_by_cached_key(|c| {
        let at = calls
            .binary_search_by_key(&(c.end_ns, c.span_id), |c| (c.end_ns, c.span_id))
            .unwrap_or(0);
        std::mem::take(&mut order[at])
    });
    let brief = |c: &[Change]| {
        c.iter()
            .map(|c| (c.at_ns, c.state, c.incident.id, c.incident.scope.clone()))
            .collect::<Vec<_>>()
    };
    let straight = run(config.clone(), &calls);
    assert!(!straight.is_empty());
    assert_eq!(brief(&run(config.clone(), &shuffled)), brief(&straight));
    assert_eq!(
        brief(&run(config, &calls)),
        brief(&straight),
        "and twice the same"
    );
}

#[test]
fn late_facts_are_counted_and_time_passes_without_facts() {
    let (mut detector, mut out) = (Detector::new(DetectorConfig::default()), Vec::new());
    let calls = world(0.1, |_, _, _| ());
    for call in &calls {
        detector.observe(&Fact::Call(call.clone()), &mut out);
    }
    detector.observe(&Fact::Call(calls[0].clone()), &mut out);
    assert_eq!(detector.counters().late, 1);
    detector.advance(START + 400 * HOUR, &mut out);
    assert_eq!(opened(&out), Vec::<&Incident>::new());
}

#[test]
fn a_flood_of_keys_is_bounded_and_busy_keys_stay() {
    let config = DetectorConfig {
        keys_max: 500,
        ..DetectorConfig::default()
    };
    let (mut detector, mut out) = (Detector::new(config), Vec::new());
    for (i, call) in world(3.0, |_, _, _| ()).into_iter().enumerate() {
        detector.observe(&Fact::Call(call.clone()), &mut out);
        let name = format!("random-{i}");
        let junk = CallFact {
            service: &name,
            ..call
        };
        detector.observe(&Fact::Call(junk), &mut out);
    }
    let counters = detector.counters();
    assert!(counters.keys <= 505, "{counters:?}");
    assert!(
        counters.keys_refused > 0 && counters.keys_forgotten > 0,
        "{counters:?}"
    );
}
