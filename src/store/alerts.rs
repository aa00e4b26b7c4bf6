//! Rows of `llm_alerts` and `llm_alert_deliveries`, and their insert.
//!
//! Few rows, so they go by the client's typed insert instead of blocks. The token is made of the
//! rows: the same rows sent again are stored once, and both tables replace equal keys besides.

use clickhouse::Row;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{Store, WriteError};

/// A change of an alert. Times are nanoseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Row, Serialize)]
pub struct AlertRow {
    pub timestamp: i64,
    /// Counts the rows of one collector.
    pub number: u64,
    pub id: String,
    pub fingerprint: String,
    pub change: String,
    pub by: String,
    pub status: String,
    pub kind: String,
    pub severity: String,
    pub failure_class: String,
    pub labels: Vec<(String, String)>,
    pub starts_at: i64,
    pub detected_at: i64,
    pub ends_at: Option<i64>,
    pub value: f64,
    pub baseline: f64,
    pub calls: u64,
    pub failed: u64,
    pub incident: String,
}

/// An attempt to deliver a message. Times are nanoseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Row, Serialize)]
pub struct DeliveryRow {
    pub timestamp: i64,
    /// Counts the rows of one collector.
    pub number: u64,
    pub id: String,
    pub receiver: String,
    pub alert_ids: Vec<String>,
    pub outcome: String,
    pub attempt: u32,
    pub http_status: Option<u16>,
    pub reason: String,
}

impl Store {
    /// Stores changes of alerts, all or none.
    pub async fn insert_alerts(&self, rows: &[AlertRow]) -> Result<(), WriteError> {
        let keys = rows.iter().map(|row| (row.timestamp, row.number));
        self.insert_rows("llm_alerts", rows, &token(keys)).await
    }

    /// Stores attempts of deliveries, all or none.
    pub async fn insert_deliveries(&self, rows: &[DeliveryRow]) -> Result<(), WriteError> {
        let keys = rows.iter().map(|row| (row.timestamp, row.number));
        self.insert_rows("llm_alert_deliveries", rows, &token(keys))
            .await
    }
}

fn token(keys: impl Iterator<Item = (i64, u64)>) -> String {
    let mut hash = Sha256::new();
    for (timestamp, number) in keys {
        hash.update(timestamp.to_le_bytes());
        hash.update(number.to_le_bytes());
    }
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
