//! Enrich: what failed and why, what it cost, what kind of input it had.
//!
//! Pure: `(rules, call) -> enrichment`, no I/O and no clock. It never changes what was recorded.
//! Knowledge (signatures, prices, limits) lives in `rules/`, not here.

pub mod classify;
pub mod providers;
mod rules;

pub use classify::{Evidence, classify_lines};
pub use rules::{Overrides, RuleFile, Rules, RulesError};
