//! Message lists spread over attributes: `gen_ai.prompt.0.role`, `llm.input_messages.0.message.…`.
//!
//! The names after the list's prefix are read by their last step, which is the same in every
//! convention that spreads messages; the indexes before it tell message and part.

use bumpalo::{Bump, collections::String as ArenaString};

use super::{
    attributes::Side,
    messages::role_word,
    text::{plain_text, write_json_string},
};
use crate::{
    call::{Message, Part, PartKind, Role, ToolDefinition},
    decode::Value,
};

/// Messages of one list; an index above is taken for a hostile one.
const MESSAGES_MAX: usize = 4096;
/// Parts or tool calls of one message.
const PARTS_MAX: usize = 1024;

/// What one list says.
#[derive(Debug, Default)]
pub struct IndexedMessages<'a> {
    pub messages: &'a [Message<'a>],
    /// Only on the output side, and only in the oldest convention.
    pub finish_reason: &'a str,
}

#[derive(Default)]
struct Draft<'a> {
    role: Option<Role>,
    text: &'a str,
    refusal: &'a str,
    tool_call_id: &'a str,
    name: &'a str,
    /// Parts and tool calls by their own index.
    parts: Vec<Part<'a>>,
    calls: Vec<Part<'a>>,
}

/// Puts the messages of one side together.
pub fn messages<'a>(
    indexed: &[(Side, &'a str, Value<'a>)],
    side: Side,
    arena: &'a Bump,
) -> Option<IndexedMessages<'a>> {
    let mut drafts: Vec<Draft<'a>> = Vec::new();
    let mut finish_reason = "";
    for (_, name, value) in indexed.iter().filter(|(s, ..)| *s == side) {
        let Some((index, rest)) = split_index(name) else {
            continue;
        };
        if index >= MESSAGES_MAX {
            continue;
        }
        if drafts.len() <= index {
            drafts.resize_with(index + 1, Draft::default);
        }
        let text = plain_or_whole(*value, arena);
        let Some(draft) = drafts.get_mut(index) else {
            continue;
        };
        if rest == "finish_reason" {
            finish_reason = text;
        } else {
            draft.set(rest, text);
        }
    }
    if drafts.is_empty() {
        return None;
    }
    let default = if side == Side::Input {
        Role::User
    } else {
        Role::Assistant
    };
    let messages = arena.alloc_slice_fill_iter(drafts.iter().map(|d| d.finish(default, arena)));
    Some(IndexedMessages {
        messages,
        finish_reason,
    })
}

/// Puts the tool definitions together.
pub fn tools<'a>(
    indexed: &[(Side, &'a str, Value<'a>)],
    arena: &'a Bump,
) -> Option<&'a [ToolDefinition<'a>]> {
    let mut tools: Vec<ToolDefinition<'a>> = Vec::new();
    for (_, name, value) in indexed.iter().filter(|(side, ..)| *side == Side::Tools) {
        let Some((index, rest)) = split_index(name) else {
            continue;
        };
        if index >= PARTS_MAX {
            continue;
        }
        if tools.len() <= index {
            tools.resize(index + 1, ToolDefinition::default());
        }
        let Some(tool) = tools.get_mut(index) else {
            continue;
        };
        match rest {
            "name" => tool.name = plain_text(*value, arena),
            "parameters" | "input_schema" => tool.parameters = value.as_str().unwrap_or(""),
            "tool.json_schema" => {
                let list = bumpalo::format!(in arena, "[{}]", value.as_str().unwrap_or(""));
                if let [read, ..] = super::messages::read_tools(list.into_bump_str(), arena) {
                    *tool = *read;
                }
            }
            _ => {}
        }
    }
    (!tools.is_empty()).then(|| arena.alloc_slice_copy(&tools) as &[_])
}

/// Messages as JSON text in OTel's shape: what is stored where the recorder sent no text of its own.
pub fn to_json<'a>(messages: &[Message<'_>], arena: &'a Bump) -> &'a str {
    let mut out = ArenaString::new_in(arena);
    out.push('[');
    for (n, message) in messages.iter().enumerate() {
        out.push_str(if n > 0 { ",{\"role\":" } else { "{\"role\":" });
        let role = match message.role {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
        };
        write_json_string(role, &mut out);
        out.push_str(",\"parts\":[");
        for (n, part) in message.parts.iter().enumerate() {
            if n > 0 {
                out.push(',');
            }
            write_part(part, &mut out);
        }
        out.push_str("]}");
    }
    out.push(']');
    out.into_bump_str()
}

fn write_part(part: &Part<'_>, out: &mut ArenaString<'_>) {
    let mut field = |name: &str, text: &str| {
        if !text.is_empty() {
            out.push_str(name);
            write_json_string(text, out);
        }
    };
    let (kind, content) = match part.kind {
        PartKind::Text => ("text", ",\"content\":"),
        PartKind::Reasoning => ("reasoning", ",\"content\":"),
        PartKind::Refusal => ("refusal", ",\"content\":"),
        PartKind::ToolCall => ("tool_call", ",\"arguments\":"),
        PartKind::ToolResult => ("tool_call_response", ",\"response\":"),
        PartKind::Media => ("media", ",\"content\":"),
    };
    field("{\"type\":", kind);
    field(",\"id\":", part.id);
    field(",\"name\":", part.name);
    field(content, part.text);
    out.push('}');
}

/// The index that a name begins with, and what follows its dot.
fn split_index(name: &str) -> Option<(usize, &str)> {
    let (index, rest) = name.split_once('.')?;
    Some((index.parse().ok()?, rest))
}

/// The text of a value; a list keeps all of its elements.
fn plain_or_whole<'a>(value: Value<'a>, arena: &'a Bump) -> &'a str {
    match value {
        Value::Str(text) => text,
        Value::Array(_) | Value::Kvlist(_) => super::text::value_to_json(value, arena),
        other => plain_text(other, arena),
    }
}

// === impl Draft ===

impl<'a> Draft<'a> {
    fn set(&mut self, name: &'a str, text: &'a str) {
        let name = name.strip_prefix("message.").unwrap_or(name);
        match name {
            "role" => self.role = role_word(text),
            "content" => self.text = text,
            "refusal" => self.refusal = text,
            "tool_call_id" => self.tool_call_id = text,
            "name" => self.name = text,
            "function_call.name" => call_at(&mut self.calls, 0).name = text,
            "function_call.arguments" => call_at(&mut self.calls, 0).text = text,
            _ => self.set_part(name, text),
        }
    }

    fn set_part(&mut self, name: &'a str, text: &'a str) {
        let Some((list, rest)) = name.split_once('.') else {
            return;
        };
        let Some((index, leaf)) = split_index(rest) else {
            return;
        };
        if index >= PARTS_MAX {
            return;
        }
        let last = leaf.rsplit('.').next().unwrap_or(leaf);
        if list == "tool_calls" {
            return set_call(call_at(&mut self.calls, index), last, text);
        }
        if list != "contents" {
            return;
        }
        let part = call_at(&mut self.parts, index);
        if leaf.contains("tool_call") {
            return set_call(part, last, text);
        }
        match last {
            "type" => {
                part.kind = match text {
                    "thinking" | "reasoning" => PartKind::Reasoning,
                    "image" | "audio" | "file" => PartKind::Media,
                    "tool_use" | "tool_call" => PartKind::ToolCall,
                    "tool_result" => PartKind::ToolResult,
                    "refusal" => PartKind::Refusal,
                    _ => PartKind::Text,
                }
            }
            "text" | "content" => {
                part.text = text;
                if part.kind == PartKind::ToolCall {
                    part.kind = PartKind::Text;
                }
            }
            "url" => part.kind = PartKind::Media,
            _ => {}
        }
    }

    fn finish(&self, default: Role, arena: &'a Bump) -> Message<'a> {
        let role = self.role.unwrap_or(default);
        let text_kind = if role == Role::Tool {
            PartKind::ToolResult
        } else {
            PartKind::Text
        };
        // A content that is a JSON list of parts is taken apart like one that came whole.
        let inner = match super::json::Json::container(self.text, arena) {
            Some(json) if json.is_array() && text_kind == PartKind::Text => {
                super::messages::read(self.text, role, arena)
            }
            _ => &[],
        };
        let nested = inner.iter().flat_map(|m| m.parts).copied();
        let own = |kind, text, id: &'a str, name: &'a str| {
            (!text_is_blank(text)).then_some(Part {
                kind,
                text,
                name,
                id,
            })
        };
        let whole = (inner.is_empty())
            .then(|| own(text_kind, self.text, self.tool_call_id, self.name))
            .flatten();
        let parts: Vec<Part<'a>> = nested
            .chain(whole)
            .chain(self.parts.iter().copied())
            .chain(own(PartKind::Refusal, self.refusal, "", ""))
            .chain(self.calls.iter().copied())
            .filter(|part| *part != EMPTY_CALL)
            .collect();
        Message {
            role,
            parts: arena.alloc_slice_copy(&parts),
        }
    }
}

/// A slot that nothing has filled.
const EMPTY_CALL: Part<'static> = Part {
    kind: PartKind::ToolCall,
    text: "",
    name: "",
    id: "",
};

fn text_is_blank(text: &str) -> bool {
    text.is_empty() || text == "null"
}

fn call_at<'p, 'a>(list: &'p mut Vec<Part<'a>>, index: usize) -> &'p mut Part<'a> {
    while list.len() <= index {
        list.push(EMPTY_CALL);
    }
    // The loop above made room.
    &mut list[index]
}

fn set_call<'a>(call: &mut Part<'a>, leaf: &str, text: &'a str) {
    match leaf {
        "name" => call.name = text,
        "arguments" => call.text = text,
        "id" => call.id = text,
        _ => return,
    }
    call.kind = PartKind::ToolCall;
}
