//! An error text made easy to compare, and what can be read out of it.
//!
//! Error bodies reach a collector as JSON, as a Python repr, as JSON inside a string inside either,
//! or as prose, often cut. Instead of parsing each, the text is folded once (lower case, escapes
//! and line breaks gone, stack frames left out) and walked once by the automaton of the
//! signatures; values are read right after the keys it meets, so a cut text loses only what was
//! cut off. Values are hints for the signatures, never a verdict.

mod duration;
mod fold;
mod marker;
mod status;
mod words;

pub(super) use fold::fold;
pub(super) use marker::Marker;
pub(super) use words::code_words;

use super::signature::{LiteralSet, Signatures};
use duration::duration_ms;
use status::{leading_status, named_status, status, status_within};
use std::borrow::Cow;

/// Codes and types are short words.
const VALUE_BYTES_MAX: usize = 80;
/// Values kept of one text.
const VALUES_MAX: usize = 16;

/// What stands between the names of packages and of a class: Java, PHP, C++ and Ruby, inner classes.
pub(super) const CLASS_SEPARATORS: [char; 5] = ['.', '\\', ':', '$', '#'];

/// What one pass over a folded text found.
pub(super) struct Findings<'t> {
    pub literals: LiteralSet,
    pub providers: u64,
    pub codes: Vec<Cow<'t, str>>,
    pub status: Option<u16>,
    pub delay_ms: Option<u64>,
    pub has_request_id: bool,
    pub has_secret: bool,
}

/// Walks a folded text once.
pub(super) fn walk<'t>(table: &Signatures, text: &'t str) -> Findings<'t> {
    let mut found = Findings {
        literals: LiteralSet::new(),
        providers: 0,
        codes: Vec::new(),
        status: None,
        delay_ms: None,
        has_request_id: false,
        has_secret: false,
    };
    prefixes(text, &mut found.codes);
    found.status = leading_status(text);
    let mut by_name = None;
    for hit in table.automaton.find_overlapping_iter(text) {
        let number = hit.pattern().as_usize();
        let Some(literal) = table.literals.get(number) else {
            continue;
        };
        if !literal.stands_in(text, hit.start(), hit.end()) {
            continue;
        }
        found.literals.insert(number);
        found.providers |= literal.provider;
        let Some(marker) = literal.marker else {
            continue;
        };
        let after = text.get(hit.end()..).unwrap_or("");
        match marker {
            // One literal can announce a code and a status: both readers look.
            Marker::Code | Marker::Status => {
                if found.codes.len() < VALUES_MAX && marker_reads_code(&literal.text) {
                    found.codes.extend(value(after).map(Cow::Borrowed));
                }
                if found.status.is_none() {
                    found.status = status(after);
                }
                if by_name.is_none() {
                    by_name = named_status(after);
                }
            }
            Marker::Delay => found.delay_ms = found.delay_ms.or_else(|| duration_ms(after)),
            Marker::RequestId => found.has_request_id = true,
            Marker::Secret => found.has_secret |= may_be_secret(&literal.text, text, &hit),
        }
    }
    found.status = found.status.or(by_name).or_else(|| status_within(text));
    found
}

/// Is there what makes a secret of a mark, or is it a link, a code sample, a word of prose?
fn may_be_secret(mark: &str, text: &str, hit: &aho_corasick::Match) -> bool {
    let before = text.get(..hit.start()).unwrap_or("");
    let after = text.get(hit.end()..).unwrap_or("");
    let alphanumeric = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    match mark {
        // A name and password before the host.
        "://" => {
            let host = after.find(['/', ' ', '"', '\'']).unwrap_or(after.len());
            after.get(..host).is_some_and(|host| host.contains('@'))
        }
        "@" => alphanumeric(after.bytes().next()) && !before.ends_with([' ', '"', '/']),
        "sk-" | "pk-" | "rk-" | "eyj" | "akia" | "asia" | "hf_" | "r8_" => {
            boundary_before(text, hit.start())
        }
        _ => true,
    }
}

fn marker_reads_code(literal: &str) -> bool {
    literal.ends_with(['"', '\'', ':', '(', '=', '.'])
        || ["error code ", "code = "].contains(&literal)
}

pub(super) fn boundary_before(text: &str, at: usize) -> bool {
    let before = text.as_bytes().get(at.wrapping_sub(1));
    !before.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_')
}

pub(super) fn boundary_after(text: &str, at: usize) -> bool {
    let after = text.as_bytes().get(at);
    !after.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_')
}

/// The word after a key, without its quotes.
fn value(after: &str) -> Option<&str> {
    let after = after.trim_start_matches([' ', '"', '\'', '(']);
    let end = after
        .find(|c: char| !(c.is_ascii_alphanumeric() || "_-./#".contains(c)))
        .unwrap_or(after.len());
    let word = after.get(..end)?.trim_end_matches('.');
    // `com.amazonaws.bedrock#ThrottlingException`: the shape's name is the code.
    let word = word.rsplit('#').next().unwrap_or(word);
    (!word.is_empty() && word.len() <= VALUE_BYTES_MAX && !["none", "null"].contains(&word))
        .then_some(word)
}

/// Class names and codes in front of a colon or dash: `litellm.X: YException - `, `(Code) text`.
fn prefixes<'t>(text: &'t str, out: &mut Vec<Cow<'t, str>>) {
    // Some recorders have the code in the place of the text.
    let whole = text.trim();
    if whole.len() <= VALUE_BYTES_MAX && whole.contains('_') && !whole.contains([' ', ':', '"']) {
        out.extend(value(whole).map(Cow::Borrowed));
    }
    for line in text.split('\n').take(4) {
        if let Some((code, _)) = line.strip_prefix('(').and_then(|l| l.split_once(')')) {
            out.extend(value(code).map(Cow::Borrowed));
        }
        let head = line.get(..line.floor_char_boundary(400)).unwrap_or("");
        for (at, word) in head.split([' ', '(', '[', ']', ')']).enumerate() {
            let trimmed = word.trim_end_matches([':', ',']);
            let class = trimmed.ends_with("exception") || trimmed.ends_with("error");
            if !class && !word.ends_with(':') {
                continue;
            }
            let name = trimmed.rsplit(CLASS_SEPARATORS).next().unwrap_or("");
            // `too many requests: ...` is prose: a code inside a line has the form of one.
            let told = class || at == 0 || name.contains('_');
            let plain = name.len() > 3
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
            if told && plain && name.len() <= VALUE_BYTES_MAX && out.len() < VALUES_MAX / 2 {
                out.push(Cow::Borrowed(name));
            }
        }
    }
}
