//! Memory: the evidence of recent traces, so that what arrives late corrects what was written.
//!
//! A row is a function of its trace's evidence. The evidence (the encoded spans and log events
//! themselves) is kept for a while; when more of the same trace arrives, the calls are worked out
//! from the old and from the new evidence, and the difference is returned as signed rows: `-1`
//! takes an old row back, `+1` writes the new one. Totals over sign are right at every moment.
//!
//! A state machine without a clock: the caller says what time it is. Bounded by bytes and age;
//! evidence that comes after its trace was forgotten starts a trace of its own.

mod evidence;
mod twins;

use std::collections::VecDeque;

use bumpalo::Bump;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use self::{evidence::Evidence, twins::Twins};
use super::{
    attributes::AttributeTable,
    fold::{Link, fold},
    observe::{Observation, Observer},
};
use crate::{
    call::Call,
    decode::{Logs, Traces},
};

/// Evidence of one trace that is kept; a longer trace goes on without its past.
const GROUP_BYTES_MAX: usize = 4 << 20;
/// Rows of one trace that are kept together: the work per arrival grows with them.
const GROUP_ROWS_MAX: usize = 256;

/// How much is remembered.
#[derive(Debug, Clone, Copy)]
pub struct MemoryLimits {
    /// Bytes of evidence over all traces.
    pub bytes_max: usize,
    /// Nanoseconds after the last arrival for a trace.
    pub age_max_ns: u64,
}

/// One signed row.
#[derive(Debug, Clone, PartialEq)]
pub struct Change<'a> {
    pub call: Call<'a>,
    /// +1 = a row that now holds; -1 = a row written earlier that no longer does.
    pub sign: i8,
    /// 1 for the first state of a row; a taken-back row has the version it was written with.
    pub version: u32,
}

/// What a request came to.
#[derive(Debug, Default)]
pub struct Changes<'a> {
    pub rows: Vec<Change<'a>>,
    /// Traces whose state now says that these rows were written.
    pub traces: Vec<[u8; 16]>,
    /// Those of them that have rows: their log events' content is in a call.
    pub with_rows: Vec<[u8; 16]>,
}

/// The recent traces.
#[derive(Debug)]
pub struct Memory {
    limits: MemoryLimits,
    groups: HashMap<u64, Group, RandomState>,
    by_trace: HashMap<[u8; 16], u64, RandomState>,
    /// Groups by time of creation.
    order: VecDeque<u64>,
    twins: Twins,
    bytes: usize,
    next_id: u64,
}

/// Traces that are worked out together.
#[derive(Debug, Default)]
struct Group {
    traces: Vec<[u8; 16]>,
    evidence: Evidence,
    /// Rows as written: span and version.
    rows: Vec<([u8; 8], u32)>,
    touched_ns: u64,
}

/// The observations of one request's spans, made before the memory is entered.
pub struct Observed<'a> {
    /// By position in the request; `None` for ordinary spans.
    pub spans: &'a [Option<Observation<'a>>],
}

// === impl MemoryLimits ===

impl Default for MemoryLimits {
    fn default() -> Self {
        // 32 MiB hold some ten thousand LLM spans; exporters send within seconds.
        MemoryLimits {
            bytes_max: 32 << 20,
            age_max_ns: 300_000_000_000,
        }
    }
}

/// Observes every span of a request.
pub fn observe_all<'a>(
    table: &AttributeTable,
    request: &Traces<'a>,
    arena: &'a Bump,
) -> Observed<'a> {
    let mut observer = Observer::new(table, arena);
    let spans = request.spans.iter().map(|span| {
        let resource = request.resources.get(span.resource as usize)?;
        let scope = request.scopes.get(span.scope as usize)?;
        observer.observe(resource, scope, span, &[])
    });
    // In the arena, because it is large and as short-lived as the request.
    Observed {
        spans: arena.alloc_slice_fill_iter(spans),
    }
}

// === impl Memory ===

impl Memory {
    pub fn new(limits: MemoryLimits) -> Memory {
        Memory {
            limits,
            groups: HashMap::default(),
            by_trace: HashMap::default(),
            order: VecDeque::new(),
            twins: Twins::default(),
            bytes: 0,
            next_id: 0,
        }
    }

    /// Bytes of evidence now held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes the spans of a request in and says which rows change.
    pub fn spans<'a>(
        &mut self,
        table: &AttributeTable,
        request: &Traces<'a>,
        observed: &Observed<'a>,
        arena: &'a Bump,
        now_ns: u64,
    ) -> Changes<'a> {
        let mut batch = Batch::default();
        for (at, span) in request.spans.iter().enumerate() {
            let relevant = observed.spans.get(at).is_some_and(Option::is_some);
            batch.add(span.trace_id, at, relevant);
        }
        let relevant: Vec<&Observation<'a>> = observed.spans.iter().flatten().collect();
        for (a, b) in self.twins.pairs(&relevant) {
            batch.join(a, b);
        }
        let mut changes = Changes::default();
        for (traces, positions) in batch.groups() {
            let known = traces.iter().any(|t| self.by_trace.contains_key(t));
            if !known
                && !positions
                    .iter()
                    .any(|at| observed.spans.get(*at).is_some_and(Option::is_some))
            {
                continue;
            }
            let news = News {
                request,
                positions: &positions,
                observed,
            };
            self.group(table, &traces, &news, known, arena, now_ns, &mut changes);
        }
        self.evict(now_ns);
        changes
    }

    /// Takes the log events of a request in and says which rows change. Records that are no
    /// `gen_ai` event of a span are nothing to the memory.
    pub fn logs<'a>(
        &mut self,
        table: &AttributeTable,
        request: &Logs<'a>,
        arena: &'a Bump,
        now_ns: u64,
    ) -> Changes<'a> {
        let mut by_trace: Vec<([u8; 16], usize)> = Vec::new();
        for (at, record) in request.records.iter().enumerate() {
            if let (Some(trace), Some(_)) = (record.trace_id, record.span_id)
                && record.event_name.starts_with("gen_ai.")
            {
                by_trace.push((trace, at));
            }
        }
        by_trace.sort_unstable();
        let mut changes = Changes::default();
        for records in by_trace.chunk_by(|a, b| a.0 == b.0) {
            let Some((trace, _)) = records.first() else {
                continue;
            };
            let id = self.group_of(&[*trace], now_ns);
            let Some(group) = self.groups.get_mut(&id) else {
                continue;
            };
            if group.evidence.bytes() > GROUP_BYTES_MAX {
                continue;
            }
            let old = group.evidence.calls(table, arena);
            let before = group.evidence.bytes();
            for (_, at) in records {
                group.evidence.add_log(request, *at);
            }
            self.bytes += group.evidence.bytes() - before;
            let new = group.evidence.calls(table, arena);
            group.change(old, new, &mut changes);
            changes.traces.push(*trace);
            if !group.rows.is_empty() {
                changes.with_rows.push(*trace);
            }
        }
        self.evict(now_ns);
        changes
    }

    /// Forgets traces whose rows could not be written: they start anew when they are sent again.
    pub fn forget(&mut self, traces: &[[u8; 16]]) {
        for trace in traces {
            if let Some(id) = self.by_trace.get(trace) {
                self.remove(*id);
            }
        }
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "one call site; a struct would only rename them"
    )]
    fn group<'a>(
        &mut self,
        table: &AttributeTable,
        traces: &[[u8; 16]],
        news: &News<'_, 'a>,
        known: bool,
        arena: &'a Bump,
        now_ns: u64,
        changes: &mut Changes<'a>,
    ) {
        let full = traces.iter().any(|t| self.is_full(t));
        if full {
            let rows = fold(news.observations(), &news.links(), arena);
            changes.rows.extend(rows.into_iter().map(|call| Change {
                call,
                sign: 1,
                version: 1,
            }));
            return;
        }
        let ids: Vec<u64> = traces
            .iter()
            .filter_map(|t| self.by_trace.get(t).copied())
            .collect();
        let mut old: Vec<Call<'a>> = Vec::new();
        let mut seen: Vec<u64> = Vec::new();
        for id in ids {
            if !seen.contains(&id)
                && let Some(group) = self.groups.get(&id)
            {
                old.extend(group.evidence.calls(table, arena));
                seen.push(id);
            }
        }
        let id = self.group_of(traces, now_ns);
        let Some(group) = self.groups.get_mut(&id) else {
            return;
        };
        let before = group.evidence.bytes();
        for at in news.positions {
            let observed = news.observed.spans.get(*at).is_some_and(Option::is_some);
            group.evidence.add_span(news.request, *at, observed);
        }
        self.bytes += group.evidence.bytes() - before;
        let new = if known {
            group.evidence.calls(table, arena)
        } else {
            fold(news.observations(), &news.links(), arena)
        };
        group.change(old, new, changes);
        changes.traces.extend_from_slice(traces);
    }

    fn is_full(&self, trace: &[u8; 16]) -> bool {
        let group = self.by_trace.get(trace).and_then(|id| self.groups.get(id));
        group.is_some_and(|g| g.evidence.bytes() > GROUP_BYTES_MAX || g.rows.len() > GROUP_ROWS_MAX)
    }

    /// The one group of these traces; groups that turn out to be one are put together.
    fn group_of(&mut self, traces: &[[u8; 16]], now_ns: u64) -> u64 {
        let known = traces.iter().find_map(|t| self.by_trace.get(t).copied());
        let id = known.unwrap_or_else(|| {
            self.next_id += 1;
            self.order.push_back(self.next_id);
            self.groups.insert(self.next_id, Group::default());
            self.next_id
        });
        for trace in traces {
            let other = self.by_trace.insert(*trace, id);
            let Some(group) = self.groups.get_mut(&id) else {
                continue;
            };
            group.touched_ns = now_ns;
            if other == Some(id) {
                continue;
            }
            if other.is_none() {
                group.traces.push(*trace);
            } else if let Some(absorbed) = other.and_then(|other| self.groups.remove(&other)) {
                for trace in &absorbed.traces {
                    self.by_trace.insert(*trace, id);
                }
                if let Some(group) = self.groups.get_mut(&id) {
                    group.evidence.absorb(absorbed.evidence);
                    group.rows.extend(absorbed.rows);
                    group.traces.extend(absorbed.traces);
                }
            }
        }
        id
    }

    fn remove(&mut self, id: u64) {
        let Some(group) = self.groups.remove(&id) else {
            return;
        };
        self.bytes = self.bytes.saturating_sub(group.evidence.bytes());
        for trace in &group.traces {
            self.by_trace.remove(trace);
        }
    }

    fn evict(&mut self, now_ns: u64) {
        while let Some(id) = self.order.front().copied() {
            let oldest = self.groups.get(&id);
            let stale =
                oldest.is_none_or(|g| now_ns.saturating_sub(g.touched_ns) > self.limits.age_max_ns);
            if !stale && self.bytes <= self.limits.bytes_max {
                break;
            }
            self.order.pop_front();
            self.remove(id);
        }
    }
}

/// What a request brings for one group.
struct News<'r, 'a> {
    request: &'r Traces<'a>,
    positions: &'r [usize],
    observed: &'r Observed<'a>,
}

// === impl News ===

impl<'a> News<'_, 'a> {
    fn observations(&self) -> Vec<Observation<'a>> {
        let observed = self
            .positions
            .iter()
            .filter_map(|at| self.observed.spans.get(*at));
        observed.flatten().cloned().collect()
    }

    fn links(&self) -> Vec<Link> {
        let spans = self
            .positions
            .iter()
            .filter_map(|at| self.request.spans.get(*at));
        spans
            .filter_map(|s| Some((s.span_id, s.parent_span_id?)))
            .collect()
    }
}

// === impl Group ===

impl Group {
    /// Compares what was written with what holds now.
    fn change<'a>(&mut self, old: Vec<Call<'a>>, new: Vec<Call<'a>>, changes: &mut Changes<'a>) {
        let version_of = |rows: &[([u8; 8], u32)], id| {
            rows.iter()
                .find(|(span, _)| *span == id)
                .map(|(_, version)| *version)
        };
        let written = |rows: &[([u8; 8], u32)], id| version_of(rows, id).unwrap_or(0);
        for call in &old {
            let still = new.iter().find(|n| n.span_id == call.span_id);
            let version = written(&self.rows, call.span_id);
            if version > 0 && still != Some(call) {
                changes.rows.push(Change {
                    call: call.clone(),
                    sign: -1,
                    version,
                });
            }
        }
        for call in new {
            if old.contains(&call) && written(&self.rows, call.span_id) > 0 {
                continue;
            }
            let version = written(&self.rows, call.span_id).saturating_add(1);
            match self.rows.iter_mut().find(|(span, _)| *span == call.span_id) {
                Some(row) => row.1 = version,
                None => self.rows.push((call.span_id, version)),
            }
            changes.rows.push(Change {
                call,
                sign: 1,
                version,
            });
        }
    }
}

/// The spans of a request by trace, twins' traces together.
#[derive(Default)]
struct Batch {
    by_trace: HashMap<[u8; 16], usize, RandomState>,
    /// Traces, positions in the request, and whether any is more than an ordinary span.
    groups: Vec<(Vec<[u8; 16]>, Vec<usize>)>,
}

// === impl Batch ===

impl Batch {
    fn add(&mut self, trace: [u8; 16], at: usize, _relevant: bool) {
        let group = *self.by_trace.entry(trace).or_insert_with(|| {
            self.groups.push((vec![trace], Vec::new()));
            self.groups.len() - 1
        });
        if let Some((_, positions)) = self.groups.get_mut(group) {
            positions.push(at);
        }
    }

    /// Two traces belong together; either may be one that only the memory knows.
    fn join(&mut self, a: [u8; 16], b: [u8; 16]) {
        match (
            self.by_trace.get(&a).copied(),
            self.by_trace.get(&b).copied(),
        ) {
            (Some(x), Some(y)) if x != y => {
                let moved = self
                    .groups
                    .get_mut(y)
                    .map(std::mem::take)
                    .unwrap_or_default();
                for trace in &moved.0 {
                    self.by_trace.insert(*trace, x);
                }
                if let Some(group) = self.groups.get_mut(x) {
                    group.0.extend(moved.0);
                    group.1.extend(moved.1);
                }
            }
            (Some(x), None) => self.attach(x, b),
            (None, Some(y)) => self.attach(y, a),
            _ => {}
        }
    }

    fn attach(&mut self, group: usize, trace: [u8; 16]) {
        self.by_trace.insert(trace, group);
        if let Some(group) = self.groups.get_mut(group) {
            group.0.push(trace);
        }
    }

    fn groups(self) -> impl Iterator<Item = (Vec<[u8; 16]>, Vec<usize>)> {
        self.groups
            .into_iter()
            .filter(|(_, positions)| !positions.is_empty())
    }
}

#[cfg(test)]
mod tests;
