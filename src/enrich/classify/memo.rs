//! Errors seen lately and their verdicts, per thread: in an incident the same text comes again and
//! again, and reading it once is enough.
//!
//! A verdict depends on nothing but the rules and the evidence, so remembering it changes nothing.
//! Texts are compared, not only their hashes. Bounded: a full memory is emptied.

use super::Evidence;
use crate::call::Failure;
use hashbrown::HashTable;
use std::cell::RefCell;
use std::hash::{BuildHasher, Hasher};

/// Errors that are remembered.
const ENTRIES_MAX: usize = 128;
/// Longer evidence is not remembered.
const KEY_BYTES_MAX: usize = 2048;

thread_local! {
    static MEMORY: RefCell<Memory> = RefCell::default();
}

#[derive(Default)]
struct Memory {
    /// The rules that the verdicts are of.
    rules: u64,
    hasher: foldhash::fast::RandomState,
    entries: HashTable<Entry>,
    /// The evidence that is asked about, kept to save its allocation.
    key: Vec<u8>,
}

struct Entry {
    hash: u64,
    key: Box<[u8]>,
    verdict: Option<Failure>,
}

/// The verdict on the evidence, remembered or worked out now.
pub(super) fn remembered(
    rules: u64,
    evidence: &Evidence<'_>,
    judge: impl FnOnce() -> Option<Failure>,
) -> Option<Failure> {
    let known = MEMORY.with_borrow_mut(|memory| memory.find(rules, evidence));
    let hash = match known {
        Known::Verdict(verdict) => return verdict,
        Known::Hash(hash) => hash,
        Known::TooLong => return judge(),
    };
    let verdict = judge();
    MEMORY.with_borrow_mut(|memory| memory.keep(hash, &verdict));
    verdict
}

enum Known {
    Verdict(Option<Failure>),
    Hash(u64),
    TooLong,
}

// === impl Memory ===

impl Memory {
    fn find(&mut self, rules: u64, evidence: &Evidence<'_>) -> Known {
        if self.rules != rules {
            self.rules = rules;
            self.entries.clear();
        }
        self.key.clear();
        if !write_key(evidence, &mut self.key) {
            return Known::TooLong;
        }
        let mut hasher = self.hasher.build_hasher();
        hasher.write(&self.key);
        let hash = hasher.finish();
        match self.entries.find(hash, |entry| *entry.key == *self.key) {
            Some(entry) => Known::Verdict(entry.verdict.clone()),
            None => Known::Hash(hash),
        }
    }

    /// Keeps the verdict on what was last looked for.
    fn keep(&mut self, hash: u64, verdict: &Option<Failure>) {
        if self.entries.len() >= ENTRIES_MAX {
            self.entries.clear();
        }
        let entry = Entry {
            hash,
            key: self.key.as_slice().into(),
            verdict: verdict.clone(),
        };
        self.entries.insert_unique(hash, entry, |entry| entry.hash);
    }
}

/// Writes everything that a verdict depends on; no two different ones are written alike, since
/// every text comes after its length. `false` when it is too long to be remembered.
fn write_key(evidence: &Evidence<'_>, key: &mut Vec<u8>) -> bool {
    let Evidence {
        provider,
        is_error,
        http_status,
        error_type,
        error_code,
        exception_type,
        messages,
        body,
        finish,
        streaming,
        retry_after_ms,
    } = *evidence;
    let texts = [
        provider,
        error_type,
        error_code,
        exception_type,
        body,
        finish,
    ];
    for text in texts.iter().chain(messages) {
        if key.len() + text.len() > KEY_BYTES_MAX {
            return false;
        }
        key.extend_from_slice(&text.len().to_le_bytes());
        key.extend_from_slice(text.as_bytes());
    }
    key.push(u8::from(is_error));
    key.push(streaming.map_or(2, u8::from));
    key.extend_from_slice(&http_status.unwrap_or(0).to_le_bytes());
    key.push(u8::from(http_status.is_some()));
    key.extend_from_slice(&retry_after_ms.unwrap_or(0).to_le_bytes());
    key.push(u8::from(retry_after_ms.is_some()));
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enrich::Rules;
    use crate::enrich::classify::{classify, explain};

    #[test]
    fn a_remembered_verdict_is_the_one_worked_out_anew() {
        let texts = ["You exceeded your current quota", "Overloaded", "timed out"];
        for number in 0..4 * ENTRIES_MAX {
            let text = format!("{} ({})", texts[number % 3], number % 200);
            let evidence = Evidence {
                is_error: true,
                messages: &[&text],
                ..Evidence::default()
            };
            let (anew, _) = explain(Rules::builtin(), &evidence);
            assert_eq!(classify(Rules::builtin(), &evidence), anew, "{text}");
            assert_eq!(classify(Rules::builtin(), &evidence), anew, "{text} again");
        }
    }

    #[test]
    fn evidence_in_other_fields_is_other_evidence() {
        let key = |evidence: &Evidence<'_>| {
            let mut key = Vec::new();
            assert!(write_key(evidence, &mut key));
            key
        };
        let message = Evidence {
            messages: &["429"],
            ..Evidence::default()
        };
        let body = Evidence {
            body: "429",
            messages: &[""],
            ..Evidence::default()
        };
        let status = Evidence {
            http_status: Some(0),
            messages: &["429"],
            ..Evidence::default()
        };
        assert_ne!(key(&message), key(&body));
        assert_ne!(key(&message), key(&status));
    }
}
