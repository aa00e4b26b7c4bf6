//! Builds OTLP bodies that read like a scenario:
//! `span("chat gpt-4o").scope("@mastra/otel").attr("gen_ai.request.model", "gpt-4o")`.
//!
//! Ids are small numbers; a span is number 1 of trace 1 and lasts a second unless told otherwise.
//! Encoded by `opentelemetry-proto`, so that what is tested is what exporters send.

#![allow(dead_code, reason = "each test crate that includes this uses a part")]

use opentelemetry_proto::tonic::{
    collector::{logs::v1::ExportLogsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{
        AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value::Value as Any,
    },
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span::Event},
};
use prost::Message;

/// Where the scenarios begin: some moment of 2026.
pub const START_NS: u64 = 1_780_000_000_000_000_000;
const MS: u64 = 1_000_000;

/// A value of an attribute.
#[derive(Debug, Clone)]
pub struct Val(AnyValue);

/// A span with its scope and process.
#[derive(Debug, Clone)]
pub struct SpanOf {
    span: Span,
    scope: String,
    service: String,
}

/// A log event with its scope.
#[derive(Debug, Clone)]
pub struct LogOf {
    record: LogRecord,
    scope: String,
}

/// A span, one second long, number 1 of trace 1.
pub fn span(name: &str) -> SpanOf {
    SpanOf {
        span: Span {
            trace_id: trace_id(1).to_vec(),
            span_id: span_id(1).to_vec(),
            name: name.to_owned(),
            kind: 1,
            start_time_unix_nano: START_NS,
            end_time_unix_nano: START_NS + 1000 * MS,
            ..Span::default()
        },
        scope: "app".to_owned(),
        service: "shop".to_owned(),
    }
}

/// A log event of span 1 of trace 1.
pub fn log(event: &str) -> LogOf {
    LogOf {
        record: LogRecord {
            event_name: event.to_owned(),
            trace_id: trace_id(1).to_vec(),
            span_id: span_id(1).to_vec(),
            time_unix_nano: START_NS + MS,
            ..LogRecord::default()
        },
        scope: "app".to_owned(),
    }
}

/// A structure.
pub fn map<const N: usize>(fields: [(&str, Val); N]) -> Val {
    let values = fields.into_iter().map(|(k, v)| key_value(k, v)).collect();
    Val(AnyValue {
        value: Some(Any::KvlistValue(KeyValueList { values })),
    })
}

/// A request with these spans, one scope group each.
pub fn traces(spans: &[SpanOf]) -> Vec<u8> {
    let resource_spans = spans.iter().map(|s| ResourceSpans {
        resource: Some(resource(&s.service)),
        scope_spans: vec![ScopeSpans {
            scope: Some(scope(&s.scope)),
            spans: vec![s.span.clone()],
            ..ScopeSpans::default()
        }],
        ..ResourceSpans::default()
    });
    ExportTraceServiceRequest {
        resource_spans: resource_spans.collect(),
    }
    .encode_to_vec()
}

/// A request with these log events.
pub fn logs(logs: &[LogOf]) -> Vec<u8> {
    let resource_logs = logs.iter().map(|l| ResourceLogs {
        resource: Some(resource("shop")),
        scope_logs: vec![ScopeLogs {
            scope: Some(scope(&l.scope)),
            log_records: vec![l.record.clone()],
            ..ScopeLogs::default()
        }],
        ..ResourceLogs::default()
    });
    ExportLogsServiceRequest {
        resource_logs: resource_logs.collect(),
    }
    .encode_to_vec()
}

/// The bytes of a small trace number.
pub fn trace_id(number: u8) -> [u8; 16] {
    [number; 16]
}

/// The bytes of a span number.
pub fn span_id(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

fn resource(service: &str) -> Resource {
    Resource {
        attributes: vec![key_value("service.name", service.into())],
        ..Resource::default()
    }
}

fn scope(name: &str) -> InstrumentationScope {
    InstrumentationScope {
        name: name.to_owned(),
        ..InstrumentationScope::default()
    }
}

fn key_value(key: &str, value: Val) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(value.0),
        ..KeyValue::default()
    }
}

fn key_values(fields: &[(&str, Val)]) -> Vec<KeyValue> {
    fields
        .iter()
        .map(|(k, v)| key_value(k, v.clone()))
        .collect()
}

// === impl SpanOf ===

impl SpanOf {
    pub fn scope(mut self, name: &str) -> Self {
        self.scope = name.to_owned();
        self
    }

    pub fn service(mut self, name: &str) -> Self {
        self.service = name.to_owned();
        self
    }

    pub fn trace(mut self, number: u8) -> Self {
        self.span.trace_id = trace_id(number).to_vec();
        self
    }

    /// In the trace of this number, instead of 1.
    pub fn in_trace(mut self, number: u64) -> Self {
        let mut id = [0; 16];
        id[8..].copy_from_slice(&number.to_be_bytes());
        self.span.trace_id = id.to_vec();
        self
    }

    pub fn id(mut self, number: u64) -> Self {
        self.span.span_id = span_id(number).to_vec();
        self
    }

    /// Its parent.
    pub fn under(mut self, number: u64) -> Self {
        self.span.parent_span_id = span_id(number).to_vec();
        self
    }

    /// A client span (internal otherwise).
    pub fn client(mut self) -> Self {
        self.span.kind = 3;
        self
    }

    /// From one moment to another, in milliseconds after the start of the scenario.
    pub fn between_ms(mut self, from: u64, to: u64) -> Self {
        self.span.start_time_unix_nano = START_NS + from * MS;
        self.span.end_time_unix_nano = START_NS + to * MS;
        self
    }

    /// A second that begins at this Unix time.
    pub fn at_ns(mut self, start_ns: u64) -> Self {
        self.span.start_time_unix_nano = start_ns;
        self.span.end_time_unix_nano = start_ns.saturating_add(1000 * MS);
        self
    }

    /// The span alone, as it stands in a request.
    pub fn encoded(&self) -> Vec<u8> {
        self.span.encode_to_vec()
    }

    pub fn attr(mut self, key: &str, value: impl Into<Val>) -> Self {
        self.span.attributes.push(key_value(key, value.into()));
        self
    }

    pub fn event(mut self, name: &str, fields: &[(&str, Val)]) -> Self {
        self.span.events.push(Event {
            name: name.to_owned(),
            time_unix_nano: self.span.start_time_unix_nano + 5 * MS,
            attributes: key_values(fields),
            ..Event::default()
        });
        self
    }

    /// Status Error with this message.
    pub fn failed(mut self, message: &str) -> Self {
        self.span.status = Some(Status {
            code: 2,
            message: message.to_owned(),
        });
        self
    }

    /// An exception event.
    pub fn exception(self, kind: &str, message: &str) -> Self {
        let fields = [
            ("exception.type", kind.into()),
            ("exception.message", message.into()),
        ];
        self.event("exception", &fields)
    }
}

// === impl LogOf ===

impl LogOf {
    pub fn of(mut self, trace: u8, span: u64) -> Self {
        self.record.trace_id = trace_id(trace).to_vec();
        self.record.span_id = span_id(span).to_vec();
        self
    }

    pub fn at_ms(mut self, at: u64) -> Self {
        self.record.time_unix_nano = START_NS + at * MS;
        self
    }

    /// At this Unix time.
    pub fn at_ns(mut self, at_ns: u64) -> Self {
        self.record.time_unix_nano = at_ns;
        self
    }

    pub fn scope(mut self, name: &str) -> Self {
        self.scope = name.to_owned();
        self
    }

    pub fn attr(mut self, key: &str, value: impl Into<Val>) -> Self {
        self.record.attributes.push(key_value(key, value.into()));
        self
    }

    pub fn body(mut self, value: impl Into<Val>) -> Self {
        self.record.body = Some(value.into().0);
        self
    }
}

// === impl Val ===

impl From<&str> for Val {
    fn from(text: &str) -> Val {
        Val(AnyValue {
            value: Some(Any::StringValue(text.to_owned())),
        })
    }
}

impl From<i32> for Val {
    fn from(number: i32) -> Val {
        i64::from(number).into()
    }
}

impl From<i64> for Val {
    fn from(number: i64) -> Val {
        Val(AnyValue {
            value: Some(Any::IntValue(number)),
        })
    }
}

impl From<f64> for Val {
    fn from(number: f64) -> Val {
        Val(AnyValue {
            value: Some(Any::DoubleValue(number)),
        })
    }
}

impl From<bool> for Val {
    fn from(yes: bool) -> Val {
        Val(AnyValue {
            value: Some(Any::BoolValue(yes)),
        })
    }
}

impl<const N: usize> From<[&str; N]> for Val {
    fn from(texts: [&str; N]) -> Val {
        let values = texts.into_iter().map(|t| Val::from(t).0).collect();
        Val(AnyValue {
            value: Some(Any::ArrayValue(ArrayValue { values })),
        })
    }
}
