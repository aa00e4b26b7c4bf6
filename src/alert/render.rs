//! Render: a notification to the body that a receiver takes.
//!
//! One file per form. All start from the same payload, whose texts are bounded; escaping for a
//! form's own markup happens in that form, and each stays below its receiver's limits whatever the
//! texts are.

mod alertmanager;
mod email;
mod native;
mod pagerduty;
mod slack;
pub mod story;
mod teams;
mod template;

use super::{
    content::{self, Bases, Payload},
    labels::{self, Labels},
    model::{Alert, Event, Notification},
    options::{Receiver, Via},
    runbook::Runbooks,
};

pub use alertmanager::refresh;
pub use template::TemplateError;
pub use template::check as check_template;

/// What every form may use.
#[derive(Debug, Clone, Copy)]
pub struct Context<'c> {
    pub books: &'c Runbooks,
    pub bases: &'c Bases,
    pub now_ns: u64,
}

/// An alert with all that is said about it.
pub(super) struct Told<'a> {
    pub event: Event,
    pub repeat: bool,
    pub alert: &'a Alert,
    pub payload: Payload,
    /// What to do, first thing first.
    pub steps: Vec<&'a str>,
}

/// The body of a message; `None` where a receiver has no word for what happened.
pub fn body(
    context: &Context<'_>,
    receiver: &Receiver,
    notification: &Notification,
) -> Option<String> {
    let told: Vec<Told<'_>> = notification
        .alerts
        .iter()
        .map(|item| told(context, &item.alert, item.event, item.repeat))
        .collect();
    let first = told.first()?;
    if told.iter().all(|t| t.event == Event::Acknowledged) {
        return match &receiver.via {
            Via::PagerDuty { .. } => Some(pagerduty::body(first)),
            _ => None,
        };
    }
    let json = match &receiver.via {
        Via::Webhook { .. } => return Some(native::body(first)),
        Via::PagerDuty { .. } => return Some(pagerduty::body(first)),
        Via::Email(mail) => return Some(email::body(mail, notification, &told)),
        Via::AlertmanagerWebhook { .. } => {
            alertmanager::webhook(context, receiver, notification, &told)
        }
        Via::Alertmanager { .. } => alertmanager::api(context, &told),
        Via::Slack { .. } => slack::body(&told),
        Via::Teams { .. } => teams::body(&told),
        Via::Json { template, .. } => template::body(template, first),
    };
    Some(json.to_string())
}

pub(super) fn told<'a>(
    context: &Context<'a>,
    alert: &'a Alert,
    event: Event,
    repeat: bool,
) -> Told<'a> {
    Told {
        event,
        repeat,
        alert,
        payload: content::payload(context.books, context.bases, alert, event, context.now_ns),
        steps: context.books.verdict(&alert.incident).steps,
    }
}

/// `kind=quota_exhausted, provider=openai`.
fn group_words(group: &Labels) -> String {
    let parts = labels::joined(group)
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"));
    super::text::line(&parts.collect::<Vec<_>>().join(", "), 200)
}
