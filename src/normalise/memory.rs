//! Memory: the evidence of recent traces, so that what arrives late corrects what was written.
//!
//! A row is a function of its trace's evidence. The evidence (the encoded spans and log events
//! themselves) is kept for a while; when more of the same trace arrives, the calls are worked out
//! from the old and from the new evidence, and the difference is returned as signed rows: `-1`
//! takes an old row back, `+1` writes the new one. Totals over sign are right at every moment.
//!
//! A state machine without a clock: the caller says what time it is. Bounded by bytes and age;
//! evidence that comes after its trace was forgotten starts a trace of its own.

mod batch;
mod evidence;
mod group;
mod news;
mod twins;

use std::collections::VecDeque;

use bumpalo::Bump;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use self::{batch::Batch, group::Group, news::News, twins::Twins};
use super::{
    attributes::AttributeTable,
    fold::fold,
    observe::{Observation, Observer},
    recognise::SpanRole,
};
use crate::{
    call::{Call, Operation},
    decode::{Logs, Traces},
};

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
    /// Executions of tools that no answer asked for ([`Operation::ExecuteTool`]).
    pub tools: Vec<Change<'a>>,
    /// Traces whose state now says that these rows were written.
    pub traces: Vec<[u8; 16]>,
    /// Traces that the request's spans or events belong to, whether it brought news of them or
    /// not: its rows rest on what was written for them earlier.
    pub touched: Vec<[u8; 16]>,
    /// Traces of `touched` that have rows: their log events' content is in a call.
    pub with_rows: Vec<[u8; 16]>,
}

/// The recent traces.
#[derive(Debug)]
pub struct Memory {
    limits: MemoryLimits,
    groups: HashMap<u64, Group, RandomState>,
    by_trace: HashMap<[u8; 16], u64, RandomState>,
    /// Groups with the time at which they were put into the queue, oldest first.
    order: VecDeque<(u64, u64)>,
    twins: Twins,
    bytes: usize,
    next_id: u64,
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

// === impl Changes ===

impl<'a> Changes<'a> {
    fn push(&mut self, change: Change<'a>) {
        match change.call.operation {
            Operation::ExecuteTool => self.tools.push(change),
            _ => self.rows.push(change),
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
            batch.add(span.trace_id, at);
        }
        let relevant: Vec<&Observation<'a>> = observed.spans.iter().flatten().collect();
        for (a, b) in self.twins.pairs(&relevant) {
            batch.join(a, b);
        }
        let mut changes = Changes {
            // Rows are large: grown step by step they would be copied again and again.
            rows: Vec::with_capacity(relevant.len()),
            ..Changes::default()
        };
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
            let before = group.bytes();
            let records = records.iter().map(|(_, at)| *at);
            let news: Vec<usize> = records
                .filter(|at| !group.is_full() && !group.evidence.has_log(request, *at))
                .collect();
            if !news.is_empty() {
                let old = group.calls(table, arena);
                for at in news {
                    group.evidence.add_log(request, at);
                }
                let new = group.calls(table, arena);
                group.change(old, new, &mut changes);
                changes.traces.extend_from_slice(&group.traces);
            }
            changes.touched.extend_from_slice(&group.traces);
            if group.has_rows() || group.is_full() {
                changes.with_rows.push(*trace);
            }
            group.close_when_full();
            self.bytes = (self.bytes + group.bytes()).saturating_sub(before);
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
        let mut ids: Vec<u64> = traces
            .iter()
            .filter_map(|t| self.by_trace.get(t).copied())
            .collect();
        ids.sort_unstable();
        ids.dedup();
        if ids
            .iter()
            .any(|id| self.groups.get(id).is_some_and(Group::is_full))
        {
            self.overflow(&ids, news, arena, changes);
            return;
        }
        let known_to = |g: &Group| !news.matters_to(g);
        let nothing_new =
            matches!(ids.as_slice(), [id] if self.groups.get(id).is_some_and(known_to));
        let mut old: Vec<Call<'a>> = Vec::new();
        for id in ids.iter().filter(|_| !nothing_new) {
            if let Some(group) = self.groups.get_mut(id) {
                old.extend(group.calls(table, arena));
            }
        }
        let id = self.group_of(traces, now_ns);
        let Some(group) = self.groups.get_mut(&id) else {
            return;
        };
        let before = group.bytes();
        if !known {
            let whole = news.positions.iter().copied();
            let whole = whole.filter(|at| news.is_observed(*at));
            group.evidence.expect_spans(news.request, whole);
        }
        for at in news.positions {
            let observed = news.is_observed(*at);
            group.evidence.add_span(news.request, *at, observed);
        }
        if !nothing_new {
            let new = if known {
                group.calls(table, arena)
            } else {
                group.first_calls(news.observations(), arena)
            };
            group.change(old, new, changes);
            changes.traces.extend_from_slice(&group.traces);
            group.close_when_full();
        }
        changes.touched.extend_from_slice(&group.traces);
        self.bytes = (self.bytes + group.bytes()).saturating_sub(before);
    }

    /// Spans of a trace that is too long to be worked out again: worked out by themselves, once.
    fn overflow<'a>(
        &mut self,
        ids: &[u64],
        news: &News<'_, 'a>,
        arena: &'a Bump,
        changes: &mut Changes<'a>,
    ) {
        let mut fresh = news.observations();
        // What repeats calls around it or below it would count as one where those are not known.
        fresh.retain(|o| {
            matches!(
                o.role,
                SpanRole::Call | SpanRole::Supplement | SpanRole::Tool
            )
        });
        for id in ids {
            let Some(group) = self.groups.get_mut(id) else {
                continue;
            };
            let before = group.bytes();
            fresh.retain(|o| group.evidence.remember((o.call.trace_id, o.call.span_id)));
            self.bytes = (self.bytes + group.bytes()).saturating_sub(before);
            changes.touched.extend_from_slice(&group.traces);
            if !fresh.is_empty() {
                changes.traces.extend_from_slice(&group.traces);
            }
        }
        let rows = fold(fresh, &news.links(), arena);
        for call in rows {
            changes.push(Change {
                call,
                sign: 1,
                version: 1,
            });
        }
    }

    /// The one group of these traces; groups that turn out to be one are put together.
    fn group_of(&mut self, traces: &[[u8; 16]], now_ns: u64) -> u64 {
        let known = traces.iter().find_map(|t| self.by_trace.get(t).copied());
        let id = known.unwrap_or_else(|| {
            self.next_id += 1;
            self.order.push_back((self.next_id, now_ns));
            let group = Group::default();
            self.bytes += group.bytes();
            self.groups.insert(self.next_id, group);
            self.next_id
        });
        for trace in traces {
            let other = self.by_trace.insert(*trace, id);
            let absorbed = other
                .filter(|other| *other != id)
                .and_then(|other| self.groups.remove(&other));
            let Some(group) = self.groups.get_mut(&id) else {
                continue;
            };
            group.touched_ns = now_ns;
            let mut before = group.bytes();
            if let Some(absorbed) = absorbed {
                before += absorbed.bytes();
                for trace in &absorbed.traces {
                    self.by_trace.insert(*trace, id);
                }
                group.absorb(absorbed);
            } else if other.is_none() {
                group.traces.push(*trace);
            }
            self.bytes = (self.bytes + group.bytes()).saturating_sub(before);
        }
        id
    }

    fn remove(&mut self, id: u64) {
        let Some(group) = self.groups.remove(&id) else {
            return;
        };
        self.bytes = self.bytes.saturating_sub(group.bytes());
        for trace in &group.traces {
            self.by_trace.remove(trace);
        }
    }

    /// Lets the groups go that nothing came for, the longest silent first.
    fn evict(&mut self, now_ns: u64) {
        while let Some(&(id, queued_ns)) = self.order.front() {
            let age_ns = now_ns.saturating_sub(queued_ns);
            if age_ns <= self.limits.age_max_ns && self.bytes <= self.limits.bytes_max {
                break;
            }
            self.order.pop_front();
            match self.groups.get(&id) {
                Some(group) if group.touched_ns > queued_ns => {
                    self.order.push_back((id, group.touched_ns));
                }
                Some(_) => self.remove(id),
                // Forgotten, or part of another group by now.
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
