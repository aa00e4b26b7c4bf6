//! A real Alertmanager receives, groups, silences and resolves our alerts.

use std::{collections::BTreeSet, net::SocketAddr, process::Command, time::Duration};

use lapwing::{
    alert::options::Via,
    detect::{Kind, Severity, State},
};
use serde_json::{Value, json};

use super::{
    Life, http, now, options,
    receiver::{Answer, FakeReceiver},
    receiver_by,
};
use crate::support::{
    process::Process,
    wait::{free_addresses, until},
};

const TIME_MAX: Duration = Duration::from_secs(60);
const PROGRAM: &str = "prometheus-alertmanager";

struct Alertmanager {
    _process: Process,
    address: SocketAddr,
    /// Where it sends its webhooks.
    told: FakeReceiver,
    dir: tempfile::TempDir,
}

impl Alertmanager {
    /// `None` where it is not installed and not required.
    fn start() -> Option<Alertmanager> {
        let installed = Command::new(PROGRAM).arg("--version").output().is_ok();
        if !installed {
            let required = std::env::var("LAPWING_TEST_CLIENTS").is_ok_and(|v| v == "required");
            assert!(
                !required,
                "{PROGRAM} is not installed: apt-get install {PROGRAM}"
            );
            eprintln!("SKIPPED: {PROGRAM} is not installed, so no real Alertmanager was tested");
            return None;
        }
        let told = FakeReceiver::start(|_| Answer::Status(200));
        let dir = tempfile::tempdir().unwrap();
        let config = format!(
            "route: {{receiver: test, group_by: [provider], group_wait: 1s, group_interval: 1s, repeat_interval: 1h}}\n\
             receivers: [{{name: test, webhook_configs: [{{url: '{}', send_resolved: true}}]}}]\n",
            told.url()
        );
        let file = dir.path().join("alertmanager.yml");
        std::fs::write(&file, config).unwrap();
        let [address] = free_addresses();
        let mut command = Command::new(PROGRAM);
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.path={}",
                dir.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .arg("--cluster.listen-address=");
        let process = Process::start("alertmanager", &mut command, dir.path());
        until("alertmanager to be ready", TIME_MAX, || {
            match http(address, "GET", "/-/ready", &Value::Null) {
                Ok((200, _)) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        Some(Alertmanager {
            _process: process,
            address,
            told,
            dir,
        })
    }

    fn alerts(&self) -> Vec<Value> {
        let answer = http(self.address, "GET", "/api/v2/alerts", &Value::Null);
        let alerts = answer.map(|(_, body)| body.as_array().cloned().unwrap_or_default());
        alerts.unwrap_or_default()
    }

    /// The state of each alert that it has, by name.
    fn wait_for(&self, what: &str, look: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        until(what, TIME_MAX, || {
            let alerts = self.alerts();
            if look(&alerts) {
                Ok(alerts)
            } else {
                Err(format!("{alerts:?}"))
            }
        })
    }
}

fn named<'a>(alerts: &'a [Value], name: &str) -> Option<&'a Value> {
    alerts.iter().find(|a| a["labels"]["alertname"] == name)
}

#[test]
fn alertmanager_receives_groups_silences_and_resolves() {
    let Some(alertmanager) = Alertmanager::start() else {
        return;
    };
    let url = format!("http://{}", alertmanager.address);
    let receiver = receiver_by("am", Via::Alertmanager { url, bearer: None });
    let life = Life::begin(options(vec![receiver]), alertmanager.dir.path());
    let (quota, mut empty) = (now(Kind::QuotaExhausted), now(Kind::EmptyRise));
    life.tell(State::Opened, &quota);
    life.tell(State::Opened, &empty);

    let alerts = alertmanager.wait_for("both alerts", |a| a.len() == 2);
    let one = named(&alerts, "quota_exhausted").expect("the quota");
    assert_eq!(one["labels"]["severity"], "critical");
    assert_eq!(one["labels"]["provider"], "openai");
    assert!(
        one["annotations"]["runbook_url"]
            .as_str()
            .is_some_and(|u| u.contains("/runbook#"))
    );

    // Grouped by provider: one notification with both.
    let group = until("a group of two", TIME_MAX, || {
        let seen = alertmanager.told.seen();
        let bodies = seen
            .iter()
            .filter_map(|s| serde_json::from_str::<Value>(&s.body).ok());
        let names = |body: &Value| -> BTreeSet<String> {
            let alerts = body["alerts"].as_array().into_iter().flatten();
            alerts
                .map(|a| a["labels"]["alertname"].to_string())
                .collect()
        };
        let mut groups = bodies.filter(|body| names(body).len() == 2);
        groups.next().ok_or(format!("{} notifications", seen.len()))
    });
    assert_eq!(group["groupLabels"], json!({"provider": "openai"}));
    assert_eq!(group["status"], "firing");

    // A worse severity is the same alert under its new labels; the old ones end.
    empty.severity = Severity::Page;
    life.tell(State::Updated, &empty);
    alertmanager.wait_for("one empty_rise, critical", |alerts| {
        let of: Vec<&Value> = alerts
            .iter()
            .filter(|a| a["labels"]["alertname"] == "empty_rise")
            .collect();
        of.len() == 1 && of[0]["labels"]["severity"] == "critical"
    });

    let silence = json!({
        "matchers": [{"name": "alertname", "value": "quota_exhausted", "isRegex": false, "isEqual": true}],
        "startsAt": jiff::Timestamp::now().to_string(),
        "endsAt": (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1)).to_string(),
        "createdBy": "test",
        "comment": "test",
    });
    let (status, _) = http(alertmanager.address, "POST", "/api/v2/silences", &silence).unwrap();
    assert_eq!(status, 200);
    alertmanager.wait_for("the quota silenced", |alerts| {
        named(alerts, "quota_exhausted").is_some_and(|a| a["status"]["state"] == "suppressed")
    });

    life.tell(State::Closed, &quota);
    life.tell(State::Closed, &empty);
    alertmanager.wait_for("no alert", |alerts| alerts.is_empty());
    until("a resolved notification", TIME_MAX, || {
        let seen = alertmanager.told.seen();
        let resolved = seen.iter().any(|s| {
            let body: Value = serde_json::from_str(&s.body).unwrap_or_default();
            body["status"] == "resolved"
        });
        if resolved {
            Ok(())
        } else {
            Err(format!("{} notifications", seen.len()))
        }
    });
}
