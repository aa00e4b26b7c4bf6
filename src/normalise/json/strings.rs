//! Strings of a JSON text: where they end, and what they say without their escapes.

use bumpalo::{Bump, collections::String as ArenaString};

/// The position of the closing quote, or the end of a text that was cut; and whether there is a
/// backslash before it.
pub fn string_end(bytes: &[u8], start: usize, quote: u8) -> (usize, bool) {
    let mut at = start;
    // Keys and words end before a vector search has begun.
    for _ in 0..2 {
        let plain = plain_of_eight(bytes, at, quote);
        at += plain;
        if plain < 8 {
            break;
        }
    }
    let mut escaped = false;
    loop {
        match bytes.get(at) {
            Some(byte) if *byte == quote => return (at, escaped),
            Some(b'\\') => {
                escaped = true;
                // Of a text cut after a backslash, this may stand inside a character.
                at = (at + 2).min(bytes.len());
            }
            _ => {
                let rest = bytes.get(at..).unwrap_or_default();
                match memchr::memchr2(quote, b'\\', rest) {
                    Some(found) => at += found,
                    None => return (bytes.len(), escaped),
                }
            }
        }
    }
}

/// How many of the eight bytes at `at` stand before the first quote or backslash; 0 near the end.
#[inline]
fn plain_of_eight(bytes: &[u8], at: usize, quote: u8) -> usize {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    const ONES: u64 = 0x0101_0101_0101_0101;
    let Some(eight) = bytes.get(at..).and_then(|rest| rest.first_chunk()) else {
        return 0;
    };
    // The high bit of each zero byte; above the first one there may be false ones.
    let zeros = |x: u64| x.wrapping_sub(ONES) & !x & HIGH;
    let eight = u64::from_le_bytes(*eight);
    let found = [quote, b'\\'].map(|byte| zeros(eight ^ (ONES * u64::from(byte))));
    let found = found[0] | found[1];
    found.trailing_zeros() as usize / 8
}

/// Resolves the escapes of a JSON or Python string.
pub fn unescape<'a>(text: &'a str, arena: &'a Bump) -> &'a str {
    let mut out = ArenaString::with_capacity_in(text.len(), arena);
    let mut rest = text;
    while let Some(slash) = memchr::memchr(b'\\', rest.as_bytes()) {
        out.push_str(&rest[..slash]);
        let mut after = rest[slash + 1..].chars();
        match after.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('u') => {
                let (letter, left) = unicode_escape(after.as_str());
                out.push(letter);
                rest = left;
                continue;
            }
            Some('x') => {
                let (letter, left) = hex_escape(after.as_str());
                out.push(letter);
                rest = left;
                continue;
            }
            Some(other) => out.push(other),
            None => {}
        }
        rest = after.as_str();
    }
    out.push_str(rest);
    out.into_bump_str()
}

/// `\uXXXX`, with a second half when the first is a surrogate; a lone half becomes U+FFFD.
fn unicode_escape(text: &str) -> (char, &str) {
    let unit = |t: &str| t.get(..4).and_then(|hex| u32::from_str_radix(hex, 16).ok());
    let Some(first) = unit(text) else {
        return ('\u{fffd}', text);
    };
    let rest = &text[4..];
    if (0xd800..0xdc00).contains(&first)
        && let Some(second) = rest.strip_prefix("\\u").and_then(unit)
        && (0xdc00..0xe000).contains(&second)
    {
        let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        return (char::from_u32(code).unwrap_or('\u{fffd}'), &rest[6..]);
    }
    (char::from_u32(first).unwrap_or('\u{fffd}'), rest)
}

/// Python's `\xXX`.
fn hex_escape(text: &str) -> (char, &str) {
    match text
        .get(..2)
        .and_then(|hex| u8::from_str_radix(hex, 16).ok())
    {
        Some(code) => (char::from(code), &text[2..]),
        None => ('\u{fffd}', text),
    }
}
