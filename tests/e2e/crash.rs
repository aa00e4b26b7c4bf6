//! Kill -9, again and again: what was acknowledged is found exactly once ([`super::oracle`]).
//!
//! The short runs belong to every test run; the long ones are for a person:
//! `cargo test --test main crash -- --ignored --nocapture`, with 200 kills or LAPWING_KILLS of them.

use std::{process::Command, thread, time::Duration};

use lapwing::store::embedded::Door;

use super::oracle::{Oracle, SPANS_PER_BATCH, TIME_MAX};
use crate::support::{lapwing::Lapwing, wait::until};

/// More rows than this are delivered before the next kill.
const BACKLOG_ROWS_MAX: f64 = 50_000.0;
const BACKLOG_TIME_MAX: Duration = Duration::from_secs(600);

/// Whom to kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Collector,
    Engine,
}

/// A pseudo-random number below `n`, the same in each run.
fn roll(kill: u64, n: u64) -> u64 {
    let mut state = kill.wrapping_add(1).wrapping_mul(0x2545_F491_4F6C_DD1D);
    state ^= state >> 29;
    (state.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33) % n.max(1)
}

/// Kills under load and judges in the end.
fn run(victim: Victim, kills: u64) {
    let mut lapwing = Lapwing::start();
    let oracle = Oracle::default();
    let to = lapwing.http;
    thread::scope(|scope| {
        let done = oracle.start(scope, to);
        for kill in 0..kills {
            oracle.wait_for_more(1 + roll(kill, 150) as usize);
            match victim {
                Victim::Engine => {
                    wait_for_backlog(&lapwing, BACKLOG_ROWS_MAX);
                    // It serves again, with inserts under way.
                    wait_for_stored(&lapwing, 1.0 + roll(kill, 300) as f64);
                    kill_engine(&lapwing);
                }
                Victim::Collector => {
                    lapwing.process().kill();
                    // Some die again while they start.
                    if kill % 4 == 3 {
                        lapwing.launch_again();
                        thread::sleep(Duration::from_millis(roll(kill + 1000, 900)));
                        lapwing.process().kill();
                    }
                    lapwing.start_again();
                }
            }
        }
        oracle.wait_for_more(SPANS_PER_BATCH as usize);
        drop(done);
    });
    oracle.judge(&lapwing, &format!("{kills} kills of the {victim:?}"));
}

/// Waits until so many more rows are stored.
fn wait_for_stored(lapwing: &Lapwing, rows: f64) {
    let stored = || lapwing.metric("lapwing_journal_stored_rows_total");
    let before = stored().expect("a metric");
    until("rows stored", TIME_MAX, || match stored()? {
        n if n >= before + rows => Ok(()),
        n => Err(format!("{n} rows after {before}")),
    });
}

/// The senders are faster than a store that fails all the time: now and then it may catch up.
pub(super) fn wait_for_backlog(lapwing: &Lapwing, rows_max: f64) {
    until("the backlog to shrink", BACKLOG_TIME_MAX, || match lapwing
        .metric("lapwing_journal_queued_rows")?
    {
        n if n <= rows_max => Ok(()),
        n => Err(format!("{n} rows")),
    });
}

fn kill_engine(lapwing: &Lapwing) {
    let door = Door::read(&lapwing.data_dir())
        .expect("read")
        .expect("a door");
    let killed = Command::new("kill")
        .args(["-KILL", &door.pid.to_string()])
        .output();
    // It may just be dead from the last time: the next one counts.
    let _ = killed.expect("kill");
}

#[test]
fn kills_of_the_collector_lose_and_double_nothing() {
    run(Victim::Collector, 12);
}

#[test]
fn kills_of_the_engine_lose_and_double_nothing() {
    run(Victim::Engine, 10);
}

fn kills_of_long_runs() -> u64 {
    let kills = std::env::var("LAPWING_KILLS");
    kills.map_or(200, |text| text.parse().expect("a number"))
}

#[test]
#[ignore = "takes many minutes"]
fn two_hundred_kills_of_the_collector() {
    run(Victim::Collector, kills_of_long_runs());
}

#[test]
#[ignore = "takes many minutes"]
fn two_hundred_kills_of_the_engine() {
    run(Victim::Engine, kills_of_long_runs());
}
