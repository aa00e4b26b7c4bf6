//! Survey: what a text has at all, told by whole blocks and by one search, before anybody reads it.
//!
//! Nearly all texts are prose and nearly all of their lines nothing but words. The survey may say
//! that there is something where there is nothing, never the other way round. Not here: what a
//! sign means.

use std::{ops::Range, sync::LazyLock};

use crate::words::Words;

/// Bytes looked at together.
pub(super) const BLOCK: usize = 32;

/// Which blocks of the beginning of a text have a mark that is none of a plain sentence.
pub(super) struct Blocks<const N: usize>([u8; N]);

/// Words that open a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::enrich) struct Signs {
    /// What programs print for nothing.
    pub missing: bool,
    /// `following`, `below`: that texts follow.
    pub announced: bool,
    /// Tags of documents, counted.
    pub tagged: usize,
    /// `Document `: documents by their numbers, perhaps.
    pub worded: bool,
}

/// Words of plain letters, in the order of what they are signs of.
const MISSING_WORDS: &[&str] = &["undefined", "null", "None", "NaN", "nil"];
const ANNOUNCING: &[&str] = &["following", "below"];
const NUMBERED: &[&str] = &["Document ", "Source ", "Doc "];
/// Those in brackets, for which most texts need not be searched.
const MISSING_BRACKETED: &[&str] = &["[object Object]", "<nil>", "<no value>"];
const NUMBERED_BRACKETED: &[&str] = &["[1] "];
/// Tags around documents.
const TAGS: &[&str] = &[
    "<document>",
    "<document ",
    "<doc ",
    "<doc>",
    "<source ",
    "<passage ",
];

// === impl Blocks ===

impl<const N: usize> Blocks<N> {
    pub(super) fn of(text: &str) -> Blocks<N> {
        let mut kinds = [0; N];
        let (whole, rest) = text.as_bytes().as_chunks::<BLOCK>();
        let mut last = [b' '; BLOCK];
        last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        for (kind, block) in kinds.iter_mut().zip(whole.iter().chain([&last])) {
            *kind = block.iter().fold(0, |any, byte| any | odd(*byte));
        }
        Blocks(kinds)
    }

    /// May there be such a mark? Always where the text was longer than the blocks.
    pub(super) fn may_have_marks(&self, range: Range<usize>) -> bool {
        let blocks = self.0.get(range.start / BLOCK..=range.end / BLOCK);
        blocks.is_none_or(|kinds| kinds.iter().any(|kind| *kind != 0))
    }
}

/// 1 for the marks of code, brackets, colons, dashes and slashes, and few others: in arithmetic
/// that the compiler makes vector instructions of.
#[inline]
fn odd(byte: u8) -> u8 {
    let within = |from: u8, count: u8| u8::from(byte.wrapping_sub(from) < count);
    // From `"` to `%`, and `&`; `(` to `+`; `:` to `>`.
    let ranges = within(b'"', 5) | within(b'(', 4) | within(b':', 5);
    let dash_slash = u8::from(byte | 2 == b'/');
    // `[ \ ] ^ _` and `{ | } ~`; `@` and the backtick.
    let brackets = u8::from((byte | 0x20).wrapping_sub(b'{') < 5);
    ranges | dash_slash | brackets | u8::from(byte & 0xDF == b'@')
}

// === impl Signs ===

impl Signs {
    pub(in crate::enrich) fn of(text: &str) -> Signs {
        static PLAIN: LazyLock<Words> = LazyLock::new(|| {
            let words = MISSING_WORDS.iter().chain(ANNOUNCING).chain(NUMBERED);
            Words::new(words.copied())
        });
        static BRACKETED: LazyLock<Words> = LazyLock::new(|| {
            let words = MISSING_BRACKETED.iter().chain(NUMBERED_BRACKETED);
            Words::new(words.chain(TAGS).copied())
        });
        const ANNOUNCING_FROM: usize = MISSING_WORDS.len();
        const NUMBERED_FROM: usize = ANNOUNCING_FROM + ANNOUNCING.len();
        const BRACKETED_FROM: usize = MISSING_BRACKETED.len();
        const TAGS_FROM: usize = BRACKETED_FROM + NUMBERED_BRACKETED.len();
        let mut signs = Signs::default();
        PLAIN.each(text.as_bytes(), |word, _| match word {
            0..ANNOUNCING_FROM => signs.missing = true,
            ANNOUNCING_FROM..NUMBERED_FROM => signs.announced = true,
            _ => signs.worded = true,
        });
        if let Some(at) = memchr::memchr2(b'<', b'[', text.as_bytes()) {
            let rest = text.as_bytes().get(at..).unwrap_or_default();
            BRACKETED.each(rest, |word, _| match word {
                0..BRACKETED_FROM => signs.missing = true,
                BRACKETED_FROM..TAGS_FROM => signs.worded = true,
                _ => signs.tagged += 1,
            });
        }
        signs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mark_of_code_is_seen_and_no_plain_sentence_stops() {
        for byte in 0..=u8::MAX {
            let mark = b"={};<>$#|[]_\\@&*+`^~\":(-/".contains(&byte);
            let plain = byte.is_ascii_alphanumeric() || b" .,?!'\n\t".contains(&byte);
            assert!(!mark || odd(byte) == 1, "{byte:#x}");
            assert!(!(plain || byte >= 0x80) || odd(byte) == 0, "{byte:#x}");
        }
    }

    #[test]
    fn a_mark_is_seen_wherever_it_stands() {
        for at in 0..200 {
            let mut text = "word ".repeat(40);
            text.replace_range(at..at + 1, "{");
            let blocks = Blocks::<7>::of(&text);
            assert!(blocks.may_have_marks(at..at + 1), "{at}");
            assert!(blocks.may_have_marks(0..text.len()), "{at}");
            assert!(!blocks.may_have_marks(0..at.saturating_sub(BLOCK)) || at < BLOCK);
        }
        assert!(Blocks::<2>::of(&"word ".repeat(40)).may_have_marks(150..160));
    }

    #[test]
    fn every_word_for_nothing_is_searched_for() {
        for word in super::super::placeholder::words::MISSING {
            assert!(Signs::of(&format!("it is {word} here")).missing, "{word}");
        }
    }

    #[test]
    fn words_and_tags_are_told_apart() {
        let text = "Below: <doc >a</doc> <document>b</document> Source 1, NaN";
        let signs = Signs::of(text);
        assert_eq!((signs.tagged, signs.worded, signs.missing), (2, true, true));
        assert!(!signs.announced, "in small letters");
        assert_eq!(Signs::of("What is the refund policy?"), Signs::default());
    }
}
