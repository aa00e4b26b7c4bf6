//! Clues: the places of a request that may hold a secret, found in one pass over its bytes.
//!
//! Nearly all bytes of nearly all requests hold nothing. The pass knows no strings and no
//! attributes; what it finds is looked at again in its text, by the siblings. It may find too much
//! and never too little: what precedes and follows a text in the request is not its own.

use std::ops::Range;

use super::{
    rules::{Token, tokens},
    text::run_end,
};
use crate::words::Words;

/// What makes a place worth a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clue {
    /// The row of the table, and how long its beginning is.
    Token {
        row: usize,
        start: usize,
    },
    JsonWebToken,
    Bearer,
    Basic,
    PrivateKey,
    /// The end of a name such as `api_key`.
    Name,
    /// `@`, or `%40`: as long as that.
    At(usize),
    /// Digits close together, from so many bytes before to so many behind this place.
    Digits {
        before: usize,
        behind: usize,
    },
}

/// The words that are searched for, beside the beginnings of the table. The spellings are those of
/// code, headers and environment variables; the first letter is left out where it may be either.
/// All have four bytes or more, which makes the search for them pass over most places.
const WORDS: &[(&str, Clue)] = &[
    ("earer ", Clue::Bearer),
    ("EARER ", Clue::Bearer),
    ("asic ", Clue::Basic),
    ("-----BEGIN", Clue::PrivateKey),
    ("pi_key", Clue::Name),
    ("pi-key", Clue::Name),
    ("pi-Key", Clue::Name),
    ("PI-Key", Clue::Name),
    ("piKey", Clue::Name),
    ("pikey", Clue::Name),
    ("PI_KEY", Clue::Name),
    ("PIKEY", Clue::Name),
    ("ccess_key", Clue::Name),
    ("ccessKey", Clue::Name),
    ("CCESS_KEY", Clue::Name),
    ("ccountKey", Clue::Name),
    ("ivate_key", Clue::Name),
    ("ivateKey", Clue::Name),
    ("ecret", Clue::Name),
    ("ECRET", Clue::Name),
    ("oken", Clue::Name),
    ("OKEN", Clue::Name),
    ("assword", Clue::Name),
    ("ASSWORD", Clue::Name),
    ("asswd", Clue::Name),
    ("ASSWD", Clue::Name),
    ("assphrase", Clue::Name),
    ("thorization", Clue::Name),
    ("THORIZATION", Clue::Name),
    ("ookie", Clue::Name),
    ("OOKIE", Clue::Name),
];

/// Shorter ones, searched for with the beginnings of the table.
const SHORT_WORDS: &[(&str, Clue)] = &[("eyJ", Clue::JsonWebToken), ("%40", Clue::At(3))];

/// Bytes looked at together for digits.
const BLOCK: usize = 32;
/// Digits of one block from which on a number of somebody's may begin or end there: nine digits
/// and their punctuation lie in two blocks.
const BLOCK_DIGITS_MIN: u8 = 5;
/// Digits of the shortest number that is looked for.
const DIGITS_MIN: usize = 9;
/// How far before a block a number may begin.
const NUMBER_BYTES_MAX: usize = 24;
/// A plus sign, a bracket or the letters of an account, before the first digit.
const NUMBER_HEAD_BYTES: usize = 4;
/// Characters of a name behind the clue in it.
const NAME_REST_MAX: usize = 24;

/// The search for clues.
pub(super) struct Search {
    /// By length: the shorter the shortest word of a search, the more often it stops for nothing.
    short: ClueWords,
    tokens: ClueWords,
    names: ClueWords,
}

/// Words, and what each is a clue of.
struct ClueWords {
    words: Words,
    clues: Vec<Clue>,
}

// === impl ClueWords ===

impl ClueWords {
    fn new(words: &[(&str, Clue)]) -> ClueWords {
        ClueWords {
            words: Words::new(words.iter().map(|(word, _)| *word)),
            clues: words.iter().map(|(_, clue)| *clue).collect(),
        }
    }

    /// Of two words at one place, or one in the other, the first is seen: no beginning of the table
    /// begins with another one, and what a name ends in is looked at as a whole.
    fn find(&self, bytes: &[u8], see: &mut dyn FnMut(usize, Clue)) {
        self.words.each(bytes, |word, at| {
            if let Some(clue) = self.clues.get(word)
                && plausible(*clue, bytes, at)
            {
                see(at, *clue);
            }
        });
    }
}

// === impl Search ===

impl Search {
    pub(super) fn new() -> Search {
        let mut starts: Vec<(&str, Clue)> = Vec::new();
        for (row, token) in tokens().iter().enumerate() {
            starts.extend(token.starts.iter().map(|start| {
                let clue = Clue::Token {
                    row,
                    start: start.len(),
                };
                (start.as_str(), clue)
            }));
        }
        let (mut short, long): (Vec<_>, Vec<_>) =
            starts.into_iter().partition(|(start, _)| start.len() <= 3);
        short.extend(SHORT_WORDS);
        Search {
            short: ClueWords::new(&short),
            tokens: ClueWords::new(&long),
            names: ClueWords::new(WORDS),
        }
    }

    /// Shows every secret's clue in `bytes`, by its place; not in ascending order.
    pub(super) fn secrets(&self, bytes: &[u8], see: &mut dyn FnMut(usize, Clue)) {
        self.short.find(bytes, see);
        self.tokens.find(bytes, see);
        self.names.find(bytes, see);
    }

    /// Shows every `@` that may be somebody's.
    pub(super) fn at_signs(&self, bytes: &[u8], see: &mut dyn FnMut(usize, Clue)) {
        for at in memchr::memchr_iter(b'@', bytes) {
            if plausible(Clue::At(1), bytes, at) {
                see(at, Clue::At(1));
            }
        }
    }

    /// Shows where digits are close together as in a number of somebody's.
    pub(super) fn digits(&self, bytes: &[u8], see: &mut dyn FnMut(usize, Clue)) {
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        let mut last = [0; BLOCK];
        last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        let mut seen = 0;
        for (n, block) in blocks.iter().chain([&last]).enumerate() {
            // A fixed number of bytes and a sum in a byte: vector instructions.
            let count = block
                .iter()
                .fold(0u8, |n, b| n + u8::from(b.wrapping_sub(b'0') < 10));
            let begin = n * BLOCK;
            if count < BLOCK_DIGITS_MIN || !may_have_number(bytes, begin) {
                continue;
            }
            let to = (begin + BLOCK).min(bytes.len());
            let from = number_start(bytes, begin).max(seen);
            for range in numbers(bytes, from, to) {
                // The middle is surely inside of the text: its ends may be what surrounds it.
                let middle = range.start + range.len() / 2;
                let clue = Clue::Digits {
                    before: middle - range.start + NUMBER_HEAD_BYTES,
                    behind: range.end - middle,
                };
                see(middle, clue);
            }
            seen = to;
        }
    }
}

/// Is there a run of bytes around a block that is long enough for somebody's number? Most digits are
/// those of ids, which have small letters between them. Fixed numbers of bytes, without a branch:
/// vector instructions.
fn may_have_number(bytes: &[u8], begin: usize) -> bool {
    /// A run of which five digits are in the block is not further out than this.
    const SIDE: usize = 16;
    const WINDOW: usize = BLOCK + 2 * SIDE;
    let around = bytes.get(begin.saturating_sub(SIDE)..).unwrap_or_default();
    let mut window = [0; WINDOW];
    match around.first_chunk() {
        Some(whole) => window = *whole,
        None => window
            .iter_mut()
            .zip(around)
            .for_each(|(to, from)| *to = *from),
    }
    let within = |byte: u8, from: u8, count: u8| u8::from(byte.wrapping_sub(from) < count);
    let allowed = window.map(|b| {
        let marks = u8::from(b == b' ') | within(b, b'(', 2) | within(b, b'-', 2);
        marks | within(b, b'0', 10) | within(b, b'A', 26)
    });
    // After 1, 2 and 4: eight in a row; the ninth stands at the end.
    let mut runs = allowed;
    for step in [1, 2, 4] {
        for at in 0..WINDOW - step {
            runs[at] &= runs[at + step];
        }
    }
    let ninth = allowed.iter().skip(DIGITS_MIN - 1);
    let runs = runs.iter().zip(ninth);
    runs.fold(0, |any, (run, ninth)| any | run & ninth) != 0
}

/// Where a number that goes on at `begin` may have begun: no further than bytes that it may have.
fn number_start(bytes: &[u8], begin: usize) -> usize {
    let least = begin.saturating_sub(NUMBER_BYTES_MAX);
    let before = bytes.get(least..begin).unwrap_or_default();
    let within = before.iter().rev();
    begin - within.take_while(|b| is_allowed(**b)).count()
}

/// What a number may have beside its digits: punctuation and, in accounts, capitals.
fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_digit() || byte.is_ascii_uppercase() || b" -.()".contains(&byte)
}

/// Could there be what the clue says? Cheap, and blind to where texts end.
fn plausible(clue: Clue, bytes: &[u8], at: usize) -> bool {
    let run = |from: usize, min: usize, has: fn(u8) -> bool| {
        bytes
            .get(from..from + min)
            .is_some_and(|run| run.iter().all(|b| has(*b)))
    };
    match clue {
        Clue::Token { row, start } => {
            let row: Option<&Token> = tokens().get(row);
            row.is_some_and(|row| {
                let tail = bytes.get(at + start..at + start + row.min);
                tail.is_some_and(|tail| tail.iter().all(|b| row.chars.has(*b)))
            })
        }
        Clue::JsonWebToken => run(at, 8, |b| b.is_ascii_alphanumeric() || b == b'_'),
        Clue::Bearer => run(at + 6, 4, |b| b.is_ascii_graphic() || b == b' '),
        Clue::Basic => run(at + 5, 8, |b| b.is_ascii_graphic()),
        Clue::PrivateKey => true,
        Clue::Name => {
            let rest = bytes.get(at..).unwrap_or_default();
            let rest = rest
                .get(..rest.len().min(NAME_REST_MAX))
                .unwrap_or_default();
            let end = run_end(rest, 0, |b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
            if !may_end_a_name(rest.get(..end).unwrap_or_default()) {
                return false;
            }
            // 0x12: the value of the attribute whose key has just ended.
            rest.get(end).is_none_or(|b| {
                b"=:\"'`\\ \t\x12".contains(b) && (*b != b' ' || assigns(rest, end))
            })
        }
        Clue::At(sign) => {
            let before = at.checked_sub(1).and_then(|i| bytes.get(i));
            let after = bytes.get(at + sign);
            before.is_some_and(u8::is_ascii_graphic)
                && after.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'[')
        }
        Clue::Digits { .. } => true,
    }
}

/// May the name of a secret end so? Most names that a word of them is in are others: `input_tokens`.
fn may_end_a_name(rest: &[u8]) -> bool {
    match rest.last().map(u8::to_ascii_lowercase) {
        // Cut off, or the last letters of: key, token and authorization, secret, password and
        // passwd, cookie, passphrase; cookies.
        None => true,
        Some(b'y' | b'n' | b't' | b'd' | b'e') => true,
        Some(b's') => rest.to_ascii_lowercase().ends_with(b"ies"),
        Some(_) => rest.len() >= NAME_REST_MAX,
    }
}

fn assigns(rest: &[u8], from: usize) -> bool {
    let sign = run_end(rest, from, |b| b == b' ' || b == b'\t');
    rest.get(sign).is_none_or(|b| b"=:".contains(b))
}

/// Runs of digits and their punctuation between two places that are long enough for somebody's
/// number, and begin like one or stand alone.
fn numbers(bytes: &[u8], from: usize, to: usize) -> impl Iterator<Item = Range<usize>> {
    let mut at = from;
    std::iter::from_fn(move || {
        while at < to {
            if !bytes.get(at)?.is_ascii_digit() {
                at += 1;
                continue;
            }
            let (start, mut end, mut count, mut marks) = (at, at, 0, 0);
            // Digits before the first letter: a card has no letters, an account may.
            let mut leading = None;
            for (next, byte) in bytes.iter().enumerate().skip(at) {
                match byte {
                    b'0'..=b'9' => {
                        count += 1;
                        marks = 0;
                        end = next + 1;
                    }
                    b' ' | b'-' | b'.' | b'(' | b')' if marks < 2 => marks += 1,
                    b'A'..=b'Z' if marks < 2 && count >= 2 => {
                        leading = leading.or(Some(count));
                        marks = 0;
                    }
                    _ => break,
                }
            }
            at = end.max(start + 1);
            if count < DIGITS_MIN {
                continue;
            }
            // What stands before: a plus sign, a bracket, the letters of an account.
            let before = start.saturating_sub(NUMBER_HEAD_BYTES);
            let head = bytes.get(before..start).unwrap_or_default();
            let told = head.iter().any(|b| b"+(".contains(b))
                || head.iter().rev().take(2).all(u8::is_ascii_uppercase);
            let grouped = bytes
                .get(start..end)
                .is_some_and(|run| run.iter().any(|b| b"-. ".contains(b)));
            if told || grouped || leading.unwrap_or(count) >= 13 {
                return Some(start..end);
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        /// The quick looks at blocks pass over nothing that a look at every byte finds.
        #[test]
        fn no_number_is_passed_over(text in "([0-9]{1,4}|[ .()+-]|[A-Z]{1,3}|[a-z ]{1,40}){0,40}") {
            let bytes = text.as_bytes();
            let mut seen = Vec::new();
            Search::new().digits(bytes, &mut |at, _| seen.push(at));
            for range in numbers(bytes, 0, bytes.len()).filter(|r| r.len() <= NUMBER_BYTES_MAX) {
                proptest::prop_assert!(
                    seen.iter().any(|at| range.contains(at)),
                    "{:?} in {text:?}", &text[range]
                );
            }
        }
    }
}
