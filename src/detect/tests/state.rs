//! The state: restarts, order of arrival, lateness, floods of keys.

use super::*;

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
