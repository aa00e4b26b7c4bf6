//! Options: what the configuration says about alerts, checked and with its secrets read.

use std::{fmt, path::PathBuf, time::Duration};

use serde_json::Value;

use super::{content::Bases, maintenance::Window, manager::Flap, route::Route};

/// Everything about alerts.
#[derive(Debug, Clone)]
pub struct Options {
    pub receivers: Vec<Receiver>,
    pub routes: Vec<Route>,
    pub group_by: Vec<String>,
    pub group_wait: Duration,
    pub update_interval: Duration,
    pub repeat_interval: Duration,
    pub flap: Flap,
    pub windows: Vec<Window>,
    pub silences_file: Option<PathBuf>,
    pub runbooks_file: Option<PathBuf>,
    pub bases: Bases,
    pub retry: Retry,
}

/// When a failed delivery is tried again.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    /// Before the first retry; doubles with each.
    pub min: Duration,
    pub max: Duration,
    /// After this a message is a dead letter.
    pub give_up_after: Duration,
}

/// Somebody who gets alerts.
#[derive(Clone)]
pub struct Receiver {
    pub name: String,
    pub via: Via,
    /// For one attempt.
    pub timeout: Duration,
    pub allow_private_addresses: bool,
}

/// How a receiver is reached. URLs and keys are secrets.
#[derive(Clone)]
pub enum Via {
    /// The native payload, signed by each of the secrets.
    Webhook {
        url: String,
        secrets: Vec<Vec<u8>>,
    },
    /// Alertmanager's webhook, version 4.
    AlertmanagerWebhook {
        url: String,
        bearer: Option<String>,
    },
    /// An Alertmanager: the base URL of its API.
    Alertmanager {
        url: String,
        bearer: Option<String>,
    },
    Slack {
        url: String,
    },
    PagerDuty {
        url: String,
        routing_key: String,
    },
    Teams {
        url: String,
    },
    Email(Email),
    /// Any JSON, made by a template.
    Json {
        url: String,
        bearer: Option<String>,
        template: Value,
    },
}

/// A mail server and who gets mail through it.
#[derive(Clone)]
pub struct Email {
    pub host: String,
    pub port: u16,
    pub tls: MailTls,
    pub user: String,
    pub password: String,
    pub from: String,
    pub to: Vec<String>,
}

/// How the way to the mail server is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTls {
    /// Plain at first; must become TLS before anything is said.
    StartTls,
    Implicit,
    None,
}

impl Default for Options {
    /// No receiver, and the times of the configuration's defaults.
    fn default() -> Options {
        const SECOND: u64 = 1_000_000_000;
        Options {
            receivers: Vec::new(),
            routes: Vec::new(),
            group_by: vec!["kind".into(), "provider".into()],
            group_wait: Duration::from_secs(5),
            update_interval: Duration::from_secs(300),
            repeat_interval: Duration::from_secs(4 * 3_600),
            flap: Flap {
                openings: 3,
                window_ns: 3_600 * SECOND,
                hold_ns: 900 * SECOND,
            },
            windows: Vec::new(),
            silences_file: None,
            runbooks_file: None,
            bases: Bases::default(),
            retry: Retry {
                min: Duration::from_secs(5),
                max: Duration::from_secs(3_600),
                give_up_after: Duration::from_secs(72 * 3_600),
            },
        }
    }
}

// === impl Receiver ===

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Receiver({} by {})", self.name, self.via.word())
    }
}

impl Receiver {
    /// Changes when anything about it does: a disabled receiver is tried again then.
    pub fn hash(&self) -> u64 {
        let text = match &self.via {
            Via::Webhook { url, secrets } => format!("{url} {secrets:?}"),
            Via::AlertmanagerWebhook { url, bearer } | Via::Alertmanager { url, bearer } => {
                format!("{url} {bearer:?}")
            }
            Via::Json { url, bearer, .. } => format!("{url} {bearer:?}"),
            Via::Slack { url } | Via::Teams { url } => url.clone(),
            Via::PagerDuty { url, routing_key } => format!("{url} {routing_key}"),
            Via::Email(mail) => format!("{}:{} {} {:?}", mail.host, mail.port, mail.user, mail.to),
        };
        twox_hash::XxHash3_64::oneshot(format!("{} {text}", self.via.word()).as_bytes())
    }
}

// === impl Via ===

impl Via {
    /// The key of the configuration.
    pub fn word(&self) -> &'static str {
        match self {
            Via::Webhook { .. } => "webhook",
            Via::AlertmanagerWebhook { .. } => "alertmanager_webhook",
            Via::Alertmanager { .. } => "alertmanager",
            Via::Slack { .. } => "slack",
            Via::PagerDuty { .. } => "pagerduty",
            Via::Teams { .. } => "teams",
            Via::Email(_) => "email",
            Via::Json { .. } => "json",
        }
    }

    /// Does one message hold several alerts?
    pub fn groups(&self) -> bool {
        matches!(
            self,
            Via::AlertmanagerWebhook { .. } | Via::Slack { .. } | Via::Teams { .. } | Via::Email(_)
        )
    }

    /// The least time between two messages, under what the service allows: Slack one a second and
    /// channel, PagerDuty 120 a minute and key, Teams four a second.
    pub fn pace(&self) -> Duration {
        Duration::from_millis(match self {
            Via::Slack { .. } => 1_100,
            Via::PagerDuty { .. } => 550,
            Via::Teams { .. } => 400,
            Via::Email(_) => 500,
            _ => 20,
        })
    }
}
