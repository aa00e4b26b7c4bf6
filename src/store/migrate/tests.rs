//! Migrations against a server that keeps the list of migrations and the lock, and nothing else.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;

use super::*;
use crate::store::Target;

#[derive(Debug, Default)]
struct Server {
    /// Statements in the order they came.
    statements: Vec<String>,
    /// The rows of `schema_migrations`, as JSON lines.
    rows: Vec<String>,
    /// How many times more the lock is found taken.
    taken: usize,
    /// What is said of who holds the lock.
    holder: &'static str,
    /// The connection breaks at the next statement with these words and at the one after it.
    breaks: Option<&'static str>,
    broken: u8,
    /// Answer of `system.tables`, as JSON lines.
    definitions: String,
    fail_on: Option<&'static str>,
}

type Shared = Arc<Mutex<Server>>;

async fn answer(State(server): State<Shared>, sql: String) -> (StatusCode, String) {
    let mut server = server.lock().expect("lock");
    server.statements.push(sql.clone());
    let refuse = |text: &str| (StatusCode::INTERNAL_SERVER_ERROR, text.to_owned());
    if server.fail_on.is_some_and(|word| sql.contains(word)) {
        return refuse("Code: 62. DB::Exception: Syntax error");
    }
    if server.breaks.is_some_and(|word| sql.contains(word)) || server.broken == 1 {
        server.broken += 1;
        server.breaks = None;
        return (StatusCode::SERVICE_UNAVAILABLE, String::new());
    }
    let is_lock = sql.contains("schema_migrations_lock");
    if sql.starts_with("CREATE TABLE") && is_lock && server.taken > 0 {
        server.taken -= 1;
        return refuse("Code: 57. DB::Exception: Table already exists");
    }
    if let Some(values) = sql.split("VALUES ").nth(1) {
        let values = values.trim_matches(['(', ')']).replace('\'', "");
        let values: Vec<&str> = values.split(", ").collect();
        let row = serde_json::json!({
            "version": values[0].parse::<u32>().expect("a number"),
            "name": values[1],
            "checksum": values[2],
        });
        server.rows.push(row.to_string());
    }
    let text = if sql.starts_with("SELECT version, name") {
        server.rows.join("\n")
    } else if sql.starts_with("SELECT multiIf(comment") {
        server.holder.to_owned()
    } else if sql.starts_with("SELECT name, create_table_query") {
        server.definitions.clone()
    } else {
        String::new()
    };
    (StatusCode::OK, text)
}

async fn start(server: Server) -> (Store, Shared) {
    let server = Arc::new(Mutex::new(server));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let app = Router::new()
        .fallback(answer)
        .with_state(Arc::clone(&server));
    tokio::spawn(async move { axum::serve(listener, app).await });
    let store = Store::new(&Target::plain(&url, "lapwing")).expect("a good target");
    (store, server)
}

fn all() -> Vec<&'static str> {
    MIGRATIONS.iter().map(|m| m.name).collect()
}

fn count(server: &Shared, words: &str) -> usize {
    let server = server.lock().expect("lock");
    server
        .statements
        .iter()
        .filter(|s| s.contains(words))
        .count()
}

fn row(migration: &Migration) -> Row {
    Row {
        version: migration.version,
        name: migration.name.into(),
        checksum: migration.checksum(),
    }
}

#[tokio::test]
async fn an_empty_database_gets_everything_once() {
    let (store, server) = start(Server::default()).await;
    let layout = Layout::new("lapwing");
    let applied = apply(&store, &layout).await.expect("applied");
    assert_eq!(applied.migrations, all());
    let first = server.lock().expect("lock").statements[0].clone();
    assert_eq!(first, "CREATE DATABASE IF NOT EXISTS `lapwing`");
    assert_eq!(
        count(
            &server,
            "CREATE TABLE IF NOT EXISTS `lapwing`.otel_traces ("
        ),
        1
    );

    let again = apply(&store, &layout).await.expect("applied");
    assert_eq!(again, Applied::default());
    assert_eq!(
        count(&server, "CREATE TABLE `lapwing`.schema_migrations_lock"),
        1
    );
    assert_eq!(count(&server, "DROP TABLE"), 1);
}

#[tokio::test]
async fn a_migrator_waits_for_another_and_takes_over_from_a_dead_one() {
    let (store, server) = start(Server {
        taken: 2,
        holder: "another",
        ..Server::default()
    })
    .await;
    let applied = apply(&store, &Layout::new("lapwing"))
        .await
        .expect("applied");
    assert_eq!(applied.migrations, all());
    assert_eq!(
        count(&server, "CREATE TABLE `lapwing`.schema_migrations_lock"),
        3
    );

    let (store, server) = start(Server {
        taken: 1,
        holder: "nobody",
        ..Server::default()
    })
    .await;
    apply(&store, &Layout::new("lapwing"))
        .await
        .expect("applied");
    assert_eq!(count(&server, "DROP TABLE"), 2, "the stale lock and ours");
}

#[tokio::test]
async fn a_connection_that_breaks_in_the_middle_leaves_no_lock_that_stops_us() {
    let (store, server) = start(Server {
        breaks: Some("MATERIALIZED VIEW IF NOT EXISTS `lapwing`.llm_calls_1m_mv"),
        holder: "us",
        ..Server::default()
    })
    .await;
    let layout = Layout::new("lapwing");
    let error = apply(&store, &layout).await.expect_err("broken");
    assert!(error.is_passing(), "{error}");
    assert_eq!(server.lock().expect("lock").broken, 2, "nor given back");

    server.lock().expect("lock").taken = 1;
    let applied = apply(&store, &layout).await.expect("applied");
    assert_eq!(applied.migrations.last(), all().last());
    assert_eq!(count(&server, "DROP TABLE"), 2, "the one that was lost too");
}

#[tokio::test]
async fn a_failed_migration_names_itself_gives_back_the_lock_and_is_not_recorded() {
    let (store, server) = start(Server {
        fail_on: Some("MATERIALIZED VIEW IF NOT EXISTS `lapwing`.llm_calls_1m_mv"),
        ..Server::default()
    })
    .await;
    let error = apply(&store, &Layout::new("lapwing"))
        .await
        .expect_err("refused");
    assert!(error.to_string().contains("(rollups) failed"), "{error}");
    assert_eq!(count(&server, "DROP TABLE"), 1);
    let before = MIGRATIONS.iter().position(|m| m.name == "rollups");
    assert_eq!(Some(server.lock().expect("lock").rows.len()), before);
}

#[tokio::test]
async fn a_changed_retention_alters_only_the_tables_that_differ() {
    let mut layout = Layout::new("lapwing");
    let definition = |ttl: &super::super::schema::Ttl| {
        let query = format!("CREATE TABLE ...{} ...", ttl.mark);
        serde_json::json!({"name": ttl.table, "create_table_query": query}).to_string()
    };
    let logs = layout
        .ttls()
        .into_iter()
        .find(|t| t.table == "otel_logs")
        .expect("logs");
    let (store, server) = start(Server {
        definitions: definition(&logs),
        ..Server::default()
    })
    .await;
    let applied = apply(&store, &layout).await.expect("applied");
    assert_eq!(applied.retentions, [""; 0]);
    layout.retention.logs_days = 7;
    let applied = apply(&store, &layout).await.expect("applied");
    assert_eq!(applied.retentions, ["otel_logs"]);
    let alter = "ALTER TABLE `lapwing`.otel_logs MODIFY TTL \
                 toDateTime(Timestamp) + toIntervalDay(7)";
    assert_eq!(count(&server, alter), 1);
}

#[test]
fn only_what_is_missing_is_applied() {
    let rows: Vec<Row> = MIGRATIONS.iter().take(2).map(row).collect();
    let rest = missing("d", &rows).expect("an older database");
    assert_eq!(rest.first().map(|m| m.version), Some(3));
}

#[test]
fn a_newer_or_foreign_schema_is_refused() {
    let mut newer = row(&MIGRATIONS[0]);
    newer.version = 1000;
    let error = missing("d", &[newer]).expect_err("newer");
    assert!(error.to_string().contains("newer lapwing"), "{error}");
    let mut foreign = row(&MIGRATIONS[0]);
    foreign.checksum = "0".into();
    let error = missing("d", &[foreign]).expect_err("foreign");
    assert!(matches!(error, MigrateError::Differs { version: 1, .. }));
}
