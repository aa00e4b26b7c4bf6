//! Runs every query of a dashboard and judges the shape of what comes back.

use serde_json::{Value, json};

use super::lint::{list, panels, targets, text};
use super::macros::Look;
use super::store::{Answer, RANGE_S, Store};

/// What an answer must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The right columns.
    Shape,
    /// And rows.
    Rows,
}

/// The seeded range, with the variables of `dashboard` set to what `chosen` says of each. A text
/// that is typed in keeps its default where nothing is chosen.
pub fn look(dashboard: &Value, to_s: u64, chosen: impl Fn(&str) -> Vec<String>) -> Look {
    let variables = list(&dashboard["templating"]["list"]).iter();
    let variables = variables.filter(|v| v["type"] != "datasource").map(|v| {
        let name = text(&v["name"]);
        let values = match chosen(name) {
            none if none.is_empty() && v["type"] == "textbox" => vec![text(&v["query"]).to_owned()],
            values => values,
        };
        (name.to_owned(), values)
    });
    Look {
        from_s: to_s - RANGE_S,
        to_s: to_s + 60,
        interval_s: 60,
        variables: variables.collect(),
    }
}

/// Everything that is wrong with the answers of a dashboard: of its panels and annotations.
pub async fn problems(
    store: &Store,
    dashboard: &Value,
    look: &Look,
    wanted: Wanted,
) -> Vec<String> {
    let uid = text(&dashboard["uid"]);
    let mut problems = Vec::new();
    for panel in panels(dashboard) {
        let title = text(&panel["title"]);
        for (_, format, sql) in targets(panel) {
            let answer = match look.expand(sql) {
                Ok(sql) => store.ask(&sql).await,
                Err(error) => Err(error),
            };
            let found = answer.and_then(|answer| match format {
                0 => time_series(panel, &answer, wanted),
                _ => table(panel, &answer, wanted),
            });
            problems.extend(found.err().map(|error| format!("{uid} / {title}: {error}")));
        }
    }
    for annotation in list(&dashboard["annotations"]["list"]) {
        let sql = look.expand(text(&annotation["target"]["rawSql"]));
        let found = match sql {
            Ok(sql) => store
                .ask(&sql)
                .await
                .and_then(|answer| marks(&answer, wanted)),
            Err(error) => Err(error),
        };
        let name = text(&annotation["name"]);
        problems.extend(found.err().map(|error| format!("{uid} / {name}: {error}")));
    }
    problems
}

/// What each variable offers.
pub async fn offered(store: &Store, dashboard: &Value, look: &Look) -> Vec<(String, Vec<String>)> {
    let mut offered = Vec::new();
    for variable in list(&dashboard["templating"]["list"]) {
        if let Some(sql) = variable["query"]["rawSql"].as_str() {
            let sql = look.expand(sql).expect("a statement");
            let answer = store.ask(&sql).await.expect("an answer");
            let values = answer.data.iter().filter_map(|row| row.first()?.as_str());
            let values = values.map(str::to_owned).collect();
            offered.push((text(&variable["name"]).to_owned(), values));
        }
    }
    offered
}

/// Every panel's answer, by panel id, and the marks of the annotations.
pub async fn answers(store: &Store, dashboard: &Value, look: &Look) -> Value {
    let mut all = serde_json::Map::new();
    for panel in panels(dashboard) {
        let (_, _, sql) = targets(panel)[0];
        let answer = store.ask(&look.expand(sql).expect("a statement")).await;
        all.insert(
            panel["id"].to_string(),
            as_json(&answer.expect("an answer")),
        );
    }
    for annotation in list(&dashboard["annotations"]["list"]) {
        let sql = look.expand(text(&annotation["target"]["rawSql"]));
        let answer = store.ask(&sql.expect("a statement")).await;
        all.insert(
            text(&annotation["name"]).to_owned(),
            as_json(&answer.expect("an answer")),
        );
    }
    Value::Object(all)
}

fn as_json(answer: &Answer) -> Value {
    let names: Vec<_> = answer.meta.iter().map(|c| &c.name).collect();
    json!({"columns": names, "rows": answer.data})
}

fn is_number(kind: &str) -> bool {
    ["Int", "Float", "Decimal"].iter().any(|k| kind.contains(k)) && !kind.contains("Map(")
}

/// A frame that Grafana can draw over time: times, numbers, and texts that become labels.
fn time_series(panel: &Value, answer: &Answer, wanted: Wanted) -> Result<(), String> {
    let time = answer.meta.first().ok_or("no columns")?;
    if !time.kind.starts_with("DateTime") {
        return Err(format!("the first column is no time: {time:?}"));
    }
    let numbers = answer.meta.iter().filter(|c| is_number(&c.kind)).count();
    let label = panel["fieldConfig"]["defaults"]["displayName"].as_str();
    let labels = answer.meta.iter().skip(1).filter(|c| !is_number(&c.kind));
    for column in labels.clone() {
        if !column.kind.contains("String") {
            return Err(format!("neither a number nor a label: {column:?}"));
        }
    }
    if let Some(label) = label {
        let there = labels
            .clone()
            .any(|c| label.contains(&format!("labels.{}}}", c.name)));
        if !there || numbers != 1 {
            return Err(format!(
                "{label} does not name the series: {:?}",
                answer.meta
            ));
        }
    }
    if numbers == 0 {
        return Err(format!("nothing to draw: {:?}", answer.meta));
    }
    let sorted = answer
        .data
        .is_sorted_by_key(|row| row[0].as_str().map(str::to_owned));
    if !sorted {
        return Err("times are not in order".to_owned());
    }
    rows(answer, wanted)
}

/// A frame for a table, a bar chart or a few big numbers.
fn table(panel: &Value, answer: &Answer, wanted: Wanted) -> Result<(), String> {
    let names: Vec<_> = answer.meta.iter().map(|c| c.name.as_str()).collect();
    for over in list(&panel["fieldConfig"]["overrides"]) {
        let name = text(&over["matcher"]["options"]);
        if !names.contains(&name) {
            return Err(format!("there is no column {name}: {names:?}"));
        }
    }
    match text(&panel["type"]) {
        "stat" if answer.data.len() > 1 => return Err("more than one row".to_owned()),
        "stat" if !answer.meta.iter().all(|c| is_number(&c.kind)) => {
            return Err(format!("not only numbers: {:?}", answer.meta));
        }
        "barchart" if !names.contains(&text(&panel["options"]["xField"])) => {
            return Err(format!("no column for the bars' names: {names:?}"));
        }
        _ => {}
    }
    rows(answer, wanted)
}

/// What the annotations of Grafana need.
fn marks(answer: &Answer, wanted: Wanted) -> Result<(), String> {
    let names: Vec<_> = answer.meta.iter().map(|c| c.name.as_str()).collect();
    for name in ["time", "title", "text"] {
        if !names.contains(&name) {
            return Err(format!("a mark needs {name}: {names:?}"));
        }
    }
    rows(answer, wanted)
}

fn rows(answer: &Answer, wanted: Wanted) -> Result<(), String> {
    match wanted == Wanted::Rows && answer.data.is_empty() {
        true => Err("nothing to show for this traffic".to_owned()),
        false => Ok(()),
    }
}
