//! How long a segment is kept: as long as somebody needs it, and no longer.

use super::*;
use crate::journal::Position;

/// Records of which a few fill a segment.
async fn fill(journal: &Journal, records: usize, facts: &'static str) {
    let mut block = spans_on([1]).remove(0);
    block.bytes = block.bytes.repeat(100).into();
    for _ in 0..records {
        let commit = Commit {
            blocks: vec![block.clone()],
            facts: facts.into(),
            ..Commit::default()
        };
        assert_eq!(journal.commit(commit).await, Ok(()));
    }
}

/// As many of them as make several segments of the smallest size.
async fn fill_segments(journal: &Journal, facts: &'static str) {
    let before = journal.sizes().2;
    while journal.sizes().2 < before + 4 {
        fill(journal, 1, facts).await;
    }
}

async fn until_segments_are_gone(journal: &Journal) {
    while journal.sizes().2 > 2 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn facts_of(journal: &Journal, since: Option<Position>) -> Vec<(Position, bytes::Bytes)> {
    let facts = journal.facts_since(since).collect();
    std::io::Result::<_>::expect(facts, "readable")
}

async fn small() -> Rig {
    let mut rig = Rig::new([]).await;
    rig.max_bytes = 1 << 20;
    rig
}

#[tokio::test]
async fn a_table_that_gets_nothing_does_not_hold_segments_back() {
    let rig = small().await;
    let run = rig.start();
    fill_segments(&run.journal, "").await;
    run.settle().await;
    until_segments_are_gone(&run.journal).await;
}

#[tokio::test]
async fn what_was_settled_before_the_start_is_deleted_though_nothing_is_inserted() {
    let rig = small().await;
    let run = rig.start();
    // A follower that never says more keeps everything.
    run.journal.facts_consumed(Position::default());
    fill_segments(&run.journal, "fact").await;
    run.settle().await;
    run.kill().await;
    let run = rig.start();
    assert_eq!(run.journal.queued_rows(), 0);
    until_segments_are_gone(&run.journal).await;
}

#[tokio::test]
async fn facts_that_nobody_has_yet_outlive_their_rows() {
    let rig = small().await;
    let run = rig.start();
    run.journal.facts_consumed(Position::default());
    fill_segments(&run.journal, "fact").await;
    run.settle().await;
    let told = facts_of(&run.journal, None);
    assert!(run.journal.sizes().2 > 2, "all segments are still there");
    run.kill().await;

    let run = rig.start();
    assert_eq!(facts_of(&run.journal, None), told);
}

#[tokio::test]
async fn a_follower_that_has_all_facts_does_not_hold_back_what_comes_without_any() {
    let rig = small().await;
    let run = rig.start();
    run.journal.facts_consumed(Position::default());
    fill(&run.journal, 1, "the only fact").await;
    let told = facts_of(&run.journal, None);
    run.journal.facts_consumed(told[0].0);
    fill_segments(&run.journal, "").await;
    run.settle().await;
    until_segments_are_gone(&run.journal).await;
}

/// What the process had in memory is gone: only the files are there for the next.
#[tokio::test]
async fn facts_survive_a_kill_in_their_order_and_the_journal_stays_itself() {
    let rig = small().await;
    let open = || {
        let options = JournalOptions::in_data_dir(rig.dir.path(), Durability::Disk, rig.max_bytes);
        Journal::open(options, None).expect("it opens")
    };
    let mut told = Vec::new();
    let mut identity = None;
    for life in 1..=4 {
        let journal = open();
        assert_eq!(
            *identity.get_or_insert(journal.identity()),
            journal.identity()
        );
        assert_eq!(facts_of(&journal, None), told, "before life {life}");
        let after = told.last().map(|(at, _)| *at);
        fill(&journal, 3, "fact").await;
        let new = facts_of(&journal, after);
        assert_eq!(new.len(), 3);
        told.extend(new);
        // No `close`: nothing is flushed that was not before.
        drop(journal);
    }
    assert!(told.is_sorted_by(|(a, _), (b, _)| a < b), "positions grow");
    assert_eq!(open().identity(), identity.expect("seen"));
}
