//! `lapwing top`: what goes through the collector now, in a terminal: flow, failing calls with class
//! and verdict, open alerts. Asks the store every two seconds; `--once` prints it once.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

use serde::Deserialize;

use crate::store::{Store, Target, WriteError};

const EVERY: Duration = Duration::from_secs(2);
/// Longest line of a table.
const WIDTH: usize = 150;

/// Clears the screen, and goes to its first place.
const CLEAR: &str = "\x1b[2J\x1b[H";

const FLOW: &str = "
SELECT provider, request_model AS model, sum(calls_weighted) / 300 AS per_second,
  sumIf(calls_weighted, failure_class != '') / greatest(sum(calls_weighted), 1) AS failing,
  if(sum(calls) > sum(calls_without_cost), toFloat64(sum(cost_usd)) * 12, NULL) AS usd_per_hour,
  topKWeightedIf(1)(toString(failure_class), toUInt64(greatest(calls, 0)), failure_class != '')[1] AS mostly
FROM {database}.llm_calls_1m
WHERE timestamp > now() - INTERVAL 5 MINUTE
GROUP BY provider, model
HAVING sum(calls_weighted) > 0
ORDER BY failing DESC, per_second DESC
LIMIT 12";

const FAILING: &str = "
SELECT formatDateTime(max(timestamp), '%H:%i:%S') AS newest, count() AS calls, toString(failure_class) AS class, toString(any(fault_domain)) AS whose,
  toString(any(retry_advice)) AS retry, toString(service) AS service, toString(request_model) AS model, leftUTF8(argMax(error_message, timestamp), 200) AS message
FROM {database}.llm_calls
WHERE timestamp > now() - INTERVAL 10 MINUTE AND duplicate_of = '' AND failure_class != ''
GROUP BY failure_class, service, request_model
ORDER BY calls DESC
LIMIT 12";

const ALERTS: &str = "
SELECT formatDateTime(min(detected_at), '%H:%i:%S') AS since, toString(any(severity)) AS severity, toString(any(kind)) AS kind,
  arrayStringConcat(arrayMap((k, v) -> concat(k, '=', v), mapKeys(any(labels)), mapValues(any(labels))), ' ') AS scope
FROM {database}.llm_alerts
WHERE timestamp > now() - INTERVAL 7 DAY
GROUP BY id
HAVING argMax(change, (timestamp, number)) != 'resolved'
ORDER BY since DESC
LIMIT 10";

#[derive(Debug, Deserialize)]
struct Flow {
    provider: String,
    model: String,
    per_second: f64,
    failing: f64,
    /// None: no call of it has a known cost.
    usd_per_hour: Option<f64>,
    mostly: String,
}

#[derive(Debug, Deserialize)]
struct Failing {
    newest: String,
    calls: u64,
    class: String,
    whose: String,
    retry: String,
    service: String,
    model: String,
    message: String,
}

#[derive(Debug, Deserialize)]
struct Alert {
    since: String,
    severity: String,
    kind: String,
    scope: String,
}

/// Shows it until it is interrupted, or once.
pub(super) async fn run(target: &Target, once: bool) -> anyhow::Result<()> {
    let store = Store::new(target)?;
    let redraw = !once && io::stdout().is_terminal();
    loop {
        let page = page(&store).await?;
        let clear = if redraw { CLEAR } else { "" };
        let mut out = io::stdout().lock();
        match write!(out, "{clear}{page}").and_then(|()| out.flush()) {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            done => done?,
        }
        if !redraw {
            return Ok(());
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn page(store: &Store) -> anyhow::Result<String> {
    let flow: Vec<Flow> = rows(store, FLOW).await?;
    let failing: Vec<Failing> = rows(store, FAILING).await?;
    // A store that is older than alerts has none.
    let alerts: Vec<Alert> = rows(store, ALERTS).await.unwrap_or_default();
    Ok(drawn(&flow, &failing, &alerts))
}

async fn rows<T: for<'a> Deserialize<'a>>(store: &Store, sql: &str) -> anyhow::Result<Vec<T>> {
    let database = crate::store::schema::identifier(store.database());
    let sql = sql.replace("{database}", &database);
    let settings = " SETTINGS output_format_json_quote_64bit_integers = 0";
    let answer: Result<_, WriteError> = store.select(&(sql + settings), "JSONEachRow").await;
    let answer = answer?;
    let lines = answer
        .split(|b| *b == b'\n')
        .filter(|line| !line.is_empty());
    Ok(lines
        .map(serde_json::from_slice)
        .collect::<Result<_, _>>()?)
}

/// The page as text.
fn drawn(flow: &[Flow], failing: &[Failing], alerts: &[Alert]) -> String {
    let mut page = String::new();
    let calls: f64 = flow.iter().map(|f| f.per_second).sum();
    let bad: f64 = flow.iter().map(|f| f.per_second * f.failing).sum();
    let share = if calls > 0.0 { bad / calls } else { 0.0 };
    let usd: f64 = flow.iter().filter_map(|f| f.usd_per_hour).sum();
    line(
        &mut page,
        format!(
            "lapwing top: last 5 minutes: {calls:.1} calls/s, {:.1} % failing, {usd:.2} USD/h known cost\n",
            100.0 * share
        ),
    );
    line(
        &mut page,
        format!(
            "{:14} {:28} {:>8} {:>9} {:>9}  mostly",
            "provider", "model", "calls/s", "failing", "USD/h"
        ),
    );
    for f in flow {
        let failing = format!("{:.1} %", 100.0 * f.failing);
        let usd = f
            .usd_per_hour
            .map_or_else(|| "-".to_owned(), |usd| format!("{usd:.2}"));
        line(
            &mut page,
            format!(
                "{:14} {:28} {:8.2} {failing:>9} {usd:>9}  {}",
                cut(&f.provider, 14),
                cut(&f.model, 28),
                f.per_second,
                f.mostly
            ),
        );
    }
    line(
        &mut page,
        format!(
            "\n{:8} {:>6} {:28} {:8} {:12} {:14} {:18} message",
            "newest", "failed", "class", "whose", "send again", "service", "model"
        ),
    );
    for f in failing {
        line(
            &mut page,
            format!(
                "{:8} {:>6} {:28} {:8} {:12} {:14} {:18} {}",
                f.newest,
                f.calls,
                cut(&f.class, 28),
                f.whose,
                f.retry,
                cut(&f.service, 14),
                cut(&f.model, 18),
                f.message
            ),
        );
    }
    if failing.is_empty() {
        line(&mut page, "none in the last 10 minutes".to_owned());
    }
    line(
        &mut page,
        format!("\n{:8} {:9} {:24} scope", "alerts", "severity", "kind"),
    );
    for a in alerts {
        line(
            &mut page,
            format!("{:8} {:9} {:24} {}", a.since, a.severity, a.kind, a.scope),
        );
    }
    if alerts.is_empty() {
        line(&mut page, "none open".to_owned());
    }
    page
}

/// One line, cut to the width, without what a terminal would obey.
fn line(page: &mut String, text: String) {
    let printable = |c: char| if c.is_control() && c != '\n' { ' ' } else { c };
    let text: String = text.chars().map(printable).take(WIDTH).collect();
    _ = writeln!(page, "{text}");
}

fn cut(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_message_stays_on_its_line() {
        let failing = Failing {
            newest: "02:13:00".into(),
            calls: 3,
            class: "llm.unknown".into(),
            whose: "unknown".into(),
            retry: "never".into(),
            service: "shop".into(),
            model: "gpt-4o".into(),
            message: "\x1b[2Jgone\nand more ".repeat(40),
        };
        let page = drawn(&[], &[failing], &[]);
        assert!(!page.contains('\x1b'), "{page:?}");
        let row = page
            .lines()
            .find(|l| l.starts_with("02:13:00"))
            .expect("a row");
        assert!(row.chars().count() <= WIDTH, "{row}");
        assert!(page.contains("none open"), "{page}");
    }
}
