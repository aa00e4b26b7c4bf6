//! Payloads like production's: LLM spans of about 3.3 KB with prompts and answers, and small spans
//! of about 0.6 KB. The same seed gives the same bytes.

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span::Event},
};
use prost::Message;

/// Spans in one request, as a batch span processor sends them.
pub const SPANS: usize = 512;

/// What the spans carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Llm,
    Small,
}

/// An encoded `ExportTraceServiceRequest`.
pub fn request(kind: Kind) -> Vec<u8> {
    let mut random = Random(7);
    let resource = Resource {
        attributes: vec![
            text("service.name", "support-bot"),
            text("service.version", "1.4.2"),
            text("service.instance.id", &random.hex(32)),
            text("deployment.environment.name", "production"),
            text("telemetry.sdk.language", "python"),
            text("telemetry.sdk.name", "opentelemetry"),
        ],
        ..Resource::default()
    };
    let spans = (0..SPANS).map(|n| span(kind, n, &mut random)).collect();
    let scope = InstrumentationScope {
        name: "opentelemetry.instrumentation.openai_v2".to_owned(),
        version: "2.4b0".to_owned(),
        ..InstrumentationScope::default()
    };
    let scope_spans = vec![ScopeSpans {
        scope: Some(scope),
        spans,
        ..ScopeSpans::default()
    }];
    let group = ResourceSpans {
        resource: Some(resource),
        scope_spans,
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![group],
    }
    .encode_to_vec()
}

fn span(kind: Kind, n: usize, random: &mut Random) -> Span {
    let trace = (n / 10) as u8;
    let failed = kind == Kind::Llm && n % 10 == 9;
    let start = 1_795_000_000_000_000_000 + n as u64 * 1_000_000;
    Span {
        trace_id: vec![trace.wrapping_add(1); 16],
        span_id: (n as u64 + 1).to_be_bytes().to_vec(),
        parent_span_id: vec![9; 8],
        name: "chat gpt-4o".to_owned(),
        kind: 3,
        start_time_unix_nano: start,
        end_time_unix_nano: start + 850_000_000,
        attributes: if kind == Kind::Llm {
            llm(random)
        } else {
            small(random)
        },
        status: failed.then(|| Status {
            message: LIMIT.to_owned(),
            code: 2,
        }),
        events: if failed {
            vec![exception(start)]
        } else {
            Vec::new()
        },
        ..Span::default()
    }
}

const LIMIT: &str = "Error code: 429 - {'error': {'message': 'Rate limit reached for gpt-4o on \
    tokens per min (TPM): Limit 30000, Used 29000, Requested 2000. Please try again in 2s.', \
    'type': 'tokens', 'param': None, 'code': 'rate_limit_exceeded'}}";

fn exception(at: u64) -> Event {
    let trace =
        "  File \"/srv/app/client.py\", line 41, in call\n    return self._request(options)\n";
    Event {
        time_unix_nano: at,
        name: "exception".to_owned(),
        attributes: vec![
            text("exception.type", "openai.RateLimitError"),
            text("exception.message", LIMIT),
            text("exception.stacktrace", &trace.repeat(8)),
        ],
        ..Event::default()
    }
}

fn llm(random: &mut Random) -> Vec<KeyValue> {
    let input = format!(
        r#"[{{"role":"system","parts":[{{"type":"text","content":"You are a careful assistant. Amounts are in euro."}}]}},{{"role":"user","parts":[{{"type":"text","content":"{}"}}]}}]"#,
        random.prose(1400)
    );
    let output = format!(
        r#"[{{"role":"assistant","parts":[{{"type":"text","content":"{}"}}],"finish_reason":"stop"}}]"#,
        random.prose(500)
    );
    let mut attributes = small(random);
    attributes.extend([
        text(
            "gen_ai.response.id",
            &format!("chatcmpl-{}", random.hex(32)),
        ),
        text("gen_ai.output.type", "text"),
        text("gen_ai.agent.name", "billing-agent"),
        text("gen_ai.agent.id", &random.hex(32)),
        double("gen_ai.request.temperature", 0.2),
        double("gen_ai.request.top_p", 0.95),
        int("gen_ai.request.max_tokens", 4096),
        int("gen_ai.request.choice.count", 1),
        int("gen_ai.usage.cache_read.input_tokens", 128),
        int("server.port", 443),
        text("session.id", &random.hex(32)),
        text("user.id", "user_42177"),
        boolean("gen_ai.request.stream", true),
        text("app.tenant", "tenant-17"),
        text("gen_ai.input.messages", &input),
        text("gen_ai.output.messages", &output),
    ]);
    attributes
}

fn small(random: &mut Random) -> Vec<KeyValue> {
    let finish = ArrayValue {
        values: vec![any(Value::StringValue("stop".to_owned()))],
    };
    vec![
        text("gen_ai.operation.name", "chat"),
        text("gen_ai.provider.name", "openai"),
        text("gen_ai.request.model", "gpt-4o"),
        text("gen_ai.response.model", "gpt-4o-2024-08-06"),
        text(
            "gen_ai.conversation.id",
            &format!("conv_{}", random.hex(32)),
        ),
        int("gen_ai.usage.input_tokens", 1_200),
        int("gen_ai.usage.output_tokens", 310),
        attribute("gen_ai.response.finish_reasons", Value::ArrayValue(finish)),
        text("server.address", "api.openai.com"),
        text("app.request", &random.hex(16)),
    ]
}

fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(any(value)),
        ..KeyValue::default()
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn int(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

fn double(key: &str, value: f64) -> KeyValue {
    attribute(key, Value::DoubleValue(value))
}

fn boolean(key: &str, value: bool) -> KeyValue {
    attribute(key, Value::BoolValue(value))
}

/// A small generator (xorshift64*), so that the bench needs no crate for it.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn hex(&mut self, digits: usize) -> String {
        (0..digits)
            .map(|_| char::from(b"0123456789abcdef"[(self.next() >> 60) as usize]))
            .collect()
    }

    /// Words with numbers, escapes and some letters beyond ASCII, as JSON string text.
    fn prose(&mut self, bytes: usize) -> String {
        const WORDS: [&str; 16] = [
            "invoice", "the", "customer", "asked", "for", "a", "refund", "of", "order", "which",
            "arrived", "late", "café", "please", "check", "policy",
        ];
        let mut out = String::with_capacity(bytes + 16);
        while out.len() < bytes {
            match self.next() % 24 {
                0 => out.push_str("\\n"),
                1 => out.push_str(&format!("{} ", self.next() % 10_000)),
                n => {
                    out.push_str(WORDS[(n as usize * 7 + self.next() as usize % 5) % 16]);
                    out.push(' ');
                }
            }
        }
        out
    }
}
