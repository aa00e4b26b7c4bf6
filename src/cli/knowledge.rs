//! The rules in force: the built-in ones with the files that the configuration names before them.

use std::{fs, path::Path, sync::Arc};

use anyhow::Context as _;

use crate::{
    config::Config,
    enrich::{Overrides, RuleFile, Rules},
    normalise::AttributeTable,
    pipeline::Knowledge,
};

/// Reads the files; an error names file and line.
pub(super) fn load(config: &Config) -> anyhow::Result<Knowledge> {
    let attributes = match &config.attributes_file {
        None => AttributeTable::builtin(),
        Some(path) => {
            let file = read(path)?;
            Arc::new(AttributeTable::with_user_rows(&file.text, &file.name)?)
        }
    };
    let mine = !config.dimensions.is_empty() || !config.labels.is_empty();
    let attributes = match mine {
        true => Arc::new(attributes.with_dimensions(&config.dimensions, &config.labels)),
        false => attributes,
    };
    let files = |path: &Option<_>| -> anyhow::Result<Vec<RuleFile>> {
        path.as_deref().map(read).into_iter().collect()
    };
    let overrides = Overrides {
        failures: files(&config.failures_file)?,
        prices: files(&config.prices_file)?,
    };
    let rules = match overrides.failures.is_empty() && overrides.prices.is_empty() {
        true => Arc::clone(Rules::builtin()),
        false => Arc::new(Rules::load(&overrides)?),
    };
    Ok(Knowledge { attributes, rules })
}

fn read(path: &Path) -> anyhow::Result<RuleFile> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(RuleFile {
        name: path.display().to_string(),
        text,
    })
}
