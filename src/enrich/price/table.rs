//! The compiled price table, and which of its models a name means.
//!
//! Exact names are looked up by hash, other match clauses are scanned within one provider, and
//! what was found is remembered per thread. The table is immutable: no lock.

use super::clause::{Test, clauses};
use super::row::{Row, row};
use crate::enrich::providers::Providers;
use crate::enrich::rules::RulesError;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// The compiled table.
#[derive(Debug)]
pub struct PriceTable {
    /// Tells this table from one that was loaded later.
    identity: u64,
    models: Vec<Model>,
    /// By price provider id and lower-case model name.
    exact: HashMap<String, HashMap<String, usize>>,
    by_provider: HashMap<String, Vec<usize>>,
}

/// One model with all its rows.
#[derive(Debug)]
pub(super) struct Model {
    pub provider: String,
    pub id: String,
    clauses: Vec<Vec<Test>>,
    pub rows: Vec<Row>,
}

/// Columns of a whole table, and those at its end that a row may leave out: few models have a price
/// for sound.
const FIELDS_MAX: usize = 19;
const AUDIO_FIELDS: usize = 2;

/// Tables made so far; 0 is none.
static TABLES: AtomicU64 = AtomicU64::new(1);

/// Providers and, of each, names that are remembered; hostile names only empty the memory.
const RECENT_MAX: usize = 256;
/// A longer model name has no price.
const NAME_BYTES_MAX: usize = 256;

thread_local! {
    static RECENT: RefCell<Recent> = RefCell::default();
}

/// Names looked up lately, and where in the table their model stands.
#[derive(Default)]
struct Recent {
    table: u64,
    models: FastMap<FastMap<Option<usize>>>,
}

type FastMap<V> = hashbrown::HashMap<String, V, foldhash::fast::RandomState>;

// === impl PriceTable ===

impl PriceTable {
    /// Compiles files, given as name and text; rows of an earlier file replace those of the same
    /// provider and model in a later one.
    pub fn parse(files: &[(String, String)]) -> Result<PriceTable, RulesError> {
        let mut table = PriceTable {
            identity: TABLES.fetch_add(1, Ordering::Relaxed),
            models: Vec::new(),
            exact: HashMap::new(),
            by_provider: HashMap::new(),
        };
        let mut known: HashMap<(String, String), (usize, usize)> = HashMap::new();
        for (number, (name, text)) in files.iter().enumerate() {
            let mut reader = csv::ReaderBuilder::new()
                .comment(Some(b'#'))
                .flexible(true)
                .from_reader(text.as_bytes());
            let whole = reader.headers().map_or(0, csv::StringRecord::len);
            for record in reader.records() {
                let record = record.map_err(|e| {
                    let line = e.position().map_or(1, |p| p.line());
                    RulesError::at(name, usize::try_from(line).unwrap_or(1), e.to_string())
                })?;
                let line = usize::try_from(record.position().map_or(1, |p| p.line())).unwrap_or(1);
                let wrong = |what: String| RulesError::at(name, line, what);
                let fields = record.len();
                if fields != whole && (whole != FIELDS_MAX || fields + AUDIO_FIELDS != whole) {
                    return Err(wrong(format!("{fields} fields under {whole} columns")));
                }
                let field = |i: usize| record.get(i).unwrap_or("").trim();
                let key = (field(0).to_owned(), field(1).to_owned());
                let (file, at) = match known.get(&key) {
                    Some(found) => *found,
                    None => {
                        let clauses = clauses(field(2)).map_err(&wrong)?;
                        table.models.push(Model {
                            provider: key.0.clone(),
                            id: key.1.clone(),
                            clauses,
                            rows: Vec::new(),
                        });
                        let entry = (number, table.models.len() - 1);
                        known.insert(key, entry);
                        entry
                    }
                };
                if file == number {
                    let row = row(&record).map_err(wrong)?;
                    if let Some(model) = table.models.get_mut(at) {
                        model.rows.push(row);
                    }
                }
            }
        }
        table.index();
        Ok(table)
    }

    fn index(&mut self) {
        for (at, model) in self.models.iter().enumerate() {
            self.by_provider
                .entry(model.provider.clone())
                .or_default()
                .push(at);
            let names = self.exact.entry(model.provider.clone()).or_default();
            for clause in &model.clauses {
                if let [Test::Equals(name)] = clause.as_slice() {
                    names.entry(name.clone()).or_insert(at);
                }
            }
        }
    }

    /// The model of a name; names that were looked up lately are remembered per thread, because a
    /// name that only clauses match takes a walk over all of its provider's models.
    pub(super) fn find(
        &self,
        providers: &Providers,
        provider: &str,
        model: &str,
    ) -> Option<&Model> {
        if model.is_empty() || model.len() > NAME_BYTES_MAX {
            return None;
        }
        let at = RECENT.with_borrow_mut(|recent| {
            if recent.table != self.identity || recent.models.len() >= RECENT_MAX {
                *recent = Recent {
                    table: self.identity,
                    ..Recent::default()
                };
            }
            let of_provider = match recent.models.get_mut(provider) {
                Some(known) => known,
                None => recent.models.entry(provider.to_owned()).or_default(),
            };
            if let Some(at) = of_provider.get(model) {
                return *at;
            }
            let found = self.search(providers, provider, model);
            let at = found.and_then(|f| self.models.iter().position(|m| std::ptr::eq(m, f)));
            if of_provider.len() < RECENT_MAX {
                of_provider.insert(model.to_owned(), at);
            }
            at
        })?;
        self.models.get(at)
    }

    /// The model of a name, as the provider's table has it; of an unknown provider only when
    /// exactly one of the model makers has it.
    fn search(&self, providers: &Providers, provider: &str, model: &str) -> Option<&Model> {
        const MAKERS: [&str; 8] = [
            "openai",
            "anthropic",
            "google",
            "mistral",
            "cohere",
            "deepseek",
            "x-ai",
            "moonshotai",
        ];
        let lower = model.to_lowercase();
        match providers.get(provider) {
            Some(known) => known
                .prices
                .iter()
                .find_map(|p| self.in_provider(p, &lower)),
            None => {
                // `openai/gpt-4o`: the name itself tells the provider.
                let told = lower
                    .split_once('/')
                    .and_then(|(p, m)| Some((providers.get(p)?, m)));
                if let Some((known, name)) = told {
                    return known.prices.iter().find_map(|p| self.in_provider(p, name));
                }
                let mut found = MAKERS.iter().filter_map(|p| self.in_provider(p, &lower));
                let first = found.next();
                first.filter(|_| found.next().is_none())
            }
        }
    }

    /// Ids of the providers that have rows, sorted.
    pub(super) fn providers(&self) -> impl Iterator<Item = &str> {
        let mut ids: Vec<&str> = self.by_provider.keys().map(String::as_str).collect();
        ids.sort_unstable();
        ids.into_iter()
    }

    pub(super) fn models(&self) -> impl Iterator<Item = &Model> {
        self.models.iter()
    }

    pub(super) fn in_provider(&self, provider: &str, model: &str) -> Option<&Model> {
        let exact = self.exact.get(provider)?;
        let by_name = |name: &str| exact.get(name).and_then(|at| self.models.get(*at));
        let scan = |name: &str| {
            let models = self
                .by_provider
                .get(provider)?
                .iter()
                .filter_map(|at| self.models.get(*at));
            models
                .into_iter()
                .find(|m| m.clauses.iter().any(|c| c.iter().all(|t| t.holds(name))))
        };
        // A fine-tuned model has prices of its own: those of its base would be wrong.
        if model.starts_with("ft:") {
            return by_name(model).or_else(|| scan(model));
        }
        // The name as it is, then without what gateways put around it.
        let bare = model.strip_prefix("models/").unwrap_or(model);
        let last = bare.rsplit('/').next().unwrap_or(bare);
        let names = [model, bare, last];
        names
            .iter()
            .find_map(|n| by_name(n))
            .or_else(|| names.iter().find_map(|n| scan(n)))
    }
}
