//! The two sides of a call's conversation, from wherever the convention put them.
//!
//! Order of trust: message lists spread over attributes, then one JSON text, then events. What is
//! stored is the text that was sent where there is one, so that content is not copied; where there
//! is none (spread lists, events) the messages are written out once.

use super::{
    attributes::{Field, Side},
    events::Events,
    fields::Fields,
    indexed, messages,
    observe::has_indexed,
    text::{plain_text, value_to_json},
    vocabulary,
};
use crate::{
    call::{Call, Content, Finish, Message, Part, PartKind, Role},
    decode::Value,
};

/// What instrumentations write where content is hidden.
const HIDDEN: [&str; 4] = ["__REDACTED__", "[REDACTED]", "<redacted>", "REDACTED"];

/// Bytes of a Python object's name and address as printed.
const PRINTED_BYTES_MAX: usize = 256;

/// Fills both sides and the finish reason.
pub fn read<'a>(call: &mut Call<'a>, fields: &Fields<'_, 'a>, events: &Events<'a>) {
    let spread_output = indexed::messages(&fields.indexed, Side::Output, fields.arena());
    let mut finish = fields.text(Field::FinishReason);
    let mut finish_recorded = fields.has(Field::FinishReason) || !finish.is_empty();
    if finish.is_empty() {
        let blocked = fields.text(Field::BlockReason);
        let other = spread_output.as_ref().map_or("", |list| list.finish_reason);
        finish = [blocked, other, events.finish_reason.unwrap_or("")]
            .into_iter()
            .find(|text| !text.is_empty())
            .unwrap_or("");
        finish_recorded |= !finish.is_empty() || events.finish_reason.is_some();
    }
    let why = fields.text(Field::IncompleteReason);
    if finish == "incomplete" && !why.is_empty() {
        finish = why;
    }
    call.finish_reason = finish;
    if !fields.text(Field::BlockReason).is_empty() {
        call.finish = Finish::ContentFilter;
    } else if finish_recorded {
        call.finish = vocabulary::finish(finish);
    }
    call.input = input(fields, events);
    let spread = spread_output.map_or(&[][..], |list| list.messages);
    call.output = output(fields, events, spread);
    if is_unread_stream(call.output.text) {
        // The recorder let go of the stream before anybody read it: how it ended is not known.
        call.output = Content::default();
        call.streaming = Some(true);
        if call.finish == Finish::Unknown {
            call.finish = Finish::Other;
        }
    }
    let spoke = call.usage.output_tokens.is_some_and(|n| n > 0);
    if spoke && matches!(call.output.text.trim(), "[]" | "{}") {
        // Content is off: the model said something.
        call.output = Content::default();
    }
}

fn input<'a>(fields: &Fields<'_, 'a>, events: &Events<'a>) -> Content<'a> {
    let arena = fields.arena();
    let text = match field_text(fields, Field::Input) {
        "[]" | "{}" => "",
        text => text,
    };
    let spread = indexed::messages(&fields.indexed, Side::Input, arena).map(|list| list.messages);
    if let Some(messages) = spread.filter(|list| !list.is_empty()) {
        let text = if text.is_empty() {
            indexed::to_json(messages, arena)
        } else {
            text
        };
        return Content {
            recorded: true,
            text,
            messages,
        };
    }
    let system = field_text(fields, Field::SystemInstructions);
    if HIDDEN.contains(&text) || (text.is_empty() && system.is_empty()) {
        let messages = &*arena.alloc_slice_copy(&events.input);
        let text = if messages.is_empty() {
            ""
        } else {
            indexed::to_json(messages, arena)
        };
        return Content {
            recorded: events.input_recorded,
            text,
            messages,
        };
    }
    let conversation = read_text(fields, text, Role::User);
    if conversation.is_empty() && !events.input.is_empty() {
        // Logfire 3: the request's document has the settings, a list of events the messages.
        let messages = &*arena.alloc_slice_copy(&events.input);
        return Content {
            recorded: true,
            text: indexed::to_json(messages, arena),
            messages,
        };
    }
    if system.is_empty() {
        return Content {
            recorded: true,
            text,
            messages: conversation,
        };
    }
    // The Responses API gives the system prompt as a plain text, the others as parts.
    let system_messages = messages::read(system, Role::System, arena);
    if let ([own, ..], [first, ..]) = (system_messages, conversation)
        && first.role == Role::System
        && own.parts == first.parts
    {
        // OpenLIT and others say it twice.
        return Content {
            recorded: true,
            text,
            messages: conversation,
        };
    }
    let mut all: Vec<Message<'a>> = Vec::with_capacity(conversation.len() + 1);
    all.extend_from_slice(system_messages);
    all.extend_from_slice(conversation);
    let text = with_system(system, text, arena);
    Content {
        recorded: true,
        text,
        messages: arena.alloc_slice_copy(&all),
    }
}

/// Puts the system prompt in front of the messages as they were sent.
fn with_system<'a>(system: &'a str, text: &'a str, arena: &'a bumpalo::Bump) -> &'a str {
    let system = system.trim();
    let parts = if system.starts_with(['[', '"']) {
        system
    } else {
        let mut quoted = bumpalo::collections::String::new_in(arena);
        super::text::write_json_string(system, &mut quoted);
        quoted.into_bump_str()
    };
    let rest = match text.trim().strip_prefix('[') {
        Some("]") | None => "]",
        Some(rest) => rest,
    };
    let comma = if rest == "]" { "" } else { "," };
    let head = ["[{\"role\":\"system\",\"parts\":", parts, "}", comma, rest];
    let mut out =
        bumpalo::collections::String::with_capacity_in(head.iter().map(|s| s.len()).sum(), arena);
    head.iter().for_each(|piece| out.push_str(piece));
    out.into_bump_str()
}

fn output<'a>(
    fields: &Fields<'_, 'a>,
    events: &Events<'a>,
    spread: &'a [Message<'a>],
) -> Content<'a> {
    let arena = fields.arena();
    let text = field_text(fields, Field::Output);
    if HIDDEN.contains(&text) {
        return Content::default();
    }
    if spread.iter().any(|m| !m.parts.is_empty()) {
        let text = if text.is_empty() {
            indexed::to_json(spread, arena)
        } else {
            text
        };
        return Content {
            recorded: true,
            text,
            messages: with_refusal(spread, text, fields),
        };
    }
    if has_indexed(fields, Side::Output) && is_printed_nothing(text) {
        return Content {
            recorded: true,
            text: "",
            messages: spread,
        };
    }
    if !text.is_empty() {
        let mut messages = read_text(fields, text, Role::Assistant);
        if messages.iter().all(|m| m.parts.is_empty())
            && let Some(raw) = fields.json(text).and_then(|json| json.get("raw"))
        {
            // Genkit drops a refusal, the provider's answer beside it has it.
            messages = messages::read_json(Some(raw), raw.raw(), Role::Assistant, arena);
        }
        return Content {
            recorded: true,
            text,
            messages,
        };
    }
    if let Some(messages) = ai_sdk_output(fields) {
        let text = indexed::to_json(messages, arena);
        return Content {
            recorded: true,
            text,
            messages,
        };
    }
    let recorded = fields.has(Field::Output)
        || has_indexed(fields, Side::Output)
        || events.output_recorded
        // The prompt came with its text, so a choice without one is an empty answer.
        || (events.choice_without_content && events.input_recorded);
    let messages = &*arena.alloc_slice_copy(&events.output);
    let text = if messages.is_empty() {
        ""
    } else {
        indexed::to_json(messages, arena)
    };
    Content {
        recorded,
        text,
        messages,
    }
}

/// A stream as Python prints it: `<anthropic.Stream object at 0x7f3444fc3c90>`.
fn is_unread_stream(text: &str) -> bool {
    let text = text.trim_matches('"');
    let printed = text.strip_prefix('<').and_then(|t| t.strip_suffix('>'));
    printed.is_some_and(|inside| {
        inside.len() <= PRINTED_BYTES_MAX
            && inside.contains(" object ")
            && inside.contains("at 0x")
            && ["Stream", "generator"]
                .iter()
                .any(|word| inside.contains(word))
    })
}

/// LlamaIndex prints an answer without content: `assistant: None`.
fn is_printed_nothing(text: &str) -> bool {
    let Some((role, said)) = text.split_once(':') else {
        return false;
    };
    messages::role_word(role) == Some(Role::Assistant) && matches!(said.trim(), "" | "None")
}

/// OpenInference spreads the answer but drops a refusal; the whole answer beside it has it.
fn with_refusal<'a>(
    spread: &'a [Message<'a>],
    whole: &'a str,
    fields: &Fields<'_, 'a>,
) -> &'a [Message<'a>] {
    if !whole.contains("\"refusal\":") && !whole.contains("\"refusal\"") {
        return spread;
    }
    let read = messages::read(whole, Role::Assistant, fields.arena());
    let refused = read
        .iter()
        .flat_map(|m| m.parts)
        .any(|p| p.kind == PartKind::Refusal);
    if refused { read } else { spread }
}

/// AI SDK: the answer's text, thinking and tool calls in an attribute each; an empty text is left out.
fn ai_sdk_output<'a>(fields: &Fields<'_, 'a>) -> Option<&'a [Message<'a>]> {
    let arena = fields.arena();
    let names = [
        Field::OutputText,
        Field::OutputReasoning,
        Field::OutputToolCalls,
    ];
    let finished = fields.has(Field::AiOperationId) && fields.has(Field::FinishReason);
    let content_on = fields.has(Field::Input);
    (names.iter().any(|f| fields.has(*f)) || (finished && content_on)).then_some(())?;
    let mut parts: Vec<Part<'a>> = Vec::new();
    let plain = [
        (Field::OutputReasoning, PartKind::Reasoning),
        (Field::OutputText, PartKind::Text),
    ];
    for (field, kind) in plain {
        let text = field_text(fields, field);
        if !text.is_empty() {
            parts.push(Part {
                kind,
                text,
                ..Part::default()
            });
        }
    }
    let calls = field_text(fields, Field::OutputToolCalls);
    if !calls.is_empty() {
        let read = messages::read(calls, Role::Assistant, arena);
        parts.extend(read.iter().flat_map(|m| m.parts));
    }
    let parts = arena.alloc_slice_copy(&parts);
    Some(arena.alloc_slice_copy(&[Message {
        role: Role::Assistant,
        parts,
    }]))
}

/// The messages of a text; one that fields were looked for in is not taken apart again.
fn read_text<'a>(fields: &Fields<'_, 'a>, text: &'a str, role: Role) -> &'a [Message<'a>] {
    match fields.json(text) {
        Some(json) => messages::read_json(Some(json), text, role, fields.arena()),
        None => messages::read(text, role, fields.arena()),
    }
}

/// A content attribute as text: as it is, or written as JSON when it is a structure.
fn field_text<'a>(fields: &Fields<'_, 'a>, field: Field) -> &'a str {
    match fields.plain(field) {
        Value::Str(text) => text,
        value @ (Value::Array(_) | Value::Kvlist(_)) => value_to_json(value, fields.arena()),
        other => plain_text(other, fields.arena()),
    }
}
