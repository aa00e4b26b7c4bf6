//! `lapwing backtest`: what the detector would have raised over the last days, under the settings
//! in force or under others.
//!
//! Reads calls and evaluations from the store in the order in which they ended; alerts go to
//! standard output as `lapwing detect` writes them, a summary to standard error. Nothing is sent to
//! anybody.

use std::{
    collections::BTreeMap,
    io::Write,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::Context as _;

use super::{Failure, detect, say, target};
use crate::{
    config::{self, Config},
    detect::{Change, Detector, DetectorConfig, Kind, State},
    past,
    store::Store,
};

/// Which part of the past, and under which settings.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// How far back alerts are looked for, such as 7d or 36h
    #[arg(long, default_value = "7d", value_parser = config::duration, value_name = "DURATION")]
    since: Duration,
    /// How long ago to end
    #[arg(long, default_value = "0s", value_parser = config::duration, value_name = "DURATION")]
    until: Duration,
    /// What lies before is only learned from: the baselines of a detector that has been running
    #[arg(long, default_value = "7d", value_parser = config::duration, value_name = "DURATION")]
    learn: Duration,
    /// Another file of limits, budgets and overrides than `detection.rules_file`
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Another sensitivity than `detection.sensitivity`: low, medium or high
    #[arg(long, value_name = "WORD")]
    sensitivity: Option<String>,
}

impl Options {
    /// The configuration with what is asked for beside it, as variables of the environment are.
    pub(super) fn variables(&self) -> Vec<(String, String)> {
        let rules = self.rules.as_deref().map(Path::to_string_lossy);
        let rules = rules.map(|file| ("LAPWING_DETECTION_RULES_FILE", file.into_owned()));
        let sensitivity = self.sensitivity.clone();
        let sensitivity = sensitivity.map(|word| ("LAPWING_DETECTION_SENSITIVITY", word));
        let both = rules.into_iter().chain(sensitivity);
        both.map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// What was found.
#[derive(Default)]
struct Found {
    alerts: BTreeMap<Kind, u64>,
    written: Option<std::io::Error>,
}

/// Runs the detector over the store.
pub(super) async fn run(
    config: &Config,
    options: &Options,
    out: &mut (dyn Write + Send),
) -> Result<(), Failure> {
    let store = Store::new(&target::of(config)?).map_err(anyhow::Error::new)?;
    let now = SystemTime::now();
    let ago = |duration: Duration| {
        let then = now.checked_sub(duration).unwrap_or(SystemTime::UNIX_EPOCH);
        let since = then.duration_since(SystemTime::UNIX_EPOCH);
        u64::try_from(since.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
    };
    let (from, to) = (ago(options.since), ago(options.until));
    let learn = ago(options.since.saturating_add(options.learn));
    let read = |error| anyhow::Error::new(error).context("cannot read the past from the store");
    let stored = past::survey(&store, learn, to).await.map_err(read)?;
    let mut detector = Detector::new(DetectorConfig {
        lateness_s: 0,
        ..config.detection.clone()
    });
    let (mut changes, mut found) = (Vec::new(), Found::default());
    let facts = past::tell(&store, &stored, |fact| {
        detector.observe(fact, &mut changes);
        found.take(&mut changes, from, out);
    });
    let facts = facts.await.map_err(read)?;
    detector.advance(to, &mut changes);
    found.take(&mut changes, from, out);
    match found.written {
        Some(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            return Err(Failure::ReaderGone);
        }
        Some(error) => return Err(anyhow::Error::new(error).context("cannot write").into()),
        None => out.flush().context("cannot write")?,
    }
    say(&found.summary(facts));
    Ok(())
}

// === impl Found ===

impl Found {
    /// Writes what was raised since `from`.
    fn take(&mut self, changes: &mut Vec<Change>, from: u64, out: &mut (dyn Write + Send)) {
        for change in changes.drain(..) {
            let incident = &change.incident;
            if change.state != State::Opened || incident.raised_ns < from {
                continue;
            }
            *self.alerts.entry(incident.kind).or_default() += 1;
            let written = writeln!(out, "{}", detect::alert(&change));
            self.written = self.written.take().or(written.err());
        }
    }

    fn summary(&self, facts: u64) -> String {
        let total: u64 = self.alerts.values().sum();
        let of = |(kind, count): (&Kind, &u64)| format!("  {count:6} {}\n", kind.as_str());
        let kinds: String = self.alerts.iter().map(of).collect();
        format!("{facts} calls and evaluations read, {total} alerts\n{kinds}")
    }
}
