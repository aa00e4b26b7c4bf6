//! Hostile model names, tenants and error texts: no receiver's limit is passed, and nothing that
//! comes from outside is markup.

use lapwing::{
    alert::{model::Event, sample},
    detect::{BlastRadius, Delta, Dimension, Incident, Kind, Share},
};
use serde_json::Value;

use super::{all_receivers, body};

const HOSTILE: &str = "<!channel> <script>alert(1)</script> [x](https://evil.example) *b* `c` ```d``` \u{202e}&lt;\r\nBcc: all@example.com\r\n.\r\n{{ data.id }} \"}],\\ \u{0}🦆";

/// Hostile in every text and as long as a megabyte.
fn hostile(kind: Kind) -> Incident {
    let long = HOSTILE.repeat(8_000);
    assert!(long.len() > 1 << 20);
    // The first of each list is a megabyte, the others are only hostile.
    let text = |n: usize| format!("{n}{}", if n == 0 { &long } else { HOSTILE });
    let mut incident = sample::incident(kind);
    for dimension in Dimension::ALL {
        let values = (0..50).map(text).collect();
        incident.scope.insert(dimension, values);
    }
    incident.error = long.clone();
    incident.rule = long.clone();
    incident.codes = (0..100).map(|n| (text(n), n as u64)).collect();
    let share = |n: usize| Share {
        value: text(n),
        share_inside: 0.9,
        share_outside: 0.0,
        lift: f64::INFINITY,
    };
    incident.blast_radius = (0..20)
        .map(|n| BlastRadius {
            dimension: format!("{n}{HOSTILE}"),
            values: (0..10).map(share).collect(),
        })
        .collect();
    incident.not_affected = vec![incident.scope.clone(); 3];
    let delta = Delta {
        what: long.clone(),
        from: long.clone(),
        to: long.clone(),
        at_ns: u64::MAX,
    };
    incident.changes = vec![delta; 10];
    for exemplar in &mut incident.exemplars {
        exemplar.request_id = long.clone();
    }
    incident.observed.value = f64::NAN;
    incident
}

fn bodies(word: &str) -> Vec<String> {
    let receivers = all_receivers();
    let receiver = receivers
        .iter()
        .find(|r| r.via.word() == word)
        .expect("a receiver");
    let mut bodies = Vec::new();
    for event in [Event::Firing, Event::Resolved] {
        for kind in [Kind::QuotaExhausted, Kind::ModelChange, Kind::CostBurn] {
            bodies.push(body(receiver, event, vec![hostile(kind)]).expect("a body"));
        }
        if receiver.via.groups() {
            let many: Vec<Incident> = (0..40).map(|_| sample::incident(Kind::EmptyRise)).collect();
            let mut many = many;
            many.insert(0, hostile(Kind::QuotaExhausted));
            bodies.push(body(receiver, event, many).expect("a body"));
        }
    }
    bodies
}

fn json(word: &str) -> Vec<(Value, usize)> {
    let bodies = bodies(word).into_iter();
    bodies
        .map(|body| (serde_json::from_str(&body).expect("JSON"), body.len()))
        .collect()
}

/// Every text in a document.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(map) => map.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn the_native_payload_stays_below_20_kb() {
    for (body, bytes) in json("webhook") {
        assert!(bytes <= 20_000, "{bytes}");
        assert!(
            texts(&body)
                .iter()
                .all(|text| !text.contains(['\n', '\r', '\u{202e}', '\u{0}']))
        );
    }
}

#[test]
fn slack_takes_it_and_nobody_is_called() {
    for (body, bytes) in json("slack") {
        let all = body.to_string();
        assert!(all.chars().count() <= 13_000, "{bytes}");
        assert!(!all.contains("<!") && !all.contains("<script") && !all.contains("<http"));
        let blocks = body["attachments"][0]["blocks"].as_array().expect("blocks");
        assert!(blocks.len() <= 50);
        for block in blocks {
            let text = block["text"]["text"].as_str().unwrap_or_default();
            let limit = if block["type"] == "header" {
                150
            } else {
                3_000
            };
            assert!(text.chars().count() <= limit, "{limit}: {text}");
            assert!(
                text.matches("```").count().is_multiple_of(2),
                "a code block is left open"
            );
            for button in block["elements"].as_array().into_iter().flatten() {
                assert!(button["url"].as_str().unwrap_or_default().len() <= 3_000);
            }
        }
    }
}

#[test]
fn pagerduty_takes_it() {
    for (body, bytes) in json("pagerduty") {
        assert!(bytes <= 512_000, "{bytes}");
        assert!(body["dedup_key"].as_str().expect("a key").len() <= 255);
        let summary = body["payload"]["summary"].as_str().unwrap_or_default();
        assert!(summary.chars().count() <= 1_024);
    }
}

#[test]
fn teams_takes_it_and_no_link_is_smuggled_in() {
    for (body, bytes) in json("teams") {
        assert!(bytes <= 21_000, "{bytes}");
        let card = &body["attachments"][0]["content"]["body"];
        assert!(
            texts(card).iter().all(|text| !text.contains("[x](")),
            "{card}"
        );
    }
}

#[test]
fn alertmanager_takes_it() {
    for word in ["alertmanager", "alertmanager_webhook"] {
        for (body, _) in json(word) {
            let alerts = body
                .as_array()
                .or_else(|| body["alerts"].as_array())
                .expect("alerts");
            assert!(alerts.len() <= 41);
            for alert in alerts {
                let labels = alert["labels"].as_object().expect("labels");
                let plain =
                    |name: &String| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
                assert!(labels.keys().all(plain));
                assert!(
                    labels
                        .values()
                        .all(|v| !v.as_str().unwrap_or_default().contains('\n'))
                );
            }
        }
    }
}

#[test]
fn a_mail_has_the_headers_that_we_wrote_and_no_others() {
    for mail in bodies("email") {
        let (head, content) = mail.split_once("\r\n\r\n").expect("a mail");
        let names: Vec<&str> = head
            .split("\r\n")
            .filter(|line| !line.starts_with(' '))
            .map(|line| line.split(':').next().unwrap_or_default())
            .collect();
        assert_eq!(
            names,
            [
                "Date",
                "From",
                "To",
                "Subject",
                "Message-ID",
                "References",
                "Auto-Submitted",
                "MIME-Version",
                "Content-Type",
                "Content-Transfer-Encoding"
            ]
        );
        assert!(
            mail.split("\r\n")
                .all(|line| line.len() <= 78 && line.is_ascii())
        );
        assert!(content.split("\r\n").all(|line| !line.starts_with('.')));
    }
}

#[test]
fn a_template_keeps_its_form() {
    for (body, _) in json("json") {
        let names: Vec<&String> = body.as_object().expect("an object").keys().collect();
        assert_eq!(names, ["details", "first_trace", "impact", "summary"]);
        let summary = body["summary"].as_str().unwrap_or_default();
        assert!(
            !summary.contains("1a70"),
            "a template within a text is text: {summary}"
        );
    }
}
