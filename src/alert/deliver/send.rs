//! Send: one attempt to deliver one message, and what its answer means.
//!
//! No redirects, no proxy of the environment, checked addresses only. An answer's text is kept,
//! bounded, as the reason; keys and URLs are not.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::{StatusCode, Url, header, redirect};

use super::{
    address::{self, Guard},
    outbox::{Message, Outcome},
    sign, smtp,
};
use crate::alert::{
    options::{Receiver, Via},
    text,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 2_048;
const REASON_CHARS_MAX: usize = 300;

/// The clients, one for each rule about addresses.
#[derive(Debug, Clone)]
pub struct Sender {
    public: reqwest::Client,
    any: reqwest::Client,
}

// === impl Sender ===

impl Sender {
    pub fn new() -> Result<Sender, reqwest::Error> {
        // reqwest takes the process's; it is an error to say so twice, and no harm.
        _ = rustls::crypto::ring::default_provider().install_default();
        let client = |allow_private| {
            reqwest::Client::builder()
                .user_agent(concat!("lapwing/", env!("CARGO_PKG_VERSION")))
                .redirect(redirect::Policy::none())
                .no_proxy()
                .connect_timeout(CONNECT_TIMEOUT)
                .dns_resolver(Guard { allow_private })
                .build()
        };
        Ok(Sender {
            public: client(false)?,
            any: client(true)?,
        })
    }

    /// One attempt.
    pub async fn send(&self, receiver: &Receiver, message: &Message) -> Outcome {
        let url = match &receiver.via {
            Via::Email(mail) => {
                let guard = Guard {
                    allow_private: receiver.allow_private_addresses,
                };
                return smtp::send(mail, guard, receiver.timeout, &message.body).await;
            }
            Via::Alertmanager { url, .. } => format!("{}/api/v2/alerts", url.trim_end_matches('/')),
            Via::Webhook { url, .. }
            | Via::AlertmanagerWebhook { url, .. }
            | Via::Slack { url }
            | Via::PagerDuty { url, .. }
            | Via::Teams { url }
            | Via::Json { url, .. } => url.clone(),
        };
        let Ok(url) = Url::parse(&url) else {
            return refused(None, "its URL cannot be read".to_owned());
        };
        if let Some(error) = self.literal_refused(receiver, &url) {
            return refused(None, error.to_string());
        }
        let client = if receiver.allow_private_addresses {
            &self.any
        } else {
            &self.public
        };
        let request = self.request(client.post(url), receiver, message);
        match request.timeout(receiver.timeout).send().await {
            Ok(answer) => self.judge(receiver, answer).await,
            Err(error) => match address::refusal(&error) {
                Some(error) => refused(None, error.to_string()),
                None => Outcome::Retry {
                    status: None,
                    reason: words(&error),
                    after: None,
                },
            },
        }
    }

    /// An address in the URL itself is never resolved, so it is checked here.
    fn literal_refused(&self, receiver: &Receiver, url: &Url) -> Option<address::Refused> {
        let host = url.host_str()?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let literal = bare
            .parse()
            .ok()
            .filter(|_| !receiver.allow_private_addresses)?;
        address::check(host, literal).err()
    }

    fn request(
        &self,
        request: reqwest::RequestBuilder,
        receiver: &Receiver,
        message: &Message,
    ) -> reqwest::RequestBuilder {
        let mut body = message.body.clone();
        let mut request = request
            .header(header::CONTENT_TYPE, "application/json")
            .header("idempotency-key", &message.id);
        match &receiver.via {
            Via::Webhook { secrets, .. } => {
                let now_s = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default()
                    .as_secs();
                request = request
                    .header("webhook-id", &message.id)
                    .header("webhook-timestamp", now_s);
                if !secrets.is_empty() {
                    let signature = sign::signature(secrets, &message.id, now_s, body.as_bytes());
                    request = request.header("webhook-signature", signature);
                }
            }
            Via::PagerDuty { routing_key, .. } => {
                // The key is kept out of what is stored.
                let key = serde_json::to_string(routing_key).unwrap_or_default();
                if let Some(rest) = body.strip_prefix('{') {
                    body = format!("{{\"routing_key\":{key},{rest}");
                }
            }
            Via::AlertmanagerWebhook { bearer, .. }
            | Via::Alertmanager { bearer, .. }
            | Via::Json { bearer, .. } => {
                if let Some(bearer) = bearer {
                    request = request.bearer_auth(bearer);
                }
            }
            Via::Slack { .. } | Via::Teams { .. } | Via::Email(_) => {}
        }
        request.body(body)
    }

    async fn judge(&self, receiver: &Receiver, mut answer: reqwest::Response) -> Outcome {
        let status = answer.status();
        let number = Some(status.as_u16());
        if status.is_success() {
            return Outcome::Delivered { status: number };
        }
        let after = answer
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|v| retry_after(v.to_str().ok()?));
        let location = answer
            .headers()
            .get(header::LOCATION)
            .and_then(|v| v.to_str().ok());
        let location = location.map(|l| text::line(l, 200));
        let mut said = Vec::new();
        while said.len() < ANSWER_BYTES_MAX {
            match answer.chunk().await {
                Ok(Some(chunk)) => said.extend_from_slice(&chunk),
                _ => break,
            }
        }
        let said = text::line(&String::from_utf8_lossy(&said), REASON_CHARS_MAX);
        let reason = match said.is_empty() {
            true => format!("it answers {status}"),
            false => format!("it answers {status}: {said}"),
        };
        match status {
            s if s.is_redirection() => {
                let to = location.unwrap_or_else(|| "elsewhere".to_owned());
                refused(
                    number,
                    format!(
                        "it answers {status} and points to {to}: redirects are not followed, configure the final URL"
                    ),
                )
            }
            StatusCode::GONE => Outcome::Gone {
                status: number,
                reason,
            },
            // A Slack hook that was removed.
            StatusCode::NOT_FOUND if matches!(receiver.via, Via::Slack { .. }) => Outcome::Gone {
                status: number,
                reason,
            },
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
                Outcome::Retry {
                    status: number,
                    reason,
                    after,
                }
            }
            s if s.is_server_error() => Outcome::Retry {
                status: number,
                reason,
                after,
            },
            _ => refused(number, reason),
        }
    }
}

fn refused(status: Option<u16>, reason: String) -> Outcome {
    Outcome::Refused { status, reason }
}

/// Seconds or a date.
fn retry_after(value: &str) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(value.trim()).ok()?.timestamp();
    let wait = at.duration_since(jiff::Timestamp::now());
    Some(Duration::from_secs(
        u64::try_from(wait.as_secs()).unwrap_or(0),
    ))
}

/// The causes of an error, without the URL, which may be a secret.
fn words(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it did not answer in time".to_owned();
    }
    let mut at = std::error::Error::source(error);
    let mut out = String::from("it cannot be reached");
    while let Some(cause) = at {
        out = format!("it cannot be reached: {cause}");
        at = cause.source();
    }
    text::line(&out, REASON_CHARS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_told_in_seconds_or_as_a_date() {
        assert_eq!(retry_after("120"), Some(Duration::from_secs(120)));
        assert_eq!(
            retry_after("Fri, 31 Dec 1999 23:59:59 GMT"),
            Some(Duration::ZERO)
        );
        assert!(
            retry_after("Tue, 31 Dec 2199 23:59:59 GMT").is_some_and(|d| d.as_secs() > 1_000_000)
        );
        assert_eq!(retry_after("soon"), None);
    }
}
