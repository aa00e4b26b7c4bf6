//! One request worked through: decode, normalise, enrich, append. No waiting anywhere.

use std::{borrow::Cow, cell::RefCell, sync::atomic::Ordering};

use bumpalo::Bump;
use tokio::sync::watch;

use super::{
    Durable, Pipeline, facts,
    in_flight::{Outcome, Ticket},
    lane::{Group, Waiting},
    passing,
};
use crate::{
    block::{OmitOfLog, OmitOfSpan, Version},
    call::{Enrichment, Evaluation, ToolCall},
    clock,
    decode::{self, Attribute, Event, Logs, Rejected, Traces},
    enrich,
    normalise::{
        AttributeTable, evaluations,
        memory::{Change, Changes, Memory, Observed, observe_all},
    },
    receive::{Encoding, Payload, Receipt, Refusal, Signal},
    redact::Keep,
};

/// Memory of a thread's arena that is kept from request to request.
const ARENA_KEPT_BYTES: usize = 4 << 20;

thread_local! {
    static ARENA: RefCell<Bump> = RefCell::new(Bump::new());
}

/// A change and what was worked out about it.
pub(super) struct Row<'a> {
    pub(super) change: Change<'a>,
    /// None for a tool's execution by itself.
    pub(super) enrichment: Option<Enrichment>,
    tools: Vec<ToolCall<'a>>,
}

// === impl Pipeline ===

impl<D: Durable> Pipeline<D> {
    /// From bytes to rows in a lane; the ticket is good when they are durable.
    pub(super) fn work_through(
        &self,
        payload: &Payload,
        request: u128,
        now_ns: u64,
    ) -> Result<(Receipt, Option<Ticket>), Refusal> {
        let body = match (payload.encoding, payload.signal) {
            (Encoding::Protobuf, _) => Cow::Borrowed(&payload.body[..]),
            (Encoding::Json, Signal::Traces) => {
                Cow::Owned(decode::json::traces_to_proto(&payload.body).map_err(invalid)?)
            }
            (Encoding::Json, Signal::Logs) => {
                Cow::Owned(decode::json::logs_to_proto(&payload.body).map_err(invalid)?)
            }
            (Encoding::Json, Signal::Metrics) => {
                let points = decode::json::metrics_point_count(&payload.body).map_err(invalid)?;
                return Ok((self.metrics(points), None));
            }
        };
        let redactor = &self.options.redactor;
        let (body, redacted) = match payload.signal {
            Signal::Traces => redactor.traces(body),
            Signal::Logs => redactor.logs(body),
            Signal::Metrics => (body, 0),
        };
        self.stats
            .redacted
            .fetch_add(redacted as u64, Ordering::Relaxed);
        ARENA.with_borrow_mut(|arena| {
            let done = match payload.signal {
                Signal::Traces => self.traces(&body, request, arena),
                Signal::Logs => self.logs(&body, request, arena, now_ns),
                Signal::Metrics => {
                    let points = decode::count_metric_points(&body).map_err(invalid)?;
                    Ok((self.metrics(points), None))
                }
            };
            if arena.allocated_bytes() > ARENA_KEPT_BYTES {
                *arena = Bump::new();
            } else {
                arena.reset();
            }
            done
        })
    }

    fn traces(
        &self,
        body: &[u8],
        key: u128,
        arena: &Bump,
    ) -> Result<(Receipt, Option<Ticket>), Refusal> {
        let knowledge = self.knowledge.borrow().clone();
        let table = &*knowledge.attributes;
        let mut request = decode::traces(body, arena).map_err(invalid)?;
        self.stats
            .spans
            .fetch_add(request.spans.len() as u64, Ordering::Relaxed);
        request.reject_times();
        let receipt = self.receipt(&request.rejected);
        if request.spans.is_empty() {
            return Ok((receipt, None));
        }
        let observed = observe_all(table, &request, arena);
        let (changes, mut waiting, ticket) = self.remember(key, |memory| {
            memory.spans(table, &request, &observed, arena, clock::steady_ns())
        });
        waiting.rejected = receipt.rejected;
        let rows = self.enrich(&knowledge.rules, changes, arena);
        let evaluations = evaluations::of_traces(&request, arena);
        let policy = self.options.content;
        let passing = (self.options.forward)
            .then(|| passing::spans(&request, &observed, &rows, table, policy));
        self.append(waiting, &rows, |group| {
            passing
                .iter()
                .for_each(|request| group.outgoing.push(request));
            self.push_spans(group, &request, &observed, table);
            self.push_evaluations(group, evaluations, arena);
        });
        Ok((receipt, Some(ticket)))
    }

    fn logs(
        &self,
        body: &[u8],
        key: u128,
        arena: &Bump,
        now_ns: u64,
    ) -> Result<(Receipt, Option<Ticket>), Refusal> {
        let knowledge = self.knowledge.borrow().clone();
        let table = &*knowledge.attributes;
        let mut request = decode::logs(body, arena).map_err(invalid)?;
        self.stats
            .log_records
            .fetch_add(request.records.len() as u64, Ordering::Relaxed);
        request.reject_times(now_ns);
        let receipt = self.receipt(&request.rejected);
        if request.records.is_empty() {
            return Ok((receipt, None));
        }
        let (changes, mut waiting, ticket) = self.remember(key, |memory| {
            memory.logs(table, &request, arena, clock::steady_ns())
        });
        waiting.rejected = receipt.rejected;
        let in_calls = changes.with_rows.clone();
        let rows = self.enrich(&knowledge.rules, changes, arena);
        let evaluations = evaluations::of_logs(&request, arena);
        let policy = self.options.content;
        let passing = (self.options.forward).then(|| passing::logs(&request, table, policy));
        self.append(waiting, &rows, |group| {
            passing
                .iter()
                .for_each(|request| group.outgoing.push(request));
            self.push_logs(group, &request, table, &in_calls);
            self.push_evaluations(group, evaluations, arena);
        });
        Ok((receipt, Some(ticket)))
    }

    fn metrics(&self, points: u64) -> Receipt {
        self.stats
            .metric_points_rejected
            .fetch_add(points, Ordering::Relaxed);
        if points == 0 {
            return Receipt::default();
        }
        Receipt {
            rejected: points,
            message: "metrics are not stored yet: send traces and logs".to_owned(),
        }
    }

    fn receipt(&self, rejected: &Rejected) -> Receipt {
        self.stats
            .rejected
            .fetch_add(rejected.count, Ordering::Relaxed);
        self.stats
            .strings_repaired
            .fetch_add(rejected.strings_repaired, Ordering::Relaxed);
        Receipt {
            rejected: rejected.count,
            message: rejected.first_reason.clone().unwrap_or_default(),
        }
    }

    fn enrich<'a>(
        &self,
        rules: &enrich::Rules,
        changes: Changes<'a>,
        arena: &'a Bump,
    ) -> Vec<Row<'a>> {
        let corrections = changes.rows.iter().filter(|c| c.sign < 0).count() as u64;
        let calls = changes.rows.len() as u64 - corrections;
        self.stats.calls.fetch_add(calls, Ordering::Relaxed);
        self.stats
            .corrections
            .fetch_add(corrections, Ordering::Relaxed);
        let calls = changes.rows.into_iter().map(|change| {
            let enrichment = enrich::enrich(rules, &change.call);
            if change.sign > 0 {
                self.stats.unpriced.see(&change.call, &enrichment.cost);
            }
            (change, Some(enrichment))
        });
        let tools = changes.tools.into_iter().map(|change| (change, None));
        let rows = calls.chain(tools).map(|(mut change, enrichment)| {
            // A row taken back needs its measures only.
            let keep = match change.sign {
                1.. => self.options.content.keep,
                _ => Keep::None,
            };
            let mut tools = match change.call.duplicate_of {
                None => enrich::tool_calls(&change.call),
                // Its original has them.
                Some(_) => Vec::new(),
            };
            for tool in &mut tools {
                tool.arguments = keep.of(tool.arguments, arena);
                tool.result = keep.of(tool.result, arena);
            }
            let call = &mut change.call;
            call.input.text = keep.of(call.input.text, arena);
            call.output.text = keep.of(call.output.text, arena);
            Row {
                change,
                enrichment,
                tools,
            }
        });
        rows.collect()
    }

    /// Takes a request into the memory. From here on others rest on its rows, which therefore must
    /// reach a lane, or the ticket is never good.
    fn remember<'a>(
        &self,
        request: u128,
        take: impl FnOnce(&mut Memory) -> Changes<'a>,
    ) -> (Changes<'a>, Waiting, Ticket) {
        let (outcome, own) = watch::channel::<Outcome>(None);
        let mut recent = self.recent();
        let changes = take(&mut recent.memory);
        let ticket = recent
            .in_flight
            .enter(&changes.touched, &changes.traces, own);
        drop(recent);
        let traces = changes.traces.clone();
        let waiting = Waiting {
            outcome,
            request,
            rejected: 0,
            traces,
        };
        (changes, waiting, ticket)
    }

    fn append(&self, waiting: Waiting, rows: &[Row<'_>], push: impl FnOnce(&mut Group)) {
        let Some(lane) = self.lane() else { return };
        lane.append(waiting, |group| {
            push(group);
            for row in rows {
                let change = &row.change;
                let version = Version {
                    sign: change.sign,
                    version: change.version,
                };
                if let Some(enrichment) = &row.enrichment {
                    group.blocks.push_call(&change.call, enrichment, version);
                    let failed = row.tools.iter().find(|tool| tool.failed_layer.is_some());
                    let tool = failed.map_or("", |tool| tool.name);
                    facts::push_call(&mut group.facts, change, enrichment, tool);
                }
                for tool in &row.tools {
                    group.blocks.push_tool_call(&change.call, tool, version);
                }
            }
        });
    }

    fn push_spans(
        &self,
        group: &mut Group,
        request: &Traces<'_>,
        observed: &Observed<'_>,
        table: &AttributeTable,
    ) {
        let policy = self.options.content;
        for (at, span) in request.spans.iter().enumerate() {
            let resource = request.resources.get(span.resource as usize);
            let scope = request.scopes.get(span.scope as usize);
            let (Some(resource), Some(scope)) = (resource, scope) else {
                continue;
            };
            let observation = observed.spans.get(at).and_then(Option::as_ref);
            let hidden: Vec<bool>;
            let content: &[bool] = match observation {
                Some(observation) if !policy.shows() => observation.content_mask,
                None if policy.hides() => {
                    let is_content = |a: &Attribute<'_>| table.is_content(a.key);
                    hidden = span.attributes.iter().map(is_content).collect();
                    &hidden
                }
                _ => {
                    let nothing = OmitOfSpan::default();
                    group.blocks.push_span(resource, scope, span, nothing);
                    continue;
                }
            };
            let masks: Vec<Vec<bool>> = span
                .events
                .iter()
                .map(|event| event_mask(event, table))
                .collect();
            let masks: Vec<&[bool]> = masks.iter().map(Vec::as_slice).collect();
            let omit = OmitOfSpan {
                attributes: content,
                event_attributes: &masks,
            };
            group.blocks.push_span(resource, scope, span, omit);
        }
    }

    /// What a judge explains quotes what it judged.
    fn push_evaluations<'a>(
        &self,
        group: &mut Group,
        evaluations: Vec<Evaluation<'a>>,
        arena: &'a Bump,
    ) {
        for mut evaluation in evaluations {
            evaluation.explanation = self.options.content.keep.of(evaluation.explanation, arena);
            group.blocks.push_evaluation(&evaluation);
            facts::push_evaluation(&mut group.facts, &evaluation);
        }
    }

    /// A message event is left without its text only when a call has it (its span may never come),
    /// or when the policy wants it nowhere.
    fn push_logs(
        &self,
        group: &mut Group,
        request: &Logs<'_>,
        table: &AttributeTable,
        in_calls: &[[u8; 16]],
    ) {
        for record in &request.records {
            let resource = request.resources.get(record.resource as usize);
            let scope = request.scopes.get(record.scope as usize);
            let (Some(resource), Some(scope)) = (resource, scope) else {
                continue;
            };
            let policy = self.options.content;
            let in_call = || record.trace_id.is_some_and(|t| in_calls.contains(&t));
            let is_content = record.event_name.starts_with("gen_ai.")
                && !policy.shows()
                && (policy.hides() || in_call());
            let mask: Vec<bool> = match is_content || policy.hides() {
                true => record
                    .attributes
                    .iter()
                    .map(|a| table.is_content(a.key))
                    .collect(),
                false => Vec::new(),
            };
            let omit = OmitOfLog {
                body: is_content,
                attributes: &mask,
            };
            group.blocks.push_log(resource, scope, record, omit);
        }
    }
}

/// Which attributes of an event hold prompts or answers; empty when none does.
pub(super) fn event_mask(event: &Event<'_>, table: &AttributeTable) -> Vec<bool> {
    if !event.name.starts_with("gen_ai.") {
        return Vec::new();
    }
    let is_content = |key: &str| key == "message" || table.is_content(key);
    event.attributes.iter().map(|a| is_content(a.key)).collect()
}

fn invalid(error: impl std::fmt::Display) -> Refusal {
    Refusal::Invalid {
        message: error.to_string(),
    }
}
