//! Inserting: one plan, tried until it is stored or refused for good.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep, timeout};

use super::{BatchConfig, TableStats, gather::Batch};
use crate::{
    block::Table,
    journal::lock,
    store::{Insert, Store, WriteError},
};

/// The longest pause while the operator is waited for.
const HOLD_BACKOFF_MAX: Duration = Duration::from_secs(30);
/// An insert that was not answered in time is given twice as long the next time, up to so many times
/// the first: a server that is merely slow would never end it.
const PATIENCE_MAX: u32 = 16;
/// Failures of a table are logged at most this often.
const LOG_INTERVAL: Duration = Duration::from_secs(10);
/// ClickHouse's number for "memory limit exceeded".
const MEMORY_LIMIT_EXCEEDED: u32 = 241;
/// However little memory the server has, batches have this many rows.
const ROWS_MAX_FLOOR: usize = 1_000;
/// An insert in doubt is refused for good only after so many refusals in a row: one may come from
/// a server that is just starting.
const REFUSALS_IN_DOUBT_MIN: u32 = 5;

/// Sends the inserts of one table.
#[derive(Debug)]
pub(super) struct Inserter {
    store: Store,
    table: Table,
    config: BatchConfig,
    stats: Arc<TableStats>,
    /// Halved when the server runs out of memory or time, and grown again by what succeeds.
    rows_max: AtomicUsize,
    logged: Mutex<Option<Instant>>,
}

/// How an insert ended.
#[derive(Debug)]
pub(super) enum Outcome {
    Stored,
    /// Nothing of it was stored; its parts may be tried under tokens of their own.
    Refused(WriteError),
    /// An earlier attempt may have been stored, and now the store refuses it: it can only be sent
    /// again as it is.
    InDoubt(WriteError),
}

impl Inserter {
    pub fn new(
        store: Store,
        table: Table,
        config: BatchConfig,
        stats: Arc<TableStats>,
    ) -> Inserter {
        Inserter {
            store,
            table,
            rows_max: AtomicUsize::new(config.max_rows),
            config,
            stats,
            logged: Mutex::new(None),
        }
    }

    /// Rows that a batch may have now.
    pub fn rows_max(&self) -> usize {
        self.rows_max.load(Relaxed)
    }

    /// Tries until there is an outcome; always the same blocks under the same token.
    pub async fn insert(&self, batch: &Batch, token: &str, mut in_doubt: bool) -> Outcome {
        let blocks = batch.bytes();
        let insert = Insert {
            table: self.table,
            blocks: &blocks,
            compression: batch.compression(),
            token,
        };
        let mut backoff = Duration::ZERO;
        let mut refusals = 0;
        let mut patience = 1;
        loop {
            let limit = self.config.attempt_timeout * patience;
            let attempt = timeout(limit, self.store.insert(insert)).await;
            let error = match attempt {
                Ok(Ok(())) => {
                    self.succeeded();
                    return Outcome::Stored;
                }
                Ok(Err(error)) => error,
                Err(_) => {
                    patience = (patience * 2).min(PATIENCE_MAX);
                    self.send_less();
                    clickhouse::error::Error::TimedOut.into()
                }
            };
            self.failed(&error, batch.rows);
            let (least, longest) = match &error {
                WriteError::Retry { after, .. } => {
                    refusals = 0;
                    in_doubt = true;
                    let first = self.config.backoff_first.min(*after);
                    (first, self.config.backoff_max)
                }
                // It may be a view's table that is missing, behind one that has the rows already.
                WriteError::Hold { .. } => {
                    refusals = 0;
                    in_doubt = true;
                    (self.config.backoff_first, HOLD_BACKOFF_MAX)
                }
                WriteError::Split { .. } | WriteError::Permanent { .. } if !in_doubt => {
                    return Outcome::Refused(error);
                }
                WriteError::Split { .. } | WriteError::Permanent { .. } => {
                    refusals += 1;
                    if refusals >= REFUSALS_IN_DOUBT_MIN {
                        return Outcome::InDoubt(error);
                    }
                    (self.config.backoff_first, self.config.backoff_max)
                }
            };
            backoff = (backoff * 2).clamp(least, longest.max(least));
            self.stats.retries.fetch_add(1, Relaxed);
            sleep(backoff).await;
        }
    }

    fn succeeded(&self) {
        let (now, max) = (self.rows_max(), self.config.max_rows);
        if now < max {
            self.rows_max.store((now + max / 16).min(max), Relaxed);
        }
        self.stats.last_error.store(0, Relaxed);
        if self.stats.held.swap(false, Relaxed) || lock(&self.logged).take().is_some() {
            tracing::info!(table = self.table.name(), "the store takes inserts again");
        }
    }

    /// The next batches have half as many rows; those that are planned stay as they are.
    fn send_less(&self) {
        let less = (self.rows_max() / 2).max(ROWS_MAX_FLOOR);
        self.rows_max.store(less.min(self.config.max_rows), Relaxed);
    }

    fn failed(&self, error: &WriteError, rows: usize) {
        if error.code() == Some(MEMORY_LIMIT_EXCEEDED) {
            self.send_less();
        }
        let (action, does) = match error {
            WriteError::Retry { .. } => (0, "it is sent again, unchanged"),
            WriteError::Hold { .. } => (1, "it waits for you; nothing is lost"),
            WriteError::Split { .. } => (2, "it is sent in parts"),
            WriteError::Permanent { .. } => (3, "what is bad in it is looked for"),
        };
        if let Some(counter) = self.stats.failed.get(action) {
            counter.fetch_add(1, Relaxed);
        }
        self.stats
            .last_error
            .store(error.code().unwrap_or(1), Relaxed);
        self.stats.held.store(action == 1, Relaxed);
        let now = Instant::now();
        let mut logged = lock(&self.logged);
        if logged.is_none_or(|at| now.duration_since(at) >= LOG_INTERVAL) {
            *logged = Some(now);
            let table = self.table.name();
            tracing::warn!(table, rows, %error, "an insert failed: {does}");
        }
    }
}
