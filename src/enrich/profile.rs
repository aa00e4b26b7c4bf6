//! Profile: counts and flags over what was said. Counts are of Unicode text, never of bytes.

use super::language::language;
use crate::call::{Call, Content, PartKind, Profile, Role};
use twox_hash::XxHash3_64;

/// The language is told from the beginning of the last user message.
const LANGUAGE_BYTES_MAX: usize = 240;
/// A shorter text is not told apart.
const LANGUAGE_BYTES_MIN: usize = 20;

/// Profiles both sides of a call; all zero where content was not recorded.
pub fn profile(call: &Call<'_>) -> Profile {
    let mut out = Profile::default();
    input(&call.input, &mut out);
    for part in call.output.messages.iter().flat_map(|m| m.parts) {
        match part.kind {
            PartKind::Text => {
                out.output_chars = out.output_chars.saturating_add(count(part.text).chars)
            }
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
        let mut chars = 0u32;
        for part in message.parts.iter().filter(|p| p.kind == PartKind::Text) {
            let counts = count(part.text);
            chars = chars.saturating_add(counts.chars);
            out.input_chars = out.input_chars.saturating_add(counts.chars);
            out.input_words = out.input_words.saturating_add(counts.words);
            out.has_code = out.has_code || has_fence(part.text);
            if message.role == Role::System && out.system_prompt_hash == 0 {
                out.system_prompt_hash = XxHash3_64::oneshot(part.text.as_bytes());
            }
        }
        if message.role == Role::User {
            last_user = Some(message);
            out.user_chars = chars;
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
    out.language = texts.next().map_or("", language_of);
}

/// Is there a code fence? Texts without a single backtick are asked nothing more.
fn has_fence(text: &str) -> bool {
    let from = memchr::memchr(b'`', text.as_bytes());
    let rest = from.and_then(|at| text.as_bytes().get(at..));
    rest.is_some_and(|rest| memchr::memmem::find(rest, b"```").is_some())
}

/// Unicode scalar values, and runs of anything but ASCII white space.
#[derive(Default)]
struct Counts {
    chars: u32,
    words: u32,
}

/// Bytes whose counts fit in a byte each: short sums in narrow lanes are what makes the compiler
/// use vector instructions here.
const LANE: usize = 240;

fn count(text: &str) -> Counts {
    let Some((first, rest)) = text.as_bytes().split_first() else {
        return Counts::default();
    };
    let (mut chars, mut words) = (1usize, usize::from(*first > b' '));
    // Each byte after the first with the one before it.
    for (before, chunk) in text.as_bytes().chunks(LANE).zip(rest.chunks(LANE)) {
        let (mut begun, mut entered) = (0u8, 0u8);
        for (a, b) in before.iter().zip(chunk) {
            // A character begins at every byte that does not continue one.
            begun += u8::from((b & 0xC0) != 0x80);
            // A word begins where a visible byte follows a blank.
            entered += u8::from(*a <= b' ') & u8::from(*b > b' ');
        }
        chars += usize::from(begun);
        words += usize::from(entered);
    }
    let clamp = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Counts {
        chars: clamp(chars),
        words: clamp(words),
    }
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

/// The language of the beginning of a text that is long enough to tell.
fn language_of(text: &str) -> &'static str {
    let end = text.floor_char_boundary(LANGUAGE_BYTES_MAX);
    let sample = text.get(..end).unwrap_or("");
    if sample.len() < LANGUAGE_BYTES_MIN {
        ""
    } else {
        language(sample)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_of_text_not_of_bytes() {
        let naive = |text: &str| {
            let words = text.split(|c: char| c <= ' ').filter(|w| !w.is_empty());
            (text.chars().count() as u32, words.count() as u32)
        };
        let long = "wörter und  mehr\n\twörter ".repeat(40);
        for text in [
            "",
            " ",
            "a",
            " a b ",
            "héllo wörld",
            "日本語 です",
            &long,
            &long[..240],
            &long[1..],
        ] {
            let got = count(text);
            assert_eq!((got.chars, got.words), naive(text), "{text:?}");
        }
    }
}
