//! Starting, stopping and dying while spans come: what was acknowledged is in the store.

use std::{
    collections::{HashMap, HashSet},
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::Command,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, Scope, ScopedJoinHandle},
    time::Duration,
};

use lapwing::store::embedded::Door;
use serde::Deserialize;

use super::server_mode::{behind_proxy, server};
use crate::{
    otlp::{span, traces},
    support::{
        clients::now_ns,
        lapwing::{Lapwing, http_status},
        proxy::Plan,
        send::{PROTOBUF, read_answer, try_post},
        wait::until,
    },
};

const SENDERS: u64 = 4;
/// Enough to be in the middle of things.
const SPANS_MIN: usize = 40;
const TIME_MAX: Duration = Duration::from_secs(120);

/// Sends spans, each with an id of its own, and remembers which were acknowledged.
struct Senders {
    to: SocketAddr,
    next: AtomicU64,
    acknowledged: Mutex<HashSet<u64>>,
    done: AtomicBool,
}

#[derive(Debug, Deserialize)]
struct Stored {
    id: String,
    copies: u32,
}

impl Senders {
    fn new(to: SocketAddr) -> Self {
        Self {
            to,
            next: AtomicU64::new(1),
            acknowledged: Mutex::default(),
            done: AtomicBool::new(false),
        }
    }

    fn start<'s>(&'s self, scope: &'s Scope<'s, '_>) -> Vec<ScopedJoinHandle<'s, ()>> {
        let one = || {
            while !self.done.load(Ordering::Relaxed) {
                let id = self.next.fetch_add(1, Ordering::Relaxed);
                let body = traces(&[span("chat gpt-4o")
                    .id(id)
                    .at_ns(now_ns())
                    .attr("gen_ai.operation.name", "chat")]);
                // What is not acknowledged is not promised: the next span is another one.
                let answer = try_post(self.to, "/v1/traces", &[PROTOBUF], &body);
                if answer.is_ok_and(|answer| answer.status == 200) {
                    self.acknowledged().insert(id);
                }
            }
        };
        (0..SENDERS).map(|_| scope.spawn(one)).collect()
    }

    fn acknowledged(&self) -> std::sync::MutexGuard<'_, HashSet<u64>> {
        let lock = self.acknowledged.lock();
        lock.unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for(&self, count: usize) {
        until("acknowledged spans", TIME_MAX, || {
            match self.acknowledged().len() {
                n if n >= count => Ok(()),
                n => Err(format!("{n} of {count}")),
            }
        });
    }

    /// Every acknowledged span is stored; says how many more there are.
    #[track_caller]
    fn assert_all_stored(&self, lapwing: &Lapwing, what: &str) {
        let sql = "SELECT SpanId AS id, toUInt32(count()) AS copies FROM otel_traces GROUP BY id";
        let stored: Vec<Stored> = lapwing.rows(sql).expect("rows");
        let copies: HashMap<u64, u32> = stored
            .iter()
            .map(|row| (u64::from_str_radix(&row.id, 16).expect("an id"), row.copies))
            .collect();
        let acknowledged = self.acknowledged();
        let lost: Vec<&u64> = acknowledged
            .iter()
            .filter(|id| !copies.contains_key(id))
            .collect();
        let doubled = copies.values().filter(|copies| **copies > 1).count();
        let _ = writeln!(
            std::io::stderr(),
            "{what}: {} acknowledged, {} stored, {} lost, {doubled} doubled",
            acknowledged.len(),
            copies.len(),
            lost.len()
        );
        assert!(lost.is_empty(), "{lost:?}");
    }
}

/// Ends the senders when the test leaves, by a panic too.
struct Done<'a>(&'a Senders);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.done.store(true, Ordering::Relaxed);
    }
}

#[test]
fn an_orderly_stop_keeps_everything_acknowledged() {
    let mut lapwing = Lapwing::start();
    let senders = Senders::new(lapwing.http);
    thread::scope(|scope| {
        let done = Done(&senders);
        senders.start(scope);
        senders.wait_for(SPANS_MIN);
        let status = lapwing.process().stop().expect("it ends by itself");
        assert!(status.success(), "{status}");
        drop(done);
    });
    assert!(
        lapwing
            .process()
            .log()
            .contains("everything acknowledged is stored")
    );
    lapwing.start_again();
    senders.assert_all_stored(&lapwing, "SIGTERM");
}

#[test]
fn not_ready_is_told_while_the_last_requests_end() {
    let mut lapwing = Lapwing::start();
    let body = traces(&[span("the last").at_ns(now_ns())]);
    let mut last = TcpStream::connect(lapwing.http).expect("a connection");
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: x\r\nconnection: close\r\nexpect: 100-continue\r\n\
         content-type: application/x-protobuf\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    last.write_all(head.as_bytes()).expect("sent");
    // It has been read, and its body is waited for: from here on it is a request that must end.
    let go_on = b"HTTP/1.1 100 Continue\r\n\r\n";
    let mut read = [0; 25];
    last.read_exact(&mut read).expect("an answer to the head");
    assert_eq!(&read, go_on);
    terminate(&mut lapwing);
    until("not ready", TIME_MAX, || {
        match http_status(lapwing.admin, "/readyz")? {
            503 => Ok(()),
            other => Err(other.to_string()),
        }
    });
    last.write_all(&body).expect("still read");
    let answer = read_answer(&mut last).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    until("the end", TIME_MAX, || {
        lapwing
            .process()
            .ended()
            .ok_or_else(|| "it runs".to_owned())
    });
    lapwing.start_again();
    let count = "SELECT count() FROM otel_traces WHERE SpanName = 'the last'";
    assert_eq!(lapwing.value(count).as_deref(), Ok("1"));
}

/// The store is away, so the first signal has something to wait for.
#[test]
fn a_second_signal_ends_at_once_and_loses_nothing() {
    let server = server();
    let (mut lapwing, proxy) = behind_proxy(&server, "second_signal", "");
    let senders = Senders::new(lapwing.http);
    thread::scope(|scope| {
        let done = Done(&senders);
        proxy.set(Plan::Away);
        senders.start(scope);
        senders.wait_for(SPANS_MIN);
        terminate(&mut lapwing);
        until("the first signal to be heard", TIME_MAX, || {
            let log = lapwing.process().log();
            match log.contains("a second signal ends at once") {
                true => Ok(()),
                false => Err(log),
            }
        });
        terminate(&mut lapwing);
        let status = until("the end", TIME_MAX, || {
            let ended = lapwing.process().ended();
            ended.ok_or_else(|| "it runs".to_owned())
        });
        // Not 0: it was not orderly.
        assert_eq!(status.code(), Some(1));
        let log = lapwing.process().log();
        assert!(!log.contains("stopped:"), "{log}");
        drop(done);
    });
    proxy.set(Plan::Pass);
    lapwing.start_again();
    senders.assert_all_stored(&lapwing, "second signal");
}

fn terminate(lapwing: &mut Lapwing) {
    let id = lapwing.process().id().to_string();
    let sent = Command::new("kill").args(["-TERM", &id]).status();
    assert!(sent.expect("kill").success());
}

#[test]
fn a_killed_engine_costs_nothing_that_was_acknowledged() {
    let lapwing = Lapwing::start();
    let senders = Senders::new(lapwing.http);
    thread::scope(|scope| {
        let done = Done(&senders);
        senders.start(scope);
        senders.wait_for(SPANS_MIN);
        let door = Door::read(&lapwing.data_dir())
            .expect("read")
            .expect("a door");
        let killed = Command::new("kill")
            .args(["-KILL", &door.pid.to_string()])
            .status();
        assert!(killed.expect("kill").success());
        let before = senders.acknowledged().len();
        // It comes back, and goes on taking spans.
        senders.wait_for(before + SPANS_MIN);
        drop(done);
    });
    senders.assert_all_stored(&lapwing, "engine killed");
}

#[test]
fn a_second_one_says_what_is_in_its_way() {
    let lapwing = Lapwing::start();
    let port = lapwing.command(&["serve"]).expect("run");
    let text = String::from_utf8_lossy(&port.stderr);
    assert_eq!(port.status.code(), Some(1), "{text}");
    for word in ["cannot listen on", "receivers.otlp.grpc.listen"] {
        assert!(text.contains(word), "{text}");
    }

    let any = "127.0.0.1:0";
    let directory = Command::new(env!("CARGO_BIN_EXE_lapwing"))
        .args(["serve", "--config"])
        .arg(lapwing.file("lapwing.yaml"))
        .env("LAPWING_RECEIVERS_OTLP_GRPC_LISTEN", any)
        .env("LAPWING_RECEIVERS_OTLP_HTTP_LISTEN", any)
        .env("LAPWING_ADMIN_LISTEN", any)
        .env("LAPWING_STORAGE_EMBEDDED_LISTEN", any)
        .output()
        .expect("run");
    let text = String::from_utf8_lossy(&directory.stderr);
    assert_eq!(directory.status.code(), Some(1), "{text}");
    assert!(
        text.contains("in use by") && text.contains("data_dir"),
        "{text}"
    );
    // And the first goes on.
    assert_eq!(lapwing.value("SELECT 1").as_deref(), Ok("1"));
}

#[test]
fn every_mistake_of_a_configuration_is_listed() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("bad.yaml");
    let config = "recievers: {otlp: {}}\n\
                  admin: {listen: nowhere}\n\
                  storage:\n  mode: clustered\n  batch: {max_rows: many}\n";
    std::fs::write(&file, config).expect("written");
    let check = Command::new(env!("CARGO_BIN_EXE_lapwing"))
        .args(["check", "--config"])
        .arg(&file)
        .output()
        .expect("run");
    let text = String::from_utf8_lossy(&check.stderr);
    assert_eq!(check.status.code(), Some(2), "{text}");
    let mistakes = [
        "recievers",
        "receivers",
        "admin.listen",
        "storage.mode",
        "storage.batch.max_rows",
    ];
    for word in mistakes {
        assert!(text.contains(word), "{word}: {text}");
    }
    for line in [":1", ":2", ":4", ":5"] {
        assert!(text.contains(line), "line {line}: {text}");
    }
}

#[test]
fn the_version_is_told() {
    let version = Command::new(env!("CARGO_BIN_EXE_lapwing"))
        .arg("--version")
        .output()
        .expect("run");
    assert!(version.status.success());
    let text = String::from_utf8_lossy(&version.stdout);
    assert!(
        text.starts_with(concat!("lapwing ", env!("CARGO_PKG_VERSION"))),
        "{text}"
    );
}
