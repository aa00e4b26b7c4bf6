//! Provider ids: one id for every spelling (`rules/providers.toml`).
//!
//! Failure rules and price lookups speak of providers by these ids. A set of providers is a bit
//! mask, since an error can belong to two at once: the gateway that was called and the provider
//! behind it. Not here: what a span calls its provider (that is `normalise`).

use super::rules::RulesError;
use hashbrown::HashMap;
use serde::Deserialize;

/// A set of providers is a `u64`, with one bit for "some provider is named".
pub const PROVIDERS_MAX: usize = 63;
/// The bit of errors whose provider is told, known or not; `*` in a rule.
pub const ANY_PROVIDER: u64 = 1 << PROVIDERS_MAX;

/// The table of providers.
#[derive(Debug)]
pub struct Providers {
    rows: Vec<Provider>,
    by_name: HashMap<String, u8>,
}

/// One row of `rules/providers.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    pub id: String,
    pub aliases: Vec<String>,
    /// Provider ids of the price table, in the order in which they are tried.
    pub prices: Vec<String>,
    /// Lower-case texts that give the provider away inside an error text.
    pub hints: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    provider: Vec<Provider>,
}

// === impl Providers ===

impl Providers {
    /// Reads the table from TOML text; `file` names it in errors.
    pub fn parse(file: &str, text: &str) -> Result<Providers, RulesError> {
        let rows = toml::from_str::<File>(text)
            .map_err(|e| RulesError::toml(file, text, &e))?
            .provider;
        if rows.len() > PROVIDERS_MAX {
            return Err(RulesError::at(
                file,
                1,
                format!("{} providers, at most {PROVIDERS_MAX} fit", rows.len()),
            ));
        }
        let mut by_name = HashMap::new();
        for (index, row) in rows.iter().enumerate() {
            for name in row.aliases.iter().chain([&row.id]) {
                let taken = by_name.insert(fold(name), u8::try_from(index).unwrap_or(u8::MAX));
                if taken.is_some() {
                    let what = format!("provider name {name:?} is used twice");
                    return Err(RulesError::at(file, 1, what));
                }
            }
        }
        Ok(Providers { rows, by_name })
    }

    /// The row of a provider in any spelling.
    pub fn get(&self, name: &str) -> Option<&Provider> {
        self.rows.get(self.index(name)?)
    }

    /// The set that holds only this provider; 0 for a name that no row has.
    pub fn mask(&self, name: &str) -> u64 {
        self.index(name).map_or(0, |i| 1 << i)
    }

    pub fn rows(&self) -> &[Provider] {
        &self.rows
    }

    fn index(&self, name: &str) -> Option<usize> {
        if name.is_empty() {
            return None;
        }
        // Most names arrive as we spell them: no copy for those.
        if let Some(i) = self.by_name.get(name) {
            return Some(usize::from(*i));
        }
        self.by_name.get(&fold(name)).map(|i| usize::from(*i))
    }
}

/// The form in which names are compared.
fn fold(name: &str) -> String {
    name.chars()
        .map(|c| match c {
            '-' | ' ' | '.' => '_',
            c => c.to_ascii_lowercase(),
        })
        .collect()
}
