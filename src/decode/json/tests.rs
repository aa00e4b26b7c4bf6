//! What OTLP/JSON clients send, one spelling after another.

use bumpalo::Bump;

use super::super::{DEPTH_MAX, SpanKind, StatusCode, Value};
use super::*;
use crate::decode;

const IDS: &str = r#""traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174""#;

/// The example of the OTLP specification, shortened.
const SPECIFICATION: &str = r#"{"resourceSpans":[{
  "resource":{"attributes":[{"key":"service.name","value":{"stringValue":"my.service"}}]},
  "scopeSpans":[{
    "scope":{"name":"my.library","version":"1.0.0","attributes":[
      {"key":"my.scope.attribute","value":{"stringValue":"some scope attribute"}}]},
    "spans":[{
      "traceId":"5B8EFFF798038103D269B633813FC60C",
      "spanId":"EEE19B7EC3C1B174",
      "parentSpanId":"EEE19B7EC3C1B173",
      "name":"I'm a server span",
      "startTimeUnixNano":"1544712660000000000",
      "endTimeUnixNano":"1544712661000000000",
      "kind":2,
      "attributes":[{"key":"my.span.attr","value":{"stringValue":"some value"}}]}]}]}]}"#;

/// A request with one span: its ids and whatever else is given.
fn span(rest: &str) -> String {
    let comma = if rest.is_empty() { "" } else { "," };
    spans(&format!("{{{IDS}{comma}{rest}}}"))
}

fn spans(spans: &str) -> String {
    format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{spans}]}}]}}]}}"#)
}

fn with_traces(json: impl AsRef<[u8]>, check: impl FnOnce(&decode::Traces<'_>)) {
    let body = traces_to_proto(json.as_ref()).unwrap();
    let arena = Bump::new();
    check(&decode::traces(&body, &arena).unwrap());
}

/// Reads one attribute value.
fn with_value(json: &str, check: impl FnOnce(&decode::Traces<'_>, Value<'_>)) {
    let attributes = format!(r#""attributes":[{{"key":"k","value":{json}}}]"#);
    with_traces(span(&attributes), |traces| {
        assert_eq!(traces.rejected.first_reason, None, "{json}");
        check(traces, traces.spans[0].attributes[0].value);
    });
}

fn error(json: impl AsRef<[u8]>) -> String {
    traces_to_proto(json.as_ref()).unwrap_err().to_string()
}

#[test]
fn the_example_of_the_specification_is_read() {
    with_traces(SPECIFICATION, |traces| {
        let span = traces.spans[0];
        assert_eq!(span.trace_id[..3], [0x5b, 0x8e, 0xff]);
        assert_eq!(span.parent_span_id.unwrap()[7], 0x73);
        assert_eq!(span.name, "I'm a server span");
        assert_eq!(span.kind, SpanKind::Server);
        assert_eq!(span.start_ns, 1_544_712_660_000_000_000);
        assert_eq!(span.end_ns, 1_544_712_661_000_000_000);
        assert_eq!(span.attributes[0].value, Value::Str("some value"));
        assert_eq!(traces.scopes[0].attributes[0].key, "my.scope.attribute");
        assert_eq!(
            traces.resources[0].attributes[0].value,
            Value::Str("my.service")
        );
    });
}

#[test]
fn every_spelling_of_a_value_is_taken() {
    let table: &[(&str, Value<'_>)] = &[
        ("{}", Value::Empty),
        ("null", Value::Empty),
        (r#"{"unheardOf":{"x":[1]}}"#, Value::Empty),
        (r#"{"stringValue":""}"#, Value::Str("")),
        (r#"{"stringValue":null}"#, Value::Empty),
        (r#"{"stringValue":5}"#, Value::Str("5")),
        (r#"{"boolValue":true}"#, Value::Bool(true)),
        (r#"{"boolValue":"false"}"#, Value::Bool(false)),
        (r#"{"intValue":7}"#, Value::Int(7)),
        (r#"{"intValue":"-7"}"#, Value::Int(-7)),
        (r#"{"intValue":1e3}"#, Value::Int(1000)),
        (r#"{"intValue":"1.0"}"#, Value::Int(1)),
        (r#"{"intValue":1.5E1}"#, Value::Int(15)),
        (
            r#"{"intValue":"9223372036854775807"}"#,
            Value::Int(i64::MAX),
        ),
        (r#"{"intValue":-9223372036854775808}"#, Value::Int(i64::MIN)),
        (r#"{"intValue":1e+300}"#, Value::Double(1e300)),
        (r#"{"doubleValue":2}"#, Value::Double(2.0)),
        (r#"{"doubleValue":"0.5"}"#, Value::Double(0.5)),
        (
            r#"{"doubleValue":"-Infinity"}"#,
            Value::Double(f64::NEG_INFINITY),
        ),
        (r#"{"doubleValue":Infinity}"#, Value::Double(f64::INFINITY)),
        (r#"{"bytesValue":"+/8="}"#, Value::Bytes(&[0xfb, 0xff])),
        (r#"{"bytesValue":"-_8"}"#, Value::Bytes(&[0xfb, 0xff])),
        (r#"{"arrayValue":{}}"#, Value::Array(&[])),
        (r#"{"arrayValue":{"values":null}}"#, Value::Array(&[])),
        (
            r#"{"arrayValue":{"values":[{}, {"intValue":1}]}}"#,
            Value::Array(&[Value::Empty, Value::Int(1)]),
        ),
        (r#"{"kvlistValue":{"values":[]}}"#, Value::Kvlist(&[])),
        (r#"{"intValue":1,"intValue":2}"#, Value::Int(2)),
        (
            r#"{"stringValue":"\u00e9\ud83d\ude00\n\/\""}"#,
            Value::Str("é😀\n/\""),
        ),
    ];
    for (json, want) in table {
        with_value(json, |_, got| assert_eq!(got, *want, "{json}"));
    }
    with_value(r#"{"doubleValue":"NaN"}"#, |_, got| {
        assert!(matches!(got, Value::Double(nan) if nan.is_nan()));
    });
}

#[test]
fn half_a_surrogate_pair_is_repaired_and_counted() {
    for text in [r"a\ud83db", r"a\ude00b", r"a\ud83d\ud83d\ude00b"] {
        with_value(&format!(r#"{{"stringValue":"{text}"}}"#), |traces, got| {
            let want = if text.len() > 10 {
                "a\u{fffd}😀b"
            } else {
                "a\u{fffd}b"
            };
            assert_eq!(got, Value::Str(want));
            assert_eq!(traces.rejected.strings_repaired, 1);
        });
    }
}

#[test]
fn enums_are_taken_by_number_and_by_name() {
    for kind in ["3", "\"3\"", "\"SPAN_KIND_CLIENT\"", "\"client\""] {
        let json = format!(r#""kind":{kind},"status":{{"code":"STATUS_CODE_ERROR"}}"#);
        with_traces(span(&json), |traces| {
            assert_eq!(traces.spans[0].kind, SpanKind::Client, "{kind}");
            assert_eq!(traces.spans[0].status.code, StatusCode::Error);
        });
    }
    for kind in ["99", "-1", "\"NEW_KIND\"", "null", "\"\""] {
        with_traces(span(&format!(r#""kind":{kind}"#)), |traces| {
            assert_eq!(traces.spans[0].kind, SpanKind::Unspecified, "{kind}");
        });
    }
}

#[test]
fn a_byte_order_mark_and_null_anywhere_are_taken() {
    with_traces(format!("\u{feff}{SPECIFICATION}\n"), |traces| {
        assert_eq!(traces.spans.len(), 1);
    });
    let nulls = span(
        r#""parentSpanId":null,"name":null,"kind":null,"startTimeUnixNano":null,
        "attributes":null,"events":[{"attributes":null}],"links":null,"status":null"#,
    );
    with_traces(nulls, |traces| {
        assert_eq!(traces.spans[0].parent_span_id, None);
        assert_eq!(traces.spans[0].events.len(), 1);
    });
    for empty in [
        "{}",
        r#"{"resourceSpans":null}"#,
        r#"{"resourceSpans":[{}]}"#,
    ] {
        with_traces(empty, |traces| assert!(traces.spans.is_empty()));
    }
}

#[test]
fn of_a_key_that_is_there_twice_the_last_value_counts() {
    let json = span(
        r#""attributes":[{"key":"a"}],"name":"first","events":[{"name":"e"}],
        "attributes":[{"key":"b"},{"key":"c"}],"name":"last","events":null,
        "status":{"code":2,"message":"m"},"status":{}"#,
    );
    with_traces(json, |traces| {
        let span = traces.spans[0];
        let keys: Vec<_> = span.attributes.iter().map(|kv| kv.key).collect();
        assert_eq!(keys, ["b", "c"]);
        assert_eq!(span.name, "last");
        assert!(span.events.is_empty());
        assert_eq!(span.status.code, StatusCode::Unset);
    });
    with_traces(span(r#""name":"first","name":null"#), |traces| {
        assert_eq!(traces.spans[0].name, "");
    });
}

#[test]
fn a_span_with_a_value_that_does_not_fit_is_rejected_alone() {
    let good = format!(r#"{{{IDS},"name":"good"}}"#);
    let table = [
        (
            r#"{"spanId":"eee19b7ec3c1b174","traceId":"xyz"}"#,
            "trace id is not 16 bytes",
        ),
        (
            r#"{"spanId":"eee19b7ec3c1b174","traceId":"abcd"}"#,
            "trace id is 2 bytes long",
        ),
        (
            r#"{"spanId":"eee19b7ec3c1b174"}"#,
            "trace id is 0 bytes long",
        ),
        (
            r#"{"spanId":"eee19b7ec3c1b174","traceId":5}"#,
            "trace id is not 16 bytes",
        ),
        (r#"{"startTimeUnixNano":"yesterday"}"#, "field 7"),
        (r#"{"startTimeUnixNano":-1}"#, "field 7"),
        (r#"{"attributes":{"a":1}}"#, "field 9"),
        (r#"{"attributes":[["a",1]]}"#, "field 9"),
        (r#"{"attributes":[{"key":"a","value":"b"}]}"#, "field 2"),
        (
            r#"{"attributes":[{"key":"a","value":{"bytesValue":"!"}}]}"#,
            "field 7",
        ),
        (
            r#"{"attributes":[{"key":"a","value":{"intValue":1.5}}]}"#,
            "field 3",
        ),
        (r#"{"name":[]}"#, "field 5"),
        ("null", "trace id is 0 bytes long"),
    ];
    for (bad, want) in table {
        with_traces(spans(&format!("{bad},{good}")), |traces| {
            assert_eq!(traces.spans[0].name, "good", "{bad}");
            assert_eq!(traces.rejected.count, 1, "{bad}");
            let reason = traces.rejected.first_reason.as_deref().unwrap();
            assert!(reason.contains(want), "{bad}: {reason}");
        });
    }
}

#[test]
fn nesting_is_bounded_and_never_overflows() {
    let nested = |levels: usize| {
        let open = r#"{"kvlistValue":{"values":[{"key":"k","value":"#.repeat(levels);
        let close = "}]}}".repeat(levels);
        let value = format!(r#"{open}{{"intValue":1}}{close}"#);
        span(&format!(
            r#""name":"deep","attributes":[{{"value":{value}}}]"#
        ))
    };
    with_traces(nested(DEPTH_MAX), |traces| {
        let mut value = traces.spans[0].attributes[0].value;
        while let Value::Kvlist(list) = value {
            value = list[0].value;
        }
        assert_eq!(value, Value::Int(1));
    });
    for levels in [DEPTH_MAX + 1, 10_000] {
        with_traces(nested(levels), |traces| {
            let reason = traces.rejected.first_reason.as_deref().unwrap();
            assert!(reason.contains("`deep`: values nest more"), "{reason}");
        });
    }
    let unknown = format!("{{\"x\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    with_traces(unknown, |traces| assert!(traces.spans.is_empty()));
    assert!(error("[".repeat(10_000)).contains("expected `{`"));
    assert!(error("{\"x\":".repeat(10_000)).contains("found the end"));
}

#[test]
fn what_is_not_json_is_refused_with_its_place() {
    let table = [
        ("", "line 1 column 1: expected `{`, found the end"),
        ("[]", "line 1 column 1: expected `{`, found '['"),
        (
            "{\n  \"a\": tru\n}",
            "line 2 column 8: expected a value, found 't'",
        ),
        (
            "{\"a\":1,}",
            "line 1 column 8: expected another element, found '}'",
        ),
        ("{\"a\" 1}", "line 1 column 6: expected `:`, found '1'"),
        (
            "{a:1}",
            "line 1 column 2: expected a key in quotes, found 'a'",
        ),
        ("{\"a\":01}", "line 1 column 6: expected a value, found '0'"),
        (
            "{\"a\":[1 2]}",
            "line 1 column 9: expected `,` or `]`, found '2'",
        ),
        (
            "{\"a\":\"\\x\"}",
            "line 1 column 7: expected an escape that JSON has, found '\\\\'",
        ),
        (
            "{\"a\":\"\\u12\"}",
            "line 1 column 7: expected `\\u` and four hex digits, found '\\\\'",
        ),
        (
            "{\"a\":\"b}",
            "line 1 column 6: expected a string that ends, found '\"'",
        ),
        (
            "{} x",
            "line 1 column 4: expected nothing after the document, found 'x'",
        ),
        (
            "{}{}",
            "line 1 column 3: expected nothing after the document, found '{'",
        ),
    ];
    for (json, want) in table {
        assert_eq!(error(json), want, "{json}");
    }
}

#[test]
fn a_file_of_json_lines_is_split_into_documents() {
    let file =
        format!("\u{feff}{SPECIFICATION}\n{{\"resourceLogs\":[]}}\r\n\n{{}}{{\"a\":\"}}\"}}");
    let documents: Vec<_> = documents(file.as_bytes()).map(Result::unwrap).collect();
    assert_eq!(documents.len(), 4);
    assert_eq!(documents[0], SPECIFICATION.as_bytes());
    assert_eq!(signal(documents[0]), Some(Signal::Traces));
    assert_eq!(signal(documents[1]), Some(Signal::Logs));
    assert_eq!(signal(documents[2]), None);
    let mut broken = super::documents(b"{}\n{\"a\":}\n{}");
    assert_eq!(broken.next(), Some(Ok(&b"{}"[..])));
    assert_eq!(broken.next().unwrap().unwrap_err().line, 2);
    assert_eq!(broken.next(), None);
}

#[test]
fn log_records_and_metric_points_are_read() {
    let logs = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{
        "timeUnixNano":"1","observedTimeUnixNano":2,"severityNumber":"SEVERITY_NUMBER_ERROR",
        "body":{"kvlistValue":{"values":[{"key":"k","value":{"stringValue":"v"}}]}},
        "attributes":[{"key":"event.name","value":{"stringValue":"gen_ai.choice"}}],
        "traceId":"","spanId":null}]}]}]}"#;
    let body = logs_to_proto(logs.as_bytes()).unwrap();
    let arena = Bump::new();
    let logs = decode::logs(&body, &arena).unwrap();
    let record = logs.records[0];
    assert_eq!(record.event_name, "gen_ai.choice");
    assert_eq!(record.severity_number, 17);
    assert_eq!((record.time_ns, record.observed_time_ns), (1, 2));
    assert_eq!((record.trace_id, record.span_id), (None, None));

    let metrics = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[
        {"name":"a","gauge":{"dataPoints":[{"asInt":"1"},{"asDouble":2}]}},
        {"name":"b","exponentialHistogram":{"dataPoints":[{"count":1}]}}, {"name":"c"}]}]}]}"#;
    assert_eq!(metrics_point_count(metrics.as_bytes()), Ok(3));
}
