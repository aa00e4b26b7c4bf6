//! Alerts, from an incident to a message: what receivers get, and what becomes of a message when
//! they misbehave or we are killed.

/// A real Alertmanager.
mod alertmanager;
/// Golden payloads and the rendered examples of the documentation.
mod examples;
/// Receivers that are down, slow, busy or worse.
mod faults;
/// Hostile names and error texts against each receiver's limits.
mod limits;
/// The real binary: commands, API, kill -9, history.
mod process;
/// A receiver that answers by a script.
pub mod receiver;

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    time::Duration,
};

use lapwing::{
    alert::{
        self, AlertHandle, Options,
        content::Bases,
        deliver::sign,
        labels,
        model::{Alert, Event, Item, Notification, Status},
        options::{Email, MailTls, Receiver, Retry, Via},
        render::{self, Context},
        runbook::Runbooks,
        sample,
    },
    detect::{Change, Incident, Kind, State},
};
use serde_json::{Value, json};

pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// The time of the golden files: 2026-11-20T02:14:10Z, five seconds after the samples were raised.
pub const NOW_NS: u64 = 1_795_140_850_000_000_000;

/// Every way to a receiver, at addresses that nobody calls.
pub fn all_receivers() -> Vec<Receiver> {
    let url = |path: &str| format!("https://receiver.example/{path}");
    let template = json!({
        "summary": "{{ data.severity }}: {{ data.title }}",
        "details": "{{ text }}",
        "impact": "{{ data.impact }}",
        "first_trace": "{{ data.evidence.calls.0.trace_id }}",
    });
    let mail = Email {
        host: "mail.example".into(),
        port: 587,
        tls: MailTls::StartTls,
        user: String::new(),
        password: String::new(),
        from: "lapwing@example.com".into(),
        to: vec!["oncall@example.com".into()],
    };
    let vias = vec![
        Via::Webhook {
            url: url("hook"),
            secrets: sign::secrets(SECRET).unwrap(),
        },
        Via::AlertmanagerWebhook {
            url: url("am-hook"),
            bearer: None,
        },
        Via::Alertmanager {
            url: url("am"),
            bearer: None,
        },
        Via::Slack { url: url("slack") },
        Via::PagerDuty {
            url: url("pd"),
            routing_key: "key".into(),
        },
        Via::Teams { url: url("teams") },
        Via::Email(mail),
        Via::Json {
            url: url("json"),
            bearer: None,
            template,
        },
    ];
    vias.into_iter()
        .map(|via| receiver_by(via.word(), via))
        .collect()
}

pub fn receiver_by(name: &str, via: Via) -> Receiver {
    Receiver {
        name: name.to_owned(),
        via,
        timeout: Duration::from_millis(500),
        allow_private_addresses: true,
    }
}

pub fn bases() -> Bases {
    Bases {
        dashboard: "https://grafana.example/d/lapwing-calls".into(),
        trace: "https://grafana.example/trace/{trace_id}".into(),
        runbook: "https://lapwing.example/runbook".into(),
        admin: "https://lapwing.example".into(),
    }
}

/// An alert about an incident, as the manager would have it.
pub fn alert_of(incident: Incident, event: Event) -> Alert {
    let identity = labels::identity(&incident);
    let resolved = event == Event::Resolved;
    let mut incident = incident;
    if resolved {
        incident.ended_ns = Some(incident.raised_ns + 840_000_000_000);
    }
    Alert {
        id: format!("{:016x}", incident.id),
        fingerprint: labels::fingerprint(&identity),
        identity,
        status: if resolved {
            Status::Resolved
        } else {
            Status::Firing
        },
        version: 1,
        opened_at_ns: incident.raised_ns,
        changed_at_ns: incident.raised_ns,
        resolved_at_ns: incident.ended_ns,
        muted: None,
        acknowledged: None,
        flapping: false,
        severities_before: Vec::new(),
        told: BTreeMap::new(),
        incident,
    }
}

/// The body that a receiver gets about these incidents.
pub fn body(receiver: &Receiver, event: Event, incidents: Vec<Incident>) -> Option<String> {
    let books = Runbooks::load(None).unwrap();
    let context = Context {
        books: &books,
        bases: &bases(),
        now_ns: NOW_NS,
    };
    let alerts: Vec<Item> = incidents
        .into_iter()
        .map(|incident| Item {
            event,
            repeat: false,
            alert: alert_of(incident, event),
        })
        .collect();
    let group = alerts[0].alert.identity.clone();
    let notification = Notification {
        id: "lw_1a70000000000002_firing".into(),
        receiver: receiver.name.clone(),
        group,
        alerts,
    };
    render::body(&context, receiver, &notification)
}

/// Times short enough for a test; nothing is held back.
pub fn options(receivers: Vec<Receiver>) -> Options {
    Options {
        receivers,
        group_wait: Duration::ZERO,
        retry: Retry {
            min: Duration::from_millis(30),
            max: Duration::from_millis(200),
            give_up_after: Duration::from_secs(20),
        },
        bases: bases(),
        ..Options::default()
    }
}

/// Alerts at work, until this is dropped as if the process had died.
pub struct Life {
    runtime: Option<tokio::runtime::Runtime>,
    pub handle: AlertHandle,
    /// Kept so that its tasks go on.
    _running: alert::Running,
}

impl Life {
    pub fn begin(options: Options, data_dir: &Path) -> Life {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        // The dead process before may take a moment to let go of the lock.
        let running =
            crate::support::wait::until("the state to be free", Duration::from_secs(20), || {
                let _guard = runtime.enter();
                alert::start(options.clone(), data_dir, None).map_err(|e| e.to_string())
            });
        Life {
            handle: running.handle(),
            runtime: Some(runtime),
            _running: running,
        }
    }

    pub fn tell(&self, state: State, incident: &Incident) {
        let mut incident = incident.clone();
        if state == State::Closed {
            incident.ended_ns = Some(incident.raised_ns + 60_000_000_000);
        }
        let change = Change {
            at_ns: incident.raised_ns,
            state,
            incident,
        };
        let runtime = self.runtime.as_ref().expect("alive");
        runtime.block_on(self.handle.tell(change));
    }

    /// Waits until a message is delivered or dead, and gives its state and reason.
    pub fn fate(&self, receiver: &str, id: &str) -> (&'static str, String) {
        crate::support::wait::until(
            "the end of a delivery",
            Duration::from_secs(60),
            || match self.handle.delivery(receiver, id) {
                Some(report) if report.state != "waiting" => Ok((report.state, report.reason)),
                other => Err(format!("{other:?}")),
            },
        )
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        // Tasks end where they stand.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// An incident of this kind, raised now.
pub fn now(kind: Kind) -> Incident {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    sample::incident_at(kind, since.as_nanos() as u64)
}

/// One request with a JSON body; status and the JSON of the answer.
pub fn http(
    to: SocketAddr,
    method: &str,
    path: &str,
    body: &Value,
) -> Result<(u16, Value), String> {
    let io = |e: std::io::Error| e.to_string();
    let mut socket = TcpStream::connect_timeout(&to, Duration::from_secs(5)).map_err(io)?;
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .map_err(io)?;
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {to}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(head.as_bytes()).map_err(io)?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).map_err(io)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|s| s.parse().ok())
        .ok_or("no status")?;
    // Chunked answers of small documents are one chunk.
    let start = body.find(['{', '[', '"']).unwrap_or(0);
    let end = body.rfind(['}', ']', '"']).map_or(0, |at| at + 1);
    let json =
        serde_json::from_str(body.get(start..end).unwrap_or_default()).unwrap_or(Value::Null);
    Ok((status, json))
}
