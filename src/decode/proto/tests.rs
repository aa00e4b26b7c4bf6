//! Scenarios of the binary decoder. `opentelemetry-proto` writes the bodies.

use bumpalo::Bump;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, InstrumentationScope, KeyValue, any_value::Value as Wire,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

use super::super::{DEPTH_MAX, VIEW_UNITS_MAX, Value};
use super::{logs, traces};

fn text(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Wire::StringValue(value.to_owned())),
        }),
        ..KeyValue::default()
    }
}

fn chat(name: &str) -> Span {
    Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        name: name.to_owned(),
        attributes: vec![text("gen_ai.request.model", "gpt-4o")],
        ..Span::default()
    }
}

fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![text("service.name", "shop")],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: "openai".to_owned(),
                    version: "1".to_owned(),
                    ..InstrumentationScope::default()
                }),
                spans,
                schema_url: "scope schema".to_owned(),
            }],
            schema_url: "resource schema".to_owned(),
        }],
    }
}

/// One field by hand: for what no well-behaved encoder writes.
fn field(number: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    prost::encoding::encode_varint(payload.len() as u64, &mut out);
    out.extend_from_slice(payload);
    out
}

#[test]
fn a_span_keeps_its_resource_scope_and_bytes() {
    let request = request(vec![chat("chat gpt-4o")]);
    let body = request.encode_to_vec();
    let arena = Bump::new();
    let traces = traces(&body, &arena).unwrap();
    assert_eq!(traces.rejected, Default::default());
    let span = traces.spans[0];
    assert_eq!(span.name, "chat gpt-4o");
    assert_eq!(span.attributes[0].key, "gen_ai.request.model");
    assert_eq!(span.attributes[0].value, Value::Str("gpt-4o"));
    assert_eq!(span.encoded, chat("chat gpt-4o").encode_to_vec());
    let resource = traces.resources[span.resource as usize];
    assert_eq!(resource.schema_url, "resource schema");
    assert_eq!(resource.attributes[0].value, Value::Str("shop"));
    let scope = traces.scopes[span.scope as usize];
    assert_eq!((scope.name, scope.schema_url), ("openai", "scope schema"));
}

#[test]
fn a_span_with_a_bad_id_is_rejected_alone() {
    let mut broken = chat("chat broken");
    broken.trace_id.clear();
    let mut zero = chat("zero");
    zero.span_id = vec![0; 8];
    let body = request(vec![chat("a"), broken, zero, chat("b")]).encode_to_vec();
    let arena = Bump::new();
    let traces = traces(&body, &arena).unwrap();
    let names: Vec<_> = traces.spans.iter().map(|span| span.name).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(traces.rejected.count, 2);
    let reason = traces.rejected.first_reason.unwrap();
    assert!(
        reason.starts_with("span 1 `chat broken`: trace id is 0 bytes long, want 16"),
        "{reason}"
    );
}

#[test]
fn a_resource_after_its_spans_still_applies() {
    let span = chat("late").encode_to_vec();
    let scope = field(1, &field(1, b"late scope"));
    let scope_spans = [field(2, &span), scope].concat();
    let resource = field(1, &text("service.name", "late").encode_to_vec());
    let resource_spans = [field(2, &scope_spans), field(1, &resource)].concat();
    let body = field(1, &resource_spans);
    let arena = Bump::new();
    let traces = traces(&body, &arena).unwrap();
    assert_eq!(traces.scopes[0].name, "late scope");
    assert_eq!(traces.resources[0].attributes[0].value, Value::Str("late"));
    assert_eq!(traces.spans.len(), 1);
}

#[test]
fn an_unreadable_resource_rejects_the_spans_below_it_and_no_others() {
    let span = chat("orphan").encode_to_vec();
    // A resource whose attribute claims more bytes than there are.
    let resource_spans = [field(1, &[0x0a, 0x7f]), field(2, &field(2, &span))].concat();
    let mut body = field(1, &resource_spans);
    body.extend(request(vec![chat("fine")]).encode_to_vec());
    let arena = Bump::new();
    let traces = traces(&body, &arena).unwrap();
    assert_eq!(traces.spans[0].name, "fine");
    assert_eq!(traces.spans[0].resource, 0);
    assert_eq!(traces.rejected.count, 1);
    let reason = traces.rejected.first_reason.unwrap();
    assert!(reason.contains("`orphan`: resource: field 1"), "{reason}");
}

#[test]
fn a_string_that_is_not_utf8_is_repaired_and_counted() {
    let mut span = field(1, &[1; 16]);
    span.extend(field(2, &[2; 8]));
    span.extend(field(5, b"caf\xe9 au lait"));
    let body = field(1, &field(2, &field(2, &span)));
    let arena = Bump::new();
    let traces = traces(&body, &arena).unwrap();
    assert_eq!(traces.spans[0].name, "caf\u{fffd} au lait");
    assert_eq!(traces.rejected.strings_repaired, 1);
    assert_eq!(traces.rejected.count, 0);
}

#[test]
fn values_nest_as_deep_as_the_limit_and_no_deeper() {
    // By hand: an encoder that recurses would not survive ten thousand levels itself.
    let nested = |levels: usize| {
        let mut value = vec![0x18, 7];
        for _ in 0..levels {
            value = field(5, &field(1, &value));
        }
        let mut span = chat("deep").encode_to_vec();
        span.extend(field(9, &field(2, &value)));
        field(1, &field(2, &field(2, &span)))
    };
    let body = [nested(DEPTH_MAX), nested(DEPTH_MAX + 1), nested(10_000)].concat();
    let arena = Bump::new();
    let traces = traces(&body, &arena).unwrap();
    assert_eq!(traces.spans.len(), 1);
    assert_eq!(traces.rejected.count, 2);
    let reason = traces.rejected.first_reason.unwrap();
    assert!(reason.contains("nest more than 64 deep"), "{reason}");
}

#[test]
fn broken_framing_above_the_spans_refuses_the_request() {
    let arena = Bump::new();
    let malformed = traces(&[0x0a, 0x05, 0x12], &arena).unwrap_err();
    assert_eq!(
        malformed.to_string(),
        "field 1 runs past the end of its message at byte 2"
    );
    assert!(traces(br#"{"resourceSpans":[]}"#, &arena).is_err());
    assert!(logs(b"hello world", &arena).is_err());
    assert!(traces(b"", &arena).unwrap().spans.is_empty());
}

#[test]
fn a_small_body_cannot_take_much_memory() {
    // Attributes of two bytes each, more than a request may have, in two spans.
    let mut crowd = chat("crowd").encode_to_vec();
    crowd.extend([0x4a, 0].repeat(VIEW_UNITS_MAX));
    let crowd = field(1, &field(2, &field(2, &crowd)));
    let body = [
        request(vec![chat("first")]).encode_to_vec(),
        crowd,
        request(vec![chat("too late")]).encode_to_vec(),
    ]
    .concat();
    let arena = Bump::new();
    let traces = traces(&body, &arena).unwrap();
    let names: Vec<_> = traces.spans.iter().map(|span| span.name).collect();
    assert_eq!(names, ["first"]);
    assert_eq!(traces.rejected.count, 2);
    let reason = traces.rejected.first_reason.unwrap();
    assert!(
        reason.contains("`crowd`: the request has more than"),
        "{reason}"
    );
}
