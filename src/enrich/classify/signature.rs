//! The failure signatures of `rules/failures/*.toml`, compiled for one pass over an error text.
//!
//! A signature is a conjunction of conditions and a class; the first one that holds, in file
//! order, decides. All literals of all signatures are found in a single Aho-Corasick pass; a
//! signature is only looked at when its trigger (a literal, a code, a finish reason, a status)
//! was seen, so the number of signatures hardly matters. Regexes never run without a trigger.

mod builder;

use super::text::{Marker, boundary_after, boundary_before, code_words};
use crate::call::{FailureClass, Phase, RetryAdvice};
use crate::enrich::providers::Providers;
use crate::enrich::rules::RulesError;
use aho_corasick::AhoCorasick;
use builder::Builder;
use hashbrown::{HashMap, HashSet};
use regex::Regex;

/// Words of 64 bits; the tables may hold 6144 literals and 1024 signatures.
const LITERAL_WORDS: usize = 96;
const SIGNATURE_WORDS: usize = 16;
/// How a rule asks for errors without an HTTP status, beside those with one.
const NO_STATUS: u16 = 0;

/// The compiled table.
#[derive(Debug)]
pub struct Signatures {
    /// Tells these from signatures that were loaded later.
    pub(super) identity: u64,
    pub(super) rows: Vec<Signature>,
    pub(super) automaton: AhoCorasick,
    pub(super) literals: Vec<Literal>,
    by_literal: Vec<Vec<u16>>,
    by_code: HashMap<String, Vec<u16>>,
    by_finish: HashMap<String, Vec<u16>>,
    by_status: HashMap<u16, Vec<u16>>,
    /// Codes and finish reasons that some row names.
    known_codes: HashSet<String>,
}

/// One row, compiled.
#[derive(Debug)]
pub struct Signature {
    pub id: String,
    pub class: FailureClass,
    pub retry: Option<RetryAdvice>,
    pub phase: Option<Phase>,
    providers: u64,
    not_providers: u64,
    status: Vec<u16>,
    code: Vec<String>,
    finish: Vec<String>,
    text: Vec<u16>,
    also: Vec<u16>,
    all: Vec<u16>,
    not: Vec<u16>,
    regex: Option<Regex>,
}

/// A literal of the automaton: a condition of signatures, a marker of the extractor, or both.
#[derive(Debug)]
pub(super) struct Literal {
    pub text: String,
    /// Must the match begin or end at a word boundary?
    pub word_start: bool,
    pub word_end: bool,
    pub marker: Option<Marker>,
    /// The provider that this literal gives away.
    pub provider: u64,
}

/// What was seen in one error.
pub(super) struct Seen<'t> {
    pub text: &'t str,
    /// Lower-case codes, types and exception class names.
    pub codes: &'t [std::borrow::Cow<'t, str>],
    pub finish: &'t str,
    pub status: Option<u16>,
    pub providers: u64,
    pub literals: LiteralSet,
}

/// A set of literal numbers.
#[derive(Clone)]
pub(super) struct LiteralSet([u64; LITERAL_WORDS]);

/// A signature that holds, and the text or value that triggered it.
pub(super) struct Hit<'r, 't> {
    pub signature: &'r Signature,
    pub because: std::borrow::Cow<'t, str>,
}

// === impl Signatures ===

impl Signatures {
    /// Compiles files, given as name and text, in the order in which they are tried.
    pub fn parse(
        files: &[(String, String)],
        providers: &Providers,
    ) -> Result<Signatures, RulesError> {
        let mut builder = Builder::default();
        for (name, text) in files {
            builder.read(name, text, providers)?;
        }
        builder.finish(providers)
    }

    /// Adds the literals in the words of a code that no row knows: `TPM_LIMIT_REACHED` is read as
    /// what it says.
    pub(super) fn add_words(&self, code: &str, set: &mut LiteralSet) {
        let Some(words) = code_words(code, |name| self.known_codes.contains(name)) else {
            return;
        };
        for hit in self.automaton.find_overlapping_iter(&words) {
            let number = hit.pattern().as_usize();
            let Some(literal) = self.literals.get(number) else {
                continue;
            };
            if literal.marker.is_none() && literal.stands_in(&words, hit.start(), hit.end()) {
                set.insert(number);
            }
        }
    }

    /// The signatures that hold, in the order in which they are tried: the first one decides.
    pub(super) fn holding<'r, 't>(&'r self, seen: &Seen<'t>) -> impl Iterator<Item = Hit<'r, 't>>
    where
        'r: 't,
    {
        let mut candidates = [0_u64; SIGNATURE_WORDS];
        for literal in seen.literals.iter() {
            mark(&mut candidates, self.by_literal.get(literal));
        }
        for code in seen.codes {
            mark(&mut candidates, self.by_code.get(code.as_ref()));
        }
        if !seen.finish.is_empty() {
            mark(&mut candidates, self.by_finish.get(seen.finish));
        }
        if let Some(status) = seen.status {
            mark(&mut candidates, self.by_status.get(&status));
        }
        ones(candidates).filter_map(|index| {
            let signature = self.rows.get(index)?;
            let because = self.holds(signature, seen)?;
            Some(Hit { signature, because })
        })
    }

    /// Do all conditions of a row hold? If so, says what triggered it.
    fn holds<'r, 't>(
        &'r self,
        row: &Signature,
        seen: &Seen<'t>,
    ) -> Option<std::borrow::Cow<'t, str>>
    where
        'r: 't,
    {
        if row.providers != 0 && row.providers & seen.providers == 0
            || row.not_providers & seen.providers != 0
        {
            return None;
        }
        if !row.status.is_empty() && !row.status.contains(&seen.status.unwrap_or(NO_STATUS)) {
            return None;
        }
        if !row.all.iter().all(|l| seen.literals.has(*l))
            || row.not.iter().any(|l| seen.literals.has(*l))
        {
            return None;
        }
        let literal = row.text.iter().find(|l| seen.literals.has(**l));
        if !row.text.is_empty() && literal.is_none() {
            return None;
        }
        let other = row.also.iter().find(|l| seen.literals.has(**l));
        if !row.also.is_empty() && other.is_none() {
            return None;
        }
        let code = seen
            .codes
            .iter()
            .find(|c| row.code.iter().any(|known| known == c.as_ref()));
        if !row.code.is_empty() && code.is_none() {
            return None;
        }
        if !row.finish.is_empty() && !row.finish.iter().any(|f| f == seen.finish) {
            return None;
        }
        let found = match &row.regex {
            Some(regex) => Some(regex.find(seen.text)?.as_str()),
            None => None,
        };
        let literal = literal.or(row.all.first());
        let words = literal.and_then(|l| self.literals.get(usize::from(*l)));
        Some(match (found, words, code) {
            (Some(found), _, _) => found.into(),
            (None, Some(literal), _) => literal.text.as_str().into(),
            (None, None, Some(code)) => code.clone(),
            (None, None, None) if !row.finish.is_empty() => seen.finish.into(),
            (None, None, None) => seen.status.unwrap_or_default().to_string().into(),
        })
    }
}

/// Sets the bits of some rows.
fn mark(set: &mut [u64; SIGNATURE_WORDS], rows: Option<&Vec<u16>>) {
    for row in rows.into_iter().flatten() {
        if let Some(word) = set.get_mut(usize::from(row / 64)) {
            *word |= 1 << (row % 64);
        }
    }
}

/// The numbers of the bits that are set, ascending.
fn ones<const N: usize>(words: [u64; N]) -> impl Iterator<Item = usize> {
    words.into_iter().enumerate().flat_map(|(at, word)| {
        let mut rest = word;
        std::iter::from_fn(move || {
            let bit = rest.trailing_zeros() as usize;
            rest &= rest.wrapping_sub(1);
            (bit < 64).then_some(at * 64 + bit)
        })
    })
}

// === impl Literal ===

impl Literal {
    /// Are there the word boundaries around a match that it asks for?
    pub(super) fn stands_in(&self, text: &str, start: usize, end: usize) -> bool {
        (!self.word_start || boundary_before(text, start))
            && (!self.word_end || boundary_after(text, end))
    }
}

// === impl LiteralSet ===

impl LiteralSet {
    pub(super) fn new() -> LiteralSet {
        LiteralSet([0; LITERAL_WORDS])
    }

    pub(super) fn insert(&mut self, literal: usize) {
        if let Some(word) = self.0.get_mut(literal / 64) {
            *word |= 1 << (literal % 64);
        }
    }

    fn has(&self, literal: u16) -> bool {
        self.0
            .get(usize::from(literal / 64))
            .is_some_and(|w| w >> (literal % 64) & 1 == 1)
    }

    fn iter(&self) -> impl Iterator<Item = usize> {
        ones(self.0)
    }
}

impl Signatures {
    /// Files every row under its most selective kind of condition.
    fn index(&mut self) {
        for (number, row) in self.rows.iter().enumerate() {
            let codes = row.code.iter().chain(&row.finish);
            self.known_codes.extend(codes.cloned());
            let number = u16::try_from(number).unwrap_or(u16::MAX);
            let first = row.all.first().map(std::slice::from_ref);
            let literals = if row.text.is_empty() {
                first.unwrap_or(&[])
            } else {
                &row.text
            };
            if !literals.is_empty() {
                for literal in literals {
                    if let Some(rows) = self.by_literal.get_mut(usize::from(*literal)) {
                        rows.push(number);
                    }
                }
            } else if !row.code.is_empty() {
                for code in &row.code {
                    self.by_code.entry(code.clone()).or_default().push(number);
                }
            } else if !row.finish.is_empty() {
                for finish in &row.finish {
                    self.by_finish
                        .entry(finish.clone())
                        .or_default()
                        .push(number);
                }
            } else {
                for status in &row.status {
                    self.by_status.entry(*status).or_default().push(number);
                }
            }
        }
    }
}
