//! Public price lists in the form of `rules/prices.csv`.
//!
//! Three shapes, told apart by what is in them: LiteLLM's `model_prices_and_context_window.json`
//! (USD per token, one object of models), OpenRouter's `/api/v1/models` (USD per token as text,
//! under `data`) and models.dev's `api.json` (USD per million tokens, models under providers).
//! What has no token prices (images by the piece, searches) is left out and counted.

use crate::enrich::providers::Providers;
use serde_json::{Map, Value};

/// The columns of a price file.
pub const HEADER: &str = "provider,model,match,effective_from,variant,tier_start,input,output,\
cache_read,cache_write,cache_write_1h,reasoning,context_window,max_output,deprecation_date,source,checked_at,\
input_audio,output_audio";

const PER_MILLION: f64 = 1e6;
/// Decimals of a price that are written: more is noise of floating point.
const DECIMALS: usize = 9;

/// A list that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// A price file as text, with its header.
    pub csv: String,
    /// Models that have rows.
    pub models: usize,
    /// Models without token prices.
    pub left_out: usize,
}

/// Why a list could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("not JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("none of the known lists (LiteLLM, OpenRouter, models.dev): {0}")]
    Shape(&'static str),
    #[error("a row cannot be written: {0}")]
    Write(#[from] csv::Error),
}

/// One row to be, prices in USD per million tokens.
#[derive(Default)]
struct Draft<'a> {
    provider: String,
    model: &'a str,
    variant: &'static str,
    tier_start: u64,
    /// Input, output, cache read, cache write, cache write for an hour, reasoning.
    prices: [Option<f64>; 6],
    /// Sound in the input and in the output.
    audio: [Option<f64>; 2],
    context: Option<u64>,
    max_output: Option<u64>,
    deprecated: &'a str,
    source: &'static str,
}

/// Reads a public list; `checked_at` is the day on which it was fetched.
pub fn import(
    providers: &Providers,
    text: &str,
    checked_at: &str,
) -> Result<Imported, ImportError> {
    let list: Value = serde_json::from_str(text)?;
    let Some(list) = list.as_object() else {
        return Err(ImportError::Shape("the outermost value is no object"));
    };
    let mut drafts = Vec::new();
    let seen = if let Some(models) = list.get("data").and_then(Value::as_array) {
        models
            .iter()
            .filter_map(|m| openrouter(m, &mut drafts))
            .count()
    } else if list.values().any(|v| v.get("litellm_provider").is_some()) {
        let models = list.iter().filter(|(name, _)| *name != "sample_spec");
        models
            .filter_map(|(name, m)| litellm(providers, name, m, &mut drafts))
            .count()
    } else if list
        .values()
        .any(|v| v.get("models").is_some_and(Value::is_object))
    {
        let mut count = 0;
        for (provider, value) in list {
            let models = value.get("models").and_then(Value::as_object);
            for (name, model) in models.into_iter().flatten() {
                models_dev(providers, provider, name, model, &mut drafts);
                count += 1;
            }
        }
        count
    } else {
        return Err(ImportError::Shape("no model in it has a known form"));
    };
    // A name with a blank cannot be written as a match clause.
    drafts
        .retain(|d| d.prices.iter().any(Option::is_some) && !d.model.contains(char::is_whitespace));
    let models = drafts
        .iter()
        .filter(|d| d.variant == "standard" && d.tier_start == 0)
        .count();
    Ok(Imported {
        csv: write(&drafts, checked_at)?,
        models,
        left_out: seen.saturating_sub(models),
    })
}

fn write(drafts: &[Draft<'_>], checked_at: &str) -> Result<String, csv::Error> {
    let mut writer = csv::WriterBuilder::new()
        .has_headers(false)
        .from_writer(Vec::new());
    writer.write_record(HEADER.split(','))?;
    for draft in drafts {
        let number = |n: Option<u64>| n.map(|n| n.to_string()).unwrap_or_default();
        let mut row = vec![
            draft.provider.clone(),
            draft.model.to_owned(),
            format!("={}", draft.model),
            String::new(),
            draft.variant.to_owned(),
            draft.tier_start.to_string(),
        ];
        row.extend(
            draft
                .prices
                .iter()
                .map(|p| p.map(decimal).unwrap_or_default()),
        );
        row.extend([
            number(draft.context),
            number(draft.max_output),
            draft.deprecated.to_owned(),
            draft.source.to_owned(),
            checked_at.to_owned(),
        ]);
        let audio = draft.audio.iter();
        row.extend(audio.map(|p| p.map(decimal).unwrap_or_default()));
        writer.write_record(&row)?;
    }
    let bytes = writer
        .into_inner()
        .map_err(|e| csv::Error::from(e.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A price without the noise of floating point.
fn decimal(price: f64) -> String {
    let text = format!("{price:.DECIMALS$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The provider's id in the price table, else its name as the list has it.
fn price_provider(providers: &Providers, name: &str) -> String {
    let known = providers.get(name).and_then(|p| p.prices.first());
    known.cloned().unwrap_or_else(|| name.to_lowercase())
}

/// A price that can be one: OpenRouter writes -1 for "depends".
fn price(value: Option<&Value>, factor: f64) -> Option<f64> {
    let number = match value? {
        Value::String(text) => text.parse().ok()?,
        other => other.as_f64()?,
    };
    (number >= 0.0 && number.is_finite()).then_some(number * factor)
}

fn litellm<'a>(
    providers: &Providers,
    name: &'a str,
    model: &'a Value,
    out: &mut Vec<Draft<'a>>,
) -> Option<()> {
    const COLUMNS: [&str; 6] = [
        "input_cost_per_token",
        "output_cost_per_token",
        "cache_read_input_token_cost",
        "cache_creation_input_token_cost",
        "cache_creation_input_token_cost_above_1hr",
        "output_cost_per_reasoning_token",
    ];
    const VARIANTS: [(&str, &str); 4] = [
        ("standard", ""),
        ("batch", "_batches"),
        ("flex", "_flex"),
        ("priority", "_priority"),
    ];
    const TIERS: [(u64, &str); 4] = [
        (128_000, "_above_128k_tokens"),
        (200_000, "_above_200k_tokens"),
        (256_000, "_above_256k_tokens"),
        (272_000, "_above_272k_tokens"),
    ];
    let model: &Map<String, Value> = model.as_object()?;
    let provider = model.get("litellm_provider")?.as_str()?;
    const AUDIO: [&str; 2] = ["input_cost_per_audio_token", "output_cost_per_audio_token"];
    let number = |key: &str| model.get(key).and_then(Value::as_u64);
    let mut push = |variant: &'static str, tier_start: u64, suffix: &str| {
        let unit = |c: &str| price(model.get(&format!("{c}{suffix}")), PER_MILLION);
        let prices = COLUMNS.map(unit);
        if suffix.is_empty() || prices.iter().any(Option::is_some) {
            out.push(Draft {
                provider: price_provider(providers, provider),
                model: name.strip_prefix(&format!("{provider}/")).unwrap_or(name),
                variant,
                tier_start,
                prices,
                audio: AUDIO.map(unit),
                context: number("max_input_tokens"),
                max_output: number("max_output_tokens"),
                deprecated: model
                    .get("deprecation_date")
                    .and_then(Value::as_str)
                    .unwrap_or(""),
                source: "litellm",
            });
        }
    };
    for (variant, suffix) in VARIANTS {
        push(variant, 0, suffix);
    }
    for (start, suffix) in TIERS {
        push("standard", start, suffix);
    }
    Some(())
}

fn openrouter<'a>(model: &'a Value, out: &mut Vec<Draft<'a>>) -> Option<()> {
    const COLUMNS: [&str; 6] = [
        "prompt",
        "completion",
        "input_cache_read",
        "input_cache_write",
        "",
        "internal_reasoning",
    ];
    let name = model.get("id")?.as_str()?;
    let pricing = model.get("pricing")?;
    let mut prices = COLUMNS.map(|c| price(pricing.get(c), PER_MILLION));
    // Here 0 means "not billed apart", except for models that are free.
    let free = prices[0] == Some(0.0) && prices[1] == Some(0.0);
    for other in prices.iter_mut().skip(2) {
        *other = other.filter(|p| *p > 0.0 || free);
    }
    out.push(Draft {
        provider: "openrouter".to_owned(),
        model: name,
        variant: "standard",
        prices,
        context: model.get("context_length").and_then(Value::as_u64),
        max_output: model
            .pointer("/top_provider/max_completion_tokens")
            .and_then(Value::as_u64),
        source: "openrouter",
        ..Draft::default()
    });
    Some(())
}

fn models_dev<'a>(
    providers: &Providers,
    provider: &str,
    name: &'a str,
    model: &'a Value,
    out: &mut Vec<Draft<'a>>,
) {
    const COLUMNS: [&str; 6] = [
        "input",
        "output",
        "cache_read",
        "cache_write",
        "",
        "reasoning",
    ];
    const AUDIO: [&str; 2] = ["input_audio", "output_audio"];
    let cost = model.get("cost");
    out.push(Draft {
        provider: price_provider(providers, provider),
        model: name,
        variant: "standard",
        prices: COLUMNS.map(|c| price(cost.and_then(|cost| cost.get(c)), 1.0)),
        audio: AUDIO.map(|c| price(cost.and_then(|cost| cost.get(c)), 1.0)),
        context: model.pointer("/limit/context").and_then(Value::as_u64),
        max_output: model.pointer("/limit/output").and_then(Value::as_u64),
        source: "models.dev",
        ..Draft::default()
    });
}
