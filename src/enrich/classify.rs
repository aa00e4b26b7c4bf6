//! Classify: from the evidence of an error to one class of the closed set, and what to do.
//!
//! Data decides (`rules/failures/*.toml`); this module only gathers what the data compares: the
//! folded text, the codes and types found in it, the status. The most specific evidence is tried
//! first: what a provider says in its own code and words, then words that mean the same
//! everywhere, then codes, exception classes, the bare status, and last, only where a provider is
//! named and no status is, what a single word suggests. An error that no signature knows is
//! `llm.unknown`. Not here: calls that look good but are not (`outcome`).

mod lines;
mod meaning;
mod memo;
mod redact;
mod signature;
mod text;

pub use lines::{LinesError, classify_lines};
pub use meaning::{Meaning, meaning};
pub use signature::Signatures;

use super::providers::ANY_PROVIDER;
use super::rules::Rules;
use crate::call::{Failure, FailureClass, Phase};
use redact::redact;
use signature::Seen;
use std::borrow::Cow;

/// The text of a request id is no longer than this.
const REQUEST_ID_BYTES_MAX: usize = 128;
/// Matched text that is kept as evidence.
const EVIDENCE_BYTES_MAX: usize = 120;

/// What is known of one error, from a span, a log record or a line of text.
///
/// Empty strings and `None` mean "not known".
#[derive(Debug, Clone, Copy, Default)]
pub struct Evidence<'a> {
    /// The provider in any spelling.
    pub provider: &'a str,
    /// Did the recorder call it an error?
    pub is_error: bool,
    pub http_status: Option<u16>,
    /// The provider's type, an exception class or a status, as recorders mix them.
    pub error_type: &'a str,
    pub error_code: &'a str,
    pub exception_type: &'a str,
    /// Error texts, the most specific first.
    pub messages: &'a [&'a str],
    /// The body of the answer, when recorded apart.
    pub body: &'a str,
    /// The finish reason as recorded.
    pub finish: &'a str,
    pub streaming: Option<bool>,
    pub retry_after_ms: Option<u64>,
}

/// A rule that holds for an error, for people who write rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub rule: String,
    pub class: FailureClass,
    /// The text, code, finish reason or status that made it hold.
    pub matched: String,
}

/// Works out why a call failed; `None` when nothing says that it did.
///
/// A finish reason alone counts only when a signature knows it.
pub fn classify(rules: &Rules, evidence: &Evidence<'_>) -> Option<Failure> {
    let told = evidence.is_error || evidence.tells_error();
    if !told && is_plain_finish(evidence.finish) {
        return None;
    }
    memo::remembered(rules.signatures.identity, evidence, || {
        judge(rules, evidence, None)
    })
}

/// The same with its reasons: all rules that hold, the one that decided first.
pub fn explain(rules: &Rules, evidence: &Evidence<'_>) -> (Option<Failure>, Vec<Candidate>) {
    let mut candidates = Vec::new();
    let failure = judge(rules, evidence, Some(&mut candidates));
    (failure, candidates)
}

fn judge(
    rules: &Rules,
    evidence: &Evidence<'_>,
    reasons: Option<&mut Vec<Candidate>>,
) -> Option<Failure> {
    let told = evidence.is_error || evidence.tells_error();
    if !told && is_plain_finish(evidence.finish) {
        return None;
    }
    let mut texts: [&str; 6] = [""; 6];
    let messages = evidence.messages.iter().copied().filter(|m| !m.is_empty());
    for (slot, text) in texts
        .iter_mut()
        .zip(messages.take(5).chain([evidence.body]))
    {
        *slot = text;
    }
    let folded = text::fold(&texts);
    let found = text::walk(&rules.signatures, &folded);
    let mut codes = found.codes;
    let mut literals = found.literals;
    let read = codes.len();
    for own in [
        evidence.error_code,
        evidence.error_type,
        evidence.exception_type,
    ] {
        push_code(own, &mut codes);
        rules.signatures.add_words(own, &mut literals);
    }
    for code in codes.iter().take(read).filter(|c| c.contains(['_', '-'])) {
        rules.signatures.add_words(code, &mut literals);
    }
    let error_type_status = evidence.error_type.parse().ok();
    let code_status = evidence.error_code.parse().ok();
    let status = [
        evidence.http_status.filter(|s| *s >= 400),
        found.status,
        error_type_status,
        code_status,
    ]
    .into_iter()
    .flatten()
    .find(|s: &u16| (400..=599).contains(s))
    .or(evidence.http_status);
    let mut providers = rules.providers.mask(evidence.provider) | found.providers;
    if !evidence.provider.is_empty() || providers != 0 {
        providers |= ANY_PROVIDER;
    }
    let finish = evidence.finish.to_ascii_lowercase();
    let seen = Seen {
        text: &folded,
        codes: &codes,
        finish: finish
            .trim_start_matches("finishreason.")
            .trim_matches(['[', ']', '"', '\'']),
        status,
        providers,
        literals,
    };
    if let Some(reasons) = reasons {
        reasons.extend(rules.signatures.holding(&seen).map(|hit| Candidate {
            rule: hit.signature.id.clone(),
            class: hit.signature.class,
            matched: hit.because.into_owned(),
        }));
    }
    let hit = rules.signatures.holding(&seen).next();
    if hit.is_none() && !told {
        return None;
    }
    let raw = texts.iter().copied().find(|t| !t.is_empty()).unwrap_or("");
    let (class, retry, phase, why) = match &hit {
        None => (FailureClass::Unknown, None, None, String::new()),
        Some(hit) => {
            let s = hit.signature;
            (
                s.class,
                s.retry,
                s.phase,
                evidence_text(&s.id, &hit.because),
            )
        }
    };
    let meaning = meaning(class);
    Some(Failure {
        class,
        phase: phase.unwrap_or_else(|| phase_of(class, meaning.phase, evidence)),
        fault_domain: meaning.fault_domain,
        retry: retry.unwrap_or(meaning.retry),
        retry_after_ms: evidence.retry_after_ms.or(found.delay_ms),
        http_status: status,
        error_code: error_code(evidence, &codes, &texts),
        request_id: if found.has_request_id {
            request_id(&texts)
        } else {
            String::new()
        },
        message: redact(raw, found.has_secret),
        evidence: why,
    })
}

impl Evidence<'_> {
    /// Is there anything that only errors have?
    fn tells_error(&self) -> bool {
        self.http_status.is_some_and(|s| s >= 400)
            || !self.error_type.is_empty()
            || !self.error_code.is_empty()
            || !self.exception_type.is_empty()
            || self.messages.iter().any(|m| !m.is_empty())
            || !self.body.is_empty()
    }
}

/// Ends that need no look at the table.
fn is_plain_finish(finish: &str) -> bool {
    [
        "",
        "stop",
        "tool_calls",
        "end_turn",
        "STOP",
        "tool_use",
        "tool-calls",
        "completed",
        "tool_call",
    ]
    .contains(&finish)
}

/// Adds a recorded code and, of a class name, its last segment.
fn push_code<'a>(own: &'a str, codes: &mut Vec<Cow<'a, str>>) {
    if own.is_empty() {
        return;
    }
    let name = own.trim_start_matches("<class '").trim_end_matches("'>");
    let last = name.rsplit(text::CLASS_SEPARATORS).next().unwrap_or(name);
    let lower = |s: &'a str| -> Cow<'a, str> {
        match s.bytes().any(|b| b.is_ascii_uppercase()) {
            true => s.to_ascii_lowercase().into(),
            false => s.into(),
        }
    };
    codes.push(lower(name));
    if last.len() != name.len() {
        codes.push(lower(last));
    }
}

/// An error inside a stream that began well came while the answer was being made.
fn phase_of(class: FailureClass, usual: Phase, evidence: &Evidence<'_>) -> Phase {
    let began = evidence.http_status == Some(200);
    match (class, usual) {
        (FailureClass::CapacityOverloaded, _) if began => Phase::DuringGeneration,
        (FailureClass::OutputContentFiltered, _) if began => Phase::AfterGeneration,
        _ => usual,
    }
}

fn evidence_text(id: &str, because: &str) -> String {
    let end = because.floor_char_boundary(EVIDENCE_BYTES_MAX);
    [id, ": ", because.get(..end).unwrap_or("")].concat()
}

/// The provider's own code, else its type, in its spelling where that is known.
fn error_code(evidence: &Evidence<'_>, codes: &[Cow<'_, str>], texts: &[&str]) -> String {
    if !evidence.error_code.is_empty() {
        return evidence.error_code.to_owned();
    }
    // Of the words in the text: no status, no container of another word, no Python class name.
    let dull = |c: &str| {
        c.bytes().all(|b| b.is_ascii_digit())
            || c == "error"
            || c == "message"
            || c.starts_with("type.googleapis")
    };
    let own = [evidence.error_type, evidence.exception_type];
    let word = codes
        .iter()
        .filter(|c| !own.iter().any(|o| ends_with_ignoring_case(o, c.as_ref())))
        .find(|c| !dull(c) && (c.contains('_') || c.ends_with("exception")));
    match word {
        Some(word) => original_spelling(word, texts).unwrap_or_else(|| word.to_string()),
        None if evidence.error_type.contains('_') => evidence.error_type.to_owned(),
        None => String::new(),
    }
}

fn ends_with_ignoring_case(text: &str, end: &str) -> bool {
    let tail = text
        .len()
        .checked_sub(end.len())
        .and_then(|at| text.as_bytes().get(at..));
    tail.is_some_and(|tail| tail.eq_ignore_ascii_case(end.as_bytes()))
}

/// Finds a folded ASCII word in the raw texts.
fn original_spelling(word: &str, texts: &[&str]) -> Option<String> {
    texts.iter().find_map(|t| {
        let bytes = t.as_bytes();
        let first = *word.as_bytes().first()?;
        let at = memchr::memchr2_iter(first, first.to_ascii_uppercase(), bytes).find(|at| {
            let here = bytes.get(*at..at + word.len());
            here.is_some_and(|h| h.eq_ignore_ascii_case(word.as_bytes()))
        })?;
        t.get(at..at + word.len()).map(str::to_owned)
    })
}

/// Reads `req_...`, or what follows a key such as `request_id`.
fn request_id(texts: &[&str]) -> String {
    const KEYS: [&str; 6] = [
        "request_id",
        "request-id",
        "requestid",
        "request id",
        "x-amzn-requestid",
        "apim-request-id",
    ];
    let end = |t: &str| {
        t.find(|c: char| !(c.is_ascii_alphanumeric() || "-_".contains(c)))
            .unwrap_or(t.len())
    };
    for text in texts {
        if let Some(id) = text.find("req_").and_then(|at| text.get(at..)) {
            return id
                .get(..end(id).min(REQUEST_ID_BYTES_MAX))
                .unwrap_or("")
                .to_owned();
        }
        let lower = text.to_ascii_lowercase();
        for key in KEYS {
            let Some(after) = lower.find(key).and_then(|at| text.get(at + key.len()..)) else {
                continue;
            };
            let after = after.trim_start_matches(|c: char| " :='\"\\".contains(c));
            let id = after
                .get(..end(after).min(REQUEST_ID_BYTES_MAX))
                .unwrap_or("");
            if id.len() >= 8 && id.bytes().any(|b| b.is_ascii_digit()) {
                return id.to_owned();
            }
        }
    }
    String::new()
}
