//! The collector's own numbers into its store, so that dashboards can tell "nothing happened" from
//! "nothing arrived". `/metrics` stays the source; this only writes down what it says.
//!
//! Losing some is no harm: an insert that fails is not tried again.

use std::{fmt::Write as _, time::Duration};

use crate::store::{Store, schema::literal};

/// Between two times that the numbers are written.
const EVERY: Duration = Duration::from_secs(15);

/// Writes the page again and again until the task is dropped.
pub(super) async fn write(store: Store, instance: String, page: impl Fn() -> String + Send) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(sql) = insert(store.database(), &instance, &page()) else {
            continue;
        };
        if let Err(error) = store.execute(&sql).await {
            tracing::debug!(%error, "own numbers not written");
        }
    }
}

/// The insert of a page; none for an empty one.
fn insert(database: &str, instance: &str, page: &str) -> Option<String> {
    let mut values = String::new();
    for (name, labels, value) in page.lines().filter_map(number) {
        let comma = if values.is_empty() { "" } else { ", " };
        // Writing into a String cannot fail.
        _ = write!(
            values,
            "{comma}(now(), {}, {}, {}, {value})",
            literal(instance),
            literal(name),
            literal(labels)
        );
    }
    let table = crate::store::schema::identifier(database);
    (!values.is_empty()).then(|| {
        format!(
            "INSERT INTO {table}.lapwing_metrics (timestamp, instance, name, labels, value) VALUES {values}"
        )
    })
}

/// `name{labels} value`, as Prometheus writes it.
fn number(line: &str) -> Option<(&str, &str, f64)> {
    let (series, value) = line.rsplit_once(' ')?;
    let value: f64 = value.parse().ok()?;
    if line.starts_with('#') || !value.is_finite() {
        return None;
    }
    match series.split_once('{') {
        Some((name, labels)) => Some((name, labels.strip_suffix('}')?, value)),
        None => Some((series, "", value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_becomes_rows() {
        let page = "# HELP a Things\n# TYPE a counter\na 3\nb{x=\"it's\",y=\"2\"} 0.5\nc NaN\n";
        let sql = insert("lapwing", "host:4319", page).expect("a statement");
        let values = sql.split_once("VALUES ").expect("values").1;
        assert_eq!(
            values,
            r#"(now(), 'host:4319', 'a', '', 3), (now(), 'host:4319', 'b', 'x="it\'s",y="2"', 0.5)"#
        );
        assert_eq!(insert("lapwing", "host:4319", "# nothing\n"), None);
    }
}
