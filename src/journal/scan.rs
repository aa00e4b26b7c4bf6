//! Scan: what a journal holds when it is opened.
//!
//! Only heads and meta parts are read, not the blocks. A torn tail, which a crash leaves behind, is
//! cut off; damage elsewhere is told and copied aside, and what is sound after it is kept.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
};

use super::{
    REQUESTS_MAX,
    files::{Files, Handle},
    index::Segment,
    position::{BlockId, Position},
    record::{Damage, Meta, Request},
    segment::{self, BadHeader, HEADER_BYTES, Header, Step, Walk},
};

/// How much is written over itself at a time.
const SETTLE_BYTES: usize = 1 << 20;

/// The segments and what is wrong with them.
#[derive(Debug)]
pub struct Scan<H> {
    pub segments: BTreeMap<u64, Segment<H>>,
    /// The requests that the newest records acknowledge.
    pub requests: Vec<Request>,
    pub damage: Vec<DamagedBytes>,
    /// Bytes of torn tails.
    pub torn_bytes: u64,
    pub records: u64,
}

/// Bytes of a segment that are no record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedBytes {
    pub segment: u64,
    pub from: u64,
    pub to: u64,
    pub reason: Damage,
}

/// The journal cannot be used as it is; nothing of it was changed.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    #[error(
        "the journal's segment {name} has format {found}, this lapwing knows {}; use the lapwing that wrote it, or let that one drain the journal first",
        segment::VERSION
    )]
    Version { name: String, found: u32 },
    #[error(
        "the journal's segment {name} holds rows for the table {table:?}, which this lapwing does not know; use the lapwing that wrote it, or let that one drain the journal first"
    )]
    Table { name: String, table: String },
    #[error("cannot read the journal's {name}: {source}")]
    Io { name: String, source: io::Error },
}

/// Reads all segments and calls `each` with every record.
pub fn scan<F: Files>(
    files: &F,
    journal: u128,
    mut each: impl FnMut(Position, &Meta),
) -> Result<Scan<F::Handle>, ScanError> {
    let names = files.list().map_err(|source| ScanError::Io {
        name: "directory".to_owned(),
        source,
    })?;
    let numbers: BTreeSet<u64> = names.iter().filter_map(|n| segment::number(n)).collect();
    let mut scan = Scan {
        segments: BTreeMap::new(),
        requests: Vec::new(),
        damage: Vec::new(),
        torn_bytes: 0,
        records: 0,
    };
    for number in &numbers {
        let name = segment::name(*number);
        let io = |source| ScanError::Io {
            name: name.clone(),
            source,
        };
        let file = Arc::new(files.open(&name).map_err(io)?);
        let length = file.bytes().map_err(io)?;
        let seed = match Header::read(&*file).map_err(io)? {
            Ok(header) => header.seed(),
            Err(BadHeader::Version(found)) => return Err(ScanError::Version { name, found }),
            // The ledger knows the id, too. A header that was never finished has no records.
            Err(BadHeader::Damaged) => {
                let header = DamagedBytes {
                    segment: *number,
                    from: 0,
                    to: HEADER_BYTES,
                    reason: Damage::Checksum,
                };
                scan.damage
                    .extend((length > HEADER_BYTES).then_some(header));
                segment::seed(journal, *number)
            }
        };
        let mut walk = Walk::new(Arc::clone(&file), seed, HEADER_BYTES, length);
        let mut end = HEADER_BYTES.min(length);
        let mut torn = None;
        while let Some(step) = walk.step().map_err(io)? {
            // Damage that something sound comes after is no torn tail.
            scan.damage.extend(torn.take());
            match step {
                Step::Record(found) => {
                    let at = Position {
                        segment: *number,
                        offset: found.at,
                    };
                    each(at, &found.meta);
                    scan.requests.extend_from_slice(&found.meta.requests);
                    scan.records += 1;
                    end = found.next;
                }
                Step::Damage {
                    reason: Damage::Table(table),
                    ..
                } => return Err(ScanError::Table { name, table }),
                Step::Damage { from, to, reason } => {
                    torn = Some(DamagedBytes {
                        segment: *number,
                        from,
                        to,
                        reason,
                    });
                }
            }
        }
        if let Some(torn) = torn {
            // Only the newest segment can have been under work. And a whole record with a wrong
            // sum may have been acknowledged: a flipped bit.
            let newest = numbers.last() == Some(number);
            if newest && torn.reason != Damage::Checksum {
                scan.torn_bytes += torn.to - torn.from;
            } else {
                scan.damage.push(torn);
            }
        }
        scan.segments.insert(*number, Segment { file, seed, end });
        // Each segment begins with those before it.
        let too_many = scan.requests.len().saturating_sub(REQUESTS_MAX);
        scan.requests.drain(..too_many);
    }
    Ok(scan)
}

/// Copies damage aside, cuts torn tails off, and makes sure that what was read is on the disk. For
/// the one who owns the journal.
pub fn repair<F: Files>(files: &F, scan: &Scan<F::Handle>) -> io::Result<()> {
    for damage in &scan.damage {
        let Some(segment) = scan.segments.get(&damage.segment) else {
            continue;
        };
        let name = format!("damaged-{:016x}-{:x}", damage.segment, damage.from);
        let copy = match files.create(&name) {
            Ok(copy) => copy,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(error),
        };
        let mut bytes = vec![0; usize::try_from(damage.to - damage.from).unwrap_or_default()];
        let n = segment.file.read_at(&mut bytes, damage.from)?;
        bytes.truncate(n);
        copy.write_at(&bytes, 0)?;
        copy.sync()?;
    }
    for segment in scan.segments.values() {
        if segment.file.bytes()? > segment.end {
            segment.file.truncate(segment.end)?;
            segment.file.sync()?;
        }
    }
    if let Some(newest) = scan.segments.values().next_back() {
        settle(newest)?;
    }
    files.sync_names()
}

/// Writes a segment's bytes over themselves and syncs them.
///
/// The last run may have died between write and sync, or after a sync that failed: then the
/// operating system shows bytes that the disk does not have, and takes them for written. Inserts
/// that are planned with them must find them after a power failure, too.
fn settle<H: Handle>(segment: &Segment<H>) -> io::Result<()> {
    let mut bytes = vec![0; SETTLE_BYTES];
    let mut at = 0;
    while at < segment.end {
        let left = usize::try_from(segment.end - at).unwrap_or(SETTLE_BYTES);
        let wanted = left.min(SETTLE_BYTES);
        let n = segment
            .file
            .read_at(bytes.get_mut(..wanted).unwrap_or_default(), at)?;
        if n == 0 {
            break;
        }
        segment
            .file
            .write_at(bytes.get(..n).unwrap_or_default(), at)?;
        at += n as u64;
    }
    segment.file.sync()
}

/// The blocks of a record with their ids.
pub fn ids(
    at: Position,
    meta: &Meta,
) -> impl Iterator<Item = (BlockId, &super::record::BlockMeta)> {
    meta.blocks.iter().zip(0..).map(move |(block, index)| {
        let id = BlockId { record: at, index };
        (id, block)
    })
}

/// Reads every block and gives those whose bytes are not the ones that were written.
pub fn verify_blocks<H: Handle>(scan: &Scan<H>) -> io::Result<Vec<(BlockId, u32)>> {
    let mut bad = Vec::new();
    for (number, segment) in &scan.segments {
        let file = Arc::clone(&segment.file);
        let mut walk = Walk::new(file, segment.seed, HEADER_BYTES, segment.end);
        while let Some(step) = walk.step()? {
            let Step::Record(found) = step else { continue };
            let record = Position {
                segment: *number,
                offset: found.at,
            };
            let mut at = found.body_at;
            for (id, block) in ids(record, &found.meta) {
                let bytes = walk.read(at, block.bytes as usize)?;
                bad.extend(
                    block
                        .with(bytes.into())
                        .is_none()
                        .then_some((id, block.rows)),
                );
                at += u64::from(block.bytes);
            }
        }
    }
    Ok(bad)
}
