//! Calls that answered, and failed all the same: empty, cut off, filtered, refused, broken JSON.
//!
//! Only what was recorded counts: with content off, nothing is said about content.

use super::classify::meaning;
use crate::call::{
    Call, Failure, FailureClass, Finish, Operation, PartKind, Phase, ResponseFormat, Role,
};
use serde::de::IgnoredAny;

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
    match call.finish {
        Finish::ContentFilter => {
            return Some((OutputContentFiltered, "outcome.finish: content filter"));
        }
        Finish::Refusal => return Some((OutputRefusal, "outcome.finish: refusal")),
        Finish::Length => return Some((OutputTruncated, "outcome.finish: length")),
        Finish::Cancelled => return Some((ClientCancelled, "outcome.finish: cancelled")),
        Finish::Interrupted => return Some((StreamInterrupted, "outcome.finish: interrupted")),
        // A recorder that saw an early end of the stream writes `error` and leaves the span green.
        Finish::Error if call.streaming == Some(true) => {
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
    if !writes_text(call.operation) {
        return None;
    }
    if call.streaming == Some(true) && call.finish == Finish::Unknown {
        return Some((
            StreamInterrupted,
            "outcome.no_finish: a stream without finish reason",
        ));
    }
    let said = parts().any(|p| match p.kind {
        PartKind::Text => !p.text.trim().is_empty(),
        PartKind::Reasoning => false,
        _ => true,
    });
    let opaque = call.output.messages.is_empty() && !call.output.text.trim().is_empty();
    if call.output.recorded
        && !said
        && !opaque
        && !matches!(call.finish, Finish::ToolCalls | Finish::Error)
    {
        return Some((OutputEmpty, "outcome.empty: no text and no tool call"));
    }
    if !call.output.recorded && call.usage.output_tokens == Some(0) && call.finish == Finish::Stop {
        return Some((OutputEmpty, "outcome.no_tokens: 0 output tokens"));
    }
    tools(call).or_else(|| json(call))
}

fn writes_text(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::Chat | Operation::TextCompletion | Operation::GenerateContent
    )
}

fn tools(call: &Call<'_>) -> Option<(FailureClass, &'static str)> {
    let calls = call
        .output
        .messages
        .iter()
        .flat_map(|m| m.parts)
        .filter(|p| p.kind == PartKind::ToolCall);
    for tool in calls {
        let offered = call.tool_definitions.unwrap_or(&[]);
        if !offered.is_empty()
            && !tool.name.is_empty()
            && !offered.iter().any(|d| d.name == tool.name)
        {
            return Some((
                FailureClass::ToolUnknownTool,
                "outcome.unknown_tool: no tool of that name was offered",
            ));
        }
        let text = tool.text.trim();
        let object = text.starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_ok();
        if !text.is_empty() && !object {
            return Some((
                FailureClass::ToolInvalidArguments,
                "outcome.tool_arguments: not a JSON object",
            ));
        }
    }
    None
}

fn json(call: &Call<'_>) -> Option<(FailureClass, &'static str)> {
    if call.response_format != ResponseFormat::Json {
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
        Ok(_) => None,
        Err(_) => Some((
            FailureClass::OutputInvalidJson,
            "outcome.json: JSON was asked for, the answer is none",
        )),
    }
}
