//! The views: what a span and a log record are, borrowed from the request body or its arena.

/// A value of an attribute or a log body: the whole range of OTLP's `AnyValue`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Value<'a> {
    /// An `AnyValue` with no member set, or with one this version does not know.
    #[default]
    Empty,
    Str(&'a str),
    Bool(bool),
    Int(i64),
    Double(f64),
    Bytes(&'a [u8]),
    Array(&'a [Value<'a>]),
    Kvlist(&'a [Attribute<'a>]),
}

/// A key and its value. Keys may repeat in a list; the last one counts.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Attribute<'a> {
    pub key: &'a str,
    pub value: Value<'a>,
}

/// Who sent: one entity, shared by many spans.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Resource<'a> {
    pub attributes: &'a [Attribute<'a>],
    pub schema_url: &'a str,
    /// The encoded `Resource` message.
    pub encoded: &'a [u8],
}

/// Which instrumentation library recorded.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Scope<'a> {
    pub name: &'a str,
    pub version: &'a str,
    pub attributes: &'a [Attribute<'a>],
    pub schema_url: &'a str,
    /// The encoded `InstrumentationScope` message.
    pub encoded: &'a [u8],
}

/// `Span.SpanKind`, by its number on the wire; unknown numbers are `Unspecified`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SpanKind {
    #[default]
    Unspecified,
    Internal,
    Server,
    Client,
    Producer,
    Consumer,
}

/// `Status.StatusCode`, by its number on the wire; unknown numbers are `Unset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StatusCode {
    #[default]
    Unset,
    Ok,
    Error,
}

/// How a span ended, as its instrumentation says.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Status<'a> {
    pub code: StatusCode,
    pub message: &'a str,
}

/// One operation. Times are nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Span<'a> {
    /// Index into [`Traces::resources`].
    pub resource: u32,
    /// Index into [`Traces::scopes`].
    pub scope: u32,
    /// Never all zero.
    pub trace_id: [u8; 16],
    /// Never all zero.
    pub span_id: [u8; 8],
    /// `None` for a root span.
    pub parent_span_id: Option<[u8; 8]>,
    pub trace_state: &'a str,
    pub name: &'a str,
    pub kind: SpanKind,
    pub start_ns: u64,
    pub end_ns: u64,
    pub status: Status<'a>,
    pub attributes: &'a [Attribute<'a>],
    pub events: &'a [Event<'a>],
    pub links: &'a [Link<'a>],
    /// The encoded `Span` message: what is kept when later evidence may need it again.
    pub encoded: &'a [u8],
}

/// Something that happened at a moment of a span.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Event<'a> {
    pub time_ns: u64,
    pub name: &'a str,
    pub attributes: &'a [Attribute<'a>],
}

/// A pointer to another span.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Link<'a> {
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
    pub trace_state: &'a str,
    pub attributes: &'a [Attribute<'a>],
}

/// One log record. Times are nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LogRecord<'a> {
    /// Index into [`Logs::resources`].
    pub resource: u32,
    /// Index into [`Logs::scopes`].
    pub scope: u32,
    pub time_ns: u64,
    pub observed_time_ns: u64,
    /// `None` when the record belongs to no trace.
    pub trace_id: Option<[u8; 16]>,
    pub span_id: Option<[u8; 8]>,
    pub flags: u32,
    pub severity_number: i32,
    pub severity_text: &'a str,
    /// The `event_name` field, else the attribute `event.name`, else empty.
    pub event_name: &'a str,
    pub body: Value<'a>,
    pub attributes: &'a [Attribute<'a>],
    /// The encoded `LogRecord` message.
    pub encoded: &'a [u8],
}

/// What was left out of a request, and why: the answer's `partial_success`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rejected {
    /// Spans or log records left out.
    pub count: u64,
    /// The first reason met, for the client's developer.
    pub first_reason: Option<String>,
    /// Strings that were not UTF-8 and were kept with U+FFFD in place of the bad bytes.
    pub strings_repaired: u64,
}

/// The spans of one request, in the order sent.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Traces<'a> {
    pub resources: Vec<Resource<'a>>,
    pub scopes: Vec<Scope<'a>>,
    pub spans: Vec<Span<'a>>,
    pub rejected: Rejected,
}

/// The log records of one request, in the order sent.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Logs<'a> {
    pub resources: Vec<Resource<'a>>,
    pub scopes: Vec<Scope<'a>>,
    pub records: Vec<LogRecord<'a>>,
    pub rejected: Rejected,
}

// === impl Value ===

impl<'a> Value<'a> {
    /// The text, if this is text.
    pub fn as_str(&self) -> Option<&'a str> {
        match self {
            Value::Str(s) => Some(s),
            _ => None,
        }
    }

    /// True for [`Value::Empty`] and the empty string.
    pub fn is_blank(&self) -> bool {
        matches!(self, Value::Empty | Value::Str(""))
    }
}

// === impl SpanKind ===

impl SpanKind {
    /// The name that the OpenTelemetry ClickHouse exporter stores.
    pub fn as_str(self) -> &'static str {
        match self {
            SpanKind::Unspecified => "Unspecified",
            SpanKind::Internal => "Internal",
            SpanKind::Server => "Server",
            SpanKind::Client => "Client",
            SpanKind::Producer => "Producer",
            SpanKind::Consumer => "Consumer",
        }
    }
}

// === impl StatusCode ===

impl StatusCode {
    /// The name that the OpenTelemetry ClickHouse exporter stores.
    pub fn as_str(self) -> &'static str {
        match self {
            StatusCode::Unset => "Unset",
            StatusCode::Ok => "Ok",
            StatusCode::Error => "Error",
        }
    }
}
