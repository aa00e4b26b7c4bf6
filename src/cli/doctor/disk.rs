//! Room on the disk of `data_dir`, and the journal there when nobody runs.

use std::{path::Path, process::Command};

use super::Findings;
use crate::{config::Config, journal};

/// Less than this is soon full.
const FREE_BYTES_MIN: u64 = 1 << 30;

pub(super) fn look(config: &Config, is_running: bool, findings: &mut Findings) {
    const ABOUT: &str = "disk";
    let directory = config.data_dir.as_path();
    if !directory.is_dir() {
        let what = format!("data_dir {} does not exist", directory.display());
        findings.doubt(ABOUT, &what, "the first start makes it");
        return;
    }
    match free_bytes(directory) {
        Some(free) if free < FREE_BYTES_MIN => findings.wrong_because(
            ABOUT,
            &format!("{} has {} MiB left", directory.display(), free >> 20),
            "make room, shorten `storage.retention`, or move data_dir",
        ),
        Some(free) if free < config.journal.max_bytes => findings.doubt(
            ABOUT,
            &format!(
                "{} has {} MiB left, the journal may take {} MiB",
                directory.display(),
                free >> 20,
                config.journal.max_bytes >> 20
            ),
            "lower `journal.max_bytes`, so that the journal is full before the disk is",
        ),
        Some(free) => findings.good(
            ABOUT,
            &format!("{} has {} GiB left", directory.display(), free >> 30),
        ),
        None => findings.doubt(ABOUT, "`df` does not tell the free space", ""),
    }
    if is_running {
        return;
    }
    const JOURNAL: &str = "journal";
    match journal::survey(&config.journal.directory) {
        Ok(found) if found.damage.is_empty() => {
            let queued: u64 = found.tables.values().map(|t| t.queued_rows).sum();
            let what = format!("{queued} rows wait in it for the next start");
            findings.good(JOURNAL, &what);
        }
        Ok(found) => findings.wrong_because(
            JOURNAL,
            &format!("{} places are damaged", found.damage.len()),
            "`lapwing journal verify` names them; the collector passes over them",
        ),
        Err(error) => findings.doubt(JOURNAL, &error.to_string(), ""),
    }
}

/// As `df` has it: what an unprivileged process may use.
fn free_bytes(directory: &Path) -> Option<u64> {
    let output = Command::new("df").arg("-Pk").arg(directory).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let kib = text.lines().nth(1)?.split_whitespace().nth(3)?;
    Some(kib.parse::<u64>().ok()? << 10)
}
