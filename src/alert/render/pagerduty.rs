//! PagerDuty Events v2: trigger, acknowledge, resolve, folded by the fingerprint.
//!
//! Limits: a summary of 1,024 letters, 512 KB in all. The routing key is added when it is sent.

use serde_json::{Value, json};

use super::{Told, story::story};
use crate::{
    alert::{model::Event, text},
    detect::Severity,
};

const SUMMARY_CHARS_MAX: usize = 1_000;

pub(super) fn body(told: &Told<'_>) -> String {
    let data = &told.payload.data;
    let dedup_key = format!("lapwing-{}", data.fingerprint);
    let action = match told.event {
        Event::Firing | Event::Updated => "trigger",
        Event::Acknowledged => "acknowledge",
        Event::Resolved => "resolve",
    };
    if action != "trigger" {
        return json!({"event_action": action, "dedup_key": dedup_key}).to_string();
    }
    let label = |name: &str| data.labels.get(name).cloned().unwrap_or_default();
    let first = |names: [&str; 2]| names.into_iter().map(label).find(|l| !l.is_empty());
    let story = story(told);
    let links: Vec<Value> = story
        .links
        .iter()
        .map(|(name, url)| json!({"href": url, "text": name}))
        .collect();
    let severity = match told.alert.incident.severity {
        Severity::Page => "critical",
        Severity::Ticket => "warning",
        Severity::Info => "info",
    };
    json!({
        "event_action": action,
        "dedup_key": dedup_key,
        "client": "Lapwing",
        "client_url": data.links.dashboard,
        "links": links,
        "payload": {
            "summary": text::cut(&data.title, SUMMARY_CHARS_MAX),
            "source": first(["service", "provider"]).unwrap_or_else(|| "lapwing".to_owned()),
            "severity": severity,
            "timestamp": data.starts_at,
            "component": first(["request_model", "feature"]).unwrap_or_default(),
            "group": first(["provider", "tenant"]).unwrap_or_default(),
            "class": data.kind,
            "custom_details": {
                "verdict": story.verdict,
                "clears_when": data.verdict.clears_when,
                "what_to_do": story.steps,
                "observed": story.observed,
                "impact": story.impact,
                "who_is_hit": story.who,
                "not_affected": story.not_affected,
                "changed_before": story.changes,
                "codes": data.evidence.codes,
                "error": data.evidence.error,
                "calls": story.calls,
                "sql": data.links.sql,
                "alert": data.id,
            },
        },
    })
    .to_string()
}
