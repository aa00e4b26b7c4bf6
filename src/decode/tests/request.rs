//! Random requests, and their JSON.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, trace::v1::ExportTraceServiceRequest,
};
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value::Value as Any,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{
    ResourceSpans, ScopeSpans, Span, Status,
    span::{Event, Link},
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z_.]{0,20}",
        2 => any::<String>(),
        1 => "[a-zä\"\\\\\n]{60,300}",
    ]
}

fn double() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<i32>().prop_map(f64::from),
        -1.0e9..1.0e9,
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
    ]
}

fn any_value() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        4 => text().prop_map(|text| Some(Any::StringValue(text))),
        1 => any::<bool>().prop_map(|bool| Some(Any::BoolValue(bool))),
        1 => any::<i64>().prop_map(|int| Some(Any::IntValue(int))),
        1 => double().prop_map(|double| Some(Any::DoubleValue(double))),
        1 => vec(any::<u8>(), 0..20).prop_map(|bytes| Some(Any::BytesValue(bytes))),
        1 => Just(None),
    ];
    leaf.prop_recursive(5, 24, 4, |inner| {
        let value = || inner.clone().prop_map(|value| AnyValue { value });
        prop_oneof![
            vec(value(), 0..4).prop_map(|values| Some(Any::ArrayValue(ArrayValue { values }))),
            vec((text(), option::of(value())), 0..4).prop_map(|pairs| {
                let values = pairs.into_iter().map(pair).collect();
                Some(Any::KvlistValue(KeyValueList { values }))
            }),
        ]
    })
    .prop_map(|value| AnyValue { value })
}

fn pair((key, value): (String, Option<AnyValue>)) -> KeyValue {
    KeyValue {
        key,
        value,
        ..KeyValue::default()
    }
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    vec(
        (text(), option::weighted(0.9, any_value())).prop_map(pair),
        0..5,
    )
}

fn id<const N: usize>() -> impl Strategy<Value = Vec<u8>> {
    any::<[u8; N]>()
        .prop_filter("zero is no id", |id| *id != [0; N])
        .prop_map(|id| id.to_vec())
}

fn optional_id<const N: usize>() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![id::<N>(), Just(Vec::new())]
}

fn event() -> impl Strategy<Value = Event> {
    (any::<u64>(), text(), attributes()).prop_map(|(time_unix_nano, name, attributes)| Event {
        time_unix_nano,
        name,
        attributes,
        ..Event::default()
    })
}

fn link() -> impl Strategy<Value = Link> {
    (id::<16>(), id::<8>(), text(), attributes()).prop_map(
        |(trace_id, span_id, trace_state, attributes)| Link {
            trace_id,
            span_id,
            trace_state,
            attributes,
            ..Link::default()
        },
    )
}

fn span() -> impl Strategy<Value = Span> {
    let ids = (id::<16>(), id::<8>(), optional_id::<8>());
    let times = (any::<u64>(), any::<u64>(), 0..6i32);
    let lists = (attributes(), vec(event(), 0..3), vec(link(), 0..3));
    let status = option::of((text(), 0..3i32).prop_map(|(message, code)| Status { message, code }));
    (ids, text(), text(), times, lists, status).prop_map(
        |(ids, trace_state, name, times, (attributes, events, links), status)| Span {
            trace_id: ids.0,
            span_id: ids.1,
            parent_span_id: ids.2,
            trace_state,
            name,
            start_time_unix_nano: times.0,
            end_time_unix_nano: times.1,
            kind: times.2,
            attributes,
            events,
            links,
            status,
            ..Span::default()
        },
    )
}

fn record() -> impl Strategy<Value = LogRecord> {
    let ids = (optional_id::<16>(), optional_id::<8>());
    let numbers = (any::<u64>(), any::<u64>(), -1..25i32, any::<u32>());
    let texts = (text(), text());
    (ids, numbers, texts, option::of(any_value()), attributes()).prop_map(
        |(ids, numbers, texts, body, attributes)| LogRecord {
            trace_id: ids.0,
            span_id: ids.1,
            time_unix_nano: numbers.0,
            observed_time_unix_nano: numbers.1,
            severity_number: numbers.2,
            flags: numbers.3,
            severity_text: texts.0,
            event_name: texts.1,
            body,
            attributes,
            ..LogRecord::default()
        },
    )
}

fn resource() -> impl Strategy<Value = Option<Resource>> {
    option::of(attributes().prop_map(|attributes| Resource {
        attributes,
        ..Resource::default()
    }))
}

fn scope() -> impl Strategy<Value = Option<InstrumentationScope>> {
    let scope = (text(), text(), attributes());
    option::of(
        scope.prop_map(|(name, version, attributes)| InstrumentationScope {
            name,
            version,
            attributes,
            ..InstrumentationScope::default()
        }),
    )
}

pub(super) fn traces() -> impl Strategy<Value = ExportTraceServiceRequest> {
    let group =
        (scope(), vec(span(), 0..3), text()).prop_map(|(scope, spans, schema_url)| ScopeSpans {
            scope,
            spans,
            schema_url,
        });
    let group =
        (resource(), vec(group, 0..3), text()).prop_map(|(resource, scope_spans, schema_url)| {
            ResourceSpans {
                resource,
                scope_spans,
                schema_url,
            }
        });
    vec(group, 0..3).prop_map(|resource_spans| ExportTraceServiceRequest { resource_spans })
}

pub(super) fn logs() -> impl Strategy<Value = ExportLogsServiceRequest> {
    let group =
        (scope(), vec(record(), 0..3), text()).prop_map(|(scope, log_records, schema_url)| {
            ScopeLogs {
                scope,
                log_records,
                schema_url,
            }
        });
    let group =
        (resource(), vec(group, 0..3), text()).prop_map(|(resource, scope_logs, schema_url)| {
            ResourceLogs {
                resource,
                scope_logs,
                schema_url,
            }
        });
    vec(group, 0..3).prop_map(|resource_logs| ExportLogsServiceRequest { resource_logs })
}

/// The request in JSON; `loose` in the spellings that clients should not use and do.
pub(super) fn traces_json(request: &ExportTraceServiceRequest, loose: bool) -> Value {
    let json = Json { loose };
    json!({"resourceSpans": list(&request.resource_spans, |group| json!({
        "scopeSpans": list(&group.scope_spans, |scope| json!({
            "spans": list(&scope.spans, |span| json.span(span)),
            "schemaUrl": scope.schema_url,
            "scope": json.scope(&scope.scope),
        })),
        "resource": json.resource(&group.resource),
        "schemaUrl": group.schema_url,
    }))})
}

/// As [`traces_json`].
pub(super) fn logs_json(request: &ExportLogsServiceRequest, loose: bool) -> Value {
    let json = Json { loose };
    json!({"resourceLogs": list(&request.resource_logs, |group| json!({
        "resource": json.resource(&group.resource),
        "scopeLogs": list(&group.scope_logs, |scope| json!({
            "scope": json.scope(&scope.scope),
            "logRecords": list(&scope.log_records, |record| json.record(record)),
            "schemaUrl": scope.schema_url,
        })),
        "schemaUrl": group.schema_url,
    }))})
}

struct Json {
    loose: bool,
}

impl Json {
    fn span(&self, span: &Span) -> Value {
        let kinds = [
            "UNSPECIFIED",
            "INTERNAL",
            "SERVER",
            "CLIENT",
            "PRODUCER",
            "CONSUMER",
        ];
        let kind = match self.loose {
            true => json!(format!("SPAN_KIND_{}", kinds[span.kind as usize])),
            false => json!(span.kind),
        };
        let status = span.status.as_ref().map(
            |status| json!({"message": status.message, "code": status.code, "deprecatedCode": 3}),
        );
        json!({
            "traceId": self.id(&span.trace_id),
            "spanId": self.id(&span.span_id),
            "parentSpanId": self.id(&span.parent_span_id),
            "traceState": span.trace_state,
            "name": span.name,
            "kind": kind,
            "startTimeUnixNano": self.whole(span.start_time_unix_nano),
            "endTimeUnixNano": self.whole(span.end_time_unix_nano),
            "attributes": self.attributes(&span.attributes),
            "events": list(&span.events, |event| json!({
                "timeUnixNano": self.whole(event.time_unix_nano),
                "name": event.name,
                "attributes": self.attributes(&event.attributes),
            })),
            "links": list(&span.links, |link| json!({
                "traceId": self.id(&link.trace_id),
                "spanId": self.id(&link.span_id),
                "traceState": link.trace_state,
                "attributes": self.attributes(&link.attributes),
            })),
            "status": status,
            "trace_id": "an unknown key, because it is not in camel case",
            "newInSomeVersion": {"deep": [{"er": [1, true, null, "]}"]}]},
        })
    }

    fn record(&self, record: &LogRecord) -> Value {
        json!({
            "timeUnixNano": self.whole(record.time_unix_nano),
            "observedTimeUnixNano": self.whole(record.observed_time_unix_nano),
            "severityNumber": record.severity_number,
            "severityText": record.severity_text,
            "body": record.body.as_ref().map(|body| self.value(body)),
            "attributes": self.attributes(&record.attributes),
            "flags": record.flags,
            "traceId": self.id(&record.trace_id),
            "spanId": self.id(&record.span_id),
            "eventName": record.event_name,
        })
    }

    fn resource(&self, resource: &Option<Resource>) -> Value {
        let Some(resource) = resource else {
            return Value::Null;
        };
        json!({"attributes": self.attributes(&resource.attributes)})
    }

    fn scope(&self, scope: &Option<InstrumentationScope>) -> Value {
        let Some(scope) = scope else {
            return Value::Null;
        };
        json!({
            "name": scope.name,
            "version": scope.version,
            "attributes": self.attributes(&scope.attributes),
        })
    }

    fn attributes(&self, attributes: &[KeyValue]) -> Value {
        list(attributes, |attribute| {
            let value = attribute.value.as_ref().map(|value| self.value(value));
            json!({"value": value, "key": attribute.key})
        })
    }

    fn value(&self, value: &AnyValue) -> Value {
        let (name, value) = match &value.value {
            None => return Value::Object(Map::new()),
            Some(Any::StringValue(text)) => ("stringValue", json!(text)),
            Some(Any::BoolValue(bool)) => ("boolValue", json!(bool)),
            Some(Any::IntValue(int)) if self.loose => ("intValue", json!(int)),
            Some(Any::IntValue(int)) => ("intValue", json!(int.to_string())),
            Some(Any::DoubleValue(double)) if double.is_infinite() => {
                let sign = if *double < 0.0 { "-" } else { "" };
                ("doubleValue", json!(format!("{sign}Infinity")))
            }
            Some(Any::DoubleValue(double)) if self.loose => {
                ("doubleValue", json!(double.to_string()))
            }
            Some(Any::DoubleValue(double)) => ("doubleValue", json!(double)),
            Some(Any::BytesValue(bytes)) if self.loose => {
                ("bytesValue", json!(URL_SAFE_NO_PAD.encode(bytes)))
            }
            Some(Any::BytesValue(bytes)) => ("bytesValue", json!(STANDARD.encode(bytes))),
            Some(Any::ArrayValue(array)) => {
                let values = list(&array.values, |value| self.value(value));
                ("arrayValue", json!({"values": values}))
            }
            Some(Any::KvlistValue(kvlist)) => {
                let values = self.attributes(&kvlist.values);
                ("kvlistValue", json!({"values": values}))
            }
            Some(Any::StringValueStrindex(_)) => unreachable!("not generated"),
        };
        json!({name: value})
    }

    fn id(&self, id: &[u8]) -> String {
        let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        if self.loose { hex.to_uppercase() } else { hex }
    }

    fn whole(&self, number: u64) -> Value {
        if self.loose {
            json!(number)
        } else {
            json!(number.to_string())
        }
    }
}

fn list<T>(items: &[T], each: impl Fn(&T) -> Value) -> Value {
    items.iter().map(each).collect()
}
