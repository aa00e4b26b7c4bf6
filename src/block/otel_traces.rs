//! Spans as rows of `otel_traces`: the columns of the OpenTelemetry ClickHouse exporter.

use super::attributes::{Attributes, ResourceCache, Time, time};
use super::native::{List, Map, Number, Text, table};
use crate::decode::{Event, Link, Resource, Scope, Span};

/// What of a span is left out of `otel_traces`, because `llm_calls` holds it.
///
/// Lists are aligned with the span's; a shorter list leaves out nothing beyond its end, so the
/// default keeps everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct OmitOfSpan<'a> {
    /// `true` leaves out the attribute with this index.
    pub attributes: &'a [bool],
    /// For each event, by index: `true` leaves out the attribute with this index.
    pub event_attributes: &'a [&'a [bool]],
}

table! {
    /// The columns that are sent, in the order of the table.
    Spans {
        timestamp: Time = "Timestamp" "DateTime64(9)",
        trace_id: Text = "TraceId" "String",
        span_id: Text = "SpanId" "String",
        parent_span_id: Text = "ParentSpanId" "String",
        trace_state: Text = "TraceState" "String",
        name: Text = "SpanName" "String",
        kind: Text = "SpanKind" "String",
        service: Text = "ServiceName" "String",
        resource: Map = "ResourceAttributes" "Map(String, String)",
        scope_name: Text = "ScopeName" "String",
        scope_version: Text = "ScopeVersion" "String",
        attributes: Map = "SpanAttributes" "Map(String, String)",
        duration: Number<8> = "Duration" "UInt64",
        status_code: Text = "StatusCode" "String",
        status_message: Text = "StatusMessage" "String",
        event_timestamp: List<Time> = "Events.Timestamp" "Array(DateTime64(9))",
        event_name: List<Text> = "Events.Name" "Array(String)",
        event_attributes: List<Map> = "Events.Attributes" "Array(Map(String, String))",
        link_trace_id: List<Text> = "Links.TraceId" "Array(String)",
        link_span_id: List<Text> = "Links.SpanId" "Array(String)",
        link_trace_state: List<Text> = "Links.TraceState" "Array(String)",
        link_attributes: List<Map> = "Links.Attributes" "Array(Map(String, String))",
    }
}

/// When the span began: its end where the start is missing.
pub(super) fn start(span: &Span<'_>) -> u64 {
    if span.start_ns == 0 {
        span.end_ns
    } else {
        span.start_ns
    }
}

impl Spans {
    /// Appends one row.
    pub(super) fn push(
        &mut self,
        text: &mut Attributes,
        cache: &mut ResourceCache,
        (resource, scope, span): (&Resource<'_>, &Scope<'_>, &Span<'_>),
        omit: OmitOfSpan<'_>,
    ) {
        let start = start(span);
        self.timestamp.push_i64(time(start));
        self.trace_id.push_hex::<16, 32>(Some(&span.trace_id));
        self.span_id.push_hex::<8, 16>(Some(&span.span_id));
        let parent = span.parent_span_id.as_ref();
        self.parent_span_id.push_hex::<8, 16>(parent);
        self.trace_state.push(span.trace_state);
        self.name.push(span.name);
        self.kind.push(span.kind.as_str());
        text.resource(cache, &mut self.service, &mut self.resource, resource);
        self.scope_name.push(scope.name);
        self.scope_version.push(scope.version);
        text.map(&mut self.attributes, span.attributes, omit.attributes);
        self.duration.push(span.end_ns.saturating_sub(start));
        self.status_code.push(span.status.code.as_str());
        self.status_message.push(span.status.message);
        self.events(text, span.events, omit);
        self.links(text, span.links);
    }

    fn events(&mut self, text: &mut Attributes, events: &[Event<'_>], omit: OmitOfSpan<'_>) {
        for (i, event) in events.iter().enumerate() {
            self.event_timestamp.items.push_i64(time(event.time_ns));
            self.event_name.items.push(event.name);
            let omit = omit.event_attributes.get(i).copied().unwrap_or(&[]);
            text.map(&mut self.event_attributes.items, event.attributes, omit);
        }
        self.event_timestamp.end(events.len());
        self.event_name.end(events.len());
        self.event_attributes.end(events.len());
    }

    fn links(&mut self, text: &mut Attributes, links: &[Link<'_>]) {
        for link in links {
            let (trace, span) = (Some(&link.trace_id), Some(&link.span_id));
            self.link_trace_id.items.push_hex::<16, 32>(trace);
            self.link_span_id.items.push_hex::<8, 16>(span);
            self.link_trace_state.items.push(link.trace_state);
            text.map(&mut self.link_attributes.items, link.attributes, &[]);
        }
        self.link_trace_id.end(links.len());
        self.link_span_id.end(links.len());
        self.link_trace_state.end(links.len());
        self.link_attributes.end(links.len());
    }
}
