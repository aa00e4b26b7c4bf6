//! `lapwing journal status|verify|replay`: what is acknowledged and not in the store yet.
//!
//! `status` and `verify` read the files beside a running collector or without one, and change
//! nothing. `replay` sends what is in quarantine under the tokens that it was sent with before.

use std::{fmt::Write as _, path::PathBuf};

use anyhow::{Context as _, bail};

use super::{Failure, print, say, target};
use crate::{
    config::Config,
    journal::{
        self, Survey,
        quarantine::{Quarantine, Quarantined},
    },
    store::{Insert, Store},
};

/// Prints what the journal holds.
pub(super) fn status(config: &Config) -> Result<(), Failure> {
    let survey = journal::survey(&config.journal.directory).map_err(anyhow::Error::new)?;
    let mut text = words(&survey, config);
    for path in quarantine(config)?
        .list()
        .context("cannot read the quarantine")?
    {
        text += &match Quarantined::read(&path) {
            Ok(kept) => format!(
                "quarantine: {} rows of {}, {}: {}\n  {}\n",
                kept.label.rows,
                kept.label.table,
                match kept.label.in_doubt {
                    true => "perhaps stored",
                    false => "not stored",
                },
                kept.label.error,
                path.display()
            ),
            Err(error) => format!("quarantine: {} cannot be read: {error}\n", path.display()),
        };
    }
    print(&text)
}

/// Reads everything; fails if something is damaged.
pub(super) fn verify(config: &Config) -> Result<(), Failure> {
    let survey = journal::verify(&config.journal.directory).map_err(anyhow::Error::new)?;
    let mut text = words(&survey, config);
    for damage in &survey.damage {
        // Writing into a String cannot fail.
        _ = writeln!(text, "damaged: {damage}");
    }
    print(&text)?;
    match survey.damage.len() {
        0 => Ok(()),
        n => Err(anyhow::anyhow!(
            "{n} places are damaged; the collector passes over them and keeps copies beside the journal"
        )
        .into()),
    }
}

/// Sends what is in quarantine; what succeeds is deleted there.
pub(super) async fn replay(config: &Config) -> anyhow::Result<()> {
    let paths = quarantine(config)?
        .list()
        .context("cannot read the quarantine")?;
    if paths.is_empty() {
        say("the quarantine is empty");
        return Ok(());
    }
    let store = Store::new(&target::of(config)?)?;
    let mut failed = 0;
    for path in &paths {
        match send(&store, path).await {
            Ok(rows) => say(&format!("stored {rows} rows of {}", path.display())),
            Err(error) => {
                failed += 1;
                say(&format!("{} stays: {error:#}", path.display()));
            }
        }
    }
    if failed > 0 {
        bail!("{failed} of {} stay in quarantine", paths.len());
    }
    Ok(())
}

async fn send(store: &Store, path: &PathBuf) -> anyhow::Result<u64> {
    let kept = Quarantined::read(path).context("it cannot be read")?;
    let table = kept
        .table()
        .context("this lapwing does not know its table")?;
    let insert = Insert {
        table,
        blocks: &kept.blocks,
        compression: kept.compression(),
        token: &kept.label.token,
    };
    store.insert(insert).await?;
    std::fs::remove_file(path).context("it is stored, but the file cannot be deleted")?;
    Ok(kept.label.rows)
}

fn quarantine(config: &Config) -> anyhow::Result<Quarantine> {
    Ok(Quarantine::at(&config.journal.directory)?)
}

fn words(survey: &Survey, config: &Config) -> String {
    let mut text = format!(
        "journal {}\n{} records in {} segments, {} of {} bytes\n",
        config.journal.directory.display(),
        survey.records,
        survey.segments,
        survey.bytes,
        config.journal.max_bytes,
    );
    if survey.torn_bytes > 0 {
        _ = writeln!(
            text,
            "{} bytes at the end are unfinished: written now, or cut off at the next start",
            survey.torn_bytes
        );
    }
    for (table, of) in &survey.tables {
        _ = writeln!(
            text,
            "{}: {} rows ({} bytes) wait for the store, {} inserts under way",
            table.name(),
            of.queued_rows,
            of.queued_bytes,
            of.open_plans,
        );
    }
    if survey.quarantined > 0 {
        _ = writeln!(text, "{} inserts in quarantine", survey.quarantined);
    }
    text
}
