//! Errors, resets, delays and lost answers between the collector and ClickHouse: nothing is lost,
//! nothing is doubled. The server is a real one, so what recognises a repeated insert is real, too.
//!
//! The long run is for a person: `cargo test --test main e2e::loss -- --ignored --nocapture`.

use std::thread;

use super::{
    crash::wait_for_backlog,
    oracle::{Oracle, SPANS_PER_BATCH},
    server_mode::{behind_proxy, server},
};
use crate::support::proxy::Plan;

/// One request in so many meets a fault.
const FAULT_ONE_IN: u64 = 2;
/// More rows than this are delivered before more are sent.
const BACKLOG_ROWS_MAX: f64 = 5_000.0;
/// Many small inserts, so that many of them do.
const SMALL: &str = "storage.batch.max_rows: 100\nstorage.batch.max_delay: 20ms\n";

fn run(database: &str, spans: usize) {
    let server = server();
    let (collector, proxy) = behind_proxy(&server, database, SMALL);
    let oracle = Oracle::default();
    thread::scope(|scope| {
        let done = oracle.start(scope, collector.http);
        oracle.wait_for_more(SPANS_PER_BATCH as usize);
        proxy.set(Plan::Faults(FAULT_ONE_IN));
        let mut left = spans;
        while left > 0 {
            let some = left.min(2_000);
            oracle.wait_for_more(some);
            wait_for_backlog(&collector, BACKLOG_ROWS_MAX);
            left -= some;
        }
        drop(done);
    });
    // What waits now is delivered through the faults, too.
    collector.settle();
    let met = proxy.report();
    proxy.set(Plan::Pass);
    oracle.judge(
        &collector,
        &format!("faults on the way to the store ({met})"),
    );
}

#[test]
fn faults_on_the_way_to_the_store_lose_and_double_nothing() {
    run("loss", 3_000);
}

#[test]
#[ignore = "takes many minutes"]
fn many_faults_on_the_way_to_the_store() {
    run("loss_long", 100_000);
}
