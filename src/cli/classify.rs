//! `lapwing classify`: errors as JSON lines on stdin to their classes on stdout.

use std::{io, path::PathBuf};

use super::knowledge;
use crate::{config::Config, enrich};

/// Classifies standard input, line by line; wrong lines are named on stderr and fail the command.
pub(super) fn run(mut config: Config, rules: Option<PathBuf>, explain: bool) -> anyhow::Result<()> {
    if rules.is_some() {
        config.failures_file = rules;
    }
    let knowledge = knowledge::load(&config)?;
    let (stdin, stdout) = (io::stdin().lock(), io::BufWriter::new(io::stdout().lock()));
    Ok(enrich::classify_lines(
        &knowledge.rules,
        explain,
        stdin,
        stdout,
        io::stderr().lock(),
    )?)
}
