//! `lapwing alert`: what fires, silences, acknowledgements, and a sample to a receiver.
//!
//! Everything is asked of the running collector by its admin API. A test is also sent without one,
//! straight to the receiver, so that a configuration can be tried before it is served.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::Subcommand;
use http::{
    HeaderMap, HeaderValue,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use serde_json::{Value, json};

use super::{Failure, print};
use crate::{
    alert::{self, TestReport, matcher},
    config::Config,
    detect::Kind,
};

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// List alerts: those that are open, or all that are remembered
    List {
        #[arg(long)]
        all: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one alert with its evidence, or what happens to its messages
    Show { id: String },
    /// Silence what matches, such as provider="openai" kind=latency_shift
    Silence {
        /// name="value", with =, !=, =~ or !~; all must match
        #[arg(required = true, value_name = "MATCHER")]
        matchers: Vec<String>,
        /// How long, such as 30m or 8h
        #[arg(long = "for", default_value = "2h", value_name = "DURATION")]
        duration: String,
        #[arg(long, default_value_t = whoami())]
        author: String,
        #[arg(long, default_value = "")]
        comment: String,
    },
    /// List silences, or end one
    Silences {
        #[arg(long, value_name = "ID")]
        end: Option<String>,
    },
    /// Take an alert on: no more reminders, unless it gets worse
    Ack {
        id: String,
        #[arg(long, default_value_t = whoami())]
        by: String,
        #[arg(long, default_value = "")]
        comment: String,
    },
    /// Send a realistic sample to a receiver and say what it answered
    Test {
        #[arg(long, value_name = "NAME")]
        receiver: String,
        /// Which kind of alert
        #[arg(long, default_value = "quota_exhausted", value_parser = kind)]
        kind: Kind,
        /// Send the end of it instead
        #[arg(long)]
        resolved: bool,
    },
    /// List messages that wait and dead letters, or send a dead letter once more
    Deliveries {
        #[arg(long, num_args = 2, value_names = ["RECEIVER", "ID"])]
        replay: Option<Vec<String>>,
    },
}

/// For one answer of the admin port.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// A test that is still tried by then is left to the collector.
const TEST_TIME_MAX: Duration = Duration::from_secs(30);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// The admin port of the running collector.
struct Admin {
    client: reqwest::Client,
    base: String,
}

pub(super) async fn run(config: &Config, action: Action) -> Result<(), Failure> {
    let admin = Admin::of(config)?;
    let text = match action {
        Action::List { all, json } => list(&admin, all, json).await?,
        Action::Show { id } => pretty(&admin.get(&format!("/api/v1/alerts/{id}")).await?),
        Action::Silence {
            matchers,
            duration,
            author,
            comment,
        } => silence(&admin, &matchers, &duration, &author, &comment).await?,
        Action::Silences { end: None } => silences(&admin.get("/api/v1/silences").await?),
        Action::Silences { end: Some(id) } => {
            let request = admin
                .client
                .delete(admin.url(&format!("/api/v1/silences/{id}")));
            admin.answer(request).await?;
            format!("ended {id}\n")
        }
        Action::Ack { id, by, comment } => {
            let body = json!({"by": by, "comment": comment});
            admin
                .post(&format!("/api/v1/alerts/{id}/ack"), &body)
                .await?;
            format!("acknowledged {id}\n")
        }
        Action::Test {
            receiver,
            kind,
            resolved,
        } => test(config, &admin, &receiver, kind, resolved).await?,
        Action::Deliveries { replay: None } => pretty(&admin.get("/api/v1/deliveries").await?),
        Action::Deliveries {
            replay: Some(which),
        } => {
            let path = format!("/api/v1/deliveries/{}/replay", which.join("/"));
            admin.post(&path, &json!({})).await?;
            "it will be sent again\n".to_owned()
        }
    };
    print(&text)
}

async fn list(admin: &Admin, all: bool, as_json: bool) -> anyhow::Result<String> {
    let status = if all { "all" } else { "open" };
    let answer = admin
        .get(&format!("/api/v1/alerts?status={status}"))
        .await?;
    if as_json {
        return Ok(pretty(&answer));
    }
    let mut out = String::new();
    for alert in answer["alerts"].as_array().into_iter().flatten() {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let data = &alert["alert"];
        let note = match (&alert["muted"], &alert["acknowledged"]) {
            (Value::String(mute), _) => format!("  [{mute}]"),
            (_, Value::Object(ack)) => format!("  [acknowledged by {}]", text(&ack["by"])),
            _ => String::new(),
        };
        out += &format!(
            "{}  {:<8}  {:<6}  {}  {}{note}\n",
            text(&data["id"]),
            text(&alert["status"]),
            text(&data["severity"]),
            text(&data["starts_at"]),
            text(&data["title"]),
        );
    }
    Ok(match out.is_empty() {
        true => "no alerts\n".to_owned(),
        false => out,
    })
}

async fn silence(
    admin: &Admin,
    matchers: &[String],
    duration: &str,
    author: &str,
    comment: &str,
) -> anyhow::Result<String> {
    matcher::parse_all(matchers.iter().map(String::as_str))?;
    let seconds =
        crate::config::duration(duration).map_err(|what| anyhow::anyhow!("--for {what}"))?;
    let body = json!({
        "matchers": matchers,
        "duration_s": seconds.as_secs_f64(),
        "author": author,
        "comment": comment,
    });
    let answer = admin.post("/api/v1/silences", &body).await?;
    Ok(silences(&json!({"silences": [answer]})))
}

fn silences(answer: &Value) -> String {
    let mut out = String::new();
    for silence in answer["silences"].as_array().into_iter().flatten() {
        let text = |name: &str| silence[name].as_str().unwrap_or_default().to_owned();
        let matchers = silence["matchers"].as_array().into_iter().flatten();
        let matchers: Vec<&str> = matchers.filter_map(Value::as_str).collect();
        out += &format!(
            "{}  {:<7}  until {}  {}  {} {}\n",
            text("id"),
            text("state"),
            text("ends_at"),
            matchers.join(" "),
            text("author"),
            text("comment"),
        );
    }
    match out.is_empty() {
        true => "no silences\n".to_owned(),
        false => out,
    }
}

/// By the running collector and its queue; without one, straight from here.
async fn test(
    config: &Config,
    admin: &Admin,
    receiver: &str,
    kind: Kind,
    resolved: bool,
) -> anyhow::Result<String> {
    let event = if resolved { "resolved" } else { "firing" };
    let body = json!({"receiver": receiver, "kind": kind.as_str(), "event": event});
    let report = match admin.try_post("/api/v1/alerts/test", &body).await {
        Some(answer) => {
            let id = answer?["id"].as_str().unwrap_or_default().to_owned();
            admin.fate(receiver, &id).await?
        }
        None => alert::send_test(&config.alerts, receiver, kind, resolved).await?,
    };
    match report.state {
        "delivered" => Ok(format!("{receiver} has it ({})\n", report.id)),
        "dead" => bail!("{receiver} does not take it: {}", report.reason),
        _ => bail!(
            "{receiver} does not have it yet, {} attempts: {}",
            report.attempts,
            report.reason
        ),
    }
}

/// Who is at the terminal, as far as the environment tells.
fn whoami() -> String {
    ["SUDO_USER", "USER", "LOGNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()))
        .unwrap_or_else(|| "operator".to_owned())
}

fn kind(word: &str) -> Result<Kind, String> {
    word.parse().map_err(|_| {
        let kinds: Vec<&str> = Kind::ALL.into_iter().map(Kind::as_str).collect();
        format!("there are {}", kinds.join(", "))
    })
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

/// What the admin port asks of whoever changes something.
fn headers(config: &Config) -> anyhow::Result<HeaderMap> {
    let json = HeaderValue::from_static("application/json");
    let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, json)]);
    if let Some(token) = &config.admin.token {
        let value = HeaderValue::try_from(format!("Bearer {}", token.reveal()));
        let value = value.context("the token of `admin.bearer_token_file` cannot be sent")?;
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

// === impl Admin ===

impl Admin {
    fn of(config: &Config) -> anyhow::Result<Admin> {
        let listen = config.admin.listen;
        // Whoever listens everywhere is also here.
        let host = match listen.ip().is_unspecified() {
            true => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), listen.port()),
            false => listen,
        };
        let client = reqwest::Client::builder()
            .no_proxy()
            .default_headers(headers(config)?)
            .timeout(ANSWER_TIMEOUT)
            .build();
        Ok(Admin {
            client: client.context("cannot set up HTTP")?,
            base: format!("http://{host}"),
        })
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.answer(self.client.get(self.url(path))).await
    }

    async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.answer(self.client.post(self.url(path)).json(body))
            .await
    }

    /// `None` when nobody listens.
    async fn try_post(&self, path: &str, body: &Value) -> Option<anyhow::Result<Value>> {
        match self.client.post(self.url(path)).json(body).send().await {
            Err(error) if error.is_connect() => None,
            sent => Some(self.judge(sent).await),
        }
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
        self.judge(request.send().await).await
    }

    async fn judge(&self, sent: reqwest::Result<reqwest::Response>) -> anyhow::Result<Value> {
        let answer = sent.with_context(|| {
            format!(
                "no collector answers at {}: start `lapwing serve` with the same configuration",
                self.base
            )
        })?;
        let ok = answer.status().is_success();
        let body: Value = answer
            .json()
            .await
            .context("the admin port gave no JSON: is it a lapwing?")?;
        match ok {
            true => Ok(body),
            false => bail!("{}", body["error"].as_str().unwrap_or("refused")),
        }
    }

    /// What became of a test message, once it is known.
    async fn fate(&self, receiver: &str, id: &str) -> anyhow::Result<TestReport> {
        let began = std::time::Instant::now();
        loop {
            let answer = self
                .get(&format!("/api/v1/deliveries/{receiver}/{id}"))
                .await?;
            let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
            let state = match answer["state"].as_str() {
                Some("delivered") => "delivered",
                Some("dead") => "dead",
                _ => "waiting",
            };
            let tried = !text("reason").is_empty() || began.elapsed() > TEST_TIME_MAX;
            if state != "waiting" || tried {
                return Ok(TestReport {
                    id: id.to_owned(),
                    receiver: receiver.to_owned(),
                    state,
                    attempts: answer["attempts"]
                        .as_u64()
                        .and_then(|n| n.try_into().ok())
                        .unwrap_or(0),
                    reason: text("reason"),
                });
            }
            tokio::time::sleep(LOOK_AGAIN_AFTER).await;
        }
    }
}
