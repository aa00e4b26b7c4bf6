//! A message leaves the outbox delivered, or dead with a reason.

use super::*;

const S: u64 = 1_000_000_000;
const RETRY: Retry = Retry {
    min: Duration::from_secs(5),
    max: Duration::from_secs(60),
    give_up_after: Duration::from_secs(600),
};

fn message(id: &str, alert: &str) -> Message {
    Message {
        id: id.into(),
        receiver: "hook".into(),
        body: "{}".into(),
        alert_ids: vec![alert.into()],
        created_ns: 0,
        attempts: 0,
        next_at_ns: 0,
        reason: String::new(),
    }
}

fn later(reason: &str) -> Outcome {
    Outcome::Retry {
        status: Some(500),
        reason: reason.into(),
        after: None,
    }
}

fn next(outbox: &Outbox, at_s: u64) -> Option<String> {
    outbox.next("hook", at_s * S).map(|m| m.id.clone())
}

#[test]
fn a_message_about_another_alert_overtakes_one_that_waits() {
    let mut outbox = Outbox::default();
    outbox.put(message("a1", "a"));
    outbox.put(message("a2", "a"));
    outbox.put(message("b1", "b"));
    outbox.attempted(&message("a1", "a"), later("busy"), 0, &RETRY, 0);
    assert_eq!(
        next(&outbox, 1).as_deref(),
        Some("b1"),
        "a2 stays behind a1"
    );
    outbox.attempted(
        &message("b1", "b"),
        Outcome::Delivered { status: Some(200) },
        0,
        &RETRY,
        S,
    );
    assert_eq!(next(&outbox, 1), None);
    assert_eq!(next(&outbox, 7).as_deref(), Some("a1"));
}

#[test]
fn a_message_is_taken_in_once_and_never_after_it_was_delivered() {
    let mut outbox = Outbox::default();
    assert_eq!(outbox.put(message("a", "a")).len(), 1);
    assert_eq!(outbox.put(message("a", "a")).len(), 0);
    outbox.attempted(
        &message("a", "a"),
        Outcome::Delivered { status: Some(200) },
        0,
        &RETRY,
        0,
    );
    assert_eq!(outbox.put(message("a", "a")).len(), 0);
    assert_eq!(next(&outbox, 100), None);
}

#[test]
fn retries_grow_apart_obey_the_receiver_and_end_as_a_dead_letter() {
    let mut outbox = Outbox::default();
    outbox.put(message("a", "a"));
    let asked = Outcome::Retry {
        status: Some(429),
        reason: "slow down".into(),
        after: Some(Duration::from_secs(40)),
    };
    outbox.attempted(&message("a", "a"), asked, 0, &RETRY, 0);
    assert_eq!(
        (next(&outbox, 39), next(&outbox, 40).as_deref()),
        (None, Some("a"))
    );
    let mut now_ns = 40 * S;
    let mut pauses = Vec::new();
    loop {
        let Some(waits) = outbox.waiting().next().cloned() else {
            break;
        };
        now_ns = now_ns.max(waits.next_at_ns);
        outbox.attempted(&waits, later("down"), 0, &RETRY, now_ns);
        if let Some(after) = outbox.waiting().next() {
            pauses.push((after.next_at_ns - now_ns) / S);
        }
    }
    assert!(pauses.windows(2).all(|p| p[1] * 2 >= p[0]), "{pauses:?}");
    assert!(
        pauses.iter().all(|p| *p <= 72),
        "the longest is a minute and a fifth: {pauses:?}"
    );
    let dead = outbox.dead().next().unwrap();
    assert!(
        dead.reason.contains("given up after") && dead.reason.contains("down"),
        "{}",
        dead.reason
    );
}

#[test]
fn who_is_gone_is_disabled_until_configured_anew() {
    let mut outbox = Outbox::default();
    outbox.put(message("a", "a"));
    outbox.put(message("b", "b"));
    let gone = Outcome::Gone {
        status: Some(410),
        reason: "it answers 410 Gone".into(),
    };
    outbox.attempted(&message("a", "a"), gone, 7, &RETRY, 0);
    assert_eq!(outbox.waiting().count(), 0);
    assert_eq!(outbox.dead().count(), 2);
    outbox.put(message("c", "c"));
    assert_eq!(outbox.dead().count(), 3, "straight to the dead letters");
    assert!(
        outbox.configured("hook", 7).is_empty(),
        "the same as it was"
    );
    assert_eq!(outbox.configured("hook", 8).len(), 1);
    outbox.put(message("d", "d"));
    assert_eq!(next(&outbox, 1).as_deref(), Some("d"));
}

#[test]
fn a_dead_letter_can_be_sent_once_more() {
    let mut outbox = Outbox::default();
    outbox.put(message("a", "a"));
    let refused = Outcome::Refused {
        status: Some(400),
        reason: "it answers 400".into(),
    };
    outbox.attempted(&message("a", "a"), refused, 0, &RETRY, 0);
    assert_eq!(next(&outbox, 10), None);
    assert!(outbox.replay("hook", "b", 20 * S).is_none());
    assert!(outbox.replay("hook", "a", 20 * S).is_some());
    assert_eq!(next(&outbox, 20).as_deref(), Some("a"));
    assert_eq!(outbox.dead().count(), 0);
}

#[test]
fn its_notes_make_the_same_outbox_again() {
    let mut outbox = Outbox::default();
    for id in ["a", "b", "c", "d"] {
        outbox.put(message(id, id));
    }
    outbox.attempted(
        &message("a", "a"),
        Outcome::Delivered { status: None },
        0,
        &RETRY,
        0,
    );
    outbox.attempted(&message("b", "b"), later("busy"), 0, &RETRY, 0);
    let refused = Outcome::Refused {
        status: None,
        reason: "no".into(),
    };
    outbox.attempted(&message("c", "c"), refused, 0, &RETRY, 0);
    let mut again = Outbox::default();
    outbox
        .notes()
        .into_iter()
        .for_each(|note| again.apply(note));
    assert_eq!(outbox.notes(), again.notes());
    assert_eq!(again.waiting().count(), 2);
    assert!(again.is_done("hook", "a"));
}
