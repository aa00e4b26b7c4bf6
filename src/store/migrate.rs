//! Migrate: brings the database to the schema of this binary.
//!
//! One migrator at a time: whoever creates the lock table migrates, the others wait. The lock
//! bears its owner's mark, so that who lost the connection in the middle finds its own lock and
//! goes on. Every statement is idempotent, so a migrator that died half-way is simply repeated. A
//! database that is newer than the binary is refused, one that is older is brought up; nothing is
//! ever dropped or rewritten here.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::time::Duration;

use serde::Deserialize;
use tokio::time::{Instant, sleep};

use super::client::Store;
use super::error::WriteError;
use super::schema::{Layout, MIGRATIONS, Migration, identifier, literal};

/// How long to wait for another migrator.
const LOCK_WAIT: Duration = Duration::from_secs(60);

/// A lock older than this belongs to a migrator that died.
const LOCK_STALE_S: u32 = 300;

/// ClickHouse's number for "that table exists already".
const TABLE_ALREADY_EXISTS: u32 = 57;

/// This process as the owner of a lock.
static OWNER: LazyLock<String> = LazyLock::new(|| {
    let process = std::process::id();
    format!("{process}-{:016x}", RandomState::new().hash_one(process))
});

/// The schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error(
        "the database {database:?} has schema version {found}, this lapwing knows only up to \
         {known}; use the newer lapwing that made it, or another database"
    )]
    Newer {
        database: String,
        found: u32,
        known: u32,
    },
    #[error(
        "migration {version} ({name}) of the database {database:?} differs from this lapwing's; \
         use the lapwing that made it, or another database"
    )]
    Differs {
        database: String,
        version: u32,
        name: String,
    },
    #[error(
        "another lapwing has been migrating {database:?} for {seconds} s; if none is running, \
         run DROP TABLE {lock}"
    )]
    Locked {
        database: String,
        seconds: u64,
        lock: String,
    },
    #[error("migration {version} ({name}) failed: {source}")]
    Failed {
        version: u32,
        name: &'static str,
        source: WriteError,
    },
    #[error("cannot read or prepare the schema: {0}")]
    Store(#[from] WriteError),
    #[error("cannot read the list of migrations: {0}")]
    List(#[from] serde_json::Error),
}

impl MigrateError {
    /// Will the same attempt succeed later, without anybody's doing?
    pub fn is_passing(&self) -> bool {
        match self {
            MigrateError::Store(source) | MigrateError::Failed { source, .. } => {
                matches!(source, WriteError::Retry { .. })
            }
            MigrateError::Locked { .. } => true,
            _ => false,
        }
    }
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// The migrations that were applied now.
    pub migrations: Vec<&'static str>,
    /// The tables whose retention was changed now.
    pub retentions: Vec<&'static str>,
}

#[derive(Deserialize)]
struct Row {
    version: u32,
    name: String,
    checksum: String,
}

#[derive(Deserialize)]
struct Definition {
    name: String,
    create_table_query: String,
}

/// Brings the database to the newest schema and to the retention of `layout`.
pub async fn apply(store: &Store, layout: &Layout) -> Result<Applied, MigrateError> {
    for statement in layout.bootstrap() {
        store.execute(&statement).await?;
    }
    let mut applied = Applied::default();
    if !pending(store, layout).await?.is_empty() {
        lock(store, layout).await?;
        let result = migrate(store, layout).await;
        // If this fails the lock is found again by its owner, or becomes stale.
        let unlocked = unlock(store, layout).await;
        applied.migrations = result?;
        unlocked?;
    }
    applied.retentions = retain(store, layout).await?;
    Ok(applied)
}

/// The migrations that the database does not have yet.
pub async fn pending(
    store: &Store,
    layout: &Layout,
) -> Result<Vec<&'static Migration>, MigrateError> {
    let sql = format!(
        "SELECT version, name, checksum FROM {}.schema_migrations ORDER BY version",
        identifier(&layout.database)
    );
    let rows: Vec<Row> = lines(&store.select(&sql, "JSONEachRow").await?)?;
    missing(&layout.database, &rows)
}

fn missing(database: &str, rows: &[Row]) -> Result<Vec<&'static Migration>, MigrateError> {
    let known = MIGRATIONS.len() as u32;
    for row in rows {
        let Some(migration) = MIGRATIONS.iter().find(|m| m.version == row.version) else {
            return Err(MigrateError::Newer {
                database: database.to_owned(),
                found: row.version,
                known,
            });
        };
        if migration.checksum() != row.checksum {
            return Err(MigrateError::Differs {
                database: database.to_owned(),
                version: row.version,
                name: row.name.clone(),
            });
        }
    }
    let is_missing = |m: &&Migration| rows.iter().all(|row| row.version != m.version);
    Ok(MIGRATIONS.iter().filter(is_missing).collect())
}

async fn migrate(store: &Store, layout: &Layout) -> Result<Vec<&'static str>, MigrateError> {
    let mut done = Vec::new();
    // Read again: the one who held the lock before may have done it all.
    for migration in pending(store, layout).await? {
        let record = layout.record(migration);
        for statement in migration.statements(layout).iter().chain([&record]) {
            let result = store.execute(statement).await;
            result.map_err(|source| MigrateError::Failed {
                version: migration.version,
                name: migration.name,
                source,
            })?;
        }
        done.push(migration.name);
    }
    Ok(done)
}

/// Changes the retention of tables that have another one. It holds for new parts at once and for
/// old ones when they are merged; nothing is rewritten for it.
async fn retain(store: &Store, layout: &Layout) -> Result<Vec<&'static str>, MigrateError> {
    let sql = format!(
        "SELECT name, create_table_query FROM system.tables WHERE database = {}",
        literal(&layout.database)
    );
    let rows: Vec<Definition> = lines(&store.select(&sql, "JSONEachRow").await?)?;
    let definitions: HashMap<&str, &str> = rows
        .iter()
        .map(|row| (row.name.as_str(), row.create_table_query.as_str()))
        .collect();
    let mut changed = Vec::new();
    for ttl in layout.ttls() {
        let definition = definitions.get(ttl.table).copied().unwrap_or("");
        if !definition.is_empty() && !definition.contains(&ttl.mark) {
            let lazily = [("materialize_ttl_after_modify", "0")];
            store.execute_with(&ttl.alter, &lazily).await?;
            changed.push(ttl.table);
        }
    }
    Ok(changed)
}

/// Takes the lock: `CREATE TABLE` without `IF NOT EXISTS` succeeds for one only.
async fn lock(store: &Store, layout: &Layout) -> Result<(), MigrateError> {
    const CREATE: &str = "CREATE TABLE {database}.schema_migrations_lock{on_cluster} \
                          (held UInt8) ENGINE = Memory COMMENT ";
    let create = layout.render(CREATE) + &literal(&OWNER);
    let since = Instant::now();
    loop {
        match store.execute(&create).await {
            Ok(()) => return Ok(()),
            Err(error) if error.code() == Some(TABLE_ALREADY_EXISTS) => {}
            Err(error) => return Err(error.into()),
        }
        match holder(store, layout).await? {
            Holder::Us => return Ok(()),
            Holder::Nobody => {
                tracing::warn!("taking over the schema lock of a migrator that died");
                unlock(store, layout).await?;
                continue;
            }
            Holder::Another => {}
        }
        if since.elapsed() >= LOCK_WAIT {
            let database = identifier(&layout.database);
            return Err(MigrateError::Locked {
                database: layout.database.clone(),
                seconds: since.elapsed().as_secs(),
                lock: format!("{database}.schema_migrations_lock"),
            });
        }
        sleep(Duration::from_millis(500)).await;
    }
}

/// Whose a lock is that was found taken.
#[derive(Debug, PartialEq, Eq)]
enum Holder {
    /// An earlier attempt of this process, whose end was lost.
    Us,
    Another,
    /// A migrator that died.
    Nobody,
}

async fn holder(store: &Store, layout: &Layout) -> Result<Holder, MigrateError> {
    let sql = format!(
        "SELECT multiIf(comment = {}, 'us', \
         metadata_modification_time < now() - INTERVAL {LOCK_STALE_S} SECOND, 'nobody', 'another') \
         FROM system.tables WHERE database = {} AND name = 'schema_migrations_lock'",
        literal(&OWNER),
        literal(&layout.database)
    );
    let holder = store.select(&sql, "TabSeparated").await?;
    Ok(match holder.trim_ascii() {
        b"us" => Holder::Us,
        b"nobody" => Holder::Nobody,
        // Also when it was given back just now.
        _ => Holder::Another,
    })
}

/// Removes the lock of a migrator that died. Only for who knows that no other can be at work: the
/// owner of an embedded store.
pub async fn break_lock(store: &Store, layout: &Layout) -> Result<(), WriteError> {
    unlock(store, layout).await
}

async fn unlock(store: &Store, layout: &Layout) -> Result<(), WriteError> {
    const DROP: &str = "DROP TABLE IF EXISTS {database}.schema_migrations_lock{on_cluster} SYNC";
    store.execute(&layout.render(DROP)).await
}

fn lines<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<Vec<T>, serde_json::Error> {
    let lines = json.split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.trim_ascii().is_empty());
    lines.map(serde_json::from_slice).collect()
}

#[cfg(test)]
mod tests;
