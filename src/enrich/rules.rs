//! All knowledge of the stage in one value, compiled once and read by everyone.
//!
//! The tables are compiled into the binary; a user's own files come on top: failure rules are
//! tried before ours (and one with the id of ours replaces it), price rows replace the rows of
//! the same provider and model. A mistake names its file and line.

use super::classify::Signatures;

use super::price::PriceTable;
use super::providers::Providers;
use std::sync::{Arc, LazyLock};

/// Failure signatures, prices and provider names, ready to use.
#[derive(Debug)]
pub struct Rules {
    pub(crate) providers: Providers,
    pub(crate) signatures: Signatures,
    pub(crate) prices: PriceTable,
}

/// The user's own rules, as texts with the names to show in errors.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// Files in the form of `rules/failures/*.toml`.
    pub failures: Vec<RuleFile>,
    /// Files in the form of `rules/prices.csv`.
    pub prices: Vec<RuleFile>,
}

/// A file that was read by the caller: this stage does no I/O.
#[derive(Debug, Clone)]
pub struct RuleFile {
    pub name: String,
    pub text: String,
}

/// A mistake in a rules file.
#[derive(Debug, thiserror::Error)]
#[error("{file}:{line}: {what}")]
pub struct RulesError {
    pub file: String,
    /// 1-based.
    pub line: usize,
    pub what: String,
}

/// Order matters: the first rule that matches decides.
const FAILURES: [(&str, &str); 9] = [
    (
        "rules/failures/10_provider.toml",
        include_str!("../../rules/failures/10_provider.toml"),
    ),
    (
        "rules/failures/15_page.toml",
        include_str!("../../rules/failures/15_page.toml"),
    ),
    (
        "rules/failures/20_text.toml",
        include_str!("../../rules/failures/20_text.toml"),
    ),
    (
        "rules/failures/25_meaning.toml",
        include_str!("../../rules/failures/25_meaning.toml"),
    ),
    (
        "rules/failures/30_code.toml",
        include_str!("../../rules/failures/30_code.toml"),
    ),
    (
        "rules/failures/40_vague.toml",
        include_str!("../../rules/failures/40_vague.toml"),
    ),
    (
        "rules/failures/50_exception.toml",
        include_str!("../../rules/failures/50_exception.toml"),
    ),
    (
        "rules/failures/60_status.toml",
        include_str!("../../rules/failures/60_status.toml"),
    ),
    (
        "rules/failures/70_word.toml",
        include_str!("../../rules/failures/70_word.toml"),
    ),
];
const PROVIDERS: (&str, &str) = (
    "rules/providers.toml",
    include_str!("../../rules/providers.toml"),
);

const PRICES: (&str, &str) = ("rules/prices.csv", include_str!("../../rules/prices.csv"));

static BUILTIN: LazyLock<Arc<Rules>> = LazyLock::new(|| {
    // The compiled-in tables are checked by the tests; a program without them is useless.
    Arc::new(Rules::load(&Overrides::default()).unwrap_or_else(|e| panic!("{e}")))
});

// === impl Rules ===

impl Rules {
    /// The rules compiled into this binary.
    pub fn builtin() -> &'static Arc<Rules> {
        &BUILTIN
    }

    /// The table of providers.
    pub fn providers(&self) -> &Providers {
        &self.providers
    }

    /// The prices in force.
    pub fn prices(&self) -> &PriceTable {
        &self.prices
    }

    /// The compiled-in rules with the user's own on top.
    pub fn load(overrides: &Overrides) -> Result<Rules, RulesError> {
        let providers = Providers::parse(PROVIDERS.0, PROVIDERS.1)?;
        let own = |files: &[RuleFile]| -> Vec<(String, String)> {
            files
                .iter()
                .map(|f| (f.name.clone(), f.text.clone()))
                .collect()
        };
        let mut failures = own(&overrides.failures);
        failures.extend(FAILURES.map(|(n, t)| (n.to_owned(), t.to_owned())));
        let signatures = Signatures::parse(&failures, &providers)?;

        let mut prices = own(&overrides.prices);
        prices.push((PRICES.0.to_owned(), PRICES.1.to_owned()));
        let prices = PriceTable::parse(&prices)?;
        Ok(Rules {
            providers,
            signatures,
            prices,
        })
    }
}

// === impl RulesError ===

impl RulesError {
    pub(crate) fn at(file: &str, line: usize, what: String) -> RulesError {
        RulesError {
            file: file.to_owned(),
            line,
            what,
        }
    }

    pub(crate) fn toml(file: &str, text: &str, error: &toml::de::Error) -> RulesError {
        let line = error.span().map_or(1, |s| line_of(text, s.start));
        Self::at(file, line, error.message().to_owned())
    }
}

/// The 1-based line of a byte offset.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    1 + memchr::memchr_iter(b'\n', text.as_bytes())
        .take_while(|at| *at < offset)
        .count()
}
