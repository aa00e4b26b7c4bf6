//! The real binary: commands and API, kill -9 in the middle of deliveries, and the history.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    net::TcpStream,
    time::Duration,
};

use lapwing::detect::Kind;
use serde_json::{Value, json};

use super::{
    http,
    receiver::{Answer, FakeReceiver},
};
use crate::support::{lapwing::Lapwing, send::read_answer, wait::until};

const TIME_MAX: Duration = Duration::from_secs(60);
const MESSAGES: usize = 30;
/// A store that nobody runs: alerts do not wait for it.
const NO_STORE: &str = "storage: {mode: server, clickhouse: {url: 'http://127.0.0.1:1'}}";

fn config(fake: &FakeReceiver) -> String {
    format!(
        "alerts:\n  delivery: {{retry_min: 50ms, retry_max: 500ms}}\n  receivers:\n    \
         hook: {{webhook: {{url: '{}', allow_private_addresses: true, timeout: 2s}}}}\n",
        fake.url()
    )
}

fn wait_for_admin(lapwing: &Lapwing) {
    until("the admin port", TIME_MAX, || {
        match http(lapwing.admin, "GET", "/api/v1/alerts", &Value::Null) {
            Ok((200, _)) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
}

#[test]
fn kill_9_during_delivery_loses_no_message_and_doubles_none_by_id() {
    let fake = FakeReceiver::start(|_| Answer::Late(Duration::from_millis(20)));
    let mut lapwing = Lapwing::launch(|_| NO_STORE.to_owned(), &config(&fake));
    wait_for_admin(&lapwing);
    let mut promised = BTreeSet::new();
    let mut killed = 0;
    for n in 0..MESSAGES {
        let (status, answer) = http(
            lapwing.admin,
            "POST",
            "/api/v1/alerts/test",
            &json!({"receiver": "hook"}),
        )
        .unwrap();
        assert_eq!(status, 202, "{answer}");
        promised.insert(answer["id"].as_str().expect("an id").to_owned());
        // Three times, while some are delivered and some wait.
        if n % 10 == 9 {
            fake.wait_for(n / 2);
            lapwing.process().kill();
            lapwing.launch_again();
            wait_for_admin(&lapwing);
            killed += 1;
        }
    }
    assert_eq!(killed, 3);
    let bodies = until("every message", TIME_MAX, || {
        let mut bodies: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for seen in fake.seen() {
            bodies
                .entry(seen.headers["webhook-id"].clone())
                .or_default()
                .insert(seen.body);
        }
        match promised
            .iter()
            .filter(|id| !bodies.contains_key(*id))
            .count()
        {
            0 => Ok(bodies),
            missing => Err(format!("{missing} are missing")),
        }
    });
    assert_eq!(
        bodies.keys().cloned().collect::<BTreeSet<_>>(),
        promised,
        "nothing that was not promised"
    );
    assert!(
        bodies.values().all(|bodies| bodies.len() == 1),
        "a repeated id is the same message"
    );
    until("an empty queue", TIME_MAX, || {
        let (_, answer) = http(lapwing.admin, "GET", "/api/v1/deliveries", &Value::Null)?;
        let waiting = answer["waiting"].as_array().map_or(usize::MAX, Vec::len);
        if waiting == 0 {
            Ok(())
        } else {
            Err(format!("{waiting} wait"))
        }
    });
    // At most the one that was under way at each kill came twice.
    let repeats = fake.seen().len() - promised.len();
    assert!(repeats <= killed, "{repeats} repeats after {killed} kills");
}

#[test]
fn commands_and_api_without_a_store() {
    let fake = FakeReceiver::start(|n| {
        if n == 0 {
            Answer::Status(200)
        } else {
            Answer::Status(400)
        }
    });
    let lapwing = Lapwing::launch(|_| NO_STORE.to_owned(), &config(&fake));
    wait_for_admin(&lapwing);
    let run = |arguments: &[&str]| {
        let output = lapwing.command(arguments).expect("a command");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.code(),
            text(&output.stdout) + &text(&output.stderr),
        )
    };
    let (code, said) = run(&[
        "alert",
        "test",
        "--receiver",
        "hook",
        "--kind",
        "provider_outage",
    ]);
    assert!(code == Some(0) && said.contains("hook has it"), "{said}");
    let body: Value = serde_json::from_str(&fake.seen()[0].body).unwrap();
    assert_eq!(body["data"]["kind"], "provider_outage");
    let (code, said) = run(&["alert", "test", "--receiver", "hook"]);
    assert!(code == Some(1) && said.contains("400"), "{said}");
    let (code, said) = run(&["alert", "test", "--receiver", "nobody"]);
    assert!(code == Some(1) && said.contains("there are hook"), "{said}");

    let (code, said) = run(&[
        "alert",
        "silence",
        "provider=openai",
        "service=~\"a|b\"",
        "--for",
        "30m",
        "--author",
        "ann",
    ]);
    assert!(
        code == Some(0) && said.contains("service=~\"a|b\""),
        "{said}"
    );
    let id = said.split_whitespace().next().expect("an id").to_owned();
    let (code, said) = run(&["alert", "silence", "colour=red"]);
    assert!(
        code == Some(1) && said.contains("alerts have the labels"),
        "{said}"
    );
    let (code, said) = run(&["alert", "silences", "--end", &id]);
    assert_eq!(code, Some(0), "{said}");
    assert!(run(&["alert", "silences"]).1.contains("expired"));
    let (code, said) = run(&["alert", "list"]);
    assert_eq!((code, said.as_str()), (Some(0), "no alerts\n"));
    let (code, said) = run(&["alert", "ack", "0123"]);
    assert!(
        code == Some(1) && said.contains("there is no alert 0123"),
        "{said}"
    );
    assert!(run(&["alert", "deliveries"]).1.contains("it answers 400"));
}

/// The status of a silence asked for with these headers, and the error that came with it.
fn refused(lapwing: &Lapwing, headers: &str) -> (u16, String) {
    let body = r#"{"matchers": ["provider=openai"], "author": "ann"}"#;
    let mut socket = TcpStream::connect(lapwing.admin).expect("a connection");
    let length = body.len();
    let request = format!(
        "POST /api/v1/silences HTTP/1.1\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    socket.write_all(request.as_bytes()).expect("sent");
    let answer = read_answer(&mut socket).expect("an answer");
    (answer.status, answer.text())
}

#[test]
fn the_admin_port_does_nothing_for_foreign_pages_nor_for_the_network_without_a_token() {
    let fake = FakeReceiver::start(|_| Answer::Status(200));
    let mut lapwing = Lapwing::launch(|_| NO_STORE.to_owned(), &config(&fake));
    wait_for_admin(&lapwing);
    let json = "content-type: application/json\r\n";
    let own = format!("host: {}\r\n", lapwing.admin);
    let (status, said) = refused(&lapwing, &format!("host: evil.example\r\n{json}"));
    assert!(status == 421 && said.contains("admin.hosts"), "{said}");
    let (status, said) = refused(&lapwing, &format!("{own}content-type: text/plain\r\n"));
    assert!(status == 415 && said.contains("application/json"), "{said}");
    assert_eq!(refused(&lapwing, &format!("{own}{json}")).0, 201);

    // The same port, open to the network.
    let file = lapwing.file("lapwing.yaml");
    let local = fs::read_to_string(&file).expect("the configuration");
    let listen = format!("\"{}\"", lapwing.admin);
    let open = format!("\"0.0.0.0:{}\"", lapwing.admin.port());
    let mut again = |config: String| {
        fs::write(&file, config).expect("the configuration written");
        lapwing.process().kill();
        lapwing.launch_again();
        wait_for_admin(&lapwing);
        let asked = refused(&lapwing, &format!("{own}{json}"));
        let command = lapwing.command(&["alert", "silence", "provider=openai"]);
        (asked, command.expect("a command").status.success())
    };
    let ((status, said), done) = again(local.replace(&listen, &open));
    assert!(
        status == 403 && said.contains("admin.bearer_token_file") && !done,
        "{said}"
    );
    let token = file.with_file_name("token");
    fs::write(&token, "s3cret-for-the-test\n").expect("a token");
    let with_token = format!("{open}, bearer_token_file: \"{}\"", token.display());
    let ((status, said), done) = again(local.replace(&listen, &with_token));
    assert!(
        status == 401 && said.contains("authorization: Bearer"),
        "{said}"
    );
    assert!(done, "the command sends the token");
}

#[test]
fn the_description_names_every_path_that_answers() {
    let document: Value = serde_json::from_str(lapwing::alert::api::OPENAPI).unwrap();
    let fake = FakeReceiver::start(|_| Answer::Status(200));
    let lapwing = Lapwing::launch(|_| NO_STORE.to_owned(), &config(&fake));
    wait_for_admin(&lapwing);
    let (status, served) =
        http(lapwing.admin, "GET", "/api/v1/openapi.json", &Value::Null).unwrap();
    assert_eq!((status, &served), (200, &document));
    for (path, methods) in document["paths"].as_object().expect("paths") {
        let path = path.replace("{id}", "none").replace("{receiver}", "hook");
        for method in methods.as_object().expect("methods").keys() {
            let body = if method == "get" {
                Value::Null
            } else {
                json!({})
            };
            let (status, answer) =
                http(lapwing.admin, &method.to_uppercase(), &path, &body).unwrap();
            // A known path says what is wrong in words; an unknown one says nothing.
            let told = status == 200 || answer["error"].is_string();
            assert!(told && status != 405, "{method} {path}: {status} {answer}");
        }
    }
    for page in [
        "/",
        "/silence?matcher=kind%3D%22%3Cscript%3E%22",
        "/runbook",
    ] {
        assert_eq!(
            crate::support::lapwing::http_status(lapwing.admin, page),
            Ok(200),
            "{page}"
        );
    }
}

#[test]
fn what_happened_is_in_the_store_and_every_query_of_an_alert_runs_there() {
    let fake = FakeReceiver::start(|_| Answer::Status(200));
    let lapwing = Lapwing::start_with(&config(&fake));
    let (_, answer) = http(
        lapwing.admin,
        "POST",
        "/api/v1/alerts/test",
        &json!({"receiver": "hook"}),
    )
    .unwrap();
    let id = answer["id"].as_str().expect("an id");
    let sql = format!("SELECT outcome, http_status FROM llm_alert_deliveries WHERE id = '{id}'");
    let rows: Vec<Value> = lapwing.wait_for_rows(1, &sql);
    assert_eq!(rows[0], json!({"outcome": "delivered", "http_status": 200}));
    for kind in Kind::ALL {
        let receivers = super::all_receivers();
        let body = super::body(
            &receivers[0],
            lapwing::alert::model::Event::Firing,
            vec![lapwing::alert::sample::incident(kind)],
        );
        let body: Value = serde_json::from_str(&body.expect("a body")).unwrap();
        let sql = body["data"]["links"]["sql"].as_str().unwrap_or_default();
        if !sql.is_empty() {
            lapwing
                .try_query(sql)
                .unwrap_or_else(|error| panic!("{kind:?}: {sql}: {error}"));
        }
    }
}
