//! A call of the demonstration as an instrumentation of the OpenTelemetry conventions sends it:
//! attributes, messages, and errors as their SDKs word them.

use std::collections::BTreeMap;

use super::scenario::{Call, Outcome};
use crate::proto::opentelemetry::proto::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span::Event},
};

/// What a collector is sent.
pub type Request = ExportTraceServiceRequest;

/// `SPAN_KIND_CLIENT` and `STATUS_CODE_ERROR`.
const CLIENT: i32 = 3;
const ERROR: i32 = 2;
const NS_PER_MS: u64 = 1_000_000;

/// What a failing call left behind: HTTP status, exception class, and the text of the exception.
struct Error {
    status: Option<i64>,
    exception: &'static str,
    text: String,
}

/// One request with these calls, by service.
pub fn request(calls: impl IntoIterator<Item = Call>) -> Request {
    let mut services: BTreeMap<&str, Vec<Span>> = BTreeMap::new();
    for call in calls {
        services.entry(call.service).or_default().push(span(&call));
    }
    let resource_spans = services.into_iter().map(|(service, spans)| ResourceSpans {
        resource: Some(Resource {
            attributes: vec![
                text("service.name", service),
                text("service.version", "1.0.0"),
                text("deployment.environment.name", "demo"),
            ],
            ..Resource::default()
        }),
        scope_spans: vec![ScopeSpans {
            scope: Some(InstrumentationScope {
                name: "lapwing.demo".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                ..InstrumentationScope::default()
            }),
            spans,
            ..ScopeSpans::default()
        }],
        ..ResourceSpans::default()
    });
    Request {
        resource_spans: resource_spans.collect(),
    }
}

fn span(call: &Call) -> Span {
    let end_ns = call.start_ns + call.duration_ms * NS_PER_MS;
    let mut attributes = vec![
        text("gen_ai.operation.name", "chat"),
        text("gen_ai.provider.name", call.model.provider),
        text("gen_ai.request.model", call.model.asked),
        number("gen_ai.request.max_tokens", 1024),
        text("tenant.id", &call.tenant),
        text("feature", call.feature),
        text("gen_ai.input.messages", &question(call)),
    ];
    let error = error(call);
    let mut span = Span {
        trace_id: [call.id, !call.id].map(u64::to_be_bytes).concat(),
        span_id: call.id.to_be_bytes().to_vec(),
        name: format!("chat {}", call.model.asked),
        kind: CLIENT,
        start_time_unix_nano: call.start_ns,
        end_time_unix_nano: end_ns,
        ..Span::default()
    };
    match error {
        Some(error) => {
            attributes.push(text("error.type", error.exception));
            attributes.extend(error.status.map(|s| number("http.response.status_code", s)));
            span.status = Some(Status {
                code: ERROR,
                message: error.text.clone(),
            });
            span.events = vec![Event {
                time_unix_nano: end_ns,
                name: "exception".to_owned(),
                attributes: vec![
                    text("exception.type", error.exception),
                    text("exception.message", &error.text),
                ],
                ..Event::default()
            }];
        }
        None => attributes.extend(answer(call)),
    }
    span.attributes = attributes;
    span
}

/// The attributes of a call that was answered, well or not.
fn answer(call: &Call) -> Vec<KeyValue> {
    let (said, finish) = match call.outcome {
        Outcome::Empty => ("", "stop"),
        Outcome::Truncated => ("The first of the reasons is that the", "length"),
        Outcome::Refused => ("I'm sorry, but I can't help with that.", "refusal"),
        _ => ("Your order left our warehouse this morning.", "stop"),
    };
    let message = serde_json::json!([{
        "role": "assistant",
        "parts": if said.is_empty() { vec![] } else { vec![serde_json::json!({"type": "text", "content": said})] },
        "finish_reason": finish,
    }]);
    let mut attributes = vec![
        text("gen_ai.response.model", call.model.answered),
        text("gen_ai.response.id", &format!("resp-{:016x}", call.id)),
        text("gen_ai.output.messages", &message.to_string()),
        text("gen_ai.response.finish_reasons", finish),
        number("gen_ai.usage.input_tokens", signed(call.input_tokens)),
        number("gen_ai.usage.output_tokens", signed(call.output_tokens)),
        flag("gen_ai.request.stream"),
        seconds("gen_ai.response.time_to_first_chunk", call.ttft_ms),
    ];
    if !call.fingerprint.is_empty() {
        attributes.push(text("openai.response.system_fingerprint", call.fingerprint));
    }
    attributes
}

fn question(call: &Call) -> String {
    // About as long as its tokens say, up to what is worth sending.
    let filler =
        "Please look at this order again. ".repeat((call.input_tokens / 40).min(60) as usize);
    let asked = format!("{filler}Where is order {}?", call.id % 100_000);
    serde_json::json!([{"role": "user", "parts": [{"type": "text", "content": asked}]}]).to_string()
}

/// What the SDKs of the providers say.
fn error(call: &Call) -> Option<Error> {
    let limited = |unit: &str, name: &str| {
        format!(
            "Error code: 429 - {{'error': {{'message': 'Rate limit reached for {} on {unit} per min ({name}): Limit 30000, \
             Used 29847, Requested 1204. Please try again in 2.1s.', 'type': '{}', 'param': None, 'code': 'rate_limit_exceeded'}}}}",
            call.model.asked,
            if name == "TPM" { "tokens" } else { "requests" },
        )
    };
    let (status, exception, text) = match call.outcome {
        Outcome::RateLimit => (Some(429), "RateLimitError", limited("requests", "RPM")),
        Outcome::TokenLimit => (Some(429), "RateLimitError", limited("tokens", "TPM")),
        Outcome::Quota => (
            Some(429),
            "RateLimitError",
            "Error code: 429 - {'error': {'message': 'You exceeded your current quota, please check your plan and billing \
             details.', 'type': 'insufficient_quota', 'param': None, 'code': 'insufficient_quota'}}"
                .to_owned(),
        ),
        Outcome::Overloaded => (
            Some(529),
            "InternalServerError",
            "Error code: 529 - {'type': 'error', 'error': {'type': 'overloaded_error', 'message': 'Overloaded'}}".to_owned(),
        ),
        Outcome::Timeout => (None, "APITimeoutError", "Request timed out.".to_owned()),
        Outcome::ContextLength => (
            Some(400),
            "BadRequestError",
            "Error code: 400 - {'error': {'message': \"This model's maximum context length is 128000 tokens.\", \
             'type': 'invalid_request_error', 'param': 'messages', 'code': 'context_length_exceeded'}}"
                .to_owned(),
        ),
        Outcome::Good | Outcome::Truncated | Outcome::Refused | Outcome::Empty => return None,
    };
    Some(Error {
        status,
        exception,
        text,
    })
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn number(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

fn flag(key: &str) -> KeyValue {
    attribute(key, Value::BoolValue(true))
}

fn seconds(key: &str, ms: u64) -> KeyValue {
    attribute(key, Value::DoubleValue(ms as f64 / 1000.0))
}
