//! The shipped Grafana dashboards: every query runs on a real store, through the port that Grafana
//! would read. Grafana itself is not run; see `dashboards/README.md`.

/// The JSON on its own.
#[path = "dashboards/lint.rs"]
mod lint;
/// What Grafana and its plugin make of a query.
#[path = "dashboards/macros.rs"]
mod macros;

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::{
    otlp::{self, START_NS, SpanOf, span},
    support::{clients::now_ns, lapwing::Lapwing, wait::until},
};
use lint::{dashboards, list, targets, text};
use macros::Look;

/// A service whose name tries to get out of a string.
const HOSTILE: &str = "it's'); DROP TABLE llm_calls; -- \"`${model}";
/// A service that the variables do not offer: Grafana does not escape the backslash.
const BACKSLASH: &str = r"C:\shop\";
/// Rows come within seconds; this only ends a test whose rows never come.
const ROWS_TIME_MAX: Duration = Duration::from_secs(60);

#[derive(Debug, Deserialize)]
struct Answer {
    meta: Vec<Column>,
    data: Vec<Vec<Value>>,
}

#[derive(Debug, Deserialize)]
struct Column {
    #[serde(rename = "type")]
    kind: String,
}

/// A chat that began `seconds` ago, answered by another model than it asked for.
fn chat(number: u8, service: &str, model: &str, ago_s: u64) -> SpanOf {
    let now_ms = now_ns().saturating_sub(START_NS) / 1_000_000;
    let start = now_ms.saturating_sub(ago_s * 1000);
    span(&format!("chat {model}"))
        .client()
        .trace(number)
        .id(u64::from(number))
        .service(service)
        .between_ms(start, start + 500 * u64::from(number))
        .attr("gen_ai.operation.name", "chat")
        .attr("gen_ai.request.model", model)
        .attr("tenant.id", "acme")
}

fn good(span: SpanOf, provider: &str, responded: &str) -> SpanOf {
    span.attr("gen_ai.provider.name", provider)
        .attr("gen_ai.response.model", responded)
        .attr("gen_ai.response.finish_reasons", ["stop"])
        .attr("gen_ai.usage.input_tokens", 2400)
        .attr("gen_ai.usage.output_tokens", 90)
}

fn limited(span: SpanOf, code: &str, message: &str) -> SpanOf {
    span.attr("gen_ai.provider.name", "openai")
        .attr("http.response.status_code", 429)
        .attr("error.type", code)
        .failed(message)
}

/// Good, streaming and failing calls of several services, providers and models.
fn seed() -> Vec<SpanOf> {
    let quota = "You exceeded your current quota, please check your plan and billing details.";
    let tokens = "Rate limit reached for gpt-4o on tokens per min (TPM): Limit 30000, Used 29500.";
    vec![
        good(
            chat(1, "shop", "gpt-4o", 900),
            "openai",
            "gpt-4o-2024-08-06",
        ),
        good(
            chat(2, "shop", "gpt-4o", 600),
            "openai",
            "gpt-4o-2024-11-20",
        )
        .attr("gen_ai.request.stream", true)
        .attr("gen_ai.response.time_to_first_chunk", 0.4),
        good(
            chat(3, "search", "claude-3-opus", 500),
            "anthropic",
            "claude-3-opus-20240229",
        ),
        // Nobody knows its price.
        good(chat(4, HOSTILE, "in-house-1", 400), "openai", "in-house-1"),
        good(
            chat(5, BACKSLASH, "gpt-4o", 400),
            "openai",
            "gpt-4o-2024-11-20",
        ),
        limited(chat(6, "shop", "gpt-4o", 300), "insufficient_quota", quota),
        limited(
            chat(7, "search", "gpt-4o", 240),
            "rate_limit_exceeded",
            tokens,
        ),
        limited(
            chat(8, HOSTILE, "gpt-4o", 180),
            "rate_limit_exceeded",
            tokens,
        ),
        chat(9, "search", "claude-3-opus", 120)
            .attr("gen_ai.provider.name", "anthropic")
            .attr("http.response.status_code", 529)
            .attr("error.type", "overloaded_error")
            .failed("Overloaded"),
    ]
}

fn http() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

/// Starts a collector whose calls are visible.
async fn seeded() -> Lapwing {
    let lapwing = Lapwing::start();
    let spans = seed();
    let sent = http()
        .post(format!("http://{}/v1/traces", lapwing.http))
        .header("content-type", "application/x-protobuf")
        .body(otlp::traces(&spans))
        .send()
        .await
        .expect("an answer");
    assert!(sent.status().is_success(), "{sent:?}");
    until("the seeded calls", ROWS_TIME_MAX, || {
        let counts: Vec<Value> =
            lapwing.rows("SELECT toInt32(sum(calls)) AS n FROM llm_calls_1m")?;
        match counts.first().and_then(|row| row["n"].as_u64()) {
            Some(n) if n == spans.len() as u64 => Ok(()),
            other => Err(format!("{other:?} calls")),
        }
    });
    lapwing
}

/// Asks as the plugin does: the read-only port, the default database in the address.
async fn ask(lapwing: &Lapwing, sql: &str) -> Answer {
    let url = format!(
        "http://{}/?database=lapwing&default_format=JSONCompact",
        lapwing.clickhouse
    );
    let request = http().post(url).header("X-ClickHouse-User", "default");
    let response = request
        .body(sql.to_owned())
        .send()
        .await
        .expect("an answer");
    let status = response.status();
    let body = response.text().await.expect("a text");
    assert!(status.is_success(), "{status}: {body}\n{sql}");
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}\n{sql}"))
}

/// The last hour, with the variables of `dashboard` set to what `chosen` says of each.
fn look(dashboard: &Value, chosen: impl Fn(&str) -> Vec<String>) -> Look {
    let to_s = now_ns() / 1_000_000_000 + 60;
    let names = list(&dashboard["templating"]["list"]).iter();
    let variables = names
        .filter(|v| v["type"] == "query")
        .map(|v| text(&v["name"]))
        .map(|name| (name.to_owned(), chosen(name)));
    Look {
        from_s: to_s - 3600,
        to_s,
        interval_s: 60,
        variables: variables.collect(),
    }
}

/// Runs every panel; `full` ones must have something to show.
async fn run_panels(lapwing: &Lapwing, dashboard: &Value, look: &Look, full: bool) {
    for panel in list(&dashboard["panels"]) {
        let title = text(&panel["title"]);
        for (reference, format, sql) in targets(panel) {
            let answer = ask(lapwing, &look.expand(sql)).await;
            let kinds: Vec<_> = answer.meta.iter().map(|c| c.kind.as_str()).collect();
            if format == 0 {
                assert!(kinds[0].starts_with("DateTime"), "{title}: {kinds:?}");
                let number = |k: &&str| k.contains("Int") || k.contains("Float");
                assert!(kinds.iter().any(number), "{title}: {kinds:?}");
            }
            assert!(
                !full || !answer.data.is_empty(),
                "{title} {reference} is empty"
            );
        }
    }
}

#[tokio::test]
async fn every_query_runs_whatever_is_chosen() {
    let lapwing = seeded().await;
    for dashboard in dashboards() {
        run_panels(
            &lapwing,
            &dashboard,
            &look(&dashboard, |_| Vec::new()),
            true,
        )
        .await;

        let offered = look(&dashboard, |_| Vec::new());
        for variable in list(&dashboard["templating"]["list"]) {
            let Some(sql) = variable["query"]["rawSql"].as_str() else {
                continue;
            };
            let answer = ask(&lapwing, &offered.expand(sql)).await;
            let values = answer.data.iter().filter_map(|row| row.first()?.as_str());
            let values: Vec<_> = values.map(str::to_owned).collect();
            assert!(values.len() > 1, "{variable}: {values:?}");
            assert!(!values.iter().any(|v| v.contains('\\')), "{values:?}");
            let name = text(&variable["name"]);
            // All, one, and all by name.
            for chosen in values.iter().map(std::slice::from_ref).chain([&values[..]]) {
                let of = |n: &str| {
                    if n == name {
                        chosen.to_vec()
                    } else {
                        Vec::new()
                    }
                };
                run_panels(&lapwing, &dashboard, &look(&dashboard, of), false).await;
            }
        }
        let hostile = look(&dashboard, |_| vec![HOSTILE.to_owned(), "'".to_owned()]);
        run_panels(&lapwing, &dashboard, &hostile, false).await;
    }
}

/// The panel of this title, as rows.
async fn rows_of(lapwing: &Lapwing, title: &str, service: &[&str]) -> Vec<Vec<Value>> {
    let dashboards = dashboards();
    let dashboard = dashboards.iter().find(|d| d["uid"] == "lapwing-calls");
    let dashboard = dashboard.expect("the dashboard");
    let panel = list(&dashboard["panels"])
        .iter()
        .find(|p| p["title"] == title);
    let of = |name: &str| match name {
        "service" => service.iter().map(|&s| s.to_owned()).collect(),
        _ => Vec::new(),
    };
    let (_, _, sql) = targets(panel.expect("the panel"))[0];
    ask(lapwing, &look(dashboard, of).expand(sql)).await.data
}

/// The texts of one column, each once.
fn column(rows: &[Vec<Value>], at: usize) -> Vec<&str> {
    let mut texts: Vec<_> = rows.iter().filter_map(|row| row[at].as_str()).collect();
    texts.sort_unstable();
    texts.dedup();
    texts
}

#[tokio::test]
async fn panels_show_what_was_sent() {
    let lapwing = seeded().await;
    let kinds = rows_of(&lapwing, "The 429s by kind", &[]).await;
    let expected = ["overloaded", "quota exhausted", "rate limit: tokens"];
    assert_eq!(column(&kinds, 1), expected);
    let kinds = rows_of(&lapwing, "The 429s by kind", &[HOSTILE]).await;
    assert_eq!(column(&kinds, 1), ["rate limit: tokens"]);

    let models = rows_of(&lapwing, "Requested and responded models", &["shop"]).await;
    // The newest pair first: the alias moved on.
    assert_eq!(models.len(), 2, "{models:?}");
    assert_eq!(models[0][2], "gpt-4o-2024-11-20");

    let failing = rows_of(&lapwing, "Latest failing calls", &[]).await;
    assert_eq!(failing.len(), 4, "{failing:?}");
    assert_eq!(failing[0][1], "09".repeat(16));
    assert_eq!(column(&failing, 8), ["acme"]);

    let unpriced = rows_of(&lapwing, "Unpriced calls", &[]).await;
    assert_eq!(unpriced[0][0].as_f64(), Some(0.2), "one of five answers");
    assert_eq!(
        rows_of(&lapwing, "Time to first token, p50 and p95", &[])
            .await
            .len(),
        1
    );
}

#[tokio::test]
async fn a_trace_id_leads_to_its_trace() {
    let lapwing = seeded().await;
    let trace = "06".repeat(16);
    let mut links = 0;
    for dashboard in dashboards() {
        for panel in list(&dashboard["panels"]) {
            for over in list(&panel["fieldConfig"]["overrides"]) {
                for property in list(&over["properties"])
                    .iter()
                    .filter(|p| p["id"] == "links")
                {
                    let url = text(&property["value"][0]["url"]);
                    let sql = trace_query(url).replace("${__value.raw}", &trace);
                    assert_eq!(ask(&lapwing, &sql).await.data.len(), 1, "{sql}");
                    links += 1;
                }
            }
        }
    }
    assert!(links > 0, "nothing leads to a trace");
}

/// The statement inside a link to Grafana's Explore.
fn trace_query(url: &str) -> String {
    let url = reqwest::Url::parse("http://grafana")
        .expect("a base")
        .join(url)
        .expect("a link");
    assert_eq!(url.path(), "/explore");
    let (_, panes) = url
        .query_pairs()
        .find(|(name, _)| name == "panes")
        .expect("panes");
    let panes: Value = serde_json::from_str(&panes).expect("JSON");
    let pane = panes
        .as_object()
        .and_then(|p| p.values().next())
        .expect("a pane");
    assert_eq!(pane["datasource"], "${datasource}");
    assert_eq!(pane["queries"][0]["datasource"]["uid"], "${datasource}");
    text(&pane["queries"][0]["rawSql"]).to_owned()
}
