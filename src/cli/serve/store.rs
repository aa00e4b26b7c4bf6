//! The store at the start: opened or reached, its schema made, the delivery begun.
//!
//! Not here: how the journal delivers, and what the schema is.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use crate::{
    cli::target,
    config::{Config, Storage},
    journal::{Delivery, Journal},
    store::{
        Store, Target,
        embedded::{Embedded, EmbeddedConfig},
        migrate::{self, MigrateError},
        schema::Layout,
    },
};

/// Between attempts to reach a server that does not answer at the start.
const STORE_RETRY: Duration = Duration::from_secs(2);
/// The start waits this long for the store before it goes on without.
const STORE_WAIT_MAX: Duration = Duration::from_secs(5);

/// The delivery; none before the store was reached.
pub(super) type Delivering = Arc<OnceLock<Delivery>>;

/// The store of the configuration, and how to reach it.
pub(super) async fn open_store(config: &Config) -> anyhow::Result<(Option<Embedded>, Target)> {
    let Storage::Embedded {
        listen,
        library,
        memory_limit_bytes,
        database,
    } = &config.storage
    else {
        let Storage::Server(target) = &config.storage else {
            unreachable!("there are two modes")
        };
        return Ok((None, target.clone()));
    };
    let embedded = Embedded::start(EmbeddedConfig {
        data_dir: config.data_dir.clone(),
        listen: *listen,
        library: library.clone(),
        memory_limit_bytes: *memory_limit_bytes,
        database: database.clone(),
        program: std::env::current_exe().context("cannot find this program's own file")?,
    })
    .await?;
    let target = target::through(&embedded.endpoint(), database);
    Ok((Some(embedded), target))
}

/// Makes the schema and starts to deliver: now, or in the task that is returned, when the store
/// answers. A store that answers and refuses (a wrong password, a newer schema) ends the start.
pub(super) async fn deliver(
    journal: &Arc<Journal>,
    store: Store,
    config: &Config,
    delivering: &Delivering,
    stop: &CancellationToken,
) -> anyhow::Result<Option<tokio::task::JoinHandle<()>>> {
    let (layout, batch) = (config.layout(), config.batch.clone());
    let (journal, delivering) = (Arc::clone(journal), Arc::clone(delivering));
    let stop = stop.clone();
    let embedded = matches!(config.storage, Storage::Embedded { .. });
    let (tell, first) = tokio::sync::oneshot::channel();
    // In a task of its own, so that waiting no longer does not cut a migration off half-way.
    let task = tokio::spawn(async move {
        let mut tell = Some(tell);
        while !stop.is_cancelled() {
            let prepared = prepare(&store, &layout, embedded).await;
            let done = prepared.is_ok();
            match &prepared {
                // Set once: this comes once.
                Ok(()) => _ = delivering.set(journal.deliver_to(store.clone(), batch.clone())),
                Err(error) if tell.is_none() || error.is_passing() => not_ready(error),
                Err(_) => {}
            }
            if let Some(tell) = tell.take() {
                // Who started may wait no longer.
                _ = tell.send(prepared);
            }
            if done {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(STORE_RETRY) => {}
                () = stop.cancelled() => {}
            }
        }
    });
    match tokio::time::timeout(STORE_WAIT_MAX, first).await {
        Ok(Ok(Err(error))) if !error.is_passing() => {
            task.abort();
            Err(error.into())
        }
        _ => Ok(Some(task)),
    }
}

fn not_ready(why: &MigrateError) {
    tracing::warn!("ClickHouse is not ready, trying again; the journal keeps what comes: {why}");
}

async fn prepare(store: &Store, layout: &Layout, embedded: bool) -> Result<(), MigrateError> {
    if embedded {
        // Whoever held it died with the last engine, which was ours alone. Without a database
        // there is no lock.
        _ = migrate::break_lock(store, layout).await;
    }
    let applied = migrate::apply(store, layout).await?;
    if !applied.migrations.is_empty() {
        tracing::info!(migrations = ?applied.migrations, "schema applied");
    }
    Ok(())
}
