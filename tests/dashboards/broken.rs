//! The harness itself: a bad edit of a dashboard is found, and named.

use serde_json::{Value, json};

use super::{
    lint::{self, dashboards, list, panels, text},
    run::{self, Wanted, look},
    store::Store,
};

/// The first panel of the incident dashboard that `which` picks, edited by `edit`.
fn edited(which: impl Fn(&Value) -> bool, edit: impl Fn(&mut Value)) -> Value {
    let incident = dashboards()
        .into_iter()
        .find(|d| d["uid"] == "lapwing-incident");
    let mut dashboard = incident.expect("the dashboard");
    let at = list(&dashboard["panels"])
        .iter()
        .position(which)
        .expect("a panel");
    edit(&mut dashboard["panels"][at]);
    dashboard
}

#[track_caller]
fn assert_found(dashboard: &Value, wanted: &str) {
    let problems = lint::problems(dashboard, &dashboards());
    let found = problems.iter().any(|p| p.contains(wanted));
    assert!(found, "{wanted} is not among {problems:?}");
}

#[test]
fn a_missing_unit_is_found() {
    let edit = |panel: &mut Value| panel["fieldConfig"]["defaults"]["unit"] = json!("");
    assert_found(&edited(|_| true, edit), "a unit");
}

#[test]
fn a_hard_coded_data_source_is_found() {
    let edit = |panel: &mut Value| panel["targets"][0]["datasource"]["uid"] = json!("P5D2F7A8");
    assert_found(&edited(|_| true, edit), "no uid of one Grafana");
}

#[test]
fn a_query_without_a_time_filter_is_found() {
    let edit = |panel: &mut Value| {
        let sql = text(&panel["targets"][0]["rawSql"]).replace("$__timeFilter(timestamp)", "1=1");
        panel["targets"][0]["rawSql"] = json!(sql);
    };
    assert_found(&edited(|_| true, edit), "a time filter");
}

#[test]
fn a_panel_over_another_is_found() {
    let mut dashboard = dashboards().remove(0);
    dashboard["panels"][1]["gridPos"] = dashboard["panels"][0]["gridPos"].clone();
    assert_found(&dashboard, "no other panel has");
}

#[test]
fn a_link_to_nowhere_is_found() {
    let edit = |panel: &mut Value| {
        panel["fieldConfig"]["defaults"]["links"] =
            json!([{"title": "x", "url": "/d/lapwing-calls?${__url_time_range}"}]);
    };
    assert_found(
        &edited(|_| true, edit),
        "lapwing-calls, which is not shipped",
    );
    let edit = |panel: &mut Value| {
        panel["fieldConfig"]["defaults"]["links"] = json!([{"title": "x", "url": "/d/lapwing-explorer?${__url_time_range}&var-colour=red"}]);
    };
    assert_found(&edited(|_| true, edit), "`colour`");
}

#[tokio::test]
async fn what_only_the_store_can_tell_is_found() {
    let store = Store::seeded_with(500, run_range());
    let is_bars = |panel: &Value| panel["title"] == "Failing calls by class";
    let unknown_column = edited(is_bars, |panel| {
        let sql = text(&panel["targets"][0]["rawSql"]).replace("sum(calls)", "sum(colour)");
        panel["targets"][0]["rawSql"] = json!(sql);
    });
    let unknown_macro = edited(is_bars, |panel| {
        let sql = text(&panel["targets"][0]["rawSql"]).replace("ORDER BY", "$__orderBy");
        panel["targets"][0]["rawSql"] = json!(sql);
    });
    let no_label = edited(is_bars, |panel| {
        panel["fieldConfig"]["defaults"]["displayName"] = json!("${__field.labels.colour}");
    });
    let unknown_unit = edited(
        |panel| panel["type"] == "table",
        |panel| {
            panel["fieldConfig"]["overrides"][0]["matcher"]["options"] = json!("colour");
        },
    );
    let cases = [
        (unknown_column, "colour"),
        (unknown_macro, "unknown macro"),
        (no_label, "does not name the series"),
        (unknown_unit, "there is no column colour"),
    ];
    for (dashboard, wanted) in cases {
        let all = look(&dashboard, store.to_s, |_| Vec::new());
        let problems = run::problems(&store, &dashboard, &all, Wanted::Shape).await;
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains(wanted), "{wanted}: {problems:?}");
    }
    assert!(panels(&dashboards()[0]).count() > 0);
}

fn run_range() -> u64 {
    super::store::RANGE_S
}
