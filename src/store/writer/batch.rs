//! Gathering: which blocks go into one insert.

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::deliver::Lane;
use super::{CommitError, Room};
use crate::block::{BLOCK_DAYS_MAX, Block};

/// A block that waits, and whom to tell.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) block: Block,
    arrived: Instant,
    deadline: Instant,
    done: oneshot::Sender<Result<(), CommitError>>,
    _room: Room,
}

/// Blocks that go into one insert; never empty.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) entries: Vec<Entry>,
    pub(super) rows: usize,
    bytes: usize,
    days: Vec<u32>,
}

impl Entry {
    pub(super) fn new(
        block: Block,
        arrived: Instant,
        deadline: Instant,
        done: oneshot::Sender<Result<(), CommitError>>,
        room: Room,
    ) -> Entry {
        Entry {
            block,
            arrived,
            deadline,
            done,
            _room: room,
        }
    }

    /// Tells the submitter, who may be gone, and gives back the room.
    pub(super) fn answer(self, result: Result<(), CommitError>) {
        let _ = self.done.send(result);
    }
}

impl Batch {
    pub(super) fn of(entry: Entry) -> Batch {
        Batch {
            rows: entry.block.rows as usize,
            bytes: entry.block.uncompressed_bytes,
            days: entry.block.days.clone(),
            entries: vec![entry],
        }
    }

    /// When the first of its blocks must be answered.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.entries.iter().map(|entry| entry.deadline).min()
    }

    /// Adds the entry, or gives it back if the batch is complete without it.
    fn add(&mut self, entry: Entry, lane: &Lane) -> Option<Entry> {
        let block = &entry.block;
        let rows = self.rows.saturating_add(block.rows as usize);
        let bytes = self.bytes.saturating_add(block.uncompressed_bytes);
        let new_days = block.days.iter().filter(|day| !self.days.contains(day));
        let days = self.days.len() + new_days.clone().count();
        let same = |first: &Entry| first.block.compression == block.compression;
        if rows > lane.rows_max()
            || bytes > lane.config.max_bytes
            || days > BLOCK_DAYS_MAX
            || !self.entries.first().is_some_and(same)
        {
            return Some(entry);
        }
        let new_days: Vec<u32> = new_days.copied().collect();
        self.days.extend(new_days);
        (self.rows, self.bytes) = (rows, bytes);
        self.entries.push(entry);
        None
    }
}

/// Gathers and inserts until all senders are gone and everything is answered.
pub(super) async fn run(mut entries: UnboundedReceiver<Entry>, lane: Arc<Lane>) {
    let slots = Arc::new(Semaphore::new(lane.config.inserts_in_flight.max(1)));
    let mut inserts = JoinSet::new();
    let mut next = None;
    loop {
        let first = match next.take() {
            Some(entry) => entry,
            None => match entries.recv().await {
                Some(entry) => entry,
                None => break,
            },
        };
        let mut batch = Batch::of(first);
        next = gather(&mut batch, &mut entries, &lane).await;
        let slot = slot(&mut batch, &mut next, &mut entries, &lane, &slots).await;
        let lane = Arc::clone(&lane);
        inserts.spawn(async move {
            lane.deliver(batch).await;
            drop(slot);
        });
        while inserts.try_join_next().is_some() {}
    }
    while inserts.join_next().await.is_some() {}
}

/// Takes blocks until the batch is full or its first one has waited long enough. Returns the one
/// that did not fit.
async fn gather(
    batch: &mut Batch,
    entries: &mut UnboundedReceiver<Entry>,
    lane: &Lane,
) -> Option<Entry> {
    let arrived = batch.entries.first().map(|entry| entry.arrived)?;
    let ripe = sleep_until(arrived + lane.config.max_delay);
    tokio::pin!(ripe);
    loop {
        tokio::select! {
            biased;
            entry = entries.recv() => match entry {
                Some(entry) => {
                    let too_much = batch.add(entry, lane);
                    if too_much.is_some() {
                        return too_much;
                    }
                }
                None => return None,
            },
            () = &mut ripe => return None,
        }
    }
}

/// Waits until an insert may start; meanwhile the batch goes on filling.
async fn slot(
    batch: &mut Batch,
    next: &mut Option<Entry>,
    entries: &mut UnboundedReceiver<Entry>,
    lane: &Lane,
    slots: &Arc<Semaphore>,
) -> Option<OwnedSemaphorePermit> {
    let slot = Arc::clone(slots).acquire_owned();
    tokio::pin!(slot);
    let mut open = true;
    loop {
        tokio::select! {
            biased;
            // The semaphore is never closed.
            slot = &mut slot => return slot.ok(),
            entry = entries.recv(), if open && next.is_none() => match entry {
                Some(entry) => *next = batch.add(entry, lane),
                None => open = false,
            },
        }
    }
}
