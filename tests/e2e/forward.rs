//! What is passed on reaches a receiver made of OpenTelemetry's own classes, whatever befalls it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    path::PathBuf,
    time::Duration,
};

use serde::Deserialize;
use serde_json::Value;

use crate::{
    otlp::{SpanOf, log, logs, span, traces},
    support::{
        clients::{now_ns, python},
        lapwing::Lapwing,
        process::Process,
        send::{PROTOBUF, post},
        wait::{free_addresses, until},
    },
};

const TIME_MAX: Duration = Duration::from_secs(90);
const SECRET: &str = "sk-proj-Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4z";

/// A span or log record as it arrived.
#[derive(Debug, Deserialize)]
struct Arrived {
    kind: String,
    name: String,
    #[serde(default)]
    span: String,
    attributes: BTreeMap<String, Value>,
    #[serde(default)]
    resource: BTreeMap<String, Value>,
    body: Option<Value>,
}

/// The other side: comes and goes, always at one address.
struct Target {
    address: SocketAddr,
    protocol: &'static str,
    dir: tempfile::TempDir,
    process: Option<Process>,
}

impl Target {
    fn new(protocol: &'static str) -> Target {
        let [address] = free_addresses();
        Target {
            address,
            protocol,
            dir: tempfile::tempdir().expect("a temporary directory"),
            process: None,
        }
    }

    fn start(&mut self, what: &str) {
        let mut command = python("current", "python/receive_otlp.py");
        command
            .arg(self.protocol)
            .arg(self.address.port().to_string())
            .arg(self.file())
            .arg(what);
        let process = Process::start("receiver", &mut command, self.dir.path());
        until("the receiver to listen", TIME_MAX, || {
            let log = process.log();
            log.contains("listening").then_some(()).ok_or(log)
        });
        self.process = Some(process);
    }

    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("arrived.jsonl")
    }

    fn arrived(&self) -> Vec<Arrived> {
        let text = fs::read_to_string(self.file()).unwrap_or_default();
        text.lines()
            .map(|line| serde_json::from_str(line).expect("a line of the receiver"))
            .collect()
    }

    /// Waits until there are spans of these names.
    fn wait_for(&self, names: &[String]) -> Vec<Arrived> {
        until("what was sent to arrive", TIME_MAX, || {
            let arrived = self.arrived();
            let found: BTreeSet<&str> = arrived.iter().map(|one| one.name.as_str()).collect();
            let missing = names.iter().filter(|n| !found.contains(n.as_str())).count();
            match missing {
                0 => Ok(()),
                n => Err(format!("{n} of {} are missing", names.len())),
            }
        });
        self.arrived()
    }

    fn config(&self, more: &str) -> String {
        let protocol = match self.protocol {
            "grpc" => "grpc",
            _ => "http/protobuf",
        };
        let endpoint = format!("http://{}", self.address);
        format!("forward: {{otlp: {{endpoint: \"{endpoint}\", protocol: {protocol}{more}}}}}\n")
    }
}

fn call(name: &str, number: u64) -> SpanOf {
    span(name)
        .in_trace(number)
        .id(number)
        .at_ns(now_ns())
        .attr("gen_ai.operation.name", "chat")
        .attr("gen_ai.provider.name", "openai")
        .attr("gen_ai.request.model", "gpt-4o")
        .attr("custom.note", name)
}

#[track_caller]
fn send(lapwing: &Lapwing, path: &str, body: &[u8]) {
    let answer = post(lapwing.http, path, &[PROTOBUF], body);
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn send_named(lapwing: &Lapwing, prefix: &str, numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers
        .map(|number| {
            let name = format!("{prefix} {number}");
            send(lapwing, "/v1/traces", &traces(&[call(&name, number)]));
            name
        })
        .collect()
}

/// The whole story over one protocol: calls with what was worked out, other spans as they are, a
/// target that is down at first, dies in between and comes back, a collector that is killed.
fn nothing_is_lost(protocol: &'static str) {
    let mut target = Target::new(protocol);
    let mut lapwing = Lapwing::start_with(&target.config(""));
    let mut names = send_named(&lapwing, "before", 1..30);
    until("the first failed attempt", TIME_MAX, || {
        match lapwing.metric("lapwing_forward_failing")? {
            1.0 => Ok(()),
            other => Err(format!("{other}")),
        }
    });
    target.start("busy");
    let quota = call("quota", 100)
        .attr("http.response.status_code", 429)
        .attr("error.type", "insufficient_quota")
        .failed("Error code: 429 - You exceeded your current quota, please check your plan and billing details.");
    let priced = call("priced", 101)
        .attr("gen_ai.response.model", "gpt-4o-2024-08-06")
        .attr("gen_ai.usage.input_tokens", 1000)
        .attr("gen_ai.usage.output_tokens", 100)
        .attr("custom.key", format!("token {SECRET}").as_str());
    let plain = span("GET /shop")
        .in_trace(102)
        .id(102)
        .at_ns(now_ns())
        .attr("a.b", "c");
    send(&lapwing, "/v1/traces", &traces(&[quota, priced, plain]));
    send(
        &lapwing,
        "/v1/logs",
        &logs(&[log("app.event").at_ns(now_ns()).attr("n", 7).body("a line")]),
    );
    names.extend(["quota", "priced", "GET /shop", "app.event"].map(str::to_owned));
    target.wait_for(&names);

    target.kill();
    names.extend(send_named(&lapwing, "while it is down", 200..230));
    lapwing.process().kill();
    lapwing.start_again();
    names.extend(send_named(&lapwing, "after the crash", 300..330));
    target.start("");
    let arrived = target.wait_for(&names);

    let one = |name: &str| arrived.iter().find(|a| a.name == name).expect("it arrived");
    let quota = one("quota");
    assert_eq!(
        quota.attributes["lapwing.failure_class"],
        "llm.billing.quota_exhausted"
    );
    assert_eq!(quota.attributes["lapwing.http_status"], 429);
    assert!(quota.attributes.contains_key("lapwing.retry_advice"));
    assert!(quota.attributes.contains_key("lapwing.fault_domain"));
    assert_eq!(quota.attributes["custom.note"], "quota");
    let priced = one("priced");
    assert_eq!(priced.attributes["lapwing.cost_usd"], 0.0035);
    assert_eq!(
        priced.attributes["lapwing.response_model"],
        "gpt-4o-2024-08-06"
    );
    assert!(!priced.attributes.contains_key("lapwing.failure_class"));
    assert!(
        !priced.attributes["custom.key"]
            .as_str()
            .expect("text")
            .contains(SECRET)
    );
    let plain = one("GET /shop");
    assert_eq!(plain.attributes.keys().collect::<Vec<_>>(), ["a.b"]);
    assert!(plain.resource.contains_key("service.name"));
    let line = one("app.event");
    assert_eq!(
        (line.kind.as_str(), &line.body),
        ("log", &Some("a line".into()))
    );

    // At least once: twice is only what was under way when something died.
    let spans: Vec<&str> = arrived
        .iter()
        .map(|a| a.span.as_str())
        .filter(|s| !s.is_empty())
        .collect();
    let different: BTreeSet<&&str> = spans.iter().collect();
    eprintln!(
        "{protocol}: {} spans, {} of them again",
        different.len(),
        spans.len() - different.len()
    );
    lapwing.settle();
    assert_eq!(
        lapwing.metric("lapwing_forward_refused_items_total"),
        Ok(0.0)
    );
    assert_eq!(lapwing.metric("lapwing_forward_failing"), Ok(0.0));
}

#[test]
fn over_grpc_nothing_is_lost() {
    nothing_is_lost("grpc");
}

#[test]
fn over_http_nothing_is_lost() {
    nothing_is_lost("http");
}

/// One item that is refused for good takes no other with it, and one that is left out is counted.
#[test]
fn a_refused_span_is_passed_over_and_counted() {
    let mut target = Target::new("grpc");
    let lapwing = Lapwing::start_with(&target.config(", compression: none"));
    // All of them wait, so that they go as one request.
    let mut names = send_named(&lapwing, "good", 1..10);
    send(&lapwing, "/v1/traces", &traces(&[call("poison", 20)]));
    send(&lapwing, "/v1/traces", &traces(&[call("partial", 21)]));
    names.extend(send_named(&lapwing, "more", 30..40));
    target.start("");
    let arrived = target.wait_for(&names);
    assert!(
        arrived
            .iter()
            .all(|a| a.name != "poison" && a.name != "partial")
    );
    until("the account of it", TIME_MAX, || {
        let refused = lapwing.metric("lapwing_forward_refused_items_total")?;
        let rejected = lapwing.metric("lapwing_forward_rejected_items_total")?;
        let sent = lapwing.metric("lapwing_forward_spans_total")?;
        match (refused, rejected, sent) {
            (1.0, 1.0, 19.0) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
}

/// A wrong token costs time, not data.
#[test]
fn a_wrong_token_holds_what_comes_until_it_is_right() {
    let mut target = Target::new("http");
    target.start("token");
    let mut lapwing = Lapwing::start_with(&target.config(", headers: {authorization: Bearer no}"));
    let names = send_named(&lapwing, "held", 1..10);
    until("to be held", TIME_MAX, || {
        match lapwing.metric("lapwing_forward_held")? {
            1.0 => Ok(()),
            other => Err(format!("{other}")),
        }
    });
    lapwing.process().stop();
    let file = lapwing.file("lapwing.yaml");
    let config = fs::read_to_string(&file).expect("the configuration");
    let mended = config.replace("Bearer no", "Bearer open-sesame");
    fs::write(&file, mended).expect("the configuration written");
    lapwing.start_again();
    target.wait_for(&names);
}

/// Where content is not kept, it does not leave either.
#[test]
fn content_that_is_not_kept_is_not_passed_on() {
    let mut target = Target::new("grpc");
    target.start("");
    let config = target.config("") + "content: {policy: none}\n";
    let lapwing = Lapwing::start_with(&config);
    let question =
        r#"[{"role":"user","parts":[{"type":"text","content":"the quarterly secret"}]}]"#;
    let told = call("told", 1).attr("gen_ai.input.messages", question);
    send(&lapwing, "/v1/traces", &traces(&[told]));
    let arrived = target.wait_for(&["told".to_owned()]);
    let text = fs::read_to_string(target.file()).expect("what arrived");
    assert!(!text.contains("quarterly"), "{text}");
    assert_eq!(arrived[0].attributes["custom.note"], "told");
    assert!(arrived[0].attributes.contains_key("lapwing.request_model"));
}
