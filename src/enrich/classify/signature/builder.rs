//! From the rows as written to the compiled table; mistakes name their file and line.

use super::{LITERAL_WORDS, Literal, SIGNATURE_WORDS, Signature, Signatures};
use crate::call::{FailureClass, Phase, RetryAdvice};
use crate::enrich::classify::text::Marker;
use crate::enrich::providers::{ANY_PROVIDER, Providers};
use crate::enrich::rules::{RulesError, line_of};
use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use hashbrown::{HashMap, HashSet};
use regex::Regex;
use serde::Deserialize;
use std::sync::atomic::{AtomicU64, Ordering};
use toml::Spanned;

/// Tables made so far; 0 is none.
static TABLES: AtomicU64 = AtomicU64::new(1);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    rule: Vec<Row>,
}

/// One row as written; the head of `rules/failures/10_provider.toml` explains the columns.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: Spanned<String>,
    class: Spanned<String>,
    #[serde(default)]
    provider: Vec<String>,
    #[serde(default)]
    not_provider: Vec<String>,
    #[serde(default)]
    status: Vec<u16>,
    #[serde(default)]
    code: Vec<String>,
    #[serde(default)]
    finish: Vec<String>,
    #[serde(default)]
    text: Vec<String>,
    #[serde(default)]
    also: Vec<String>,
    #[serde(default)]
    all: Vec<String>,
    #[serde(default)]
    not: Vec<String>,
    regex: Option<Spanned<String>>,
    retry: Option<String>,
    phase: Option<String>,
}

/// States up to this depth are tables: half a megabyte for most of the speed of a DFA.
const DENSE_DEPTH: usize = 3;

/// Collects literals and rows while the files are read.
#[derive(Default)]
pub(super) struct Builder {
    literals: Vec<Literal>,
    by_text: HashMap<(String, bool, bool), u16>,
    rows: Vec<Signature>,
    ids: HashMap<String, (String, usize)>,
}

// === impl Builder ===

impl Builder {
    /// Adds all rows of a file.
    pub(super) fn read(
        &mut self,
        name: &str,
        text: &str,
        providers: &Providers,
    ) -> Result<(), RulesError> {
        let file: File = toml::from_str(text).map_err(|e| RulesError::toml(name, text, &e))?;
        for row in file.rule {
            self.add(name, text, row, providers)?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        file: &str,
        text: &str,
        row: Row,
        providers: &Providers,
    ) -> Result<(), RulesError> {
        let line = line_of(text, row.id.span().start);
        let wrong = |what: String| RulesError::at(file, line, what);
        let id = row.id.into_inner();
        if let Some((other, at)) = self.ids.get(&id) {
            if other != file {
                return Ok(()); // a user's row of the same id came first and replaces this one
            }
            return Err(wrong(format!(
                "rule {id:?} is there twice, first in line {at}"
            )));
        }
        let class = FailureClass::parse(row.class.get_ref()).ok_or_else(|| {
            let at = line_of(text, row.class.span().start);
            RulesError::at(file, at, format!("unknown class {:?}", row.class.get_ref()))
        })?;
        let set = |names: &[String]| -> Result<u64, RulesError> {
            names
                .iter()
                .try_fold(0, |set, name| match providers.mask(name) {
                    0 if name == "*" => Ok(set | ANY_PROVIDER),
                    0 => Err(wrong(format!("unknown provider {name:?}"))),
                    mask => Ok(set | mask),
                })
        };
        let signature = Signature {
            class,
            retry: word(row.retry.as_deref(), retry).map_err(&wrong)?,
            phase: word(row.phase.as_deref(), phase).map_err(&wrong)?,
            providers: set(&row.provider)?,
            not_providers: set(&row.not_provider)?,
            status: row.status,
            code: row.code,
            finish: row.finish,
            text: row.text.iter().map(|t| self.literal(t)).collect(),
            also: row.also.iter().map(|t| self.literal(t)).collect(),
            all: row.all.iter().map(|t| self.literal(t)).collect(),
            not: row.not.iter().map(|t| self.literal(t)).collect(),
            regex: match row.regex {
                None => None,
                Some(r) => Some(Regex::new(r.get_ref()).map_err(|e| wrong(e.to_string()))?),
            },
            id,
        };
        if !signature.also.is_empty() && signature.text.is_empty() {
            return Err(wrong("also needs text beside it".to_owned()));
        }
        let triggers = [
            signature.text.len(),
            signature.all.len(),
            signature.code.len(),
        ];
        let others = signature.finish.len() + signature.status.len();
        if triggers.iter().sum::<usize>() + others == 0 {
            let what = "a rule needs one of text, all, code, finish, status".to_owned();
            return Err(wrong(what));
        }
        self.ids
            .insert(signature.id.clone(), (file.to_owned(), line));
        self.rows.push(signature);
        if self.rows.len() > SIGNATURE_WORDS * 64 {
            return Err(wrong(format!("more than {} rules", SIGNATURE_WORDS * 64)));
        }
        Ok(())
    }

    /// The number of a literal as written: `|` at an end asks for a word boundary there.
    fn literal(&mut self, written: &str) -> u16 {
        let word_start = written.starts_with('|');
        let word_end = written.ends_with('|') && written.len() > 1;
        let text = written.trim_matches('|').to_lowercase();
        let next = u16::try_from(self.literals.len()).unwrap_or(u16::MAX);
        let key = (text, word_start, word_end);
        if let Some(known) = self.by_text.get(&key) {
            return *known;
        }
        self.literals.push(Literal {
            text: key.0.clone(),
            word_start,
            word_end,
            marker: None,
            provider: 0,
        });
        self.by_text.insert(key, next);
        next
    }

    pub(super) fn finish(mut self, providers: &Providers) -> Result<Signatures, RulesError> {
        for marker in Marker::ALL {
            for text in marker.literals() {
                let number = usize::from(self.literal(text));
                if let Some(literal) = self.literals.get_mut(number) {
                    literal.marker = Some(marker);
                }
            }
        }
        for provider in providers.rows() {
            for hint in &provider.hints {
                let number = usize::from(self.literal(hint));
                if let Some(literal) = self.literals.get_mut(number) {
                    literal.provider |= providers.mask(&provider.id);
                }
            }
        }
        let whole = |what: String| RulesError::at("rules/failures", 1, what);
        if self.literals.len() > LITERAL_WORDS * 64 {
            return Err(whole(format!("more than {} texts", LITERAL_WORDS * 64)));
        }
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            // A DFA of these texts took 22 MB more at rest; only failed calls are searched.
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            // Most bytes of a text are looked at within the first letters of some literal.
            .dense_depth(DENSE_DEPTH)
            .build(self.literals.iter().map(|l| &l.text))
            .map_err(|e| whole(e.to_string()))?;
        let mut table = Signatures {
            identity: TABLES.fetch_add(1, Ordering::Relaxed),
            by_literal: vec![Vec::new(); self.literals.len()],
            by_code: HashMap::new(),
            by_finish: HashMap::new(),
            by_status: HashMap::new(),
            known_codes: HashSet::new(),
            rows: self.rows,
            literals: self.literals,
            automaton,
        };
        table.index();
        Ok(table)
    }
}

/// Reads an optional word by a parser.
fn word<T>(text: Option<&str>, parse: fn(&str) -> Option<T>) -> Result<Option<T>, String> {
    match text {
        None => Ok(None),
        Some(text) => parse(text)
            .map(Some)
            .ok_or_else(|| format!("unknown word {text:?}")),
    }
}

fn retry(text: &str) -> Option<RetryAdvice> {
    use RetryAdvice::*;
    [Never, AfterDelay, Immediately, AfterFix]
        .into_iter()
        .find(|r| r.as_str() == text)
}

fn phase(text: &str) -> Option<Phase> {
    use Phase::*;
    [BeforeGeneration, DuringGeneration, AfterGeneration]
        .into_iter()
        .find(|p| p.as_str() == text)
}
