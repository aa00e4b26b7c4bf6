//! `lapwing journal status|verify|replay` on a journal that has everything: rows that wait, an
//! insert in quarantine, a damaged block.

use std::{fs, path::PathBuf, process::Output, time::Duration};

use super::server_mode::{behind_proxy, server};
use crate::{
    otlp::{span, traces},
    support::{
        clients::now_ns,
        lapwing::Lapwing,
        proxy::Plan,
        send::{PROTOBUF, post},
        wait::until,
    },
};

const TIME_MAX: Duration = Duration::from_secs(60);
const BAD: &str = "Code: 27. DB::Exception: Cannot parse input";

/// What a command printed, and how it ended.
fn run(collector: &Lapwing, command: &str) -> (String, Option<i32>) {
    let Output {
        status,
        stdout,
        stderr,
    } = collector.command(&["journal", command]).expect("run");
    let text = [stdout, stderr].concat();
    (String::from_utf8_lossy(&text).into_owned(), status.code())
}

#[track_caller]
fn assert_says(said: &(String, Option<i32>), words: &[&str], code: i32) {
    assert_eq!(said.1, Some(code), "{}", said.0);
    for word in words {
        assert!(said.0.contains(word), "{word:?} is missing in\n{}", said.0);
    }
}

fn send(collector: &Lapwing, name: &str, id: u64) {
    let one = span(name).in_trace(id).id(id).at_ns(now_ns());
    let answer = post(collector.http, "/v1/traces", &[PROTOBUF], &traces(&[one]));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn status_verify_and_replay_say_what_there_is() {
    let server = server();
    let (mut collector, proxy) = behind_proxy(&server, "commands", "");
    assert_says(&run(&collector, "verify"), &["0 records"], 0);
    assert_says(&run(&collector, "replay"), &["the quarantine is empty"], 0);

    // Refused for good.
    proxy.set(Plan::RefuseInserts(400, BAD));
    send(&collector, "bad", 1);
    until("an insert in quarantine", TIME_MAX, || {
        match collector.metric("lapwing_journal_quarantined_rows_total")? {
            0.0 => Err("none".to_owned()),
            _ => Ok(()),
        }
    });
    // Waiting, the one in the middle damaged.
    proxy.set(Plan::Away);
    send(&collector, "waits", 2);
    send(&collector, "waits", 3);
    let damaged = fs::read(segment(&collector)).expect("readable").len() - 1;
    send(&collector, "waits", 4);
    collector.process().kill();
    assert_says(&run(&collector, "verify"), &["1 inserts in quarantine"], 0);
    let mut bytes = fs::read(segment(&collector)).expect("readable");
    bytes[damaged] ^= 1;
    fs::write(segment(&collector), bytes).expect("writable");

    let status = run(&collector, "status");
    let words = [
        "4 records in 1 segments",
        "otel_traces: 3 rows",
        "1 inserts in quarantine",
        "quarantine: 1 rows of otel_traces, not stored:",
        "Cannot parse input",
    ];
    assert_says(&status, &words, 0);
    let verify = run(&collector, "verify");
    let words = [
        "damaged: block ",
        "its bytes are not those that were written (1 rows)",
        "1 places are damaged",
    ];
    assert_says(&verify, &words, 1);
    let replay = run(&collector, "replay");
    assert_says(&replay, &[" stays: ", "1 of 1 stay in quarantine"], 1);

    // Beside a running collector.
    proxy.set(Plan::Pass);
    collector.start_again();
    let replay = run(&collector, "replay");
    assert_says(&replay, &["stored 1 rows of "], 0);
    assert_says(&run(&collector, "replay"), &["the quarantine is empty"], 0);
    let names = "SELECT arrayStringConcat(arraySort(groupArray(SpanName)), ' ') FROM otel_traces";
    assert_eq!(collector.value(names).as_deref(), Ok("bad waits waits"));
    let damaged = collector.metric("lapwing_journal_damaged_rows_total");
    assert_eq!(damaged, Ok(1.0));
    assert_eq!(
        collector.metric("lapwing_journal_unaccounted_rows"),
        Ok(0.0)
    );
    assert_says(&run(&collector, "status"), &["otel_traces: 0 rows"], 0);
}

/// The newest file of the journal.
fn segment(collector: &Lapwing) -> PathBuf {
    let files = fs::read_dir(collector.data_dir().join("journal")).expect("a journal");
    let paths = files.map(|entry| entry.expect("an entry").path());
    let segments = paths.filter(|path| path.extension().is_some_and(|e| e == "segment"));
    segments.max().expect("a segment")
}
