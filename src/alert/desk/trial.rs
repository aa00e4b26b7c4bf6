//! Trials: a sample to a receiver, and what came of it.

use std::collections::BTreeMap;

use super::{Desk, DeskError};
use crate::{
    alert::{
        deliver::outbox::Message,
        labels,
        manager::Decision,
        model::{Alert, Event, Item, Notification, Status},
        sample,
    },
    detect::Kind,
};

/// What came of a test message.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct TestReport {
    pub id: String,
    pub receiver: String,
    /// `waiting`, `delivered` or `dead`.
    pub state: &'static str,
    pub attempts: u32,
    pub reason: String,
}

impl Desk {
    /// Sends a sample to a receiver, past routes and silences.
    pub fn test(
        &mut self,
        now_ns: u64,
        receiver: &str,
        kind: Kind,
        event: Event,
    ) -> Result<String, DeskError> {
        let found = self
            .options
            .receivers
            .iter()
            .find(|r| r.name == receiver)
            .cloned();
        let receiver = found.ok_or_else(|| self.no_receiver(receiver))?;
        let notification = test_notification(&receiver.name, kind, event, now_ns);
        let Some(message) = self.message(&receiver, &notification, now_ns) else {
            return Ok(notification.id);
        };
        let notes = self.outbox.put(message);
        self.commit(now_ns, Decision::default(), notes, Vec::new());
        Ok(notification.id)
    }

    /// How a message fares.
    pub fn report(&self, receiver: &str, id: &str) -> Option<TestReport> {
        let report = |state, attempts, reason: &str| TestReport {
            id: id.to_owned(),
            receiver: receiver.to_owned(),
            state,
            attempts,
            reason: reason.to_owned(),
        };
        let is = |m: &Message| m.receiver == receiver && m.id == id;
        if self.outbox.is_done(receiver, id) {
            return Some(report("delivered", 1, ""));
        }
        if let Some(dead) = self.outbox.dead().find(|d| is(&d.message)) {
            return Some(report("dead", dead.message.attempts, &dead.reason));
        }
        let message = self.outbox.waiting().find(|m| is(m))?;
        Some(report("waiting", message.attempts, &message.reason))
    }
}

/// A sample as a notification that no other has the id of.
pub(in crate::alert) fn test_notification(
    receiver: &str,
    kind: Kind,
    event: Event,
    now_ns: u64,
) -> Notification {
    let mut incident = sample::incident_at(kind, now_ns);
    incident.id ^= now_ns;
    if event == Event::Resolved {
        incident.ended_ns = Some(now_ns);
    }
    let identity = labels::identity(&incident);
    let alert = Alert {
        id: format!("{:016x}", incident.id),
        fingerprint: labels::fingerprint(&identity),
        identity: identity.clone(),
        status: if event == Event::Resolved {
            Status::Resolved
        } else {
            Status::Firing
        },
        version: 1,
        opened_at_ns: now_ns,
        changed_at_ns: now_ns,
        resolved_at_ns: (event == Event::Resolved).then_some(now_ns),
        muted: None,
        acknowledged: None,
        flapping: false,
        severities_before: Vec::new(),
        told: BTreeMap::new(),
        incident,
    };
    let mut random = [0; 8];
    // Without random bytes the time alone tells two tests apart.
    _ = getrandom::fill(&mut random);
    Notification {
        id: format!("lw_test_{:x}_{:016x}", now_ns, u64::from_le_bytes(random)),
        receiver: receiver.to_owned(),
        group: identity,
        alerts: vec![Item {
            event,
            repeat: false,
            alert,
        }],
    }
}
