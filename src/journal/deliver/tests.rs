//! From the journal to a server that answers as it is told.

mod fake;
mod kept;
mod refused;
mod room;

use std::{collections::HashSet, sync::atomic::Ordering::Relaxed, time::Duration};

use tempfile::TempDir;

use super::*;
use crate::{
    block::{Block, Blocks, Compression, OmitOfSpan, Version},
    call::{Call, Enrichment},
    decode::{Resource, Scope, Span},
    journal::{Durability, Journal, JournalOptions, quarantine::Quarantined},
    pipeline::{Commit, Durable, NotDurable},
    store::Target,
};
use fake::{Answer::*, Fake};

const DAY_NS: u64 = 86_400_000_000_000;
const BAD: &str = "Code: 27. DB::Exception: Cannot parse input";

/// A journal in a folder of its own, and the server that it delivers to.
struct Rig {
    dir: TempDir,
    fake: Fake,
    config: BatchConfig,
    max_bytes: u64,
    durability: Durability,
}

/// A running journal.
struct Running {
    journal: Journal,
    delivery: Delivery,
}

impl Rig {
    async fn new(script: impl IntoIterator<Item = fake::Answer>) -> Rig {
        Rig {
            dir: tempfile::tempdir().expect("a folder"),
            fake: Fake::start(script).await,
            config: BatchConfig {
                max_delay: Duration::from_millis(20),
                backoff_first: Duration::from_millis(5),
                backoff_max: Duration::from_millis(20),
                ..BatchConfig::default()
            },
            max_bytes: 1 << 30,
            durability: Durability::Disk,
        }
    }

    fn start(&self) -> Running {
        let options = JournalOptions::in_data_dir(self.dir.path(), self.durability, self.max_bytes);
        let journal = Journal::open(options, None).expect("it opens");
        let store = Store::new(&Target::plain(&self.fake.url, "lap`wing")).expect("a target");
        let delivery = journal.deliver_to(store, self.config.clone());
        Running { journal, delivery }
    }

    fn quarantined(&self) -> Vec<Quarantined> {
        let quarantine = self.dir.path().join("journal");
        let quarantine = crate::journal::quarantine::Quarantine::at(&quarantine).expect("a path");
        let files = quarantine.list().expect("readable");
        files
            .iter()
            .map(|path| Quarantined::read(path).expect("readable"))
            .collect()
    }
}

impl Running {
    async fn commit(&self, blocks: Vec<Block>) -> Result<(), NotDurable> {
        let commit = Commit {
            blocks,
            ..Commit::default()
        };
        self.journal.commit(commit).await
    }

    async fn commit_ok(&self, blocks: Vec<Block>) {
        assert_eq!(self.commit(blocks).await, Ok(()));
    }

    /// The same, as often as it takes: segments are deleted a moment after they are stored.
    async fn commit_until_taken(&self, block: &Block) {
        while self.commit(vec![block.clone()]).await.is_err() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits until nothing is queued.
    async fn settle(&self) {
        while self.journal.queued_rows() > 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// As a process ends that is killed: nothing is waited for.
    async fn kill(self) {
        self.delivery.drain(Duration::ZERO).await;
        self.journal.close();
    }

    fn stat(&self, table: Table) -> &TableStats {
        self.delivery
            .stats(table)
            .expect("every table has counters")
    }
}

/// Blocks with one span and one call.
fn blocks() -> Vec<Block> {
    let mut blocks = Blocks::new(Compression::Lz4);
    let (resource, scope) = (Resource::default(), Scope::default());
    blocks.push_span(&resource, &scope, &Span::default(), OmitOfSpan::default());
    let version = Version {
        sign: 1,
        version: 1,
    };
    blocks.push_call(&Call::default(), &Enrichment::default(), version);
    blocks.finish()
}

/// A block with a span on each of these days.
fn spans_on(days: impl IntoIterator<Item = u64>) -> Vec<Block> {
    let mut blocks = Blocks::new(Compression::None);
    for day in days {
        let span = Span {
            start_ns: day * DAY_NS + 1,
            ..Span::default()
        };
        let (resource, scope) = (Resource::default(), Scope::default());
        blocks.push_span(&resource, &scope, &span, OmitOfSpan::default());
    }
    blocks.finish()
}

fn bytes_of_one() -> usize {
    spans_on([1]).remove(0).bytes.len()
}

/// Rows that the server stored, where all blocks are [`spans_on`] one day.
fn stored_rows(fake: &Fake) -> usize {
    let stored = fake.stored();
    stored
        .iter()
        .map(|insert| insert.body.len() / bytes_of_one())
        .sum()
}

#[tokio::test]
async fn blocks_of_many_requests_become_one_insert_per_table() {
    let rig = Rig::new([]).await;
    let run = rig.start();
    let all: Vec<Block> = (0..50).flat_map(|_| blocks()).collect();
    run.commit_ok(all).await;
    run.settle().await;
    let inserts = rig.fake.stored();
    assert_eq!(inserts.len(), 2, "one for each table");
    let traces = inserts.iter().find(|i| i.sql.contains("otel_traces"));
    let traces = traces.expect("spans");
    assert!(
        traces
            .sql
            .starts_with("INSERT INTO `lap\\`wing`.otel_traces (`Timestamp`, ")
    );
    assert!(traces.sql.ends_with(") FORMAT Native"), "{}", traces.sql);
    let one = blocks().remove(0).bytes;
    assert_eq!(
        traces.body,
        one.repeat(50),
        "the blocks as they were, one after the other"
    );
    let setting = |name: &str| traces.settings.get(name).map(String::as_str);
    assert_eq!(setting("async_insert"), Some("0"));
    assert_eq!(setting("decompress"), Some("1"));
    assert_eq!(setting("insert_deduplicate"), Some("1"));
    let stats = run.stat(Table::OtelTraces);
    assert_eq!(stats.rows.load(Relaxed), 50);
    assert_eq!(stats.inserts.load(Relaxed), 1);
    assert_eq!(stats.queue_bytes.load(Relaxed), 0);
    assert_eq!(
        run.journal
            .accounts()
            .balance(Table::OtelTraces)
            .unaccounted(),
        0
    );
}

#[tokio::test]
async fn full_batches_do_not_wait() {
    let mut rig = Rig::new([]).await;
    rig.config.max_rows = 10;
    rig.config.max_delay = Duration::from_secs(3600);
    let run = rig.start();
    for _ in 0..21 {
        run.commit_ok(spans_on([1])).await;
    }
    while rig.fake.stored().len() < 2 {
        tokio::task::yield_now().await;
    }
    let mut sizes: Vec<usize> = rig.fake.stored().iter().map(|i| i.body.len()).collect();
    sizes.truncate(2);
    assert_eq!(sizes, [bytes_of_one() * 10; 2]);
    assert_eq!(rig.fake.stored()[0].settings.get("decompress"), None);
}

#[tokio::test]
async fn an_insert_is_sent_again_with_the_same_token_and_stored_once() {
    let busy = "Code: 202. DB::Exception: Too many simultaneous queries";
    for script in [
        vec![Refuse(503, busy)],
        vec![Refuse(502, "bad gateway")],
        vec![BreakOff],
        vec![StoreAndBreakOff],
        vec![StoreAndBreakOff, BreakOff, Refuse(500, busy)],
    ] {
        let attempts = script.len() + 1;
        let rig = Rig::new(script.clone()).await;
        let run = rig.start();
        run.commit_ok(spans_on([1])).await;
        run.settle().await;
        let seen = rig.fake.seen();
        assert_eq!(seen.len(), attempts, "{script:?}");
        let first = &seen[0];
        let same = |i: &fake::Seen| i.token() == first.token() && i.body == first.body;
        assert!(seen.iter().all(same));
        assert_eq!(rig.fake.stored().len(), 1, "{script:?}");
        let retries = run.stat(Table::OtelTraces).retries.load(Relaxed);
        assert_eq!(retries as usize, attempts - 1);
        // The same bytes in another record are another insert.
        run.commit_ok(spans_on([1])).await;
        run.settle().await;
        assert_eq!(rig.fake.stored().len(), 2);
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_in_doubt_and_asked_again() {
    let mut rig = Rig::new([StoreAndHang]).await;
    rig.config.attempt_timeout = Duration::from_millis(200);
    let run = rig.start();
    run.commit_ok(spans_on([1])).await;
    run.settle().await;
    assert_eq!(rig.fake.seen().len(), 2);
    assert_eq!(rig.fake.stored().len(), 1);
}

/// It ends what it began only for who waits long enough.
#[tokio::test]
async fn a_server_that_is_slow_is_given_more_time() {
    let mut rig = Rig::new([]).await;
    rig.fake.always(Slow(300));
    rig.config.attempt_timeout = Duration::from_millis(50);
    let run = rig.start();
    run.commit_ok(spans_on([1])).await;
    run.settle().await;
    assert!(rig.fake.seen().len() > 1);
    assert_eq!(rig.fake.stored().len(), 1);
}

#[tokio::test]
async fn an_insert_in_doubt_is_the_same_insert_after_a_restart() {
    let rig = Rig::new([StoreAndHang]).await;
    let run = rig.start();
    for _ in 0..5 {
        run.commit_ok(spans_on([1])).await;
    }
    while rig.fake.stored().is_empty() {
        tokio::task::yield_now().await;
    }
    run.kill().await;
    let run = rig.start();
    // New rows are no part of it.
    run.commit_ok(spans_on([1])).await;
    run.settle().await;
    assert_eq!(stored_rows(&rig.fake), 6);
    let seen = rig.fake.seen();
    assert_eq!(seen[0].token(), seen[1].token());
    assert_eq!(seen[0].body, seen[1].body);
}

#[tokio::test]
async fn inserts_never_lie_on_too_many_days() {
    let rig = Rig::new([]).await;
    let run = rig.start();
    let many = |from: u64| spans_on(from..from + 30);
    run.commit_ok([many(0), many(10), many(100)].concat()).await;
    run.settle().await;
    // The first two share days: 40 in all. The third would make 70.
    assert_eq!(rig.fake.stored().len(), 2);
}

#[tokio::test]
async fn resets_errors_lost_answers_and_restarts_lose_and_double_nothing() {
    let faults = [
        Keep,
        StoreAndBreakOff,
        Refuse(500, "Code: 241. DB::Exception: Memory limit exceeded"),
        BreakOff,
        Refuse(500, "Code: 252. DB::Exception: Too many parts"),
        StoreAndBreakOff,
        Refuse(503, "<html>proxy</html>"),
    ];
    let script: Vec<_> = faults.into_iter().cycle().take(200).collect();
    let mut rig = Rig::new(script).await;
    rig.config.max_rows = 7;
    let mut sent = 0;
    for restart in 0..8 {
        let run = rig.start();
        for _ in 0..20 + restart {
            run.commit_ok(spans_on([1])).await;
            sent += 1;
        }
        run.kill().await;
    }
    let run = rig.start();
    run.settle().await;
    assert_eq!(stored_rows(&rig.fake), sent);
    for table in Table::ALL {
        assert_eq!(run.journal.accounts().balance(table).unaccounted(), 0);
    }
}

#[tokio::test]
async fn a_drain_stores_what_was_taken_and_nothing_more_is_taken() {
    let mut rig = Rig::new([]).await;
    rig.config.max_delay = Duration::from_secs(3600);
    let run = rig.start();
    run.commit_ok(blocks()).await;
    run.journal.close();
    assert_eq!(run.delivery.drain(Duration::from_secs(60)).await, 0);
    assert_eq!(rig.fake.stored().len(), 2);
    assert!(run.commit(blocks()).await.is_err());
}

#[tokio::test]
async fn memory_and_os_deliver_as_well() {
    for durability in [Durability::Memory, Durability::Os] {
        let mut rig = Rig::new([StoreAndBreakOff]).await;
        rig.durability = durability;
        let run = rig.start();
        run.commit_ok(blocks()).await;
        run.settle().await;
        assert_eq!(rig.fake.stored().len(), 2, "{durability:?}");
    }
}

#[tokio::test]
async fn facts_are_told_live_and_read_again_after_a_restart() {
    let rig = Rig::new([]).await;
    let (tell, told) = std::sync::mpsc::channel();
    let options = || JournalOptions::in_data_dir(rig.dir.path(), Durability::Disk, 1 << 30);
    let journal = Journal::open(
        options(),
        Some(Box::new(move |at, facts| {
            let _ = tell.send((at, facts));
        })),
    )
    .expect("it opens");
    for fact in ["one", "two", "three"] {
        let commit = Commit {
            facts: fact.into(),
            blocks: blocks(),
            ..Commit::default()
        };
        assert_eq!(journal.commit(commit).await, Ok(()));
    }
    journal.close();
    drop(journal);
    let live: Vec<_> = told.iter().collect();
    let journal = Journal::open(options(), None).expect("it opens");
    let all = |since| {
        let facts = journal.facts_since(since);
        facts
            .collect::<std::io::Result<Vec<_>>>()
            .expect("readable")
    };
    assert_eq!(all(None), live);
    assert_eq!(all(Some(live[0].0)), live[1..]);
}

#[tokio::test]
async fn a_second_journal_in_the_same_folder_is_refused() {
    let rig = Rig::new([]).await;
    let _run = rig.start();
    let options = JournalOptions::in_data_dir(rig.dir.path(), Durability::Disk, 1 << 30);
    let error = Journal::open(options, None).expect_err("in use");
    assert!(
        error.to_string().contains("in use by another lapwing"),
        "{error}"
    );
}
