//! The detector is told every fact of the journal once, in its order, whatever comes in between.

use super::*;
use crate::{
    alert,
    detect::CallFact,
    journal::Durability,
    journal::JournalOptions,
    pipeline::{Commit, Durable},
};

/// Longer than any of this takes.
const PATIENCE: Duration = Duration::from_secs(60);

struct Rig {
    data_dir: tempfile::TempDir,
    alerts: alert::Running,
}

impl Rig {
    fn new() -> Rig {
        let data_dir = tempfile::tempdir().expect("a folder");
        let alerts = alert::start(alert::Options::default(), data_dir.path(), None);
        Rig {
            alerts: alerts.expect("alerts"),
            data_dir,
        }
    }

    fn journal(&self, on_durable: OnDurable) -> Arc<Journal> {
        self.journal_in(Durability::Os, on_durable)
    }

    fn journal_in(&self, durability: Durability, on_durable: OnDurable) -> Arc<Journal> {
        let options = JournalOptions::in_data_dir(self.data_dir.path(), durability, 1 << 30);
        Arc::new(Journal::open(options, Some(on_durable)).expect("a journal"))
    }

    fn watch(&self, feed: Feed, journal: &Arc<Journal>) -> Watch {
        Watch::start(
            feed,
            Arc::clone(journal),
            self.data_dir.path(),
            DetectorConfig::default(),
            self.alerts.handle(),
            None,
        )
        .expect("a thread")
    }
}

/// Records of one good call each, that ended now.
async fn commit(journal: &Journal, calls: usize) {
    commit_at(journal, calls, clock::wall_ns()).await;
}

async fn commit_at(journal: &Journal, calls: usize, end_ns: u64) {
    for _ in 0..calls {
        let mut facts = Vec::new();
        Fact::Call(CallFact {
            end_ns,
            service: "checkout",
            provider: "openai",
            request_model: "gpt-4o",
            weight: 1.0,
            ..CallFact::default()
        })
        .append_to(&mut facts);
        let record = Commit {
            facts: facts.into(),
            ..Commit::default()
        };
        assert_eq!(journal.commit(record).await, Ok(()));
    }
}

async fn until_told(watch: &Watch, facts: usize) {
    let begun = Instant::now();
    let stats = watch.stats();
    while stats.facts.load(Relaxed) < facts as u64 && begun.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(stats.facts.load(Relaxed), facts as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_did_not_fit_into_the_queue_is_told_once() {
    let rig = Rig::new();
    let (feed, on_durable) = feed();
    let journal = rig.journal(on_durable);
    commit(&journal, QUEUE_RECORDS + 10).await;
    assert!(feed.behind.load(Relaxed), "the queue is full");
    let watch = rig.watch(feed, &journal);
    until_told(&watch, QUEUE_RECORDS + 10).await;
    commit(&journal, 5).await;
    until_told(&watch, QUEUE_RECORDS + 15).await;
    assert_eq!(watch.stats().unreadable.load(Relaxed), 0);
}

/// The flag goes up while records wait in the queue: they come before those of the files.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_told_before_what_is_read_from_the_files() {
    let rig = Rig::new();
    let (feed, on_durable) = feed();
    let journal = rig.journal(on_durable);
    let alerts = rig.alerts.handle();
    commit(&journal, QUEUE_RECORDS + 1).await;
    let config = DetectorConfig::default();
    let mut watcher = Watcher::new(
        Arc::clone(&journal),
        rig.data_dir.path(),
        config,
        alerts,
        None,
    );
    let first = feed.queue.recv().expect("a record");
    watcher.take(first.0, &first.1);
    watcher.take_all(&feed);
    let told = watcher.stats.facts.load(Relaxed);
    assert_eq!(told, QUEUE_RECORDS as u64 + 1);
    assert!(!feed.behind.load(Relaxed));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_tells_what_came_since_and_nothing_twice() {
    let rig = Rig::new();
    let (first, on_durable) = feed();
    let journal = rig.journal(on_durable);
    let watch = rig.watch(first, &journal);
    commit(&journal, 20).await;
    until_told(&watch, 20).await;
    watch.close();
    // Durable, and the detector was not there.
    commit(&journal, 7).await;
    journal.close();
    drop(journal);

    let (second, on_durable) = feed();
    let journal = rig.journal(on_durable);
    let watch = rig.watch(second, &journal);
    until_told(&watch, 7).await;
    commit(&journal, 1).await;
    until_told(&watch, 8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_of_another_journal_are_not_believed() {
    let rig = Rig::new();
    let (first, on_durable) = feed();
    let journal = rig.journal(on_durable);
    let watch = rig.watch(first, &journal);
    commit(&journal, 20).await;
    until_told(&watch, 20).await;
    watch.close();
    journal.close();
    drop(journal);
    std::fs::remove_dir_all(rig.data_dir.path().join("journal")).expect("removed");

    let (second, on_durable) = feed();
    let journal = rig.journal(on_durable);
    let watch = rig.watch(second, &journal);
    commit(&journal, 3).await;
    until_told(&watch, 3).await;
}

/// What did not fit into the queue is nowhere; what comes after is told, also in the next life.
#[tokio::test(flavor = "multi_thread")]
async fn in_memory_only_what_is_beyond_the_queue_is_not_told() {
    let rig = Rig::new();
    let (first, on_durable) = feed();
    let journal = rig.journal_in(Durability::Memory, on_durable);
    commit(&journal, QUEUE_RECORDS + 10).await;
    let watch = rig.watch(first, &journal);
    until_told(&watch, QUEUE_RECORDS).await;
    commit(&journal, 5).await;
    until_told(&watch, QUEUE_RECORDS + 5).await;
    watch.close();
    journal.close();
    drop(journal);

    let (second, on_durable) = feed();
    let journal = rig.journal_in(Durability::Memory, on_durable);
    let watch = rig.watch(second, &journal);
    commit(&journal, 7).await;
    until_told(&watch, 7).await;
}

/// One wrong clock must not put the detector ahead of everybody else.
#[tokio::test(flavor = "multi_thread")]
async fn what_ends_in_the_future_ends_now() {
    let rig = Rig::new();
    let (feed, on_durable) = feed();
    let journal = rig.journal(on_durable);
    let alerts = rig.alerts.handle();
    let config = DetectorConfig::default();
    let mut watcher = Watcher::new(
        Arc::clone(&journal),
        rig.data_dir.path(),
        config,
        alerts,
        None,
    );
    let mut facts = Vec::new();
    Fact::Call(CallFact {
        end_ns: clock::wall_ns() + STALE_NS / 2,
        weight: 1.0,
        ..CallFact::default()
    })
    .append_to(&mut facts);
    let record = Commit {
        facts: facts.into(),
        ..Commit::default()
    };
    assert_eq!(journal.commit(record).await, Ok(()));
    watcher.take_all(&feed);
    assert_eq!(watcher.stats.facts.load(Relaxed), 1);
    assert!(watcher.newest_ns <= clock::wall_ns() + AHEAD_NS);
}

/// A fault costs what was learned since the snapshot, then what the snapshot has, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_detector_that_breaks_off_begins_again() {
    let rig = Rig::new();
    let (feed, on_durable) = feed();
    let journal = rig.journal(on_durable);
    let alerts = rig.alerts.handle();
    let config = DetectorConfig::default();
    let mut watcher = Watcher::new(
        Arc::clone(&journal),
        rig.data_dir.path(),
        config,
        alerts,
        None,
    );
    let state = |watcher: &Watcher| {
        let mut bytes = Vec::new();
        watcher.detector.snapshot(&mut bytes).expect("a snapshot");
        bytes
    };
    let fresh = state(&watcher);
    commit(&journal, 5).await;
    watcher.take_all(&feed);
    watcher.save();
    let saved = state(&watcher);
    commit(&journal, 5).await;
    watcher.take_all(&feed);
    let position = watcher.at;

    watcher.begin_again();
    assert_eq!(state(&watcher), saved);
    watcher.begin_again();
    assert_eq!(state(&watcher), fresh);
    assert_eq!(watcher.at, position, "what was told is not told again");
    watcher.save();
    watcher.begin_again();
    assert_eq!(watcher.stats.faults.load(Relaxed), 3);
}

const HOUR_NS: u64 = 3_600_000_000_000;

/// Clocks that the test sets: how far the system clock is off, and how much time has passed.
#[derive(Debug, Default, Clone)]
struct Hands(Arc<(std::sync::atomic::AtomicI64, AtomicU64)>);

impl Hands {
    const BEGIN_NS: u64 = 1_790_000_000_000_000_000;

    fn jump(&self, ns: i64) {
        self.0.0.store(ns, Relaxed);
    }

    /// A minute later; gives the true time.
    fn pass_a_minute(&self) -> u64 {
        let minute_ns = HOUR_NS / 60;
        Self::BEGIN_NS + self.0.1.fetch_add(minute_ns, Relaxed) + minute_ns
    }

    fn now(&self) -> Now {
        let steady_ns = Self::BEGIN_NS + self.0.1.load(Relaxed);
        Now {
            wall_ns: steady_ns.saturating_add_signed(self.0.0.load(Relaxed)),
            steady_ns,
        }
    }
}

fn watcher(rig: &Rig, journal: &Arc<Journal>, hands: &Hands) -> Watcher {
    let config = DetectorConfig::default();
    let alerts = rig.alerts.handle();
    let mut watcher = Watcher::new(
        Arc::clone(journal),
        rig.data_dir.path(),
        config,
        alerts,
        None,
    );
    watcher.time = Time::new(hands.now(), 0);
    let hands = hands.clone();
    watcher.now = Box::new(move || hands.now());
    watcher
}

/// The senders' clocks are right all the time.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_makes_nothing_stale() {
    for jump_ns in [5 * HOUR_NS as i64, -5 * HOUR_NS as i64] {
        let rig = Rig::new();
        let (feed, on_durable) = feed();
        let journal = rig.journal(on_durable);
        let hands = Hands::default();
        let mut watcher = watcher(&rig, &journal, &hands);
        let mut told = 0;
        // It is right, it jumps, and it is right again.
        for jump_ns in [0, jump_ns, 0] {
            hands.jump(jump_ns);
            for _ in 0..3 {
                let end_ns = hands.pass_a_minute();
                tokio::task::block_in_place(|| watcher.tick());
                commit_at(&journal, 30, end_ns).await;
                tokio::task::block_in_place(|| watcher.take_all(&feed));
                told += 30;
            }
        }
        assert_eq!(watcher.stats.stale.load(Relaxed), 0, "{jump_ns}");
        assert_eq!(watcher.stats.facts.load(Relaxed), told, "{jump_ns}");
        assert_eq!(watcher.detector.counters().late, 0, "{jump_ns}");
    }
}

/// It ran ahead, the senders' too, and was put right.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_put_right_is_followed_after_a_while() {
    let rig = Rig::new();
    let (feed, on_durable) = feed();
    let journal = rig.journal(on_durable);
    let hands = Hands::default();
    let mut watcher = watcher(&rig, &journal, &hands);
    let ahead_ns = hands.now().steady_ns + 5 * HOUR_NS;
    watcher.time = Time::new(hands.now(), ahead_ns);
    tokio::task::block_in_place(|| watcher.tick());
    for minute in 0..4 {
        let end_ns = hands.pass_a_minute();
        let before = watcher.stats.facts.load(Relaxed);
        commit_at(&journal, 30, end_ns).await;
        tokio::task::block_in_place(|| watcher.take_all(&feed));
        let told = watcher.stats.facts.load(Relaxed) - before;
        assert!(minute < 2 || told == 30, "minute {minute}: {told} of 30");
    }
    assert!(watcher.detector.newest_ns() < ahead_ns);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_whose_clock_is_years_ahead_stops_nobody() {
    let rig = Rig::new();
    let (feed, on_durable) = feed();
    let journal = rig.journal(on_durable);
    let hands = Hands::default();
    let mut watcher = watcher(&rig, &journal, &hands);
    commit_at(&journal, 1, hands.now().wall_ns + 20_000 * HOUR_NS).await;
    commit_at(&journal, 30, hands.now().wall_ns).await;
    watcher.take_all(&feed);
    assert_eq!(watcher.stats.facts.load(Relaxed), 31);
    assert!(watcher.detector.newest_ns() <= hands.now().wall_ns + AHEAD_NS);
}
