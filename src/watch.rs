//! Watch: the detector on live traffic.
//!
//! Facts come from the journal, in its order, after they are durable; incidents go to the alerts.
//! The detector itself is pure (`detect`); here is its thread, its clock and its state on disk. A
//! snapshot carries the journal position it was taken at, so that after a crash each fact reaches
//! the detector once: what the snapshot has is not told again, what it has not is read from the
//! journal.
//!
//! Not here: what an incident is, and who is told.

mod lateness;
mod learn;
mod state;
#[cfg(test)]
mod tests;
mod time;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use bytes::Bytes;

use self::{
    lateness::Lateness,
    state::State,
    time::{Now, Time},
};
use crate::{
    alert::AlertHandle,
    clock,
    detect::{Change, Detector, DetectorConfig, Fact},
    journal::{Journal, OnDurable, Position},
    store::Store,
};

/// Journal records whose facts wait in memory; what comes beyond is read from the files.
const QUEUE_RECORDS: usize = 1024;
/// How often silence moves the watermark.
const TICK: Duration = Duration::from_secs(1);
/// Between two snapshots.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(60);
/// The same while the journal fills up, which keeps what no snapshot has.
const SNAPSHOT_EVERY_FILLING: Duration = Duration::from_secs(5);
/// A fact this much older than the newest is history that somebody sends late: it is stored, and
/// says nothing about now.
const STALE_NS: u64 = 3_600_000_000_000;
/// Nothing ends in the future. A fact that says so by more than this was timed by a wrong clock and
/// is taken as one of now: in its place it would end the ticks that all the others belong to.
const AHEAD_NS: u64 = 2_000_000_000;
/// Exporters send every five seconds, each at its own time: facts may be this late and are still
/// counted in their place. The watermark waits this long until it is known how late they are.
const LATENESS_S: u32 = 10;

/// What the journal tells: where to find it is settled before the journal is opened.
pub struct Feed {
    queue: Receiver<(Position, Bytes)>,
    behind: Arc<AtomicBool>,
}

/// The running detector.
pub struct Watch {
    stats: Arc<WatchStats>,
    stop: Arc<AtomicBool>,
    config: mpsc::Sender<DetectorConfig>,
    thread: Option<JoinHandle<()>>,
}

/// What went through, since the start.
#[derive(Debug, Default)]
pub struct WatchStats {
    pub facts: AtomicU64,
    /// Facts older than [`STALE_NS`].
    pub stale: AtomicU64,
    /// Journal records whose facts could not be read.
    pub unreadable: AtomicU64,
    pub incidents: AtomicU64,
    pub snapshots_failed: AtomicU64,
    /// Times that the detector broke off by a fault in it and was begun again.
    pub faults: AtomicU64,
}

/// The thread's own.
struct Watcher {
    detector: Detector,
    config: DetectorConfig,
    at: Option<Position>,
    newest_ns: u64,
    time: Time,
    /// The clocks.
    now: Box<dyn Fn() -> Now + Send>,
    lateness: Lateness,
    journal: Arc<Journal>,
    alerts: AlertHandle,
    runtime: tokio::runtime::Handle,
    file: PathBuf,
    stats: Arc<WatchStats>,
    /// It broke off, and no snapshot was written since.
    is_shaken: bool,
    /// The store to learn from before anything else; none when there was a state.
    learn_from: Option<Store>,
}

/// A feed, and what the journal is opened with to fill it.
pub fn feed() -> (Feed, OnDurable) {
    let (sender, queue) = mpsc::sync_channel(QUEUE_RECORDS);
    let behind = Arc::new(AtomicBool::new(false));
    let feed = Feed {
        queue,
        behind: Arc::clone(&behind),
    };
    (
        feed,
        Box::new(move |at, facts| offer(&sender, &behind, at, facts)),
    )
}

/// Once something did not fit, everything after it is left to the files, so that the order holds.
fn offer(sender: &SyncSender<(Position, Bytes)>, behind: &AtomicBool, at: Position, facts: Bytes) {
    if !behind.load(Relaxed)
        && let Err(TrySendError::Full(_)) = sender.try_send((at, facts))
    {
        behind.store(true, Relaxed);
    }
}

// === impl Watch ===

impl Watch {
    /// Reads the state below `data_dir` and follows the journal. Without a state it learns from the
    /// store first, if that answers. To be called within a runtime, and before the journal is
    /// delivered.
    pub fn start(
        feed: Feed,
        journal: Arc<Journal>,
        data_dir: &Path,
        config: DetectorConfig,
        alerts: AlertHandle,
        store: Option<Store>,
    ) -> std::io::Result<Watch> {
        let stop = Arc::<AtomicBool>::default();
        let (config_sender, configs) = mpsc::channel();
        let watcher = Watcher::new(journal, data_dir, live(config), alerts, store);
        let stats = Arc::clone(&watcher.stats);
        let stopping = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("detector".to_owned())
            .spawn(move || watcher.run(&feed, &configs, &stopping))?;
        Ok(Watch {
            stats,
            stop,
            config: config_sender,
            thread: Some(thread),
        })
    }

    /// The configuration from now on.
    pub fn configure(&self) -> impl Fn(DetectorConfig) + Send + use<> {
        let sender = self.config.clone();
        move |config| {
            // Nobody listens any more when the program is ending.
            _ = sender.send(config);
        }
    }

    pub fn stats(&self) -> Arc<WatchStats> {
        Arc::clone(&self.stats)
    }

    /// Ends after everything durable was told, and writes the state.
    pub fn close(mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the detector's thread broke off; its last snapshot is in force");
        }
    }
}

/// What live traffic needs on top of what the user says.
fn live(config: DetectorConfig) -> DetectorConfig {
    DetectorConfig {
        lateness_s: config.lateness_s.max(LATENESS_S),
        ..config
    }
}

// === impl Watcher ===

impl Watcher {
    fn new(
        journal: Arc<Journal>,
        data_dir: &Path,
        config: DetectorConfig,
        alerts: AlertHandle,
        store: Option<Store>,
    ) -> Watcher {
        let lateness = Lateness::new(config.lateness_s);
        let file = data_dir.join("detector").join("state");
        let state = State::read(&file, journal.identity(), config.clone());
        // Before anything is delivered: what is delivered may be deleted.
        journal.facts_consumed(state.at.unwrap_or_default());
        Watcher {
            time: Time::new(now(), state.detector.newest_ns()),
            now: Box::new(now),
            detector: state.detector,
            config,
            at: state.at,
            newest_ns: 0,
            lateness,
            journal,
            alerts,
            runtime: tokio::runtime::Handle::current(),
            file,
            stats: Arc::default(),
            is_shaken: false,
            learn_from: store.filter(|_| state.is_new),
        }
    }

    /// Follows to the end. A fault in the detector costs the record it broke off at, and what was
    /// learned since the last snapshot; without this it would cost every later alert, and the
    /// journal would wait for a follower that is gone until it is full.
    fn run(mut self, feed: &Feed, configs: &Receiver<DetectorConfig>, stop: &AtomicBool) {
        // What may be left half-done is the detector, and that is replaced.
        while catch_unwind(AssertUnwindSafe(|| self.follow(feed, configs, stop))).is_err() {
            self.begin_again();
        }
    }

    fn begin_again(&mut self) {
        self.stats.faults.fetch_add(1, Relaxed);
        tracing::error!(
            record = self.at.map(tracing::field::display),
            "the detector broke off by a fault in it and begins again: please report this with the log"
        );
        let config = self.config.clone();
        // What it broke off at is told already (`at`), so it is passed over. When that does not
        // help, the fault is in what it has learned.
        self.detector = match std::mem::replace(&mut self.is_shaken, true) {
            false => State::read(&self.file, self.journal.identity(), config).detector,
            true => Detector::new(config),
        };
    }

    fn follow(&mut self, feed: &Feed, configs: &Receiver<DetectorConfig>, stop: &AtomicBool) {
        if let Some(store) = self.learn_from.take() {
            self.learn(&store, stop);
        }
        self.catch_up();
        let (mut ticked, mut saved) = (Instant::now(), Instant::now());
        loop {
            let ending = stop.load(Relaxed);
            match feed
                .queue
                .recv_timeout(if ending { Duration::ZERO } else { TICK })
            {
                Ok((at, facts)) => self.take(at, &facts),
                Err(RecvTimeoutError::Timeout) if ending => break,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if feed.behind.load(Relaxed) {
                self.take_all(feed);
            }
            if let Some(config) = configs.try_iter().last() {
                self.configure(config);
            }
            if ticked.elapsed() >= TICK {
                ticked = Instant::now();
                self.tick();
            }
            let every = match self.journal.is_filling() {
                true => SNAPSHOT_EVERY_FILLING,
                false => SNAPSHOT_EVERY,
            };
            if saved.elapsed() >= every {
                saved = Instant::now();
                self.save();
            }
        }
        self.catch_up();
        self.save();
    }

    /// What waits in the queue, and then what did not fit into it.
    fn take_all(&mut self, feed: &Feed) {
        // While the flag is up nobody adds to the queue: this ends.
        while let Ok((at, facts)) = feed.queue.try_recv() {
            self.take(at, &facts);
        }
        // Cleared first: what comes from here on is in the queue or in the files.
        feed.behind.store(false, Relaxed);
        self.catch_up();
    }

    /// Tells what is in the journal's files and was not told.
    fn catch_up(&mut self) {
        let journal = Arc::clone(&self.journal);
        for found in journal.facts_since(self.at) {
            match found {
                Ok((at, facts)) => self.take(at, &facts),
                Err(error) => {
                    self.stats.unreadable.fetch_add(1, Relaxed);
                    tracing::error!(%error, "facts in the journal cannot be read: the detector goes on without them");
                    return;
                }
            }
        }
    }

    fn take(&mut self, at: Position, facts: &[u8]) {
        if self.at.is_some_and(|told| at <= told) {
            return;
        }
        self.at = Some(at);
        let mut changes = Vec::new();
        let (now, mut oldest_ns) = ((self.now)(), u64::MAX);
        for fact in Fact::read_all(facts) {
            match fact {
                Ok(fact) => oldest_ns = oldest_ns.min(self.observe(fact, now, &mut changes)),
                Err(error) => {
                    self.stats.unreadable.fetch_add(1, Relaxed);
                    tracing::error!(%error, record = %at, "facts of a journal record are damaged");
                }
            }
        }
        let now_ns = self.time.ns(now);
        // Behind the newest, not only behind our clock: one exporter's clock that is ahead makes all
        // the others late.
        if let Some(delay_ns) = self.newest_ns.max(now_ns).checked_sub(oldest_ns) {
            self.lateness.seen(now_ns, delay_ns);
        }
        self.tell(changes);
    }

    /// Tells a fact to the detector; gives when it ended.
    fn observe(&mut self, mut fact: Fact<'_>, now: Now, changes: &mut Vec<Change>) -> u64 {
        let step = self.time.witness(*end_of(&mut fact), now);
        let now_ns = self.time.ns(now);
        let end = end_of(&mut fact);
        *end = now_ns.saturating_add(AHEAD_NS).min(*end);
        let end_ns = *end;
        if let Some(step) = step {
            self.set_time(now_ns, step);
        }
        if end_ns.saturating_add(STALE_NS) < self.newest_ns {
            self.stats.stale.fetch_add(1, Relaxed);
            return end_ns;
        }
        self.newest_ns = self.newest_ns.max(end_ns.min(now_ns));
        self.stats.facts.fetch_add(1, Relaxed);
        self.detector.observe(&fact, changes);
        end_ns
    }

    /// The system clock was set, and the facts side with it.
    fn set_time(&mut self, now_ns: u64, step_ns: i64) {
        let seconds = step_ns / 1_000_000_000;
        if step_ns > 0 {
            tracing::warn!(seconds, "the clock was set forward: the detector follows");
            return;
        }
        tracing::warn!(
            seconds,
            "the clock was set back: the detector begins anew, without baselines"
        );
        self.newest_ns = now_ns;
        self.detector = Detector::new(self.config.clone());
    }

    fn tick(&mut self) {
        let mut changes = Vec::new();
        let now_ns = self.time.ns((self.now)());
        self.newest_ns = self.newest_ns.max(now_ns);
        self.detector.set_lateness(self.lateness.seconds(now_ns));
        self.detector.advance(now_ns, &mut changes);
        self.tell(changes);
    }

    fn tell(&self, changes: Vec<Change>) {
        for change in changes {
            self.stats.incidents.fetch_add(1, Relaxed);
            self.runtime.block_on(self.alerts.tell(change));
        }
    }

    fn configure(&mut self, config: DetectorConfig) {
        let config = live(config);
        match state::with_config(&self.detector, config.clone()) {
            Ok(detector) => {
                self.lateness = Lateness::new(config.lateness_s);
                (self.detector, self.config) = (detector, config);
            }
            Err(error) => tracing::error!(%error, "the detector keeps its old settings"),
        }
    }

    fn save(&mut self) {
        let written = State::write(&self.file, self.journal.identity(), self.at, &self.detector);
        self.is_shaken &= written.is_err();
        match (written, self.at) {
            (Ok(()), Some(at)) => self.journal.facts_consumed(at),
            (Ok(()), None) => {}
            (Err(error), _) => {
                self.stats.snapshots_failed.fetch_add(1, Relaxed);
                tracing::warn!(
                    file = %self.file.display(), %error,
                    "the detector's state could not be written: the journal keeps what it would need again"
                );
            }
        }
    }
}

fn now() -> Now {
    Now {
        wall_ns: clock::wall_ns(),
        steady_ns: clock::steady_ns(),
    }
}

fn end_of<'f>(fact: &'f mut Fact<'_>) -> &'f mut u64 {
    match fact {
        Fact::Call(call) => &mut call.end_ns,
        Fact::Eval(eval) => &mut eval.end_ns,
    }
}
