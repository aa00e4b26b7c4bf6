//! The types of this stage: alerts and what is known of them, silences, notifications.
//!
//! All of them are written to the state log as JSON: fields may be added with a default, never
//! renamed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{labels::Labels, matcher::Matcher};
use crate::detect::{Incident, Severity};

/// An incident as somebody is told about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// 16 hexadecimal digits, the incident's id: the same on every replica.
    pub id: String,
    /// 16 hexadecimal digits: the same for every incident of this kind and opening scope.
    pub fingerprint: String,
    /// Kind and scope at the opening.
    pub identity: Labels,
    pub incident: Incident,
    pub status: Status,
    /// Counts what is worth telling: 1 at the opening, more when severity or scope grow.
    pub version: u32,
    /// Wall time at which it was told to us.
    pub opened_at_ns: u64,
    /// Wall time of the last version.
    pub changed_at_ns: u64,
    pub resolved_at_ns: Option<u64>,
    /// Why nothing is sent at the moment.
    pub muted: Option<Mute>,
    pub acknowledged: Option<Acknowledgement>,
    /// It comes and goes: the next opening is told only if it stays.
    pub flapping: bool,
    /// Severities it had before, with the wall time at which each was left.
    pub severities_before: Vec<(Severity, u64)>,
    /// What each receiver was told.
    pub told: BTreeMap<String, Told>,
}

/// Where an alert is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Held back for a moment, in case that its cause follows.
    Pending,
    Firing,
    Resolved,
}

/// Why an alert is not sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mute {
    /// The id of the silence.
    Silenced(String),
    /// The id of the alert whose symptom it is.
    Inhibited(String),
    /// The name of the window.
    Maintenance(String),
}

/// Somebody has taken it on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    pub by: String,
    pub comment: String,
    pub at_ns: u64,
    /// A worse one than this is told again.
    pub severity: Severity,
}

/// What a receiver knows of an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    pub event: Event,
    pub version: u32,
    pub at_ns: u64,
    pub repeats: u32,
    pub severity: Severity,
}

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    Resolved,
    Acknowledged,
    Updated,
    Firing,
}

/// Matching alerts are not sent between two times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Silence {
    pub id: String,
    pub matchers: Vec<Matcher>,
    pub starts_at_ns: u64,
    pub ends_at_ns: u64,
    pub author: String,
    pub comment: String,
    /// From the silences file: gone when it is gone there.
    #[serde(default)]
    pub from_file: bool,
}

/// One message to one receiver; several alerts only where the receiver groups.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// Idempotency key: `[a-z0-9_]`, the same for the same message on every replica.
    pub id: String,
    pub receiver: String,
    /// What the alerts have in common.
    pub group: Labels,
    pub alerts: Vec<Item>,
}

/// An alert within a notification.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    pub event: Event,
    /// A reminder of what was told before.
    pub repeat: bool,
    pub alert: Alert,
}

// === impl Status ===

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::Firing => "firing",
            Status::Resolved => "resolved",
        }
    }
}

// === impl Event ===

impl Event {
    /// The word of payloads and message ids.
    pub fn as_str(self) -> &'static str {
        match self {
            Event::Firing => "firing",
            Event::Updated => "updated",
            Event::Resolved => "resolved",
            Event::Acknowledged => "acknowledged",
        }
    }
}

// === impl Alert ===

impl Alert {
    pub fn is_open(&self) -> bool {
        self.status != Status::Resolved
    }
}

// === impl Mute ===

impl Mute {
    /// For lists: `silenced by 3f...`.
    pub fn words(&self) -> String {
        match self {
            Mute::Silenced(id) => format!("silenced by {id}"),
            Mute::Inhibited(id) => format!("symptom of {id}"),
            Mute::Maintenance(name) => format!("maintenance window {name}"),
        }
    }
}

// === impl Silence ===

impl Silence {
    /// Does it hold now for these labels?
    pub fn holds(&self, labels: &Labels, now_ns: u64) -> bool {
        let now = self.starts_at_ns <= now_ns && now_ns < self.ends_at_ns;
        now && self.matchers.iter().all(|matcher| matcher.holds(labels))
    }
}
