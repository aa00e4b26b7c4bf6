//! Observe: one span, with the log events that belong to it, as what it says about a model call.
//!
//! An observation is not yet a row: several may show one call. `fold` decides that, trace by
//! trace.

use std::borrow::Cow;

use bumpalo::Bump;

use super::{
    attributes::{AttributeTable, Field, Side},
    conversation,
    events::{EventView, Events},
    fields::Fields,
    indexed, models,
    recognise::{self, Clues, Recognised, SpanRole},
    text::{plain_text, value_to_json},
    usage, vocabulary,
};
use crate::{
    call::{Call, Errors, Finish, Operation, ResponseFormat, ToolRun},
    decode::{LogRecord, Resource, Scope, Span, StatusCode, Value},
};

/// What one span says about a model call.
#[derive(Debug, Clone)]
pub struct Observation<'a> {
    pub role: SpanRole,
    pub call: Call<'a>,
    /// Which process sent it: twins of one call come from the same one.
    pub process: u64,
    /// An exception event was on the span (not only an error status).
    pub has_exception: bool,
    /// HTTP attempts before this one, where an HTTP client or SDK counts them.
    pub resends: u64,
    /// For each attribute of the span: is it a prompt or an answer?
    pub content_mask: &'a [bool],
}

/// Reads spans into observations; reuses its scratch from span to span.
pub struct Observer<'t, 'a> {
    arena: &'a Bump,
    fields: Fields<'t, 'a>,
    process_fields: Fields<'t, 'a>,
    process: Option<(*const u8, Process<'a>)>,
}

/// What the resource says about every call of a process.
#[derive(Debug, Clone, Copy, Default)]
struct Process<'a> {
    id: u64,
    service: &'a str,
    service_version: &'a str,
    environment: &'a str,
    region: &'a str,
    tenant: &'a str,
    feature: &'a str,
    schema_version: &'a str,
    labels: &'a [(&'a str, Value<'a>)],
}

// === impl Observer ===

impl<'t, 'a> Observer<'t, 'a> {
    pub fn new(table: &'t AttributeTable, arena: &'a Bump) -> Self {
        Observer {
            arena,
            fields: Fields::new(table, arena),
            process_fields: Fields::new(table, arena),
            process: None,
        }
    }

    /// Reads a span; `None` for an ordinary one.
    pub fn observe(
        &mut self,
        resource: &Resource<'a>,
        scope: &Scope<'a>,
        span: &Span<'a>,
        logs: &[LogRecord<'a>],
    ) -> Option<Observation<'a>> {
        self.fields.clear();
        self.fields.read_span(span.attributes);
        let clues = Clues {
            fields: &self.fields,
            scope: scope.name,
            span_name: span.name,
            kind: span.kind,
        };
        let recognised = recognise::recognise(&clues)?;
        let process = self.process(resource);
        let mut events = Events::default();
        for log in logs {
            let view = EventView {
                name: log.event_name,
                time_ns: log.time_ns,
                attributes: log.attributes,
                body: log.body,
            };
            events.read(view, &mut self.fields);
        }
        for event in span.events {
            let view = EventView {
                name: event.name,
                time_ns: event.time_ns,
                attributes: event.attributes,
                body: Value::Empty,
            };
            events.read(view, &mut self.fields);
        }
        events.read_list(self.fields.plain(Field::Events), self.arena);
        let call = self.call(&process, scope, span, recognised, &events);
        Some(Observation {
            role: recognised.role,
            call,
            process: process.id,
            has_exception: !events.exception_messages.is_empty(),
            resends: self.fields.count(Field::ResendCount).unwrap_or(0),
            content_mask: self.arena.alloc_slice_copy(&self.fields.content_mask),
        })
    }

    fn process(&mut self, resource: &Resource<'a>) -> Process<'a> {
        let key = resource.attributes.as_ptr().cast();
        if let Some((known, process)) = self.process
            && known == key
        {
            return process;
        }
        let fields = &mut self.process_fields;
        fields.clear();
        fields.read(resource.attributes);
        let process = Process {
            id: twox_hash::XxHash3_64::oneshot(resource.encoded),
            service: fields.text(Field::Service),
            service_version: fields.text(Field::ServiceVersion),
            environment: fields.text(Field::Environment),
            region: fields.text(Field::Region),
            tenant: fields.text(Field::Tenant),
            feature: fields.text(Field::Feature),
            schema_version: fields.text(Field::SchemaVersion),
            labels: self.arena.alloc_slice_copy(&fields.labels),
        };
        self.process = Some((key, process));
        process
    }

    fn call(
        &self,
        process: &Process<'a>,
        scope: &Scope<'a>,
        span: &Span<'a>,
        recognised: Recognised,
        events: &Events<'a>,
    ) -> Call<'a> {
        let fields = &self.fields;
        let mut call = Call {
            trace_id: span.trace_id,
            span_id: span.span_id,
            parent_span_id: span.parent_span_id,
            span_name: span.name,
            start_ns: span.start_ns,
            duration_ns: span.end_ns.saturating_sub(span.start_ns),
            instrumentation: scope.name,
            instrumentation_version: scope.version,
            convention: recognised.convention,
            schema_version: self.or(Field::SchemaVersion, process.schema_version),
            operation: recognised.operation,
            attempt: 1,
            sample_weight: fields
                .number(Field::SampleRate)
                .filter(|w| *w >= 1.0)
                .unwrap_or(1.0),
            ..Call::default()
        };
        call.errors = errors(fields, span, events, self.arena);
        self.who(&mut call, process);
        if recognised.role == SpanRole::Tool {
            call.operation = Operation::ExecuteTool;
            call.tool_runs = self.arena.alloc_slice_copy(&[self.tool_run(&call)]);
            return call;
        }
        self.where_to(&mut call);
        if recognised.role == SpanRole::Http {
            return call;
        }
        call.streaming = streaming(fields, events, span.name);
        let streaming = call.streaming == Some(true);
        call.ttft_ns = time_to_first_token(fields, scope.name, span, events, streaming);
        if call.ttft_ns.is_some() {
            // Nobody tells the time of the first token of an answer that came in one piece.
            call.streaming = call.streaming.or(Some(true));
        }
        call.usage = usage::read(fields, scope.name, call.provider, streaming);
        call.reported_cost_usd = fields.number(Field::Cost).filter(|cost| *cost > 0.0);
        self.ids(&mut call);
        conversation::read(&mut call, fields, events);
        if recognised.role == SpanRole::Supplement && recognised.convention == "mastra" {
            error_chunk(&mut call, self.arena);
        }
        let counts_asked = fields.boolean(Field::UsageAsked) == Some(true);
        if recognised.role == SpanRole::Supplement
            && counts_asked
            && call.usage.output_tokens.is_none()
            && call.finish == Finish::Unknown
        {
            // Asked for, and the last thing of a stream: what lacks them ended before.
            call.finish = Finish::Interrupted;
        }
        self.asked(&mut call);
        models::read(&mut call, fields, scope.name, span.name);
        for model in [call.request_model, call.response_model] {
            if call.provider.is_empty() {
                call.provider = vocabulary::provider_of_model(model);
            }
        }
        call
    }

    fn or(&self, field: Field, fallback: &'a str) -> &'a str {
        match self.fields.text(field) {
            "" => fallback,
            text => text,
        }
    }

    fn who(&self, call: &mut Call<'a>, process: &Process<'a>) {
        call.service = self.or(Field::Service, process.service);
        call.service_version = self.or(Field::ServiceVersion, process.service_version);
        call.environment = self.or(Field::Environment, process.environment);
        call.region = self.or(Field::Region, process.region);
        call.tenant = self.or(Field::Tenant, process.tenant);
        call.feature = self.or(Field::Feature, process.feature);
        call.user_id = self.fields.text(Field::User);
        call.session_id = self.fields.text(Field::Session);
        // What the span says goes before what its process says.
        let labels = self.fields.labels.iter().chain(process.labels);
        let labels = labels.map(|(name, value)| {
            let text = match value {
                Value::Array(_) | Value::Kvlist(_) => value_to_json(*value, self.arena),
                plain => plain_text(*plain, self.arena),
            };
            (*name, text)
        });
        let mut labels: Vec<_> = labels.filter(|(_, text)| !text.is_empty()).collect();
        // Two recorders on one span say the same twice.
        labels.sort_by_key(|(name, _)| *name);
        labels.dedup_by_key(|(name, _)| *name);
        call.dimensions = self.arena.alloc_slice_copy(&labels);
    }

    /// The execution that a tool's span shows.
    fn tool_run(&self, call: &Call<'a>) -> ToolRun<'a> {
        let fields = &self.fields;
        // A framework that has no words for tools tells them as it tells everything.
        let text = |field: Field, other: Field| {
            let own = match fields.value(field) {
                Value::Empty => fields.value(other),
                value => value,
            };
            match own {
                Value::Array(_) | Value::Kvlist(_) => value_to_json(own, self.arena),
                plain => plain_text(plain, self.arena),
            }
        };
        let name = match fields.text(Field::ToolName) {
            "" => tool_of_span(call.span_name),
            name => name,
        };
        ToolRun {
            span_id: call.span_id,
            start_ns: call.start_ns,
            duration_ns: call.duration_ns,
            name,
            id: fields.text(Field::ToolCallId),
            arguments: text(Field::ToolArguments, Field::Input),
            result: text(Field::ToolResult, Field::Output),
            is_error: call.errors.is_error,
            error_type: match call.errors.error_type {
                "" => call.errors.exception_type,
                told => told,
            },
            error_message: call.errors.messages.first().copied().unwrap_or_default(),
            ..ToolRun::default()
        }
    }

    fn where_to(&self, call: &mut Call<'a>) {
        let fields = &self.fields;
        call.provider = match vocabulary::provider(fields.text(Field::Provider)) {
            Cow::Borrowed(known) => known,
            Cow::Owned(other) => self.arena.alloc_str(&other),
        };
        if call.provider.is_empty()
            && let Cow::Borrowed(known) = vocabulary::provider(fields.text(Field::HaystackType))
        {
            // Haystack names its components after whom they ask: `OpenAIChatGenerator`.
            call.provider = known;
        }
        call.server_address = fields.text(Field::ServerAddress);
        call.endpoint = fields.text(Field::Api);
        if let Some(endpoint) = recognise::endpoint(fields) {
            if call.provider.is_empty() {
                call.provider = endpoint.provider;
            }
            if call.endpoint.is_empty() {
                call.endpoint = endpoint.endpoint;
            }
        }
    }

    fn ids(&self, call: &mut Call<'a>) {
        let fields = &self.fields;
        call.response_id = fields.text(Field::ResponseId);
        call.request_id = fields.text(Field::RequestId);
        call.system_fingerprint = fields.text(Field::SystemFingerprint);
        call.service_tier = fields.text(Field::ServiceTier);
        call.lane = fields.text(Field::Lane);
    }

    fn asked(&self, call: &mut Call<'a>) {
        let fields = &self.fields;
        call.max_tokens = fields.count(Field::MaxTokens).filter(|n| *n > 0);
        let format = fields.text(Field::ResponseFormat);
        let id = fields.text(Field::AiOperationId);
        let is_json = format.eq_ignore_ascii_case("object") || names_json(format);
        call.response_format = if is_json || id.contains("Object") {
            ResponseFormat::Json
        } else if format.is_empty() {
            ResponseFormat::Unspecified
        } else {
            ResponseFormat::Text
        };
        call.response_schema = fields.text(Field::ResponseSchema);
        if !call.response_schema.starts_with('{') {
            call.response_schema = "";
        }
        call.tool_definitions = match fields.value(Field::ToolDefinitions) {
            Value::Str(text) => Some(super::messages::read_tools(text, self.arena)),
            list @ (Value::Array(_) | Value::Kvlist(_)) => Some(super::messages::read_tools(
                value_to_json(list, self.arena),
                self.arena,
            )),
            _ => indexed::tools(&fields.indexed, self.arena),
        };
        if call.operation == Operation::Embeddings {
            call.finish = Finish::Unknown;
        }
    }
}

/// The tool's name in a span's: `execute_tool get_weather`, `get_weather.tool`.
fn tool_of_span(name: &str) -> &str {
    const BEFORE: [&str; 5] = [
        "execute_tool ",
        "running tool: ",
        "tool: ",
        "tool ",
        "Tool: ",
    ];
    let bare = BEFORE.iter().find_map(|before| name.strip_prefix(before));
    let bare = bare.unwrap_or(name);
    bare.strip_suffix(".tool")
        .unwrap_or(bare)
        .trim_matches('\'')
}

/// Is there a `json` in the text, in any case? The text may be a whole schema.
fn names_json(text: &str) -> bool {
    let bytes = text.as_bytes();
    memchr::memchr2_iter(b'j', b'J', bytes).any(|at| {
        let word = bytes.get(at..at + 4);
        word.is_some_and(|word| word.eq_ignore_ascii_case(b"json"))
    })
}

/// Mastra shows a failure as the content of a chunk and nowhere else.
fn error_chunk<'a>(call: &mut Call<'a>, arena: &'a Bump) {
    call.errors.is_error = true;
    if call.errors.messages.is_empty() && !call.output.text.is_empty() {
        call.errors.messages = arena.alloc_slice_copy(&[call.output.text]);
    }
    call.output = Default::default();
}

/// Does the list side have anything?
pub(super) fn has_indexed(fields: &Fields<'_, '_>, side: Side) -> bool {
    fields.indexed.iter().any(|(s, ..)| *s == side)
}

fn errors<'a>(
    fields: &Fields<'_, 'a>,
    span: &Span<'a>,
    events: &Events<'a>,
    arena: &'a Bump,
) -> Errors<'a> {
    let error_type = fields.text(Field::ErrorType);
    let mut messages: Vec<&'a str> = events.exception_messages.clone();
    for text in [fields.text(Field::ErrorMessage), span.status.message] {
        if !text.is_empty() && !messages.contains(&text) {
            messages.push(text);
        }
    }
    let exception_type = match events.exception_type {
        "" => fields.text(Field::ExceptionType),
        known => known,
    };
    // google-genai, Genkit and HTTP clients put the status where the type goes.
    let status = fields
        .count(Field::HttpStatus)
        .or_else(|| error_type.parse().ok())
        .or_else(|| exception_type.parse().ok());
    let is_error = span.status.code == StatusCode::Error
        || fields.text(Field::Level) == "ERROR"
        || (!error_type.is_empty() && span.status.code != StatusCode::Ok);
    Errors {
        is_error,
        http_status: status
            .and_then(|n| u16::try_from(n).ok())
            .filter(|n| (100..600).contains(n)),
        error_type,
        error_code: fields.text(Field::ErrorCode),
        exception_type,
        messages: arena.alloc_slice_copy(&messages),
        retry_after_ms: None,
    }
}

fn streaming(fields: &Fields<'_, '_>, events: &Events<'_>, span_name: &str) -> Option<bool> {
    if let Some(told) = fields.boolean(Field::Streaming) {
        return Some(told);
    }
    let id = fields.text(Field::AiOperationId);
    if !id.is_empty() {
        return Some(id.contains("Stream") || id.contains(".stream"));
    }
    let told = fields.has(Field::CompletionStartTime)
        || events.first_token_ns.is_some()
        || fields.text(Field::Api).ends_with("Stream")
        || fields.text(Field::Url).contains("stream")
        || fields.has(Field::TtftMilliseconds)
        || is_streaming_method(span_name)
        || span_name.starts_with("streaming response");
    told.then_some(true)
}

/// Is the span named after a method that streams: `messages.stream`, `OpenAI.stream_chat`,
/// `OpenAIModel.generate_stream`?
fn is_streaming_method(span_name: &str) -> bool {
    let Some((class, method)) = span_name.rsplit_once('.') else {
        return false;
    };
    let mut words = method.split('_');
    !class.contains(' ') && words.any(|word| matches!(word, "stream" | "astream"))
}

/// Nanoseconds from the span's start to the first token.
fn time_to_first_token(
    fields: &Fields<'_, '_>,
    scope: &str,
    span: &Span<'_>,
    events: &Events<'_>,
    streaming: bool,
) -> Option<u64> {
    // OpenLIT writes the whole duration for calls that do not stream.
    if scope.contains("openlit") && !streaming {
        return None;
    }
    let seconds = match fields.plain(Field::TtftSeconds) {
        // Strands counts milliseconds in an integer under the same name.
        Value::Int(milliseconds) => Some(milliseconds as f64 / 1e3),
        _ => fields.number(Field::TtftSeconds),
    };
    let seconds = seconds.or_else(|| fields.number(Field::TtftMilliseconds).map(|ms| ms / 1e3));
    if let Some(seconds) = seconds.filter(|s| (0.0..86_400.0).contains(s)) {
        return Some((seconds * 1e9) as u64);
    }
    let at_ns = events.first_token_ns.or_else(|| {
        let text = fields.text(Field::CompletionStartTime);
        let time = text.parse::<jiff::Timestamp>().ok()?;
        u64::try_from(time.as_nanosecond()).ok()
    })?;
    at_ns.checked_sub(span.start_ns).filter(|ns| *ns > 0)
}
