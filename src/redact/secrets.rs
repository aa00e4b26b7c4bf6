//! Secrets by their shape: tokens with a known beginning, JSON Web Tokens, authorization schemes,
//! private key blocks, passwords in URLs.
//!
//! Every function is given a text and the place of a clue in it, and says which bytes have to go.

use std::ops::Range;

use base64::Engine as _;

use super::{
    rules::Token,
    text::{begins_word, is_mixed, run_end, run_start},
};

/// Base64url parts of a token: header, claims, signature.
const JWT_PART_BYTES_MIN: usize = 8;
const CREDENTIAL_BYTES_MIN: usize = 8;
/// Bytes of `user:password` in a URL that are looked back for.
const USERINFO_BYTES_MAX: usize = 256;
/// Between `-----BEGIN` and `PRIVATE KEY`.
const KEY_KIND_BYTES_MAX: usize = 40;

/// A token whose beginning, `start` bytes long, is at `at`.
pub(super) fn token(row: &Token, start: usize, text: &[u8], at: usize) -> Option<Range<usize>> {
    let from = at + start;
    let mut end = run_end(text, from, |b| row.chars.has(b));
    // The full stop after a sentence, a hyphen that goes on.
    while end > from && matches!(text.get(end - 1), Some(b'.' | b'-')) {
        end -= 1;
    }
    let tail = text.get(from..end)?;
    let fits = tail.len() >= row.min && (!row.mixed || is_mixed(tail));
    let before = at.checked_sub(1).and_then(|i| text.get(i));
    let begins = begins_word(text, at) && before != Some(&b'-');
    (fits && begins).then_some(at..end)
}

/// `eyJ....eyJ....signature`, the signature cut or missing.
pub(super) fn json_web_token(text: &[u8], at: usize) -> Option<Range<usize>> {
    let part = |from| {
        run_end(text, from, |b| {
            b.is_ascii_alphanumeric() || b"_-".contains(&b)
        })
    };
    let header = part(at);
    if header - at < JWT_PART_BYTES_MIN || text.get(header) != Some(&b'.') {
        return None;
    }
    let claims = part(header + 1);
    if claims - header <= JWT_PART_BYTES_MIN {
        return None;
    }
    let end = match text.get(claims) {
        Some(b'.') => part(claims + 1),
        _ => claims,
    };
    begins_word(text, at).then_some(at..end)
}

/// `Bearer x`, where the word is `word` bytes long.
pub(super) fn bearer(word: usize, text: &[u8], at: usize) -> Option<Range<usize>> {
    let from = run_end(text, at + word, |b| b == b' ');
    let end = credential_end(text, from);
    let value = text.get(from..end)?;
    let opaque = value.iter().any(|b| b.is_ascii_digit() || *b == b'_');
    (value.len() >= CREDENTIAL_BYTES_MIN && opaque).then_some(from..end)
}

/// `Basic x`: base64 of `user:password`.
pub(super) fn basic(word: usize, text: &[u8], at: usize) -> Option<Range<usize>> {
    let from = run_end(text, at + word, |b| b == b' ');
    let end = run_end(text, from, |b| {
        b.is_ascii_alphanumeric() || b"+/=".contains(&b)
    });
    let value = text.get(from..end)?;
    let engine = base64::engine::general_purpose::STANDARD_NO_PAD;
    let decoded = engine.decode(value.trim_ascii_end_of(b'=')).ok()?;
    let pair = decoded.contains(&b':') && decoded.iter().all(|b| (b' '..0x7f).contains(b));
    (value.len() >= CREDENTIAL_BYTES_MIN && pair).then_some(from..end)
}

/// Where the value of an authorization header ends.
pub(super) fn credential_end(text: &[u8], from: usize) -> usize {
    run_end(text, from, |b| {
        b.is_ascii_alphanumeric() || b"._~+/=*-".contains(&b)
    })
}

/// From `-----BEGIN ... PRIVATE KEY` to its end, or to the end of a text that was cut.
pub(super) fn private_key(text: &[u8], at: usize) -> Option<Range<usize>> {
    let rest = text.get(at..)?;
    let head = rest.get(..rest.len().min(KEY_KIND_BYTES_MAX))?;
    memchr::memmem::find(head, b"PRIVATE KEY")?;
    let end = memchr::memmem::find(rest, b"-----END").map_or(rest.len(), |end| {
        let dashes = rest.get(end + 8..).unwrap_or_default();
        let close = memchr::memmem::find(dashes, b"-----");
        close.map_or(rest.len(), |close| end + 8 + close + 5)
    });
    // A cut text may go on with something else: stop at what no key block has.
    let stop = run_end(rest, 10, |b| {
        b.is_ascii_graphic() && b != b'"' || b == b' ' || b == b'\n' || b == b'\r'
    });
    Some(at..at + end.min(stop.max(10)))
}

/// The password of `scheme://user:password@host`, whose `@` is at `at`.
pub(super) fn url_password(text: &[u8], at: usize) -> Option<Range<usize>> {
    let in_userinfo = |b: u8| b.is_ascii_graphic() && !b"/\"'<>?#`\\".contains(&b);
    let start = run_start(text, at, USERINFO_BYTES_MAX, in_userinfo);
    let before = text.get(..start)?;
    // The scheme's own colon ends in slashes, which stop the run.
    if !before.ends_with(b"//") {
        return None;
    }
    let info = text.get(start..at)?;
    let colon = memchr::memchr(b':', info)?;
    let password = start + colon + 1;
    (password < at).then_some(password..at)
}

/// Bytes without what stands at their end.
trait TrimEndOf {
    fn trim_ascii_end_of(&self, byte: u8) -> &[u8];
}

impl TrimEndOf for [u8] {
    fn trim_ascii_end_of(&self, byte: u8) -> &[u8] {
        let end = self.iter().rposition(|b| *b != byte).map_or(0, |i| i + 1);
        self.get(..end).unwrap_or_default()
    }
}
