//! The journal against a file system that loses, tears, flips and refuses.

mod codec;
mod damage;
mod model;
mod quota;
mod sim;

use std::sync::Arc;

use bytes::Bytes;

use super::{
    Core, Durability, JournalOptions, files::Files, log::Encoded, open::open_core,
    quarantine::Quarantine, thread::Work,
};
use crate::block::{Block, Compression, Table};

/// A block of one row that holds a number, and is known again by it.
fn block(table: Table, number: u64) -> Block {
    // Of different sizes, and a number cannot be a part of another's bytes by chance.
    let copies = 1 + number % 7;
    let bytes: Vec<u8> = (0..copies).flat_map(|_| number.to_le_bytes()).collect();
    Block {
        table,
        rows: 1,
        uncompressed_bytes: bytes.len(),
        bytes: bytes.into(),
        compression: Compression::None,
        days: vec![20_000 + (number % 3) as u32],
    }
}

fn number_of(block: &Block) -> u64 {
    let bytes = block.bytes.first_chunk().expect("a number");
    u64::from_le_bytes(*bytes)
}

/// A record with this row in two tables.
fn record(number: u64) -> Encoded {
    let blocks = [Table::OtelTraces, Table::LlmCallVersions].map(|t| block(t, number));
    let facts = Bytes::copy_from_slice(&number.to_le_bytes());
    Encoded::new(
        blocks.to_vec(),
        facts,
        vec![(u128::from(number), crate::clock::steady_s())],
    )
}

fn options(durability: Durability) -> JournalOptions {
    JournalOptions {
        directory: "/simulated".into(),
        durability,
        // The least: segments of 64 KiB would never be full, so the tests set their size.
        max_bytes: 1 << 20,
    }
}

/// Opens the journal on these files, with small segments.
fn open<F: Files + Clone>(files: &F, durability: Durability) -> (Arc<Core<F>>, Work<F>) {
    let quarantine = Quarantine::at(std::path::Path::new("/nowhere")).expect("not used");
    let (core, mut log) =
        open_core(files.clone(), options(durability), quarantine).expect("it opens");
    log.set_segment_bytes_max(600);
    let core = Arc::new(core);
    let work = Work::new(Arc::clone(&core), log, None);
    (core, work)
}
