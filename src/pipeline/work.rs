//! One request worked through: decode, normalise, enrich, append. No waiting anywhere.

use std::{cell::RefCell, sync::atomic::Ordering};

use bumpalo::Bump;
use tokio::sync::watch;

use super::{
    Durable, Pipeline,
    in_flight::{Outcome, Ticket},
    lane::{Group, Waiting},
};
use crate::{
    block::{OmitOfLog, OmitOfSpan, Version},
    call::Enrichment,
    decode::{self, Event, Logs, Rejected, Traces},
    enrich,
    normalise::{
        AttributeTable,
        memory::{Change, Changes, Memory, Observed, observe_all},
    },
    receive::{Encoding, Payload, Receipt, Refusal, Signal},
};

/// Memory of a thread's arena that is kept from request to request.
const ARENA_KEPT_BYTES: usize = 4 << 20;

thread_local! {
    static ARENA: RefCell<Bump> = RefCell::new(Bump::new());
}

/// Where prompts and answers are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentPolicy {
    /// In `llm_calls`.
    pub in_calls: bool,
    /// In the attributes of `otel_traces` and `otel_logs`, too.
    pub in_traces: bool,
}

// === impl ContentPolicy ===

impl Default for ContentPolicy {
    fn default() -> Self {
        ContentPolicy {
            in_calls: true,
            in_traces: false,
        }
    }
}

// === impl Pipeline ===

impl<D: Durable> Pipeline<D> {
    /// From bytes to rows in a lane; the ticket is good when they are durable.
    pub(super) fn work_through(
        &self,
        payload: &Payload,
        now_ns: u64,
    ) -> Result<(Receipt, Option<Ticket>), Refusal> {
        let transcoded;
        let body: &[u8] = match (payload.encoding, payload.signal) {
            (Encoding::Protobuf, _) => &payload.body,
            (Encoding::Json, Signal::Traces) => {
                transcoded = decode::json::traces_to_proto(&payload.body).map_err(invalid)?;
                &transcoded
            }
            (Encoding::Json, Signal::Logs) => {
                transcoded = decode::json::logs_to_proto(&payload.body).map_err(invalid)?;
                &transcoded
            }
            (Encoding::Json, Signal::Metrics) => {
                let points = decode::json::metrics_point_count(&payload.body).map_err(invalid)?;
                return Ok((self.metrics(points), None));
            }
        };
        ARENA.with_borrow_mut(|arena| {
            let done = match payload.signal {
                Signal::Traces => self.traces(body, arena, now_ns),
                Signal::Logs => self.logs(body, arena, now_ns),
                Signal::Metrics => {
                    let points = decode::count_metric_points(body).map_err(invalid)?;
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
        arena: &Bump,
        now_ns: u64,
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
        let (mut changes, waiting, ticket) =
            self.remember(|memory| memory.spans(table, &request, &observed, arena, now_ns));
        let enrichments = self.enrich(&knowledge.rules, &mut changes.rows);
        self.append(waiting, &changes.rows, &enrichments, |group| {
            self.push_spans(group, &request, &observed, table);
        });
        Ok((receipt, Some(ticket)))
    }

    fn logs(
        &self,
        body: &[u8],
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
        let (mut changes, waiting, ticket) =
            self.remember(|memory| memory.logs(table, &request, arena, now_ns));
        let enrichments = self.enrich(&knowledge.rules, &mut changes.rows);
        self.append(waiting, &changes.rows, &enrichments, |group| {
            self.push_logs(group, &request, table, &changes.with_rows);
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

    /// What is worked out about each row, in their order.
    fn enrich(&self, rules: &enrich::Rules, rows: &mut [Change<'_>]) -> Vec<Enrichment> {
        let corrections = rows.iter().filter(|c| c.sign < 0).count() as u64;
        let calls = rows.len() as u64 - corrections;
        self.stats.calls.fetch_add(calls, Ordering::Relaxed);
        self.stats
            .corrections
            .fetch_add(corrections, Ordering::Relaxed);
        let enrichments = rows.iter_mut().map(|change| {
            let enrichment = enrich::enrich(rules, &change.call);
            // A row taken back needs its measures only; a policy may want no content at all.
            if change.sign < 0 || !self.options.content.in_calls {
                change.call.input.text = "";
                change.call.output.text = "";
            }
            enrichment
        });
        enrichments.collect()
    }

    /// Takes a request into the memory. From here on others rest on its rows, which therefore must
    /// reach a lane, or the ticket is never good.
    fn remember<'a>(
        &self,
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
        (changes, Waiting { outcome, traces }, ticket)
    }

    fn append(
        &self,
        waiting: Waiting,
        rows: &[Change<'_>],
        enrichments: &[Enrichment],
        push: impl FnOnce(&mut Group),
    ) {
        let Some(lane) = self.lane() else { return };
        lane.append(waiting, |group| {
            push(group);
            for (change, enrichment) in rows.iter().zip(enrichments) {
                let version = Version {
                    sign: change.sign,
                    version: change.version,
                };
                group.blocks.push_call(&change.call, enrichment, version);
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
        let keep_all = self.options.content.in_traces;
        for (at, span) in request.spans.iter().enumerate() {
            let resource = request.resources.get(span.resource as usize);
            let scope = request.scopes.get(span.scope as usize);
            let (Some(resource), Some(scope)) = (resource, scope) else {
                continue;
            };
            let observation = observed.spans.get(at).and_then(Option::as_ref);
            let Some(observation) = observation.filter(|_| !keep_all) else {
                group
                    .blocks
                    .push_span(resource, scope, span, OmitOfSpan::default());
                continue;
            };
            let masks: Vec<Vec<bool>> = span
                .events
                .iter()
                .map(|event| event_mask(event, table))
                .collect();
            let masks: Vec<&[bool]> = masks.iter().map(Vec::as_slice).collect();
            let omit = OmitOfSpan {
                attributes: observation.content_mask,
                event_attributes: &masks,
            };
            group.blocks.push_span(resource, scope, span, omit);
        }
    }

    /// A message event is left without its text only when a call has it: its span may never come.
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
            let is_content = record.event_name.starts_with("gen_ai.")
                && record
                    .trace_id
                    .is_some_and(|trace| in_calls.contains(&trace))
                && !self.options.content.in_traces;
            let mask: Vec<bool> = match is_content {
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
fn event_mask(event: &Event<'_>, table: &AttributeTable) -> Vec<bool> {
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
