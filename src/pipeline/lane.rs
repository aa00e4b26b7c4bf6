//! A lane: rows of many requests on their way into one group commit.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, atomic::Ordering},
    time::Duration,
};

use tokio::sync::{Notify, Semaphore, watch};

use super::{Commit, Durable, Pipeline, PipelineOptions, in_flight::Outcome};
use crate::{
    block::{Blocks, Compression},
    forward::Outgoing,
};

/// Group commits of one lane that may be under way; a slow store fills these first, then the lane.
const COMMITS_IN_FLIGHT_MAX: usize = 4;

/// The open group of a lane.
pub struct Lane {
    group: Mutex<Group>,
    wake: Notify,
    in_flight: Arc<Semaphore>,
}

/// Rows that will be committed together, and who waits for them.
pub struct Group {
    pub blocks: Blocks,
    /// What the detector is told of the rows.
    pub facts: Vec<u8>,
    /// What is passed on to another collector.
    pub outgoing: Outgoing,
    waiting: Vec<Waiting>,
}

/// One request whose rows are in a group.
pub struct Waiting {
    pub outcome: watch::Sender<Outcome>,
    /// How the request is known again.
    pub request: u128,
    /// Items of it that can never be accepted.
    pub rejected: u64,
    /// Traces whose state says that these rows were written.
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

    /// Lets the caller append rows; who waits for them is told when they are durable.
    pub fn append(&self, waiting: Waiting, push: impl FnOnce(&mut Group)) {
        let mut group = self.group();
        push(&mut group);
        group.waiting.push(waiting);
        drop(group);
        self.wake.notify_one();
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
            facts: Vec::new(),
            outgoing: Outgoing::default(),
            waiting: Vec::new(),
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
        if lane.bytes() < options.group_bytes_min {
            tokio::time::sleep(options.group_delay).await;
        }
        let Ok(permit) = Arc::clone(&lane.in_flight).acquire_owned().await else {
            return;
        };
        let mut group = lane.take(spare);
        let mut blocks = group.blocks.finish();
        blocks.append(&mut group.outgoing.finish());
        let facts = std::mem::take(&mut group.facts).into();
        let waiting = std::mem::take(&mut group.waiting);
        spare = group;
        let Some(pipeline) = pipeline.upgrade() else {
            return;
        };
        tokio::spawn(async move {
            let commit = Commit {
                blocks,
                facts,
                requests: waiting.iter().map(|one| one.request).collect(),
            };
            let result = pipeline.durable.commit(commit).await;
            drop(permit);
            if let Err(error) = &result {
                tracing::warn!(%error, requests = waiting.len(), "rows are not durable: clients are told to retry");
                pipeline
                    .stats
                    .not_durable
                    .fetch_add(waiting.len() as u64, Ordering::Relaxed);
            }
            let mut recent = pipeline.recent();
            for one in &waiting {
                if result.is_err() {
                    recent.memory.forget(&one.traces);
                }
                let own = one.outcome.subscribe();
                recent.in_flight.leave(&one.traces, &own);
            }
            drop(recent);
            for one in waiting {
                let rejected = result.is_ok().then_some(one.rejected);
                pipeline
                    .resends
                    .end(one.request, crate::clock::steady_s(), rejected);
                one.outcome.send_replace(Some(result.clone()));
            }
        });
    }
}
