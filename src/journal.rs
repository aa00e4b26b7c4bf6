//! Journal: what was acknowledged is on disk, and reaches the store exactly once.
//!
//! A record is one group commit: the compressed blocks as they will be inserted, the requests they
//! acknowledge, and facts for whoever follows. [`Journal`] appends records ([`log`]), a lane for
//! each table reads them ([`cursor`]) and inserts them ([`deliver`]), and the [`ledger`] remembers
//! which insert has which blocks, so that a retry, after a crash too, sends the same bytes under
//! the same deduplication token. Segments are deleted as a whole when everything in them is settled.
//!
//! Not here: what the rows mean, and the words of refusals on the wire.
//!
//! Invariants:
//! - An acknowledgement comes after the record is durable, as [`Durability`] says.
//! - Nothing that is not durable is read, and nothing durable is forgotten before it is settled.
//! - A failed write or sync ends accepting; what is stored is still delivered.
//! - Memory is bounded, however much waits.

mod accounts;
mod cursor;
pub mod deliver;
mod facts;
mod files;
mod follow;
mod health;
mod index;
mod ledger;
mod log;
mod open;
mod position;
mod progress;
pub mod quarantine;
mod record;
mod scan;
mod segment;
mod survey;
#[cfg(test)]
mod tests;
mod thread;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
    time::Duration,
};

use tokio::sync::oneshot;

pub use self::{
    accounts::{Accounts, Balance},
    deliver::{BatchConfig, Delivery, TableStats},
    follow::Follower,
    health::Health,
    open::OpenError,
    position::{BlockId, Position},
    survey::{Survey, TableSurvey, survey, verify},
};
use self::{
    files::{Disk, Files},
    index::Index,
    ledger::Ledger,
    log::Encoded,
    progress::Progress,
    quarantine::Quarantine,
    record::Request,
};
use crate::{
    block::Table,
    clock,
    pipeline::{Commit, Durable, NotDurable},
};

/// Requests whose hashes are kept: a client's resend is recognised while its request is among them.
pub const REQUESTS_MAX: usize = 65_536;
/// Nor are they kept for longer than this: exporters give up after five minutes.
pub const REQUEST_AGE_MAX_S: u64 = 600;
/// Blocks kept in memory for the lanes; what is older they read from the files.
const HOT_BYTES_MAX: usize = 32 << 20;
/// The same where memory is all there is: then this is the queue.
const MEMORY_BYTES_MAX: u64 = 256 << 20;
/// The largest segment.
const SEGMENT_BYTES_MAX: u64 = 64 << 20;
/// A journal has at least this many segments' room, so that deleting one makes some.
const SEGMENTS_MIN: u64 = 16;
/// Tell senders to come back after this when the journal is full.
const FULL_RETRY_AFTER: Duration = Duration::from_secs(5);
/// And after this when its disk failed.
const FAILED_RETRY_AFTER: Duration = Duration::from_secs(30);

/// What an acknowledgement means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// It survives a power failure.
    Disk,
    /// It survives the death of the process.
    Os,
    /// It survives neither.
    Memory,
}

/// Where the journal is and what it may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalOptions {
    /// `<data_dir>/journal`.
    pub directory: PathBuf,
    pub durability: Durability,
    /// Bytes of all segments.
    pub max_bytes: u64,
}

/// Told of every durable record that has facts.
pub type OnDurable = Box<dyn Fn(Position, bytes::Bytes) + Send + Sync>;

/// Makes group commits durable.
#[derive(Debug)]
pub struct Journal {
    core: Arc<Core<Disk>>,
    thread: thread::Committer,
    identity: u128,
    /// Keeps other processes away while this one has it.
    _lock: std::fs::File,
}

/// What the appending side and the delivering side share.
#[derive(Debug)]
struct Core<F: Files> {
    files: Arc<F>,
    journal: u128,
    options: JournalOptions,
    index: Arc<Index<F::Handle>>,
    ledger: Mutex<Ledger<F>>,
    quarantine: Quarantine,
    accounts: Accounts,
    health: Health,
    progress: Mutex<Progress>,
    recent: Mutex<std::collections::VecDeque<Request>>,
    /// Bytes on their way to the disk.
    under_way: AtomicU64,
}

// === impl Durability ===

impl std::str::FromStr for Durability {
    type Err = ();

    fn from_str(text: &str) -> Result<Durability, ()> {
        match text {
            "disk" => Ok(Durability::Disk),
            "os" => Ok(Durability::Os),
            "memory" => Ok(Durability::Memory),
            _ => Err(()),
        }
    }
}

// === impl JournalOptions ===

impl JournalOptions {
    /// The journal of a data directory.
    pub fn in_data_dir(data_dir: &Path, durability: Durability, max_bytes: u64) -> JournalOptions {
        JournalOptions {
            directory: data_dir.join("journal"),
            durability,
            max_bytes,
        }
    }

    fn segment_bytes_max(&self) -> u64 {
        (self.max_bytes / SEGMENTS_MIN).clamp(64 << 10, SEGMENT_BYTES_MAX)
    }
}

// === impl Journal ===

impl Journal {
    /// Hashes of requests that were acknowledged lately, and when ([`clock::steady_s`]).
    pub fn recent_requests(&self) -> Vec<Request> {
        self.core.recent_requests()
    }

    /// Starts delivering to a store. To be called within a tokio runtime.
    pub fn deliver_to(&self, store: crate::store::Store, config: BatchConfig) -> Delivery {
        Delivery::start(Arc::clone(&self.core), store, config)
    }

    /// The facts of the records after `position`, or of all.
    pub fn facts_since(
        &self,
        position: Option<Position>,
    ) -> impl Iterator<Item = std::io::Result<(Position, bytes::Bytes)>> + use<> {
        facts::since(Arc::clone(&self.core.index), position)
    }

    /// Which journal this is: positions of another one mean nothing here. One in memory is another
    /// at each start.
    pub fn identity(&self) -> u128 {
        self.identity
    }

    /// A follower of facts has everything up to this record in its own durable state, nothing if it
    /// is the default. From the first call on, which must come before [`Journal::deliver_to`], no
    /// segment is deleted that has facts beyond.
    pub fn facts_consumed(&self, position: Position) {
        self.core.progress().consumed(position);
        self.core.release();
    }

    /// Is more than half of its room taken?
    pub fn is_filling(&self) -> bool {
        self.core.index.file_bytes() > self.core.options.max_bytes / 2
    }

    pub fn accounts(&self) -> &Accounts {
        &self.core.accounts
    }

    /// Rows that the store does not have yet.
    pub fn queued_rows(&self) -> u64 {
        self.core.queued_rows()
    }

    pub fn health(&self) -> &Health {
        &self.core.health
    }

    /// Bytes of segments on disk, of blocks in memory, and the number of segments.
    pub fn sizes(&self) -> (u64, usize, usize) {
        let index = &self.core.index;
        (index.file_bytes(), index.hot_bytes(), index.segments())
    }

    /// Takes nothing more, and returns when everything taken is durable.
    pub fn close(&self) {
        self.thread.close();
        if let Err(error) = self.core.ledger().flush() {
            tracing::warn!(%error, "the ledger could not be synced; inserts may be repeated under their tokens");
        }
    }

    fn refuse(&self) -> Result<(), NotDurable> {
        match self.core.health.failure() {
            Some(reason) => Err(NotDurable {
                reason,
                retry_after: FAILED_RETRY_AFTER,
            }),
            None => Ok(()),
        }
    }
}

impl Durable for Journal {
    fn accepting(&self) -> Result<(), NotDurable> {
        self.refuse()?;
        self.core.room(0)
    }

    async fn commit(&self, commit: Commit) -> Result<(), NotDurable> {
        self.refuse()?;
        let now = clock::steady_s();
        let requests = commit.requests.into_iter().map(|hash| (hash, now));
        let record = Encoded::new(commit.blocks, commit.facts, requests.collect());
        self.core.room(record.record_bytes())?;
        let (reply, answer) = oneshot::channel();
        self.thread.send(record, reply)?;
        answer.await.unwrap_or_else(|_| Err(thread::stopped()))
    }
}

// === impl Core ===

impl<F: Files> Core<F> {
    /// Is there room for another record?
    fn room(&self, bytes: u64) -> Result<(), NotDurable> {
        let (used, max) = match self.options.durability {
            Durability::Memory => (
                self.index.hot_bytes() as u64,
                self.options.max_bytes.min(MEMORY_BYTES_MAX),
            ),
            _ => (self.index.file_bytes(), self.options.max_bytes),
        };
        let under_way = self.under_way.load(std::sync::atomic::Ordering::Relaxed);
        let full = used + under_way + bytes > max && !(under_way == 0 && self.is_drained());
        self.health.set_full(full);
        match full {
            true => Err(NotDurable {
                reason: format!(
                    "the journal is full ({used} of {max} bytes wait for the store); \
                     see why the store does not take them, or raise journal.max_bytes"
                ),
                retry_after: FULL_RETRY_AFTER,
            }),
            false => Ok(()),
        }
    }

    /// Only the newest segment is left, and all of it is stored. It stays until there is another
    /// one, so however large it is, it must not keep that from coming.
    fn is_drained(&self) -> bool {
        self.index.segments() <= 1 && !self.index.is_leaving() && self.queued_rows() == 0
    }

    fn queued_rows(&self) -> u64 {
        let queued = |table| self.accounts.balance(table).queued;
        Table::ALL.into_iter().map(queued).sum()
    }

    fn recent_requests(&self) -> Vec<Request> {
        lock(&self.recent).iter().copied().collect()
    }

    fn remember(&self, requests: &[Request]) {
        let mut recent = lock(&self.recent);
        recent.extend(requests);
        let now = clock::steady_s();
        while recent.len() > REQUESTS_MAX
            || recent
                .front()
                .is_some_and(|(_, at)| at.saturating_add(REQUEST_AGE_MAX_S) < now)
        {
            recent.pop_front();
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger<F>> {
        lock(&self.ledger)
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        lock(&self.progress)
    }

    /// A lane read up to here, and planned everything up to there. True when it left a segment
    /// behind: then [`Core::release`] may have something to do.
    fn advance(&self, table: Table, read: Position, planned: Option<Position>) -> bool {
        let advanced = self.progress().advance(table, read, planned);
        self.index.forget_hot(advanced.passed);
        advanced.left_segment
    }

    /// Deletes the segments of which nothing is needed any more. What cannot be deleted now counts
    /// against the quota, and is tried again the next time.
    fn release(&self) {
        let floor = self.progress().floor();
        let mut ledger = self.ledger();
        let open = ledger.tables().iter().filter_map(|table| table.floor());
        let floor = open.map(|id| id.record).fold(floor, Position::min);
        let leaving = self.index.take_before(floor);
        if leaving.is_empty() {
            return;
        }
        // What freed them must be durable first, or the next start would look for them.
        let mut done = ledger.flush();
        drop(ledger);
        if done.is_ok() {
            for number in leaving {
                match self.files.remove(&segment::name(number)) {
                    // Not found: somebody else was faster.
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => done = Err(error),
                    Ok(()) | Err(_) => self.index.gone(number),
                }
            }
        }
        self.health.tidied(done);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
