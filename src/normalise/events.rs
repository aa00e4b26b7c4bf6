//! Events: what span events and log events say about a call.
//!
//! The older OTel conventions put prompts and answers into events, one per message; exceptions
//! are events everywhere. Both kinds of event are read by one function, because they differ only
//! in where the payload lies: attributes of a span event, the body of a log record.

use bumpalo::Bump;

use super::{
    fields::Fields,
    json::Json,
    messages::{self, role_of},
    text::{plain_text, value_to_json},
};
use crate::{
    call::{Message, Role},
    decode::{Attribute, Value},
};

/// Chunk events mark the time of tokens; only the first is of use.
const FIRST_TOKEN: [&str; 5] = [
    "First Token Stream Event",
    "ai.stream.firstChunk",
    "gen_ai.content.completion.chunk",
    "llm.content.completion.chunk",
    "mlflow.chunk.item.0",
];

/// Events of one list that are read.
const EVENTS_MAX: usize = 4096;
/// Azure's SDKs put an event's payload, as JSON text, into this attribute.
const EVENT_CONTENT: &str = "gen_ai.event.content";

/// What the events of one call said.
#[derive(Debug, Default)]
pub struct Events<'a> {
    pub input: Vec<Message<'a>>,
    pub output: Vec<Message<'a>>,
    /// An event of that side came with a body.
    pub input_recorded: bool,
    pub output_recorded: bool,
    /// A choice came without content: empty where content is recorded, hidden where it is not.
    pub choice_without_content: bool,
    pub finish_reason: Option<&'a str>,
    pub exception_type: &'a str,
    pub exception_messages: Vec<&'a str>,
    pub first_token_ns: Option<u64>,
}

/// One event, wherever it lay.
#[derive(Debug, Clone, Copy)]
pub struct EventView<'a> {
    pub name: &'a str,
    pub time_ns: u64,
    pub attributes: &'a [Attribute<'a>],
    /// Empty for span events.
    pub body: Value<'a>,
}

// === impl Events ===

impl<'a> Events<'a> {
    /// Reads one event; what is an attribute of the call goes into `fields`.
    pub fn read(&mut self, event: EventView<'a>, fields: &mut Fields<'_, 'a>) {
        let arena = fields.arena();
        match event.name {
            "exception" => self.exception(event.attributes, arena),
            "gen_ai.system.message" => self.message(event, Role::System, arena),
            "gen_ai.user.message" => self.message(event, Role::User, arena),
            "gen_ai.assistant.message" => self.message(event, Role::Assistant, arena),
            "gen_ai.tool.message" => self.message(event, Role::Tool, arena),
            "gen_ai.choice" | "gen_ai.assistant.choice" => self.choice(event, arena),
            "gen_ai.content.prompt" => {
                self.input_recorded = true;
                self.texts(event, "gen_ai.prompt", Role::User, arena);
            }
            "gen_ai.content.completion" => {
                self.output_recorded = true;
                self.texts(event, "gen_ai.completion", Role::Assistant, arena);
            }
            "gen_ai.client.inference.operation.details" => {
                fields.read(event.attributes);
                if let Value::Kvlist(body) = event.body {
                    fields.read(body);
                }
            }
            name if FIRST_TOKEN.contains(&name) => {
                let first = self.first_token_ns.unwrap_or(u64::MAX).min(event.time_ns);
                self.first_token_ns = Some(first);
            }
            _ => {}
        }
    }

    /// Reads message events that are one JSON list.
    pub fn read_list(&mut self, list: Value<'a>, arena: &'a Bump) {
        if matches!(list, Value::Empty) || self.input_recorded || self.output_recorded {
            return;
        }
        let items = Json::container(as_text(list, arena), arena).map(|json| json.items());
        let mut chosen = false;
        for event in items.into_iter().flatten().take(EVENTS_MAX) {
            let name = event.get("event.name").map_or("", |n| n.text(arena));
            let role = match name {
                "gen_ai.choice" => {
                    chosen = true;
                    self.choice_json(*event, arena);
                    continue;
                }
                "gen_ai.system.message" => Role::System,
                "gen_ai.assistant.message" => Role::Assistant,
                "gen_ai.tool.message" => Role::Tool,
                "gen_ai.user.message" => Role::User,
                "gen_ai.unknown" => role_of(*event, arena).unwrap_or(Role::User),
                _ => continue,
            };
            self.input_recorded = true;
            // What Logfire 3 has no words for (a refusal), it gives as it came.
            let said = event.get("data").filter(|_| name == "gen_ai.unknown");
            let read = messages::read(said.unwrap_or(*event).raw(), role, arena);
            self.input.extend_from_slice(read);
        }
        if !chosen {
            self.answer_last();
        }
    }

    /// In a list without a choice (Logfire 3, Responses API) the answer follows the question.
    fn answer_last(&mut self) {
        let answers = |m: &Message<'_>| m.role == Role::Assistant;
        let asked = self.input.iter().rposition(|m| !answers(m));
        let answer = self.input.split_off(asked.map_or(0, |at| at + 1));
        self.output_recorded |= !answer.is_empty();
        self.output.extend(answer);
    }

    fn exception(&mut self, attributes: &'a [Attribute<'a>], arena: &'a Bump) {
        for attribute in attributes {
            match attribute.key {
                "exception.type" => self.exception_type = plain_text(attribute.value, arena),
                "exception.message" => {
                    let text = attribute.value.as_str().unwrap_or_default();
                    if !text.is_empty() && !self.exception_messages.contains(&text) {
                        self.exception_messages.push(text);
                    }
                }
                _ => {}
            }
        }
    }

    fn message(&mut self, event: EventView<'a>, role: Role, arena: &'a Bump) {
        let Some(text) = payload(event, arena) else {
            return;
        };
        self.input_recorded = true;
        self.input
            .extend_from_slice(messages::read(text, role, arena));
    }

    fn choice(&mut self, event: EventView<'a>, arena: &'a Bump) {
        if let Some(content) = attribute(event.attributes, EVENT_CONTENT)
            && let Some(json) = Json::container(as_text(content, arena), arena)
        {
            self.choice_json(json, arena);
            return;
        }
        if let Value::Str(text) = event.body
            && let Some(json) = Json::container(text, arena).filter(|json| json.has("message"))
        {
            // Semantic Kernel writes its events by Python's logging: the body is a text.
            self.choice_json(json, arena);
            return;
        }
        let mut message = attribute(event.attributes, "message").map(|v| as_text(v, arena));
        let mut finish = attribute(event.attributes, "finish_reason").map(|v| plain_text(v, arena));
        if let Value::Kvlist(body) = event.body {
            if let Some(value) = attribute(body, "message").or(attribute(body, "content")) {
                message = Some(as_text(value, arena));
            }
            finish = attribute(body, "finish_reason")
                .map(|v| plain_text(v, arena))
                .or(finish);
        }
        self.finish_reason = finish.or(self.finish_reason);
        let Some(text) = message else { return };
        // With content off, and for an empty answer, the message has a role and nothing else.
        let says_nothing = Json::container(text, arena).is_some_and(|json| {
            json.is_object() && json.entries().iter().all(|(key, _)| *key == "role")
        });
        if says_nothing {
            self.choice_without_content = true;
            return;
        }
        self.output_recorded = true;
        self.output
            .extend_from_slice(messages::read(text, Role::Assistant, arena));
    }

    /// A choice whose payload is one JSON text.
    fn choice_json(&mut self, choice: Json<'a>, arena: &'a Bump) {
        let finish = choice.get("finish_reason").map(|f| f.text(arena));
        self.finish_reason = finish.or(self.finish_reason);
        if let Some(message) = choice.get("message") {
            self.output_recorded = true;
            let read = messages::read(message.raw(), Role::Assistant, arena);
            self.output.extend_from_slice(read);
        }
    }

    fn texts(&mut self, event: EventView<'a>, name: &str, role: Role, arena: &'a Bump) {
        let Some(value) = attribute(event.attributes, name) else {
            return;
        };
        let read = messages::read(as_text(value, arena), role, arena);
        let side = if role == Role::User {
            &mut self.input
        } else {
            &mut self.output
        };
        side.extend_from_slice(read);
    }
}

/// The text of a message event: its body, or the attribute that carries it.
fn payload<'a>(event: EventView<'a>, arena: &'a Bump) -> Option<&'a str> {
    match event.body {
        Value::Kvlist([]) | Value::Empty => ["content", EVENT_CONTENT]
            .into_iter()
            .find_map(|name| attribute(event.attributes, name))
            .map(|value| as_text(value, arena)),
        body => Some(as_text(body, arena)),
    }
}

fn as_text<'a>(value: Value<'a>, arena: &'a Bump) -> &'a str {
    match value {
        Value::Str(text) => text,
        other => value_to_json(other, arena),
    }
}

fn attribute<'a>(attributes: &'a [Attribute<'a>], key: &str) -> Option<Value<'a>> {
    attributes
        .iter()
        .rev()
        .find(|a| a.key == key)
        .map(|a| a.value)
}
