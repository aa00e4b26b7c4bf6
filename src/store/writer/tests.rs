//! The writer against a server that answers as it is told.

mod fake;

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::*;
use crate::block::{Blocks, Compression, OmitOfSpan, Version};
use crate::call::{Call, Enrichment};
use crate::decode::{Resource, Scope, Span};
use crate::store::Target;
use fake::{Answer::*, Fake};

const DAY_NS: u64 = 86_400_000_000_000;

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

fn config() -> BatchConfig {
    BatchConfig {
        max_delay: Duration::from_millis(20),
        ..BatchConfig::default()
    }
}

fn writer(fake: &Fake, config: BatchConfig) -> Writer {
    let store = Store::new(&Target::plain(&fake.url, "lap`wing")).expect("a good target");
    Writer::start(store, config)
}

fn stat(writer: &Writer, table: Table) -> &TableStats {
    writer.stats(table).expect("every table has counters")
}

#[tokio::test]
async fn blocks_of_many_requests_become_one_insert_per_table() {
    let fake = Fake::start([]).await;
    let writer = writer(&fake, config());
    let submitted: Vec<_> = (0..50).map(|_| writer.submit(blocks())).collect();
    for one in submitted {
        assert_eq!(one.await, Ok(()));
    }
    let inserts = fake.stored();
    assert_eq!(inserts.len(), 2, "one for each table");
    let traces = inserts
        .iter()
        .find(|i| i.sql.contains("otel_traces"))
        .expect("spans");
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
    let stats = stat(&writer, Table::OtelTraces);
    assert_eq!(stats.rows.load(Relaxed), 50);
    assert_eq!(stats.inserts.load(Relaxed), 1);
    assert_eq!(stats.queue_bytes.load(Relaxed), 0);
}

#[tokio::test]
async fn full_batches_do_not_wait() {
    let fake = Fake::start([]).await;
    let config = BatchConfig {
        max_rows: 10,
        max_delay: Duration::from_secs(3600),
        deadline: Duration::from_secs(7200),
        ..config()
    };
    let writer = writer(&fake, config);
    let submitted: Vec<_> = (0..21).map(|_| writer.submit(spans_on([1]))).collect();
    for one in submitted.into_iter().take(20) {
        assert_eq!(one.await, Ok(()));
    }
    let sizes: Vec<usize> = fake.stored().iter().map(|i| i.body.len()).collect();
    let one = spans_on([1]).remove(0).bytes.len();
    assert_eq!(sizes, [one * 10, one * 10]);
    assert_eq!(fake.stored()[0].settings.get("decompress"), None);
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
        let fake = Fake::start(script.clone()).await;
        let writer = writer(&fake, config());
        assert_eq!(writer.submit(spans_on([1])).await, Ok(()), "{script:?}");
        let seen = fake.seen();
        assert_eq!(seen.len(), attempts, "{script:?}");
        let first = &seen[0];
        assert!(
            seen.iter()
                .all(|i| i.token() == first.token() && i.body == first.body)
        );
        assert_eq!(fake.stored().len(), 1, "{script:?}");
        let retries = stat(&writer, Table::OtelTraces).retries.load(Relaxed);
        assert_eq!(retries as usize, attempts - 1);
        // The next batch has a token of its own.
        assert_eq!(writer.submit(spans_on([1])).await, Ok(()));
        assert_eq!(fake.stored().len(), 2);
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_in_doubt_and_asked_again() {
    let fake = Fake::start([StoreAndHang]).await;
    let config = BatchConfig {
        attempt_timeout: Duration::from_millis(200),
        ..config()
    };
    let writer = writer(&fake, config);
    assert_eq!(writer.submit(spans_on([1])).await, Ok(()));
    assert_eq!(fake.seen().len(), 2);
    assert_eq!(fake.stored().len(), 1);
}

#[tokio::test]
async fn a_store_that_stays_away_is_unavailable_by_the_deadline() {
    let fake = Fake::start([]).await;
    fake.always(Refuse(503, "Code: 210. DB::Exception: Network"));
    let config = BatchConfig {
        deadline: Duration::from_millis(500),
        ..config()
    };
    let writer = writer(&fake, config);
    let result = writer.submit(spans_on([1])).await;
    assert!(
        matches!(result, Err(CommitError::Unavailable { .. })),
        "{result:?}"
    );
    assert!(fake.seen().len() > 1);
    let stats = stat(&writer, Table::OtelTraces);
    assert_eq!(stats.failed_rows.load(Relaxed), 1);
    assert_eq!(stats.queue_bytes.load(Relaxed), 0);
}

#[tokio::test]
async fn a_missing_table_is_told_at_once_with_what_to_do() {
    let fake = Fake::start([Refuse(
        404,
        "Code: 60. DB::Exception: Table x does not exist",
    )])
    .await;
    let writer = writer(&fake, config());
    let Err(CommitError::Unavailable { message, .. }) = writer.submit(spans_on([1])).await else {
        panic!("it waits for the operator");
    };
    assert!(message.contains("schema apply"), "{message}");
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn one_bad_block_does_not_take_its_neighbours_with_it() {
    let bad = "Code: 27. DB::Exception: Cannot parse input";
    let fake = Fake::start([Refuse(400, bad), Keep, Refuse(400, bad), Keep]).await;
    let writer = writer(&fake, config());
    let submitted: Vec<_> = (0..3).map(|_| writer.submit(spans_on([1]))).collect();
    let mut results = Vec::new();
    for one in submitted {
        results.push(one.await);
    }
    assert_eq!(results[0], Ok(()));
    assert!(matches!(results[1], Err(CommitError::Rejected { .. })));
    assert_eq!(results[2], Ok(()));
    let tokens: std::collections::HashSet<_> = fake.seen().iter().map(|i| i.token()).collect();
    assert_eq!(tokens.len(), 4, "each part has a token of its own");
}

#[tokio::test]
async fn a_batch_that_may_have_been_stored_is_not_split() {
    let bad = "Code: 27. DB::Exception: Cannot parse input";
    let fake = Fake::start([StoreAndBreakOff, Refuse(400, bad)]).await;
    let writer = writer(&fake, config());
    let (one, two) = (writer.submit(spans_on([1])), writer.submit(spans_on([1])));
    for result in [one.await, two.await] {
        assert!(
            matches!(result, Err(CommitError::Unavailable { .. })),
            "{result:?}"
        );
    }
    assert_eq!(fake.seen().len(), 2);
}

#[tokio::test]
async fn inserts_never_lie_on_too_many_days() {
    let fake = Fake::start([]).await;
    let writer = writer(&fake, config());
    let many = |from: u64| spans_on(from..from + 30);
    let submitted = [many(0), many(10), many(100)].map(|blocks| writer.submit(blocks));
    for one in submitted {
        assert_eq!(one.await, Ok(()));
    }
    // The first two share days: 40 in all. The third would make 70.
    assert_eq!(fake.stored().len(), 2);
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_takes_again_when_drained() {
    let fake = Fake::start([Hold]).await;
    let size = spans_on([1]).remove(0).bytes.len();
    let config = BatchConfig {
        queue_bytes_max: size * 2,
        ..config()
    };
    let writer = writer(&fake, config);
    let taken = [(), ()].map(|()| writer.submit(spans_on([1])));
    let refused = writer.submit(spans_on([1])).await;
    let Err(CommitError::Busy { queue_bytes, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(queue_bytes, size * 2);
    fake.release();
    for one in taken {
        assert_eq!(one.await, Ok(()));
    }
    assert_eq!(writer.submit(spans_on([1])).await, Ok(()));
}

#[tokio::test]
async fn what_waited_past_its_deadline_is_not_sent() {
    let fake = Fake::start([Hold]).await;
    let config = BatchConfig {
        inserts_in_flight: 1,
        max_rows: 1,
        deadline: Duration::from_millis(300),
        ..config()
    };
    let writer = writer(&fake, config);
    let both = [spans_on([1]), spans_on([1])].concat();
    let result = writer.submit(both).await;
    assert!(
        matches!(result, Err(CommitError::Unavailable { .. })),
        "{result:?}"
    );
    assert_eq!(fake.seen().len(), 1, "only the one that was in flight");
}

#[tokio::test]
async fn closing_stores_what_was_taken_and_takes_nothing_more() {
    let fake = Fake::start([]).await;
    let config = BatchConfig {
        max_delay: Duration::from_secs(5),
        ..config()
    };
    let writer = writer(&fake, config);
    // The submitter went away: its blocks are stored all the same.
    drop(writer.submit(blocks()));
    let taken = writer.submit(blocks());
    writer.close().await;
    assert_eq!(fake.stored().len(), 2);
    assert_eq!(taken.await, Ok(()));
    assert_eq!(writer.submit(blocks()).await, Err(CommitError::Stopped));
}
