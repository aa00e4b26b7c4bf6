//! The evidence of one group: encoded spans and log events, and how they become calls again.

use bumpalo::Bump;
use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};

use crate::{
    call::Call,
    decode::{self, LogRecord, Logs, Traces},
    normalise::{
        attributes::AttributeTable,
        fold::{Link, fold},
        observe::Observer,
    },
};

/// Ordinary spans whose parent is remembered, of one group.
const LINKS_MAX: usize = 4096;
/// Tags and lengths around one record, at most.
const HEADS_BYTES_MAX: usize = 32;
/// Spans of one group that are recognised when they are sent again.
const SPAN_IDS_MAX: usize = 1 << 16;

/// OTLP requests made of the pieces that matter, as bytes.
#[derive(Debug, Default)]
pub struct Evidence {
    /// An `ExportTraceServiceRequest`.
    spans: Vec<u8>,
    /// An `ExportLogsServiceRequest`.
    logs: Vec<u8>,
    links: Vec<Link>,
    linked: HashSet<[u8; 8], RandomState>,
    span_ids: HashSet<([u8; 16], [u8; 8]), RandomState>,
    /// Hashes of the log records.
    log_ids: HashSet<u64, RandomState>,
}

// === impl Evidence ===

impl Evidence {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        // Capacity doubles as it grows; what it holds is what the budget is about.
        let ids = 24 * self.span_ids.len() + 8 * self.log_ids.len() + 24 * self.links.len();
        self.spans.len() + self.logs.len() + ids
    }

    /// Spans that matter.
    pub fn span_count(&self) -> usize {
        self.span_ids.len()
    }

    pub fn has_span(&self, span: ([u8; 16], [u8; 8])) -> bool {
        self.span_ids.contains(&span)
    }

    pub fn has_link(&self, span: [u8; 8]) -> bool {
        self.linked.contains(&span) || self.links.len() >= LINKS_MAX
    }

    pub fn has_log(&self, request: &Logs<'_>, at: usize) -> bool {
        let record = request.records.get(at);
        record.is_some_and(|r| self.log_ids.contains(&log_id(r)))
    }

    /// Parents of the ordinary spans.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// Notes that a span was seen; false when it was seen before.
    pub fn remember(&mut self, span: ([u8; 16], [u8; 8])) -> bool {
        if self.span_ids.len() < SPAN_IDS_MAX {
            self.span_ids.insert(span)
        } else {
            !self.span_ids.contains(&span)
        }
    }

    /// Keeps what was seen and not what it said.
    pub fn drop_bodies(&mut self) {
        self.spans = Vec::new();
        self.logs = Vec::new();
        self.links = Vec::new();
        self.linked = HashSet::default();
        self.log_ids = HashSet::default();
    }

    /// Makes room at once for spans of a request that will be added whole.
    pub fn expect_spans(&mut self, request: &Traces<'_>, whole: impl Iterator<Item = usize>) {
        let bytes = whole.filter_map(|at| {
            let span = request.spans.get(at)?;
            let resource = request.resources.get(span.resource as usize)?;
            let scope = request.scopes.get(span.scope as usize)?;
            let bytes = span.encoded.len() + scope.encoded.len() + resource.encoded.len();
            Some(bytes + HEADS_BYTES_MAX)
        });
        self.spans.reserve_exact(bytes.sum());
    }

    /// Adds one span of a request: whole, or only its place in the tree. A span that is known is
    /// not added again (exporters resend what was not acknowledged).
    pub fn add_span(&mut self, request: &Traces<'_>, at: usize, whole: bool) {
        let Some(span) = request.spans.get(at) else {
            return;
        };
        if !whole {
            if let Some(parent) = span.parent_span_id
                && self.links.len() < LINKS_MAX
                && self.linked.insert(span.span_id)
            {
                self.links.push((span.span_id, parent));
            }
            return;
        }
        if !self.span_ids.insert((span.trace_id, span.span_id)) {
            return;
        }
        let resource = request
            .resources
            .get(span.resource as usize)
            .map_or(&[][..], |r| r.encoded);
        let scope = request
            .scopes
            .get(span.scope as usize)
            .map_or(&[][..], |s| s.encoded);
        append(&mut self.spans, resource, scope, span.encoded);
    }

    /// Adds one log event of a request, unless it is known.
    pub fn add_log(&mut self, request: &Logs<'_>, at: usize) {
        let Some(record) = request.records.get(at) else {
            return;
        };
        if !self.log_ids.insert(log_id(record)) {
            return;
        }
        let resource = request
            .resources
            .get(record.resource as usize)
            .map_or(&[][..], |r| r.encoded);
        let scope = request
            .scopes
            .get(record.scope as usize)
            .map_or(&[][..], |s| s.encoded);
        append(&mut self.logs, resource, scope, record.encoded);
    }

    /// Takes another group's evidence over.
    pub fn absorb(&mut self, other: Evidence) {
        self.spans.extend_from_slice(&other.spans);
        self.logs.extend_from_slice(&other.logs);
        self.links.extend(other.links);
        self.linked.extend(other.linked);
        self.span_ids.extend(other.span_ids);
        self.log_ids.extend(other.log_ids);
    }

    /// The calls that this evidence shows.
    pub fn calls<'a>(&self, table: &AttributeTable, arena: &'a Bump) -> Vec<Call<'a>> {
        // The evidence may move before the calls are written: they borrow from a copy.
        let spans: &'a [u8] = arena.alloc_slice_copy(&self.spans);
        let logs: &'a [u8] = arena.alloc_slice_copy(&self.logs);
        // Both were written by `append` from messages that had been decoded once.
        let (Ok(traces), Ok(logs)) = (decode::traces(spans, arena), decode::logs(logs, arena))
        else {
            return Vec::new();
        };
        let mut observer = Observer::new(table, arena);
        let mut by_span: HashMap<([u8; 16], [u8; 8]), Vec<LogRecord<'a>>, RandomState> =
            HashMap::default();
        for record in logs.records {
            if let (Some(trace), Some(span)) = (record.trace_id, record.span_id) {
                by_span.entry((trace, span)).or_default().push(record);
            }
        }
        for own in by_span.values_mut() {
            // In the order they happened, whichever came first.
            own.sort_by_key(|record| match record.time_ns {
                0 => record.observed_time_ns,
                time_ns => time_ns,
            });
        }
        let mut observations = Vec::with_capacity(traces.spans.len());
        for span in &traces.spans {
            let own = by_span
                .get(&(span.trace_id, span.span_id))
                .map_or(&[][..], Vec::as_slice);
            let resource = traces.resources.get(span.resource as usize);
            let scope = traces.scopes.get(span.scope as usize);
            if let (Some(resource), Some(scope)) = (resource, scope) {
                observations.extend(observer.observe(resource, scope, span, own));
            }
        }
        fold(observations, &self.links, arena)
    }
}

/// What makes a log record the same when it is sent again.
fn log_id(record: &LogRecord<'_>) -> u64 {
    twox_hash::XxHash3_64::oneshot(record.encoded)
}

/// Appends a message of one resource with one scope with one record. Traces and logs have the
/// same field numbers: request {1: resource group {1: resource, 2: scope group {1: scope, 2: record}}}.
fn append(out: &mut Vec<u8>, resource: &[u8], scope: &[u8], record: &[u8]) {
    let scope_group = field_len(scope) + field_len(record);
    let resource_group = field_len(resource) + 1 + varint_len(scope_group) + scope_group;
    out.reserve(resource_group + HEADS_BYTES_MAX);
    put_head(out, 1, resource_group);
    put_field(out, 1, resource);
    put_head(out, 2, scope_group);
    put_field(out, 1, scope);
    put_field(out, 2, record);
}

fn field_len(bytes: &[u8]) -> usize {
    1 + varint_len(bytes.len()) + bytes.len()
}

fn varint_len(number: usize) -> usize {
    let bits = usize::BITS - number.leading_zeros();
    bits.max(1).div_ceil(7) as usize
}

/// A tag of wire type 2 and a length.
fn put_head(out: &mut Vec<u8>, field: u8, len: usize) {
    out.push(field << 3 | 2);
    let mut rest = len;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn put_field(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    put_head(out, field, bytes.len());
    out.extend_from_slice(bytes);
}
