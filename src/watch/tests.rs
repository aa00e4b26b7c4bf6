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
        let options = JournalOptions::in_data_dir(self.data_dir.path(), Durability::Os, 1 << 30);
        Arc::new(Journal::open(options, Some(on_durable)).expect("a journal"))
    }

    fn watch(&self, feed: Feed, journal: &Arc<Journal>) -> Watch {
        Watch::start(
            feed,
            Arc::clone(journal),
            self.data_dir.path(),
            DetectorConfig::default(),
            self.alerts.handle(),
        )
        .expect("a thread")
    }
}

/// Records of one good call each.
async fn commit(journal: &Journal, calls: usize) {
    for _ in 0..calls {
        let mut facts = Vec::new();
        Fact::Call(CallFact {
            end_ns: now_ns(),
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
    let mut watcher = Watcher::new(Arc::clone(&journal), rig.data_dir.path(), config, alerts);
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

/// One wrong clock must not put the detector ahead of everybody else.
#[tokio::test(flavor = "multi_thread")]
async fn what_ends_in_the_future_ends_now() {
    let rig = Rig::new();
    let (feed, on_durable) = feed();
    let journal = rig.journal(on_durable);
    let alerts = rig.alerts.handle();
    let config = DetectorConfig::default();
    let mut watcher = Watcher::new(Arc::clone(&journal), rig.data_dir.path(), config, alerts);
    let mut facts = Vec::new();
    Fact::Call(CallFact {
        end_ns: now_ns() + STALE_NS / 2,
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
    assert!(watcher.newest_ns <= now_ns() + AHEAD_NS);
}

/// A fault costs what was learned since the snapshot, then what the snapshot has, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_detector_that_breaks_off_begins_again() {
    let rig = Rig::new();
    let (feed, on_durable) = feed();
    let journal = rig.journal(on_durable);
    let alerts = rig.alerts.handle();
    let config = DetectorConfig::default();
    let mut watcher = Watcher::new(Arc::clone(&journal), rig.data_dir.path(), config, alerts);
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
