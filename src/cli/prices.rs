//! `lapwing prices`: look into the price table, and bring public lists into its form.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Subcommand;

use super::knowledge;
use crate::{
    config::Config,
    enrich::{PriceTable, Rules, import_prices},
};

/// What to do with prices.
#[derive(Debug, Subcommand)]
pub enum PricesAction {
    /// Print the rows of a model, in USD per million tokens
    Show {
        model: String,
        /// Only of this provider, in any spelling
        #[arg(long)]
        provider: Option<String>,
    },
    /// Print a public list (LiteLLM, OpenRouter, models.dev) as a price file
    Import { file: PathBuf },
    /// Print how a price file or a public list differs from the prices in force
    Diff { file: PathBuf },
}

/// Runs the action; answers go to `out`, remarks to stderr.
pub(super) fn run(
    config: &Config,
    action: &PricesAction,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let knowledge = knowledge::load(config)?;
    let rules = &knowledge.rules;
    match action {
        PricesAction::Show { model, provider } => show(rules, model, provider.as_deref(), out),
        PricesAction::Import { file } => {
            out.write_all(price_file(rules, file)?.as_bytes())?;
            Ok(())
        }
        PricesAction::Diff { file } => {
            let text = price_file(rules, file)?;
            let theirs = PriceTable::parse(&[(file.display().to_string(), text)])?;
            for difference in rules.prices().differences(&theirs) {
                writeln!(out, "{difference}")?;
            }
            Ok(())
        }
    }
}

fn show(
    rules: &Rules,
    model: &str,
    provider: Option<&str>,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let listed = match provider {
        None => rules.prices().rows_of(None, model),
        Some(name) => {
            let known = rules.providers().get(name);
            let known = known.with_context(|| format!("no provider {name:?} is known"))?;
            let of = |price| rules.prices().rows_of(Some(price), model);
            let found = known.prices.iter().map(|p| of(p.as_str()));
            found
                .into_iter()
                .find(|rows| !rows.is_empty())
                .unwrap_or_default()
        }
    };
    if listed.is_empty() {
        anyhow::bail!(
            "no price row means the model {model:?}; add one in the file that prices_file names"
        );
    }
    listed.iter().try_for_each(|row| writeln!(out, "{row}"))?;
    Ok(())
}

/// The text of a price file; a public list is brought into that form.
fn price_file(rules: &Rules, file: &Path) -> anyhow::Result<String> {
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    if !text.trim_start().starts_with('{') {
        return Ok(text);
    }
    let today = jiff::Zoned::now().date().to_string();
    let imported = import_prices(rules.providers(), &text, &today)
        .with_context(|| format!("cannot import {}", file.display()))?;
    let (models, left_out) = (imported.models, imported.left_out);
    writeln!(
        io::stderr(),
        "{models} models with prices, {left_out} without token prices left out"
    )?;
    Ok(imported.csv)
}
