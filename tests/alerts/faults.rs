//! Receivers that misbehave: each alert arrives once by its key, or is a dead letter with the reason.

use std::{collections::BTreeSet, time::Duration};

use lapwing::{
    alert::{
        deliver::sign,
        options::{Email, MailTls, Receiver, Via},
    },
    detect::{Kind, State},
};

use super::{
    Life, SECRET, now, options,
    receiver::{Answer, FakeReceiver, Seen},
    receiver_by,
};

const FIRING: &str = "lw_1a70000000000002_firing";
const RESOLVED: &str = "lw_1a70000000000002_resolved";

fn webhook(url: &str) -> Receiver {
    let secrets = sign::secrets(SECRET).unwrap();
    receiver_by(
        "hook",
        Via::Webhook {
            url: url.to_owned(),
            secrets,
        },
    )
}

/// One quota incident to a receiver that answers by the script; what came of it and what was seen.
fn told(
    script: impl Fn(usize) -> Answer + Send + Sync + 'static,
) -> (&'static str, String, Vec<Seen>) {
    let fake = FakeReceiver::start(script);
    let dir = tempfile::tempdir().unwrap();
    let life = Life::begin(options(vec![webhook(&fake.url())]), dir.path());
    life.tell(State::Opened, &now(Kind::QuotaExhausted));
    let (state, reason) = life.fate("hook", FIRING);
    (state, reason, fake.seen())
}

/// Every attempt has the same key and body, and a signature that holds.
fn assert_one_message(seen: &[Seen]) {
    let keys: BTreeSet<&str> = seen
        .iter()
        .map(|s| s.headers["webhook-id"].as_str())
        .collect();
    assert_eq!(keys, BTreeSet::from([FIRING]));
    assert!(seen.iter().all(|s| s.headers["idempotency-key"] == FIRING));
    assert!(seen.windows(2).all(|pair| pair[0].body == pair[1].body));
    seen.iter().for_each(assert_signed);
}

/// By the public library of Standard Webhooks.
fn assert_signed(seen: &Seen) {
    let verifier = standardwebhooks::Webhook::new(SECRET).unwrap();
    let mut headers = http::HeaderMap::new();
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        headers.insert(name, seen.headers[name].parse().unwrap());
    }
    verifier
        .verify(seen.body.as_bytes(), &headers)
        .expect("a good signature");
    assert!(
        verifier
            .verify(format!("{} ", seen.body).as_bytes(), &headers)
            .is_err()
    );
}

#[test]
fn a_webhook_is_signed_as_the_public_library_wants_it() {
    let (state, _, seen) = told(|_| Answer::Status(200));
    assert_eq!((state, seen.len()), ("delivered", 1));
    assert_one_message(&seen);
    let body: serde_json::Value = serde_json::from_str(&seen[0].body).unwrap();
    assert_eq!(body["type"], "alert.firing");
    assert_eq!(body["data"]["verdict"]["fault_domain"], "ours");
}

#[test]
fn two_secrets_both_sign_so_that_one_can_be_replaced() {
    let new = "whsec_cm90YXRpb24tcm90YXRpb24tcm90YXRpb24=";
    let fake = FakeReceiver::start(|_| Answer::Status(204));
    let dir = tempfile::tempdir().unwrap();
    let secrets = sign::secrets(&format!("{new}\n{SECRET}\n")).unwrap();
    let receiver = receiver_by(
        "hook",
        Via::Webhook {
            url: fake.url(),
            secrets,
        },
    );
    let life = Life::begin(options(vec![receiver]), dir.path());
    life.tell(State::Opened, &now(Kind::QuotaExhausted));
    let seen = fake.wait_for(1);
    assert_eq!(seen[0].headers["webhook-signature"].split(' ').count(), 2);
    assert_signed(&seen[0]);
}

#[test]
fn five_hundreds_and_resets_end_in_one_delivery() {
    let (state, _, seen) = told(|n| match n {
        0 => Answer::Status(500),
        1 => Answer::Reset,
        2 => Answer::Status(503),
        _ => Answer::Status(200),
    });
    assert_eq!((state, seen.len()), ("delivered", 4));
    assert_one_message(&seen);
}

#[test]
fn a_slow_receiver_is_tried_again_with_the_same_key() {
    let (state, _, seen) = told(|n| match n {
        0 => Answer::Silence,
        _ => Answer::Status(200),
    });
    assert_eq!((state, seen.len()), ("delivered", 2));
    assert_one_message(&seen);
}

#[test]
fn a_busy_receiver_gets_the_pause_that_it_asks_for() {
    let (state, _, seen) = told(|n| match n {
        0 => Answer::With(429, "retry-after", "2".into()),
        _ => Answer::Status(200),
    });
    assert_eq!((state, seen.len()), ("delivered", 2));
    assert!(seen[1].at - seen[0].at >= Duration::from_secs(2));
    assert_one_message(&seen);
}

#[test]
fn a_receiver_that_is_down_makes_a_dead_letter_with_the_reason() {
    let [closed] = crate::support::wait::free_addresses();
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(vec![webhook(&format!("http://{closed}/hook"))]);
    options.retry.give_up_after = Duration::from_secs(1);
    let life = Life::begin(options, dir.path());
    life.tell(State::Opened, &now(Kind::QuotaExhausted));
    let (state, reason) = life.fate("hook", FIRING);
    assert_eq!(state, "dead");
    assert!(
        reason.contains("given up after") && reason.contains("refused"),
        "{reason}"
    );
}

#[test]
fn a_redirect_to_a_link_local_address_is_not_followed() {
    let (state, reason, seen) = told(|_| {
        Answer::With(
            302,
            "location",
            "http://169.254.169.254/latest/meta-data/".into(),
        )
    });
    assert_eq!((state, seen.len()), ("dead", 1));
    assert!(
        reason.contains("169.254.169.254") && reason.contains("not followed"),
        "{reason}"
    );
}

#[test]
fn an_address_inside_is_refused_unless_allowed_by_name_and_by_number() {
    let fake = FakeReceiver::start(|_| Answer::Status(200));
    let port = fake.address.port();
    for host in [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "0x7f.1",
        "169.254.169.254",
        "10.0.0.1",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut receiver = webhook(&format!("http://{host}:{port}/hook"));
        receiver.allow_private_addresses = false;
        let life = Life::begin(options(vec![receiver]), dir.path());
        life.tell(State::Opened, &now(Kind::QuotaExhausted));
        let (state, reason) = life.fate("hook", FIRING);
        assert_eq!(state, "dead", "{host}");
        assert!(
            reason.contains("allow_private_addresses"),
            "{host}: {reason}"
        );
    }
    assert_eq!(fake.seen().len(), 0);
}

#[test]
fn who_answers_gone_is_left_alone() {
    let fake = FakeReceiver::start(|_| Answer::Status(410));
    let dir = tempfile::tempdir().unwrap();
    let life = Life::begin(options(vec![webhook(&fake.url())]), dir.path());
    let incident = now(Kind::QuotaExhausted);
    life.tell(State::Opened, &incident);
    assert_eq!(life.fate("hook", FIRING).0, "dead");
    life.tell(State::Closed, &incident);
    let (state, reason) = life.fate("hook", RESOLVED);
    assert!(state == "dead" && reason.contains("disabled"), "{reason}");
    assert_eq!(fake.seen().len(), 1);
}

#[test]
fn a_wrong_request_is_not_repeated() {
    let (state, reason, seen) = told(|_| Answer::Status(400));
    assert_eq!((state, seen.len()), ("dead", 1));
    assert!(reason.contains("400"), "{reason}");
}

#[test]
fn a_crash_neither_repeats_nor_forgets() {
    let fake = FakeReceiver::start(|_| Answer::Status(200));
    let dir = tempfile::tempdir().unwrap();
    let incident = now(Kind::QuotaExhausted);
    let life = Life::begin(options(vec![webhook(&fake.url())]), dir.path());
    life.tell(State::Opened, &incident);
    life.fate("hook", FIRING);
    drop(life);
    let life = Life::begin(options(vec![webhook(&fake.url())]), dir.path());
    // A detector that replays its journal says it again.
    life.tell(State::Opened, &incident);
    life.tell(State::Closed, &incident);
    life.fate("hook", RESOLVED);
    let events: Vec<String> = fake
        .seen()
        .iter()
        .map(|s| s.headers["webhook-id"].clone())
        .collect();
    assert_eq!(events, [FIRING, RESOLVED]);
}

#[test]
fn what_waits_while_the_receiver_is_down_survives_a_crash_and_keeps_its_order() {
    let [later] = crate::support::wait::free_addresses();
    let dir = tempfile::tempdir().unwrap();
    let incident = now(Kind::QuotaExhausted);
    let life = Life::begin(
        options(vec![webhook(&format!("http://{later}/hook"))]),
        dir.path(),
    );
    life.tell(State::Opened, &incident);
    crate::support::wait::until("a first attempt", Duration::from_secs(20), || {
        let report = life.handle.delivery("hook", FIRING).ok_or("not there")?;
        if report.attempts > 0 {
            Ok(())
        } else {
            Err("no attempt".to_owned())
        }
    });
    life.tell(State::Closed, &incident);
    drop(life);
    let fake = FakeReceiver::start(|_| Answer::Status(200));
    let life = Life::begin(options(vec![webhook(&fake.url())]), dir.path());
    life.fate("hook", RESOLVED);
    let events: Vec<String> = fake
        .seen()
        .iter()
        .map(|s| s.headers["webhook-id"].clone())
        .collect();
    assert_eq!(events, [FIRING, RESOLVED]);
}

#[test]
fn a_key_is_sent_but_never_written_to_disk() {
    let fake = FakeReceiver::start(|_| Answer::Status(202));
    let dir = tempfile::tempdir().unwrap();
    let via = Via::PagerDuty {
        url: fake.url(),
        routing_key: "R0UTINGKEY".into(),
    };
    let life = Life::begin(options(vec![receiver_by("hook", via)]), dir.path());
    life.tell(State::Opened, &now(Kind::QuotaExhausted));
    life.fate("hook", FIRING);
    let body: serde_json::Value = serde_json::from_str(&fake.seen()[0].body).unwrap();
    assert_eq!(body["routing_key"], "R0UTINGKEY");
    assert_eq!(body["event_action"], "trigger");
    let log = std::fs::read_to_string(dir.path().join("alerts/state.log")).unwrap();
    assert!(log.contains("trigger") && !log.contains("R0UTINGKEY"));
}

#[test]
fn a_mail_server_that_is_busy_at_first_gets_the_mail_once() {
    let (address, talk) = mail_server();
    let dir = tempfile::tempdir().unwrap();
    let mail = Email {
        host: "127.0.0.1".into(),
        port: address.port(),
        tls: MailTls::None,
        user: "lapwing".into(),
        password: "hunter2".into(),
        from: "lapwing@example.com".into(),
        to: vec!["a@example.com".into(), "b@example.com".into()],
    };
    let mut receiver = receiver_by("hook", Via::Email(mail));
    receiver.timeout = Duration::from_secs(10);
    let life = Life::begin(options(vec![receiver]), dir.path());
    life.tell(State::Opened, &now(Kind::QuotaExhausted));
    assert_eq!(life.fate("hook", FIRING).0, "delivered");
    let talk = talk.lock().unwrap().clone();
    let said: Vec<&str> = talk
        .iter()
        .map(|line| line.split(['\r', ':']).next().unwrap_or_default())
        .collect();
    let second = said
        .iter()
        .skip(1)
        .position(|l| l.starts_with("EHLO"))
        .unwrap()
        + 1;
    assert_eq!(
        said[second..second + 5],
        [
            "EHLO lapwing.localdomain",
            "AUTH PLAIN AGxhcHdpbmcAaHVudGVyMg==",
            "MAIL FROM",
            "RCPT TO",
            "RCPT TO"
        ]
    );
    let mail = &talk[second + 6];
    assert!(
        mail.contains("Subject: ")
            && mail.contains("Message-ID: <lw_1a70000000000002_firing@example.com>"),
        "{mail}"
    );
}

type Talk = std::sync::Arc<std::sync::Mutex<Vec<String>>>;

/// A mail server that refuses the first sender for now; gives what it was told.
fn mail_server() -> (std::net::SocketAddr, Talk) {
    use std::io::{BufRead, BufReader, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let talk = Talk::default();
    let heard = std::sync::Arc::clone(&talk);
    std::thread::spawn(move || {
        for (n, socket) in listener.incoming().flatten().enumerate() {
            let mut reader = BufReader::new(socket.try_clone().unwrap());
            let say = |line: &str| (&socket).write_all(format!("{line}\r\n").as_bytes());
            let _ = say("220 mail.example");
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 {
                    break;
                }
                heard.lock().unwrap().push(line.clone());
                let _ = match line.split([' ', '\r']).next().unwrap_or_default() {
                    "EHLO" => say("250-mail.example\r\n250-AUTH PLAIN LOGIN\r\n250 SIZE 1000000"),
                    "AUTH" => say("235 welcome"),
                    "MAIL" if n == 0 => say("451 try again later"),
                    "DATA" => {
                        let _ = say("354 go on");
                        let mut mail = String::new();
                        while !mail.ends_with("\r\n.\r\n")
                            && reader.read_line(&mut mail).unwrap_or(0) > 0
                        {
                        }
                        heard.lock().unwrap().push(mail);
                        say("250 queued")
                    }
                    _ => say("250 ok"),
                };
            }
        }
    });
    (address, talk)
}
