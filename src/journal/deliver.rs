//! Delivering: from the journal to the store, one lane for each table.
//!
//! A lane gathers blocks until there are enough rows or bytes, or the oldest has waited long
//! enough; writes down which they are (the plan); and inserts them until the store has them. There
//! is no deadline: what is in the journal waits as long as it must, and lanes do not wait for each
//! other.
//!
//! Invariants: blocks of one insert lie on at most
//! [`BLOCK_DAYS_MAX`](crate::block::BLOCK_DAYS_MAX) days; blocks that may have been stored are
//! never inserted under another token.

pub(super) mod gather;
mod insert;
mod lane;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize},
    },
    time::Duration,
};

use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

use self::lane::Lane;
use super::{Core, files::Files, lock};
use crate::{block::Table, store::Store};

/// How often a drain looks whether it is done.
const DRAIN_PAUSE: Duration = Duration::from_millis(10);
/// How often it is tried to delete segments that could not be deleted when they were delivered.
const TIDY_PAUSE: Duration = Duration::from_secs(5);

/// When blocks become inserts.
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
    /// How long one attempt may take before it is in doubt.
    pub attempt_timeout: Duration,
    /// The first pause between attempts; each is twice as long as the one before, up to the
    /// longest.
    pub backoff_first: Duration,
    pub backoff_max: Duration,
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
    /// Attempts that failed, by what is done about it: retry, hold, split, quarantine.
    pub failed: [AtomicU64; 4],
    /// Inserts split into halves because the store refused them as a whole.
    pub splits: AtomicU64,
    /// Rows put into quarantine.
    pub quarantined_rows: AtomicU64,
    /// Inserts whose blocks were damaged on disk after they were planned.
    pub broken_plans: AtomicU64,
    /// Bytes of inserts under way now.
    pub queue_bytes: AtomicUsize,
    /// The number of the store's last error; 0 while inserts succeed.
    pub last_error: AtomicU32,
    /// It waits for the operator.
    pub held: AtomicBool,
}

/// The lanes of a journal, at work.
#[derive(Debug)]
pub struct Delivery {
    stats: BTreeMap<Table, Arc<TableStats>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    /// Do not wait for company any more.
    hurry: CancellationToken,
    stop: CancellationToken,
    unsettled: Arc<dyn Unsettled>,
}

/// How many rows wait, whatever the files are.
trait Unsettled: std::fmt::Debug + Send + Sync {
    fn rows(&self) -> u64;
}

// === impl BatchConfig ===

impl Default for BatchConfig {
    fn default() -> Self {
        BatchConfig {
            max_rows: 50_000,
            max_bytes: 64 << 20,
            max_delay: Duration::from_millis(200),
            inserts_in_flight: 2,
            attempt_timeout: Duration::from_secs(30),
            backoff_first: Duration::from_millis(100),
            backoff_max: Duration::from_secs(5),
        }
    }
}

// === impl Delivery ===

impl Delivery {
    /// Starts the lanes. Must be called within a tokio runtime.
    pub(super) fn start<F: Files>(
        core: Arc<Core<F>>,
        store: Store,
        config: BatchConfig,
    ) -> Delivery {
        let (hurry, stop) = (CancellationToken::new(), CancellationToken::new());
        let mut stats = BTreeMap::new();
        let mut tasks = Vec::new();
        for table in Table::ALL {
            let of_table = Arc::new(TableStats::default());
            stats.insert(table, Arc::clone(&of_table));
            let lane = Lane::new(
                Arc::clone(&core),
                store.clone(),
                table,
                config.clone(),
                of_table,
            );
            let tokens = (hurry.clone(), stop.clone());
            tasks.push(tokio::spawn(Arc::new(lane).run(tokens.0, tokens.1)));
        }
        tasks.push(tokio::spawn(tidy(Arc::clone(&core), stop.clone())));
        Delivery {
            stats,
            tasks: Mutex::new(tasks),
            hurry,
            stop,
            unsettled: core,
        }
    }

    /// The counters of a table.
    pub fn stats(&self, table: Table) -> Option<&TableStats> {
        self.stats.get(&table).map(|stats| &**stats)
    }

    /// Rows that the store does not have yet.
    pub fn unsettled_rows(&self) -> u64 {
        self.unsettled.rows()
    }

    /// Delivers everything, for at most `limit`, and ends. Says how many rows stay in the journal.
    pub async fn drain(&self, limit: Duration) -> u64 {
        self.hurry.cancel();
        let until = Instant::now() + limit;
        while self.unsettled_rows() > 0 && Instant::now() < until {
            tokio::time::sleep(DRAIN_PAUSE).await;
        }
        self.stop.cancel();
        let tasks = std::mem::take(&mut *lock(&self.tasks));
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a lane of the journal ended badly");
            }
        }
        self.unsettled_rows()
    }
}

/// Makes room though nothing is delivered any more: a full journal would refuse for ever.
async fn tidy<F: Files>(core: Arc<Core<F>>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        tokio::select! {
            () = tokio::time::sleep(TIDY_PAUSE) => {}
            () = stop.cancelled() => return,
        }
        if core.index.is_leaving() {
            let core = Arc::clone(&core);
            if let Err(error) = tokio::task::spawn_blocking(move || core.release()).await {
                tracing::error!(%error, "deleting segments ended badly");
            }
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl<F: Files> Unsettled for Core<F> {
    fn rows(&self) -> u64 {
        self.queued_rows()
    }
}
