//! What must hold of the JSON of a dashboard whatever is in the store.

use std::{collections::HashSet, fs, path::Path};

use serde_json::Value;

/// Every dashboard that is shipped.
pub fn dashboards() -> Vec<Value> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards");
    let files = fs::read_dir(dir).expect("dashboards").map(|entry| {
        let path = entry.expect("an entry").path();
        let json = path.extension().is_some_and(|e| e == "json");
        json.then(|| fs::read(&path).expect("a dashboard"))
    });
    let found: Vec<_> = files
        .flatten()
        .map(|bytes| serde_json::from_slice(&bytes).expect("JSON"))
        .collect();
    assert!(!found.is_empty(), "no dashboards");
    found
}

/// The members of an array.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().expect("an array")
}

/// A text that is there and not empty.
pub fn text(value: &Value) -> &str {
    let text = value.as_str().unwrap_or_default();
    assert!(!text.is_empty(), "a text is missing");
    text
}

/// The statements of a panel: reference, format and text.
pub fn targets(panel: &Value) -> Vec<(&str, u64, &str)> {
    list(&panel["targets"])
        .iter()
        .map(|t| {
            let format = t["format"].as_u64().expect("a format");
            (text(&t["refId"]), format, text(&t["rawSql"]))
        })
        .collect()
}

/// Every data source that is named anywhere.
fn data_sources<'a>(value: &'a Value, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("datasource").filter(|d| d.is_object()));
            fields.values().for_each(|v| data_sources(v, found));
        }
        Value::Array(items) => items.iter().for_each(|v| data_sources(v, found)),
        _ => {}
    }
}

#[test]
fn a_dashboard_can_be_imported_anywhere() {
    let mut uids = HashSet::new();
    for dashboard in dashboards() {
        let uid = text(&dashboard["uid"]).to_owned();
        assert!(uid.len() <= 40 && uids.insert(uid.clone()), "{uid}");
        assert!(dashboard["id"].is_null(), "{uid}");
        assert_eq!(dashboard["schemaVersion"], 42, "{uid}");
        text(&dashboard["title"]);
        text(&dashboard["description"]);

        let variables = list(&dashboard["templating"]["list"]);
        let source = variables.iter().find(|v| v["type"] == "datasource");
        let source = source.expect("a variable for the data source");
        assert_eq!(source["name"], "datasource");
        assert_eq!(source["query"], "grafana-clickhouse-datasource");
        for variable in variables.iter().filter(|v| v["type"] == "query") {
            assert_eq!(variable["refresh"], 2, "{variable}: depends on the range");
            assert_eq!(variable["includeAll"], true, "{variable}");
        }
        let mut named = Vec::new();
        data_sources(&dashboard, &mut named);
        for source in named {
            assert_eq!(source["uid"], "${datasource}", "{uid}");
            assert_eq!(source["type"], "grafana-clickhouse-datasource", "{uid}");
        }
        let links = list(&dashboard["links"]);
        assert!(!links.is_empty(), "{uid}");
        for link in links {
            assert_eq!(
                (&link["keepTime"], &link["includeVars"]),
                (&true.into(), &true.into())
            );
        }
    }
}

#[test]
fn a_panel_says_what_it_shows() {
    for dashboard in dashboards() {
        let mut ids = HashSet::new();
        for panel in list(&dashboard["panels"]) {
            let title = text(&panel["title"]);
            assert!(ids.insert(panel["id"].as_u64().expect("an id")), "{title}");
            assert!(text(&panel["description"]).len() > 20, "{title}");
            text(&panel["fieldConfig"]["defaults"]["unit"]);
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
            assert!(!targets(panel).is_empty(), "{title}");
        }
    }
}

#[test]
fn panels_do_not_overlap() {
    for dashboard in dashboards() {
        let mut taken = HashSet::new();
        for panel in list(&dashboard["panels"]) {
            let at = |name: &str| panel["gridPos"][name].as_u64().expect("a position");
            assert!(at("w") > 0 && at("h") > 0 && at("x") + at("w") <= 24);
            for x in at("x")..at("x") + at("w") {
                for y in at("y")..at("y") + at("h") {
                    assert!(taken.insert((x, y)), "{} at {x}, {y}", panel["title"]);
                }
            }
        }
    }
}

#[test]
fn queries_are_bounded_and_count_a_call_once() {
    for dashboard in dashboards() {
        for panel in list(&dashboard["panels"]) {
            let title = text(&panel["title"]);
            for (_, format, sql) in targets(panel) {
                assert!(sql.contains("$__timeFilter("), "{title}: any time");
                assert!(!sql.contains("SELECT *"), "{title}");
                for part in sql.split("UNION ALL") {
                    let calls = part.contains("FROM llm_calls\n");
                    assert!(!calls || part.contains("duplicate_of = ''"), "{title}");
                }
                match format {
                    0 => {
                        assert!(sql.contains("GROUP BY time"), "{title}: any number of rows");
                        // The rollup has one row a minute: a shorter interval would show gaps.
                        assert_eq!(panel["interval"], "1m", "{title}");
                    }
                    1 => assert!(sql.contains("LIMIT ") || panel["type"] == "stat", "{title}"),
                    other => panic!("{title}: format {other}"),
                }
            }
        }
        for variable in list(&dashboard["templating"]["list"]) {
            if let Some(sql) = variable["query"]["rawSql"].as_str() {
                assert!(
                    sql.contains("LIMIT ") && sql.contains("$__timeFilter("),
                    "{sql}"
                );
            }
        }
    }
}
