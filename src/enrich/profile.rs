//! Profile: counts and flags over what was said. Counts are of Unicode text, never of bytes.

use crate::call::{Call, Content, PartKind, Profile, Role};
use twox_hash::XxHash3_64;

/// The language is told from the beginning of the last user message.
const LANGUAGE_BYTES_MAX: usize = 200;
const LANGUAGE_CHARS_MIN: usize = 40;

/// Profiles both sides of a call; all zero where content was not recorded.
pub fn profile(call: &Call<'_>) -> Profile {
    let mut out = Profile::default();
    input(&call.input, &mut out);
    for part in call.output.messages.iter().flat_map(|m| m.parts) {
        match part.kind {
            PartKind::Text => out.output_chars = out.output_chars.saturating_add(chars(part.text)),
            PartKind::ToolCall if !out.tool_names.iter().any(|n| n == part.name) => {
                out.tool_names.push(part.name.to_owned())
            }
            _ => {}
        }
    }
    let has = |kind| {
        call.output
            .messages
            .iter()
            .flat_map(|m| m.parts)
            .any(|p| p.kind == kind)
    };
    if has(PartKind::Reasoning) && out.output_chars == 0 && out.tool_names.is_empty() {
        out.output_flags.push("reasoning_only");
    }
    out
}

fn input(content: &Content<'_>, out: &mut Profile) {
    if !content.recorded {
        return;
    }
    out.prompt_hash = XxHash3_64::oneshot(content.text.as_bytes());
    out.message_count = u32::try_from(content.messages.len()).unwrap_or(u32::MAX);
    let mut last_user = None;
    for message in content.messages {
        for part in message.parts.iter().filter(|p| p.kind == PartKind::Text) {
            out.input_chars = out.input_chars.saturating_add(chars(part.text));
            out.input_words = out.input_words.saturating_add(words(part.text));
            out.has_code |= part.text.contains("```");
            if message.role == Role::System && out.system_prompt_hash == 0 {
                out.system_prompt_hash = XxHash3_64::oneshot(part.text.as_bytes());
            }
        }
        if message.role == Role::User {
            last_user = Some(message);
        }
    }
    let Some(user) = last_user else { return };
    let mut texts = user
        .parts
        .iter()
        .filter(|p| p.kind == PartKind::Text)
        .map(|p| p.text);
    out.user_chars = texts
        .clone()
        .fold(0, |sum: u32, t| sum.saturating_add(chars(t)));
    let media = user.parts.iter().any(|p| p.kind != PartKind::Text);
    if !media && texts.clone().all(|t| t.trim().is_empty()) {
        out.input_flags.push("empty_input");
    }
    if texts.clone().any(unfilled) {
        out.input_flags.push("unfilled_placeholder");
    }
    out.language = texts.next().map_or("", language);
}

/// Unicode scalar values: every byte that does not continue one.
fn chars(text: &str) -> u32 {
    let count = text.bytes().filter(|b| (b & 0xC0) != 0x80).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Runs of anything but ASCII white space.
fn words(text: &str) -> u32 {
    let bytes = text.as_bytes();
    let ends = bytes
        .windows(2)
        .filter(|w| matches!(w, [a, b] if *a > b' ' && *b <= b' '))
        .count();
    let last = bytes.last().is_some_and(|b| *b > b' ');
    u32::try_from(ends + usize::from(last)).unwrap_or(u32::MAX)
}

/// Did a template reach the model with its holes? Only texts that are nothing else, or that hold
/// a value no person writes: prompts about templates are common.
fn unfilled(text: &str) -> bool {
    let text = text.trim();
    let hole = |open: &str, close: &str| {
        let inside = text.strip_prefix(open).and_then(|t| t.strip_suffix(close));
        inside.is_some_and(|t| {
            !t.is_empty()
                && t.trim()
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"_.".contains(&b))
        })
    };
    hole("{{", "}}") || hole("{", "}") || text == "undefined" || text == "[object Object]"
}

/// ISO 639-3 of a text long enough to be sure about.
fn language(text: &str) -> &'static str {
    let sample = text
        .get(..text.floor_char_boundary(LANGUAGE_BYTES_MAX))
        .unwrap_or("");
    if sample.chars().take(LANGUAGE_CHARS_MIN).count() < LANGUAGE_CHARS_MIN {
        return "";
    }
    whatlang::detect(sample)
        .filter(whatlang::Info::is_reliable)
        .map_or("", |i| i.lang().code())
}
