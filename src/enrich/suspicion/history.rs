//! History: a conversation with a message twice, or with its beginning or middle lost.
//!
//! Assistants open conversations with a greeting, people say `yes` twice, and few-shot examples
//! answer alike: none of these is meant.

use crate::call::{Content, Message, PartKind, Role};

/// Shorter words come twice by themselves.
const REPEATED_BYTES_MIN: usize = 20;
/// The end of a conversation that is looked at.
const MESSAGES_MAX: usize = 64;

/// The same long words twice: by the user or the system anywhere, by the model without a word in
/// between.
pub(in crate::enrich) fn duplicated(content: &Content<'_>) -> bool {
    let from = content.messages.len().saturating_sub(MESSAGES_MAX);
    let recent = content.messages.get(from..).unwrap_or_default();
    recent.iter().enumerate().any(|(n, message)| {
        let length = length(message);
        if length < REPEATED_BYTES_MIN || message.role == Role::Tool {
            return false;
        }
        let later = recent.get(n + 1..).unwrap_or_default();
        let within = match message.role {
            Role::Assistant => later.get(..later.len().min(1)).unwrap_or_default(),
            _ => later,
        };
        let same = |m: &Message<'_>| m.role == message.role && m.parts == message.parts;
        let said = message.parts.iter().all(|p| p.kind == PartKind::Text);
        said && within.iter().any(|m| self::length(m) == length && same(m))
    })
}

fn length(message: &Message<'_>) -> usize {
    message.parts.iter().map(|p| p.text.len()).sum()
}

/// Does the conversation begin with a tool at work, or lack the result of a tool that was called,
/// or the call of a result?
pub(in crate::enrich) fn history_is_cut(content: &Content<'_>) -> bool {
    let messages = content.messages;
    let tools = |m: &&Message<'_>| {
        let kinds = [PartKind::ToolCall, PartKind::ToolResult];
        m.role == Role::Tool || m.parts.iter().any(|p| kinds.contains(&p.kind))
    };
    // Most conversations have no tools.
    if !messages.iter().any(|m| tools(&m)) {
        return false;
    }
    let first = messages.iter().find(|m| m.role != Role::System);
    let is_result = |m: &Message<'_>| {
        m.role == Role::Tool || m.parts.iter().any(|p| p.kind == PartKind::ToolResult)
    };
    first.is_some_and(is_result) || unanswered(messages) || unasked(messages)
}

/// A call with an id, no result of that id, and the conversation went on to words.
fn unanswered(messages: &[Message<'_>]) -> bool {
    messages.iter().enumerate().any(|(n, message)| {
        let calls = message.parts.iter();
        let calls = calls.filter(|p| p.kind == PartKind::ToolCall && !p.id.is_empty());
        let later = || messages.get(n + 1..).unwrap_or_default().iter();
        let went_on = || {
            later()
                .any(|m| m.role == Role::User && m.parts.iter().any(|p| p.kind == PartKind::Text))
        };
        // A recorder that drops ids tells nothing of which result is whose.
        let nameless =
            || later().any(|m| m.role == Role::Tool && m.parts.iter().all(|p| p.id.is_empty()));
        calls.clone().next().is_some()
            && went_on()
            && !nameless()
            && calls.clone().any(|call| {
                let results = messages.iter().flat_map(|m| m.parts);
                let mut results = results.filter(|p| p.kind == PartKind::ToolResult);
                !results.any(|r| r.id == call.id)
            })
    })
}

/// A result with an id that no call before it has, though calls have ids.
fn unasked(messages: &[Message<'_>]) -> bool {
    let parts = || messages.iter().flat_map(|m| m.parts);
    let called = |id: &str| parts().any(|p| p.kind == PartKind::ToolCall && p.id == id);
    let any_call = parts().any(|p| p.kind == PartKind::ToolCall && !p.id.is_empty());
    any_call && parts().any(|p| p.kind == PartKind::ToolResult && !p.id.is_empty() && !called(p.id))
}
