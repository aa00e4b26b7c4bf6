//! Passing on: what of a request goes to another collector, with what was worked out about it.
//!
//! What was redacted is gone from the bytes already. Where the content policy keeps less than all
//! of prompts and answers, none of them goes on.

use std::collections::HashMap;

use super::work::{Row, event_mask};
use crate::{
    decode::{Attribute, Logs, Traces, rewrite},
    forward::{self, Encoded, Encoder, Signal},
    normalise::{AttributeTable, memory::Observed},
    redact::ContentPolicy,
};

/// The accepted spans of a request.
pub(super) fn spans(
    request: &Traces<'_>,
    observed: &Observed<'_>,
    rows: &[Row<'_>],
    table: &AttributeTable,
    policy: ContentPolicy,
) -> Encoded {
    // Rows of other spans (late evidence about what went on before) are nobody's here.
    let of_span: HashMap<_, _> = rows
        .iter()
        .filter(|row| row.change.sign > 0)
        .filter_map(|row| Some((row, row.enrichment.as_ref()?)))
        .map(|(row, enrichment)| {
            let call = &row.change.call;
            ((call.trace_id, call.span_id), (call, enrichment))
        })
        .collect();
    let mut encoder = Encoder::new(Signal::Traces);
    let mut open = None;
    for (at, span) in request.spans.iter().enumerate() {
        let resource = request.resources.get(span.resource as usize);
        let scope = request.scopes.get(span.scope as usize);
        let (Some(resource), Some(scope)) = (resource, scope) else {
            continue;
        };
        let place = (span.resource, span.scope);
        if let Some((resource, scope)) = open.filter(|_| encoder.is_elsewhere(place)) {
            encoder.close(resource, scope);
        }
        open = Some((resource, scope));
        let more = of_span
            .get(&(span.trace_id, span.span_id))
            .map_or_else(Vec::new, |(call, enrichment)| {
                forward::of_call(call, enrichment)
            });
        if !policy.hides() {
            encoder.item(place, span.encoded, &more);
            continue;
        }
        let events: Vec<Vec<bool>> = span.events.iter().map(|e| event_mask(e, table)).collect();
        let is_content = |a: &Attribute<'_>| table.is_content(a.key);
        let content: Vec<bool> = match observed.spans.get(at).and_then(Option::as_ref) {
            Some(observation) => observation.content_mask.to_vec(),
            None => span.attributes.iter().map(is_content).collect(),
        };
        let rest = rewrite::span_without(span.encoded, &content, &events);
        encoder.item(place, &rest, &more);
    }
    if let Some((resource, scope)) = open {
        encoder.close(resource, scope);
    }
    encoder.finish(request.rejected.strings_repaired > 0)
}

/// The accepted log records of a request.
pub(super) fn logs(request: &Logs<'_>, table: &AttributeTable, policy: ContentPolicy) -> Encoded {
    let mut encoder = Encoder::new(Signal::Logs);
    let mut open = None;
    for record in &request.records {
        let resource = request.resources.get(record.resource as usize);
        let scope = request.scopes.get(record.scope as usize);
        let (Some(resource), Some(scope)) = (resource, scope) else {
            continue;
        };
        let place = (record.resource, record.scope);
        if let Some((resource, scope)) = open.filter(|_| encoder.is_elsewhere(place)) {
            encoder.close(resource, scope);
        }
        open = Some((resource, scope));
        if !policy.hides() {
            encoder.item(place, record.encoded, &[]);
            continue;
        }
        let content: Vec<bool> = record
            .attributes
            .iter()
            .map(|a| table.is_content(a.key))
            .collect();
        let rest = match record.event_name.starts_with("gen_ai.") {
            true => rewrite::log_without_body(record.encoded, &content),
            false => rewrite::log_without(record.encoded, &content),
        };
        encoder.item(place, &rest, &[]);
    }
    if let Some((resource, scope)) = open {
        encoder.close(resource, scope);
    }
    encoder.finish(request.rejected.strings_repaired > 0)
}
