//! Content policy: how much of prompts and answers is kept, and where.
//!
//! The profile of a call (counts, language, hashes) is worked out from the whole text before, so
//! that content can be dropped and still be told apart. Secrets and personal data are not this
//! module's: they left the request before ([`redact`](crate::redact)).

use std::fmt::Write as _;

use bumpalo::Bump;
use sha2::{Digest as _, Sha256};

/// How much of a text is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keep {
    #[default]
    Full,
    /// The first so many bytes, cut at a character.
    Truncated {
        bytes_max: usize,
    },
    /// `sha256:` and the digest in hexadecimal: equal texts can be found, and none can be read.
    Hash,
    None,
}

/// Where prompts and answers are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ContentPolicy {
    /// In `llm_calls` and `llm_tool_calls`.
    pub keep: Keep,
    /// In the attributes of `otel_traces` and `otel_logs`, too; only where all of it is kept.
    pub in_traces: bool,
}

// === impl ContentPolicy ===

impl ContentPolicy {
    /// Is content left out of `otel_traces` and `otel_logs` even where no call has it?
    pub fn hides(self) -> bool {
        self.keep != Keep::Full
    }

    /// Does content stay in `otel_traces` and `otel_logs`?
    pub fn shows(self) -> bool {
        self.in_traces && !self.hides()
    }
}

// === impl Keep ===

impl Keep {
    /// What is kept of a text.
    pub fn of<'a>(self, text: &'a str, arena: &'a Bump) -> &'a str {
        match self {
            Keep::Full => text,
            _ if text.is_empty() => "",
            Keep::Truncated { bytes_max } => text
                .get(..text.floor_char_boundary(bytes_max))
                .unwrap_or_default(),
            Keep::Hash => {
                let mut out = String::with_capacity(71);
                out.push_str("sha256:");
                for byte in Sha256::digest(text.as_bytes()) {
                    // Writing into a String cannot fail.
                    _ = write!(out, "{byte:02x}");
                }
                arena.alloc_str(&out)
            }
            Keep::None => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_kept_as_the_policy_says() {
        let arena = Bump::new();
        let text = "où est la clé";
        assert_eq!(Keep::Full.of(text, &arena), text);
        assert_eq!(Keep::Truncated { bytes_max: 2 }.of(text, &arena), "o");
        assert_eq!(Keep::Truncated { bytes_max: 99 }.of(text, &arena), text);
        assert_eq!(Keep::None.of(text, &arena), "");
        assert_eq!(Keep::Hash.of("", &arena), "");
        assert_eq!(
            Keep::Hash.of("abc", &arena),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
