//! Delivering: one batch becomes one insert, tried until it is stored or its time is up.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout_at};

use super::batch::{Batch, Entry};
use super::{BatchConfig, CommitError, TableStats, lock};
use crate::block::Table;
use crate::store::client::{Insert, Store};
use crate::store::error::WriteError;

/// The longest pause between two attempts.
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// Tell senders to come back after this when the store did not take their data.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Failures of a table are logged at most this often.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// ClickHouse's number for "memory limit exceeded".
const MEMORY_LIMIT_EXCEEDED: u32 = 241;

/// However little memory the server has, batches have this many rows.
const ROWS_MAX_FLOOR: usize = 1_000;

/// Everything that the inserts of one table share.
#[derive(Debug)]
pub(super) struct Lane {
    store: Store,
    table: Table,
    pub(super) config: BatchConfig,
    stats: Arc<TableStats>,
    /// Halved when the server runs out of memory, and grown again by what succeeds.
    rows_max: AtomicUsize,
    /// What all tokens of this table and run begin with.
    token: String,
    inserts: AtomicU64,
    logged: Mutex<Option<Instant>>,
}

impl Lane {
    pub(super) fn new(
        store: Store,
        table: Table,
        (config, stats): (BatchConfig, Arc<TableStats>),
        run: &str,
    ) -> Lane {
        Lane {
            store,
            table,
            rows_max: AtomicUsize::new(config.max_rows),
            config,
            stats,
            token: format!("{run}-{}", table.name()),
            inserts: AtomicU64::new(0),
            logged: Mutex::new(None),
        }
    }

    /// Rows that a batch may have now.
    pub(super) fn rows_max(&self) -> usize {
        self.rows_max.load(Relaxed)
    }

    /// Inserts a batch and answers all its submitters.
    pub(super) async fn deliver(&self, batch: Batch) {
        let Some(deadline) = batch.deadline() else {
            return;
        };
        // It waited behind slow inserts until its submitters had given up.
        if deadline <= Instant::now() {
            let late = clickhouse::error::Error::TimedOut.into();
            return self.answer(batch.entries, Err(late));
        }
        let result = self.insert(&batch.entries, deadline).await;
        match result {
            // Nothing was stored, so its parts may be tried under tokens of their own. One bad
            // block must not take the others with it.
            Err(WriteError::Split { .. } | WriteError::Permanent { .. })
                if batch.entries.len() > 1 =>
            {
                for entry in batch.entries {
                    let one = self.insert(std::slice::from_ref(&entry), deadline).await;
                    self.answer(vec![entry], one);
                }
            }
            result => self.answer(batch.entries, result),
        }
    }

    fn answer(&self, entries: Vec<Entry>, result: Result<(), WriteError>) {
        let rows: u64 = entries.iter().map(|e| u64::from(e.block.rows)).sum();
        let bytes: u64 = entries.iter().map(|e| e.block.bytes.len() as u64).sum();
        let answer = match result {
            Ok(()) => {
                self.stats.rows.fetch_add(rows, Relaxed);
                self.stats.bytes.fetch_add(bytes, Relaxed);
                self.stats.inserts.fetch_add(1, Relaxed);
                Ok(())
            }
            Err(error) => {
                self.stats.failures.fetch_add(1, Relaxed);
                self.stats.failed_rows.fetch_add(rows, Relaxed);
                self.log(&error, rows);
                Err(CommitError::from(error))
            }
        };
        for entry in entries {
            entry.answer(answer.clone());
        }
    }

    /// Tries until the deadline; always the same blocks under the same token.
    async fn insert(&self, entries: &[Entry], deadline: Instant) -> Result<(), WriteError> {
        let blocks: Vec<Bytes> = entries.iter().map(|e| e.block.bytes.clone()).collect();
        let compression = entries.first().map(|e| e.block.compression);
        let number = self.inserts.fetch_add(1, Relaxed);
        let token = format!("{}-{number}", self.token);
        let insert = Insert {
            table: self.table,
            blocks: &blocks,
            compression: compression.unwrap_or_default(),
            token: &token,
        };
        let mut backoff = Duration::ZERO;
        let mut in_doubt = false;
        loop {
            let until = deadline.min(Instant::now() + self.config.attempt_timeout);
            let attempt = timeout_at(until, self.store.insert(insert)).await;
            let error = match attempt {
                Ok(Ok(())) => {
                    self.adapt(None);
                    return Ok(());
                }
                Ok(Err(error)) => error,
                Err(_) => clickhouse::error::Error::TimedOut.into(),
            };
            self.adapt(error.code());
            let after = match error {
                WriteError::Retry { after, .. } => after,
                // An earlier attempt may have been stored: no part of it may be sent again under
                // another token, whatever is wrong now.
                _ if in_doubt => return Err(error.doubtful()),
                _ => return Err(error),
            };
            in_doubt = true;
            backoff = (backoff * 2).clamp(after, BACKOFF_MAX.max(after));
            if Instant::now() + backoff >= deadline {
                return Err(error);
            }
            self.stats.retries.fetch_add(1, Relaxed);
            sleep(backoff).await;
        }
    }

    /// Smaller batches after the server ran out of memory, slowly larger ones after success.
    fn adapt(&self, code: Option<u32>) {
        let (now, max) = (self.rows_max(), self.config.max_rows);
        if code == Some(MEMORY_LIMIT_EXCEEDED) {
            let less = (now / 2).max(ROWS_MAX_FLOOR).min(max);
            self.rows_max.store(less, Relaxed);
        } else if code.is_none() && now < max {
            self.rows_max.store((now + max / 16).min(max), Relaxed);
        }
    }

    fn log(&self, error: &WriteError, rows: u64) {
        let now = Instant::now();
        let mut logged = lock(&self.logged);
        if logged.is_none_or(|at| now.duration_since(at) >= LOG_INTERVAL) {
            *logged = Some(now);
            let table = self.table.name();
            tracing::error!(table, rows, %error, "an insert was given up");
        }
    }
}

impl From<WriteError> for CommitError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Retry { message, .. } => CommitError::Unavailable {
                message,
                retry_after: RETRY_AFTER,
            },
            hold @ WriteError::Hold { .. } => CommitError::Unavailable {
                message: hold.to_string(),
                retry_after: RETRY_AFTER,
            },
            WriteError::Split { message, .. } | WriteError::Permanent { message, .. } => {
                CommitError::Rejected { message }
            }
        }
    }
}
