//! The pages that alerts link to: the section of the status page, a form for a silence, and the
//! runbook. Plain HTML; everything from outside is escaped.

use axum::{
    extract::{RawQuery, State},
    response::Html,
};

use super::{html, request};
use crate::alert::{
    AlertHandle, content,
    matcher::Matcher,
    model::{Alert, Event, Mute, Status},
    now_ns, text,
};

const STYLE: &str = "body{font:15px sans-serif;margin:2em;max-width:60em}td,th{padding:.2em 1em .2em 0;text-align:left;vertical-align:top}input{width:40em;max-width:100%}li{margin:.2em 0}";
const ROWS_MAX: usize = 50;
const MATCHERS_MAX: usize = 20;

/// Alerts and what became of their messages.
pub(super) fn section(handle: &AlertHandle) -> String {
    let desk = handle.desk();
    let context = desk.context(now_ns());
    let mut alerts: Vec<&Alert> = desk.manager.state().alerts.values().collect();
    alerts.sort_by_key(|a| {
        (
            a.status == Status::Resolved,
            std::cmp::Reverse(a.opened_at_ns),
        )
    });
    let row = |alert: &&Alert| {
        let payload = content::payload(
            context.books,
            context.bases,
            alert,
            Event::Firing,
            context.now_ns,
        );
        let note = match (&alert.muted, &alert.acknowledged) {
            (Some(mute), _) => mute.words(),
            (None, Some(ack)) => format!("acknowledged by {}", ack.by),
            (None, None) => String::new(),
        };
        let silence = match alert.is_open() && !matches!(alert.muted, Some(Mute::Silenced(_))) {
            true => format!(
                "<a href=\"{}\">silence</a>",
                escaped(&local(&payload.data.links.silence))
            ),
            false => String::new(),
        };
        format!(
            "<tr><td>{}</td><td>{}</td><td><a href=\"/api/v1/alerts/{}\">{}</a></td><td>{}</td><td>{}</td><td>{silence}</td></tr>",
            alert.status.as_str(),
            alert.incident.severity.as_str(),
            alert.id,
            escaped(&payload.data.title),
            text::clock(alert.incident.onset_ns),
            escaped(&note),
        )
    };
    let rows: String = alerts.iter().take(ROWS_MAX).map(row).collect();
    let rows = match rows.is_empty() {
        true => "<tr><td>none</td></tr>".to_owned(),
        false => rows,
    };
    let waiting = desk.outbox.waiting().count();
    let dead = desk.outbox.dead().count();
    let disabled: Vec<String> = desk
        .outbox
        .disabled()
        .iter()
        .map(|(n, d)| format!("{n} is disabled: {}", d.reason))
        .collect();
    let receivers = match desk.options.receivers.len() {
        0 => "no receiver is configured: nobody is told".to_owned(),
        n => format!("{n} receivers"),
    };
    format!(
        "<h2>Alerts</h2><table>{rows}</table><p>{receivers}; <a href=/api/v1/deliveries>{waiting} messages wait, {dead} dead letters</a>. {} \
         <a href=/api/v1/silences>silences</a> <a href=/runbook>runbook</a> <a href=/api/v1/openapi.json>API</a></p>",
        escaped(&disabled.join("; "))
    )
}

/// The path of a link of ours, whatever host it names.
fn local(url: &str) -> String {
    url.find("/silence")
        .and_then(|at| url.get(at..))
        .unwrap_or(url)
        .to_owned()
}

/// A form with the matchers of the link filled in.
pub(super) async fn silence(
    State(handle): State<AlertHandle>,
    RawQuery(query): RawQuery,
) -> Html<String> {
    let mut matchers = request::parameters(query.as_deref(), "matcher");
    let alert = request::parameter(query.as_deref(), "alert").unwrap_or_default();
    if matchers.is_empty()
        && let Some(alert) = handle.desk().manager.state().alerts.get(&alert)
    {
        let matcher = |(name, values): (&String, &Vec<String>)| {
            Matcher::equal(name, &values.join(",")).to_string()
        };
        matchers = alert.identity.iter().map(matcher).collect();
    }
    let input =
        |matcher: &String| format!("<p><input name=matcher value=\"{}\"></p>", escaped(matcher));
    let inputs: String = matchers
        .iter()
        .chain([&String::new()])
        .take(MATCHERS_MAX)
        .map(input)
        .collect();
    html(format!(
        "<!doctype html><meta charset=utf-8><title>Silence - Lapwing</title><style>{STYLE}</style>\
         <h1>Silence</h1><form id=f><p>Alerts that match all of these are not sent. Remove a line to silence more; \
         =, !=, =~ and !~ are known.</p>{inputs}\
         <p>for <input id=hours value=2 style=\"width:4em\"> hours</p>\
         <p>your name <input id=author required></p><p>why <input id=comment></p>\
         <p>token, if this port has one <input id=token type=password autocomplete=off></p>\
         <button>Silence</button></form><p id=said></p>\
         <script>f.onsubmit=async e=>{{e.preventDefault();\
         const m=[...document.getElementsByName('matcher')].map(i=>i.value.trim()).filter(v=>v);\
         const r=await fetch('/api/v1/silences',{{method:'POST',headers:{{'content-type':'application/json',...(token.value&&{{authorization:'Bearer '+token.value}})}},\
         body:JSON.stringify({{matchers:m,duration_s:3600*Number(hours.value),author:author.value,comment:comment.value}})}});\
         const j=await r.json();said.textContent=r.ok?'Silenced until '+j.ends_at+' ('+j.id+')':j.error}}</script>"
    ))
}

/// The runbook in force, with an anchor for each entry.
pub(super) async fn runbook(State(handle): State<AlertHandle>) -> Html<String> {
    let entries = handle.desk().manager.runbooks.entries();
    let mut body = String::new();
    for entry in entries {
        let steps: String = entry
            .steps
            .iter()
            .map(|step| format!("<li>{}</li>", escaped(step)))
            .collect();
        body += &format!(
            "<h2 id=\"{}\">{}</h2><p>Clears when: {}.</p><ol>{steps}</ol>",
            escaped(&entry.anchor),
            escaped(&entry.name),
            escaped(&entry.clears_when),
        );
    }
    html(format!(
        "<!doctype html><meta charset=utf-8><title>Runbook - Lapwing</title><style>{STYLE}</style><h1>Runbook</h1>{body}"
    ))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}
