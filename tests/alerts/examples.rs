//! Golden payloads of every receiver and state, and `docs/alerts.md`: one incident of each kind as
//! people read it. Set `LAPWING_TEST_WRITE=1` to write the document anew, then read it.

use std::{fmt::Write as _, path::Path};

use lapwing::{
    alert::{
        model::Event,
        options::{MailTls, Via},
        sample,
    },
    detect::{Confidence, Incident, Kind, Severity},
};
use serde_json::{Value, json};

use super::{all_receivers, body};

/// JSON as JSON, a mail as its lines with the content decoded.
fn shown(body: Option<String>) -> Value {
    use base64::Engine as _;
    let Some(body) = body else { return Value::Null };
    if let Ok(json) = serde_json::from_str(&body) {
        return json;
    }
    let (head, content) = body.split_once("\r\n\r\n").expect("a mail");
    let content: String = content.split("\r\n").collect();
    let content = base64::engine::general_purpose::STANDARD
        .decode(content)
        .expect("base64");
    let content = String::from_utf8(content).expect("UTF-8");
    let lines = head.split("\r\n").chain([""]).chain(content.split("\r\n"));
    json!(lines.collect::<Vec<_>>())
}

#[test]
fn every_receiver_in_every_state() {
    for receiver in all_receivers() {
        let quota = || sample::incident(Kind::QuotaExhausted);
        let mut states = serde_json::Map::new();
        for event in [
            Event::Firing,
            Event::Updated,
            Event::Acknowledged,
            Event::Resolved,
        ] {
            let mut incident = quota();
            if event == Event::Updated {
                incident.severity = Severity::Page;
                incident
                    .scope
                    .remove(&lapwing::detect::Dimension::RequestModel);
            }
            states.insert(
                event.as_str().to_owned(),
                shown(body(&receiver, event, vec![incident])),
            );
        }
        if receiver.via.groups() {
            let group = vec![quota(), sample::incident(Kind::CostBurn)];
            states.insert(
                "two".to_owned(),
                shown(body(&receiver, Event::Firing, group)),
            );
        }
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path("golden");
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings
            .bind(|| insta::assert_json_snapshot!(receiver.name.clone(), Value::Object(states)));
    }
    assert_eq!(MailTls::StartTls, MailTls::StartTls);
}

/// The text of a Slack message, as a person sees it.
fn slack_text(body: &Value) -> String {
    let mut out = String::new();
    let blocks = body["attachments"][0]["blocks"].as_array().expect("blocks");
    for block in blocks {
        match block["type"].as_str().unwrap_or_default() {
            "header" | "section" => {
                let _ = writeln!(
                    out,
                    "{}",
                    block["text"]["text"].as_str().unwrap_or_default()
                );
            }
            "context" => {
                let _ = writeln!(
                    out,
                    "{}",
                    block["elements"][0]["text"].as_str().unwrap_or_default()
                );
            }
            _ => {
                let buttons = block["elements"].as_array().into_iter().flatten();
                let names: Vec<String> = buttons
                    .map(|b| format!("[{}]", b["text"]["text"].as_str().unwrap_or_default()))
                    .collect();
                let _ = writeln!(out, "{}", names.join(" "));
            }
        }
    }
    out.replace("&amp;", "&")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
}

/// Refused calls of which none says which limit was hit.
fn unnamed_quota() -> Incident {
    let mut incident = sample::incident(Kind::QuotaExhausted);
    incident.failure_class = "llm.rate_limit.unspecified".to_owned();
    incident.confidence = Confidence::Medium;
    incident.codes = vec![("429".to_owned(), 430)];
    incident.error = "Too Many Requests".to_owned();
    incident
}

#[test]
fn a_quota_that_no_error_names_is_told_as_a_guess() {
    for receiver in all_receivers() {
        let text = body(&receiver, Event::Firing, vec![unnamed_quota()]).expect("a body");
        let text = match shown(Some(text)) {
            Value::Array(lines) if lines.iter().all(Value::is_string) => {
                lines.iter().filter_map(Value::as_str).collect()
            }
            json => json.to_string(),
        };
        let name = receiver.name;
        assert!(text.contains("probably quota exhausted"), "{name}: {text}");
        assert!(
            !text.contains("a retry helps after a pause"),
            "{name}: {text}"
        );
    }
    let receivers = all_receivers();
    let webhook = body(&receivers[0], Event::Firing, vec![unnamed_quota()]).expect("a body");
    let verdict = &serde_json::from_str::<Value>(&webhook).expect("JSON")["data"]["verdict"];
    assert_eq!(verdict["confidence"], "medium");
    assert_eq!(verdict["retry"], "after_fix");
    let clears = verdict["clears_when"].as_str().unwrap_or_default();
    assert!(clears.contains("errors do not say which limit"), "{clears}");
}

#[test]
fn the_examples_of_the_documentation_are_what_is_sent() {
    let receivers = all_receivers();
    let by = |word: &str| {
        receivers
            .iter()
            .find(|r| r.via.word() == word)
            .expect("a receiver")
    };
    let json = |word: &str, event, kind| -> Value {
        let body = body(by(word), event, vec![sample::incident(kind)]).expect("a body");
        serde_json::from_str(&body).expect("JSON")
    };
    let mut out = String::from(include_str!("introduction.md"));
    out += "\n## What a person reads\n\nOne incident of each kind, as Slack shows it.\n";
    for kind in Kind::ALL {
        let text = slack_text(&json("slack", Event::Firing, kind));
        let _ = write!(out, "\n### `{}`\n\n~~~text\n{text}~~~\n", kind.as_str());
    }
    out += "\n### A quota that no error names\n\n~~~text\n";
    let vague = body(by("slack"), Event::Firing, vec![unnamed_quota()]).expect("a body");
    out += &slack_text(&serde_json::from_str(&vague).expect("JSON"));
    out += "~~~\n\n### The end\n\n~~~text\n";
    out += &slack_text(&json("slack", Event::Resolved, Kind::QuotaExhausted));
    out +=
        "~~~\n\n## What a program reads\n\nThe same incident by the native webhook.\n\n~~~json\n";
    out += &serde_json::to_string_pretty(&json("webhook", Event::Firing, Kind::QuotaExhausted))
        .expect("JSON");
    out += "\n~~~\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/alerts.md");
    if std::env::var_os("LAPWING_TEST_WRITE").is_some() {
        std::fs::write(&path, &out).expect("written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == out,
        "docs/alerts.md is not what is sent: run with LAPWING_TEST_WRITE=1 and read it"
    );
}

#[test]
fn every_kind_says_whose_it_is_who_is_hit_and_what_ends_it() {
    let receivers = all_receivers();
    let hook = receivers
        .iter()
        .find(|r| matches!(r.via, Via::Webhook { .. }))
        .expect("a webhook");
    for kind in Kind::ALL {
        let body = body(hook, Event::Firing, vec![sample::incident(kind)]).expect("a body");
        let body: Value = serde_json::from_str(&body).expect("JSON");
        let data = &body["data"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let title = text(&data["title"]);
        assert!(
            title.contains(": ") && title.chars().count() <= 160,
            "{title}"
        );
        assert!(!title.to_lowercase().contains("error rate"), "{title}");
        assert!(text(&data["verdict"]["clears_when"]).len() > 20, "{title}");
        for link in ["dashboard", "silence", "runbook"] {
            assert!(
                text(&data["links"][link]).starts_with("https://"),
                "{title}: {link}"
            );
        }
    }
}
