//! The journal's numbers: the account of every row, and the room that is left.

use std::sync::atomic::Ordering::Relaxed;

use super::Page;
use crate::{
    block::Table,
    journal::{Balance, Journal},
};

pub(super) fn lines(page: &mut Page, journal: &Journal) {
    type Get = fn(&Balance) -> f64;
    let rows: [(&str, &str, &str, Get); 7] = [
        (
            "lapwing_journal_accepted_rows_total",
            "counter",
            "Rows acknowledged since the start",
            |b| b.accepted as f64,
        ),
        (
            "lapwing_journal_recovered_rows_total",
            "counter",
            "Rows of earlier runs found in the journal at the start",
            |b| b.recovered as f64,
        ),
        (
            "lapwing_journal_stored_rows_total",
            "counter",
            "Rows that the store has confirmed",
            |b| b.stored as f64,
        ),
        (
            "lapwing_journal_queued_rows",
            "gauge",
            "Rows on their way to the store",
            |b| b.queued as f64,
        ),
        (
            "lapwing_journal_quarantined_rows_total",
            "counter",
            "Rows put into quarantine since the start",
            |b| b.quarantined as f64,
        ),
        (
            "lapwing_journal_damaged_rows_total",
            "counter",
            "Rows lost to damage of the disk",
            |b| b.damaged as f64,
        ),
        (
            "lapwing_journal_unaccounted_rows",
            "gauge",
            "accepted + recovered - stored - queued - quarantined - damaged: 0 but for rows in motion",
            |b| b.unaccounted() as f64,
        ),
    ];
    for (name, kind, help, get) in rows {
        page.head(name, kind, help);
        for table in Table::ALL {
            let labels = format!("table=\"{}\"", table.name());
            page.line(name, &labels, get(&journal.accounts().balance(table)));
        }
    }
    let (file_bytes, memory_bytes, segments) = journal.sizes();
    let health = journal.health();
    let flag = |yes: bool| f64::from(u8::from(yes));
    let gauges = [
        ("bytes", "Bytes of the journal on disk", file_bytes as f64),
        (
            "memory_bytes",
            "Bytes of blocks kept in memory",
            memory_bytes as f64,
        ),
        ("segments", "Files of the journal", segments as f64),
        (
            "full",
            "1 while senders are told to retry because the journal is full",
            flag(health.is_full()),
        ),
        (
            "failed",
            "1 after the journal's disk failed: nothing is accepted until the next start",
            flag(health.failure().is_some()),
        ),
    ];
    for (name, help, value) in gauges {
        let name = format!("lapwing_journal_{name}");
        page.head(&name, "gauge", help);
        page.line(&name, "", value);
    }
    let counters = [
        (
            "no_space_total",
            "Group commits that found no space on the disk",
            &health.no_space,
        ),
        (
            "damaged_bytes_total",
            "Bytes that were no record, found at the start",
            &health.damaged_bytes,
        ),
        (
            "torn_bytes_total",
            "Bytes of unfinished ends, cut off at the start",
            &health.torn_bytes,
        ),
    ];
    for (name, help, counter) in counters {
        let name = format!("lapwing_journal_{name}");
        page.head(&name, "counter", help);
        page.line(&name, "", counter.load(Relaxed) as f64);
    }
}
