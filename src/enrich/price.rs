//! Prices: from tokens to money, or the reason why not.
//!
//! `rules/prices.csv` compiled. Money is integer nano-USD until the very end.

mod clause;
mod import;
mod list;
mod row;
mod table;

use super::providers::Providers;
use crate::call::{Call, Cost, CostStatus, Failure, Operation, Phase, TokensSource};
pub use import::{ImportError, Imported, import};
pub use list::{Difference, Listed};
use row::Row;
use table::Model;
pub use table::PriceTable;

const NANOS_PER_USD: f64 = 1e9;
/// Unit prices of a row: input, output, cache read, cache write, cache write for an hour, reasoning,
/// sound in the input, sound in the output.
const COLUMNS: usize = 8;
/// The variant of most rows, and the words by which providers say that a call had it.
const STANDARD: &str = "standard";
const STANDARD_TIERS: [&str; 7] = [
    "",
    "default",
    "auto",
    "standard",
    "on_demand",
    "ondemand",
    "standard_only",
];
const DAY_NS: u64 = 86_400_000_000_000;

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
    let Some((model, sum)) = priced else {
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
        total_usd: usd(sum.input.saturating_add(sum.output)),
        input_usd: usd(sum.input),
        output_usd: usd(sum.output),
        status: match usage.source {
            _ if !sum.whole => CostStatus::Partial,
            TokensSource::Estimated => CostStatus::Estimated,
            _ => CostStatus::Priced,
        },
        price_id: model.price_id(sum.row),
    }
}

/// The two sides of a bill, in nano-USD.
struct Sum<'t> {
    input: u64,
    output: u64,
    /// Are all counts and all unit prices that matter known?
    whole: bool,
    /// The row that most of it comes from.
    row: &'t Row,
}

// === impl Model ===

impl Model {
    /// Input and output cost; `None` when the table has no price for tokens.
    fn cost(&self, call: &Call<'_>) -> Option<Sum<'_>> {
        let usage = &call.usage;
        let input = usage.input_tokens.unwrap_or(0);
        let output = usage.output_tokens.unwrap_or(0);
        let day = call.start_ns / DAY_NS;
        let tier = call.service_tier;
        let standard = || STANDARD_TIERS.iter().any(|t| t.eq_ignore_ascii_case(tier));
        let lower;
        let variant = match call.lane == "batch" {
            true => "batch",
            false if standard() => STANDARD,
            false => {
                lower = tier.to_ascii_lowercase();
                lower.as_str()
            }
        };
        let unit = |column: usize| self.unit(column, day, variant, input);
        // Of what there is none, no price is looked up.
        let of = |count: u64, column: usize, otherwise: u64| match count {
            0 => (0, 0),
            count => (count, unit(column).map_or(otherwise, |(price, _)| price)),
        };
        let (base, out) = (unit(0), unit(1));
        let row = base.or(out)?.1;
        let one_sided = matches!(call.operation, Operation::Embeddings | Operation::Rerank);
        let counted = usage.input_tokens.is_some() && (usage.output_tokens.is_some() || one_sided);
        let priced = (base.is_some() || input == 0) && (out.is_some() || output == 0);
        let (base, out) = (base.map_or(0, |b| b.0), out.map_or(0, |o| o.0));
        let read = usage.cache_read_tokens.unwrap_or(0).min(input);
        let write = usage.cache_write_tokens.unwrap_or(0).min(input - read);
        let hour = usage.cache_write_1h_tokens.unwrap_or(0).min(write);
        let thought = usage.reasoning_tokens.unwrap_or(0).min(output);
        let heard = usage.input_audio_tokens.unwrap_or(0);
        let heard = heard.min(input - read - write);
        let spoken = usage.output_audio_tokens.unwrap_or(0).min(output - thought);
        let (_, write_price) = of(write, 3, base);
        Some(Sum {
            input: nanos(&[
                (input - read - write - heard, base),
                of(heard, 6, base),
                of(read, 2, base),
                (write - hour, write_price),
                of(hour, 4, write_price),
            ]),
            output: nanos(&[
                (output - thought - spoken, out),
                of(thought, 5, out),
                of(spoken, 7, out),
            ]),
            whole: counted && priced && (variant == STANDARD || row.variant == variant),
            row,
        })
    }

    /// The unit price and its row: of the variant if it has one, at the latest start, at the
    /// highest tier.
    fn unit(&self, column: usize, day: u64, variant: &str, input: u64) -> Option<(u64, &Row)> {
        let pick = |variant: &str| {
            let rows = self
                .rows
                .iter()
                .filter(|r| r.variant == variant && r.from_day <= day);
            let latest = rows.clone().map(|r| r.from_day).max()?;
            rows.filter(|r| r.from_day == latest && (r.tier_start == 0 || r.tier_start < input))
                .filter_map(|r| Some((r.price.get(column).copied().flatten()?, r)))
                .max_by_key(|(_, row)| row.tier_start)
        };
        pick(variant).or_else(|| (variant != STANDARD).then(|| pick(STANDARD)).flatten())
    }

    /// Names a row: `provider/model`, then what sets the row apart from the model's others, as in
    /// `anthropic/claude-sonnet-4-5@2026-10-14:batch>200000`.
    fn price_id(&self, row: &Row) -> String {
        let mut id = format!("{}/{}", self.provider, self.id);
        if !row.from.is_empty() {
            id.extend(["@", &row.from]);
        }
        if row.variant != STANDARD {
            id.extend([":", &row.variant]);
        }
        if row.tier_start > 0 {
            id.extend([">", &row.tier_start.to_string()]);
        }
        id
    }
}

/// Tokens at atto-USD each, in nano-USD, half a nano-USD rounded up.
fn nanos(parts: &[(u64, u64)]) -> u64 {
    const ATTOS_PER_NANO: u128 = 1_000_000_000;
    let attos: u128 = parts
        .iter()
        .map(|(n, p)| u128::from(*n) * u128::from(*p))
        .sum();
    u64::try_from((attos + ATTOS_PER_NANO / 2) / ATTOS_PER_NANO).unwrap_or(u64::MAX)
}
