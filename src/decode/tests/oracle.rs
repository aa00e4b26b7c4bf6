//! The views, turned back into the types of `opentelemetry-proto`, for comparison.

use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, trace::v1::ExportTraceServiceRequest,
};
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value::Value as Any,
};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::{
    Span, Status,
    span::{Event, Link},
};

use super::super::{self as decode, Attribute, Logs, StatusCode, Traces, Value};

/// An item with all that it shares: resource attributes and schema, scope and schema.
#[derive(Debug, PartialEq)]
pub(super) struct Flat<T> {
    resource: (Vec<KeyValue>, String),
    scope: (InstrumentationScope, String),
    item: T,
}

pub(super) fn flat_traces(request: &ExportTraceServiceRequest) -> Vec<Flat<Span>> {
    let mut out = Vec::new();
    for group in &request.resource_spans {
        for scope in &group.scope_spans {
            for span in &scope.spans {
                out.push(Flat {
                    resource: (
                        group.resource.clone().unwrap_or_default().attributes,
                        group.schema_url.clone(),
                    ),
                    scope: (
                        scope.scope.clone().unwrap_or_default(),
                        scope.schema_url.clone(),
                    ),
                    item: Span {
                        // The view does not tell an absent status from an empty one.
                        status: Some(span.status.clone().unwrap_or_default()),
                        attributes: with_values(&span.attributes),
                        ..span.clone()
                    },
                });
            }
        }
    }
    out.into_iter().map(normal).collect()
}

pub(super) fn flat_logs(request: &ExportLogsServiceRequest) -> Vec<Flat<LogRecord>> {
    let mut out = Vec::new();
    for group in &request.resource_logs {
        for scope in &group.scope_logs {
            for record in &scope.log_records {
                out.push(Flat {
                    resource: (
                        group.resource.clone().unwrap_or_default().attributes,
                        group.schema_url.clone(),
                    ),
                    scope: (
                        scope.scope.clone().unwrap_or_default(),
                        scope.schema_url.clone(),
                    ),
                    item: LogRecord {
                        body: Some(record.body.clone().unwrap_or_default()),
                        attributes: with_values(&record.attributes),
                        ..record.clone()
                    },
                });
            }
        }
    }
    out.into_iter().map(normal).collect()
}

pub(super) fn flat_view(traces: &Traces<'_>) -> Vec<Flat<Span>> {
    let flat = |view: &decode::Span<'_>| Flat {
        resource: resource(&traces.resources, view.resource),
        scope: scope(&traces.scopes, view.scope),
        item: span(view),
    };
    traces.spans.iter().map(flat).map(normal).collect()
}

pub(super) fn flat_log_view(logs: &Logs<'_>) -> Vec<Flat<LogRecord>> {
    let flat = |view: &decode::LogRecord<'_>| Flat {
        resource: resource(&logs.resources, view.resource),
        scope: scope(&logs.scopes, view.scope),
        item: LogRecord {
            time_unix_nano: view.time_ns,
            observed_time_unix_nano: view.observed_time_ns,
            severity_number: view.severity_number,
            severity_text: view.severity_text.to_owned(),
            body: Some(value(&view.body)),
            attributes: attributes(view.attributes),
            flags: view.flags,
            trace_id: view.trace_id.map(|id| id.to_vec()).unwrap_or_default(),
            span_id: view.span_id.map(|id| id.to_vec()).unwrap_or_default(),
            event_name: view.event_name.to_owned(),
            ..LogRecord::default()
        },
    };
    logs.records.iter().map(flat).map(normal).collect()
}

/// A view does not tell an absent value from an empty one.
trait Normal {
    fn normal(&mut self);
}

fn normal<T: Normal>(mut flat: Flat<T>) -> Flat<T> {
    flat.resource.0 = with_values(&flat.resource.0);
    flat.scope.0.attributes = with_values(&flat.scope.0.attributes);
    flat.item.normal();
    flat
}

impl Normal for Span {
    fn normal(&mut self) {
        for event in &mut self.events {
            event.attributes = with_values(&event.attributes);
        }
        for link in &mut self.links {
            link.attributes = with_values(&link.attributes);
        }
    }
}

impl Normal for LogRecord {
    fn normal(&mut self) {
        self.body = self.body.take().map(with_inner_values);
    }
}

fn with_values(attributes: &[KeyValue]) -> Vec<KeyValue> {
    let with_value = |attribute: &KeyValue| KeyValue {
        value: Some(with_inner_values(
            attribute.value.clone().unwrap_or_default(),
        )),
        ..attribute.clone()
    };
    attributes.iter().map(with_value).collect()
}

fn with_inner_values(value: AnyValue) -> AnyValue {
    let value = match value.value {
        Some(Any::ArrayValue(array)) => Some(Any::ArrayValue(ArrayValue {
            values: array.values.into_iter().map(with_inner_values).collect(),
        })),
        Some(Any::KvlistValue(list)) => Some(Any::KvlistValue(KeyValueList {
            values: with_values(&list.values),
        })),
        other => other,
    };
    AnyValue { value }
}

fn resource(resources: &[decode::Resource<'_>], index: u32) -> (Vec<KeyValue>, String) {
    let resource = resources[index as usize];
    (
        attributes(resource.attributes),
        resource.schema_url.to_owned(),
    )
}

fn scope(scopes: &[decode::Scope<'_>], index: u32) -> (InstrumentationScope, String) {
    let scope = scopes[index as usize];
    let owned = InstrumentationScope {
        name: scope.name.to_owned(),
        version: scope.version.to_owned(),
        attributes: attributes(scope.attributes),
        ..InstrumentationScope::default()
    };
    (owned, scope.schema_url.to_owned())
}

fn span(view: &decode::Span<'_>) -> Span {
    let event = |event: &decode::Event<'_>| Event {
        time_unix_nano: event.time_ns,
        name: event.name.to_owned(),
        attributes: attributes(event.attributes),
        ..Event::default()
    };
    let link = |link: &decode::Link<'_>| Link {
        trace_id: link.trace_id.to_vec(),
        span_id: link.span_id.to_vec(),
        trace_state: link.trace_state.to_owned(),
        attributes: attributes(link.attributes),
        ..Link::default()
    };
    Span {
        trace_id: view.trace_id.to_vec(),
        span_id: view.span_id.to_vec(),
        parent_span_id: view
            .parent_span_id
            .map(|id| id.to_vec())
            .unwrap_or_default(),
        trace_state: view.trace_state.to_owned(),
        name: view.name.to_owned(),
        kind: view.kind as i32,
        start_time_unix_nano: view.start_ns,
        end_time_unix_nano: view.end_ns,
        attributes: attributes(view.attributes),
        events: view.events.iter().map(event).collect(),
        links: view.links.iter().map(link).collect(),
        status: Some(Status {
            message: view.status.message.to_owned(),
            code: match view.status.code {
                StatusCode::Unset => 0,
                StatusCode::Ok => 1,
                StatusCode::Error => 2,
            },
        }),
        ..Span::default()
    }
}

fn attributes(attributes: &[Attribute<'_>]) -> Vec<KeyValue> {
    let owned = |attribute: &Attribute<'_>| KeyValue {
        key: attribute.key.to_owned(),
        value: Some(value(&attribute.value)),
        ..KeyValue::default()
    };
    attributes.iter().map(owned).collect()
}

fn value(view: &Value<'_>) -> AnyValue {
    let value = match view {
        Value::Empty => None,
        Value::Str(text) => Some(Any::StringValue((*text).to_owned())),
        Value::Bool(bool) => Some(Any::BoolValue(*bool)),
        Value::Int(int) => Some(Any::IntValue(*int)),
        Value::Double(double) => Some(Any::DoubleValue(*double)),
        Value::Bytes(bytes) => Some(Any::BytesValue(bytes.to_vec())),
        Value::Array(array) => Some(Any::ArrayValue(ArrayValue {
            values: array.iter().map(value).collect(),
        })),
        Value::Kvlist(list) => Some(Any::KvlistValue(KeyValueList {
            values: attributes(list),
        })),
    };
    AnyValue { value }
}
