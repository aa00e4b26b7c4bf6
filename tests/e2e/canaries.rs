//! Secrets and personal data are planted wherever a request has texts, in several conventions; then
//! every table, every file under `data_dir`, the log and the metrics are searched for them.

use std::{fs, path::Path};

use super::alert::{Outage, out_of_quota, start, told};
use crate::{
    alerts::receiver::{Answer, FakeReceiver},
    otlp::{SpanOf, log, logs, map, span, traces},
    support::{
        clients::now_ns,
        lapwing::Lapwing,
        send::{PROTOBUF, post},
        wait::until,
    },
};

/// What must not be found, each in a shape of its own. Put together here, so that nobody takes
/// them for real ones.
fn canaries() -> Vec<String> {
    [
        ["sk-", "proj-Canary0001abcdefghijklmnop"].concat(),
        ["sk-", "ant-api03-Canary0002-abcdefghij"].concat(),
        ["AKIA", "CANARY0003ABCDEF"].concat(),
        ["ghp_", "Canary0004abcdefghijABCDEFGHIJ012345"].concat(),
        "canary0005@private-mail.example".to_owned(),
        "4012 8888 8888 1881".to_owned(),
        "+1 (415) 555-0199".to_owned(),
        "canary0006-hunter2".to_owned(),
        "DE89 3704 0044 0532 0130 00".to_owned(),
    ]
    .to_vec()
}

/// One text that has them all.
fn planted() -> String {
    let all = canaries();
    format!(
        "my keys are {} and {}, aws {}, git {}.\nMail {} or call {}; card {}, IBAN {} \
         (postgres://app:{}@db/x)",
        all[0], all[1], all[2], all[3], all[4], all[6], all[5], all[8], all[7]
    )
}

/// Spans of several conventions with the text in every place that they have.
fn spans() -> Vec<SpanOf> {
    let text = planted();
    let text = text.as_str();
    let json = serde_json::to_string(&serde_json::json!([{"role": "user", "content": text}]));
    let messages = json.expect("JSON");
    let password = &canaries()[7];
    let otel = span("chat gpt-4o")
        .client()
        .attr("gen_ai.operation.name", "chat")
        .attr("gen_ai.request.model", "gpt-4o")
        .attr("gen_ai.input.messages", messages.as_str())
        .attr("gen_ai.output.messages", messages.as_str())
        .attr("http.request.header.authorization", password.as_str())
        .attr("http.request.header.x-api-key", [password.as_str()])
        .attr(
            "app.settings",
            map([("db_password", password.as_str().into())]),
        )
        .exception("AuthenticationError", text)
        .failed(text);
    let openinference = span("ChatCompletion")
        .id(2)
        .attr("openinference.span.kind", "LLM")
        .attr("llm.model_name", "gpt-4o")
        .attr("llm.input_messages.0.message.role", "user")
        .attr("llm.input_messages.0.message.content", text)
        .attr("output.value", messages.as_str())
        .attr("metadata.note", text);
    let tool = span("execute_tool send_mail")
        .id(3)
        .attr("gen_ai.operation.name", "execute_tool")
        .attr("gen_ai.tool.name", "send_mail")
        .attr("gen_ai.tool.call.arguments", messages.as_str())
        .attr("gen_ai.tool.call.result", text);
    let traceloop = span("openai.chat")
        .id(4)
        .attr("llm.request.type", "chat")
        .attr("gen_ai.request.model", "gpt-4o")
        .attr("gen_ai.prompt.0.role", "user")
        .attr("gen_ai.prompt.0.content", text)
        .event(
            "gen_ai.evaluation.result",
            &[
                ("gen_ai.evaluation.name", "tone".into()),
                ("gen_ai.evaluation.explanation", text.into()),
            ],
        );
    let plain = span(text).id(5).attr(text, "value").attr("note", text);
    let service = span("resource").id(6).service(text);
    let now = now_ns();
    let spans = [otel, openinference, tool, traceloop, plain, service];
    spans.into_iter().map(|span| span.at_ns(now)).collect()
}

#[test]
fn planted_secrets_are_found_nowhere() {
    let lapwing = Lapwing::start();
    let answer = post(lapwing.http, "/v1/traces", &[PROTOBUF], &traces(&spans()));
    assert_eq!(answer.status, 200);
    let text = planted();
    let records = [
        log("gen_ai.user.message")
            .at_ns(now_ns())
            .body(map([("content", text.as_str().into())]))
            .attr("note", text.as_str()),
        log("app.log").at_ns(now_ns()).of(2, 9).body(text.as_str()),
    ];
    let answer = post(lapwing.http, "/v1/logs", &[PROTOBUF], &logs(&records));
    assert_eq!(answer.status, 200);
    until("the rows", std::time::Duration::from_secs(30), || {
        let rows = lapwing.value("SELECT count() FROM llm_tool_calls")?;
        (rows == "1").then_some(()).ok_or(rows)
    });

    // The requests did arrive, with their texts.
    let kept = "SELECT count() FROM llm_calls WHERE input_content LIKE '%my keys are%'";
    assert_eq!(lapwing.value(kept).expect("rows"), "3");
    let marked = "SELECT count() FROM llm_calls WHERE input_content LIKE '%[redacted:api_key]%'";
    assert_eq!(lapwing.value(marked).expect("rows"), "3");

    let tables = lapwing
        .try_query("SELECT name FROM system.tables WHERE database = currentDatabase() FORMAT TSV");
    let tables = tables.expect("tables");
    assert!(tables.contains("llm_evals") && tables.contains("otel_logs"));
    for table in tables.lines().filter(|t| !t.ends_with("_mv")) {
        let rows = lapwing.try_query(&format!("SELECT * FROM {table} FORMAT JSONEachRow"));
        assert_clean(table, rows.expect("rows").as_bytes());
    }
    let metrics = reqwest_get(lapwing.admin, "/metrics");
    assert!(metrics.contains("lapwing_redacted_total"));
    assert_clean("/metrics", metrics.as_bytes());
    // Compressed columns would hide them; what is not compressed would show them.
    let mut files = 0;
    search(&lapwing.data_dir(), &mut files);
    search(
        lapwing.file("lapwing.yaml").parent().expect("a folder"),
        &mut files,
    );
    assert!(files > 10, "{files} files searched");
}

/// An alert quotes calls and an error: what it quotes is clean, too.
#[test]
fn planted_secrets_are_in_no_webhook() {
    let fake = FakeReceiver::start(|_| Answer::Status(200));
    let lapwing = start(&fake);
    let (text, messages) = (
        planted(),
        serde_json::json!([{"role": "user", "content": planted()}]),
    );
    let messages = messages.to_string();
    let _outage = Outage::begin(lapwing.http, move |number, at_ns| {
        out_of_quota(number, "gpt-4o", at_ns)
            .service(&text)
            .attr("tenant.id", text.as_str())
            .attr("feature", text.as_str())
            .attr("gen_ai.input.messages", messages.as_str())
            .attr("gen_ai.output.messages", messages.as_str())
            .attr("gen_ai.tool.call.arguments", messages.as_str())
            .attr("note", text.as_str())
            .exception("RateLimitError", &format!("insufficient_quota: {text}"))
            .failed(&format!("insufficient_quota: {text}"))
    });
    let (_, body) = told(&fake, "alert.firing");
    let data = &body["data"];
    assert_eq!(data["kind"], "quota_exhausted", "{body:#}");
    let error = data["evidence"]["error"].as_str().unwrap_or_default();
    assert!(error.contains("quota"), "{body:#}");
    for seen in fake.seen() {
        assert_clean("the webhook", seen.body.as_bytes());
        for (name, value) in seen.headers {
            assert_clean(&name, value.as_bytes());
        }
    }
}

/// The body of one GET.
fn reqwest_get(address: std::net::SocketAddr, path: &str) -> String {
    use std::io::{Read, Write};
    let mut socket = std::net::TcpStream::connect(address).expect("a connection");
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("an answer");
    answer
}

/// Searches every file below a folder, the collector's log among them.
fn search(folder: &Path, files: &mut usize) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            search(&path, files);
        } else if let Ok(bytes) = fs::read(&path) {
            *files += 1;
            assert_clean(&path.display().to_string(), &bytes);
        }
    }
}

#[track_caller]
fn assert_clean(place: &str, bytes: &[u8]) {
    for canary in canaries() {
        let found = bytes.windows(canary.len()).any(|w| w == canary.as_bytes());
        assert!(!found, "{canary} in {place}");
    }
}
