//! What a JSON value is in a conversation: a message, a part of one, a role.

use bumpalo::Bump;

use crate::{call::Role, normalise::json::Json};

/// A message has a role, or a type that is one, or the fields only a message has.
pub fn is_message(json: Json<'_>) -> bool {
    let has = |key| json.has(key);
    if has("role") && !has("messages") && !has("choices") && !has("candidates") {
        return true;
    }
    if let Some(kind) = json.get("type") {
        let kind = kind.word();
        if role_word(kind).is_some() || matches!(kind, "message" | "constructor") {
            return has("content") || has("kwargs") || has("data");
        }
    }
    has("parts") || (has("tool_calls") && has("content"))
}

/// A part is a text or an object that says what kind of content it is.
pub fn is_part(json: Json<'_>) -> bool {
    // OpenAI's bodies say in `object` what they are; a response has a `text`, too: its format.
    if json.has("role") || json.has("message") || json.has("object") {
        return false;
    }
    let typed = json
        .get("type")
        .is_some_and(|t| role_word(t.word()).is_none());
    typed && !json.has("kwargs")
        || [
            "text",
            "functionCall",
            "function_call",
            "toolUse",
            "toolRequest",
            "tool_call",
            "tool_call_result",
            "toolCallId",
            "inlineData",
        ]
        .iter()
        .any(|key| json.has(key))
}

/// Who speaks, by whatever field tells it.
pub fn role_of<'a>(json: Json<'a>, arena: &'a Bump) -> Option<Role> {
    let word = |key| json.get(key).map_or("", |v: Json<'a>| v.text(arena));
    role_word(word("role"))
        .or_else(|| role_word(word("type")))
        .or_else(|| {
            // LangChain: `"id": ["langchain", "schema", "messages", "HumanMessage"]`.
            let class = json.get("id")?.items().last()?.text(arena);
            role_word(
                class
                    .strip_suffix("Message")
                    .or(class.strip_suffix("MessageChunk"))?,
            )
        })
}

/// Who a role word means, in any spelling.
pub fn role_word(word: &str) -> Option<Role> {
    // Frameworks write `Role.USER` and `models/model`.
    let word = match memchr::memrchr2(b'.', b'/', word.as_bytes()) {
        Some(at) => word.get(at + 1..).unwrap_or(""),
        None => word,
    };
    // Compared without a copy in lower case: every part of every message asks.
    const WORDS: [(Role, &[&str]); 4] = [
        (Role::System, &["system", "developer"]),
        (Role::User, &["user", "human"]),
        (
            Role::Assistant,
            &["assistant", "ai", "model", "chatbot", "aimessagechunk"],
        ),
        (
            Role::Tool,
            &["tool", "function", "ipython", "tool_response"],
        ),
    ];
    WORDS
        .iter()
        .find(|(_, words)| words.iter().any(|w| w.eq_ignore_ascii_case(word)))
        .map(|(role, _)| *role)
}
