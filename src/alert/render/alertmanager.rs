//! Alertmanager's two forms: its webhook (version 4) and its API (`POST /api/v2/alerts`).
//!
//! Labels are the identity, so they never change while an alert lives, but for the severity: when
//! that grows, the set of labels with the old one is ended in the same message.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Context, Told, group_words, story::story};
use crate::{
    alert::{
        labels,
        model::{Alert, Event, Notification},
        options::Receiver,
        text,
    },
    detect::Severity,
};

/// Alerts in one webhook; Alertmanager counts the others in `truncatedAlerts`.
const ALERTS_MAX: usize = 20;
/// The end of an alert that has none, as Go writes it.
const NO_END: &str = "0001-01-01T00:00:00Z";
/// An alert that is no longer refreshed ends by itself after this; refreshed every minute.
const RESOLVE_AFTER_NS: u64 = 5 * 60 * 1_000_000_000;

/// The words that Alertmanager's users route by.
fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Page => "critical",
        Severity::Ticket => "warning",
        Severity::Info => "info",
    }
}

fn alert_labels(alert: &Alert, of: Severity) -> BTreeMap<String, String> {
    let mut all = labels::joined(&alert.identity);
    all.insert(
        "alertname".to_owned(),
        alert.incident.kind.as_str().to_owned(),
    );
    all.insert("severity".to_owned(), severity(of).to_owned());
    all
}

fn annotations(told: &Told<'_>) -> BTreeMap<&'static str, String> {
    let (data, story) = (&told.payload.data, story(told));
    let traces: Vec<&str> = data
        .evidence
        .calls
        .iter()
        .map(|c| c.trace_id.as_str())
        .collect();
    let all = [
        ("summary", data.title.clone()),
        ("description", story.plain()),
        ("verdict", story.verdict),
        ("clears_when", data.verdict.clears_when.clone()),
        ("failure_class", data.verdict.failure_class.clone()),
        ("fault_domain", data.verdict.fault_domain.clone()),
        ("impact", story.impact),
        ("alert_id", data.id.clone()),
        ("exemplar_trace_ids", traces.join(",")),
        ("runbook_url", data.links.runbook.clone()),
        ("dashboard_url", data.links.dashboard.clone()),
        ("silence_url", data.links.silence.clone()),
        ("sql", data.links.sql.clone()),
    ];
    all.into_iter()
        .filter(|(_, text)| !text.is_empty())
        .collect()
}

fn generator(told: &Told<'_>, context: &Context<'_>) -> String {
    let dashboard = &told.payload.data.links.dashboard;
    match dashboard.is_empty() {
        false => dashboard.clone(),
        true => format!("{}/api/v1/alerts/{}", context.bases.admin, told.alert.id),
    }
}

pub(super) fn webhook(
    context: &Context<'_>,
    receiver: &Receiver,
    notification: &Notification,
    told: &[Told<'_>],
) -> Value {
    let alerts: Vec<Value> = told
        .iter()
        .take(ALERTS_MAX)
        .map(|told| {
            let data = &told.payload.data;
            json!({
                "status": data.status,
                "labels": alert_labels(told.alert, told.alert.incident.severity),
                "annotations": annotations(told),
                "startsAt": data.starts_at,
                "endsAt": data.ends_at.as_deref().unwrap_or(NO_END),
                "generatorURL": generator(told, context),
                "fingerprint": data.fingerprint,
            })
        })
        .collect();
    let firing = told.iter().any(|told| told.event != Event::Resolved);
    json!({
        "version": "4",
        "groupKey": format!("{{}}/{{{}}}", group_words(&notification.group)),
        "truncatedAlerts": told.len().saturating_sub(ALERTS_MAX),
        "status": if firing { "firing" } else { "resolved" },
        "receiver": receiver.name,
        "groupLabels": labels::joined(&notification.group),
        "commonLabels": common(told),
        "commonAnnotations": {},
        "externalURL": context.bases.admin,
        "alerts": alerts,
    })
}

/// Labels that all have in common.
fn common(told: &[Told<'_>]) -> BTreeMap<String, String> {
    let mut all = told
        .iter()
        .map(|t| alert_labels(t.alert, t.alert.incident.severity));
    let first = all.next().unwrap_or_default();
    all.fold(first, |mut common, labels| {
        common.retain(|name, value| labels.get(name) == Some(value));
        common
    })
}

pub(super) fn api(context: &Context<'_>, told: &[Told<'_>]) -> Value {
    told.iter().flat_map(|told| sets(context, told)).collect()
}

/// The body that tells an Alertmanager of every alert that still fires; to be sent every minute.
pub fn refresh(context: &Context<'_>, alerts: &[&Alert]) -> String {
    let told = alerts
        .iter()
        .map(|alert| super::told(context, alert, Event::Firing, true));
    told.flat_map(|told| sets(context, &told))
        .collect::<Value>()
        .to_string()
}

/// The alert with its labels now, and the ended ones with the severities that it had before.
fn sets(context: &Context<'_>, told: &Told<'_>) -> Vec<Value> {
    let data = &told.payload.data;
    let now = told.alert.incident.severity;
    // In event time an end may lie before us or ahead; Alertmanager wants one that is past and not
    // before the begin.
    let start_ns = told.alert.incident.onset_ns;
    let past = |at: u64| text::time(at.min(context.now_ns).max(start_ns));
    let end = match told.event {
        Event::Resolved => past(told.alert.incident.ended_ns.unwrap_or(context.now_ns)),
        _ => text::time(context.now_ns.saturating_add(RESOLVE_AFTER_NS)),
    };
    let set = |severity: Severity, end: String| {
        json!({
            "labels": alert_labels(told.alert, severity),
            "annotations": annotations(told),
            "startsAt": data.starts_at,
            "endsAt": end,
            "generatorURL": generator(told, context),
        })
    };
    let before = told
        .alert
        .severities_before
        .iter()
        .filter(|(severity, _)| *severity != now);
    let mut sets: Vec<Value> = before
        .map(|(severity, at)| set(*severity, past(*at)))
        .collect();
    sets.push(set(now, end));
    sets
}
