//! The price table as people read it: the rows of a model, and what differs between two tables.

use super::COLUMNS;
use super::row::{Row, attos_text};
use super::table::{Model, PriceTable};
use std::collections::BTreeMap;
use std::fmt;

/// Names of the unit prices, as the columns of a price file.
const NAMES: [&str; COLUMNS] = [
    "input",
    "output",
    "cache_read",
    "cache_write",
    "cache_write_1h",
    "reasoning",
    "input_audio",
    "output_audio",
];

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// As in `llm_calls.price_id`.
    pub price_id: String,
    /// USD per million tokens, by name of the column; only those that are known.
    pub prices: Vec<(&'static str, String)>,
}

/// How two tables differ in one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    Added(Listed),
    Removed(Listed),
    Changed { before: Listed, after: Listed },
}

// === impl Listed ===

impl Listed {
    fn of(model: &Model, row: &Row) -> Listed {
        let named = NAMES.iter().zip(&row.price);
        Listed {
            price_id: model.price_id(row),
            prices: named
                .filter_map(|(name, price)| Some((*name, attos_text((*price)?))))
                .collect(),
        }
    }
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.price_id)?;
        self.prices
            .iter()
            .try_for_each(|(name, price)| write!(f, " {name}={price}"))
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Added(row) => write!(f, "+ {row}"),
            Difference::Removed(row) => write!(f, "- {row}"),
            Difference::Changed { before, after } => write!(f, "- {before}\n+ {after}"),
        }
    }
}

// === impl PriceTable ===

impl PriceTable {
    /// All rows of the models that a name means, at every provider of the table or at one.
    pub fn rows_of(&self, provider: Option<&str>, model: &str) -> Vec<Listed> {
        let lower = model.to_lowercase();
        self.providers()
            .filter(|p| provider.is_none_or(|wanted| wanted == *p))
            .filter_map(|p| self.in_provider(p, &lower))
            .flat_map(|m| m.rows.iter().map(|row| Listed::of(m, row)))
            .collect()
    }

    /// What another table says otherwise of the models that both know, and what it adds.
    pub fn differences(&self, other: &PriceTable) -> Vec<Difference> {
        let list =
            |table: &PriceTable, known: &dyn Fn(&Model) -> bool| -> BTreeMap<String, Listed> {
                let models = table.models().filter(|m| known(m));
                let rows = models.flat_map(|m| m.rows.iter().map(|row| Listed::of(m, row)));
                rows.map(|row| (row.price_id.clone(), row)).collect()
            };
        let theirs = list(other, &|_| true);
        let models: std::collections::HashSet<_> =
            other.models().map(|m| (&m.provider, &m.id)).collect();
        let mut ours = list(self, &|m| models.contains(&(&m.provider, &m.id)));
        let mut differences = Vec::new();
        for (id, after) in theirs {
            match ours.remove(&id) {
                None => differences.push(Difference::Added(after)),
                Some(before) if before != after => {
                    differences.push(Difference::Changed { before, after });
                }
                Some(_) => {}
            }
        }
        differences.extend(ours.into_values().map(Difference::Removed));
        differences
    }
}
