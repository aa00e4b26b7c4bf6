//! History: what happened to alerts and to their delivery, as rows for `llm_alerts` and
//! `llm_alert_deliveries`.
//!
//! Rows wait in the state log until the store has taken them; delivery never waits for them.

use serde::{Deserialize, Serialize};

use super::{labels, model::Alert, text};

/// A row of one of the two tables.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Row {
    Alert(Box<AlertRow>),
    Delivery(Box<DeliveryRow>),
}

/// A change of an alert. Times are nanoseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertRow {
    pub timestamp_ns: u64,
    pub id: String,
    pub fingerprint: String,
    /// `opened`, `firing`, `updated`, `muted`, `unmuted`, `acknowledged` or `resolved`.
    pub change: String,
    /// Who or what did it, where that is known.
    pub by: String,
    pub status: String,
    pub kind: String,
    pub severity: String,
    pub failure_class: String,
    pub labels: Vec<(String, String)>,
    pub starts_at_ns: u64,
    pub detected_at_ns: u64,
    pub ends_at_ns: Option<u64>,
    pub value: f64,
    pub baseline: f64,
    pub calls: u64,
    pub failed: u64,
    /// The incident, as JSON.
    pub incident: String,
}

/// The end of one delivery, or an attempt that failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeliveryRow {
    pub timestamp_ns: u64,
    /// The idempotency key.
    pub id: String,
    pub receiver: String,
    pub alert_ids: Vec<String>,
    /// `delivered`, `failed` (to be tried again) or `dead`.
    pub outcome: String,
    pub attempt: u32,
    pub http_status: Option<u16>,
    pub reason: String,
}

// === impl Row ===

impl Row {
    /// Something happened to an alert.
    pub fn of(alert: &Alert, change: &str, by: &str, now_ns: u64) -> Row {
        let incident = &alert.incident;
        Row::Alert(Box::new(AlertRow {
            timestamp_ns: now_ns,
            id: alert.id.clone(),
            fingerprint: alert.fingerprint.clone(),
            change: change.to_owned(),
            by: text::line(by, 200),
            status: alert.status.as_str().to_owned(),
            kind: incident.kind.as_str().to_owned(),
            severity: incident.severity.as_str().to_owned(),
            failure_class: incident.failure_class.clone(),
            labels: labels::joined(&labels::scope(incident))
                .into_iter()
                .collect(),
            starts_at_ns: incident.onset_ns,
            detected_at_ns: incident.raised_ns,
            ends_at_ns: incident.ended_ns.or(alert.resolved_at_ns),
            value: incident.observed.value,
            baseline: incident.observed.baseline,
            calls: incident.impact.calls,
            failed: incident.impact.failed,
            incident: serde_json::to_string(incident).unwrap_or_default(),
        }))
    }
}

/// As the store takes it.
pub(super) fn alert_row(number: u64, row: AlertRow) -> crate::store::alerts::AlertRow {
    crate::store::alerts::AlertRow {
        timestamp: nanos(row.timestamp_ns),
        number,
        id: row.id,
        fingerprint: row.fingerprint,
        change: row.change,
        by: row.by,
        status: row.status,
        kind: row.kind,
        severity: row.severity,
        failure_class: row.failure_class,
        labels: row.labels,
        starts_at: nanos(row.starts_at_ns),
        detected_at: nanos(row.detected_at_ns),
        ends_at: row.ends_at_ns.map(nanos),
        value: row.value,
        baseline: row.baseline,
        calls: row.calls,
        failed: row.failed,
        incident: row.incident,
    }
}

/// As the store takes it.
pub(super) fn delivery_row(number: u64, row: DeliveryRow) -> crate::store::alerts::DeliveryRow {
    crate::store::alerts::DeliveryRow {
        timestamp: nanos(row.timestamp_ns),
        number,
        id: row.id,
        receiver: row.receiver,
        alert_ids: row.alert_ids,
        outcome: row.outcome,
        attempt: row.attempt,
        http_status: row.http_status,
        reason: row.reason,
    }
}

fn nanos(ns: u64) -> i64 {
    i64::try_from(ns).unwrap_or(i64::MAX)
}
