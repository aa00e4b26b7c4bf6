//! Accounts: every row that was accepted has exactly one fate.
//!
//! accepted + recovered = stored + quarantined + damaged + queued. Each side is counted where it
//! happens; `queued` is what was appended and not read yet, plus what was read and is not settled.
//! The difference is a metric, and 0 unless there is an error in the program.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::block::Table;

/// Rows by table.
#[derive(Debug)]
pub struct Accounts {
    tables: BTreeMap<Table, Account>,
}

/// Rows of one table.
#[derive(Debug, Default)]
pub struct Account {
    /// Acknowledged since the start.
    pub accepted: AtomicU64,
    /// Found in the journal at the start.
    pub recovered: AtomicU64,
    /// Read by the lane.
    pub read: AtomicU64,
    /// Read and neither stored, nor quarantined, nor damaged.
    pub open: AtomicU64,
    pub stored: AtomicU64,
    pub quarantined: AtomicU64,
    /// Lost to damage of the disk.
    pub damaged: AtomicU64,
}

/// An account at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Balance {
    pub accepted: u64,
    pub recovered: u64,
    pub queued: u64,
    pub stored: u64,
    pub quarantined: u64,
    pub damaged: u64,
}

impl Default for Accounts {
    fn default() -> Self {
        let tables = Table::ALL.into_iter().map(|t| (t, Account::default()));
        Accounts {
            tables: tables.collect(),
        }
    }
}

impl Accounts {
    /// The account of a table.
    pub fn of(&self, table: Table) -> &Account {
        static NOBODY: std::sync::LazyLock<Account> = std::sync::LazyLock::new(Account::default);
        self.tables.get(&table).unwrap_or(&NOBODY)
    }

    /// The balance of a table. While rows move it may be off by those in motion.
    pub fn balance(&self, table: Table) -> Balance {
        let account = self.of(table);
        let get = |counter: &AtomicU64| counter.load(Relaxed);
        let came = get(&account.accepted) + get(&account.recovered);
        Balance {
            accepted: get(&account.accepted),
            recovered: get(&account.recovered),
            queued: came.saturating_sub(get(&account.read)) + get(&account.open),
            stored: get(&account.stored),
            quarantined: get(&account.quarantined),
            damaged: get(&account.damaged),
        }
    }
}

impl Balance {
    /// 0 when every row has exactly one fate.
    pub fn unaccounted(&self) -> i64 {
        let came = self.accepted + self.recovered;
        let known = self.stored + self.quarantined + self.damaged + self.queued;
        came as i64 - known as i64
    }
}
