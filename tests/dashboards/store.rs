//! A store with made-up traffic, and what its read-only port answers.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::support::{clients::now_ns, lapwing::Lapwing};

/// The calls and the seconds before now that they are spread over.
const CALLS: u64 = 12_000;
pub const RANGE_S: u64 = 3 * 3600;

/// An insert of more would need more memory than the engine has by default.
const CALLS_PER_INSERT: u64 = 250_000;

/// Tables of the calls that are made up; alerts, evaluations, tool calls and the collector's own
/// numbers are in `others.sql`.
const CALLS_SQL: &str = include_str!("traffic.sql");
const OTHERS_SQL: &str = include_str!("others.sql");

/// A result, as ClickHouse's JSONCompact.
#[derive(Debug, Deserialize)]
pub struct Answer {
    pub meta: Vec<Column>,
    pub data: Vec<Vec<Value>>,
}

#[derive(Debug, Deserialize)]
pub struct Column {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
}

/// A running collector with traffic up to `to_s` (Unix time).
#[derive(Debug)]
pub struct Store {
    pub lapwing: Lapwing,
    pub to_s: u64,
    client: reqwest::Client,
}

impl Store {
    pub fn seeded() -> Store {
        Self::seeded_with(CALLS, RANGE_S)
    }

    pub fn seeded_with(calls: u64, seconds: u64) -> Store {
        let lapwing = Lapwing::start();
        let to_s = now_ns() / 1_000_000_000 / 60 * 60;
        let fill = |sql: &str, first: u64| {
            without_comments(sql)
                .replace("{rows}", &calls.to_string())
                .replace("{first}", &first.to_string())
                .replace("{count}", &CALLS_PER_INSERT.min(calls - first).to_string())
                .replace("{seconds}", &seconds.to_string())
                .replace("{to_s}", &to_s.to_string())
                .replace("{database}", "lapwing")
        };
        let mut script: Vec<_> = (0..calls)
            .step_by(CALLS_PER_INSERT as usize)
            .map(|first| fill(CALLS_SQL, first))
            .collect();
        let others = fill(OTHERS_SQL, 0);
        script.extend(others.split(";\n").map(str::to_owned));
        for statement in script.iter().map(|s| s.trim()).filter(|s| !s.is_empty()) {
            let done = lapwing.try_query(statement);
            done.unwrap_or_else(|error| panic!("{error}\n{statement}"));
        }
        let _ = rustls::crypto::ring::default_provider().install_default();
        Store {
            lapwing,
            to_s,
            client: reqwest::Client::new(),
        }
    }

    /// Asks as the plugin does: the read-only port, the default database in the address.
    pub async fn ask(&self, sql: &str) -> Result<Answer, String> {
        let door = self.lapwing.clickhouse;
        let url = format!("http://{door}/?database=lapwing&default_format=JSONCompact");
        let request = self.client.post(url).header("X-ClickHouse-User", "default");
        let request = request
            .timeout(Duration::from_secs(60))
            .body(sql.to_owned());
        let response = request.send().await.map_err(|e| e.to_string())?;
        let status = response.status();
        let body = response.text().await.map_err(|e| e.to_string())?;
        match status.is_success() {
            true => serde_json::from_str(&body).map_err(|e| format!("{e}: {body}\n{sql}")),
            false => Err(format!("{status}: {body}\n{sql}")),
        }
    }
}

fn without_comments(sql: &str) -> String {
    let lines = sql
        .lines()
        .filter(|line| !line.trim_start().starts_with("--"));
    lines.fold(String::new(), |text, line| text + line + "\n")
}
