//! How one span's evidence completes another's, and when two spans may show the same call.

use bumpalo::Bump;

use crate::call::{Call, Errors, Finish, Operation, Usage};

/// Streams end later for the SDK than for the instrumentation around it.
const CLOCK_SLACK_NS: u64 = 2_000_000;

/// Gives `to` what it lacks and `from` has.
pub fn fill<'a>(to: &mut Call<'a>, from: &Call<'a>, arena: &'a Bump) {
    let texts: [(&mut &'a str, &'a str); 20] = [
        (&mut to.service, from.service),
        (&mut to.service_version, from.service_version),
        (&mut to.environment, from.environment),
        (&mut to.region, from.region),
        (&mut to.tenant, from.tenant),
        (&mut to.feature, from.feature),
        (&mut to.user_id, from.user_id),
        (&mut to.session_id, from.session_id),
        (&mut to.endpoint, from.endpoint),
        (&mut to.lane, from.lane),
        (&mut to.provider, from.provider),
        (&mut to.server_address, from.server_address),
        (&mut to.request_model, from.request_model),
        (&mut to.response_model, from.response_model),
        (&mut to.response_schema, from.response_schema),
        (&mut to.system_fingerprint, from.system_fingerprint),
        (&mut to.service_tier, from.service_tier),
        (&mut to.response_id, from.response_id),
        (&mut to.request_id, from.request_id),
        (&mut to.finish_reason, from.finish_reason),
    ];
    for (to, from) in texts {
        if to.is_empty() {
            *to = from;
        }
    }
    // Langfuse has one name for both sides; a twin that tells them apart knows better.
    let one_name = to.convention == "langfuse" && to.request_model == to.response_model;
    if one_name && !from.request_model.is_empty() && !from.response_model.is_empty() {
        to.request_model = from.request_model;
        to.response_model = from.response_model;
    }
    if is_raw(to) {
        to.operation = from.operation;
    }
    if to.dimensions.is_empty() {
        to.dimensions = from.dimensions;
    }
    to.ttft_ns = to.ttft_ns.or(from.ttft_ns);
    to.max_tokens = to.max_tokens.or(from.max_tokens);
    to.streaming = to.streaming.or(from.streaming);
    to.tool_definitions = to.tool_definitions.or(from.tool_definitions);
    to.reported_cost_usd = to.reported_cost_usd.or(from.reported_cost_usd);
    if to.response_format == Default::default() {
        to.response_format = from.response_format;
    }
    if matches!(to.finish, Finish::Unknown) {
        to.finish = from.finish;
    }
    fill_usage(&mut to.usage, &from.usage);
    for (to, from) in [(&mut to.input, &from.input), (&mut to.output, &from.output)] {
        if !to.recorded || (to.messages.is_empty() && !from.messages.is_empty()) {
            *to = *from;
        }
    }
    adopt_errors(to, from, arena);
}

fn fill_usage(to: &mut Usage, from: &Usage) {
    if to.input_tokens.is_none() && to.output_tokens.is_none() {
        *to = *from;
        return;
    }
    to.output_tokens = to.output_tokens.or(from.output_tokens);
    to.input_tokens = to.input_tokens.or(from.input_tokens);
    to.cache_read_tokens = to.cache_read_tokens.or(from.cache_read_tokens);
    to.cache_write_tokens = to.cache_write_tokens.or(from.cache_write_tokens);
    to.cache_write_1h_tokens = to.cache_write_1h_tokens.or(from.cache_write_1h_tokens);
    to.reasoning_tokens = to.reasoning_tokens.or(from.reasoning_tokens);
    to.input_audio_tokens = to.input_audio_tokens.or(from.input_audio_tokens);
    to.output_audio_tokens = to.output_audio_tokens.or(from.output_audio_tokens);
}

/// Adds the error evidence of another view of the same call.
pub fn adopt_errors<'a>(to: &mut Call<'a>, from: &Call<'a>, arena: &'a Bump) {
    let from = &from.errors;
    let to: &mut Errors<'a> = &mut to.errors;
    to.is_error |= from.is_error;
    to.http_status = to.http_status.or(from.http_status);
    to.retry_after_ms = to.retry_after_ms.or(from.retry_after_ms);
    let texts = [
        (&mut to.error_type, from.error_type),
        (&mut to.error_code, from.error_code),
        (&mut to.exception_type, from.exception_type),
    ];
    for (to, from) in texts {
        if to.is_empty() {
            *to = from;
        }
    }
    let news: Vec<&'a str> = from
        .messages
        .iter()
        .copied()
        .filter(|m| !to.messages.contains(m))
        .collect();
    if !news.is_empty() {
        let all = to.messages.iter().copied().chain(news).collect::<Vec<_>>();
        to.messages = arena.alloc_slice_copy(&all);
    }
}

/// Could the two be one request? Embeddings are never a chat's twin, and two requests that name
/// models with nothing in common are two. An answer's model may be called otherwise than the one
/// that was asked for, so that a request is held against an answer only to find them alike.
pub fn may_be_same(a: &Call<'_>, b: &Call<'_>) -> bool {
    let embeds = |c: &Call<'_>| c.operation == Operation::Embeddings;
    if embeds(a) != embeds(b) && !is_raw(a) && !is_raw(b) {
        return false;
    }
    let alike = |x: &str, y: &str| {
        let (x, y) = (base(x), base(y));
        !x.is_empty() && !y.is_empty() && (x.starts_with(&y) || y.starts_with(&x))
    };
    let known = |x: &str, y: &str| !x.is_empty() && !y.is_empty();
    alike(a.request_model, b.request_model)
        || alike(a.response_model, b.response_model)
        || alike(a.request_model, b.response_model)
        || alike(a.response_model, b.request_model)
        || !(known(a.request_model, b.request_model) || known(a.response_model, b.response_model))
}

/// LiteLLM's copy of the request: it does not say for which operation.
fn is_raw(call: &Call<'_>) -> bool {
    call.convention == "litellm" && call.span_name == "raw_gen_ai_request"
}

/// A model's name without what gateways put in front of it.
fn base(model: &str) -> String {
    let name = model.rsplit('/').next().unwrap_or(model);
    let name = name
        .strip_prefix("us.")
        .or(name.strip_prefix("eu."))
        .unwrap_or(name);
    name.strip_prefix("anthropic.")
        .unwrap_or(name)
        .to_ascii_lowercase()
}

/// Does `inner` begin while `outer` is running?
pub fn begins_within(inner: &Call<'_>, outer: &Call<'_>) -> bool {
    let end_ns = outer.start_ns.saturating_add(outer.duration_ns);
    inner.start_ns.saturating_add(CLOCK_SLACK_NS) >= outer.start_ns
        && inner.start_ns <= end_ns.saturating_add(CLOCK_SLACK_NS)
}

/// Does `outer` run from before `inner` begins until after it ends?
pub fn encloses(outer: &Call<'_>, inner: &Call<'_>) -> bool {
    let end_ns = |c: &Call<'_>| c.start_ns.saturating_add(c.duration_ns);
    outer.start_ns <= inner.start_ns.saturating_add(CLOCK_SLACK_NS)
        && end_ns(inner) <= end_ns(outer).saturating_add(CLOCK_SLACK_NS)
}

/// Was the last thing said to the model the same?
pub fn same_question(a: &Call<'_>, b: &Call<'_>) -> bool {
    let recorded = a.input.recorded && b.input.recorded;
    match (a.input.messages.last(), b.input.messages.last()) {
        (Some(a), Some(b)) => recorded && a == b,
        _ => recorded && a.input.text == b.input.text,
    }
}

/// Do two calls ask the same of the same model?
pub fn same_request(a: &Call<'_>, b: &Call<'_>) -> bool {
    a.request_model == b.request_model
        && a.operation == b.operation
        && a.instrumentation == b.instrumentation
        && a.start_ns.saturating_add(a.duration_ns) <= b.start_ns.saturating_add(CLOCK_SLACK_NS)
        && (!a.input.recorded || !b.input.recorded || a.input.text == b.input.text)
}

/// Did an answer come?
pub fn answered(call: &Call<'_>) -> bool {
    matches!(
        call.finish,
        Finish::Stop | Finish::ToolCalls | Finish::Length
    ) || call.usage.output_tokens.is_some_and(|n| n > 0)
}

/// An HTTP request of a call that was tried again: a row with the call's request and its own end.
pub fn http_attempt<'a>(call: &Call<'a>, http: &Call<'a>, attempt: usize) -> Call<'a> {
    Call {
        span_id: http.span_id,
        parent_span_id: http.parent_span_id,
        span_name: http.span_name,
        start_ns: http.start_ns,
        duration_ns: http.duration_ns,
        instrumentation: http.instrumentation,
        instrumentation_version: http.instrumentation_version,
        convention: http.convention,
        attempt: u16::try_from(attempt).unwrap_or(u16::MAX),
        errors: http.errors.clone(),
        // The answer belongs to the last attempt.
        ttft_ns: None,
        response_model: "",
        system_fingerprint: "",
        response_id: "",
        request_id: http.request_id,
        usage: Usage::default(),
        finish_reason: "",
        finish: Finish::Unknown,
        reported_cost_usd: None,
        output: Default::default(),
        ..call.clone()
    }
}
