//! What happens to a query between a dashboard and ClickHouse: Grafana's variables and the macros of
//! its ClickHouse plugin, written after their documented output.
//!
//! Only what the dashboards use; anything else that is left over is an error.

use regex::{Captures, Regex};

/// One look at a dashboard: its range, its interval and what its variables are set to.
#[derive(Debug, Clone)]
pub struct Look {
    /// Unix time.
    pub from_s: u64,
    /// Unix time.
    pub to_s: u64,
    pub interval_s: u64,
    /// Name and chosen values; none chosen: `All`, or an empty text.
    pub variables: Vec<(String, Vec<String>)>,
}

impl Look {
    /// The statement that reaches ClickHouse; an error when something is left that neither Grafana
    /// nor the plugin would replace.
    pub fn expand(&self, raw: &str) -> Result<String, String> {
        // In Grafana's order: what the browser replaces, then what the plugin's backend does.
        let sql = self.interpolate(&self.conditional_all(raw)?)?;
        self.backend(&sql)
    }

    /// The same for an alert rule, which no browser touches.
    pub fn expand_alert(&self, raw: &str) -> Result<String, String> {
        if raw.contains("${") || raw.contains("$__conditionalAll") {
            return Err(format!(
                "variables do not exist where alert rules run: {raw}"
            ));
        }
        self.backend(raw)
    }

    fn chosen(&self, name: &str) -> Result<&[String], String> {
        let found = self.variables.iter().find(|(n, _)| n == name);
        found
            .map(|(_, values)| values.as_slice())
            .ok_or_else(|| format!("no variable is called {name}"))
    }

    /// `$__conditionalAll(condition, $variable)`: always true for `All`.
    fn conditional_all(&self, raw: &str) -> Result<String, String> {
        const MACRO: &str = "$__conditionalAll(";
        let mut sql = raw.to_owned();
        while let Some(start) = sql.rfind(MACRO) {
            let inside = start + MACRO.len();
            let end = inside + closing(&sql[inside..])?;
            let (condition, variable) = sql[inside..end]
                .rsplit_once(',')
                .ok_or("conditionalAll takes two arguments")?;
            let name = variable.trim().strip_prefix('$').unwrap_or_default();
            if name.is_empty() || name.starts_with('{') {
                return Err(format!("conditionalAll takes a plain $name: {variable}"));
            }
            let condition = match self.chosen(name)? {
                [] => "1=1".to_owned(),
                _ => condition.to_owned(),
            };
            sql.replace_range(start..=end, &condition);
        }
        Ok(sql)
    }

    /// `singlequote`: quotes with a backslash before those inside; joined by commas.
    /// `percentencode`: every byte but letters, digits and `-._~` as `%XX`.
    fn interpolate(&self, sql: &str) -> Result<String, String> {
        let variable =
            Regex::new(r"\$\{([a-z]+):(singlequote|percentencode)\}").expect("a pattern");
        let left = variable.replace_all(sql, "");
        if left.contains("${") {
            return Err(format!("an unknown variable is left: {left}"));
        }
        for found in variable.captures_iter(sql) {
            self.chosen(&found[1])?;
        }
        let put = |found: &Captures<'_>| {
            let values = self.chosen(&found[1]).unwrap_or_default();
            match &found[2] {
                "singlequote" => {
                    let quoted = values
                        .iter()
                        .map(|v| format!("'{}'", v.replace('\'', r"\'")));
                    quoted.collect::<Vec<_>>().join(",")
                }
                _ => percent_encoded(&values.join(",")),
            }
        };
        Ok(variable.replace_all(sql, put).into_owned())
    }

    /// What the plugin's backend replaces, for dashboards and alert rules.
    fn backend(&self, sql: &str) -> Result<String, String> {
        let (from, to, every) = (self.from_s, self.to_s, self.interval_s);
        let macros = [
            (
                r"\$__timeFilter\(([\w.]+)\)",
                format!("$1 >= toDateTime({from}) AND $1 <= toDateTime({to})"),
            ),
            (
                r"\$__timeInterval\(([\w.]+)\)",
                format!("toStartOfInterval(toDateTime($1), INTERVAL {every} second)"),
            ),
            (r"\$__fromTime\b", format!("toDateTime({from})")),
            (r"\$__toTime\b", format!("toDateTime({to})")),
            (r"\$__interval_s\b", every.to_string()),
        ];
        let sql = macros.iter().fold(sql.to_owned(), |sql, (pattern, by)| {
            let pattern = Regex::new(pattern).expect("a pattern");
            pattern.replace_all(&sql, by.as_str()).into_owned()
        });
        match sql.contains("$__") {
            true => Err(format!("an unknown macro is left: {sql}")),
            false => Ok(sql),
        }
    }
}

fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(b).to_string()
            }
            b => format!("%{b:02X}"),
        })
        .collect()
}

/// Where the bracket closes that was open before `text`.
fn closing(text: &str) -> Result<usize, String> {
    let mut open = 1_usize;
    for (at, c) in text.char_indices() {
        match c {
            '(' => open += 1,
            ')' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Ok(at);
        }
    }
    Err(format!("no bracket closes in {text}"))
}

#[test]
fn macros_become_what_the_plugin_makes_of_them() {
    let mut look = Look {
        from_s: 10,
        to_s: 20,
        interval_s: 60,
        variables: vec![(
            "service".to_owned(),
            vec!["a".to_owned(), "it's".to_owned()],
        )],
    };
    let raw = "SELECT $__timeInterval(t) WHERE $__timeFilter(t) \
               AND $__conditionalAll(s IN (${service:singlequote}), $service) / $__interval_s";
    assert_eq!(
        look.expand(raw).expect("a statement"),
        r"SELECT toStartOfInterval(toDateTime(t), INTERVAL 60 second) WHERE t >= toDateTime(10) AND t <= toDateTime(20) AND s IN ('a','it\'s') / 60"
    );
    let typed = look.expand("'${service:percentencode}'");
    assert_eq!(typed.expect("a statement"), "'a%2Cit%27s'");
    look.variables[0].1.clear();
    let all = look.expand(raw).expect("a statement");
    assert!(all.ends_with("AND 1=1 / 60"));
}

#[test]
fn what_nobody_would_replace_is_an_error() {
    let look = Look {
        from_s: 10,
        to_s: 20,
        interval_s: 60,
        variables: Vec::new(),
    };
    for raw in [
        "SELECT $__timeGroupAlias(t, 5m)",
        "SELECT ${nobody:singlequote}",
        "SELECT ${__from:date}",
        "SELECT $__conditionalAll(1, ${service})",
    ] {
        assert!(look.expand(raw).is_err(), "{raw}");
    }
    assert!(
        look.expand_alert("SELECT '${service:singlequote}'")
            .is_err()
    );
}
