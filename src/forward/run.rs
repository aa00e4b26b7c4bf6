//! Run: from the journal to the target, in order, each piece until it is accepted.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    ForwardStats, Options, Signal,
    outgoing::{open, signal_of},
    send::{Outcome, Sender, SetupError},
    state,
};
use crate::{
    decode::rewrite,
    journal::{BlockId, Follower, Journal},
};

/// Bytes of one request, before compression: half of what gRPC servers take by default.
const REQUEST_BYTES_MAX: usize = 2 << 20;
/// How long what comes waits for company.
const GATHER_DELAY: Duration = Duration::from_millis(200);
/// Pauses between attempts: the first, each twice as long as the one before, and the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// The longest that a target may tell us to wait.
const AFTER_MAX: Duration = Duration::from_secs(300);
/// The pause after the journal's own disk did not do what was asked.
const DISK_PAUSE: Duration = Duration::from_secs(1);
/// The same failure is logged at most this often.
const LOG_EVERY: Duration = Duration::from_secs(30);

/// The running forwarder.
#[derive(Debug)]
pub struct Forwarder {
    stats: Arc<ForwardStats>,
    hurry: CancellationToken,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// The task's own.
struct Run {
    follower: Follower,
    sender: Sender,
    stats: Arc<ForwardStats>,
    journal: u128,
    file: PathBuf,
    logged: Option<Instant>,
    /// Send what there is and end.
    hurry: CancellationToken,
}

/// What goes as one request.
#[derive(Debug, Default)]
struct Batch {
    signal: Option<Signal>,
    groups: Vec<u8>,
    last: BlockId,
}

// === impl Forwarder ===

impl Forwarder {
    /// Goes on where the last run ended. To be called within a runtime, and before the journal is
    /// delivered.
    pub fn start(
        options: &Options,
        journal: &Journal,
        data_dir: &Path,
    ) -> Result<Forwarder, SetupError> {
        let sender = Sender::new(options)?;
        let file = data_dir.join("forward").join("position");
        let identity = journal.identity();
        let stats = Arc::<ForwardStats>::default();
        let (hurry, stop) = (CancellationToken::new(), CancellationToken::new());
        let run = Run {
            follower: journal.follow(state::read(&file, identity)),
            sender,
            stats: Arc::clone(&stats),
            journal: identity,
            file,
            logged: None,
            hurry: hurry.clone(),
        };
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            tokio::select! {
                () = stopped.cancelled() => {}
                () = run.follow() => {}
            }
        });
        Ok(Forwarder {
            stats,
            hurry,
            stop,
            task,
        })
    }

    pub fn stats(&self) -> Arc<ForwardStats> {
        Arc::clone(&self.stats)
    }

    /// Sends what is durable, for so long at most; the rest waits for the next start. False if
    /// there is a rest.
    pub async fn close(mut self, wait: Duration) -> bool {
        self.hurry.cancel();
        let done = timeout(wait, &mut self.task).await.is_ok();
        self.stop.cancel();
        if !done {
            _ = self.task.await;
        }
        done
    }
}

// === impl Run ===

impl Run {
    async fn follow(mut self) {
        loop {
            let batch = self.gather().await;
            let Some(signal) = batch.signal else {
                // Nothing to read, and nothing more to come.
                return;
            };
            let mut parts = VecDeque::from([batch.groups]);
            while let Some(part) = parts.pop_front() {
                self.deliver(signal, part, &mut parts).await;
            }
            self.passed(batch.last);
        }
    }

    /// Waits for blocks, and a little for company for them. Empty when told to end and there is
    /// nothing.
    async fn gather(&mut self) -> Batch {
        let mut batch = Batch::default();
        let mut ripe = false;
        loop {
            // It may have to read files.
            let full = match tokio::task::block_in_place(|| self.fill(&mut batch)) {
                Ok(full) => full,
                Err(error) => {
                    tracing::error!(%error, "the journal cannot be read now; trying again");
                    sleep(DISK_PAUSE).await;
                    continue;
                }
            };
            let ending = self.hurry.is_cancelled();
            if full || (batch.signal.is_some() && (ripe || ending)) {
                return batch;
            }
            if batch.signal.is_some() {
                ripe = timeout(GATHER_DELAY, self.hurry.cancelled()).await.is_err();
                continue;
            }
            self.follower.passed();
            if ending {
                return batch;
            }
            let hurry = self.hurry.clone();
            tokio::select! {
                () = self.follower.more() => {}
                () = hurry.cancelled() => {}
            }
        }
    }

    /// Takes blocks of one signal; true when the next does not fit.
    fn fill(&mut self, batch: &mut Batch) -> std::io::Result<bool> {
        while let Some((id, block)) = self.follower.peek()? {
            let signal = signal_of(block);
            let fits = batch.groups.len() + block.uncompressed_bytes <= REQUEST_BYTES_MAX;
            if batch.signal.is_some() && (batch.signal != signal || !fits) {
                return Ok(true);
            }
            let id = *id;
            let Some((_, block)) = self.follower.take() else {
                return Ok(false);
            };
            let Some((signal, groups)) = open(&block) else {
                tracing::error!(block = %id, items = block.rows, "a block of the journal makes no sense and is not passed on");
                self.stats.refused.fetch_add(u64::from(block.rows), Relaxed);
                continue;
            };
            batch.signal = Some(signal);
            batch.groups.extend_from_slice(&groups);
            batch.last = id;
        }
        Ok(false)
    }

    /// Sends until it is accepted, or refused for good: then its halves are put in front of `parts`,
    /// down to one resource group, which is passed over.
    async fn deliver(&mut self, signal: Signal, groups: Vec<u8>, parts: &mut VecDeque<Vec<u8>>) {
        let request = Bytes::from(groups);
        let mut pause = PAUSE_FIRST;
        loop {
            let outcome = self.sender.send(signal, request.clone()).await;
            let held = matches!(outcome, Outcome::Held { .. });
            let failing = held || matches!(outcome, Outcome::Retry { .. });
            self.stats.is_held.store(held, Relaxed);
            self.stats.is_failing.store(failing, Relaxed);
            let behind = self.follower.segments_behind();
            self.stats.segments_behind.store(behind, Relaxed);
            match outcome {
                Outcome::Accepted { rejected, message } => {
                    let items = rewrite::items(&request);
                    if rejected > 0 || !message.is_empty() {
                        tracing::warn!(
                            rejected,
                            message,
                            "the target of `forward.otlp` left some items out"
                        );
                    }
                    let rejected = rejected.min(items);
                    self.stats.rejected.fetch_add(rejected, Relaxed);
                    self.stats.requests.fetch_add(1, Relaxed);
                    signal
                        .counter(&self.stats)
                        .fetch_add(items - rejected, Relaxed);
                    return;
                }
                Outcome::Refused { reason } => {
                    let all = rewrite::groups(&request);
                    if all.len() > 1 {
                        let (front, back) = all.split_at(all.len() / 2);
                        parts.push_front(back.concat());
                        parts.push_front(front.concat());
                        return;
                    }
                    let items = rewrite::items(&request);
                    self.stats.refused.fetch_add(items, Relaxed);
                    tracing::error!(
                        items,
                        bytes = request.len(),
                        reason,
                        "the target of `forward.otlp` refuses these items for good: they are stored here, and not passed on"
                    );
                    return;
                }
                Outcome::Retry { reason, after } => {
                    self.log(&format!("the target of `forward.otlp` does not take data now, trying again: {reason}"));
                    self.pause(after.map_or(pause, |after| after.min(AFTER_MAX)))
                        .await;
                }
                Outcome::Held { reason } => {
                    self.log(&format!(
                        "the target of `forward.otlp` refuses us: {reason}; set `forward.otlp` right and start lapwing again, the journal keeps what waits"
                    ));
                    self.pause(PAUSE_MAX).await;
                }
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn pause(&self, pause: Duration) {
        self.stats.retries.fetch_add(1, Relaxed);
        sleep(pause).await;
    }

    fn log(&mut self, what: &str) {
        let now = Instant::now();
        if self
            .logged
            .is_none_or(|at| now.duration_since(at) >= LOG_EVERY)
        {
            self.logged = Some(now);
            tracing::warn!("{what}");
        }
    }

    fn passed(&mut self, last: BlockId) {
        self.follower.passed();
        let behind = self.follower.segments_behind();
        self.stats.segments_behind.store(behind, Relaxed);
        self.logged = None;
        if let Err(error) = state::write(&self.file, self.journal, last) {
            tracing::warn!(file = %self.file.display(), %error,
                "the forwarder's place could not be written: after a restart more is sent again");
        }
    }
}
