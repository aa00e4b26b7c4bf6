//! The schema: numbered migrations, as data, and how they become SQL for one layout.
//!
//! Every migration only adds (`IF NOT EXISTS`), so applying one twice does no harm and an older
//! binary keeps working beside a newer schema of the same tables. What differs between embedded,
//! single server and cluster are the words put into the braces of the templates. Applying is
//! [`super::migrate`]'s job.
//!
//! Invariant: the SQL of a released migration is never edited; its checksum is recorded.

mod reference;

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

pub use reference::reference;

/// Inserts remembered per table, so that an insert sent again with its token is not stored twice.
/// At one insert a second it covers 2.7 hours of retries of the very same insert.
const DEDUPLICATION_WINDOW_INSERTS: u32 = 10_000;

/// The same window in seconds, for replicated tables: a week.
const DEDUPLICATION_WINDOW_S: u32 = 604_800;

/// The longest retention in days. ClickHouse computes with 32-bit seconds, which end in 2106; a
/// sum beyond that would wrap and delete everything at once.
pub const RETENTION_DAYS_MAX: u32 = 7_300;

/// One step of the schema.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Counted from 1 without gaps.
    pub version: u32,
    pub name: &'static str,
    template: &'static str,
}

/// All migrations, in order.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "otel_traces",
        template: include_str!("schema/0001_otel_traces.sql"),
    },
    Migration {
        version: 2,
        name: "otel_logs",
        template: include_str!("schema/0002_otel_logs.sql"),
    },
    Migration {
        version: 3,
        name: "llm_calls",
        template: include_str!("schema/0003_llm_calls.sql"),
    },
    Migration {
        version: 4,
        name: "rollups",
        template: include_str!("schema/0004_rollups.sql"),
    },
    Migration {
        version: 5,
        name: "alerts",
        template: include_str!("schema/0005_alerts.sql"),
    },
    Migration {
        version: 6,
        name: "llm_tool_calls",
        template: include_str!("schema/0006_llm_tool_calls.sql"),
    },
    Migration {
        version: 7,
        name: "llm_evals",
        template: include_str!("schema/0007_llm_evals.sql"),
    },
    Migration {
        version: 8,
        name: "dashboards",
        template: include_str!("schema/0008_dashboards.sql"),
    },
];

/// Where and how the tables are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    pub database: String,
    /// `ON CLUSTER` and replicated engines.
    pub cluster: Option<String>,
    /// Sync every insert to disk before it is acknowledged: for the embedded engine and for one
    /// server, which have no replica to fall back on.
    pub fsync: bool,
    pub retention: Retention,
}

/// How long rows are kept, in days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    pub traces_days: u32,
    pub logs_days: u32,
    pub calls_days: u32,
    /// Prompts and answers; the rest of the row stays.
    pub content_days: u32,
    pub rollup_1m_days: u32,
    pub rollup_1h_days: u32,
}

/// A retention that is in force, as ClickHouse prints it in the table's definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ttl {
    pub table: &'static str,
    /// Found in the table's `create_table_query` when nothing has to change.
    pub mark: String,
    /// Makes it so.
    pub alter: String,
}

// === impl Retention ===

impl Default for Retention {
    fn default() -> Self {
        Retention {
            traces_days: 30,
            logs_days: 30,
            calls_days: 90,
            content_days: 30,
            rollup_1m_days: 90,
            rollup_1h_days: 730,
        }
    }
}

// === impl Migration ===

impl Migration {
    /// SHA-256 of the template without comments and spacing, in hexadecimal.
    pub fn checksum(&self) -> String {
        let mut hash = Sha256::new();
        for word in without_comments(self.template).split_whitespace() {
            hash.update(word.as_bytes());
            hash.update(b" ");
        }
        hash.finalize().iter().fold(String::new(), |mut hex, byte| {
            // Writing into a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    /// The statements of this migration, without comments.
    pub fn statements(&self, layout: &Layout) -> Vec<String> {
        let sql = layout.render(&without_comments(self.template));
        sql.split(";\n")
            .map(str::trim)
            .filter(|statement| !statement.is_empty())
            .map(str::to_owned)
            .collect()
    }
}

fn without_comments(sql: &str) -> String {
    let lines = sql.lines().filter(|l| !l.trim_start().starts_with("--"));
    lines.fold(String::new(), |text, line| text + line + "\n")
}

// === impl Layout ===

impl Layout {
    /// A layout with the default retention: embedded or one server.
    pub fn new(database: &str) -> Layout {
        Layout {
            database: database.to_owned(),
            cluster: None,
            fsync: false,
            retention: Retention::default(),
        }
    }

    /// The statements that come before all migrations: the database and the list of what was
    /// applied.
    pub fn bootstrap(&self) -> Vec<String> {
        const DATABASE: &str = "CREATE DATABASE IF NOT EXISTS {database}{on_cluster}";
        const MIGRATIONS: &str = "CREATE TABLE IF NOT EXISTS \
             {database}.schema_migrations{on_cluster} (\n    \
             version UInt32,\n    \
             name String,\n    \
             checksum String,\n    \
             applied_at DateTime64(3) DEFAULT now64(3)\n)\n\
             ENGINE = {engine}MergeTree\n\
             ORDER BY version";
        vec![self.render(DATABASE), self.render(MIGRATIONS)]
    }

    /// Everything as one SQL script, for reading or for a client with more rights.
    pub fn script(&self) -> String {
        let mut script = String::new();
        for statement in self.bootstrap() {
            script += &statement;
            script += ";\n\n";
        }
        for migration in MIGRATIONS {
            let sql = self.render(migration.template);
            let (version, name) = (migration.version, migration.name);
            // Writing into a String cannot fail.
            let _ = write!(
                script,
                "-- Migration {version}: {name}\n{}\n",
                sql.trim_end()
            );
            script += &self.record(migration);
            script += ";\n\n";
        }
        script.truncate(script.trim_end().len());
        script.push('\n');
        script
    }

    /// The statement that records a migration as applied.
    pub fn record(&self, migration: &Migration) -> String {
        format!(
            "INSERT INTO {}.schema_migrations (version, name, checksum) VALUES ({}, {}, {})",
            identifier(&self.database),
            migration.version,
            literal(migration.name),
            literal(&migration.checksum()),
        )
    }

    /// The retention of each table, to be compared with what is in force.
    pub fn ttls(&self) -> Vec<Ttl> {
        let keep = &self.retention;
        let tables = [
            ("otel_traces", "toDateTime(Timestamp)", keep.traces_days),
            (
                "otel_traces_trace_id_ts",
                "toDateTime(Start)",
                keep.traces_days,
            ),
            ("otel_logs", "toDateTime(Timestamp)", keep.logs_days),
            (
                "llm_call_versions",
                "toDateTime(timestamp)",
                keep.calls_days,
            ),
            (
                "llm_tool_call_versions",
                "toDateTime(timestamp)",
                keep.calls_days,
            ),
            ("llm_eval_results", "toDateTime(timestamp)", keep.calls_days),
            ("llm_calls_1m", "timestamp", keep.rollup_1m_days),
            ("llm_calls_1h", "timestamp", keep.rollup_1h_days),
            ("llm_models_seen", "last_seen", keep.rollup_1h_days),
            ("llm_deploys_seen", "last_seen", keep.rollup_1h_days),
            ("llm_failures_1m", "timestamp", keep.rollup_1m_days),
            ("llm_traits_5m", "timestamp", keep.rollup_1m_days),
            ("lapwing_metrics", "timestamp", keep.logs_days),
        ];
        let rows = tables.into_iter().map(|(table, from, days)| {
            let ttl = format!("TTL {from} + toIntervalDay({})", limited(days));
            let alter = format!("ALTER TABLE {{database}}.{table}{{on_cluster}} MODIFY {ttl}");
            Ttl {
                table,
                mark: format!(" {ttl} SETTINGS "),
                alter: self.render(&alter),
            }
        });
        let contents = [
            ("llm_call_versions", "input_content"),
            ("llm_call_versions", "output_content"),
            ("llm_tool_call_versions", "arguments"),
            ("llm_tool_call_versions", "result"),
            ("llm_eval_results", "explanation"),
        ];
        let contents = contents.map(|(table, column)| {
            let days = limited(keep.content_days);
            let ttl = format!("TTL toDateTime(timestamp) + toIntervalDay({days})");
            let alter = format!(
                "ALTER TABLE {{database}}.{table}{{on_cluster}} MODIFY COLUMN {column} {ttl}"
            );
            Ttl {
                table,
                mark: format!("`{column}` String CODEC(ZSTD(3)) {ttl},"),
                alter: self.render(&alter),
            }
        });
        rows.chain(contents).collect()
    }

    /// Puts this layout's words into the braces of a template.
    pub(super) fn render(&self, template: &str) -> String {
        let on_cluster = match &self.cluster {
            Some(cluster) => format!(" ON CLUSTER {}", identifier(cluster)),
            None => String::new(),
        };
        let engine = if self.cluster.is_some() {
            "Replicated"
        } else {
            ""
        };
        let mut settings = format!(
            "non_replicated_deduplication_window = {DEDUPLICATION_WINDOW_INSERTS}, \
             replicated_deduplication_window = {DEDUPLICATION_WINDOW_INSERTS}, \
             replicated_deduplication_window_seconds = {DEDUPLICATION_WINDOW_S}"
        );
        if self.fsync {
            settings += ", fsync_after_insert = 1, fsync_part_directory = 1";
        }
        let keep = &self.retention;
        let words = [
            ("{on_cluster}", on_cluster),
            ("{engine}", engine.to_owned()),
            ("{settings}", settings),
            ("{traces_days}", limited(keep.traces_days).to_string()),
            ("{logs_days}", limited(keep.logs_days).to_string()),
            ("{calls_days}", limited(keep.calls_days).to_string()),
            ("{content_days}", limited(keep.content_days).to_string()),
            ("{rollup_1m_days}", limited(keep.rollup_1m_days).to_string()),
            ("{rollup_1h_days}", limited(keep.rollup_1h_days).to_string()),
            // Last, so that no name can hold another's braces.
            ("{database}", identifier(&self.database)),
        ];
        words
            .iter()
            .fold(template.to_owned(), |sql, (brace, word)| {
                sql.replace(brace, word)
            })
    }
}

fn limited(days: u32) -> u32 {
    days.clamp(1, RETENTION_DAYS_MAX)
}

/// A name in SQL, quoted.
pub(crate) fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}

/// A text in SQL, quoted.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::Table;

    #[test]
    fn every_column_that_is_sent_exists_in_the_table() {
        for table in Table::ALL {
            let head = format!("`lapwing`.{} (", table.name());
            let statements = MIGRATIONS
                .iter()
                .flat_map(|m| m.statements(&Layout::new("lapwing")));
            let create = statements
                .into_iter()
                .find(|s| s.contains(&head))
                .expect("a table");
            for (column, _) in table.columns() {
                let (before, name) = match column.split_once('.') {
                    Some((outer, name)) => (format!("    {outer} Nested ("), name),
                    None => (" (".to_owned(), *column),
                };
                let body = create.split_once(&before).map_or("", |(_, body)| body);
                let found = body.contains(&format!("    {name} "));
                assert!(found, "{column} of {}", table.name());
            }
        }
    }

    #[test]
    fn versions_have_no_gaps() {
        for (i, migration) in MIGRATIONS.iter().enumerate() {
            assert_eq!(migration.version as usize, i + 1);
        }
    }

    #[test]
    fn a_cluster_gets_replicated_engines_everywhere() {
        let layout = Layout {
            cluster: Some("prod".into()),
            ..Layout::new("tele`metry")
        };
        let script = layout.script();
        assert!(!script.contains("{"), "all braces are filled: {script}");
        assert!(script.contains("`tele\\`metry`.otel_traces ON CLUSTER `prod`"));
        let created = script.matches("CREATE ").count();
        assert_eq!(created, script.matches(" ON CLUSTER `prod`").count());
        let engines = script.matches("ENGINE = ").count();
        assert_eq!(engines, script.matches("ENGINE = Replicated").count());
    }

    #[test]
    fn a_comment_does_not_change_the_checksum_but_a_column_does() {
        let migration = |template| Migration {
            version: 1,
            name: "x",
            template,
        };
        let one = migration("-- why\nCREATE TABLE a\n  (b String);\n");
        let two = migration("CREATE TABLE a (b String);\n-- because\n");
        let other = migration("CREATE TABLE a (c String);\n");
        assert_eq!(one.checksum(), two.checksum());
        assert_ne!(one.checksum(), other.checksum());
    }

    #[test]
    fn an_endless_retention_is_cut_before_the_clock_of_the_server_overflows() {
        let mut layout = Layout::new("lapwing");
        layout.retention.calls_days = u32::MAX;
        assert!(layout.script().contains("toIntervalDay(7300)"));
    }
}
