//! Lane: the inserts of one table, planned in the order of the journal.

use std::{
    io,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, sleep, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{
    BatchConfig, TableStats,
    gather::{Batch, Limits},
    insert::{Inserter, Outcome},
};
use crate::{
    block::{Compression, Table},
    clock,
    journal::{
        Core,
        cursor::Cursor,
        files::Files,
        ledger::{Event, Plan},
        quarantine::Label,
    },
    store::{Store, WriteError},
};

/// A batch looks for more blocks this many times while it waits for company, and at least so often.
const LOOKS_PER_DELAY: u32 = 8;
const LOOK_PAUSE_MAX: Duration = Duration::from_millis(50);
/// The pause after the journal's own disk did not do what was asked.
const DISK_PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Lane<F: Files> {
    core: Arc<Core<F>>,
    table: Table,
    config: BatchConfig,
    stats: Arc<TableStats>,
    inserter: Inserter,
}

type Reader<F> = Cursor<<F as Files>::Handle>;

impl<F: Files> Lane<F> {
    pub fn new(
        core: Arc<Core<F>>,
        store: Store,
        table: Table,
        config: BatchConfig,
        stats: Arc<TableStats>,
    ) -> Lane<F> {
        let inserter = Inserter::new(store, table, config.clone(), Arc::clone(&stats));
        Lane {
            core,
            table,
            config,
            stats,
            inserter,
        }
    }

    /// Delivers until stopped. What is under way then stays planned, and is sent again at the next
    /// start.
    pub async fn run(self: Arc<Self>, hurry: CancellationToken, stop: CancellationToken) {
        let work = Arc::clone(&self).work(hurry);
        tokio::select! {
            () = stop.cancelled() => {}
            () = work => {}
        }
    }

    async fn work(self: Arc<Self>, hurry: CancellationToken) {
        let slots = Arc::new(Semaphore::new(self.config.inserts_in_flight.max(1)));
        // Aborts what is in it when it is dropped.
        let mut inserts = JoinSet::new();
        let (planned, open) = self.planned();
        for plan in open {
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
                return;
            };
            let batch = self.load(plan).await;
            let lane = Arc::clone(&self);
            inserts.spawn(async move {
                lane.resume(plan, batch).await;
                drop(slot);
            });
        }
        let mut cursor = Cursor::new(Arc::clone(&self.core.index), self.table, planned);
        loop {
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
                return;
            };
            let batch;
            (cursor, batch) = self.gather(cursor, &hurry).await;
            let Some(plan) = batch.plan(self.table) else {
                continue;
            };
            self.write(Event::Planned(plan), false).await;
            self.core
                .advance(self.table, cursor.position(), Some(cursor.position()));
            let lane = Arc::clone(&self);
            inserts.spawn(async move {
                lane.deliver(plan, batch, false).await;
                drop(slot);
            });
            while inserts.try_join_next().is_some() {}
        }
    }

    fn planned(&self) -> (Option<crate::journal::BlockId>, Vec<Plan>) {
        let ledger = self.core.ledger();
        let of_table = ledger.tables().iter().find(|t| t.table == self.table);
        of_table.map_or((None, Vec::new()), |plans| {
            (plans.planned, plans.open.clone())
        })
    }

    /// Waits for blocks, and for company for them.
    async fn gather(&self, mut cursor: Reader<F>, hurry: &CancellationToken) -> (Reader<F>, Batch) {
        let mut head = self.core.index.watch_head();
        let mut batch = Batch::default();
        let mut ripe: Option<Instant> = None;
        loop {
            head.mark_unchanged();
            let filled;
            (cursor, batch, filled) = self.fill(cursor, batch).await;
            match filled {
                Ok(true) => return (cursor, batch),
                Ok(false) => {}
                Err(error) => {
                    tracing::error!(%error, table = self.table.name(),
                        "the journal cannot be read now; trying again");
                    sleep(DISK_PAUSE).await;
                    continue;
                }
            }
            if batch.blocks.is_empty() {
                // Records that have nothing for this table need not wait for it.
                let at = cursor.position();
                if self.core.advance(self.table, at, Some(at)) {
                    // It may have been the last one that held a segment back.
                    self.release().await;
                }
                // The sender lives as long as the index.
                _ = head.changed().await;
                continue;
            }
            self.core.advance(self.table, cursor.position(), None);
            let now = Instant::now();
            let ripe = *ripe.get_or_insert(now + self.config.max_delay);
            if now >= ripe || hurry.is_cancelled() {
                return (cursor, batch);
            }
            let pause = (self.config.max_delay / LOOKS_PER_DELAY).min(LOOK_PAUSE_MAX);
            let look = ripe.min(now + pause);
            _ = timeout_at(look, hurry.cancelled()).await;
        }
    }

    /// Fills a batch from memory, or from the files on a thread that may wait for them.
    async fn fill(
        &self,
        mut cursor: Reader<F>,
        mut batch: Batch,
    ) -> (Reader<F>, Batch, io::Result<bool>) {
        let limits = Limits {
            rows: self.inserter.rows_max(),
            bytes: self.config.max_bytes,
        };
        let before = batch.rows;
        let (mut cursor, batch, filled) = if cursor.is_near() {
            let filled = batch.fill(&mut cursor, limits);
            (cursor, batch, filled)
        } else {
            let run = move || {
                let filled = batch.fill(&mut cursor, limits);
                (cursor, batch, filled)
            };
            match tokio::task::spawn_blocking(run).await {
                Ok(filled) => filled,
                Err(error) => {
                    // What it had taken is not known: going on could insert it twice.
                    tracing::error!(%error, table = self.table.name(),
                        "reading the journal ended badly; start lapwing again to deliver the rest");
                    std::future::pending().await
                }
            }
        };
        let account = self.core.accounts.of(self.table);
        let rows = (batch.rows - before) as u64;
        account.open.fetch_add(rows, Relaxed);
        account.read.fetch_add(rows, Relaxed);
        for block in cursor.damaged() {
            account.read.fetch_add(u64::from(block.rows), Relaxed);
            account.damaged.fetch_add(u64::from(block.rows), Relaxed);
            tracing::error!(table = self.table.name(), rows = block.rows, block = %block.id,
                "a block of the journal is damaged and was passed over; its rows are lost");
        }
        (cursor, batch, filled)
    }

    /// The blocks of a plan of an earlier run.
    async fn load(&self, plan: Plan) -> Batch {
        let from = plan.first;
        let (index, table) = (Arc::clone(&self.core.index), self.table);
        let read = move || {
            let mut cursor = Cursor::at(index, table, from);
            let mut blocks = Vec::new();
            while let Some((id, _)) = cursor.peek()? {
                if *id > plan.last {
                    break;
                }
                blocks.extend(cursor.take());
            }
            Ok::<_, io::Error>((Batch::of(blocks), cursor.damaged()))
        };
        let (batch, damaged) = loop {
            match tokio::task::spawn_blocking(read.clone()).await {
                Ok(Ok(loaded)) => break loaded,
                Ok(Err(error)) => {
                    tracing::error!(%error, "the journal cannot be read now; trying again");
                    sleep(DISK_PAUSE).await;
                }
                Err(error) => {
                    tracing::error!(%error, "reading the journal ended badly");
                    break (Batch::default(), Vec::new());
                }
            }
        };
        let account = self.core.accounts.of(self.table);
        let lost: u64 = damaged.iter().map(|block| u64::from(block.rows)).sum();
        account.read.fetch_add(batch.rows as u64 + lost, Relaxed);
        account.open.fetch_add(batch.rows as u64, Relaxed);
        account.damaged.fetch_add(lost, Relaxed);
        batch
    }

    /// Goes on with a plan of an earlier run, which may have been attempted then.
    async fn resume(&self, plan: Plan, batch: Batch) {
        let now = batch.plan(self.table);
        if now.is_some_and(|now| (now.hash, now.blocks) == (plan.hash, plan.blocks)) {
            return self.deliver(plan, batch, true).await;
        }
        self.stats.broken_plans.fetch_add(1, Relaxed);
        tracing::error!(
            table = self.table.name(),
            found = batch.rows,
            planned = plan.rows,
            "blocks of an insert that was under way are damaged or gone; the others are inserted, \
             perhaps a second time"
        );
        let parts: Vec<Plan> = now.into_iter().collect();
        self.write(Event::Replaced { old: plan, parts }, false)
            .await;
        match now {
            Some(plan) => self.deliver(plan, batch, false).await,
            None => self.core.release(),
        }
    }

    /// Inserts a batch; what the store refuses is halved until the bad blocks are alone.
    async fn deliver(&self, plan: Plan, batch: Batch, in_doubt: bool) {
        let bytes = batch.body_bytes();
        self.stats.queue_bytes.fetch_add(bytes, Relaxed);
        let mut todo = vec![(plan, batch)];
        let mut in_doubt = in_doubt;
        while let Some((plan, batch)) = todo.pop() {
            let token = plan.token(self.core.journal);
            let outcome = self.inserter.insert(&batch, &token, in_doubt).await;
            // The parts of what was refused were never sent.
            in_doubt = false;
            match outcome {
                Outcome::Stored => self.stored(plan, &batch).await,
                Outcome::InDoubt(error) => self.quarantine(plan, &batch, &error, true).await,
                Outcome::Refused(error) => match batch.halves() {
                    Err(batch) => self.quarantine(plan, &batch, &error, false).await,
                    Ok((first, second)) => {
                        let halves = [second, first].map(|half| (half.plan(self.table), half));
                        let parts = halves.iter().filter_map(|(plan, _)| *plan).collect();
                        self.write(Event::Replaced { old: plan, parts }, false)
                            .await;
                        self.stats.splits.fetch_add(1, Relaxed);
                        let halves = halves.into_iter();
                        todo.extend(halves.filter_map(|(plan, half)| Some((plan?, half))));
                    }
                },
            }
        }
        self.stats.queue_bytes.fetch_sub(bytes, Relaxed);
    }

    async fn stored(&self, plan: Plan, batch: &Batch) {
        self.write(Event::Settled(plan), true).await;
        let rows = batch.rows as u64;
        self.stats.rows.fetch_add(rows, Relaxed);
        self.stats
            .bytes
            .fetch_add(batch.body_bytes() as u64, Relaxed);
        self.stats.inserts.fetch_add(1, Relaxed);
        let account = self.core.accounts.of(self.table);
        account.stored.fetch_add(rows, Relaxed);
        account.open.fetch_sub(rows, Relaxed);
        self.release().await;
    }

    async fn quarantine(&self, plan: Plan, batch: &Batch, error: &WriteError, in_doubt: bool) {
        let rows = batch.rows as u64;
        let label = Label {
            table: self.table.name().to_owned(),
            rows,
            compression: match batch.compression() {
                Compression::None => "none",
                Compression::Lz4 => "lz4",
            }
            .to_owned(),
            token: plan.token(self.core.journal),
            error: error.to_string(),
            in_doubt,
            since_s: clock::wall_ns() / 1_000_000_000,
            blocks: batch
                .blocks
                .iter()
                .map(|(_, block)| block.bytes.len())
                .collect(),
        };
        let blocks: Vec<_> = batch
            .blocks
            .iter()
            .map(|(_, block)| block.clone())
            .collect();
        let blocks = Arc::new((label, blocks));
        let path = loop {
            let (core, kept) = (Arc::clone(&self.core), Arc::clone(&blocks));
            let keep = move || core.quarantine.keep(&kept.0, &kept.1);
            match tokio::task::spawn_blocking(keep).await {
                Ok(Ok(path)) => break path,
                Ok(Err(error)) => tracing::error!(%error, "cannot write to the quarantine"),
                Err(error) => tracing::error!(%error, "writing to the quarantine ended badly"),
            }
            sleep(DISK_PAUSE).await;
        };
        self.write(Event::Settled(plan), true).await;
        self.stats.quarantined_rows.fetch_add(rows, Relaxed);
        let account = self.core.accounts.of(self.table);
        account.quarantined.fetch_add(rows, Relaxed);
        account.open.fetch_sub(rows, Relaxed);
        tracing::error!(table = self.table.name(), rows, %error, file = %path.display(),
            "the store refuses these rows for good; they are kept in quarantine: look at them with \
             `lapwing journal status`, send them again with `lapwing journal replay`");
        self.release().await;
    }

    async fn release(&self) {
        let core = Arc::clone(&self.core);
        if let Err(error) = tokio::task::spawn_blocking(move || core.release()).await {
            tracing::error!(%error, "deleting segments ended badly");
        }
    }

    /// Writes to the ledger, however long it takes: nothing may be attempted before.
    async fn write(&self, event: Event, lazy: bool) {
        loop {
            let (core, event) = (Arc::clone(&self.core), event.clone());
            let write = move || core.ledger().write(event, lazy);
            match tokio::task::spawn_blocking(write).await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => tracing::error!(%error,
                    "the journal's ledger cannot be written, so nothing is inserted; check the disk"),
                Err(error) => tracing::error!(%error, "writing the ledger ended badly"),
            }
            sleep(DISK_PAUSE).await;
        }
    }
}
