//! Conventions as their documents and sources describe them: no capture of these is at hand, so
//! the spans are built here, and each scenario says what an engineer would want to see.

/// Frameworks of Python, what they print and what they leave out.
mod frameworks;
/// Frameworks of JavaScript.
mod javascript;
/// Frameworks of Python.
mod python;
/// SDKs, gateways and instrumentation libraries.
mod recorders;

use serde_json::Value;

use crate::{
    otlp::{SpanOf, traces},
    rows::{Body, Row, rows_of},
};

/// The one row that counts, however the spans were spread over requests.
fn one(spans: &[SpanOf]) -> Value {
    let mut rows = several(spans);
    assert_eq!(rows.len(), 1, "one call counts: {rows:#?}");
    rows.remove(0)
}

/// The rows that count, the same however the spans were spread over requests.
fn several(spans: &[SpanOf]) -> Vec<Value> {
    let whole = rows_of(&[Body::Traces(traces(spans))]);
    let mut singly: Vec<Body> = spans
        .iter()
        .map(|s| Body::Traces(traces(std::slice::from_ref(s))))
        .collect();
    assert_eq!(rows_of(&singly), whole, "one by one");
    singly.reverse();
    assert_eq!(rows_of(&singly), whole, "the last first");
    let counted = |r: &Row| r.duplicate_of.is_none();
    whole.into_iter().filter(counted).map(|r| r.json).collect()
}

/// Everything in `want` is so in `row`.
#[track_caller]
fn has(row: &Value, want: Value) {
    for (key, value) in want.as_object().expect("an object") {
        assert_eq!(row.get(key), Some(value), "`{key}` of {row:#}");
    }
}

/// What the models of the scenarios answer.
const PARIS: &str = "Paris is the capital of France.";
/// What they are asked.
const QUESTION: &str = r#"[{"role":"system","content":"Be brief."},{"role":"user","content":"What is the capital of France?"}]"#;
