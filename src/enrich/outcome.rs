//! Calls that answered, and failed all the same: empty, cut off, filtered, refused, broken JSON.
//!
//! Only what was recorded counts: with content off, nothing is said about content.

use super::classify::meaning;
use super::schema::violates;
use crate::call::{
    Call, Failure, FailureClass, Finish, Operation, Part, PartKind, Phase, ResponseFormat, Role,
    TokensSource, ToolDefinition, ToolLayer,
};
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

/// An answer with more output tokens than this said something, even where no text was recorded:
/// recorders drop refusals and tool calls that they do not know. An empty answer costs a few.
const EMPTY_TOKENS_MAX: u64 = 4;
/// Conventions that have no finish reason, by the start of the version that records none.
const NO_FINISH: [(&str, &str); 2] = [("langfuse", ""), ("logfire", "3.")];
/// Bytes of an answer that may be a refusal as a whole.
const REFUSAL_BYTES_MAX: usize = 240;

/// Finish reasons that name a failure of their own, as Gemini, DeepSeek and Anthropic document them.
const NAMED: [(&str, FailureClass, &str); 5] = [
    (
        "malformed_function_call",
        FailureClass::ToolInvalidArguments,
        "outcome.finish: malformed function call",
    ),
    (
        "malformed_tool_call",
        FailureClass::ToolInvalidArguments,
        "outcome.finish: malformed tool call",
    ),
    (
        "unexpected_tool_call",
        FailureClass::ToolUnknownTool,
        "outcome.finish: unexpected tool call",
    ),
    (
        "insufficient_system_resource",
        FailureClass::CapacityOverloaded,
        "outcome.finish: the provider ran out of resources",
    ),
    (
        "model_context_window_exceeded",
        FailureClass::RequestContextLength,
        "outcome.finish: context window exceeded",
    ),
];

/// The failure of a call without error evidence, the gravest first.
pub fn outcome(call: &Call<'_>) -> Option<Failure> {
    let (class, why) = verdict(call)?;
    let meaning = meaning(class);
    // The answer was made: nothing here happened before generation.
    let phase = match meaning.phase {
        Phase::BeforeGeneration => Phase::AfterGeneration,
        other => other,
    };
    Some(Failure {
        class,
        phase,
        fault_domain: meaning.fault_domain,
        retry: meaning.retry,
        retry_after_ms: None,
        http_status: call.errors.http_status,
        error_code: String::new(),
        request_id: String::new(),
        message: String::new(),
        evidence: why.to_owned(),
    })
}

/// The same error means something else once the answer had begun: a connection that breaks is a
/// stream that breaks, and so is an end for which no cause is told.
pub fn settle(call: &Call<'_>, mut failure: Failure) -> Failure {
    if let Some((class, why)) = seen_better(call, failure.class) {
        let meaning = meaning(class);
        failure.class = class;
        failure.phase = Phase::AfterGeneration;
        failure.fault_domain = meaning.fault_domain;
        failure.retry = meaning.retry;
        failure.evidence = format!("{why}; {}", failure.evidence);
        return failure;
    }
    let errors = &call.errors;
    let answered = call.ttft_ns.is_some()
        || errors.http_status == Some(200)
        || call.usage.output_tokens.is_some_and(|n| n > 0)
        || call.finish == Finish::Error
        || !call.output.messages.is_empty();
    // A bare read error: before the headers, SDKs wrap it in an error of their own.
    let reading = [errors.error_type, errors.exception_type]
        .iter()
        .any(|t| t.rsplit('.').next() == Some("ReadError"));
    let began = (answered || reading) && call.streaming != Some(false);
    let silent = errors.messages.iter().all(|m| m.trim().is_empty());
    let broke = match failure.class {
        FailureClass::NetworkConnection => true,
        FailureClass::Unknown | FailureClass::ProviderServerError => silent,
        _ => false,
    };
    if began && broke && call.operation != Operation::Embeddings {
        let meaning = meaning(FailureClass::StreamInterrupted);
        failure.class = FailureClass::StreamInterrupted;
        failure.phase = Phase::DuringGeneration;
        failure.fault_domain = meaning.fault_domain;
        failure.retry = meaning.retry;
        failure.evidence = match failure.evidence.is_empty() {
            true => "outcome.broke: an error without a cause, inside the stream".to_owned(),
            false => format!("outcome.broke: {}", failure.evidence),
        };
    }
    failure
}

/// A framework that could not use an answer says less than the answer itself: that it is empty,
/// or that it asks for a tool nobody offered.
fn seen_better(call: &Call<'_>, told: FailureClass) -> Option<(FailureClass, &'static str)> {
    match told {
        FailureClass::OutputSchemaViolation | FailureClass::OutputInvalidJson => {
            empty(call).map(|why| (FailureClass::OutputEmpty, why))
        }
        FailureClass::ToolInvalidArguments => {
            tools(call).filter(|(class, _)| *class == FailureClass::ToolUnknownTool)
        }
        _ => None,
    }
}

/// How the stream went, for `llm_calls.stream_outcome`.
pub fn stream_outcome(call: &Call<'_>, failure: Option<&Failure>) -> &'static str {
    if call.streaming != Some(true) {
        return "";
    }
    match failure.map(|f| f.class) {
        Some(FailureClass::StreamInterrupted) => "interrupted",
        Some(FailureClass::ClientCancelled) => "cancelled",
        Some(_) if failure.is_some_and(|f| f.phase == Phase::DuringGeneration) => "interrupted",
        Some(_) if failure.is_some_and(|f| f.phase == Phase::BeforeGeneration) => "",
        _ => "complete",
    }
}

fn verdict(call: &Call<'_>) -> Option<(FailureClass, &'static str)> {
    use FailureClass::*;
    let parts = || call.output.messages.iter().flat_map(|m| m.parts);
    // `FinishReason.MALFORMED_FUNCTION_CALL`
    let reason = call.finish_reason.rsplit('.').next().unwrap_or_default();
    if let Some((_, class, why)) = NAMED.iter().find(|(n, ..)| reason.eq_ignore_ascii_case(n)) {
        return Some((*class, why));
    }
    match call.finish {
        Finish::ContentFilter => {
            return Some((OutputContentFiltered, "outcome.finish: content filter"));
        }
        Finish::Refusal => return Some((OutputRefusal, "outcome.finish: refusal")),
        Finish::Length => return Some((OutputTruncated, "outcome.finish: length")),
        Finish::Cancelled => return Some((ClientCancelled, "outcome.finish: cancelled")),
        Finish::Interrupted => return Some((StreamInterrupted, "outcome.finish: interrupted")),
        // A recorder that saw an early end of the stream writes `error` and leaves the span green;
        // not all of them say that it was a stream. Some write it for an end that they do not know:
        // the counts came, and with them the end.
        Finish::Error if counted(call) && call.usage.output_tokens != Some(0) => {}
        Finish::Error if call.streaming != Some(false) => {
            return Some((StreamInterrupted, "outcome.finish: error in a stream"));
        }
        Finish::Error => return Some((Unknown, "outcome.finish: error without a cause")),
        _ => {}
    }
    if parts().any(|p| p.kind == PartKind::Refusal && !p.text.is_empty()) {
        return Some((
            OutputRefusal,
            "outcome.refusal: the model refused in a field of its own",
        ));
    }
    if !writes_text(call) {
        return None;
    }
    if call.streaming == Some(true) && call.finish == Finish::Unknown && !ended(call) {
        return Some((
            StreamInterrupted,
            "outcome.no_finish: a stream without finish reason",
        ));
    }
    if let Some(why) = empty(call) {
        return Some((OutputEmpty, why));
    }
    if refuses(call) {
        return Some((OutputRefusal, "outcome.refusal_text: the answer declines"));
    }
    tools(call).or_else(|| json(call))
}

fn writes_text(call: &Call<'_>) -> bool {
    let text = matches!(
        call.operation,
        Operation::Chat | Operation::TextCompletion | Operation::GenerateContent
    );
    text && !call.request_model.contains("embed")
}

/// Did the usage come that providers send with the last event? Anthropic sends a first count with
/// the first one, Gemini with every one, so that there it tells nothing.
fn counted(call: &Call<'_>) -> bool {
    call.usage.source == TokensSource::Provider
        && !call.provider.starts_with("gcp.")
        && call.usage.output_tokens.is_some_and(|n| n != 1)
        && call.usage.input_tokens.is_some()
}

/// Did a stream without finish reason end all the same? Some conventions have none at all.
fn ended(call: &Call<'_>) -> bool {
    // Without an answer nothing says that a stream of Logfire's was read at all.
    let tells_none = NO_FINISH.iter().any(|(convention, version)| {
        call.convention == *convention
            && call.instrumentation_version.starts_with(version)
            && (version.is_empty() || call.output.recorded)
    });
    counted(call) || tells_none
}

/// Why the answer is empty, when it is.
fn empty(call: &Call<'_>) -> Option<&'static str> {
    if matches!(call.finish, Finish::ToolCalls | Finish::Error) {
        return None;
    }
    let parts = || call.output.messages.iter().flat_map(|m| m.parts);
    let said = parts().any(|p| match p.kind {
        PartKind::Text => !p.text.trim().is_empty(),
        PartKind::Reasoning => false,
        _ => true,
    });
    if said {
        return None;
    }
    let usage = &call.usage;
    let counted = usage.input_tokens.is_some_and(|n| n > 0);
    let ended = matches!(call.finish, Finish::Stop | Finish::Unknown);
    if usage.output_tokens == Some(0) && counted && ended {
        return Some("outcome.no_tokens: 0 output tokens");
    }
    let raw = call.output.text.trim();
    let opaque =
        call.output.messages.is_empty() && !["", "[]", "{}", "null", "\"\""].contains(&raw);
    if !call.output.recorded || opaque {
        return None;
    }
    // White space and thinking are tokens, and no answer.
    let blank = parts().any(|p| !p.text.is_empty());
    let spoken = usage
        .output_tokens
        .unwrap_or(0)
        .saturating_sub(usage.reasoning_tokens.unwrap_or(0));
    if !blank && usage.source == TokensSource::Provider && spoken > EMPTY_TOKENS_MAX {
        return None;
    }
    Some("outcome.empty: no text and no tool call")
}

/// Is the whole answer one of the sentences by which models decline?
fn refuses(call: &Call<'_>) -> bool {
    const OPENINGS: [&str; 4] = ["i'm sorry", "i am sorry", "i can't", "i cannot"];
    const DECLINES: [&str; 6] = [
        "can't assist with that",
        "cannot assist with that",
        "can't help with that",
        "cannot help with that",
        "can't assist with this request",
        "cannot assist with this request",
    ];
    let mut parts = call.output.messages.iter().flat_map(|m| m.parts);
    let (Some(part), None) = (parts.next(), parts.next()) else {
        return false;
    };
    if part.kind != PartKind::Text || part.text.len() > REFUSAL_BYTES_MAX {
        return false;
    }
    let text = part.text.trim().to_lowercase().replace('\u{2019}', "'");
    OPENINGS.iter().any(|o| text.starts_with(o)) && DECLINES.iter().any(|d| text.contains(d))
}

fn tools(call: &Call<'_>) -> Option<(FailureClass, &'static str)> {
    let calls = call
        .output
        .messages
        .iter()
        .flat_map(|m| m.parts)
        .filter(|p| p.kind == PartKind::ToolCall);
    for tool in calls {
        if let Some((layer, why)) = tool_fault(call, tool) {
            let class = match layer {
                ToolLayer::Selection => FailureClass::ToolUnknownTool,
                _ => FailureClass::ToolInvalidArguments,
            };
            return Some((class, why));
        }
    }
    None
}

/// What is wrong with a tool call by itself: no such tool, or arguments that are none.
pub(super) fn tool_fault(call: &Call<'_>, tool: &Part<'_>) -> Option<(ToolLayer, &'static str)> {
    let offered = call.tool_definitions.unwrap_or(&[]);
    let unknown = !offered.is_empty()
        && !tool.name.is_empty()
        && !offered.iter().any(|d| d.name == tool.name);
    if unknown {
        let why = "outcome.unknown_tool: no tool of that name was offered";
        return Some((ToolLayer::Selection, why));
    }
    bad_arguments(tool, offered).map(|why| (ToolLayer::Arguments, why))
}

/// What is wrong with the arguments of a tool call.
fn bad_arguments(tool: &Part<'_>, offered: &[ToolDefinition<'_>]) -> Option<&'static str> {
    let text = tool.text.trim();
    // The recorder printed a Python object: nothing is known of what the model wrote.
    if text.is_empty() || text.starts_with("{'") && text.ends_with('}') {
        return None;
    }
    let not_json = Some("outcome.tool_arguments: not a JSON object");
    let Ok(object) = serde_json::from_str::<Map<String, Value>>(text) else {
        return not_json;
    };
    // Arguments that a recorder could not parse are kept in an object with one key.
    if let (1, Some(Value::String(raw))) = (object.len(), object.get("raw"))
        && raw.trim_start().starts_with('{')
        && serde_json::from_str::<IgnoredAny>(raw).is_err()
    {
        return not_json;
    }
    let definition = offered.iter().find(|d| d.name == tool.name)?;
    // Logfire 3 puts the arguments of Anthropic's tools into an object with one key.
    if let (1, Some(Value::Object(inner))) = (object.len(), object.get("input"))
        && !violates(
            definition.parameters,
            &Value::Object(inner.clone()).to_string(),
        )
    {
        return None;
    }
    violates(definition.parameters, text)
        .then_some("outcome.tool_schema: the arguments break the tool's schema")
}

fn json(call: &Call<'_>) -> Option<(FailureClass, &'static str)> {
    if call.response_format != ResponseFormat::Json && call.response_schema.is_empty() {
        return None;
    }
    let answers = call
        .output
        .messages
        .iter()
        .filter(|m| m.role == Role::Assistant)
        .flat_map(|m| m.parts);
    let texts: Vec<&str> = answers
        .filter(|p| p.kind == PartKind::Text)
        .map(|p| p.text)
        .collect();
    let [text] = texts.as_slice() else {
        return None;
    };
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => violates(call.response_schema, text).then_some((
            FailureClass::OutputSchemaViolation,
            "outcome.schema: the answer breaks the schema that was asked for",
        )),
        Err(_) => Some((
            FailureClass::OutputInvalidJson,
            "outcome.json: JSON was asked for, the answer is none",
        )),
    }
}

#[cfg(test)]
mod tests;
