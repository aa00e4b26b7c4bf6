//! The store: reachable, of this schema, on the same clock; and the spans in it that are no call.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, de::DeserializeOwned};

use super::Findings;
use crate::{
    cli::target,
    config::Config,
    store::{Store, migrate, schema::identifier},
};

/// Clocks that differ by more than this put calls where nobody looks.
const SKEW_MAX: Duration = Duration::from_secs(30);
/// Kinds of spans that are shown.
const KINDS_MAX: u8 = 5;

#[derive(Debug, Deserialize)]
struct Clock {
    now_ms: u64,
}

#[derive(Debug, Deserialize)]
struct Times {
    spans: u64,
    ahead: u64,
    newest_age_s: i64,
}

/// Spans that are no model call, by who recorded them.
#[derive(Debug, Deserialize)]
struct Kind {
    service: String,
    scope: String,
    name: String,
    spans: u64,
    keys: Vec<String>,
    like_a_call: bool,
}

/// The store, if it answers and has the tables.
pub(super) async fn look(config: &Config, findings: &mut Findings) -> Option<Store> {
    const ABOUT: &str = "store";
    let store = target::of(config).and_then(|target| Ok(Store::new(&target)?));
    let store = match store {
        Ok(store) => store,
        Err(error) => {
            findings.wrong_because(
                ABOUT,
                &format!("{error:#}"),
                "without it nothing is found, what is sent waits in the journal",
            );
            return None;
        }
    };
    let version = match store.ping().await {
        Ok(version) => version,
        Err(error) => {
            findings.wrong_because(ABOUT, &error.to_string(), "look at `storage.clickhouse.*`, and whether ClickHouse runs; what is sent waits in the journal");
            return None;
        }
    };
    match migrate::pending(&store, &config.layout()).await {
        Ok(pending) if pending.is_empty() => {
            let what = format!("ClickHouse {}, schema up to date", version.trim());
            findings.good(ABOUT, &what);
        }
        Ok(pending) => {
            let what = format!("{} migrations are missing", pending.len());
            findings.wrong_because(ABOUT, &what, "run `lapwing schema apply`, or start the collector with a user that may create tables");
            return None;
        }
        Err(error) => {
            findings.wrong_because(ABOUT, &error.to_string(), "see docs/troubleshooting.md");
            return None;
        }
    }
    clock(&store, findings).await;
    Some(store)
}

async fn clock(store: &Store, findings: &mut Findings) {
    const ABOUT: &str = "clock";
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_ms = now.map_or(0, |now| now.as_millis() as u64);
    let sql = "SELECT toUnixTimestamp64Milli(now64(3)) AS now_ms";
    let Ok(found) = rows::<Clock>(store, sql).await else {
        return;
    };
    let Some(clock) = found.first() else { return };
    let skew = Duration::from_millis(clock.now_ms.abs_diff(now_ms));
    match skew > SKEW_MAX {
        true => findings.wrong_because(
            ABOUT,
            &format!(
                "the store's clock differs from ours by {} s",
                skew.as_secs()
            ),
            "let both follow a time server: \"the last hour\" is another one there",
        ),
        false => findings.good(ABOUT, "that of the store is ours"),
    }
}

/// What came in the last hour, and what of it was taken for no call.
pub(super) async fn spans(store: &Store, findings: &mut Findings) {
    times(store, findings).await;
    const ABOUT: &str = "spans";
    let sql = format!(
        "SELECT ServiceName AS service, ScopeName AS scope, any(SpanName) AS name, count() AS spans, \
         arraySlice(arraySort(arrayDistinct(arrayFlatten(groupArray(50)(mapKeys(SpanAttributes))))), 1, 12) AS keys, \
         toBool(max(arrayExists(k -> match(k, '(?i)gen_ai|llm|openinference|prompt|completion|token'), mapKeys(SpanAttributes)))) AS like_a_call \
         FROM {{database}}.otel_traces WHERE Timestamp > now() - INTERVAL 1 HOUR AND ServiceName != '{service}' \
         AND (TraceId, SpanId) NOT IN (SELECT trace_id, span_id FROM {{database}}.llm_calls WHERE timestamp > now() - INTERVAL 2 HOUR) \
         AND (TraceId, SpanId) NOT IN (SELECT trace_id, span_id FROM {{database}}.llm_tool_calls WHERE timestamp > now() - INTERVAL 2 HOUR) \
         GROUP BY service, scope ORDER BY like_a_call DESC, spans DESC LIMIT {KINDS_MAX}",
        service = super::probe::SERVICE,
    );
    let kinds = match rows::<Kind>(store, &sql).await {
        Ok(kinds) => kinds,
        Err(error) => {
            return findings.doubt(ABOUT, &format!("cannot be looked at: {error:#}"), "");
        }
    };
    for kind in kinds {
        let what = format!(
            "{} spans of {:?} by {:?} in the last hour are no model call, such as {:?}; attributes: {}",
            kind.spans,
            kind.service,
            kind.scope,
            kind.name,
            kind.keys.join(", ")
        );
        match kind.like_a_call {
            true => findings.doubt(ABOUT, &what, "if they are calls, name their attributes in `rules.attributes_file` (see rules/attributes.toml) and send SIGHUP; spans around a call (chains, agents) belong here"),
            false => findings.good(ABOUT, &what),
        }
    }
}

async fn times(store: &Store, findings: &mut Findings) {
    const ABOUT: &str = "times";
    let sql = "SELECT count() AS spans, countIf(Timestamp > now64(9) + INTERVAL 1 MINUTE) AS ahead, \
               dateDiff('second', max(Timestamp), now64(9)) AS newest_age_s \
               FROM {database}.otel_traces WHERE Timestamp > now() - INTERVAL 1 DAY";
    let found = match rows::<Times>(store, sql).await {
        Ok(found) => found,
        Err(error) => return findings.doubt(ABOUT, &format!("cannot be looked at: {error:#}"), ""),
    };
    let Some(times) = found.first() else { return };
    if times.spans == 0 {
        findings.doubt(
            ABOUT,
            "the store has no span of the last day",
            "if spans came (see `traffic`), their clocks are more than a day behind",
        );
    } else if times.ahead > 0 {
        findings.doubt(
            ABOUT,
            &format!("{} spans of the last day begin in the future", times.ahead),
            "the clock of a sender is ahead: let it follow a time server",
        );
    } else {
        let what = format!(
            "{} spans in the last day, the newest {} s ago",
            times.spans,
            times.newest_age_s.max(0)
        );
        findings.good(ABOUT, &what);
    }
}

/// `{database}` in `sql` is the store's.
pub(super) async fn rows<T: DeserializeOwned>(store: &Store, sql: &str) -> anyhow::Result<Vec<T>> {
    let sql = sql.replace("{database}", &identifier(store.database()));
    let settings = " SETTINGS output_format_json_quote_64bit_integers = 0";
    let answer = store.select(&(sql + settings), "JSONEachRow").await?;
    let lines = answer
        .split(|byte| *byte == b'\n')
        .filter(|l| !l.is_empty());
    Ok(lines
        .map(serde_json::from_slice)
        .collect::<Result<_, _>>()?)
}
