//! The committer: one thread that appends what comes, as much at a time as came meanwhile.
//!
//! While one group is synced the next gathers, so the delay is bounded by two syncs and the number
//! of syncs by the disk, not by the requests.

use std::sync::{
    Arc, Mutex,
    atomic::Ordering::Relaxed,
    mpsc::{self, Receiver, Sender},
};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{
    Core, Durability, FAILED_RETRY_AFTER, FULL_RETRY_AFTER, OnDurable, Position,
    files::Files,
    lock,
    log::{AppendError, Encoded, Log},
    segment,
};
use crate::pipeline::NotDurable;

/// A group takes no more than this at a time.
const GROUP_BYTES_MAX: u64 = 32 << 20;
/// Failures are logged at most this often.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

type Reply = oneshot::Sender<Result<(), NotDurable>>;

/// The thread's mailbox.
#[derive(Debug)]
pub(super) struct Committer {
    asks: Mutex<Option<Sender<(Encoded, Reply)>>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

/// What the thread works with.
pub(super) struct Work<F: Files> {
    core: Arc<Core<F>>,
    log: Log<F>,
    on_durable: Option<OnDurable>,
    logged: Option<Instant>,
}

/// The answer when nothing is taken any more.
pub(super) fn stopped() -> NotDurable {
    NotDurable {
        reason: "the collector is shutting down".to_owned(),
        retry_after: Duration::from_secs(1),
    }
}

// === impl Committer ===

impl Committer {
    pub fn start<F: Files>(
        core: Arc<Core<F>>,
        log: Log<F>,
        on_durable: Option<OnDurable>,
    ) -> std::io::Result<Committer> {
        let (sender, asks) = mpsc::channel();
        let mut work = Work::new(core, log, on_durable);
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || work.run(&asks))?;
        Ok(Committer {
            asks: Mutex::new(Some(sender)),
            thread: Mutex::new(Some(thread)),
        })
    }

    pub fn send(&self, record: Encoded, reply: Reply) -> Result<(), NotDurable> {
        let asks = lock(&self.asks);
        let asks = asks.as_ref().ok_or_else(stopped)?;
        asks.send((record, reply)).map_err(|_| stopped())
    }

    /// Returns when everything sent is answered.
    pub fn close(&self) {
        lock(&self.asks).take();
        if let Some(thread) = lock(&self.thread).take()
            && thread.join().is_err()
        {
            tracing::error!("the journal's thread ended badly");
        }
    }
}

// === impl Work ===

impl<F: Files> Work<F> {
    pub fn new(core: Arc<Core<F>>, log: Log<F>, on_durable: Option<OnDurable>) -> Work<F> {
        Work {
            core,
            log,
            on_durable,
            logged: None,
        }
    }

    fn run(&mut self, asks: &Receiver<(Encoded, Reply)>) {
        while let Ok((record, reply)) = asks.recv() {
            let mut bytes = record.record_bytes();
            let (mut records, mut replies) = (vec![record], vec![reply]);
            while bytes < GROUP_BYTES_MAX
                && let Ok((record, reply)) = asks.try_recv()
            {
                bytes += record.record_bytes();
                records.push(record);
                replies.push(reply);
            }
            self.core.under_way.fetch_add(bytes, Relaxed);
            let results = self.commit(records);
            self.core.under_way.fetch_sub(bytes, Relaxed);
            for (reply, result) in replies.into_iter().zip(results) {
                // Who asked may be gone; the record stays.
                _ = reply.send(result);
            }
        }
    }

    /// Appends a group and gives the answer to each, in order.
    pub fn commit(&mut self, records: Vec<Encoded>) -> Vec<Result<(), NotDurable>> {
        if self.core.options.durability == Durability::Memory {
            let results = vec![Ok(()); records.len()];
            for record in records {
                let (bytes, facts) = (record.record_bytes(), record.meta.facts.clone());
                self.account(&record);
                let at = self.core.index.extend_in_memory(bytes, record.blocks);
                self.tell(at, facts);
            }
            return results;
        }
        let core = Arc::clone(&self.core);
        let appended = self.log.append(&records, || core.recent_requests());
        let error = appended.error.map(|error| self.refuse(&error));
        let mut results: Vec<Result<(), NotDurable>> = Vec::with_capacity(records.len());
        let placed = appended.placed;
        results.resize(placed.len(), Ok(()));
        let mut facts = Vec::new();
        let mut durable = Vec::with_capacity(placed.len());
        let mut records = records.into_iter();
        for (placed, record) in placed.into_iter().zip(records.by_ref()) {
            self.account(&record);
            if !record.meta.facts.is_empty() {
                // Before the lanes can pass it, or its segment might be deleted.
                self.core.progress().has_facts(placed.at);
            }
            facts.push((placed.at, record.meta.facts));
            durable.push((placed, record.blocks));
        }
        let journal = self.core.journal;
        self.core
            .index
            .extend(|number| segment::seed(journal, number), durable);
        facts
            .into_iter()
            .for_each(|(at, facts)| self.tell(at, facts));
        let refused = error.unwrap_or_else(stopped);
        results.extend(records.map(|_| Err(refused.clone())));
        results
    }

    /// Before its rows can be read, so that nobody reads more than there is.
    fn account(&self, record: &Encoded) {
        for block in &record.blocks {
            let account = self.core.accounts.of(block.table);
            account.accepted.fetch_add(u64::from(block.rows), Relaxed);
        }
        self.core.remember(&record.meta.requests);
    }

    fn tell(&self, at: Position, facts: bytes::Bytes) {
        if let Some(on_durable) = self.on_durable.as_ref().filter(|_| !facts.is_empty()) {
            on_durable(at, facts);
        }
    }

    fn refuse(&mut self, error: &AppendError) -> NotDurable {
        let now = Instant::now();
        if self
            .logged
            .is_none_or(|at| now.duration_since(at) >= LOG_INTERVAL)
        {
            self.logged = Some(now);
            tracing::error!(%error, "nothing is accepted now");
        }
        let retry_after = match error {
            AppendError::NoSpace(_) => {
                self.core.health.no_space.fetch_add(1, Relaxed);
                FULL_RETRY_AFTER
            }
            AppendError::Failed(_) => {
                self.core.health.fail(error.to_string());
                FAILED_RETRY_AFTER
            }
        };
        NotDurable {
            reason: error.to_string(),
            retry_after,
        }
    }
}
