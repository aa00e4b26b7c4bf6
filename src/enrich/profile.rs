//! Profile: counts and flags over what was said. Counts are of Unicode text, never of bytes.

use crate::call::{Call, Content, PartKind, Profile, Role};
use twox_hash::XxHash3_64;

/// The language is told from the beginning of the last user message.
const LANGUAGE_BYTES_MAX: usize = 200;
const LANGUAGE_CHARS_MIN: usize = 40;
/// So many words that only English has, and one in so many, make a text English.
const ENGLISH_HITS_MIN: u32 = 3;
const ENGLISH_ONE_IN: u32 = 10;

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
        let mut message_chars = 0u32;
        for part in message.parts.iter().filter(|p| p.kind == PartKind::Text) {
            message_chars = message_chars.saturating_add(chars(part.text));
            out.input_words = out.input_words.saturating_add(words(part.text));
            out.has_code |= memchr::memmem::find(part.text.as_bytes(), b"```").is_some();
            if message.role == Role::System && out.system_prompt_hash == 0 {
                out.system_prompt_hash = XxHash3_64::oneshot(part.text.as_bytes());
            }
        }
        out.input_chars = out.input_chars.saturating_add(message_chars);
        if message.role == Role::User {
            last_user = Some(message);
            out.user_chars = message_chars;
        }
    }
    let Some(user) = last_user else { return };
    let mut texts = user
        .parts
        .iter()
        .filter(|p| p.kind == PartKind::Text)
        .map(|p| p.text);
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
    tally(text.bytes().map(|b| (b & 0xC0) != 0x80))
}

/// Runs of anything but ASCII white space.
fn words(text: &str) -> u32 {
    let bytes = text.as_bytes();
    let next = bytes.get(1..).unwrap_or(&[]);
    let ends = tally(bytes.iter().zip(next).map(|(a, b)| *a > b' ' && *b <= b' '));
    let last = bytes.last().is_some_and(|b| *b > b' ');
    ends.saturating_add(u32::from(last))
}

/// How many are true. Sums in `u32` lanes, which the compiler makes vector code of.
fn tally(tests: impl Iterator<Item = bool>) -> u32 {
    tests.map(u32::from).fold(0, u32::wrapping_add)
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

/// Says the words of no other language so often? Most prompts are English, and comparing trigrams
/// with every language costs far more than all the rest of a profile.
fn is_english(sample: &str) -> bool {
    const WORDS: [&str; 14] = [
        "the", "and", "that", "this", "with", "you", "your", "what", "which", "how", "from",
        "have", "should", "please",
    ];
    let mut words = 0;
    let mut hits = 0;
    for word in sample.split(|c: char| !c.is_alphabetic()) {
        words += u32::from(!word.is_empty());
        // The lengths first: the shortest word has three letters, the longest six.
        let is_hit =
            (3..=6).contains(&word.len()) && WORDS.iter().any(|w| word.eq_ignore_ascii_case(w));
        hits += u32::from(is_hit);
    }
    hits >= ENGLISH_HITS_MIN && hits * ENGLISH_ONE_IN >= words
}

/// ISO 639-3 of a text long enough to be sure about.
fn language(text: &str) -> &'static str {
    let sample = text
        .get(..text.floor_char_boundary(LANGUAGE_BYTES_MAX))
        .unwrap_or("");
    if sample.chars().take(LANGUAGE_CHARS_MIN).count() < LANGUAGE_CHARS_MIN {
        return "";
    }
    if is_english(sample) {
        return "eng";
    }
    whatlang::detect(sample)
        .filter(whatlang::Info::is_reliable)
        .map_or("", |i| i.lang().code())
}
