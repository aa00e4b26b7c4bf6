//! What the store refuses: it waits for the operator, or is kept where it harms nobody.

use super::*;

#[tokio::test]
async fn a_missing_table_waits_for_the_operator_and_holds_nobody_else() {
    let rig = Rig::new([]).await;
    let missing = "Code: 60. DB::Exception: Table x does not exist";
    rig.fake.always_of("otel_traces", Refuse(404, missing));
    let run = rig.start();
    run.commit_ok(blocks()).await;
    while run
        .journal
        .accounts()
        .balance(Table::LlmCallVersions)
        .stored
        == 0
    {
        tokio::task::yield_now().await;
    }
    while !run.stat(Table::OtelTraces).held.load(Relaxed) {
        tokio::task::yield_now().await;
    }
    assert_eq!(run.stat(Table::OtelTraces).last_error.load(Relaxed), 60);
    rig.fake.recover();
    run.settle().await;
    assert!(!run.stat(Table::OtelTraces).held.load(Relaxed));
    assert_eq!(rig.fake.stored().len(), 2);
}

#[tokio::test]
async fn a_poison_block_is_found_and_kept_and_its_neighbours_are_stored() {
    let rig = Rig::new([]).await;
    let bad = spans_on([7]).remove(0);
    rig.fake.poison(bad.bytes.clone());
    let run = rig.start();
    let mut all = Vec::new();
    for n in 0..9 {
        all.push(if n == 4 {
            bad.clone()
        } else {
            spans_on([1]).remove(0)
        });
    }
    run.commit_ok(all).await;
    run.settle().await;
    assert_eq!(stored_rows(&rig.fake), 8);
    let tokens: HashSet<_> = rig.fake.seen().iter().map(fake::Seen::token).collect();
    assert_eq!(
        tokens.len(),
        rig.fake.seen().len(),
        "each part has a token of its own"
    );
    let kept = rig.quarantined();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].blocks, [bad.bytes]);
    assert_eq!((kept[0].label.rows, kept[0].label.in_doubt), (1, false));
    assert!(
        kept[0].label.error.contains("Cannot parse input"),
        "{:?}",
        kept[0].label
    );
    let balance = run.journal.accounts().balance(Table::OtelTraces);
    assert_eq!((balance.stored, balance.quarantined), (8, 1));
    assert_eq!(balance.unaccounted(), 0);
    // It is settled: the next start does not meet it again.
    run.kill().await;
    let before = rig.fake.seen().len();
    let run = rig.start();
    run.settle().await;
    assert_eq!(rig.fake.seen().len(), before);
}

#[tokio::test]
async fn what_may_have_been_stored_is_not_split_but_kept_whole_with_its_token() {
    let rig = Rig::new([StoreAndBreakOff]).await;
    rig.fake.always(Refuse(400, BAD));
    let run = rig.start();
    run.commit_ok([spans_on([1]), spans_on([1])].concat()).await;
    run.settle().await;
    let tokens: HashSet<_> = rig.fake.seen().iter().map(fake::Seen::token).collect();
    assert_eq!(tokens.len(), 1);
    let kept = rig.quarantined();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].blocks.len(), 2);
    assert!(kept[0].label.in_doubt);
    assert!(tokens.contains(&kept[0].label.token));
}
