//! The life of alerts, told as scenarios. Times are seconds; the group wait is 5 s, updates come at
//! most every 300 s, reminders every 4 h.

use std::sync::Arc;

use super::*;
use crate::{
    alert::{
        matcher,
        model::Event,
        options::Options,
        route::{Route, Target},
        sample::incident,
    },
    detect::{Dimension, Kind, Severity},
};

const S: u64 = 1_000_000_000;
const HOUR: u64 = 3_600;

struct Scene {
    manager: Manager,
}

impl Scene {
    fn new() -> Scene {
        Scene::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Policy)) -> Scene {
        let targets = [("hook", false), ("chat", true)].map(|(name, groups)| Target {
            name: name.into(),
            groups,
        });
        let defaults = Options::default();
        let mut policy = Policy {
            routes: Routes::new(targets.to_vec(), Vec::new()),
            group_by: vec!["provider".into()],
            group_wait_ns: 5 * S,
            update_interval_ns: 300 * S,
            repeat_interval_ns: 4 * HOUR * S,
            flap: defaults.flap,
            windows: Vec::new(),
        };
        change(&mut policy);
        let books = Arc::new(Runbooks::load(None).unwrap());
        Scene {
            manager: Manager::new(policy, books, State::default()),
        }
    }

    /// What the detector says at a time, and what `hook` is told then.
    fn says(&mut self, at_s: u64, state: Phase, incident: &Incident) -> Vec<String> {
        let mut incident = incident.clone();
        if state == Phase::Closed {
            incident.ended_ns = Some(at_s * S);
        }
        let change = Change {
            at_ns: at_s * S,
            state,
            incident,
        };
        let decision = self.manager.change(at_s * S, change);
        told(&decision, "hook")
    }

    fn at(&mut self, at_s: u64) -> Vec<String> {
        told(&self.manager.tick(at_s * S), "hook")
    }

    fn chat_at(&mut self, at_s: u64) -> Vec<Vec<(Event, Kind)>> {
        let decision = self.manager.tick(at_s * S);
        let to_chat = decision
            .notifications
            .iter()
            .filter(|n| n.receiver == "chat");
        to_chat
            .map(|n| {
                n.alerts
                    .iter()
                    .map(|i| (i.event, i.alert.incident.kind))
                    .collect()
            })
            .collect()
    }

    fn silence(&mut self, at_s: u64, matcher: &str, for_s: u64) {
        let silence = Silence {
            id: "s1".into(),
            matchers: matcher::parse_all([matcher]).unwrap(),
            starts_at_ns: at_s * S,
            ends_at_ns: (at_s + for_s) * S,
            author: "ann".into(),
            comment: String::new(),
            from_file: false,
        };
        self.manager.silence(at_s * S, silence).unwrap();
    }
}

/// `firing quota_exhausted` for each message to a receiver.
fn told(decision: &Decision, receiver: &str) -> Vec<String> {
    let to = decision
        .notifications
        .iter()
        .filter(|n| n.receiver == receiver);
    to.flat_map(|n| &n.alerts)
        .map(|i| {
            let again = if i.repeat { "again " } else { "" };
            format!(
                "{again}{} {}",
                i.event.as_str(),
                i.alert.incident.kind.as_str()
            )
        })
        .collect()
}

/// What may be a symptom, and so waits.
fn spike() -> Incident {
    incident(Kind::RateLimitSpike)
}

/// A cause, which nothing mutes.
fn quota() -> Incident {
    incident(Kind::QuotaExhausted)
}

const NOTHING: Vec<String> = Vec::new();

#[test]
fn one_incident_is_told_once_reminded_and_ended() {
    let mut scene = Scene::new();
    assert_eq!(
        scene.says(100, Phase::Opened, &spike()),
        NOTHING,
        "held back for its cause"
    );
    assert_eq!(scene.at(104), NOTHING);
    assert_eq!(scene.at(105), ["firing rate_limit_spike"]);
    assert_eq!(scene.at(106), NOTHING);
    assert_eq!(scene.at(105 + 4 * HOUR), ["again firing rate_limit_spike"]);
    assert_eq!(
        scene.says(20_000, Phase::Closed, &spike()),
        ["resolved rate_limit_spike"]
    );
    assert_eq!(scene.at(20_000 + 4 * HOUR), NOTHING);
}

#[test]
fn a_cause_waits_for_nothing() {
    let mut scene = Scene::new();
    assert_eq!(
        scene.says(100, Phase::Opened, &quota()),
        ["firing quota_exhausted"]
    );
    assert_eq!(scene.says(101, Phase::Opened, &spike()), NOTHING);
    assert_eq!(scene.at(200), NOTHING, "its symptom is muted");
}

#[test]
fn what_is_over_before_it_was_told_is_never_told() {
    let mut scene = Scene::new();
    scene.says(100, Phase::Opened, &spike());
    assert_eq!(scene.says(103, Phase::Closed, &spike()), NOTHING);
    assert_eq!(scene.at(200), NOTHING);
}

#[test]
fn the_same_told_again_after_a_restart_changes_nothing() {
    let mut scene = Scene::new();
    scene.says(100, Phase::Opened, &spike());
    assert_eq!(scene.at(105), ["firing rate_limit_spike"]);
    let (policy, state) = (scene.manager.policy.clone(), scene.manager.state.clone());
    let mut scene = Scene {
        manager: Manager::new(policy, scene.manager.runbooks, state),
    };
    assert_eq!(scene.says(200, Phase::Opened, &spike()), NOTHING);
    assert_eq!(scene.at(220), NOTHING);
    assert_eq!(
        scene.says(300, Phase::Closed, &spike()),
        ["resolved rate_limit_spike"]
    );
    assert_eq!(scene.says(301, Phase::Closed, &spike()), NOTHING);
    assert_eq!(
        scene.says(302, Phase::Opened, &spike()),
        NOTHING,
        "a replayed opening"
    );
}

#[test]
fn growth_is_told_with_pauses_and_a_worse_severity_at_once() {
    let mut scene = Scene::new();
    let mut growing = incident(Kind::LatencyShift);
    scene.says(100, Phase::Opened, &growing);
    scene.at(105);
    growing.impact.calls *= 10;
    assert_eq!(scene.says(110, Phase::Updated, &growing), NOTHING);
    assert_eq!(scene.at(500), NOTHING, "more of the same is no news");
    growing
        .scope
        .entry(Dimension::RequestModel)
        .or_default()
        .push("gpt-4o-mini".into());
    scene.says(501, Phase::Updated, &growing);
    let first = scene.at(501);
    growing.scope.remove(&Dimension::RequestModel);
    assert_eq!(scene.says(510, Phase::Updated, &growing), NOTHING, "paced");
    assert_eq!(
        first.len() + scene.at(510 + 300).len(),
        1 + usize::from(!first.is_empty())
    );
    growing.severity = Severity::Page;
    assert_eq!(
        scene.says(820, Phase::Updated, &growing),
        ["updated latency_shift"]
    );
}

#[test]
fn fingerprint_and_id_stay_while_an_incident_grows() {
    let mut scene = Scene::new();
    let mut growing = spike();
    scene.says(100, Phase::Opened, &growing);
    let before = scene.manager.state.alerts.values().next().cloned().unwrap();
    growing.severity = Severity::Page;
    growing.scope.remove(&Dimension::RequestModel);
    scene.says(110, Phase::Updated, &growing);
    let after = scene.manager.state.alerts.values().next().cloned().unwrap();
    assert_eq!(
        (&before.id, &before.fingerprint, &before.identity),
        (&after.id, &after.fingerprint, &after.identity)
    );
    assert_eq!(before.id, "1a70000000000001");
    assert_eq!(before.fingerprint.len(), 16);
}

#[test]
fn two_replicas_give_the_same_messages_the_same_ids() {
    let ids = || {
        let mut scene = Scene::new();
        let mut ids = Vec::new();
        scene.says(100, Phase::Opened, &spike());
        for at in [105, 105 + 4 * HOUR] {
            let decision = scene.manager.tick(at * S);
            ids.extend(
                decision
                    .notifications
                    .into_iter()
                    .map(|n| (n.receiver, n.id)),
            );
        }
        ids
    };
    let first = ids();
    assert_eq!(first, ids());
    assert_eq!(
        first[0],
        ("hook".into(), "lw_1a70000000000001_firing".into())
    );
    assert_eq!(first[2].1, "lw_1a70000000000001_reminder_1");
    assert!(
        first
            .iter()
            .all(|(_, id)| id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
    );
}

#[test]
fn an_outage_mutes_its_symptoms_until_it_is_over() {
    let mut scene = Scene::new();
    scene.says(100, Phase::Opened, &incident(Kind::LatencyShift));
    assert_eq!(
        scene.says(103, Phase::Opened, &incident(Kind::ProviderOutage)),
        ["firing provider_outage"]
    );
    assert_eq!(scene.at(106), NOTHING, "the symptom is muted");
    scene.says(120, Phase::Opened, &incident(Kind::RetryStorm));
    assert_eq!(scene.at(200), NOTHING);
    assert_eq!(
        scene.says(300, Phase::Closed, &incident(Kind::RetryStorm)),
        NOTHING,
        "never told, so no end"
    );
    let after = scene.says(400, Phase::Closed, &incident(Kind::ProviderOutage));
    assert_eq!(
        after,
        ["firing latency_shift", "resolved provider_outage"],
        "still slow without the outage"
    );
}

#[test]
fn a_silence_holds_back_and_whoever_was_told_hears_the_end() {
    let mut scene = Scene::new();
    scene.says(100, Phase::Opened, &spike());
    scene.at(105);
    scene.silence(110, "provider=openai", 3_600);
    scene.says(120, Phase::Opened, &incident(Kind::EmptyRise));
    assert_eq!(scene.at(200), NOTHING);
    assert_eq!(
        scene.says(300, Phase::Closed, &spike()),
        ["resolved rate_limit_spike"]
    );
    assert_eq!(
        scene.at(110 + 3_600),
        ["firing empty_rise"],
        "told when the silence ends"
    );
}

#[test]
fn ending_a_silence_tells_what_it_held_back() {
    let mut scene = Scene::new();
    scene.silence(90, "kind=~\"rate_.*\"", 36_000);
    scene.says(100, Phase::Opened, &spike());
    assert_eq!(scene.at(200), NOTHING);
    let decision = scene.manager.unsilence(210 * S, "s1").unwrap();
    assert_eq!(told(&decision, "hook"), ["firing rate_limit_spike"]);
    assert!(scene.manager.unsilence(210 * S, "s2").is_err());
}

#[test]
fn a_maintenance_window_is_a_silence_of_the_clock() {
    // Times are from 1970-01-01, a Thursday.
    let mut scene = Scene::with(|policy| {
        policy.windows = vec![Window {
            name: "nightly".into(),
            matchers: matcher::parse_all(["environment=prod"]).unwrap(),
            days: Vec::new(),
            from: crate::alert::maintenance::time("00:00").unwrap(),
            to: crate::alert::maintenance::time("01:00").unwrap(),
            zone: jiff::tz::TimeZone::UTC,
        }];
    });
    scene.says(100, Phase::Opened, &spike());
    assert_eq!(scene.at(3_599), NOTHING);
    assert_eq!(scene.at(3_600), ["firing rate_limit_spike"]);
}

#[test]
fn an_acknowledged_alert_is_quiet_until_it_gets_worse() {
    let mut scene = Scene::new();
    let mut slow = incident(Kind::LatencyShift);
    scene.says(100, Phase::Opened, &slow);
    scene.at(105);
    let id = format!("{:016x}", slow.id);
    let decision = scene
        .manager
        .acknowledge(110 * S, &id, "ann", "looking")
        .unwrap();
    assert_eq!(told(&decision, "hook"), ["acknowledged latency_shift"]);
    assert_eq!(scene.at(110 + 9 * HOUR), NOTHING);
    slow.severity = Severity::Page;
    assert_eq!(
        scene.says(40_000, Phase::Updated, &slow),
        ["updated latency_shift"]
    );
    scene.says(50_000, Phase::Closed, &slow);
    assert!(
        scene
            .manager
            .acknowledge(50_001 * S, &id, "ann", "")
            .is_err()
    );
}

#[test]
fn an_alert_that_comes_and_goes_is_told_less() {
    let mut scene = Scene::new();
    let mut firings = 0;
    for round in 0..6 {
        let mut again = spike();
        again.id += 1_000 + round;
        let begin = 100 + round * 300;
        scene.says(begin, Phase::Opened, &again);
        firings += scene.at(begin + 6).len();
        scene.says(begin + 60, Phase::Closed, &again);
    }
    assert_eq!(firings, 3, "the fourth within the hour has to stay first");
    let mut stays = spike();
    stays.id += 2_000;
    scene.says(2_000, Phase::Opened, &stays);
    assert_eq!(scene.at(2_000 + 899), NOTHING);
    assert_eq!(scene.at(2_000 + 900), ["firing rate_limit_spike"]);
}

#[test]
fn a_chat_gets_one_message_for_what_belongs_together() {
    let mut scene = Scene::new();
    scene.says(100, Phase::Opened, &incident(Kind::EmptyRise));
    scene.says(102, Phase::Opened, &incident(Kind::RefusalRise));
    let mut other = incident(Kind::CostBurn);
    other
        .scope
        .insert(Dimension::Provider, vec!["anthropic".into()]);
    scene.says(103, Phase::Opened, &other);
    let messages = scene.chat_at(105);
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert_eq!(messages[0].len(), 2, "both of openai");
    assert_eq!(scene.chat_at(108), [[(Event::Firing, Kind::CostBurn)]]);
}

#[test]
fn a_route_by_labels_and_an_end_that_ignores_it() {
    let page_only = |policy: &mut Policy| {
        let targets = vec![Target {
            name: "hook".into(),
            groups: false,
        }];
        let route = Route {
            labels: vec![
                ("severity".into(), "page".into()),
                ("fault_domain".into(), "ours".into()),
            ],
            receiver: "hook".into(),
        };
        policy.routes = Routes::new(targets, vec![route]);
    };
    let mut scene = Scene::with(page_only);
    scene.says(100, Phase::Opened, &incident(Kind::LatencyShift));
    scene.says(100, Phase::Opened, &incident(Kind::ProviderOutage));
    let mut quota = quota();
    assert_eq!(
        scene.says(100, Phase::Opened, &quota),
        ["firing quota_exhausted"]
    );
    assert_eq!(scene.at(105), NOTHING);
    quota.severity = Severity::Ticket;
    assert_eq!(
        scene.says(200, Phase::Closed, &quota),
        ["resolved quota_exhausted"]
    );
}

#[test]
fn every_change_is_a_row_of_the_history() {
    let mut scene = Scene::new();
    let mut rows = Vec::new();
    let spike = spike();
    let mut note = |decision: Decision| {
        rows.extend(decision.rows.iter().map(|row| match row {
            Row::Alert(row) => row.change.clone(),
            Row::Delivery(_) => "delivery".to_owned(),
        }));
    };
    let change = |at: u64, state| Change {
        at_ns: at * S,
        state,
        incident: spike.clone(),
    };
    note(scene.manager.change(100 * S, change(100, Phase::Opened)));
    note(scene.manager.tick(105 * S));
    note(
        scene
            .manager
            .acknowledge(110 * S, "1a70000000000001", "ann", "")
            .unwrap(),
    );
    note(scene.manager.change(120 * S, change(120, Phase::Closed)));
    assert_eq!(rows, ["opened", "firing", "acknowledged", "resolved"]);
}

#[test]
fn a_thousand_open_alerts_are_the_limit() {
    let mut scene = Scene::new();
    for n in 0..OPEN_MAX as u64 + 10 {
        let mut one = incident(Kind::CostBurn);
        one.id = 5_000 + n;
        scene
            .manager
            .state
            .alerts
            .insert(format!("{:016x}", one.id), {
                let mut decision = Decision::default();
                let change = Change {
                    at_ns: S,
                    state: Phase::Opened,
                    incident: one.clone(),
                };
                scene
                    .manager
                    .opened(&format!("{:016x}", one.id), S, change, &mut decision)
            });
    }
    let before = scene.manager.state.alerts.len();
    scene.says(100, Phase::Opened, &spike());
    assert_eq!(scene.manager.state.alerts.len(), before);
}
