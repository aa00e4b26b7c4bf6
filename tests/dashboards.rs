//! The shipped Grafana dashboards and alert rules: every query runs on a real store, through the port
//! that Grafana would read. Grafana itself is not run; see `docs/dashboards.md`.

/// Grafana's alert rules.
#[path = "dashboards/alerts.rs"]
mod alerts;
/// What the harness must find wrong.
#[path = "dashboards/broken.rs"]
mod broken;
/// The JSON on its own.
#[path = "dashboards/lint.rs"]
mod lint;
/// What Grafana and its plugin make of a query.
#[path = "dashboards/macros.rs"]
mod macros;
/// Every query of a dashboard, and the shape of its answer.
#[path = "dashboards/run.rs"]
mod run;
/// A store with traffic.
#[path = "dashboards/store.rs"]
mod store;

use std::{collections::BTreeSet, process::Command};

use serde_json::Value;

use lint::{dashboards, list, panels, targets, text};
use run::{Wanted, look};
use store::Store;

/// A service whose name tries to get out of a string.
const HOSTILE: &str = "it's'); DROP TABLE llm_calls; -- \"`${model}";

#[test]
fn every_dashboard_keeps_the_rules() {
    let all = dashboards();
    let problems: Vec<_> = all.iter().flat_map(|d| lint::problems(d, &all)).collect();
    assert!(problems.is_empty(), "{problems:#?}");
    let mut uids: Vec<_> = all.iter().map(|d| text(&d["uid"])).collect();
    uids.dedup();
    assert_eq!(uids.len(), all.len(), "a uid is there twice: {uids:?}");
}

#[test]
fn the_json_is_what_the_sources_make() {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/dashboards/generate.py");
    let made = Command::new("python3").arg(program).arg("--check").output();
    let made = made.expect("python3 runs");
    let said = String::from_utf8_lossy(&made.stderr).into_owned();
    assert!(made.status.success(), "{said}");
}

#[tokio::test]
async fn every_query_runs_whatever_is_chosen() {
    let store = Store::seeded();
    // A set: the same mistake shows for every choice.
    let mut problems = BTreeSet::new();
    for dashboard in dashboards() {
        let all = look(&dashboard, store.to_s, |_| Vec::new());
        problems.extend(run::problems(&store, &dashboard, &all, Wanted::Rows).await);
        let offered = run::offered(&store, &dashboard, &all).await;
        for (name, values) in &offered {
            assert!(values.len() > 1, "{name}: {values:?}");
            // Grafana does not escape backslashes.
            assert!(!values.iter().any(|v| v.contains('\\')), "{values:?}");
            let of = |n: &str| match n == name {
                true => values[..1].to_vec(),
                false => Vec::new(),
            };
            let one = look(&dashboard, store.to_s, of);
            problems.extend(run::problems(&store, &dashboard, &one, Wanted::Shape).await);
        }
        let by_name = look(&dashboard, store.to_s, |name| {
            let values = offered.iter().find(|(n, _)| n == name);
            values.map(|(_, values)| values.clone()).unwrap_or_default()
        });
        problems.extend(run::problems(&store, &dashboard, &by_name, Wanted::Rows).await);
        let hostile = look(&dashboard, store.to_s, |_| {
            vec![HOSTILE.to_owned(), "'".to_owned(), "%')".to_owned()]
        });
        problems.extend(run::problems(&store, &dashboard, &hostile, Wanted::Shape).await);
    }
    assert!(problems.is_empty(), "{problems:#?}");
}

/// The rows of the panel of this title, with these services chosen.
async fn rows_of(store: &Store, uid: &str, title: &str, service: &[&str]) -> Vec<Vec<Value>> {
    let dashboards = dashboards();
    let dashboard = dashboards
        .iter()
        .find(|d| d["uid"] == uid)
        .expect("the dashboard");
    let panel = panels(dashboard)
        .find(|p| p["title"] == title)
        .expect("the panel");
    let of = |name: &str| match name {
        "service" => service.iter().map(|&s| s.to_owned()).collect(),
        _ => Vec::new(),
    };
    let sql = look(dashboard, store.to_s, of).expand(targets(panel)[0].2);
    let answer = store.ask(&sql.expect("a statement")).await;
    answer.expect("an answer").data
}

/// The texts of one column, each once.
fn column(rows: &[Vec<Value>], at: usize) -> Vec<&str> {
    let mut texts: Vec<_> = rows.iter().filter_map(|row| row[at].as_str()).collect();
    texts.sort_unstable();
    texts.dedup();
    texts
}

#[tokio::test]
async fn panels_show_what_happened() {
    let store = Store::seeded();
    let kinds = rows_of(
        &store,
        "lapwing-incident",
        "The 429s and their kin, by kind",
        &[],
    )
    .await;
    let expected = [
        "overloaded",
        "quota exhausted",
        "rate limit: requests",
        "rate limit: tokens",
    ];
    assert_eq!(column(&kinds, 1), expected);

    let state = rows_of(
        &store,
        "lapwing-incident",
        "State of each model, the worst first",
        &[],
    )
    .await;
    assert_eq!(
        (&state[0][0], &state[0][1]),
        (&"openai".into(), &"gpt-4o".into())
    );
    assert_eq!(
        state[0][4], "ours",
        "the limits and the quota are ours: {state:?}"
    );
    let exact = "SELECT quantile(0.95)(duration_ns) / 1e9 FROM llm_calls WHERE request_model = 'gpt-4o' AND duplicate_of = ''";
    let exact: f64 = store
        .lapwing
        .value(exact)
        .expect("a value")
        .parse()
        .expect("a number");
    let shown = state[0][7].as_f64().expect("a p95");
    assert!(
        (shown / exact - 1.0).abs() < 0.1,
        "p95 {shown} s, exactly {exact} s"
    );

    let changes = rows_of(&store, "lapwing-models", "Changes behind a name", &[]).await;
    assert_eq!(column(&changes, 1), ["gpt-4o"]);
    assert_eq!(column(&changes, 2), ["gpt-4o-2024-11-20 fp_a288987b44"]);

    let hit = rows_of(
        &store,
        "lapwing-incident",
        "Who is hit: values that are more common among failing calls",
        &["shop"],
    )
    .await;
    assert!(hit.iter().any(|row| row[1] == "gpt-4o"), "{hit:?}");

    let tenants = rows_of(&store, "lapwing-cost", "Tenants", &[]).await;
    assert_eq!(tenants[0][0], "globex", "the runaway comes first");

    let flags = rows_of(&store, "lapwing-profile", "Suspicious inputs", &[]).await;
    assert_eq!(
        (&flags[0][0], &flags[0][1]),
        (&"unfilled_placeholder".into(), &"shop".into())
    );

    let evals = rows_of(
        &store,
        "lapwing-quality",
        "Evaluations against their seven days before",
        &[],
    )
    .await;
    assert_eq!(evals[0][1], "shop", "whose score fell: {evals:?}");
    assert!(evals[0][7].as_f64().expect("a change") < -0.1, "{evals:?}");

    let hostile = rows_of(&store, "lapwing-explorer", "All calls", &[HOSTILE]).await;
    assert!(
        !hostile.is_empty(),
        "a service of a hostile name can be looked at"
    );
    assert_eq!(column(&hostile, 5), [HOSTILE]);
}

/// A call whose class turned out to be another: the first version is taken back.
#[test]
fn a_correction_leaves_nothing_behind_in_the_sums() {
    let store = Store::seeded_with(1, store::RANGE_S);
    for (class, sign, version) in [
        ("llm.unknown", 1, 1),
        ("llm.unknown", -1, 1),
        ("llm.output.truncated", 1, 2),
    ] {
        let sql = format!(
            "INSERT INTO lapwing.llm_call_versions (timestamp, service, trace_id, span_id, attempt, failure_class, \
             response_model, service_version, sample_weight, sign, version) \
             VALUES (now64(9), 'late', 't', 's', 1, '{class}', 'm', 'v', 1, {sign}, {version})"
        );
        store.lapwing.try_query(&sql).expect("a version");
    }
    let value = |sql: &str| store.lapwing.value(sql).expect("a value");
    let classes = "SELECT arraySort(groupArray((class, n))) FROM (SELECT toString(failure_class) AS class, sum(calls) AS n \
                   FROM llm_failures_1m WHERE service = 'late' GROUP BY class HAVING n != 0)";
    assert_eq!(value(classes), "[('llm.output.truncated',1)]");
    let attempts = "SELECT (sum(calls), sum(failed), sum(output_failed)) FROM llm_traits_5m \
                    WHERE service = 'late' AND trait = 'attempt'";
    assert_eq!(value(attempts), "(1,1,1)");
    assert_eq!(
        value("SELECT sum(calls) FROM llm_models_seen WHERE service = 'late'"),
        "1"
    );
    assert_eq!(
        value("SELECT sum(calls) FROM llm_deploys_seen WHERE service = 'late'"),
        "1"
    );
}

#[tokio::test]
async fn a_trace_id_leads_to_its_trace() {
    let store = Store::seeded();
    let trace = "06".repeat(16);
    let span = format!(
        "INSERT INTO lapwing.otel_traces (Timestamp, TraceId, SpanId, SpanName, ServiceName) \
         VALUES (now64(9), '{trace}', '0102030405060708', 'chat', 'shop')"
    );
    store.lapwing.try_query(&span).expect("a span");
    let mut links = 0;
    for dashboard in dashboards() {
        for url in panels(&dashboard).flat_map(lint::urls) {
            if url.starts_with("/explore?") {
                let sql = trace_query(url).replace("${__value.raw}", &trace);
                assert_eq!(
                    store.ask(&sql).await.expect("an answer").data.len(),
                    1,
                    "{sql}"
                );
                links += 1;
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
    let query = &list(&pane["queries"])[0];
    assert_eq!(query["datasource"]["uid"], "${datasource}");
    text(&query["rawSql"]).to_owned()
}

/// Not a test: writes every panel's answer for `dashboards/draw.py`, which makes the pictures.
#[tokio::test]
#[ignore = "run by hand: LAPWING_DASHBOARD_ANSWERS=directory"]
async fn write_answers_to_draw() {
    let directory = std::env::var("LAPWING_DASHBOARD_ANSWERS").expect("a directory");
    let store = Store::seeded_with(60_000, store::RANGE_S);
    for dashboard in dashboards() {
        let all = look(&dashboard, store.to_s, |_| Vec::new());
        let answers = run::answers(&store, &dashboard, &all).await;
        let file = format!("{directory}/{}.json", text(&dashboard["uid"]));
        std::fs::write(file, answers.to_string()).expect("written");
    }
}

/// Not a test: prints how long every panel takes over all of the calls, the slowest first. Of three
/// runs of each the middle one counts, because the first reads from disk.
#[tokio::test]
#[ignore = "run by hand: LAPWING_DASHBOARD_CALLS=10000000, takes minutes"]
async fn time_every_panel() {
    const WEEK_S: u64 = 7 * 86_400;
    let calls = std::env::var("LAPWING_DASHBOARD_CALLS").expect("a number of calls");
    let store = Store::seeded_with(calls.parse().expect("a number"), WEEK_S);
    let mut lines = Vec::new();
    for dashboard in dashboards() {
        let day = |range_s: u64| macros::Look {
            from_s: store.to_s - range_s,
            interval_s: (range_s / 1000).max(60),
            ..look(&dashboard, store.to_s, |_| Vec::new())
        };
        for panel in panels(&dashboard) {
            let mut took = Vec::new();
            for range_s in [86_400, WEEK_S] {
                let sql = day(range_s)
                    .expand(targets(panel)[0].2)
                    .expect("a statement");
                let mut runs = Vec::new();
                for _ in 0..3 {
                    let begin = std::time::Instant::now();
                    store.ask(&sql).await.expect("an answer");
                    runs.push(begin.elapsed().as_secs_f64());
                }
                runs.sort_by(f64::total_cmp);
                took.push(runs[1]);
            }
            let (board, title) = (text(&dashboard["title"]), text(&panel["title"]));
            lines.push((
                took[1],
                format!("| {board} | {title} | {:.2} | {:.2} |", took[0], took[1]),
            ));
        }
    }
    lines.sort_by(|a, b| b.0.total_cmp(&a.0));
    println!("| dashboard | panel | a day, s | the week, s |\n|---|---|---|---|");
    lines.iter().for_each(|(_, line)| println!("{line}"));
}
