//! `storage.mode: server`: the collector in front of a ClickHouse that it did not start.
//!
//! The server is another collector's embedded engine, reached by the writer's door as any user
//! with a password would reach one.

use std::{
    fs,
    io::Write as _,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, Weak},
    thread,
    time::Duration,
};

use lapwing::store::embedded::Door;

use crate::{
    otlp::{span, traces},
    support::{
        clients::now_ns,
        lapwing::Lapwing,
        proxy::Proxy,
        send::{PROTOBUF, post},
        wait::{free_addresses, until},
    },
};

/// Until a program that cannot start has said so.
const END_TIME_MAX: Duration = Duration::from_secs(60);

pub(super) fn server() -> Arc<Lapwing> {
    static SHARED: Mutex<Weak<Lapwing>> = Mutex::new(Weak::new());
    Lapwing::shared(&SHARED)
}

pub(super) fn door(server: &Lapwing) -> Door {
    let door = Door::read(&server.data_dir()).expect("the door is read");
    door.expect("a door")
}

/// A collector in front of `url`, with this password, in a database of its own.
fn launch(server: &Lapwing, database: &str, url: &str, password: &str) -> Lapwing {
    launch_with(server, database, url, password, "")
}

/// A collector in front of the server, with a proxy between them and more lines of configuration.
pub(super) fn behind_proxy(server: &Lapwing, database: &str, more: &str) -> (Lapwing, Proxy) {
    let door = door(server);
    let proxy = Proxy::to(address(&door));
    let url = format!("http://{}", proxy.address);
    let mut collector = launch_with(server, database, &url, &door.key, more);
    collector.wait_until_ready();
    // All of it: who goes away in the middle leaves a lock behind.
    until("the schema", END_TIME_MAX, || {
        let log = collector.process().log();
        match log.contains("schema applied") {
            true => Ok(()),
            false => Err(log),
        }
    });
    (collector, proxy)
}

fn address(door: &Door) -> SocketAddr {
    let address = door.url.strip_prefix("http://").expect("a plain address");
    address.parse().expect("an address")
}

fn launch_with(server: &Lapwing, database: &str, url: &str, password: &str, more: &str) -> Lapwing {
    let file = server.file(&format!("{database}.password"));
    // Written with an editor: a newline at the end.
    fs::write(&file, format!("{password}\n")).expect("a password file");
    let (file, user) = (file.display(), door(server).user);
    Lapwing::launch(
        |_| {
            format!(
                "storage: {{mode: server, clickhouse: {{url: \"{url}\", database: {database}, \
                 user: {user}, password_file: \"{file}\"}}}}"
            )
        },
        more,
    )
}

fn call(name: &str) -> Vec<u8> {
    let call = span(name)
        .client()
        .at_ns(now_ns())
        .attr("gen_ai.operation.name", "chat")
        .attr("gen_ai.request.model", "gpt-4o");
    traces(&[call])
}

/// Sends a call and finds it, by the collector's own command and in the server.
#[track_caller]
fn assert_stores(collector: &Lapwing, server: &Lapwing, database: &str) {
    let answer = post(
        collector.http,
        "/v1/traces",
        &[PROTOBUF],
        &call("chat gpt-4o"),
    );
    assert_eq!((answer.status, answer.text().as_str()), (200, ""));
    let own = "SELECT count() FROM llm_calls";
    assert_eq!(collector.value(own).as_deref(), Ok("1"));
    let there = format!("SELECT count() FROM {database}.llm_calls");
    assert_eq!(server.value(&there).as_deref(), Ok("1"));
}

/// Lets a server appear at an address: what comes there goes to `to`.
fn forward(from: SocketAddr, to: SocketAddr) {
    let listener = TcpListener::bind(from).expect("a free address");
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(to) else {
                continue;
            };
            let pairs = [
                (client.try_clone(), server.try_clone()),
                (server.try_clone(), client.try_clone()),
            ];
            for (from, to) in pairs {
                let (Ok(mut from), Ok(mut to)) = (from, to) else {
                    continue;
                };
                thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Write);
                });
            }
        }
    });
}

#[test]
fn the_schema_is_made_and_rows_arrive() {
    let server = server();
    let door = door(&server);
    let mut collector = launch(&server, "of_a_server", &door.url, &door.key);
    collector.wait_until_ready();
    assert_stores(&collector, &server, "of_a_server");
    let applied = collector.command(&["schema", "apply"]).expect("run");
    let text = String::from_utf8_lossy(&applied.stdout);
    assert!(text.contains("of_a_server is up to date"), "{applied:?}");
    let migrations = "SELECT count() FROM of_a_server.schema_migrations";
    assert_ne!(server.value(migrations).as_deref(), Ok("0"));
}

#[test]
fn a_wrong_password_is_told_and_ends_the_start() {
    let server = server();
    let mut collector = launch(&server, "locked", &door(&server).url, "wrong");
    let status = until("the end of the start", END_TIME_MAX, || {
        collector
            .process()
            .ended()
            .ok_or_else(|| "it runs".to_owned())
    });
    let log = collector.process().log();
    assert_eq!(status.code(), Some(1), "{log}");
    let _ = writeln!(std::io::stderr(), "wrong password: {log}");
    for word in ["password", "storage.clickhouse"] {
        assert!(log.contains(word), "{log}");
    }
    let query = collector.try_query("SELECT 1").expect_err("refused");
    assert!(query.contains("password"), "{query}");
}

#[test]
fn a_server_that_comes_later_is_waited_for() {
    let server = server();
    let door = door(&server);
    let [later] = free_addresses();
    let mut collector = launch(&server, "later", &format!("http://{later}"), &door.key);
    until("the collector says that it waits", END_TIME_MAX, || {
        let log = collector.process().log();
        match log.contains("ClickHouse is not ready, trying again") {
            true => Ok(()),
            false => Err(log),
        }
    });
    // The journal takes what comes meanwhile.
    collector.wait_until_ready();
    let early = post(
        collector.http,
        "/v1/traces",
        &[PROTOBUF],
        &call("chat early"),
    );
    assert_eq!(early.status, 200, "{}", early.text());
    assert_ne!(collector.metric("lapwing_journal_queued_rows"), Ok(0.0));
    forward(later, address(&door));
    let found = "SELECT count() FROM llm_calls";
    assert_eq!(collector.value(found).as_deref(), Ok("1"));
}
