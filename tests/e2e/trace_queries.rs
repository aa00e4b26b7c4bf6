//! What people have pointed at `otel_traces` for years runs on ours.
//!
//! The queries are those that Grafana's ClickHouse plugin makes in its OpenTelemetry mode and the
//! columns by which HyperDX knows a source of spans, asked at the read-only door as they do.

use std::sync::{Arc, Mutex, Weak};

use serde_json::Value;

use crate::{
    otlp::{SpanOf, span, traces},
    support::{
        clients::now_ns,
        lapwing::Lapwing,
        send::{PROTOBUF, post},
    },
};

const MS: u64 = 1_000_000;

fn lapwing() -> Arc<Lapwing> {
    static SHARED: Mutex<Weak<Lapwing>> = Mutex::new(Weak::new());
    Lapwing::shared(&SHARED)
}

/// A web request with a model call below it.
fn request(trace: u8, service: &str) -> [SpanOf; 2] {
    let now = now_ns();
    let server = span("GET /answer")
        .trace(trace)
        .at_ns(now)
        .service(service)
        .attr("http.route", "/answer");
    let call = span("chat gpt-4o")
        .client()
        .trace(trace)
        .id(2)
        .under(1)
        .at_ns(now + 5 * MS)
        .service(service)
        .attr("gen_ai.operation.name", "chat")
        .attr("gen_ai.request.model", "gpt-4o")
        .attr(
            "gen_ai.input.messages",
            r#"[{"role":"user","parts":[{"type":"text","content":"A secret?"}]}]"#,
        )
        .attr("app.feature", "answers")
        .event("retry", &[("attempt", 1.into())])
        .failed("rate limited");
    [server, call]
}

#[track_caller]
fn send(lapwing: &Lapwing, spans: &[SpanOf]) {
    let answer = post(lapwing.http, "/v1/traces", &[PROTOBUF], &traces(spans));
    assert_eq!((answer.status, answer.text().as_str()), (200, ""));
    lapwing.settle();
}

/// What the read-only door answers, as dashboards ask it.
#[track_caller]
fn ask(lapwing: &Lapwing, sql: &str) -> Vec<Value> {
    let sql = format!("{sql} FORMAT JSONEachRow");
    let answer = post(
        lapwing.clickhouse,
        "/?database=lapwing",
        &[],
        sql.as_bytes(),
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = answer.text();
    // The answer may come in chunks: their sizes are lines of their own.
    let lines = text.lines().filter(|line| line.starts_with('{'));
    lines
        .map(|line| serde_json::from_str(line).expect("a row"))
        .collect()
}

#[test]
fn a_trace_is_found_by_its_id() {
    let lapwing = lapwing();
    send(&lapwing, &request(1, "by-id"));
    let id = "01".repeat(16);
    let sql = format!(
        r#"WITH '{id}' as trace_id,
        (SELECT min(Start) FROM "lapwing"."otel_traces_trace_id_ts" WHERE TraceId = trace_id) as trace_start,
        (SELECT max(End) + 1 FROM "lapwing"."otel_traces_trace_id_ts" WHERE TraceId = trace_id) as trace_end
        SELECT "TraceId" as traceID, "SpanId" as spanID, "ParentSpanId" as parentSpanID,
          "ServiceName" as serviceName, "SpanName" as operationName,
          multiply(toUnixTimestamp64Nano("Timestamp"), 0.000001) as startTime,
          multiply("Duration", 0.000001) as duration,
          arrayMap(key -> map('key', key, 'value', "SpanAttributes"[key]), mapKeys("SpanAttributes")) as tags,
          arrayMap(key -> map('key', key, 'value', "ResourceAttributes"[key]), mapKeys("ResourceAttributes")) as serviceTags,
          if("StatusCode" IN ('Error', 'STATUS_CODE_ERROR'), 2, 0) as statusCode,
          arrayMap((name, timestamp, attributes) -> tuple(name, toString(toUnixTimestamp64Milli(timestamp)),
            arrayMap( key -> map('key', key, 'value', attributes[key]), mapKeys(attributes)))::Tuple(name String, timestamp String, fields Array(Map(String, String))),
            "Events"."Name", "Events"."Timestamp", "Events"."Attributes") AS logs,
          arrayMap((traceID, spanID, attributes) -> tuple(traceID, spanID,
            arrayMap(key -> map('key', key, 'value', attributes[key]), mapKeys(attributes)))::Tuple(traceID String, spanID String, tags Array(Map(String, String))),
            "Links"."TraceId", "Links"."SpanId", "Links"."Attributes") AS references,
          "SpanKind" as kind, "StatusMessage" as statusMessage, "TraceState" as traceState
        FROM "lapwing"."otel_traces"
        WHERE traceID = trace_id AND "Timestamp" >= trace_start AND "Timestamp" <= trace_end
        ORDER BY startTime LIMIT 1000"#
    );
    let rows = ask(&lapwing, &sql);
    assert_eq!(rows.len(), 2, "{rows:#?}");
    assert_eq!(rows[0]["operationName"], "GET /answer");
    assert_eq!(rows[0]["parentSpanID"], "");
    let call = &rows[1];
    assert_eq!(call["parentSpanID"], "0000000000000001");
    assert_eq!(call["duration"], 1000.0);
    assert_eq!(
        (&call["statusCode"], &call["kind"]),
        (&2.into(), &"Client".into())
    );
    assert_eq!(call["statusMessage"], "rate limited");
    assert_eq!(call["logs"][0]["name"], "retry");
    assert_eq!(call["logs"][0]["fields"][0]["value"], "1");
    assert_eq!(call["serviceTags"][0]["value"], "by-id");
}

#[test]
fn traces_are_searched() {
    let lapwing = lapwing();
    send(&lapwing, &request(2, "searched"));
    let sql = r#"SELECT "TraceId" as traceID, "ServiceName" as serviceName, "SpanName" as operationName,
          "Timestamp" as startTime, multiply("Duration", 0.000001) as duration
        FROM "lapwing"."otel_traces"
        WHERE ( Timestamp >= toDateTime(now() - 3600) AND Timestamp <= toDateTime(now() + 60) )
          AND ( ParentSpanId = '' ) AND ( Duration > 0 ) AND ( ServiceName = 'searched' )
        ORDER BY Timestamp DESC, Duration DESC LIMIT 1000"#;
    let rows = ask(&lapwing, sql);
    assert_eq!(rows.len(), 1, "{rows:#?}");
    assert_eq!(rows[0]["traceID"], "02".repeat(16));
    let attributes = "SELECT DISTINCT arrayJoin(mapKeys(SpanAttributes)) AS key FROM otel_traces \
         WHERE ServiceName = 'searched' AND SpanKind = 'Client' ORDER BY key LIMIT 1000";
    assert!(!ask(&lapwing, attributes).is_empty());
}

#[test]
fn the_columns_of_a_span_source_are_there() {
    let lapwing = lapwing();
    send(&lapwing, &request(3, "columns"));
    let sql = "SELECT Timestamp, SpanName, Duration, SpanKind, TraceId, SpanId, ParentSpanId, ServiceName, \
         SpanAttributes, ResourceAttributes, StatusCode, StatusMessage, \
         `Events.Timestamp`, `Events.Name`, `Events.Attributes`, `Links.TraceId` \
         FROM otel_traces WHERE ServiceName = 'columns' AND SpanKind = 'Client'";
    let rows = ask(&lapwing, sql);
    assert_eq!(rows.len(), 1, "{rows:#?}");
    assert_eq!(rows[0]["StatusCode"], "Error");
    assert_eq!(
        rows[0]["Duration"].to_string().trim_matches('"'),
        "1000000000"
    );
    assert_eq!(rows[0]["Events.Name"][0], "retry");
    // Prompts are in the call and only there; what is no content stays in both.
    let attributes = &rows[0]["SpanAttributes"];
    assert_eq!(attributes["app.feature"], "answers");
    assert_eq!(attributes["gen_ai.request.model"], "gpt-4o");
    assert!(
        attributes.get("gen_ai.input.messages").is_none(),
        "{attributes}"
    );
    let call = "SELECT count() FROM llm_calls WHERE service = 'columns' AND input_content LIKE '%A secret?%'";
    assert_eq!(lapwing.value(call).as_deref(), Ok("1"));
}

#[test]
fn content_is_in_the_traces_when_that_is_wanted() {
    let lapwing = Lapwing::start_with("content: {in_traces: true}");
    send(&lapwing, &request(4, "wanted"));
    let sql = "SELECT SpanAttributes FROM otel_traces WHERE SpanKind = 'Client'";
    let rows = ask(&lapwing, sql);
    let messages = rows[0]["SpanAttributes"]["gen_ai.input.messages"].to_string();
    assert!(messages.contains("A secret?"), "{rows:#?}");
    let call = "SELECT count() FROM llm_calls WHERE input_content LIKE '%A secret?%'";
    assert_eq!(lapwing.value(call).as_deref(), Ok("1"));
}
