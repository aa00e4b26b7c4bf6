//! How many calls come: growth, a tenant that runs away, silence.

use super::*;

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
        opened(&changes).iter().map(|i| i.kind).collect::<Vec<_>>(),
        [Kind::CostBurn]
    );

    let calls = days(|call, hour| {
        if hour > 80.0 && call.service == "shop" && call.tenant == "c" {
            40
        } else {
            1
        }
    });
    let changes = run(DetectorConfig::default(), &calls);
    assert_eq!(
        opened(&changes).iter().map(|i| i.kind).collect::<Vec<_>>(),
        [Kind::RunawayTenant]
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
