//! Profile: counts and flags over what was said. Counts are of Unicode text, never of bytes.

use twox_hash::XxHash3_64;

use super::{
    language::language,
    suspicion::{self, Signs},
};
use crate::call::{Call, Content, PartKind, Profile, Role};

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
                out.output_chars = out.output_chars.saturating_add(count(part.text).chars);
                if suspicion::repeats(part.text) && out.output_flags.is_empty() {
                    out.output_flags.push("repeated_tokens");
                }
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
    if !out.tool_names.is_empty() {
        out.tool_flags = super::tools::flags(call);
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
            out.has_code =
                out.has_code || message.role == Role::User && suspicion::has_code(part.text);
            if message.role == Role::System && out.system_prompt_hash == 0 {
                out.system_prompt_hash = XxHash3_64::oneshot(part.text.as_bytes());
            }
        }
        if message.role == Role::User {
            last_user = Some(message);
            out.user_chars = chars;
        }
    }
    flags(content, out);
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
    if !media && texts.clone().all(suspicion::collapsed) {
        out.input_flags.push("input_collapsed");
    }
    out.language = texts.next().map_or("", language_of);
}

/// What is suspicious about the input as a whole. Templates are the system's and the user's; what
/// the model and its tools said is theirs.
fn flags(content: &Content<'_>, out: &mut Profile) {
    let texts = |roles: &'static [Role]| {
        let messages = content.messages.iter();
        let messages = messages.filter(|m| roles.contains(&m.role));
        let parts = messages.flat_map(|m| m.parts);
        parts.filter(|p| p.kind == PartKind::Text).map(|p| p.text)
    };
    const ASKED: &[Role] = &[Role::System, Role::User];
    const ALL: &[Role] = &[Role::System, Role::User, Role::Assistant, Role::Tool];
    let (mut unfilled, mut no_context, mut documents) = (false, false, 0);
    for text in texts(ASKED) {
        let signs = Signs::of(text);
        unfilled = unfilled || suspicion::unfilled(text, signs);
        no_context = no_context || suspicion::empty_context(text, signs);
        documents += self::documents(text, signs);
    }
    out.context_documents = u16::try_from(documents).unwrap_or(u16::MAX);
    let mut flag = |name: &'static str, holds: bool| {
        if holds {
            out.input_flags.push(name);
        }
    };
    flag("unfilled_placeholder", unfilled);
    flag("empty_context", no_context);
    flag("duplicated_message", suspicion::duplicated(content));
    flag("history_cut", suspicion::history_is_cut(content));
    const PERSONAL: [&str; 5] = ["email", "card", "phone", "iban", "ssn"];
    let (mut secret, mut personal) = (false, false);
    for id in texts(ALL).flat_map(marks) {
        let is_personal = PERSONAL.contains(&id);
        personal |= is_personal;
        secret |= !is_personal;
    }
    flag("secret", secret);
    flag("personal_data", personal);
}

/// The ids of what was redacted from a text (the marks of [`redact`](crate::redact)).
fn marks(text: &str) -> impl Iterator<Item = &str> {
    const MARK: &str = "[redacted:";
    // What is too short for the long mark has a short one: `[phone]****`.
    const SHORT: [&str; 8] = [
        "email",
        "card",
        "phone",
        "iban",
        "ssn",
        "password",
        "secret",
        "aws_key_id",
    ];
    memchr::memchr_iter(b'[', text.as_bytes()).filter_map(|at| {
        let rest = text.get(at + 1..)?;
        let end = memchr::memchr2(b']', b'[', rest.as_bytes())?;
        let (id, after) = (rest.get(..end)?, rest.get(end..)?.strip_prefix(']')?);
        match id.strip_prefix(&MARK[1..]) {
            Some(id) => Some(id),
            None => (after.starts_with('*') && SHORT.contains(&id)).then_some(id),
        }
    })
}

/// Retrieved documents in a prompt, by the tags around them or the numbers before them.
fn documents(text: &str, signs: Signs) -> usize {
    match signs.tagged {
        0 if signs.worded => numbered(text),
        tagged => tagged,
    }
}

/// `Document 1:`, `[2] `: how far they count up at the beginnings of lines.
fn numbered(text: &str) -> usize {
    let begins = |n: usize| {
        let heads = [
            format!("Document {n}:"),
            format!("[Document {n}]"),
            format!("Source {n}:"),
            format!("Doc {n}:"),
            format!("[{n}] "),
        ];
        text.lines()
            .any(|line| heads.iter().any(|h| line.trim_start().starts_with(h)))
    };
    (1..64).take_while(|n| begins(*n)).count()
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
