//! A store that is away for long: what waits is on disk, and the disk has a limit.

use super::*;

const AWAY: &str = "Code: 210. DB::Exception: Network";

/// A block of so many spans.
fn large_block(rows: usize) -> Block {
    let mut block = spans_on([1]).remove(0);
    block.bytes = block.bytes.repeat(rows).into();
    block.rows = u32::try_from(rows).expect("few rows");
    block
}

#[tokio::test]
async fn a_store_that_is_away_for_long_costs_no_memory_and_no_row() {
    let mut rig = Rig::new([]).await;
    rig.fake.always(Refuse(503, AWAY));
    rig.config.max_rows = 2_000;
    let run = rig.start();
    // Some 150 MB of rows, more than the memory may take.
    let block = large_block(1_000);
    let commits = 150_000_000 / block.bytes.len();
    let mut largest = 0;
    for _ in 0..commits {
        run.commit_ok(vec![block.clone()]).await;
        largest = largest.max(run.journal.sizes().1);
    }
    assert!(
        largest <= crate::journal::HOT_BYTES_MAX,
        "{largest} bytes in memory"
    );
    assert_eq!(rig.fake.stored().len(), 0);
    rig.fake.recover();
    run.settle().await;
    assert_eq!(stored_rows(&rig.fake), commits * 1_000);
    let (_, _, segments) = run.journal.sizes();
    assert!(segments <= 2, "{segments}: what was delivered is deleted");
}

#[tokio::test]
async fn a_full_journal_refuses_and_takes_again_when_delivered() {
    let mut rig = Rig::new([]).await;
    rig.fake.always(Refuse(503, AWAY));
    rig.max_bytes = 1 << 20;
    let run = rig.start();
    let block = large_block(100);
    let mut taken = 0;
    let refused = loop {
        match run.commit(vec![block.clone()]).await {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
    };
    assert!(refused.reason.contains("journal.max_bytes"), "{refused}");
    assert!(run.journal.health().is_full());
    assert!(run.journal.sizes().0 <= rig.max_bytes);
    rig.fake.recover();
    run.settle().await;
    run.commit_until_taken(&block).await;
    run.settle().await;
    assert_eq!(stored_rows(&rig.fake), (taken + 1) * 100);
}

#[tokio::test]
async fn a_full_journal_is_full_at_the_next_start_and_has_room_when_delivered() {
    let mut rig = Rig::new([]).await;
    rig.fake.always(Refuse(503, AWAY));
    rig.max_bytes = 1 << 20;
    let (run, block) = (rig.start(), large_block(100));
    let mut taken = 0;
    while run.commit(vec![block.clone()]).await.is_ok() {
        taken += 1;
    }
    run.kill().await;

    let run = rig.start();
    let refused = run.commit(vec![block.clone()]).await;
    let refused = refused.expect_err("it is as full as it was");
    assert!(refused.reason.contains("journal.max_bytes"), "{refused}");
    rig.fake.recover();
    run.settle().await;
    run.commit_until_taken(&block).await;
    run.settle().await;
    assert_eq!(stored_rows(&rig.fake), (taken + 1) * 100);
}

/// The newest segment stays until there is another one.
#[tokio::test]
async fn a_quota_below_the_segment_that_is_left_does_not_refuse_for_ever() {
    let mut rig = Rig::new([]).await;
    let run = rig.start();
    run.commit_ok(vec![large_block(20_000)]).await;
    run.settle().await;
    run.kill().await;
    rig.max_bytes = 1 << 20;
    let run = rig.start();
    assert!(run.journal.sizes().0 > rig.max_bytes);
    for _ in 0..3 {
        run.commit_until_taken(&large_block(100)).await;
    }
    run.settle().await;
    assert_eq!(stored_rows(&rig.fake), 20_300);
    assert!(run.journal.sizes().0 <= rig.max_bytes);
}
