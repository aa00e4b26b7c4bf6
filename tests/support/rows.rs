//! From bodies to the rows that hold after them, through the library as the server uses it.
//!
//! Rows are owned copies of what a test looks at, in the order of their spans' start.

use bumpalo::Bump;
use lapwing::{
    call::{Call, Content, PartKind, Role},
    decode,
    normalise::{
        AttributeTable,
        memory::{Changes, Memory, MemoryLimits, observe_all},
    },
};
use serde_json::{Map, Value, json};

/// Letters of a text that a snapshot shows.
const TEXT_SHOWN: usize = 60;

/// One request's body, binary.
#[derive(Debug, Clone)]
pub enum Body {
    Traces(Vec<u8>),
    Logs(Vec<u8>),
}

/// A row as a test sees it: its key, whether it counts, and the call as JSON.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
    pub duplicate_of: Option<[u8; 8]>,
    pub start_ns: u64,
    pub json: Value,
}

/// What holds after these requests, taken in one by one.
pub fn rows_of(bodies: &[Body]) -> Vec<Row> {
    let table = AttributeTable::builtin();
    let mut memory = Memory::new(MemoryLimits::default());
    let mut rows: Vec<Row> = Vec::new();
    for (n, body) in bodies.iter().enumerate() {
        let arena = Bump::new();
        let now_ns = n as u64;
        let changes = match body {
            Body::Traces(bytes) => {
                let request = decode::traces(bytes, &arena).expect("traces");
                let observed = observe_all(&table, &request, &arena);
                memory.spans(&table, &request, &observed, &arena, now_ns)
            }
            Body::Logs(bytes) => {
                let request = decode::logs(bytes, &arena).expect("logs");
                memory.logs(&table, &request, &arena, now_ns)
            }
        };
        apply(&mut rows, &changes);
    }
    rows.sort_by_key(|r| (r.start_ns, r.span_id));
    rows
}

/// Only the rows that count.
pub fn counted(bodies: &[Body]) -> Vec<Value> {
    let rows = rows_of(bodies).into_iter();
    rows.filter(|r| r.duplicate_of.is_none())
        .map(|r| r.json)
        .collect()
}

fn apply(rows: &mut Vec<Row>, changes: &Changes<'_>) {
    for change in &changes.rows {
        let row = row(&change.call);
        let key = |r: &Row| (r.trace_id, r.span_id);
        if change.sign > 0 {
            assert!(
                !rows.iter().any(|r| key(r) == key(&row)),
                "written twice: {row:?}"
            );
            rows.push(row);
        } else {
            let at = rows.iter().position(|r| *r == row);
            rows.remove(at.expect("a row is taken back as it was written"));
        }
    }
}

fn row(call: &Call<'_>) -> Row {
    Row {
        trace_id: call.trace_id,
        span_id: call.span_id,
        duplicate_of: call.duplicate_of,
        start_ns: call.start_ns,
        json: call_json(call),
    }
}

/// What is compared and shown; empty values are left out.
fn call_json(call: &Call<'_>) -> Value {
    let mut out = Map::new();
    let mut put = |name: &str, value: Value| {
        let blank =
            value.is_null() || value == json!("") || value == json!([]) || value == json!({});
        if !blank {
            out.insert(name.to_owned(), value);
        }
    };
    put("span", json!(call.span_name));
    put("convention", json!(call.convention));
    put("operation", json!(call.operation.as_str()));
    put("endpoint", json!(call.endpoint));
    put("provider", json!(call.provider));
    put("request_model", json!(call.request_model));
    put("response_model", json!(call.response_model));
    put("response_id", json!(call.response_id));
    put("request_id", json!(call.request_id));
    put("service", json!(call.service));
    put("tenant", json!(call.tenant));
    put("feature", json!(call.feature));
    put("user", json!(call.user_id));
    put("session", json!(call.session_id));
    put(
        "dimensions",
        json!(
            call.dimensions
                .iter()
                .map(|(k, v)| format!("{k}={v}"))
                .collect::<Vec<_>>()
        ),
    );
    put("streaming", json!(call.streaming));
    put("ttft", json!(call.ttft_ns.map(|_| "told")));
    put("max_tokens", json!(call.max_tokens));
    put(
        "response_format",
        match call.response_format {
            lapwing::call::ResponseFormat::Unspecified => Value::Null,
            told => json!(format!("{told:?}")),
        },
    );
    put(
        "response_schema",
        json!(!call.response_schema.is_empty())
            .as_bool()
            .filter(|b| *b)
            .into(),
    );
    put(
        "tools",
        json!(
            call.tool_definitions
                .map(|t| t.iter().map(|t| t.name).collect::<Vec<_>>())
        ),
    );
    let usage = &call.usage;
    put("tokens", json!([usage.input_tokens, usage.output_tokens]));
    put(
        "cache_read",
        json!(usage.cache_read_tokens.filter(|n| *n > 0)),
    );
    put(
        "cache_write",
        json!(usage.cache_write_tokens.filter(|n| *n > 0)),
    );
    put(
        "reasoning",
        json!(usage.reasoning_tokens.filter(|n| *n > 0)),
    );
    put("tokens_source", json!(usage.source.as_str()));
    put("cost", json!(call.reported_cost_usd));
    put(
        "finish",
        json!(format!("{:?} {}", call.finish, call.finish_reason)),
    );
    put("errors", errors_json(call));
    put("attempt", json!(call.attempt));
    put("input", content_json(&call.input));
    put("output", content_json(&call.output));
    Value::Object(out)
}

fn errors_json(call: &Call<'_>) -> Value {
    let errors = &call.errors;
    let mut out = Map::new();
    let texts = [
        ("type", errors.error_type),
        ("code", errors.error_code),
        ("exception", errors.exception_type),
    ];
    for (name, text) in texts {
        if !text.is_empty() {
            out.insert(name.to_owned(), json!(text));
        }
    }
    if errors.is_error {
        out.insert("is_error".to_owned(), json!(true));
    }
    if let Some(status) = errors.http_status {
        out.insert("http".to_owned(), json!(status));
    }
    if !errors.messages.is_empty() {
        let cut: Vec<String> = errors.messages.iter().map(|m| shown(m)).collect();
        out.insert("messages".to_owned(), json!(cut));
    }
    Value::Object(out)
}

fn content_json(content: &Content<'_>) -> Value {
    if !content.recorded {
        return Value::Null;
    }
    let messages = content.messages.iter().map(|message| {
        let role = match message.role {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
        };
        let parts = message.parts.iter().map(|part| match part.kind {
            PartKind::Text => shown(part.text),
            PartKind::ToolCall => format!("ToolCall {}({})", part.name, shown(part.text)),
            other => format!("{other:?}({})", shown(part.text)),
        });
        format!("{role}: {}", parts.collect::<Vec<_>>().join(" | "))
    });
    let mut all: Vec<String> = messages.collect();
    if all.is_empty() {
        all.push(format!("(recorded) {}", shown(content.text)));
    }
    json!(all)
}

fn shown(text: &str) -> String {
    let mut cut: String = text.chars().take(TEXT_SHOWN).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}
