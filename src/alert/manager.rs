//! Manager: from what the detector tells to what people are told.
//!
//! A pure state machine: it is told changes, requests and the time, and answers with the entries
//! for the state log, the notifications to deliver and the rows of the history. It reads no clock
//! and does no I/O; what it decided holds once the entries are on disk, and never before.
//!
//! Life of an alert: *pending* for a moment (its cause may follow; a cause itself is told at once),
//! *firing*, *updated* as severity
//! or scope grow, *resolved*. Whoever was told that it fires is told that it is over.

mod due;
mod requests;

use std::{collections::BTreeMap, sync::Arc};

use super::{
    history::Row,
    inhibit,
    labels::{self, Labels},
    maintenance::Window,
    model::{Alert, Mute, Notification, Silence, Status},
    route::Routes,
    runbook::Runbooks,
};
use crate::detect::{Change, Incident, State as Phase};

/// Times and limits, in nanoseconds where a time.
#[derive(Debug, Clone)]
pub struct Policy {
    pub routes: Routes,
    pub group_by: Vec<String>,
    /// How long a new alert waits for its cause and for company.
    pub group_wait_ns: u64,
    /// The least time between two updates of an alert.
    pub update_interval_ns: u64,
    pub repeat_interval_ns: u64,
    pub flap: Flap,
    pub windows: Vec<Window>,
}

/// When an alert that comes and goes is held back.
#[derive(Debug, Clone, Copy)]
pub struct Flap {
    /// Openings of one fingerprint within `window_ns` that are still told at once.
    pub openings: usize,
    pub window_ns: u64,
    /// How long a later one must stay before it is told.
    pub hold_ns: u64,
}

/// Alerts, silences and what is remembered of past ones.
#[derive(Debug, Clone, Default)]
pub struct State {
    pub alerts: BTreeMap<String, Alert>,
    pub silences: BTreeMap<String, Silence>,
    /// Wall times of recent openings by fingerprint.
    pub openings: BTreeMap<String, Vec<u64>>,
}

/// What follows from something that was told.
#[derive(Debug, Default)]
pub struct Decision {
    /// Alerts and silences as they are now, by id; `None` = forgotten.
    pub alerts: BTreeMap<String, Option<Alert>>,
    pub silences: BTreeMap<String, Option<Silence>>,
    pub openings: BTreeMap<String, Vec<u64>>,
    pub notifications: Vec<Notification>,
    pub rows: Vec<Row>,
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManagerError {
    #[error("there is no alert {0}")]
    NoAlert(String),
    #[error("there is no silence {0}")]
    NoSilence(String),
    #[error("alert {0} is over already")]
    Over(String),
    #[error("{0} silences are the limit: let some end first")]
    TooManySilences(usize),
    #[error("a silence must end after it begins")]
    EndsBeforeBegin,
}

/// The state machine.
#[derive(Debug)]
pub struct Manager {
    pub policy: Policy,
    pub runbooks: Arc<Runbooks>,
    state: State,
}

/// Open alerts; what comes above is counted and dropped.
pub const OPEN_MAX: usize = 1_000;
/// Resolved alerts that are remembered.
const RESOLVED_MAX: usize = 500;
const RESOLVED_AGE_NS: u64 = 7 * 24 * 3_600 * 1_000_000_000;
pub const SILENCES_MAX: usize = 500;
/// Ended silences are remembered this long.
const SILENCE_AGE_NS: u64 = 24 * 3_600 * 1_000_000_000;

// === impl Manager ===

impl Manager {
    pub fn new(policy: Policy, runbooks: Arc<Runbooks>, state: State) -> Manager {
        Manager {
            policy,
            runbooks,
            state,
        }
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    /// Everything an alert can be matched by.
    pub fn labels(&self, incident: &Incident) -> Labels {
        labels::all(incident, self.runbooks.verdict(incident).fault_domain)
    }

    /// The detector told something. Told again, it changes nothing.
    pub fn change(&mut self, now_ns: u64, change: Change) -> Decision {
        let mut decision = Decision::default();
        let id = format!("{:016x}", change.incident.id);
        let known = self.state.alerts.get(&id);
        let before = known.map(|alert| (alert.version, alert.status));
        let alert = match known {
            Some(alert) => changed(alert, now_ns, change),
            None => {
                let open = self.state.alerts.values().filter(|a| a.is_open()).count();
                if open >= OPEN_MAX && change.state != Phase::Closed {
                    tracing::error!(
                        alert = id,
                        "{OPEN_MAX} alerts are open: one more is dropped"
                    );
                    return decision;
                }
                self.opened(&id, now_ns, change, &mut decision)
            }
        };
        let after = (alert.version, alert.status);
        if before.is_none() {
            decision.rows.push(Row::of(&alert, "opened", "", now_ns));
        } else if before.map(|b| b.0) != Some(after.0) {
            decision.rows.push(Row::of(&alert, "updated", "", now_ns));
        }
        if after.1 == Status::Resolved && before.map(|b| b.1) != Some(Status::Resolved) {
            decision.rows.push(Row::of(&alert, "resolved", "", now_ns));
        }
        self.put(alert, &mut decision);
        self.settle(now_ns, decision)
    }

    /// Time has passed.
    pub fn tick(&mut self, now_ns: u64) -> Decision {
        self.settle(now_ns, Decision::default())
    }

    fn opened(&self, id: &str, now_ns: u64, change: Change, decision: &mut Decision) -> Alert {
        let identity = labels::identity(&change.incident);
        let fingerprint = labels::fingerprint(&identity);
        let flap = &self.policy.flap;
        let mut openings = self
            .state
            .openings
            .get(&fingerprint)
            .cloned()
            .unwrap_or_default();
        openings.retain(|at| at.saturating_add(flap.window_ns) > now_ns);
        openings.truncate(flap.openings);
        let flapping = openings.len() >= flap.openings;
        openings.insert(0, now_ns);
        decision.openings.insert(fingerprint.clone(), openings);
        let closed = change.state == Phase::Closed;
        Alert {
            id: id.to_owned(),
            fingerprint,
            identity,
            incident: change.incident,
            status: if closed {
                Status::Resolved
            } else {
                Status::Pending
            },
            version: 1,
            opened_at_ns: now_ns,
            changed_at_ns: now_ns,
            resolved_at_ns: closed.then_some(now_ns),
            muted: None,
            acknowledged: None,
            flapping,
            severities_before: Vec::new(),
            told: BTreeMap::new(),
        }
    }

    fn put(&mut self, alert: Alert, decision: &mut Decision) {
        decision
            .alerts
            .insert(alert.id.clone(), Some(alert.clone()));
        self.state.alerts.insert(alert.id.clone(), alert);
    }

    /// Works out what follows now: who is muted, what is due, what is forgotten.
    fn settle(&mut self, now_ns: u64, mut decision: Decision) -> Decision {
        for (fingerprint, openings) in &decision.openings {
            self.state
                .openings
                .insert(fingerprint.clone(), openings.clone());
        }
        self.mute(now_ns, &mut decision);
        self.fire(now_ns, &mut decision);
        self.notify(now_ns, &mut decision);
        self.forget(now_ns, &mut decision);
        decision
    }

    fn mute(&mut self, now_ns: u64, decision: &mut Decision) {
        let mut changed = Vec::new();
        for alert in self.state.alerts.values().filter(|a| a.is_open()) {
            let mute = self.mute_of(alert, now_ns);
            if mute != alert.muted {
                changed.push((alert.id.clone(), mute));
            }
        }
        for (id, mute) in changed {
            let Some(alert) = self.state.alerts.get_mut(&id) else {
                continue;
            };
            let what = if mute.is_some() { "muted" } else { "unmuted" };
            let words = mute.as_ref().map(Mute::words).unwrap_or_default();
            alert.muted = mute;
            decision.rows.push(Row::of(alert, what, &words, now_ns));
            decision.alerts.insert(id, Some(alert.clone()));
        }
    }

    fn mute_of(&self, alert: &Alert, now_ns: u64) -> Option<Mute> {
        let labels = self.labels(&alert.incident);
        let silence = self
            .state
            .silences
            .values()
            .find(|s| s.holds(&labels, now_ns));
        if let Some(silence) = silence {
            return Some(Mute::Silenced(silence.id.clone()));
        }
        let window = self
            .policy
            .windows
            .iter()
            .find(|w| w.holds(&labels, now_ns));
        if let Some(window) = window {
            return Some(Mute::Maintenance(window.name.clone()));
        }
        let mut open = self.state.alerts.values().filter(|a| a.is_open());
        open.find(|cause| inhibit::mutes(&cause.incident, &alert.incident))
            .map(|cause| Mute::Inhibited(cause.id.clone()))
    }

    fn fire(&mut self, now_ns: u64, decision: &mut Decision) {
        let policy = &self.policy;
        for alert in self.state.alerts.values_mut() {
            let due = alert.opened_at_ns.saturating_add(policy.hold_ns(alert)) <= now_ns;
            if alert.status == Status::Pending && due {
                alert.status = Status::Firing;
                decision.rows.push(Row::of(alert, "firing", "", now_ns));
                decision
                    .alerts
                    .insert(alert.id.clone(), Some(alert.clone()));
            }
        }
    }

    fn forget(&mut self, now_ns: u64, decision: &mut Decision) {
        let mut resolved: Vec<(u64, String)> = self
            .state
            .alerts
            .values()
            .filter_map(|a| Some((a.resolved_at_ns?, a.id.clone())))
            .collect();
        resolved.sort_unstable();
        let surplus = resolved.len().saturating_sub(RESOLVED_MAX);
        let old = |at: u64| at.saturating_add(RESOLVED_AGE_NS) < now_ns;
        for (n, (at, id)) in resolved.into_iter().enumerate() {
            if n < surplus || old(at) {
                self.state.alerts.remove(&id);
                decision.alerts.insert(id, None);
            }
        }
        let ended =
            |s: &&Silence| !s.from_file && s.ends_at_ns.saturating_add(SILENCE_AGE_NS) < now_ns;
        let ended: Vec<String> = self
            .state
            .silences
            .values()
            .filter(ended)
            .map(|s| s.id.clone())
            .collect();
        for id in ended {
            self.state.silences.remove(&id);
            decision.silences.insert(id, None);
        }
        let window_ns = self.policy.flap.window_ns;
        self.state.openings.retain(|_, at| {
            at.first()
                .is_some_and(|at| at.saturating_add(window_ns) > now_ns)
        });
    }
}

/// The alert after one more change of its incident.
fn changed(alert: &Alert, now_ns: u64, change: Change) -> Alert {
    let mut next = alert.clone();
    if alert.status == Status::Resolved {
        // An incident ends once; whatever is told of it later is a replay.
        return next;
    }
    let (before, after) = (&alert.incident, &change.incident);
    if after.severity != before.severity {
        next.severities_before.push((before.severity, now_ns));
    }
    if grew(before, after) {
        next.version += 1;
        next.changed_at_ns = now_ns;
    }
    if change.state == Phase::Closed {
        next.status = Status::Resolved;
        next.resolved_at_ns = Some(now_ns);
        next.muted = None;
    }
    next.incident = change.incident;
    next
}

/// Is it worth telling again: worse, wider, or about something else?
fn grew(before: &Incident, after: &Incident) -> bool {
    let wider = before.scope.iter().any(|(dimension, values)| {
        let now = after.scope.get(dimension);
        now.is_none_or(|now| now.iter().any(|value| !values.contains(value)))
    });
    after.severity > before.severity || wider || after.failure_class != before.failure_class
}

#[cfg(test)]
mod tests;
