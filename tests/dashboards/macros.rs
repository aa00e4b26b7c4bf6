//! What happens to a query between a dashboard and ClickHouse: Grafana's variables and the macros of
//! its ClickHouse plugin, written after their documented output.
//!
//! Only what the dashboards use; anything else that is left over fails the test that finds it.

use regex::{Captures, Regex};

/// One look at a dashboard: its range, its interval and what its variables are set to.
#[derive(Debug, Clone)]
pub struct Look {
    /// Unix time.
    pub from_s: u64,
    /// Unix time.
    pub to_s: u64,
    pub interval_s: u64,
    /// Name and chosen values; none chosen: `All`.
    pub variables: Vec<(String, Vec<String>)>,
}

impl Look {
    /// The statement that reaches ClickHouse.
    ///
    /// # Panics
    /// When something is left that neither Grafana nor the plugin would replace.
    pub fn expand(&self, raw: &str) -> String {
        // In Grafana's order: what the browser replaces, then what the plugin's backend does.
        let sql = self.interpolate(&self.conditional_all(raw));
        let sql = self.backend_macros(&sql);
        assert!(!sql.contains("$__"), "an unknown macro is left: {sql}");
        sql
    }

    fn chosen(&self, name: &str) -> &[String] {
        let found = self.variables.iter().find(|(n, _)| n == name);
        &found
            .unwrap_or_else(|| panic!("no variable is called {name}"))
            .1
    }

    /// `$__conditionalAll(condition, $variable)`: always true for `All`.
    fn conditional_all(&self, raw: &str) -> String {
        const MACRO: &str = "$__conditionalAll(";
        let mut sql = raw.to_owned();
        while let Some(start) = sql.rfind(MACRO) {
            let inside = start + MACRO.len();
            let end = inside + closing(&sql[inside..]);
            let (condition, variable) = sql[inside..end].rsplit_once(',').expect("two arguments");
            let name = variable.trim().strip_prefix('$').expect("a variable");
            assert!(!name.starts_with('{'), "a plain variable: {variable}");
            let condition = match self.chosen(name) {
                [] => "1=1".to_owned(),
                _ => condition.to_owned(),
            };
            sql.replace_range(start..=end, &condition);
        }
        sql
    }

    /// `${variable:singlequote}`: quotes with a backslash before those inside; joined by commas.
    fn interpolate(&self, sql: &str) -> String {
        let variable = Regex::new(r"\$\{([a-z]+):singlequote\}").expect("a pattern");
        let left = variable.replace_all(sql, "");
        assert!(!left.contains("${"), "an unknown variable is left: {left}");
        let quoted = |found: &Captures<'_>| {
            let values = self.chosen(&found[1]).iter();
            let quoted: Vec<_> = values
                .map(|value| format!("'{}'", value.replace('\'', r"\'")))
                .collect();
            quoted.join(",")
        };
        variable.replace_all(sql, quoted).into_owned()
    }

    fn backend_macros(&self, sql: &str) -> String {
        let Self {
            from_s,
            to_s,
            interval_s,
            ..
        } = self;
        let replaced = |sql: &str, pattern: &str, by: String| {
            let pattern = Regex::new(pattern).expect("a pattern");
            pattern.replace_all(sql, by.as_str()).into_owned()
        };
        let sql = replaced(
            sql,
            r"\$__timeFilter\((\w+)\)",
            format!("$1 >= toDateTime({from_s}) AND $1 <= toDateTime({to_s})"),
        );
        let sql = replaced(
            &sql,
            r"\$__timeInterval\((\w+)\)",
            format!("toStartOfInterval(toDateTime($1), INTERVAL {interval_s} second)"),
        );
        let sql = replaced(&sql, r"\$__fromTime\b", format!("toDateTime({from_s})"));
        let sql = replaced(&sql, r"\$__toTime\b", format!("toDateTime({to_s})"));
        replaced(&sql, r"\$__interval_s\b", interval_s.to_string())
    }
}

/// Where the bracket closes that was open before `text`.
fn closing(text: &str) -> usize {
    let mut open = 1_usize;
    for (at, c) in text.char_indices() {
        match c {
            '(' => open += 1,
            ')' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return at;
        }
    }
    panic!("no bracket closes in {text}");
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
        look.expand(raw),
        r"SELECT toStartOfInterval(toDateTime(t), INTERVAL 60 second) WHERE t >= toDateTime(10) AND t <= toDateTime(20) AND s IN ('a','it\'s') / 60"
    );
    look.variables[0].1.clear();
    assert!(look.expand(raw).ends_with("AND 1=1 / 60"));
}
