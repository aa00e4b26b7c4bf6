//! Writer: blocks of many requests become few inserts; the caller is told when its are stored.
//!
//! Each table has a queue, bounded in bytes, and one task that gathers blocks until there are
//! enough rows or bytes, or the oldest has waited long enough. An insert that failed in doubt is
//! sent again, unchanged and with the same token, until the deadline of its oldest block: exporters
//! give up after 10 s, and an answer that comes later only makes them send twice.
//!
//! The seam for a journal: [`Writer::submit`] resolves when the blocks are *durable*. Today that is
//! when they are inserted; a journal in front would resolve when they are synced to disk, and feed
//! its records here with tokens of its own.
//!
//! Invariants: blocks of one insert lie on at most [`BLOCK_DAYS_MAX`](crate::block::BLOCK_DAYS_MAX)
//! days; a list of blocks that may have been stored is never inserted under another token.

mod batch;
mod deliver;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::client::Store;
use crate::block::{Block, Table};
use batch::Entry;
use deliver::Lane;

/// Tell senders to come back after this when a queue is full.
const BUSY_RETRY_AFTER: Duration = Duration::from_secs(1);

/// When blocks become inserts, and what may wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchConfig {
    /// Rows of one insert.
    pub max_rows: usize,
    /// Bytes of one insert, before compression: what the server needs as memory.
    pub max_bytes: usize,
    /// How long a block may wait for company.
    pub max_delay: Duration,
    /// Inserts of one table that run at the same time.
    pub inserts_in_flight: usize,
    /// Bytes of blocks that one table's queue holds, those of running inserts included.
    pub queue_bytes_max: usize,
    /// How long a block may take from submission to answer.
    pub deadline: Duration,
    /// How long one attempt may take before it is in doubt.
    pub attempt_timeout: Duration,
}

/// The blocks were not stored, or it is not known whether they were.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// Nothing was taken.
    #[error("the queue of {} is full ({queue_bytes} bytes); send again later", table.name())]
    Busy {
        table: Table,
        queue_bytes: usize,
        retry_after: Duration,
    },
    /// The store did not take them in time.
    #[error("{message}")]
    Unavailable {
        message: String,
        retry_after: Duration,
    },
    /// The store will never take them.
    #[error("{message}")]
    Rejected { message: String },
    /// The collector is going down.
    #[error("the collector is shutting down; send again")]
    Stopped,
}

/// Counters of one table since the start.
#[derive(Debug, Default)]
pub struct TableStats {
    /// Rows stored.
    pub rows: AtomicU64,
    /// Bytes sent in inserts that succeeded.
    pub bytes: AtomicU64,
    /// Inserts that succeeded.
    pub inserts: AtomicU64,
    /// Attempts after the first.
    pub retries: AtomicU64,
    /// Inserts that were given up.
    pub failures: AtomicU64,
    /// Rows of inserts that were given up.
    pub failed_rows: AtomicU64,
    /// Bytes waiting or in flight now.
    pub queue_bytes: AtomicUsize,
}

/// Takes blocks and has them inserted.
#[derive(Debug)]
pub struct Writer {
    stats: HashMap<Table, Arc<TableStats>>,
    config: BatchConfig,
    /// Where entries go; `None` once the writer is closed.
    queues: Mutex<Option<HashMap<Table, UnboundedSender<Entry>>>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// Room in a queue; given back when dropped.
#[derive(Debug)]
struct Room {
    stats: Arc<TableStats>,
    bytes: usize,
}

type Answer = oneshot::Receiver<Result<(), CommitError>>;

// === impl CommitError ===

impl CommitError {
    /// When the sender may try again; `None` if that is useless.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            CommitError::Busy { retry_after, .. }
            | CommitError::Unavailable { retry_after, .. } => Some(*retry_after),
            CommitError::Stopped => Some(BUSY_RETRY_AFTER),
            CommitError::Rejected { .. } => None,
        }
    }
}

// === impl BatchConfig ===

impl Default for BatchConfig {
    fn default() -> Self {
        BatchConfig {
            max_rows: 50_000,
            max_bytes: 64 << 20,
            max_delay: Duration::from_millis(200),
            inserts_in_flight: 2,
            queue_bytes_max: 64 << 20,
            deadline: Duration::from_secs(8),
            attempt_timeout: Duration::from_secs(4),
        }
    }
}

// === impl Writer ===

impl Writer {
    /// Starts one task per table. Must be called within a tokio runtime.
    pub fn start(store: Store, config: BatchConfig) -> Writer {
        let run = token_run();
        let mut stats = HashMap::new();
        let mut queues = HashMap::new();
        let mut tasks = Vec::new();
        for table in Table::ALL {
            let of_table = Arc::new(TableStats::default());
            let (sender, entries) = unbounded_channel();
            let for_lane = (config.clone(), Arc::clone(&of_table));
            let lane = Lane::new(store.clone(), table, for_lane, &run);
            tasks.push(tokio::spawn(batch::run(entries, Arc::new(lane))));
            stats.insert(table, of_table);
            queues.insert(table, sender);
        }
        Writer {
            stats,
            config,
            queues: Mutex::new(Some(queues)),
            tasks: Mutex::new(tasks),
        }
    }

    /// Takes the blocks of one request, all or none, and resolves when all are stored.
    ///
    /// They are queued (or refused) at once, not when the future is first polled; dropping the
    /// future does not take them back.
    pub fn submit(
        &self,
        blocks: Vec<Block>,
    ) -> impl Future<Output = Result<(), CommitError>> + Send + use<> {
        let answers = self.enqueue(blocks);
        async move {
            let mut result = Ok(());
            for answer in answers? {
                // All are awaited, so that nothing of the request is pending after the answer.
                let one = answer.await.unwrap_or(Err(CommitError::Stopped));
                result = result.and(one);
            }
            result
        }
    }

    /// The counters of a table.
    pub fn stats(&self, table: Table) -> Option<&TableStats> {
        self.stats.get(&table).map(|stats| &**stats)
    }

    /// Takes nothing more, and resolves when everything taken is stored or given up: at most the
    /// deadline later.
    pub async fn close(&self) {
        // The senders are dropped, so each task sees the end after its last entry.
        lock(&self.queues).take();
        let tasks = std::mem::take(&mut *lock(&self.tasks));
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a writer task ended badly");
            }
        }
    }

    fn enqueue(&self, blocks: Vec<Block>) -> Result<Vec<Answer>, CommitError> {
        let now = Instant::now();
        let deadline = now + self.config.deadline;
        let mut entries = Vec::with_capacity(blocks.len());
        let mut answers = Vec::with_capacity(blocks.len());
        for block in blocks {
            let own = entries.iter().map(|e: &Entry| &e.block);
            let own = own.filter(|b| b.table == block.table);
            let own = own.map(|b| b.bytes.len()).sum();
            // Room that was made for earlier blocks is given back if this fails.
            let room = self.room(&block, own)?;
            let (done, answer) = oneshot::channel();
            answers.push(answer);
            entries.push(Entry::new(block, now, deadline, done, room));
        }
        let queues = lock(&self.queues);
        let queues = queues.as_ref().ok_or(CommitError::Stopped)?;
        for entry in entries {
            let queue = queues.get(&entry.block.table);
            let queue = queue.ok_or(CommitError::Stopped)?;
            queue.send(entry).map_err(|_| CommitError::Stopped)?;
        }
        Ok(answers)
    }

    /// Reserves room for a block, where `own` bytes of the queue are the same request's. One
    /// request always fits into an empty queue, however large.
    fn room(&self, block: &Block, own: usize) -> Result<Room, CommitError> {
        let stats = self.stats.get(&block.table).ok_or(CommitError::Stopped)?;
        let bytes = block.bytes.len();
        let before = stats.queue_bytes.fetch_add(bytes, Relaxed);
        let room = Room {
            stats: Arc::clone(stats),
            bytes,
        };
        if before > own && before.saturating_add(bytes) > self.config.queue_bytes_max {
            return Err(CommitError::Busy {
                table: block.table,
                queue_bytes: before,
                retry_after: BUSY_RETRY_AFTER,
            });
        }
        Ok(room)
    }
}

// === impl Room ===

impl Drop for Room {
    fn drop(&mut self) {
        self.stats.queue_bytes.fetch_sub(self.bytes, Relaxed);
    }
}

/// What makes the tokens of this run differ from those of any other.
fn token_run() -> String {
    let mut random = [0u8; 16];
    if getrandom::fill(&mut random).is_err() {
        let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        random = clock.map_or(0, |d| d.as_nanos()).to_le_bytes();
    }
    format!("{:032x}", u128::from_le_bytes(random))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
