//! Opening: the lock, the ledger, the scan, and a journal that goes on where the last one ended.

use std::{
    collections::VecDeque,
    fs::{File, TryLockError},
    io,
    path::PathBuf,
    sync::{Arc, Mutex, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use super::{
    Accounts, Core, Durability, HOT_BYTES_MAX, Health, Journal, JournalOptions, OnDurable,
    Position,
    files::{Disk, Files},
    index::Index,
    ledger::{Ledger, LedgerError, TablePlans},
    log::{Log, LogOptions},
    progress::Progress,
    quarantine::Quarantine,
    record::Request,
    scan::{self, ScanError},
    thread::Committer,
};
use crate::clock;

/// One that was just killed may still have the lock for a moment.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// The journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the journal {} is in use by another lapwing; stop that one, or give this one a `data_dir` of its own", directory.display())]
    InUse { directory: PathBuf },
    #[error("cannot use the journal {}: {source}; make it a directory that lapwing can write to", directory.display())]
    Io {
        directory: PathBuf,
        source: io::Error,
    },
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Scan(#[from] ScanError),
}

impl Journal {
    /// Opens the journal, or makes it. `on_durable` is told of every record with facts from now on.
    pub fn open(
        options: JournalOptions,
        on_durable: Option<OnDurable>,
    ) -> Result<Journal, OpenError> {
        let failed = |source| OpenError::Io {
            directory: options.directory.clone(),
            source,
        };
        let files = Disk::at(&options.directory).map_err(failed)?;
        let lock = lock(&files, &options)?;
        let quarantine = Quarantine::at(&options.directory).map_err(failed)?;
        let (core, log) = open_core(files, options.clone(), quarantine)?;
        let identity = match options.durability {
            // Its positions begin again.
            Durability::Memory => random()?,
            Durability::Disk | Durability::Os => core.journal,
        };
        let core = Arc::new(core);
        let thread = Committer::start(Arc::clone(&core), log, on_durable).map_err(failed)?;
        Ok(Journal {
            core,
            thread,
            identity,
            _lock: lock,
        })
    }
}

fn lock(files: &Disk, options: &JournalOptions) -> Result<File, OpenError> {
    let failed = |source| OpenError::Io {
        directory: options.directory.clone(),
        source,
    };
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(files.path_of("lock"))
        .map_err(failed)?;
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if began.elapsed() < LOCK_WAIT => {
                std::thread::sleep(Duration::from_millis(50));
            }
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::InUse {
                    directory: options.directory.clone(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
    }
}

/// Everything but the lock and the thread.
pub(super) fn open_core<F: Files>(
    files: F,
    options: JournalOptions,
    quarantine: Quarantine,
) -> Result<(Core<F>, Log<F>), OpenError> {
    let failed = |source| OpenError::Io {
        directory: options.directory.clone(),
        source,
    };
    let files = Arc::new(files);
    let sync = options.durability == Durability::Disk;
    let (ledger, new) = Ledger::open(&*files, random()?, sync)?;
    let accounts = Accounts::default();
    let mut newest_facts = None;
    let scan = scan::scan(&*files, ledger.journal(), |at, meta| {
        if !meta.facts.is_empty() {
            newest_facts = newest_facts.max(Some(at));
        }
        for (id, block) in scan::ids(at, meta) {
            let plans = ledger.tables().iter().find(|t| t.table == block.table);
            if plans.is_none_or(|plans| plans.needs(id)) {
                let account = accounts.of(block.table);
                account.recovered.fetch_add(u64::from(block.rows), Relaxed);
            }
        }
    })?;
    scan::repair(&*files, &scan).map_err(failed)?;
    if new && scan.records > 0 {
        tracing::error!(
            records = scan.records,
            "the journal's ledger is gone: all records are inserted again, \
             also those that may have been inserted before"
        );
    }
    let health = Health::default();
    for damage in &scan.damage {
        let (segment, from, to) = (damage.segment, damage.from, damage.to);
        health.damaged_bytes.fetch_add(to - from, Relaxed);
        tracing::error!(segment, from, to, reason = %damage.reason,
            "a part of the journal is damaged; it is passed over, a copy stays in the journal's directory");
    }
    health.torn_bytes.store(scan.torn_bytes, Relaxed);
    if scan.torn_bytes > 0 {
        let bytes = scan.torn_bytes;
        tracing::warn!(
            bytes,
            "the journal's end was not finished and is cut off; nothing of it was acknowledged"
        );
    }
    if scan.records > 0 {
        tracing::info!(
            records = scan.records,
            segments = scan.segments.len(),
            "journal opened"
        );
    }
    let next = next_segment(scan.segments.keys().copied(), ledger.tables());
    let head = Position {
        segment: next,
        offset: 0,
    };
    let hot_bytes_max = match options.durability {
        Durability::Memory => usize::MAX,
        _ => HOT_BYTES_MAX,
    };
    let log_options = LogOptions {
        segment_bytes_max: options.segment_bytes_max(),
        sync,
    };
    let journal = ledger.journal();
    let core = Core {
        files: Arc::clone(&files),
        journal,
        index: Arc::new(Index::new(scan.segments, head, hot_bytes_max)),
        options,
        ledger: Mutex::new(ledger),
        quarantine,
        accounts,
        health,
        progress: Mutex::new(Progress::new(newest_facts)),
        recent: Mutex::new(VecDeque::new()),
        under_way: 0.into(),
    };
    // Known for as long as if they had come now: how long ago it was only two clocks could say.
    let now = clock::steady_s();
    let requests: Vec<Request> = scan.requests.iter().map(|(hash, _)| (*hash, now)).collect();
    core.remember(&requests);
    Ok((core, Log::new(files, log_options, journal, next)))
}

/// Above everything that was ever used, also by segments that are deleted.
fn next_segment(segments: impl Iterator<Item = u64>, tables: &[TablePlans]) -> u64 {
    let planned = tables.iter().filter_map(|t| t.planned);
    let planned = planned.map(|id| id.record.segment);
    segments.chain(planned).max().unwrap_or(0) + 1
}

fn random() -> Result<u128, LedgerError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| LedgerError::Io {
        name: "the random number generator",
        source: io::Error::other(error.to_string()),
    })?;
    Ok(u128::from_le_bytes(bytes))
}
