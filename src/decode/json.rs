//! OTLP/JSON, transcoded to the binary form.
//!
//! JSON is read once, front to back, and written as the protobuf message it stands for; the binary
//! decoder does the rest. So both encodings have one meaning and one set of limits.
//!
//! It reads what clients send, not only what they should: enums by number or name, integers as
//! numbers, strings or `1e3`, base64 of both alphabets, a byte order mark, `null` anywhere.
//! Unknown keys are ignored. Only text that is not JSON is an error: a value that does not fit its
//! field is written as a field that the binary decoder rejects together with its span.
//!
//! Invariants: no recursion deeper than [`DEPTH_MAX`](super::DEPTH_MAX) values; no panic; a lone
//! surrogate (`"\ud83d"`) becomes a byte that is not UTF-8, which the decoder repairs and counts.

mod number;
mod parser;
mod schema;
mod transcode;
mod write;

#[cfg(test)]
mod tests;

use crate::receive::Signal;
use parser::{Fault, Parser};
use schema::Schema;
use transcode::Transcoder;

/// The text is not JSON, or not one OTLP request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} column {column}: expected {expected}, found {found}")]
pub struct JsonError {
    /// Counted from 1.
    pub line: usize,
    /// Bytes from the start of the line, counted from 1.
    pub column: usize,
    pub expected: &'static str,
    /// The character met, quoted, or `the end`.
    pub found: String,
}

/// The documents of a file of JSON lines (or of JSON documents one after another).
#[derive(Debug, Clone)]
pub struct Documents<'a> {
    text: &'a [u8],
    /// Where the next document starts; `None` after an error.
    next: Option<usize>,
}

/// Transcodes an `ExportTraceServiceRequest`.
pub fn traces_to_proto(json: &[u8]) -> Result<Vec<u8>, JsonError> {
    to_proto(json, &schema::TRACES)
}

/// Transcodes an `ExportLogsServiceRequest`.
pub fn logs_to_proto(json: &[u8]) -> Result<Vec<u8>, JsonError> {
    to_proto(json, &schema::LOGS)
}

/// Counts the data points of an `ExportMetricsServiceRequest`. What is JSON but not metrics counts
/// as no points: metrics are never kept, so there is nothing to lose by it.
pub fn metrics_point_count(json: &[u8]) -> Result<u64, JsonError> {
    let body = to_proto(json, &schema::METRICS)?;
    Ok(super::count_metric_points(&body).unwrap_or(0))
}

/// Splits a file into its documents, each a slice that the functions above take. Positions in
/// their errors count from the start of the slice; those of this iterator from the start of `text`.
/// The first error ends the iteration.
pub fn documents(text: &[u8]) -> Documents<'_> {
    Documents {
        text,
        next: Some(0),
    }
}

/// Which request a document is, by its first top-level key that says so; `None` for others.
pub fn signal(document: &[u8]) -> Option<Signal> {
    let mut parser = Parser::new(document);
    parser.begin_object().ok()?;
    let mut first = true;
    while let Ok(Some(key)) = parser.key(&mut first) {
        match key {
            b"resourceSpans" => return Some(Signal::Traces),
            b"resourceLogs" => return Some(Signal::Logs),
            b"resourceMetrics" => return Some(Signal::Metrics),
            _ => parser.skip().ok()?,
        }
    }
    None
}

fn to_proto(json: &[u8], schema: &'static Schema) -> Result<Vec<u8>, JsonError> {
    Transcoder::new(json)
        .document(schema)
        .map_err(|fault| JsonError::new(json, fault))
}

// === impl JsonError ===

impl JsonError {
    fn new(text: &[u8], fault: Fault) -> Self {
        let before = text.get(..fault.at).unwrap_or(text);
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
        JsonError {
            line: memchr::memchr_iter(b'\n', before).count() + 1,
            column: before.len() - line_start + 1,
            expected: fault.expected,
            found: found(text.get(fault.at..).unwrap_or_default()),
        }
    }
}

/// The first character of the rest, for a reader.
fn found(rest: &[u8]) -> String {
    let head = rest.get(..4).unwrap_or(rest);
    match String::from_utf8_lossy(head).chars().next() {
        Some(char) => format!("{char:?}"),
        None => "the end".to_owned(),
    }
}

// === impl Documents ===

impl<'a> Iterator for Documents<'a> {
    type Item = Result<&'a [u8], JsonError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut parser = Parser::at(self.text, self.next?);
        let start = parser.start_of_value()?;
        match parser.skip() {
            Ok(()) => {
                let end = parser.position();
                self.next = Some(end);
                self.text.get(start..end).map(Ok)
            }
            Err(fault) => {
                self.next = None;
                Some(Err(JsonError::new(self.text, fault)))
            }
        }
    }
}
