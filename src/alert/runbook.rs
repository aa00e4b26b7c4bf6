//! Runbooks: the verdict of an alert and what its reader does next (`rules/runbooks.toml`).
//!
//! A user's file replaces single fields of single entries. Whose fault a failure class is and
//! whether a retry helps comes from `enrich`; kinds that are about no failure class say it here.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{
    call::FailureClass,
    detect::{Incident, Kind},
    enrich::{classify::meaning, providers::Providers},
};

/// Texts by failure class and kind, and the status pages of providers.
#[derive(Debug)]
pub struct Runbooks {
    file: File,
    status_pages: BTreeMap<String, String>,
    providers: Providers,
}

/// What an alert says about its cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict<'r> {
    pub fault_domain: &'r str,
    pub phase: &'r str,
    pub retry: &'r str,
    pub clears_when: &'r str,
    pub steps: Vec<&'r str>,
    /// The entry's own, if the user's file has one.
    pub runbook_url: Option<&'r str>,
    /// Where the entry is in the runbook: `kind-quota_exhausted`, `class-llm.network.timeout`.
    pub anchor: String,
}

/// An entry as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub anchor: String,
    pub name: String,
    pub clears_when: String,
    pub steps: Vec<String>,
}

/// A runbooks file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{file}:{line}: {what}")]
pub struct RunbookError {
    pub file: String,
    /// 1-based.
    pub line: usize,
    pub what: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    class: BTreeMap<String, Entry>,
    #[serde(default)]
    kind: BTreeMap<String, Entry>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    says: Option<String>,
    #[serde(default)]
    cause: bool,
    fault_domain: Option<String>,
    retry: Option<String>,
    phase: Option<String>,
    clears_when: Option<String>,
    steps: Option<Vec<String>>,
    runbook_url: Option<String>,
}

const BUILTIN: (&str, &str) = (
    "rules/runbooks.toml",
    include_str!("../../rules/runbooks.toml"),
);
const STATUS_PAGES: (&str, &str) = (
    "rules/status_pages.toml",
    include_str!("../../rules/status_pages.toml"),
);
const PROVIDERS: (&str, &str) = (
    "rules/providers.toml",
    include_str!("../../rules/providers.toml"),
);
const FAULT_DOMAINS: [&str; 3] = ["ours", "provider", "unknown"];
const RETRIES: [&str; 4] = ["never", "after_delay", "immediately", "after_fix"];
const PHASES: [&str; 3] = ["before_generation", "during_generation", "after_generation"];

// === impl Runbooks ===

impl Runbooks {
    /// The compiled-in texts, with a user's file (name and text) on top.
    pub fn load(own: Option<(&str, &str)>) -> Result<Runbooks, RunbookError> {
        let mut file = File::parse(BUILTIN.0, BUILTIN.1)?;
        if let Some((name, text)) = own {
            let own = File::parse(name, text)?;
            overlay(&mut file.class, own.class);
            overlay(&mut file.kind, own.kind);
        }
        let status_pages = toml::from_str(STATUS_PAGES.1)
            .map_err(|e| RunbookError::of(STATUS_PAGES.0, STATUS_PAGES.1, &e))?;
        let providers = Providers::parse(PROVIDERS.0, PROVIDERS.1).map_err(|e| RunbookError {
            file: e.file,
            line: e.line,
            what: e.what,
        })?;
        Ok(Runbooks {
            file,
            status_pages,
            providers,
        })
    }

    /// The words of a title: `quota exhausted`.
    pub fn says(&self, kind: Kind) -> &str {
        let entry = self.file.kind.get(kind.as_str());
        let says = entry.and_then(|e| e.says.as_deref());
        says.unwrap_or(kind.as_str())
    }

    /// The verdict on an incident: of its failure class, or of its kind where that is the cause or
    /// no class is known.
    pub fn verdict(&self, incident: &Incident) -> Verdict<'_> {
        let kind_name = incident.kind.as_str();
        let kind = self.file.kind.get(kind_name);
        let class = FailureClass::parse(&incident.failure_class);
        let class_name = class.map(|c| c.as_str().trim_start_matches("llm."));
        let class_entry = class_name.and_then(|name| self.file.class.get(name));
        // Told by what the calls do, not by what their errors say: the class would deny it.
        let by_behaviour = incident.kind == Kind::QuotaExhausted
            && class != Some(FailureClass::BillingQuotaExhausted);
        let kind_first = by_behaviour || kind.is_some_and(|k| k.cause) || class_entry.is_none();
        let (first, second) = match kind_first {
            true => (kind, class_entry),
            false => (class_entry, kind),
        };
        let pick = |field: fn(&Entry) -> Option<&str>| {
            first.and_then(field).or_else(|| second.and_then(field))
        };
        let circumstances = class.filter(|_| !kind_first).map(meaning);
        let steps = first.and_then(|e| e.steps.as_ref());
        let steps = steps.or_else(|| second.and_then(|e| e.steps.as_ref()));
        Verdict {
            fault_domain: first
                .and_then(|e| e.fault_domain.as_deref())
                .unwrap_or_else(|| circumstances.map_or("unknown", |m| m.fault_domain.as_str())),
            phase: first
                .and_then(|e| e.phase.as_deref())
                .unwrap_or_else(|| circumstances.map_or("before_generation", |m| m.phase.as_str())),
            retry: first
                .and_then(|e| e.retry.as_deref())
                .unwrap_or_else(|| circumstances.map_or("after_delay", |m| m.retry.as_str())),
            clears_when: pick(|e| e.clears_when.as_deref()).unwrap_or_default(),
            steps: steps.into_iter().flatten().map(String::as_str).collect(),
            runbook_url: pick(|e| e.runbook_url.as_deref()),
            anchor: match (kind_first, class_name) {
                (false, Some(name)) => format!("class-{name}"),
                _ => format!("kind-{kind_name}"),
            },
        }
    }

    /// Where a provider, in any spelling, says how it is.
    pub fn status_page(&self, provider: &str) -> Option<&str> {
        let id = self.providers.get(provider).map_or(provider, |row| &row.id);
        self.status_pages.get(id).map(String::as_str)
    }

    /// All entries, kinds first, with the anchors that alerts link to.
    pub fn entries(&self) -> Vec<Page> {
        let of = |section: &str, prefix: &str, entries: &BTreeMap<String, Entry>| {
            let page = |(name, entry): (&String, &Entry)| Page {
                anchor: format!("{section}-{name}"),
                name: format!("{prefix}{name}"),
                clears_when: entry.clears_when.clone().unwrap_or_default(),
                steps: entry.steps.clone().unwrap_or_default(),
            };
            entries.iter().map(page).collect::<Vec<_>>()
        };
        let kinds = of("kind", "", &self.file.kind);
        kinds
            .into_iter()
            .chain(of("class", "llm.", &self.file.class))
            .collect()
    }
}

fn overlay(under: &mut BTreeMap<String, Entry>, own: BTreeMap<String, Entry>) {
    for (name, own) in own {
        let entry = under.entry(name).or_default();
        *entry = Entry {
            says: own.says.or(entry.says.take()),
            cause: own.cause || entry.cause,
            fault_domain: own.fault_domain.or(entry.fault_domain.take()),
            retry: own.retry.or(entry.retry.take()),
            phase: own.phase.or(entry.phase.take()),
            clears_when: own.clears_when.or(entry.clears_when.take()),
            steps: own.steps.or(entry.steps.take()),
            runbook_url: own.runbook_url.or(entry.runbook_url.take()),
        };
    }
}

// === impl File ===

impl File {
    fn parse(name: &str, text: &str) -> Result<File, RunbookError> {
        let file: File = toml::from_str(text).map_err(|e| RunbookError::of(name, text, &e))?;
        let wrong = |entry: &str, what: String| RunbookError {
            file: name.to_owned(),
            line: line_with(text, entry),
            what,
        };
        for class in file.class.keys() {
            if FailureClass::parse(&format!("llm.{class}")).is_none() {
                return Err(wrong(
                    class,
                    format!("there is no failure class llm.{class}"),
                ));
            }
        }
        for kind in file.kind.keys() {
            if kind.parse::<Kind>().is_err() {
                return Err(wrong(kind, format!("there is no alert kind {kind}")));
            }
        }
        for (entry, e) in file.class.iter().chain(&file.kind) {
            let words = [
                (&e.fault_domain, &FAULT_DOMAINS[..]),
                (&e.retry, &RETRIES[..]),
                (&e.phase, &PHASES[..]),
            ];
            for (word, known) in words {
                if let Some(word) = word.as_deref().filter(|w| !known.contains(w)) {
                    let what = format!("{word:?} must be one of {}", known.join(", "));
                    return Err(wrong(entry, what));
                }
            }
            let url = e.runbook_url.as_deref().unwrap_or("https://");
            if !url.starts_with("https://") && !url.starts_with("http://") {
                return Err(wrong(entry, format!("runbook_url {url:?} is no URL")));
            }
        }
        Ok(file)
    }
}

/// The line of an entry's heading.
fn line_with(text: &str, entry: &str) -> usize {
    let heading = |line: &str| line.starts_with('[') && line.contains(entry);
    1 + text.lines().position(heading).unwrap_or(0)
}

// === impl RunbookError ===

impl RunbookError {
    fn of(file: &str, text: &str, error: &toml::de::Error) -> RunbookError {
        let at = error.span().map_or(0, |span| span.start);
        RunbookError {
            file: file.to_owned(),
            line: 1 + text.bytes().take(at).filter(|b| *b == b'\n').count(),
            what: error.message().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_and_every_kind_has_words_and_steps() {
        let books = Runbooks::load(None).unwrap();
        let complete = |name: &str, entry: Option<&Entry>| {
            let entry = entry.unwrap_or_else(|| panic!("{name} has no entry"));
            let clears = entry.clears_when.as_deref().unwrap_or_default();
            assert!(
                clears.len() > 20 && !clears.ends_with('.'),
                "{name}: {clears}"
            );
            assert!(entry.steps.as_ref().is_some_and(|s| s.len() >= 2), "{name}");
        };
        for class in FailureClass::ALL {
            let name = class.as_str().trim_start_matches("llm.");
            complete(name, books.file.class.get(name));
        }
        for kind in Kind::ALL {
            complete(kind.as_str(), books.file.kind.get(kind.as_str()));
            assert_ne!(books.says(kind), kind.as_str());
        }
    }

    #[test]
    fn every_status_page_belongs_to_a_known_provider() {
        let books = Runbooks::load(None).unwrap();
        for id in books.status_pages.keys() {
            assert!(books.providers.get(id).is_some(), "{id}");
        }
        assert!(books.status_page("Azure").is_some());
    }

    #[test]
    fn a_file_of_the_users_replaces_fields_and_is_checked() {
        let own = "[class.\"auth.invalid_key\"]\nrunbook_url = \"https://wiki.example/keys\"\n";
        let books = Runbooks::load(Some(("own.toml", own))).unwrap();
        let entry = &books.file.class["auth.invalid_key"];
        assert!(entry.clears_when.is_some() && entry.runbook_url.is_some());
        let wrong = "\n[kind.quota]\nclears_when = \"x\"\n";
        let error = Runbooks::load(Some(("own.toml", wrong)))
            .unwrap_err()
            .to_string();
        assert_eq!(error, "own.toml:2: there is no alert kind quota");
    }
}
