//! Secrets by their name: `"api_key": "..."`, `password=...`, an attribute called `authorization`.
//!
//! A name counts by how it ends (`client_secret`, `x-api-key`); `max_tokens` and `secretary` are no
//! such names. What is assigned must look like a secret, because code and prose speak of passwords
//! all day: quoted after a quoted name anything without blanks does, elsewhere only what no word is.

use std::ops::Range;

use super::{
    secrets::credential_end,
    text::{run_end, run_start},
};

/// Names of secrets by their endings, in small letters without `_`, `-`, `.` and spaces.
const NAMES: &[(&str, Name)] = &[
    ("apikey", Name::Key),
    ("accesskey", Name::Key),
    ("accountkey", Name::Key),
    ("sharedaccesskey", Name::Key),
    ("secretaccesskey", Name::Key),
    ("secretkey", Name::Key),
    ("privatekey", Name::Key),
    ("signingkey", Name::Key),
    ("encryptionkey", Name::Key),
    ("subscriptionkey", Name::Key),
    ("token", Name::Key),
    ("secret", Name::Key),
    ("clientsecret", Name::Key),
    ("password", Name::Password),
    ("passwd", Name::Password),
    ("passphrase", Name::Password),
    ("authorization", Name::Header),
    ("cookie", Name::Header),
    ("cookies", Name::Header),
];
/// Names that end so and are none.
const INNOCENT: &[&str] = &[
    "nexttoken",
    "pagetoken",
    "continuationtoken",
    "stoptoken",
    "eostoken",
    "bostoken",
    "padtoken",
    "firsttoken",
    "lasttoken",
    "pertoken",
    "unktoken",
    "timetofirsttoken",
    "septoken",
    "masktoken",
];
/// Words that stand where a value would.
const PLACEHOLDERS: &[&str] = &[
    "string",
    "null",
    "none",
    "true",
    "false",
    "undefined",
    "required",
    "optional",
    "redacted",
    "password",
    "secret",
    "token",
    "apikey",
    "changeme",
    "example",
    "object",
    "number",
    "integer",
];
/// Bytes of a name.
const NAME_BYTES_MAX: usize = 64;
const KEY_BYTES_MIN: usize = 8;
const PASSWORD_BYTES_MIN: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Key,
    Password,
    Header,
}

/// Does the value of an attribute with this key have to go as a whole?
pub(super) fn is_secret_key(key: &[u8]) -> bool {
    name_of(key).is_some()
}

/// The value that is assigned to the name around the clue at `at`.
pub(super) fn assigned(text: &[u8], at: usize) -> Option<Range<usize>> {
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
    let start = run_start(text, at, NAME_BYTES_MAX, is_name);
    let end = run_end(text, at, is_name);
    let name = name_of(text.get(start..end)?)?;
    let (quotes, after) = closing_quote(text, end);
    let blanks = |from| run_end(text, from, |b| b == b' ' || b == b'\t');
    let sign = blanks(after);
    let assigns = match text.get(sign) {
        Some(b'=' | b':') => text.get(sign + 1) != Some(&b'='),
        _ => false,
    };
    if !assigns {
        return None;
    }
    let from = blanks(run_end(text, sign + 1, |b| b == b'>'));
    let (opening, from) = closing_quote(text, from);
    if name == Name::Header {
        return header(text, from);
    }
    let to = match opening {
        Some(quote) => run_end(text, from, |b| {
            b.is_ascii_graphic() && b != quote && b != b'\\'
        }),
        None => run_end(text, from, |b| {
            b.is_ascii_graphic() && !b"\"'`\\,;&)}]<".contains(&b)
        }),
    };
    let closed = opening.is_none_or(|quote| match text.get(to) {
        Some(b) => *b == quote || *b == b'\\',
        None => true,
    });
    let value = text.get(from..to)?;
    let sure = quotes.is_some() && opening.is_some();
    (closed && is_secret(value, name, sure)).then_some(from..to)
}

/// A quote at `at`, escaped or not, and where it ends.
fn closing_quote(text: &[u8], at: usize) -> (Option<u8>, usize) {
    let escapes = run_end(text, at, |b| b == b'\\');
    match text.get(escapes) {
        Some(quote @ (b'"' | b'\'' | b'`')) => (Some(*quote), escapes + 1),
        _ => (None, at),
    }
}

/// The value of a header: behind its scheme if it has one; cookies to the end of the line.
fn header(text: &[u8], from: usize) -> Option<Range<usize>> {
    let word = run_end(text, from, |b| b.is_ascii_alphabetic());
    let scheme = text.get(from..word)?.to_ascii_lowercase();
    let schemes: [&[u8]; 4] = [b"bearer", b"basic", b"token", b"apikey"];
    if schemes.contains(&scheme.as_slice()) && text.get(word) == Some(&b' ') {
        let value = run_end(text, word, |b| b == b' ');
        let end = credential_end(text, value);
        return (end >= value + PASSWORD_BYTES_MIN).then_some(value..end);
    }
    let end = run_end(text, from, |b| {
        (b.is_ascii_graphic() && !b"\"'\\".contains(&b)) || b == b' '
    });
    let value = text.get(from..end)?;
    let opaque = value.iter().any(u8::is_ascii_digit);
    (value.len() >= KEY_BYTES_MIN && opaque).then_some(from..end)
}

fn is_secret(value: &[u8], name: Name, sure: bool) -> bool {
    let plain = String::from_utf8_lossy(value).to_ascii_lowercase();
    let stands_for = PLACEHOLDERS.contains(&plain.as_str())
        || value.first().is_some_and(|b| b"<${[(%*".contains(b))
        || value.iter().all(|b| b"*x.-_".contains(b))
        || plain.starts_with("your")
        || plain.starts_with("os.")
        || plain.starts_with("process.")
        || plain.starts_with("env.");
    if stands_for {
        return false;
    }
    let has = |test: fn(&u8) -> bool| value.iter().any(test);
    let digit = has(u8::is_ascii_digit);
    let letter = has(u8::is_ascii_alphabetic);
    let symbol = has(|b| b"!@#$%^&*+~?".contains(b));
    let code = has(|b| b"([{".contains(b));
    match (name, sure) {
        (Name::Password, true) => value.len() >= PASSWORD_BYTES_MIN,
        (Name::Password, false) => value.len() >= 6 && !code && (digit || symbol) && letter,
        (_, true) => value.len() >= KEY_BYTES_MIN && (digit || value.len() >= 20),
        (_, false) => value.len() >= KEY_BYTES_MIN && digit && letter && !code,
    }
}

/// What kind of secret a name ends in.
fn name_of(name: &[u8]) -> Option<Name> {
    let mut plain = [0u8; NAME_BYTES_MAX];
    let mut length = 0;
    let tail = name.len().saturating_sub(NAME_BYTES_MAX);
    let letters = name.get(tail..)?.iter();
    let letters = letters.filter(|b| b.is_ascii_alphanumeric());
    for (to, from) in plain.iter_mut().zip(letters) {
        *to = from.to_ascii_lowercase();
        length += 1;
    }
    let plain = plain.get(..length)?;
    let ends = |end: &&str| plain.ends_with(end.as_bytes());
    if INNOCENT.iter().any(&ends) {
        return None;
    }
    NAMES
        .iter()
        .find(|(end, _)| ends(end))
        .map(|(_, name)| *name)
}
