//! Pipeline: the only place that wires the stages.
//!
//! A request is worked through on the thread that received it, from bytes to rows, and its rows
//! are appended to the builder of a lane. Every few milliseconds a lane's rows become blocks (one
//! group commit), the blocks are made durable, and everybody who put rows into them is answered.
//! Who makes blocks durable is the [`Durable`] behind the lanes: the journal.
//!
//! Invariants: a request is answered with success only after its blocks are durable, and those of
//! earlier requests that its rows rest on ([`in_flight`]); when they could not be made durable the
//! memory forgets its traces, so that the client's next try is worked out anew. The same bytes sent
//! again are answered as the first time, and not stored again ([`resend`]).

mod facts;
mod in_flight;
mod lane;
mod latency;
mod passing;
mod resend;
mod unpriced;
mod work;

use std::{
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

pub use self::latency::Latency;
use self::{
    in_flight::InFlight,
    lane::Lane,
    resend::{Arrival, Resends},
};
use crate::{
    block::{Block, Compression},
    clock,
    enrich::Rules,
    normalise::{
        AttributeTable,
        memory::{Memory, MemoryLimits},
    },
    receive::{Ingest, Payload, Receipt, Refusal},
    redact::{ContentPolicy, Redactor},
};

/// Makes group commits durable: returns when they are, or says that they are not.
pub trait Durable: Send + Sync + 'static {
    /// All of it, or an error: then the requests are told to come again.
    fn commit(&self, commit: Commit) -> impl Future<Output = Result<(), NotDurable>> + Send;

    /// Is it of any use to work a request through now?
    fn accepting(&self) -> Result<(), NotDurable> {
        Ok(())
    }
}

/// What is made durable together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Commit {
    pub blocks: Vec<Block>,
    /// For the follower of the journal, opaque here; may be empty.
    pub facts: bytes::Bytes,
    /// The requests whose rows these are, as [`resend`] knows them again.
    pub requests: Vec<u128>,
}

/// Blocks could not be made durable now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct NotDurable {
    /// For the operator's log.
    pub reason: String,
    /// When a client may try again.
    pub retry_after: Duration,
}

/// What the pipeline is made of.
#[derive(Debug, Clone)]
pub struct PipelineOptions {
    pub memory: MemoryLimits,
    pub content: ContentPolicy,
    pub redactor: Arc<Redactor>,
    pub compression: Compression,
    /// Rows of this long are committed together.
    pub group_delay: Duration,
    /// A lane with this many bytes is committed at once: they are worth a write of their own.
    pub group_bytes_min: usize,
    /// Lanes; one per core keeps threads out of each other's way.
    pub lanes: usize,
    /// Write what is passed on to another collector, too.
    pub forward: bool,
}

/// Knowledge that can be replaced while running.
#[derive(Clone)]
pub struct Knowledge {
    pub attributes: Arc<AttributeTable>,
    pub rules: Arc<Rules>,
}

/// The stages from bytes to durable blocks.
pub struct Pipeline<D> {
    knowledge: tokio::sync::watch::Receiver<Knowledge>,
    recent: Mutex<Recent>,
    resends: Resends,
    lanes: Vec<Arc<Lane>>,
    next_lane: AtomicUsize,
    options: PipelineOptions,
    durable: Arc<D>,
    pub stats: PipelineStats,
}

/// The memory, and which of its rows are not durable yet: one lock for both.
struct Recent {
    memory: Memory,
    in_flight: InFlight,
}

/// What went through, since the start.
#[derive(Debug, Default)]
pub struct PipelineStats {
    pub spans: std::sync::atomic::AtomicU64,
    pub log_records: std::sync::atomic::AtomicU64,
    pub metric_points_rejected: std::sync::atomic::AtomicU64,
    pub rejected: std::sync::atomic::AtomicU64,
    pub strings_repaired: std::sync::atomic::AtomicU64,
    /// Secrets and personal data overwritten.
    pub redacted: std::sync::atomic::AtomicU64,
    pub calls: std::sync::atomic::AtomicU64,
    pub corrections: std::sync::atomic::AtomicU64,
    pub not_durable: std::sync::atomic::AtomicU64,
    /// Requests that had come before and were answered without storing them again.
    pub resent: std::sync::atomic::AtomicU64,
    /// Calls of models that have no price.
    pub unpriced: unpriced::Unpriced,
    /// Until the answer, of requests that brought rows.
    pub latency: Latency,
}

// === impl PipelineOptions ===

impl Default for PipelineOptions {
    fn default() -> Self {
        PipelineOptions {
            memory: MemoryLimits::default(),
            content: ContentPolicy::default(),
            redactor: Arc::default(),
            compression: Compression::default(),
            group_delay: Duration::from_millis(3),
            group_bytes_min: 128 << 10,
            lanes: std::thread::available_parallelism()
                .map_or(1, usize::from)
                .min(16),
            forward: false,
        }
    }
}

// === impl Pipeline ===

impl<D: Durable> Pipeline<D> {
    /// Starts the lanes' committers on the current runtime.
    pub fn start(
        knowledge: tokio::sync::watch::Receiver<Knowledge>,
        durable: Arc<D>,
        options: PipelineOptions,
    ) -> Arc<Pipeline<D>> {
        let lanes = (0..options.lanes.max(1)).map(|_| Arc::new(Lane::new(options.compression)));
        let pipeline = Arc::new(Pipeline {
            knowledge,
            recent: Mutex::new(Recent {
                memory: Memory::new(options.memory),
                in_flight: InFlight::default(),
            }),
            resends: Resends::default(),
            lanes: lanes.collect(),
            next_lane: AtomicUsize::new(0),
            options,
            durable,
            stats: PipelineStats::default(),
        });
        for lane in &pipeline.lanes {
            tokio::spawn(lane::commit_groups(
                Arc::downgrade(&pipeline),
                Arc::clone(lane),
                pipeline.options.clone(),
            ));
        }
        pipeline
    }

    /// Requests that were acknowledged before the start, with the time ([`clock::steady_s`]): their
    /// resends are known, too.
    pub fn remember_requests(&self, requests: impl IntoIterator<Item = (u128, u64)>) {
        self.resends.remember(requests);
    }

    /// Refused before it was worked through.
    fn refuse(&self, error: &NotDurable) -> Refusal {
        self.stats.not_durable.fetch_add(1, Ordering::Relaxed);
        busy(error)
    }

    /// Bytes of evidence that the memory of recent traces holds.
    pub fn memory_bytes(&self) -> usize {
        self.recent().memory.bytes()
    }

    fn recent(&self) -> std::sync::MutexGuard<'_, Recent> {
        // A panic elsewhere must not stop the intake: the memory is only ever a help.
        self.recent
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn lane(&self) -> Option<&Arc<Lane>> {
        let next = self.next_lane.fetch_add(1, Ordering::Relaxed);
        self.lanes.get(next % self.lanes.len().max(1))
    }
}

impl<D: Durable> Ingest for Pipeline<D> {
    async fn ingest(&self, payload: Payload) -> Result<Receipt, Refusal> {
        let begin = std::time::Instant::now();
        if let Err(error) = self.durable.accepting() {
            return Err(self.refuse(&error));
        }
        let arrival = match self.resends.enter(resend::key(&payload), clock::steady_s()) {
            Arrival::New(arrival) => arrival,
            Arrival::Known(rejected) => {
                self.stats.resent.fetch_add(1, Ordering::Relaxed);
                return Ok(resend::receipt(rejected));
            }
            Arrival::UnderWay(mut first) => {
                return match first
                    .wait_for(Option::is_some)
                    .await
                    .ok()
                    .and_then(|end| *end)
                {
                    Some(Some(rejected)) => {
                        self.stats.resent.fetch_add(1, Ordering::Relaxed);
                        Ok(resend::receipt(rejected))
                    }
                    _ => Err(busy(&stopping())),
                };
            }
        };
        let work = || self.work_through(&payload, arrival.key(), clock::wall_ns());
        // A large request keeps its thread busy for long: let the runtime move others away.
        let (receipt, ticket) = match payload.body.len() {
            0..=LARGE_BODY_BYTES => work()?,
            _ => tokio::task::block_in_place(work)?,
        };
        let Some(ticket) = ticket else {
            return Ok(receipt);
        };
        let key = arrival.key();
        arrival.hand_over();
        match ticket.outcome().await {
            Some(Ok(())) => {
                self.stats.latency.record(begin.elapsed());
                Ok(receipt)
            }
            Some(Err(error)) => {
                // Its own rows may be durable, but not those that they rest on.
                self.resends.end(key, 0, None);
                Err(busy(&error))
            }
            None => Err(busy(&stopping())),
        }
    }
}

/// Bodies above this are worked through outside of the runtime's schedule.
const LARGE_BODY_BYTES: usize = 1 << 20;

fn stopping() -> NotDurable {
    NotDurable {
        reason: "shutting down".to_owned(),
        retry_after: Duration::from_secs(1),
    }
}

fn busy(error: &NotDurable) -> Refusal {
    Refusal::Busy {
        // The operator's reason stays in the log; the client can only wait.
        message: "storage is not accepting data now, try again".to_owned(),
        retry_after: error.retry_after,
    }
}

#[cfg(test)]
mod resend_tests;
#[cfg(test)]
mod tests;
