//! The reference of all tables as Markdown, made from the SQL of the migrations: names, types and
//! comments as they stand there, and `about.toml` for columns whose name does not say it all.

use std::{collections::BTreeMap, fmt::Write as _, sync::LazyLock};

use super::{Layout, MIGRATIONS};

/// What columns mean, by name: first of the one table, then of all.
static ABOUT: LazyLock<BTreeMap<String, BTreeMap<String, String>>> = LazyLock::new(|| {
    // Compiled in, and read by the tests.
    toml::from_str(include_str!("about.toml")).unwrap_or_default()
});

/// A table or view of a migration.
#[derive(Debug, Default)]
struct Relation {
    name: String,
    kind: &'static str,
    comment: String,
    columns: Vec<Column>,
    /// The list of columns has ended.
    is_closed: bool,
    /// Retention, as the SQL has it.
    ttl: String,
}

#[derive(Debug)]
struct Column {
    name: String,
    kind: String,
    comment: String,
}

/// Every table with its columns.
pub fn reference() -> String {
    let mut out = String::new();
    for relation in relations() {
        // Writing into a String cannot fail.
        _ = write!(out, "\n## `{}`\n\n", relation.name);
        let mut about = relation.comment.clone();
        if relation.kind == "view" {
            about = format!("A view. {about}");
        }
        if !relation.ttl.is_empty() {
            about = format!("{about} {}", relation.ttl);
        }
        _ = writeln!(out, "{}", about.trim());
        if relation.columns.is_empty() {
            continue;
        }
        out.push_str("\n| column | type | what it says |\n|---|---|---|\n");
        for column in &relation.columns {
            let about = meaning(&relation.name, column);
            _ = writeln!(out, "| `{}` | {} | {about} |", column.name, column.kind);
        }
    }
    out
}

/// The comment in the SQL, else what `about.toml` says.
fn meaning(table: &str, column: &Column) -> String {
    if !column.comment.is_empty() {
        return column.comment.clone();
    }
    let of = |section: &str| ABOUT.get(section)?.get(&column.name).cloned();
    of(table).or_else(|| of("all")).unwrap_or_default()
}

fn relations() -> Vec<Relation> {
    let layout = Layout::new("lapwing");
    let mut relations = Vec::new();
    for migration in MIGRATIONS {
        let sql = layout.render(migration.template);
        let mut comment = Vec::new();
        let mut open: Option<Relation> = None;
        let mut nested = String::new();
        for line in sql.lines() {
            if let Some(said) = line.strip_prefix("--") {
                comment.push(said.trim());
            } else if let Some((kind, name)) = created(line) {
                open = Some(Relation {
                    name,
                    kind,
                    comment: std::mem::take(&mut comment).join(" "),
                    ..Relation::default()
                });
            } else if let Some(relation) = &mut open {
                read(line, relation, &mut nested);
            } else if line.is_empty() {
                // A comment for the file, not for what follows.
                comment.clear();
            }
            if line.ends_with(';') {
                relations.extend(open.take().filter(|r| r.kind != "materialised view"));
            }
        }
    }
    relations
}

/// What this line creates.
fn created(line: &str) -> Option<(&'static str, String)> {
    const KINDS: [(&str, &str); 3] = [
        ("CREATE TABLE IF NOT EXISTS ", "table"),
        ("CREATE VIEW IF NOT EXISTS ", "view"),
        (
            "CREATE MATERIALIZED VIEW IF NOT EXISTS ",
            "materialised view",
        ),
    ];
    KINDS.iter().find_map(|(head, kind)| {
        let rest = line.strip_prefix(head)?;
        let (_, name) = rest.split_once('.')?;
        let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let name = name.get(..end.unwrap_or(name.len()))?;
        Some((*kind, name.to_owned()))
    })
}

/// One line of a CREATE statement.
fn read(line: &str, relation: &mut Relation, nested: &mut String) {
    if let Some(ttl) = line.strip_prefix("TTL ") {
        relation.ttl = match ttl.rsplit_once("toIntervalDay(") {
            Some((_, days)) => {
                let days = days.trim_end_matches([')', ';']);
                format!("Kept for {days} days by default.")
            }
            None => String::new(),
        };
        return;
    }
    let Some(column) = line.strip_prefix("    ") else {
        relation.is_closed |= line.starts_with(')');
        return;
    };
    if relation.kind != "table"
        || relation.is_closed
        || column.starts_with("INDEX ")
        || column.starts_with(')')
    {
        nested.clear();
        return;
    }
    let (inner, column) = match column.strip_prefix("    ") {
        Some(inner) => (true, inner),
        None => (false, column),
    };
    let Some((name, rest)) = column.split_once(' ') else {
        return;
    };
    if rest.starts_with("Nested (") {
        *nested = format!("{name}.");
        return;
    }
    let (kind, mut comment) = kind_and_comment(rest);
    if rest.contains(" ALIAS ") {
        comment = "computed when it is read, for search".to_owned();
    }
    relation.columns.push(Column {
        name: if inner {
            format!("{nested}{name}")
        } else {
            name.to_owned()
        },
        kind: if inner {
            format!("Array({kind})")
        } else {
            kind
        },
        comment,
    });
}

/// The type in front of everything else, and the text of COMMENT.
fn kind_and_comment(rest: &str) -> (String, String) {
    const AFTER: [&str; 5] = [" CODEC(", " COMMENT '", " TTL ", " ALIAS ", " DEFAULT "];
    let end = AFTER.iter().filter_map(|word| rest.find(word)).min();
    let kind = rest.get(..end.unwrap_or(rest.len())).unwrap_or(rest);
    let comment = rest.split_once(" COMMENT '").map_or("", |(_, text)| text);
    let comment = comment.split_once('\'').map_or("", |(text, _)| text);
    (kind.trim_end_matches(',').to_owned(), comment.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_says_what_the_schema_is() {
        let document = include_str!("../../../docs/tables.md");
        assert!(
            document.ends_with(&reference()),
            "put the output of `lapwing schema reference` below the head of docs/tables.md"
        );
    }

    #[test]
    fn every_column_of_every_table_is_told() {
        let all: Vec<Relation> = relations();
        let names: Vec<&str> = all.iter().map(|r| r.name.as_str()).collect();
        for table in crate::block::Table::ALL {
            assert!(names.contains(&table.name()), "{}", table.name());
        }
        let silent: Vec<String> = all
            .iter()
            .flat_map(|r| r.columns.iter().map(move |c| (r, c)))
            .filter(|(r, c)| meaning(&r.name, c).is_empty())
            .map(|(r, c)| format!("{}.{}", r.name, c.name))
            .collect();
        assert_eq!(silent, Vec::<String>::new());
    }

    #[test]
    fn nothing_is_told_of_columns_that_are_not_there() {
        let all = relations();
        for (table, columns) in ABOUT.iter() {
            for name in columns.keys() {
                let there = all
                    .iter()
                    .filter(|r| table == "all" || r.name == *table)
                    .any(|r| r.columns.iter().any(|c| c.name == *name));
                assert!(there, "{table}.{name}");
            }
        }
    }
}
