//! Block: rows become ClickHouse Native blocks, ready to be inserted as they are.
//!
//! A worker owns one [`Blocks`] and reuses it: rows are pushed, then [`Blocks::finish`] gives the
//! blocks of the tables that got rows, each compressed once. The store concatenates blocks into
//! inserts and never looks inside them.
//!
//! Not here: batching, inserts, and what the tables look like on the server (`store::schema`).
//!
//! Invariant: the rows of one [`Block`] lie on at most [`BLOCK_DAYS_MAX`] days. ClickHouse refuses
//! an insert with too many partitions as a whole, and one client with a broken clock must not take
//! its neighbours' rows with it.

mod attributes;
mod frame;
mod llm_calls;
mod llm_evals;
mod llm_tool_calls;
mod native;
mod otel_logs;
mod otel_traces;
mod text;

#[cfg(test)]
mod tests;

pub use frame::{Compression, FRAME_BYTES_MAX};
pub use llm_calls::Version;
pub use otel_logs::OmitOfLog;
pub use otel_traces::OmitOfSpan;

use attributes::{Attributes, ResourceCache};
use bytes::Bytes;
use frame::{Scratch, Sink};
use llm_calls::Calls;
use llm_evals::Evals;
use llm_tool_calls::ToolCalls;
use native::Columns;
use otel_logs::Records;
use otel_traces::Spans;

use crate::call::{Call, Enrichment, Evaluation, ToolCall};
use crate::decode::{LogRecord, Resource, Scope, Span};

/// Different days (partitions) in one block. ClickHouse's own limit for an insert is 100.
pub const BLOCK_DAYS_MAX: usize = 50;

const DAY_NS: u64 = 24 * 60 * 60 * 1_000_000_000;

/// A table that blocks are inserted into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    OtelTraces,
    OtelLogs,
    /// The signed versions behind the view `llm_calls`.
    LlmCallVersions,
    /// The signed versions behind the view `llm_tool_calls`.
    LlmToolCallVersions,
    /// What is behind the view `llm_evals`.
    LlmEvalResults,
    /// No table: requests on their way to another collector. Not one of [`Table::ALL`], so that
    /// nothing inserts it.
    Forward,
}

/// Rows of one table, encoded; immutable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    pub table: Table,
    pub rows: u32,
    /// A Native block, in compressed frames if `compression` says so.
    pub bytes: Bytes,
    pub compression: Compression,
    /// Size before compression.
    pub uncompressed_bytes: usize,
    /// The different days of the rows, counted from 1970, in ascending order.
    pub days: Vec<u32>,
}

/// The builders of all tables, reused from request to request.
#[derive(Debug, Default)]
pub struct Blocks {
    spans: Builder<Spans>,
    records: Builder<Records>,
    calls: Builder<Calls>,
    tool_calls: Builder<ToolCalls>,
    evals: Builder<Evals>,
    text: Attributes,
    sealed: Vec<Block>,
    compression: Compression,
    scratch: Scratch,
}

/// The rows of one table so far.
#[derive(Debug, Default)]
struct Builder<C> {
    columns: C,
    rows: u32,
    days: Vec<u32>,
    resource: ResourceCache,
}

// === impl Table ===

impl Table {
    pub const ALL: [Table; 5] = [
        Table::OtelTraces,
        Table::OtelLogs,
        Table::LlmCallVersions,
        Table::LlmToolCallVersions,
        Table::LlmEvalResults,
    ];

    /// Its name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Table::OtelTraces => "otel_traces",
            Table::OtelLogs => "otel_logs",
            Table::LlmCallVersions => "llm_call_versions",
            Table::LlmToolCallVersions => "llm_tool_call_versions",
            Table::LlmEvalResults => "llm_eval_results",
            Table::Forward => "forward",
        }
    }

    /// The one of this name.
    pub fn named(name: &[u8]) -> Option<Table> {
        let all = Table::ALL.into_iter().chain([Table::Forward]);
        all.into_iter()
            .find(|table| table.name().as_bytes() == name)
    }

    /// The columns of its blocks, by name and Native type, in the order sent.
    pub fn columns(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Table::OtelTraces => Spans::COLUMNS,
            Table::OtelLogs => Records::COLUMNS,
            Table::LlmCallVersions => Calls::COLUMNS,
            Table::LlmToolCallVersions => ToolCalls::COLUMNS,
            Table::LlmEvalResults => Evals::COLUMNS,
            Table::Forward => &[],
        }
    }
}

// === impl Blocks ===

impl Blocks {
    /// Builders whose blocks are compressed like this.
    pub fn new(compression: Compression) -> Blocks {
        Blocks {
            compression,
            ..Blocks::default()
        }
    }

    /// Appends a span to `otel_traces`.
    pub fn push_span(
        &mut self,
        resource: &Resource<'_>,
        scope: &Scope<'_>,
        span: &Span<'_>,
        omit: OmitOfSpan<'_>,
    ) {
        if !self.spans.admit(otel_traces::start(span)) {
            self.seal(Table::OtelTraces);
            self.spans.admit(otel_traces::start(span));
        }
        let Builder {
            columns,
            resource: cache,
            ..
        } = &mut self.spans;
        columns.push(&mut self.text, cache, (resource, scope, span), omit);
    }

    /// Appends a log record to `otel_logs`.
    pub fn push_log(
        &mut self,
        resource: &Resource<'_>,
        scope: &Scope<'_>,
        record: &LogRecord<'_>,
        omit: OmitOfLog<'_>,
    ) {
        if !self.records.admit(otel_logs::when(record)) {
            self.seal(Table::OtelLogs);
            self.records.admit(otel_logs::when(record));
        }
        let Builder {
            columns,
            resource: cache,
            ..
        } = &mut self.records;
        columns.push(&mut self.text, cache, (resource, scope, record), omit);
    }

    /// Appends one version of a call to `llm_call_versions`.
    pub fn push_call(&mut self, call: &Call<'_>, enrichment: &Enrichment, version: Version) {
        if !self.calls.admit(call.start_ns) {
            self.seal(Table::LlmCallVersions);
            self.calls.admit(call.start_ns);
        }
        let columns = &mut self.calls.columns;
        columns.push(&mut self.text, call, enrichment, version);
    }

    /// Appends one tool call of one version of a call to `llm_tool_call_versions`.
    pub fn push_tool_call(&mut self, call: &Call<'_>, tool: &ToolCall<'_>, version: Version) {
        if !self.tool_calls.admit(call.start_ns) {
            self.seal(Table::LlmToolCallVersions);
            self.tool_calls.admit(call.start_ns);
        }
        self.tool_calls.columns.push(call, tool, version);
    }

    /// Appends an evaluation to `llm_eval_results`.
    pub fn push_evaluation(&mut self, evaluation: &Evaluation<'_>) {
        if !self.evals.admit(evaluation.time_ns) {
            self.seal(Table::LlmEvalResults);
            self.evals.admit(evaluation.time_ns);
        }
        self.evals.columns.push(evaluation);
    }

    /// Rows pushed since the last `finish`.
    pub fn rows(&self) -> usize {
        let sealed: usize = self.sealed.iter().map(|block| block.rows as usize).sum();
        let open = [
            self.spans.rows,
            self.records.rows,
            self.calls.rows,
            self.tool_calls.rows,
            self.evals.rows,
        ];
        sealed + open.iter().map(|rows| *rows as usize).sum::<usize>()
    }

    /// Bytes pushed since the last `finish`, before compression.
    pub fn bytes(&self) -> usize {
        let sealed: usize = self.sealed.iter().map(|b| b.uncompressed_bytes).sum();
        let calls = self.calls.columns.bytes()
            + self.tool_calls.columns.bytes()
            + self.evals.columns.bytes();
        sealed + self.spans.columns.bytes() + self.records.columns.bytes() + calls
    }

    /// The blocks of everything that was pushed; the builders are empty afterwards.
    pub fn finish(&mut self) -> Vec<Block> {
        for table in Table::ALL {
            self.seal(table);
        }
        std::mem::take(&mut self.sealed)
    }

    /// Forgets everything that was pushed.
    pub fn clear(&mut self) {
        self.sealed.clear();
        self.spans.clear();
        self.records.clear();
        self.calls.clear();
        self.tool_calls.clear();
        self.evals.clear();
    }

    fn seal(&mut self, table: Table) {
        let (compression, scratch) = (self.compression, &mut self.scratch);
        let block = match table {
            Table::OtelTraces => self.spans.seal(table, compression, scratch),
            Table::OtelLogs => self.records.seal(table, compression, scratch),
            Table::LlmCallVersions => self.calls.seal(table, compression, scratch),
            Table::LlmToolCallVersions => self.tool_calls.seal(table, compression, scratch),
            Table::LlmEvalResults => self.evals.seal(table, compression, scratch),
            Table::Forward => None,
        };
        self.sealed.extend(block);
    }
}

// === impl Builder ===

impl<C: Columns> Builder<C> {
    /// Counts a row of this time; false if its day is one too many for the block.
    #[inline]
    fn admit(&mut self, time_ns: u64) -> bool {
        // Fits: 2^64 ns are 213 504 days.
        let day = (time_ns / DAY_NS) as u32;
        if let Err(place) = self.days.binary_search(&day) {
            if self.days.len() >= BLOCK_DAYS_MAX {
                return false;
            }
            self.days.insert(place, day);
        }
        self.rows += 1;
        true
    }

    fn seal(
        &mut self,
        table: Table,
        compression: Compression,
        scratch: &mut Scratch,
    ) -> Option<Block> {
        if self.rows == 0 {
            return None;
        }
        let mut sink = Sink::new(compression, scratch, self.columns.bytes());
        self.columns.write(self.rows as usize, &mut sink);
        let (bytes, uncompressed_bytes) = sink.finish();
        let block = Block {
            table,
            rows: self.rows,
            bytes: Bytes::from(bytes),
            compression,
            uncompressed_bytes,
            days: self.days.clone(),
        };
        self.clear();
        Some(block)
    }

    fn clear(&mut self) {
        self.columns.clear();
        self.rows = 0;
        self.days.clear();
        self.resource.clear();
    }
}
