//! Error texts without secrets, short enough to store.
//!
//! Providers echo keys, and clients put tokens and addresses into messages. This is the last line
//! of defence for `error_message` only: redaction of content is a stage of its own.

use regex::Regex;
use std::borrow::Cow;
use std::sync::LazyLock;

/// Bytes of an error text that are stored.
pub(super) const MESSAGE_BYTES_MAX: usize = 1024;
/// Digits of the shortest payment card number.
const CARD_DIGITS_MIN: usize = 13;

/// Shapes of secrets: keys with a known prefix, JWTs, `Bearer x`, `api_key=x`, passwords in
/// URLs, e-mail addresses. A star inside is a key that the provider already masked in part.
static SECRET: LazyLock<Regex> = LazyLock::new(|| {
    let shapes = [
        r"\b(?:sk|pk|rk)-[A-Za-z0-9*_-]{4,}",
        r"\b(?:gsk_|hf_|r8_|ghp_|gho_|github_pat_|xai-|pplx-|nvapi-)[A-Za-z0-9*_-]{8,}",
        r"\bAIza[A-Za-z0-9_-]{20,}",
        r"\bya29\.[A-Za-z0-9_-]{10,}",
        r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}",
        r"\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]+){0,2}",
        r"(?i:bearer)\s+[A-Za-z0-9._~+/=*-]{8,}",
        r#"(?i:api[_-]?key|access[_-]?token|secret|password|authorization|[?&](?:key|token))['"]?\s*[:=]\s*['"]?(?i:(?:basic|bearer|token)\s+)?[A-Za-z0-9._~+/=*-]{6,}"#,
        r"://[^/\s:@]+:[^/\s@]+@",
        r"(?i:api key):? [^\s,;.]*[*]{3,}[^\s,;.]*",
        r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}",
    ];
    // A constant pattern, compiled by every test of this module.
    Regex::new(&shapes.join("|")).unwrap_or_else(|e| panic!("{e}"))
});

/// Shortens a text and, where `look` says that it may hold secrets, takes them out.
pub(super) fn redact(text: &str, look: bool) -> String {
    // A secret across the cut must not survive as a shorter, unrecognised one: redact first.
    let generous = text
        .get(..text.floor_char_boundary(MESSAGE_BYTES_MAX * 2))
        .unwrap_or("");
    let clean: Cow<'_, str> = match look {
        true => SECRET.replace_all(generous, "[redacted]"),
        false => generous.into(),
    };
    let digits = clean.bytes().filter(u8::is_ascii_digit).count();
    let clean = match digits < CARD_DIGITS_MIN {
        true => clean,
        false => without_cards(&clean).into_owned().into(),
    };
    let clean = clean.trim();
    clean
        .get(..clean.floor_char_boundary(MESSAGE_BYTES_MAX))
        .unwrap_or("")
        .to_owned()
}

/// Takes out payment card numbers: 13 to 19 digits, alone or in groups, with a valid check digit.
fn without_cards(text: &str) -> Cow<'_, str> {
    const DIGITS_MAX: usize = 19;
    let bytes = text.as_bytes();
    let is_word = |at: Option<usize>| {
        let byte = at.and_then(|at| bytes.get(at));
        byte.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_')
    };
    let (mut clean, mut kept, mut at) = (String::new(), 0, 0);
    while at < bytes.len() {
        // Cards begin with 3 to 6; times and counters do not.
        let starts = matches!(bytes.get(at), Some(b'3'..=b'6'));
        if !starts || is_word(at.checked_sub(1)) {
            at += 1;
            continue;
        }
        let (mut digits, mut end) = (Vec::with_capacity(DIGITS_MAX), at);
        for (next, byte) in bytes.iter().enumerate().skip(at) {
            match byte {
                b'0'..=b'9' if digits.len() <= DIGITS_MAX => {
                    digits.push(u32::from(byte - b'0'));
                    end = next + 1;
                }
                b' ' | b'-' if end == next => {}
                _ => break,
            }
        }
        let length = (CARD_DIGITS_MIN..=DIGITS_MAX).contains(&digits.len());
        if length && !is_word(Some(end)) && luhn(&digits) {
            clean.push_str(text.get(kept..at).unwrap_or(""));
            clean.push_str("[redacted]");
            kept = end;
        }
        at = end.max(at + 1);
    }
    if kept == 0 {
        return text.into();
    }
    clean.push_str(text.get(kept..).unwrap_or(""));
    clean.into()
}

/// The check digit of payment cards (ISO/IEC 7812).
fn luhn(digits: &[u32]) -> bool {
    let weigh = |(place, digit): (usize, &u32)| match place % 2 {
        0 => *digit,
        _ => digit * 2 / 10 + digit * 2 % 10,
    };
    digits.iter().rev().enumerate().map(weigh).sum::<u32>() % 10 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_tokens_and_addresses_go() {
        for (text, secret) in [
            ("Incorrect API key provided: sk-proj-abc123XYZ.", "abc123"),
            (
                "Incorrect API key provided: sk-ab***************wxyz.",
                "wxyz",
            ),
            ("header Bearer abcdefgh.ijkl was refused", "abcdefgh"),
            ("credential AKIAABCDEFGHIJKLMNOP is unknown", "ABCDEFGH"),
            (
                "token eyJhbGciOiJIUzI1NiJ9.eyJzdWIi.c2ln expired",
                "eyJhbGci",
            ),
            ("mail ops.team@example.co.uk for access", "ops.team"),
            (
                "GET https://x.test/v1?key=AIzaSyA1234567890abcdefghijk",
                "AIzaSy",
            ),
        ] {
            let clean = redact(text, true);
            assert!(
                clean.contains("[redacted]") && !clean.contains(secret),
                "{clean}"
            );
        }
    }

    #[test]
    fn card_numbers_go_and_other_numbers_stay() {
        for card in [
            "4111111111111111",
            "4111 1111 1111 1111",
            "5500-0055-5555-5559",
        ] {
            assert_eq!(redact(&format!("card {card}."), false), "card [redacted].");
        }
        for text in [
            "at 1767225600123",
            "4111111111111112",
            "id 4111111111111111a",
            "4 5 6",
        ] {
            assert_eq!(redact(text, false), text);
        }
    }

    #[test]
    fn ordinary_words_stay() {
        let text = "The max-tokens task-based risk-free secret: no @home (sk) key";
        assert_eq!(redact(text, true), text);
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        let clean = redact(&"错".repeat(2000), false);
        assert!(clean.len() <= MESSAGE_BYTES_MAX && clean.len() > MESSAGE_BYTES_MAX - 3);
    }
}
