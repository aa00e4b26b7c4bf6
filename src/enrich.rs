//! Enrich: what failed and why, what it cost, what kind of input it had.
//!
//! Pure: `(rules, call) -> enrichment`, no I/O and no clock. It never changes what was recorded.
//! Knowledge (signatures, prices, limits) lives in `rules/`, not here.

pub mod classify;
mod language;
mod outcome;
mod price;
mod profile;
pub mod providers;
mod rules;
mod schema;
mod suspicion;
mod tools;

#[cfg(test)]
mod tests;

pub use classify::{Evidence, classify_lines};
pub use price::{Difference, ImportError, Imported, Listed, PriceTable, import as import_prices};
pub use rules::{Overrides, RuleFile, Rules, RulesError};
pub use tools::tool_calls;

use crate::call::{Call, Enrichment, Failure, Profile};

/// Tools that an evidence names.
const NAMED_MAX: usize = 3;

/// Works out everything about a call. Never panics; depends on nothing but its arguments.
pub fn enrich(rules: &Rules, call: &Call<'_>) -> Enrichment {
    let errors = &call.errors;
    let evidence = Evidence {
        provider: call.provider,
        is_error: errors.is_error,
        http_status: errors.http_status,
        error_type: errors.error_type,
        error_code: errors.error_code,
        exception_type: errors.exception_type,
        messages: errors.messages,
        body: "",
        finish: call.finish_reason,
        streaming: call.streaming,
        retry_after_ms: errors.retry_after_ms,
    };
    let failure = classify::classify(rules, &evidence)
        .map(|failure| outcome::settle(call, failure))
        .or_else(|| outcome::outcome(call));
    let mut profile = profile::profile(call);
    let failure = failure.map(|failure| repeatable(call, failure, &mut profile));
    Enrichment {
        stream_outcome: outcome::stream_outcome(call, failure.as_ref()),
        cost: price::price(&rules.prices, &rules.providers, call, failure.as_ref()),
        profile,
        failure,
    }
}

/// The other half of a retry's advice: not whether it helps, but what would be done twice if the
/// whole run were started again.
fn repeatable(call: &Call<'_>, mut failure: Failure, profile: &mut Profile) -> Failure {
    let done = tools::done_before(call);
    if !done.is_empty() {
        profile.tool_flags.push("side_effects_done");
        let named = done.get(..done.len().min(NAMED_MAX)).unwrap_or_default();
        failure.evidence += "; not safe to run again, done before: ";
        failure.evidence += &named.join(", ");
    }
    failure
}
