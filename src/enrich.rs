//! Enrich: what failed and why, what it cost, what kind of input it had.
//!
//! Pure: `(rules, call) -> enrichment`, no I/O and no clock. It never changes what was recorded.
//! Knowledge (signatures, prices, limits) lives in `rules/`, not here.

use crate::call::{Call, Enrichment};

/// Temporary.
pub struct Rules;

/// Temporary.
pub fn enrich(_rules: &Rules, call: &Call<'_>) -> Enrichment {
    _ = call;
    Enrichment::default()
}
impl Rules {
    /// Temporary.
    pub fn builtin() -> std::sync::Arc<Rules> {
        std::sync::Arc::new(Rules)
    }
}
