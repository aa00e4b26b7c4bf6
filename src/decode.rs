//! Decode: the bytes of one OTLP request become views over those same bytes.
//!
//! A view borrows every string from the request body; the arena holds only what the body does not
//! have in one piece (lists of views, repaired strings). Nothing here knows what an attribute
//! means. JSON is transcoded to the binary form first ([`json`]), so that there is one decoder,
//! one set of limits and one meaning.
//!
//! Invariants: no I/O, no clock, no panic on any input; nesting is bounded by [`DEPTH_MAX`]; a bad
//! span or log record is left out and counted in [`Rejected`], its neighbours are kept. Only bytes
//! that cannot be walked at all ([`Malformed`]) refuse the whole request.

pub mod json;
mod proto;
pub mod rewrite;
pub mod texts;
mod times;
mod view;
mod wire;

#[cfg(test)]
mod tests;

pub use view::{
    Attribute, Event, Link, LogRecord, Logs, Rejected, Resource, Scope, Span, SpanKind, Status,
    StatusCode, Traces, Value,
};

use bumpalo::Bump;

/// Levels of `AnyValue` inside `AnyValue` that are read; a deeper value makes its span or record
/// be rejected. protobuf's own libraries stop at 100.
pub const DEPTH_MAX: usize = 64;

/// Memory that the views of one request may take, in units of an attribute (40 bytes): empty
/// attributes are two bytes on the wire, and a small body must not become gigabytes. Spans and
/// records that come after it is used up are rejected.
pub const VIEW_UNITS_MAX: usize = 2 << 20;

/// The request cannot be walked as OTLP: nothing of it was kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {offset}")]
pub struct Malformed {
    /// What was met, in the words of the wire format.
    pub what: String,
    /// Where in the (decompressed) body.
    pub offset: usize,
}

/// Reads an `ExportTraceServiceRequest` in the binary encoding.
pub fn traces<'a>(body: &'a [u8], arena: &'a Bump) -> Result<Traces<'a>, Malformed> {
    proto::traces(body, arena)
}

/// Reads an `ExportLogsServiceRequest` in the binary encoding.
pub fn logs<'a>(body: &'a [u8], arena: &'a Bump) -> Result<Logs<'a>, Malformed> {
    proto::logs(body, arena)
}

/// Counts the data points of an `ExportMetricsServiceRequest` in the binary encoding: they are
/// not stored, and the exporter is told how many it lost.
pub fn count_metric_points(body: &[u8]) -> Result<u64, Malformed> {
    proto::count_metric_points(body)
}
