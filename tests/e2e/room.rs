//! Journals that have no room or fail: refused with a retryable status, and nothing acknowledged
//! is lost over it.

use std::{collections::BTreeSet, net::SocketAddr, process::Command, time::Duration};

use super::server_mode::{behind_proxy, server};
use crate::{
    otlp::{span, traces},
    support::{
        clients::now_ns,
        lapwing::Lapwing,
        proxy::Plan,
        send::{Answer, PROTOBUF, post},
        wait::until,
    },
};

const TIME_MAX: Duration = Duration::from_secs(120);
/// Bytes of text in each span: some dozens fill the smallest journal.
const TEXT_BYTES: u64 = 20_000;

/// Sends spans with ids of their own.
struct Sender {
    to: SocketAddr,
    next: u64,
    acknowledged: BTreeSet<u64>,
}

impl Sender {
    fn new(to: SocketAddr) -> Self {
        Self {
            to,
            next: 1,
            acknowledged: BTreeSet::new(),
        }
    }

    fn send(&mut self) -> Answer {
        let id = self.next;
        self.next += 1;
        // Numbers do not compress away.
        let text: String = (0..TEXT_BYTES / 16)
            .map(|n| {
                format!(
                    "{:016x}",
                    (id << 32 | n).wrapping_mul(0x9E37_79B9_7F4A_7C15)
                )
            })
            .collect();
        let one = span("chat gpt-4o")
            .in_trace(id)
            .id(id)
            .at_ns(now_ns())
            .attr("text", text.as_str());
        let answer = post(self.to, "/v1/traces", &[PROTOBUF], &traces(&[one]));
        if answer.status == 200 {
            self.acknowledged.insert(id);
        }
        answer
    }

    fn send_until_refused(&mut self) -> Answer {
        until("a refusal", TIME_MAX, || match self.send() {
            answer if answer.status == 200 => Err("accepted".to_owned()),
            answer => Ok(answer),
        })
    }

    fn send_until_accepted(&mut self) {
        until("an acceptance", TIME_MAX, || match self.send().status {
            200 => Ok(()),
            status => Err(format!("status {status}")),
        });
    }

    /// What was acknowledged is stored once, and nothing else.
    #[track_caller]
    fn judge(&self, collector: &Lapwing) {
        let sql = "SELECT arraySort(groupArray(reinterpretAsUInt64(reverse(unhex(SpanId))))) \
                   FROM otel_traces";
        let stored = collector.value(sql).expect("ids");
        let ids: Vec<String> = self.acknowledged.iter().map(u64::to_string).collect();
        assert_eq!(stored, format!("[{}]", ids.join(",")));
    }
}

#[test]
fn a_full_journal_refuses_also_after_a_start_and_takes_again_when_it_is_delivered() {
    let server = server();
    let small = "journal: {max_bytes: 2MiB}";
    let (mut collector, proxy) = behind_proxy(&server, "full", small);
    let mut sender = Sender::new(collector.http);
    sender.send_until_accepted();
    proxy.set(Plan::Away);
    let refused = sender.send_until_refused();
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(!refused.text().contains("max_bytes"), "for the operator");
    assert_eq!(collector.metric("lapwing_journal_full"), Ok(1.0));
    assert!(collector.metric("lapwing_journal_bytes").expect("a metric") <= 2.1e6);

    collector.process().kill();
    collector.start_again();
    assert_eq!(sender.send().status, 503, "it is as full as it was");
    assert!(collector.process().log().contains("the journal is full"));

    proxy.set(Plan::Pass);
    sender.send_until_accepted();
    sender.judge(&collector);
    assert_eq!(
        collector.metric("lapwing_journal_unaccounted_rows"),
        Ok(0.0)
    );
}

/// A write that the system refuses, here by a limit on the size of files: nothing more is
/// accepted until the next start, and what was is delivered.
#[test]
fn a_write_that_fails_ends_accepting_and_costs_nothing() {
    let server = server();
    let (mut collector, proxy) = behind_proxy(&server, "failing", "");
    let mut sender = Sender::new(collector.http);
    sender.send_until_accepted();
    proxy.set(Plan::Away);
    limit_file_size(collector.process().id(), 1 << 20);
    let refused = sender.send_until_refused();
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(collector.metric("lapwing_journal_failed"), Ok(1.0));
    let log = collector.process().log();
    assert!(log.contains("the journal's disk failed"), "{log}");
    assert!(sender.acknowledged.len() > 10);

    // Delivered without a new start.
    proxy.set(Plan::Pass);
    sender.judge(&collector);
    assert_eq!(sender.send().status, 503, "until the next start");
    collector.process().stop();
    collector.start_again();
    sender.send_until_accepted();
    sender.judge(&collector);
}

/// The soft limit of a running process, in bytes. What the limit does to writes is an error
/// (EFBIG) only for who ignores the signal that comes with it.
fn limit_file_size(pid: u32, bytes: u64) {
    let set = Command::new("prlimit")
        .args(["--pid", &pid.to_string(), &format!("--fsize={bytes}:")])
        .output();
    let set = set.expect("prlimit");
    assert!(set.status.success(), "{set:?}");
}
