//! The OTLP messages that are transcoded: JSON names, field numbers, kinds.
//!
//! Names are lowerCamelCase only, as OTLP/JSON has it: `trace_id` is an unknown key. Keep in step
//! with the field numbers of opentelemetry-proto; a field that is not listed is ignored.

use Kind::{
    Base64, Bool, Double, Enum, Fixed32, Fixed64, Id, Int, List, Message, Nested, Text, Varint,
};

/// A message: its fields, at most 32 of them (the transcoder keeps one bit for each).
pub(super) struct Schema(pub(super) &'static [Field]);

/// One field of a message.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) number: u32,
    pub(super) kind: Kind,
}

/// How a field is written in JSON and in protobuf.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Text,
    Base64,
    /// Bytes that JSON has as hex: OTLP's one departure from protobuf's JSON.
    Id,
    Fixed64,
    Fixed32,
    /// `uint32` or `int32`.
    Varint,
    /// `int64` of an `AnyValue`. One too large becomes `double_value`: JavaScript sends `1e300`
    /// as a whole number.
    Int,
    Bool,
    Double,
    Enum(&'static Names),
    Message(&'static Schema),
    /// A message that counts as one more level of nesting.
    Nested(&'static Schema),
    /// Repeated; the number tells the lists of one message apart.
    List(&'static Schema, usize),
}

/// The names of an enum, whose numbers are their positions.
pub(super) struct Names {
    pub(super) prefix: &'static str,
    pub(super) names: &'static [&'static str],
}

/// Lists in one message, at most.
pub(super) const LISTS_MAX: usize = 3;

const fn field(name: &'static str, number: u32, kind: Kind) -> Field {
    Field { name, number, kind }
}

pub(super) static TRACES: Schema = Schema(&[field("resourceSpans", 1, List(&RESOURCE_SPANS, 0))]);

pub(super) static LOGS: Schema = Schema(&[field("resourceLogs", 1, List(&RESOURCE_LOGS, 0))]);

/// Only what leads to the data points.
pub(super) static METRICS: Schema =
    Schema(&[field("resourceMetrics", 1, List(&RESOURCE_METRICS, 0))]);

static RESOURCE_SPANS: Schema = Schema(&[
    field("resource", 1, Message(&RESOURCE)),
    field("scopeSpans", 2, List(&SCOPE_SPANS, 0)),
    field("schemaUrl", 3, Text),
]);

static SCOPE_SPANS: Schema = Schema(&[
    field("scope", 1, Message(&SCOPE)),
    field("spans", 2, List(&SPAN, 0)),
    field("schemaUrl", 3, Text),
]);

static RESOURCE: Schema = Schema(&[
    field("attributes", 1, List(&KEY_VALUE, 0)),
    field("droppedAttributesCount", 2, Varint),
]);

static SCOPE: Schema = Schema(&[
    field("name", 1, Text),
    field("version", 2, Text),
    field("attributes", 3, List(&KEY_VALUE, 0)),
    field("droppedAttributesCount", 4, Varint),
]);

static SPAN: Schema = Schema(&[
    field("traceId", 1, Id),
    field("spanId", 2, Id),
    field("traceState", 3, Text),
    field("parentSpanId", 4, Id),
    field("name", 5, Text),
    field("kind", 6, Enum(&SPAN_KIND)),
    field("startTimeUnixNano", 7, Fixed64),
    field("endTimeUnixNano", 8, Fixed64),
    field("attributes", 9, List(&KEY_VALUE, 0)),
    field("droppedAttributesCount", 10, Varint),
    field("events", 11, List(&EVENT, 1)),
    field("droppedEventsCount", 12, Varint),
    field("links", 13, List(&LINK, 2)),
    field("droppedLinksCount", 14, Varint),
    field("status", 15, Message(&STATUS)),
    field("flags", 16, Fixed32),
]);

static EVENT: Schema = Schema(&[
    field("timeUnixNano", 1, Fixed64),
    field("name", 2, Text),
    field("attributes", 3, List(&KEY_VALUE, 0)),
    field("droppedAttributesCount", 4, Varint),
]);

static LINK: Schema = Schema(&[
    field("traceId", 1, Id),
    field("spanId", 2, Id),
    field("traceState", 3, Text),
    field("attributes", 4, List(&KEY_VALUE, 0)),
    field("droppedAttributesCount", 5, Varint),
    field("flags", 6, Fixed32),
]);

static STATUS: Schema = Schema(&[
    field("message", 2, Text),
    field("code", 3, Enum(&STATUS_CODE)),
]);

static RESOURCE_LOGS: Schema = Schema(&[
    field("resource", 1, Message(&RESOURCE)),
    field("scopeLogs", 2, List(&SCOPE_LOGS, 0)),
    field("schemaUrl", 3, Text),
]);

static SCOPE_LOGS: Schema = Schema(&[
    field("scope", 1, Message(&SCOPE)),
    field("logRecords", 2, List(&LOG_RECORD, 0)),
    field("schemaUrl", 3, Text),
]);

static LOG_RECORD: Schema = Schema(&[
    field("timeUnixNano", 1, Fixed64),
    field("severityNumber", 2, Enum(&SEVERITY_NUMBER)),
    field("severityText", 3, Text),
    field("body", 5, Message(&ANY_VALUE)),
    field("attributes", 6, List(&KEY_VALUE, 0)),
    field("droppedAttributesCount", 7, Varint),
    field("flags", 8, Fixed32),
    field("traceId", 9, Id),
    field("spanId", 10, Id),
    field("observedTimeUnixNano", 11, Fixed64),
    field("eventName", 12, Text),
]);

static KEY_VALUE: Schema = Schema(&[
    field("key", 1, Text),
    field("value", 2, Message(&ANY_VALUE)),
]);

static ANY_VALUE: Schema = Schema(&[
    field("stringValue", 1, Text),
    field("boolValue", 2, Bool),
    field("intValue", 3, Int),
    field("doubleValue", 4, Double),
    field("arrayValue", 5, Nested(&ARRAY_VALUE)),
    field("kvlistValue", 6, Nested(&KVLIST_VALUE)),
    field("bytesValue", 7, Base64),
]);

static ARRAY_VALUE: Schema = Schema(&[field("values", 1, List(&ANY_VALUE, 0))]);

static KVLIST_VALUE: Schema = Schema(&[field("values", 1, List(&KEY_VALUE, 0))]);

static RESOURCE_METRICS: Schema = Schema(&[field("scopeMetrics", 2, List(&SCOPE_METRICS, 0))]);

static SCOPE_METRICS: Schema = Schema(&[field("metrics", 2, List(&METRIC, 0))]);

static METRIC: Schema = Schema(&[
    field("gauge", 5, Message(&POINTS)),
    field("sum", 7, Message(&POINTS)),
    field("histogram", 9, Message(&POINTS)),
    field("exponentialHistogram", 10, Message(&POINTS)),
    field("summary", 11, Message(&POINTS)),
]);

static POINTS: Schema = Schema(&[field("dataPoints", 1, List(&POINT, 0))]);

static POINT: Schema = Schema(&[]);

static SPAN_KIND: Names = Names {
    prefix: "SPAN_KIND_",
    names: &[
        "UNSPECIFIED",
        "INTERNAL",
        "SERVER",
        "CLIENT",
        "PRODUCER",
        "CONSUMER",
    ],
};

static STATUS_CODE: Names = Names {
    prefix: "STATUS_CODE_",
    names: &["UNSET", "OK", "ERROR"],
};

static SEVERITY_NUMBER: Names = Names {
    prefix: "SEVERITY_NUMBER_",
    names: &[
        "UNSPECIFIED",
        "TRACE",
        "TRACE2",
        "TRACE3",
        "TRACE4",
        "DEBUG",
        "DEBUG2",
        "DEBUG3",
        "DEBUG4",
        "INFO",
        "INFO2",
        "INFO3",
        "INFO4",
        "WARN",
        "WARN2",
        "WARN3",
        "WARN4",
        "ERROR",
        "ERROR2",
        "ERROR3",
        "ERROR4",
        "FATAL",
        "FATAL2",
        "FATAL3",
        "FATAL4",
    ],
};

// === impl Schema ===

impl Schema {
    /// The position and description of a field by its JSON name.
    #[inline]
    pub(super) fn find(&self, name: &[u8]) -> Option<(usize, &'static Field)> {
        self.0
            .iter()
            .enumerate()
            .find(|(_, field)| field.name.as_bytes() == name)
    }
}

// === impl Names ===

impl Names {
    /// The number of a name, with or without its prefix; an unknown name is 0.
    pub(super) fn number(&self, name: &[u8]) -> u64 {
        let short = name.strip_prefix(self.prefix.as_bytes()).unwrap_or(name);
        self.names
            .iter()
            .position(|known| known.as_bytes().eq_ignore_ascii_case(short))
            .and_then(|position| u64::try_from(position).ok())
            .unwrap_or(0)
    }
}
