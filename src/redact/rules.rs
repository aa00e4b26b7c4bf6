//! The table of secrets that are known by how they begin: `rules/redaction.toml`, compiled.

use std::sync::LazyLock;

use serde::Deserialize;

/// The rows that are compiled in.
const BUILTIN: &str = include_str!("../../rules/redaction.toml");
/// The search needs this many bytes of every beginning.
const START_BYTES_MIN: usize = 3;

/// A kind of secret.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Token {
    pub id: String,
    pub starts: Vec<String>,
    pub chars: Chars,
    pub min: usize,
    /// A digit or a capital must be among the characters.
    #[serde(default)]
    pub mixed: bool,
}

/// Which characters follow the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum Chars {
    /// Letters, digits, `_`.
    #[serde(rename = "word")]
    Word,
    #[serde(rename = "word-")]
    WordDash,
    #[serde(rename = "word-.")]
    WordDashDot,
    #[serde(rename = "word-*")]
    WordDashStar,
    /// Capitals and digits.
    #[serde(rename = "upper")]
    Upper,
    #[serde(rename = "base64")]
    Base64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    token: Vec<Token>,
}

static TOKENS: LazyLock<Vec<Token>> = LazyLock::new(|| {
    // The text is part of the program and a test parses it.
    parse(BUILTIN).unwrap_or_default()
});

/// The rows, in the order of the file.
pub(super) fn tokens() -> &'static [Token] {
    &TOKENS
}

fn parse(text: &str) -> Result<Vec<Token>, String> {
    let file: File = toml::from_str(text).map_err(|e| e.to_string())?;
    let short = |token: &&Token| {
        let short = |start: &String| start.len() < START_BYTES_MIN;
        token.starts.is_empty() || token.starts.iter().any(short)
    };
    match file.token.iter().find(short) {
        Some(token) => Err(format!("[{}]: a start is missing or too short", token.id)),
        None => Ok(file.token),
    }
}

// === impl Chars ===

impl Chars {
    #[inline]
    pub(super) fn has(self, byte: u8) -> bool {
        let word = byte.is_ascii_alphanumeric() || byte == b'_';
        match self {
            Chars::Word => word,
            Chars::WordDash => word || byte == b'-',
            Chars::WordDashDot => word || byte == b'-' || byte == b'.',
            Chars::WordDashStar => word || byte == b'-' || byte == b'*',
            Chars::Upper => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Chars::Base64 => byte.is_ascii_alphanumeric() || b"+/=".contains(&byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builtin_rows_compile() {
        assert!(parse(BUILTIN).expect("rows").len() > 10);
    }

    #[test]
    fn a_start_that_cannot_be_searched_for_is_refused() {
        let text = "[[token]]\nid = 'x'\nstarts = ['ab']\nchars = 'word'\nmin = 3";
        assert!(parse(text).expect_err("too short").contains("[x]"));
    }
}
