//! A lane: rows of many requests on their way into one group commit.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, atomic::Ordering},
    time::Duration,
};

use tokio::sync::{Notify, Semaphore, oneshot};

use super::{Durable, NotDurable, Pipeline, PipelineOptions};
use crate::block::{Blocks, Compression};

/// Group commits of one lane that may be under way; a slow store fills these first, then the lane.
const COMMITS_IN_FLIGHT_MAX: usize = 4;

/// Answers one request when its rows are durable.
pub type Ticket = oneshot::Receiver<Result<(), NotDurable>>;

/// The open group of a lane.
pub struct Lane {
    group: Mutex<Group>,
    wake: Notify,
    in_flight: Arc<Semaphore>,
}

/// Rows that will be committed together, and who waits for them.
pub struct Group {
    pub blocks: Blocks,
    waiting: Vec<oneshot::Sender<Result<(), NotDurable>>>,
    /// Traces whose rows are in the group.
    pub traces: Vec<[u8; 16]>,
}

// === impl Lane ===

impl Lane {
    pub fn new(compression: Compression) -> Lane {
        Lane {
            group: Mutex::new(Group::new(compression)),
            wake: Notify::new(),
            in_flight: Arc::new(Semaphore::new(COMMITS_IN_FLIGHT_MAX)),
        }
    }

    /// Lets the caller append rows; the ticket is good when they are durable.
    pub fn append(&self, push: impl FnOnce(&mut Group)) -> Ticket {
        let (sender, ticket) = oneshot::channel();
        let mut group = self.group();
        push(&mut group);
        group.waiting.push(sender);
        drop(group);
        self.wake.notify_one();
        ticket
    }

    fn group(&self) -> MutexGuard<'_, Group> {
        self.group.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the open group away, leaving the emptied builders of an earlier one.
    fn take(&self, spare: Group) -> Group {
        std::mem::replace(&mut *self.group(), spare)
    }

    fn bytes(&self) -> usize {
        self.group().blocks.bytes()
    }

    fn is_empty(&self) -> bool {
        self.group().waiting.is_empty()
    }
}

// === impl Group ===

impl Group {
    fn new(compression: Compression) -> Group {
        Group {
            blocks: Blocks::new(compression),
            waiting: Vec::new(),
            traces: Vec::new(),
        }
    }
}

/// Commits the lane's groups until the pipeline is gone.
pub async fn commit_groups<D: Durable>(
    pipeline: Weak<Pipeline<D>>,
    lane: Arc<Lane>,
    options: PipelineOptions,
) {
    let mut spare = Group::new(options.compression);
    loop {
        let woken = tokio::time::timeout(Duration::from_secs(1), lane.wake.notified()).await;
        if pipeline.strong_count() == 0 && lane.is_empty() {
            return;
        }
        if woken.is_err() && lane.is_empty() {
            continue;
        }
        if lane.bytes() < options.group_bytes_max {
            tokio::time::sleep(options.group_delay).await;
        }
        let Ok(permit) = Arc::clone(&lane.in_flight).acquire_owned().await else {
            return;
        };
        let mut group = lane.take(spare);
        let blocks = group.blocks.finish();
        let waiting = std::mem::take(&mut group.waiting);
        let traces = std::mem::take(&mut group.traces);
        spare = group;
        let Some(pipeline) = pipeline.upgrade() else {
            return;
        };
        tokio::spawn(async move {
            let result = pipeline.durable.commit(blocks).await;
            drop(permit);
            if let Err(error) = &result {
                tracing::warn!(%error, requests = waiting.len(), "rows are not durable: clients are told to retry");
                pipeline
                    .stats
                    .not_durable
                    .fetch_add(waiting.len() as u64, Ordering::Relaxed);
                pipeline.memory().forget(&traces);
            }
            for sender in waiting {
                // A client that went away needs no answer.
                _ = sender.send(result.clone());
            }
        });
    }
}
