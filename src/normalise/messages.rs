//! Messages: the conversation in any provider's or framework's JSON, as [`Message`]s.
//!
//! One reader for all shapes, because frameworks nest each other's: OpenAI and Anthropic bodies,
//! Gemini's `contents` and `candidates`, the Responses API's items, Bedrock's `output.message`,
//! LangChain's `generations` and `kwargs`, OTel's parts. It looks for the fields that say
//! something and ignores the rest; it never judges.

mod shape;
mod tools;

pub use shape::{role_of, role_word};
pub use tools::read_tools;

use bumpalo::{Bump, collections::Vec as ArenaVec};

use self::shape::{is_message, is_part};
use super::json::{Json, looks_like_container};
use crate::call::{Message, Part, PartKind, Role};

/// Containers inside containers that are followed; real shapes need six.
const DEPTH_MAX: usize = 12;
/// Messages kept of one conversation, parts of one message.
const MESSAGES_MAX: usize = 4096;
const PARTS_MAX: usize = 1024;

/// Fields that hold the messages of a request or an answer, in the order they are tried.
const CONTAINERS: [&str; 13] = [
    "messages",
    "contents",
    "choices",
    "candidates",
    "generations",
    "replies",
    "input",
    "output",
    "message",
    "prompt",
    "response",
    "kwargs",
    "combined_chunk_content",
];
/// Fields that hold the instructions beside the messages.
const SYSTEMS: [&str; 5] = [
    "system",
    "instructions",
    "system_instruction",
    "systemInstruction",
    "system_prompt",
];
/// Fields of a part that hold a tool's call, and a tool's answer.
const CALL_FIELDS: [&str; 5] = [
    "functionCall",
    "function_call",
    "toolUse",
    "toolRequest",
    "tool_call",
];
const RESULT_FIELDS: [&str; 5] = [
    "functionResponse",
    "function_response",
    "toolResult",
    "toolResponse",
    "tool_call_result",
];

/// Reads a conversation. `role` is who speaks where the text does not tell.
pub fn read<'a>(text: &'a str, role: Role, arena: &'a Bump) -> &'a [Message<'a>] {
    if !looks_like_container(text) && !text.trim_start().starts_with(['"', '\'']) {
        let mut reader = Reader {
            arena,
            out: ArenaVec::new_in(arena),
        };
        reader.push_text(role, text);
        return reader.out.into_bump_slice();
    }
    read_json(Json::new(text, arena), text, role, arena)
}

/// The same for a text that is already taken apart; `text` is what it is where it is no JSON.
pub fn read_json<'a>(
    json: Option<Json<'a>>,
    text: &'a str,
    role: Role,
    arena: &'a Bump,
) -> &'a [Message<'a>] {
    let mut reader = Reader {
        arena,
        out: ArenaVec::new_in(arena),
    };
    match json {
        Some(json) if json.is_object() || json.is_array() => reader.collect(json, role, 0),
        Some(json) if json.is_string() => reader.push_text(role, json.text(arena)),
        _ => reader.push_text(role, text),
    }
    reader.out.into_bump_slice()
}

struct Reader<'a> {
    arena: &'a Bump,
    out: ArenaVec<'a, Message<'a>>,
}

// === impl Reader ===

impl<'a> Reader<'a> {
    fn collect(&mut self, json: Json<'a>, role: Role, depth: usize) {
        if depth > DEPTH_MAX || self.out.len() >= MESSAGES_MAX || json.is_null() {
            return;
        }
        if json.is_string() {
            let text = json.text(self.arena);
            // LangChain and LiteLLM put JSON texts into lists.
            match Json::container(text, self.arena).filter(|inner| inner.has("role")) {
                Some(inner) => self.collect(inner, role, depth + 1),
                None => self.push_text(role, text),
            }
        } else if json.is_array() {
            if json.items().first().is_some_and(|first| is_part(*first)) {
                self.push_message(role, |reader, parts| reader.parts(json, parts));
            } else {
                json.items()
                    .iter()
                    .for_each(|item| self.collect(*item, role, depth + 1));
            }
        } else if json.is_object() {
            self.collect_object(json, role, depth);
        }
    }

    fn collect_object(&mut self, json: Json<'a>, role: Role, depth: usize) {
        if is_message(json) {
            return self.push_message_object(json, role);
        }
        for key in SYSTEMS {
            if let Some(system) = json.get(key).filter(|s| !s.is_null()) {
                self.collect(system, Role::System, depth + 1);
            }
        }
        for key in CONTAINERS {
            if let Some(inner) = json.get(key).filter(|v| !v.is_null()) {
                // A request echoed inside an answer is not the answer.
                let role = if matches!(key, "input" | "prompt") {
                    Role::User
                } else {
                    role
                };
                return self.collect(inner, role, depth + 1);
            }
        }
        if let Some(inner) = json.get("content").or(json.get("delta")) {
            return self.collect(inner, role, depth + 1);
        }
        if is_part(json) {
            self.push_message(role, |reader, parts| reader.part(json, parts));
        }
    }

    fn push_text(&mut self, role: Role, text: &'a str) {
        let parts: &'a [Part<'a>] = if text.is_empty() {
            &[]
        } else {
            self.arena.alloc_slice_copy(&[Part {
                kind: PartKind::Text,
                text,
                ..Part::default()
            }])
        };
        self.out.push(Message { role, parts });
    }

    fn push_message(
        &mut self,
        role: Role,
        fill: impl FnOnce(&mut Self, &mut ArenaVec<'a, Part<'a>>),
    ) {
        let mut parts = ArenaVec::new_in(self.arena);
        fill(self, &mut parts);
        self.out.push(Message {
            role,
            parts: parts.into_bump_slice(),
        });
    }

    fn push_message_object(&mut self, json: Json<'a>, default: Role) {
        // LangChain's serialised message: the fields lie under `kwargs`.
        let fields = json.get("kwargs").filter(Json::is_object).unwrap_or(json);
        let role = role_of(json, self.arena)
            .or_else(|| role_of(fields, self.arena))
            .unwrap_or(default);
        self.push_message(role, |reader, parts| {
            for key in ["reasoning_content", "reasoning", "thinking"] {
                if let Some(thinking) = fields.get(key).filter(Json::is_string) {
                    reader.push_part(PartKind::Reasoning, thinking, parts);
                    break;
                }
            }
            let content = ["parts", "content", "contents", "text"]
                .iter()
                .find_map(|key| fields.get(key));
            if let Some(content) = content.filter(|c| !c.is_null()) {
                reader.content(content, role, fields, parts);
            }
            if let Some(refusal) = fields.get("refusal").filter(Json::is_string) {
                reader.push_part(PartKind::Refusal, refusal, parts);
            }
            for key in ["tool_calls", "toolCalls"] {
                if let Some(calls) = fields.get(key) {
                    calls
                        .items()
                        .iter()
                        .take(PARTS_MAX)
                        .for_each(|call| reader.tool_call(*call, parts));
                }
            }
            if let Some(call) = fields.get("function_call").filter(Json::is_object) {
                reader.tool_call(call, parts);
            }
        });
    }

    /// The content of a message: a text, parts, or one part; a tool's answer in one piece.
    fn content(
        &mut self,
        content: Json<'a>,
        role: Role,
        message: Json<'a>,
        parts: &mut ArenaVec<'a, Part<'a>>,
    ) {
        if role == Role::Tool && !content.is_array() {
            let field = |key| {
                message
                    .get(key)
                    .map_or("", |v: Json<'a>| v.text(self.arena))
            };
            let text = content.text(self.arena);
            let (name, id) = (field("name"), field("tool_call_id"));
            parts.push(Part {
                kind: PartKind::ToolResult,
                text,
                name,
                id,
            });
        } else if content.is_array() {
            self.parts(content, parts);
        } else if content.is_object() {
            // Gemini's answer: `content: {parts: [...]}`.
            match content.get("parts").filter(Json::is_array) {
                Some(inner) => self.parts(inner, parts),
                None => self.part(content, parts),
            }
        } else {
            self.push_part(PartKind::Text, content, parts);
        }
    }

    fn parts(&mut self, json: Json<'a>, parts: &mut ArenaVec<'a, Part<'a>>) {
        json.items()
            .iter()
            .take(PARTS_MAX)
            .for_each(|part| self.part(*part, parts));
    }

    fn push_part(&self, kind: PartKind, text: Json<'a>, parts: &mut ArenaVec<'a, Part<'a>>) {
        let text = text.text(self.arena);
        if !text.is_empty() {
            parts.push(Part {
                kind,
                text,
                ..Part::default()
            });
        }
    }

    fn part(&mut self, json: Json<'a>, parts: &mut ArenaVec<'a, Part<'a>>) {
        if json.is_string() {
            return self.push_part(PartKind::Text, json, parts);
        }
        let first = |keys: &[&str]| keys.iter().find_map(|key| json.get(key));
        // Shapes that name the kind by a field with an object: Gemini, Bedrock, Genkit.
        let object = |keys: &[&str]| {
            let mut found = keys.iter().filter_map(|key| json.get(key));
            found.find(Json::is_object)
        };
        if json.entries().iter().any(|(_, value)| value.is_object()) {
            if let Some(call) = object(&CALL_FIELDS) {
                return self.tool_call(call, parts);
            }
            if let Some(result) = object(&RESULT_FIELDS) {
                return self.tool_result(result, parts);
            }
        }
        let kind = json.get("type").map_or("", |t| t.text(self.arena));
        if kind.is_empty() && json.has("toolName") {
            return self.tool_call(json, parts);
        }
        match kind {
            "thinking" | "reasoning" | "redacted_thinking" => {
                if let Some(text) = first(&["thinking", "content", "text", "reasoning", "summary"])
                {
                    self.push_part(PartKind::Reasoning, text, parts);
                }
            }
            "refusal" => {
                if let Some(text) = first(&["refusal", "content", "text"]) {
                    self.push_part(PartKind::Refusal, text, parts);
                }
            }
            "tool_use" | "tool_call" | "tool-call" | "function_call" | "function"
            | "server_tool_use" | "toolCall" => self.tool_call(json, parts),
            "tool_result" | "tool_call_response" | "tool-result" | "function_call_output" => {
                self.tool_result(json, parts);
            }
            "message" => {
                if let Some(content) = json.get("content") {
                    self.content(content, Role::Assistant, json, parts);
                }
            }
            _ => match first(&["text", "content", "input_text", "output_text", "value"]) {
                Some(text) if text.is_object() => self.part(text, parts),
                Some(text) if json.get("thought").and_then(|t| t.boolean()) == Some(true) => {
                    self.push_part(PartKind::Reasoning, text, parts);
                }
                Some(text) if !text.is_array() => self.push_part(PartKind::Text, text, parts),
                Some(list) => self.parts(list, parts),
                None if kind.is_empty()
                    && first(&["inlineData", "inline_data", "fileData", "image"]).is_none() => {}
                None => parts.push(Part {
                    kind: PartKind::Media,
                    ..Part::default()
                }),
            },
        }
    }

    fn tool_call(&self, call: Json<'a>, parts: &mut ArenaVec<'a, Part<'a>>) {
        let function = call.get("function").filter(Json::is_object).unwrap_or(call);
        let text = |keys: &[&str]| {
            keys.iter()
                .find_map(|key| function.get(key).or(call.get(key)).filter(|v| !v.is_null()))
                .map_or("", |v| v.text(self.arena))
        };
        parts.push(Part {
            kind: PartKind::ToolCall,
            text: text(&["arguments", "input", "args", "arguments_json"]),
            name: text(&["name", "toolName", "tool_name"]),
            id: text(&["call_id", "id", "toolCallId", "toolUseId", "tool_call_id"]),
        });
    }

    fn tool_result(&self, result: Json<'a>, parts: &mut ArenaVec<'a, Part<'a>>) {
        let text = |keys: &[&str]| {
            keys.iter()
                .find_map(|key| result.get(key))
                .map_or("", |v| v.text(self.arena))
        };
        parts.push(Part {
            kind: PartKind::ToolResult,
            text: text(&["response", "result", "output", "content"]),
            name: text(&["name", "toolName"]),
            id: text(&["id", "tool_use_id", "call_id", "toolCallId", "toolUseId"]),
        });
    }
}

#[cfg(test)]
#[path = "messages/tests.rs"]
mod tests;
