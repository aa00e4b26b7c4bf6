//! Log records as rows of `otel_logs`: the columns of the OpenTelemetry ClickHouse exporter.

use super::attributes::{Attributes, ResourceCache, Time, time};
use super::native::{Map, Number, Text, table};
use crate::decode::{LogRecord, Resource, Scope};

/// What of a log record is left out of `otel_logs`, because `llm_calls` holds it.
#[derive(Debug, Clone, Copy, Default)]
pub struct OmitOfLog<'a> {
    /// The body as a whole.
    pub body: bool,
    /// `true` leaves out the attribute with this index; a shorter list leaves out nothing beyond
    /// its end.
    pub attributes: &'a [bool],
}

table! {
    /// The columns that are sent, in the order of the table.
    Records {
        timestamp: Time = "Timestamp" "DateTime64(9)",
        trace_id: Text = "TraceId" "String",
        span_id: Text = "SpanId" "String",
        flags: Number<1> = "TraceFlags" "UInt8",
        severity_text: Text = "SeverityText" "String",
        severity_number: Number<1> = "SeverityNumber" "UInt8",
        service: Text = "ServiceName" "String",
        body: Text = "Body" "String",
        resource_schema_url: Text = "ResourceSchemaUrl" "String",
        resource: Map = "ResourceAttributes" "Map(String, String)",
        scope_schema_url: Text = "ScopeSchemaUrl" "String",
        scope_name: Text = "ScopeName" "String",
        scope_version: Text = "ScopeVersion" "String",
        scope_attributes: Map = "ScopeAttributes" "Map(String, String)",
        attributes: Map = "LogAttributes" "Map(String, String)",
        event_name: Text = "EventName" "String",
    }
}

/// When it happened: when it was observed where that is missing.
pub(super) fn when(record: &LogRecord<'_>) -> u64 {
    if record.time_ns == 0 {
        record.observed_time_ns
    } else {
        record.time_ns
    }
}

impl Records {
    /// Appends one row.
    pub(super) fn push(
        &mut self,
        text: &mut Attributes,
        cache: &mut ResourceCache,
        (resource, scope, record): (&Resource<'_>, &Scope<'_>, &LogRecord<'_>),
        omit: OmitOfLog<'_>,
    ) {
        self.timestamp.push_i64(time(when(record)));
        self.trace_id.push_hex::<16, 32>(record.trace_id.as_ref());
        self.span_id.push_hex::<8, 16>(record.span_id.as_ref());
        // The low byte has the W3C trace flags; the others are reserved.
        self.flags.push((record.flags & 0xff) as u8);
        self.severity_text.push(record.severity_text);
        let severity = record.severity_number.clamp(0, 255);
        self.severity_number.push(severity as u8);
        text.resource(cache, &mut self.service, &mut self.resource, resource);
        if omit.body {
            self.body.push("");
        } else {
            text.value(&mut self.body, &record.body);
        }
        self.resource_schema_url.push(resource.schema_url);
        self.scope_schema_url.push(scope.schema_url);
        self.scope_name.push(scope.name);
        self.scope_version.push(scope.version);
        text.map(&mut self.scope_attributes, scope.attributes, &[]);
        text.map(&mut self.attributes, record.attributes, omit.attributes);
        self.event_name.push(record.event_name);
    }
}
