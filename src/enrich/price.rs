//! Prices: from tokens to money, or the reason why not.
//!
//! `rules/prices.csv` compiled: exact model names are looked up by hash, other match clauses are
//! scanned within one provider. Money is integer nano-USD until the very end. The table is
//! immutable: no cache, no lock.

use super::providers::Providers;
use super::rules::RulesError;
use crate::call::{Call, Cost, CostStatus, Failure, Phase, TokensSource};
use regex::Regex;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

const NANOS_PER_USD: f64 = 1e9;
const COLUMNS: usize = 6;
const DAY_NS: u64 = 86_400_000_000_000;

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

#[derive(Debug)]
struct Model {
    provider: String,
    id: String,
    clauses: Vec<Vec<Test>>,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    /// Days since the epoch; 0 = always.
    from_day: u64,
    variant: String,
    tier_start: u64,
    /// Pico-USD per token (= micro-USD per million): input, output, cache read, cache write,
    /// cache write for an hour, reasoning.
    price: [Option<u64>; COLUMNS],
}

#[derive(Debug)]
enum Test {
    Equals(String),
    Starts(String),
    Ends(String),
    Contains(String),
    Matches(Regex),
    Not(Box<Test>),
}

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
    models: HashMap<String, HashMap<String, Option<usize>>>,
}

/// Works out the cost of a call.
pub fn price(
    table: &PriceTable,
    providers: &Providers,
    call: &Call<'_>,
    failure: Option<&Failure>,
) -> Cost {
    let status = |status, total_usd| Cost {
        status,
        total_usd,
        ..Cost::default()
    };
    let usage = &call.usage;
    let counted = usage.input_tokens.unwrap_or(0) > 0 || usage.output_tokens.unwrap_or(0) > 0;
    if !counted && failure.is_some_and(|f| f.phase == Phase::BeforeGeneration) {
        return status(CostStatus::NotBilled, None);
    }
    if usage.input_tokens.is_none() && usage.output_tokens.is_none() {
        let known = call.reported_cost_usd;
        return status(
            if known.is_some() {
                CostStatus::Reported
            } else {
                CostStatus::NoTokens
            },
            known,
        );
    }
    let found = [call.response_model, call.request_model]
        .into_iter()
        .find_map(|m| table.find(providers, call.provider, m));
    let priced = found.and_then(|m| Some((m, m.cost(call)?)));
    let Some((model, (input, output))) = priced else {
        let known = call.reported_cost_usd;
        return status(
            if known.is_some() {
                CostStatus::Reported
            } else {
                CostStatus::NoPrice
            },
            known,
        );
    };
    let usd = |nanos: u64| Some(nanos as f64 / NANOS_PER_USD);
    Cost {
        total_usd: usd(input.saturating_add(output)),
        input_usd: usd(input),
        output_usd: usd(output),
        status: match usage.source {
            TokensSource::Estimated => CostStatus::Estimated,
            _ => CostStatus::Priced,
        },
        price_id: format!("{}/{}", model.provider, model.id),
    }
}

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
                .from_reader(text.as_bytes());
            for record in reader.records() {
                let record = record.map_err(|e| {
                    let line = e.position().map_or(1, |p| p.line());
                    RulesError::at(name, usize::try_from(line).unwrap_or(1), e.to_string())
                })?;
                let line = usize::try_from(record.position().map_or(1, |p| p.line())).unwrap_or(1);
                let wrong = |what: String| RulesError::at(name, line, what);
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
    fn find(&self, providers: &Providers, provider: &str, model: &str) -> Option<&Model> {
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

    fn in_provider(&self, provider: &str, model: &str) -> Option<&Model> {
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
        // The name as it is, then without what gateways and fine-tuning put around it.
        let bare = model.strip_prefix("models/").unwrap_or(model);
        let bare = bare
            .strip_prefix("ft:")
            .map_or(bare, |m| m.split(':').next().unwrap_or(m));
        let last = bare.rsplit('/').next().unwrap_or(bare);
        let names = [model, bare, last];
        names
            .iter()
            .find_map(|n| by_name(n))
            .or_else(|| names.iter().find_map(|n| scan(n)))
    }
}

// === impl Model ===

impl Model {
    /// Input and output cost in nano-USD; `None` when the table has no price for tokens.
    fn cost(&self, call: &Call<'_>) -> Option<(u64, u64)> {
        let usage = &call.usage;
        let input = usage.input_tokens.unwrap_or(0);
        let day = call.start_ns / DAY_NS;
        let tier = call.service_tier.to_ascii_lowercase();
        let variant = if call.lane == "batch" {
            "batch"
        } else {
            tier.as_str()
        };
        let of = |column: usize| self.unit(column, day, variant, input);
        let (base, out) = (of(0), of(1));
        if base.is_none() && out.is_none() {
            return None;
        }
        let read = usage.cache_read_tokens.unwrap_or(0).min(input);
        let write = usage.cache_write_tokens.unwrap_or(0).min(input - read);
        let hour = usage.cache_write_1h_tokens.unwrap_or(0).min(write);
        let output = usage.output_tokens.unwrap_or(0);
        let thought = usage.reasoning_tokens.unwrap_or(0).min(output);
        let base = base.unwrap_or(0);
        let write_price = of(3).unwrap_or(base);
        let sum = |parts: &[(u64, u64)]| {
            let picos: u128 = parts
                .iter()
                .map(|(n, p)| u128::from(*n) * u128::from(*p))
                .sum();
            u64::try_from((picos + 500) / 1000).unwrap_or(u64::MAX)
        };
        let input_cost = sum(&[
            (input - read - write, base),
            (read, of(2).unwrap_or(base)),
            (write - hour, write_price),
            (hour, of(4).unwrap_or(write_price)),
        ]);
        let out = out.unwrap_or(0);
        Some((
            input_cost,
            sum(&[(output - thought, out), (thought, of(5).unwrap_or(out))]),
        ))
    }

    /// The unit price: of the variant if it has one, at the latest start, at the highest tier.
    fn unit(&self, column: usize, day: u64, variant: &str, input: u64) -> Option<u64> {
        let pick = |variant: &str| {
            let rows = self
                .rows
                .iter()
                .filter(|r| r.variant == variant && r.from_day <= day);
            let latest = rows.clone().map(|r| r.from_day).max()?;
            rows.filter(|r| r.from_day == latest && (r.tier_start == 0 || r.tier_start < input))
                .filter_map(|r| Some((r.tier_start, r.price.get(column).copied().flatten()?)))
                .max_by_key(|(start, _)| *start)
                .map(|(_, price)| price)
        };
        pick(variant).or_else(|| pick("standard"))
    }
}

// === impl Test ===

impl Test {
    fn holds(&self, name: &str) -> bool {
        match self {
            Test::Equals(t) => name == t,
            Test::Starts(t) => name.starts_with(t.as_str()),
            Test::Ends(t) => name.ends_with(t.as_str()),
            Test::Contains(t) => name.contains(t.as_str()),
            Test::Matches(r) => r.is_match(name),
            Test::Not(t) => !t.holds(name),
        }
    }

    fn parse(text: &str) -> Result<Test, String> {
        let rest = text.get(1..).unwrap_or("");
        let lower = rest.to_lowercase();
        Ok(match text.chars().next() {
            Some('=') => Test::Equals(lower),
            Some('^') => Test::Starts(lower),
            Some('$') => Test::Ends(lower),
            Some('*') => Test::Contains(lower),
            Some('~') => {
                // Names are ASCII in lower case: without Unicode's tables a pattern is small.
                let mut pattern = regex::RegexBuilder::new(rest);
                pattern.case_insensitive(true).unicode(false);
                Test::Matches(pattern.build().map_err(|e| e.to_string())?)
            }
            Some('!') => Test::Not(Box::new(Test::parse(rest)?)),
            _ => {
                return Err(format!(
                    "match clause {text:?} must begin with one of = ^ $ * ~ !"
                ));
            }
        })
    }
}

fn clauses(text: &str) -> Result<Vec<Vec<Test>>, String> {
    text.split_whitespace()
        .map(|c| c.split('&').map(Test::parse).collect())
        .collect()
}

fn row(record: &csv::StringRecord) -> Result<Row, String> {
    let field = |i: usize| record.get(i).unwrap_or("").trim();
    let mut price = [None; COLUMNS];
    for (at, slot) in price.iter_mut().enumerate() {
        *slot = match field(6 + at) {
            "" => None,
            text => Some(
                micros(text)
                    .ok_or_else(|| format!("{text:?} is not a price in USD per million tokens"))?,
            ),
        };
    }
    let from_day = match field(3) {
        "" => 0,
        text => {
            let date: jiff::civil::Date = text
                .parse()
                .map_err(|e| format!("effective_from {text:?}: {e}"))?;
            let since = date
                .duration_since(jiff::civil::date(1970, 1, 1))
                .as_hours()
                / 24;
            u64::try_from(since).map_err(|_| format!("effective_from {text:?} is before 1970"))?
        }
    };
    Ok(Row {
        from_day,
        variant: field(4).to_owned(),
        tier_start: field(5)
            .parse()
            .map_err(|_| format!("tier_start {:?} is not a number", field(5)))?,
        price,
    })
}

/// A decimal number times a million, rounded down, without floating point.
fn micros(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut digits = fraction.to_owned();
    digits.push_str("000000");
    let whole: u64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    whole
        .checked_mul(1_000_000)?
        .checked_add(digits.get(..6)?.parse().ok()?)
}
