//! Survey: what a journal on disk holds, without touching it; `lapwing journal status` and
//! `verify`, beside a running collector or without one.

use std::{collections::BTreeMap, io, path::Path};

use super::{
    Disk, OpenError,
    ledger::Ledger,
    quarantine::Quarantine,
    scan::{self, DamagedBytes},
};
use crate::block::Table;

/// What was found.
#[derive(Debug, Default)]
pub struct Survey {
    pub segments: usize,
    pub records: u64,
    pub bytes: u64,
    pub torn_bytes: u64,
    /// What is damaged, in words.
    pub damage: Vec<String>,
    pub tables: BTreeMap<Table, TableSurvey>,
    pub quarantined: usize,
}

/// Rows of one table in the files.
#[derive(Debug, Default, Clone, Copy)]
pub struct TableSurvey {
    pub rows: u64,
    /// Not known to be stored.
    pub queued_rows: u64,
    pub queued_bytes: u64,
    /// Inserts that are under way or were when the collector ended.
    pub open_plans: usize,
}

/// Reads heads and meta parts.
pub fn survey(journal: &Path) -> Result<Survey, OpenError> {
    look(journal, false)
}

/// Reads every byte: the blocks' checksums, too.
pub fn verify(journal: &Path) -> Result<Survey, OpenError> {
    look(journal, true)
}

fn look(journal: &Path, thorough: bool) -> Result<Survey, OpenError> {
    let failed = |source| OpenError::Io {
        directory: journal.to_owned(),
        source,
    };
    if !journal.is_dir() {
        return Err(failed(io::Error::from(io::ErrorKind::NotFound)));
    }
    let files = Disk::at(journal).map_err(failed)?;
    let (id, plans) = Ledger::peek(&files)?;
    let mut survey = Survey::default();
    for plans in &plans {
        survey.tables.insert(
            plans.table,
            TableSurvey {
                open_plans: plans.open.len(),
                ..TableSurvey::default()
            },
        );
    }
    let scan = scan::scan(&files, id, |at, meta| {
        for (id, block) in scan::ids(at, meta) {
            if block.table == Table::Forward {
                // No rows, and the forwarder's place stands elsewhere.
                continue;
            }
            let table = survey.tables.entry(block.table).or_default();
            table.rows += u64::from(block.rows);
            let plans = plans.iter().find(|plans| plans.table == block.table);
            if plans.is_none_or(|plans| plans.needs(id)) {
                table.queued_rows += u64::from(block.rows);
                table.queued_bytes += u64::from(block.bytes);
            }
        }
    })?;
    survey.segments = scan.segments.len();
    survey.records = scan.records;
    survey.bytes = scan.segments.values().map(|s| s.end).sum();
    survey.torn_bytes = scan.torn_bytes;
    survey.damage = scan.damage.iter().map(words).collect();
    let quarantine = Quarantine::at(journal).and_then(|q| q.list());
    survey.quarantined = quarantine.map_err(failed)?.len();
    if thorough {
        let bad = scan::verify_blocks(&scan).map_err(failed)?;
        survey.damage.extend(bad.into_iter().map(|(id, rows)| {
            format!("block {id}: its bytes are not those that were written ({rows} rows)")
        }));
    }
    Ok(survey)
}

fn words(damage: &DamagedBytes) -> String {
    let DamagedBytes {
        segment,
        from,
        to,
        reason,
    } = damage;
    format!("segment {segment:016x}, bytes {from} to {to}: {reason}")
}
