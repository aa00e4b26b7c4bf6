//! What must hold of the JSON of a dashboard whatever is in the store.

use std::{collections::HashSet, fs, path::Path};

use serde_json::Value;

const PLUGIN: &str = "grafana-clickhouse-datasource";
const UID: &str = "${datasource}";
/// Columns of Grafana's grid.
const GRID: u64 = 24;
/// Longest uid that Grafana takes.
const UID_LEN_MAX: usize = 40;
/// A shorter description says no more than the title.
const DESCRIPTION_LEN_MIN: usize = 30;

/// Every dashboard that is shipped.
pub fn dashboards() -> Vec<Value> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards");
    let mut paths: Vec<_> = fs::read_dir(dir)
        .expect("dashboards")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no dashboards");
    let read = |path| fs::read(path).expect("a dashboard");
    paths
        .iter()
        .map(|path| serde_json::from_slice(&read(path)).expect("JSON"))
        .collect()
}

/// The members of an array; none if it is no array.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A text; empty if it is none.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The panels that show something: rows are only titles.
pub fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    list(&dashboard["panels"])
        .iter()
        .filter(|panel| panel["type"] != "row")
}

/// The statements of a panel: reference, format and text.
pub fn targets(panel: &Value) -> Vec<(&str, u64, &str)> {
    list(&panel["targets"])
        .iter()
        .map(|t| {
            let format = t["format"].as_u64().unwrap_or(u64::MAX);
            (text(&t["refId"]), format, text(&t["rawSql"]))
        })
        .collect()
}

/// Everything that is wrong with one dashboard, in words; `all` are those it may link to.
pub fn problems(dashboard: &Value, all: &[Value]) -> Vec<String> {
    let mut found = Found {
        dashboard: text(&dashboard["uid"]).to_owned(),
        problems: Vec::new(),
    };
    identity(dashboard, &mut found);
    variables(dashboard, &mut found);
    sources(dashboard, &mut found);
    overlaps(dashboard, &mut found);
    let mut ids = HashSet::new();
    for panel in panels(dashboard) {
        let id = panel["id"].as_u64();
        found.unless(
            id.is_some_and(|id| ids.insert(id)),
            panel,
            "a panel id of its own",
        );
        says_what_it_shows(panel, &mut found);
        links(panel, all, &mut found);
        for (_, format, sql) in targets(panel) {
            query(panel, format, sql, &mut found);
        }
    }
    found.problems
}

struct Found {
    dashboard: String,
    problems: Vec<String>,
}

impl Found {
    fn unless(&mut self, holds: bool, panel: &Value, wanted: &str) {
        if !holds {
            let title = text(&panel["title"]);
            self.problems
                .push(format!("{} / {title}: must have {wanted}", self.dashboard));
        }
    }
}

fn identity(dashboard: &Value, found: &mut Found) {
    let uid = text(&dashboard["uid"]);
    let fits = !uid.is_empty() && uid.len() <= UID_LEN_MAX;
    found.unless(fits, dashboard, "a uid of at most 40 characters");
    found.unless(dashboard["id"].is_null(), dashboard, "no id of one Grafana");
    found.unless(dashboard["schemaVersion"] == 42, dashboard, "schema 42");
    found.unless(!text(&dashboard["title"]).is_empty(), dashboard, "a title");
    let described = text(&dashboard["description"]).len() >= DESCRIPTION_LEN_MIN;
    found.unless(described, dashboard, "a description");
    let others = list(&dashboard["links"]);
    let kept = |l: &Value| l["keepTime"] == true && l["includeVars"] == true;
    found.unless(
        !others.is_empty() && others.iter().all(kept),
        dashboard,
        "links to the others that keep range and variables",
    );
}

fn variables(dashboard: &Value, found: &mut Found) {
    let variables = list(&dashboard["templating"]["list"]);
    let source = variables.iter().find(|v| v["type"] == "datasource");
    found.unless(
        source.is_some_and(|s| s["name"] == "datasource" && s["query"] == PLUGIN),
        dashboard,
        "a variable `datasource`",
    );
    for variable in variables.iter().filter(|v| v["type"] == "query") {
        let asked_again = variable["refresh"] == 2 && variable["includeAll"] == true;
        found.unless(asked_again, dashboard, "variables by range, with All");
        let sql = text(&variable["query"]["rawSql"]);
        let bounded = sql.contains("LIMIT ") && sql.contains("$__toTime");
        found.unless(bounded, dashboard, "variables that are bounded");
    }
}

/// No data source but the chosen one, wherever one is named.
fn sources(value: &Value, found: &mut Found) {
    match value {
        Value::Object(fields) => {
            if let Some(source) = fields.get("datasource").filter(|s| s.is_object()) {
                let chosen = source["uid"] == UID && source["type"] == PLUGIN;
                found.unless(
                    chosen,
                    value,
                    "the data source of the variable, no uid of one Grafana",
                );
            }
            fields.values().for_each(|v| sources(v, found));
        }
        Value::Array(items) => items.iter().for_each(|v| sources(v, found)),
        _ => {}
    }
}

fn overlaps(dashboard: &Value, found: &mut Found) {
    let mut taken = HashSet::new();
    for panel in list(&dashboard["panels"]) {
        let at = |name: &str| panel["gridPos"][name].as_u64().unwrap_or(u64::MAX / 4);
        let inside = at("w") > 0 && at("h") > 0 && at("x") + at("w") <= GRID && at("h") < 100;
        found.unless(inside, panel, "a place on the grid");
        if inside {
            let cells = (at("x")..at("x") + at("w"))
                .flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y)));
            let free = cells.filter(|&cell| !taken.insert(cell)).count() == 0;
            found.unless(free, panel, "a place that no other panel has");
        }
    }
}

fn says_what_it_shows(panel: &Value, found: &mut Found) {
    found.unless(!text(&panel["title"]).is_empty(), panel, "a title");
    let described = text(&panel["description"]).len() >= DESCRIPTION_LEN_MIN;
    found.unless(described, panel, "a description");
    let unit = text(&panel["fieldConfig"]["defaults"]["unit"]);
    found.unless(!unit.is_empty(), panel, "a unit");
    found.unless(!targets(panel).is_empty(), panel, "a query");
    found.unless(!panel["datasource"].is_null(), panel, "a data source");
}

/// The links of a panel, of its fields and of its columns.
pub fn urls(panel: &Value) -> Vec<&str> {
    let overrides = list(&panel["fieldConfig"]["overrides"]).iter();
    let of_columns = overrides
        .flat_map(|over| list(&over["properties"]))
        .filter(|property| property["id"] == "links")
        .flat_map(|property| list(&property["value"]));
    list(&panel["fieldConfig"]["defaults"]["links"])
        .iter()
        .chain(of_columns)
        .map(|link| text(&link["url"]))
        .collect()
}

/// Every panel leads on, to a dashboard that is shipped and with variables that it has.
fn links(panel: &Value, all: &[Value], found: &mut Found) {
    let urls = urls(panel);
    found.unless(!urls.is_empty(), panel, "a link that leads on");
    for url in urls {
        let Some(path) = url.strip_prefix("/d/") else {
            found.unless(
                url.starts_with("/explore?"),
                panel,
                "links to dashboards or Explore",
            );
            continue;
        };
        let (uid, query) = path.split_once('?').unwrap_or((path, ""));
        let Some(target) = all.iter().find(|d| d["uid"] == uid) else {
            found.unless(
                false,
                panel,
                &format!("no link to {uid}, which is not shipped"),
            );
            continue;
        };
        found.unless(
            query.contains("${__url_time_range}"),
            panel,
            "links that keep the range",
        );
        for name in query.split('&').filter_map(variable_of) {
            let known = list(&target["templating"]["list"])
                .iter()
                .any(|v| v["name"] == name);
            found.unless(
                known,
                panel,
                &format!("no link with `{name}`, which {uid} does not have"),
            );
        }
    }
}

/// The variable that a part of a link sets: `var-name=...` or `${name:queryparam}`.
fn variable_of(part: &str) -> Option<&str> {
    let set = part.strip_prefix("var-").and_then(|p| p.split_once('='));
    let passed = part
        .strip_prefix("${")
        .and_then(|p| p.strip_suffix(":queryparam}"));
    set.map(|(name, _)| name).or(passed)
}

/// Bounded in time and rows, and a call counts once.
fn query(panel: &Value, format: u64, sql: &str, found: &mut Found) {
    found.unless(
        sql.contains("$__timeFilter("),
        panel,
        "a time filter in its query",
    );
    let named = sql
        .replace("SELECT * FROM llm_calls_1m ", "")
        .replace("SELECT * FROM llm_calls_1h ", "");
    found.unless(!named.contains("SELECT *"), panel, "columns by name");
    let calls = sql.matches("FROM llm_calls\n").count();
    let once = sql.matches("duplicate_of = ''").count();
    found.unless(calls <= once, panel, "calls counted once");
    match format {
        0 => {
            let bounded = sql.contains("GROUP BY time") && panel["interval"].is_string();
            found.unless(bounded, panel, "one row per point, and a shortest interval");
        }
        1 => {
            let one = panel["type"] == "stat";
            found.unless(one || sql.contains("LIMIT "), panel, "a limit of its rows");
        }
        _ => found.unless(false, panel, "format 0 or 1"),
    }
}
