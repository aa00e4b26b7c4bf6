//! Ledger: which inserts were planned, and which of them are settled.
//!
//! Two files of fixed size hold the same events: a bit that flips in one is found in the other, and
//! a full disk cannot keep a plan from being written, without which nothing would ever be drained.
//! When a file is full a checkpoint begins it anew, the other file after it: one of the two is
//! always whole.
//!
//! Invariants: a plan is durable before it is attempted; what is settled is durable before the
//! segments that it frees are deleted.

pub mod event;

use std::{io, sync::Arc};

use twox_hash::XxHash3_64;

pub use self::event::{Event, Plan, TablePlans};
use super::{
    files::{Files, Handle},
    record::{Damage, Take},
};

/// The two files.
pub const NAMES: [&str; 2] = ["ledger-a", "ledger-b"];
/// The format that is written, and the only one that is read.
pub const VERSION: u32 = 1;
/// Bytes of each file; a plan takes about a hundred.
const FILE_BYTES: usize = 256 << 10;
const HEADER_BYTES: u64 = 48;
const CHECKSUM_AT: usize = 40;
const MAGIC: [u8; 8] = *b"LAPWLEDG";
/// Length and checksum before each event.
const EVENT_HEAD_BYTES: u64 = 16;

/// The plans, in memory and in two files.
#[derive(Debug)]
pub struct Ledger<F: Files> {
    slots: Vec<Slot<F::Handle>>,
    generation: u64,
    /// Where the next event goes, in every slot that is good.
    end: u64,
    journal: u128,
    tables: Vec<TablePlans>,
    sync: bool,
}

#[derive(Debug)]
struct Slot<H> {
    file: Arc<H>,
    /// It holds all events of this generation.
    good: bool,
}

/// What one file holds.
#[derive(Debug)]
struct Contents {
    journal: u128,
    generation: u64,
    events: Vec<Event>,
    end: u64,
}

/// The ledger cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error(
        "{name} has format {found}, this lapwing knows {VERSION}; use the lapwing that wrote it, or let that one drain the journal first"
    )]
    Version { name: &'static str, found: u32 },
    #[error("cannot use {name}: {source}")]
    Io {
        name: &'static str,
        source: io::Error,
    },
}

// === impl Ledger ===

impl<F: Files> Ledger<F> {
    /// Opens the ledger, or makes one for the journal of this id. True if there was none.
    pub fn open(files: &F, new: u128, sync: bool) -> Result<(Ledger<F>, bool), LedgerError> {
        let mut slots = Vec::new();
        let mut best: Option<Contents> = None;
        for name in NAMES {
            let io = |source| LedgerError::Io { name, source };
            let file = match files.open(name) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    files.create(name).map_err(io)?
                }
                Err(error) => return Err(io(error)),
            };
            let contents = read(name, &file)?;
            slots.push((
                file,
                contents.as_ref().map(|c| (c.generation, c.events.len())),
            ));
            let newer = |c: &Contents| {
                best.as_ref()
                    .is_none_or(|b| (c.generation, c.events.len()) > (b.generation, b.events.len()))
            };
            best = contents.filter(newer).or(best);
        }
        // The better one is written last.
        slots.sort_by_key(|(_, rank)| *rank);
        let fresh = best.is_none();
        let best = best.unwrap_or(Contents {
            journal: new,
            generation: 0,
            events: Vec::new(),
            end: 0,
        });
        let mut tables = TablePlans::none();
        for event in best.events {
            event::apply(&mut tables, event);
        }
        let slots = slots.into_iter().map(|(file, _)| Slot {
            file: Arc::new(file),
            good: true,
        });
        let mut ledger = Ledger {
            slots: slots.collect(),
            generation: best.generation,
            end: best.end,
            journal: best.journal,
            tables,
            sync,
        };
        let io = |source| LedgerError::Io {
            name: "the ledger",
            source,
        };
        ledger.compact().map_err(io)?;
        files.sync_names().map_err(io)?;
        Ok((ledger, fresh))
    }

    /// Reads the plans of a journal that somebody else may have open; changes nothing.
    pub fn peek(files: &F) -> Result<(u128, Vec<TablePlans>), LedgerError> {
        let mut best: Option<Contents> = None;
        for name in NAMES {
            let Ok(file) = files.open(name) else { continue };
            let contents = read(name, &file)?;
            let rank = |c: &Contents| (c.generation, c.events.len());
            if contents.as_ref().map(rank) > best.as_ref().map(rank) {
                best = contents;
            }
        }
        let mut tables = TablePlans::none();
        let journal = best.as_ref().map_or(0, |best| best.journal);
        for event in best.map(|best| best.events).unwrap_or_default() {
            event::apply(&mut tables, event);
        }
        Ok((journal, tables))
    }

    pub fn journal(&self) -> u128 {
        self.journal
    }

    pub fn tables(&self) -> &[TablePlans] {
        &self.tables
    }

    /// Writes an event down; it is durable when this returns, unless it is lazy: then with the
    /// next one, or [`Ledger::flush`]. After an error nothing happened.
    pub fn write(&mut self, event: Event, lazy: bool) -> io::Result<()> {
        let payload = event.encode();
        let needed = self.end + EVENT_HEAD_BYTES + payload.len() as u64;
        // Room for the zeros that end the list.
        if needed + EVENT_HEAD_BYTES > FILE_BYTES as u64 {
            self.compact()?;
        }
        let bytes = framed(&payload, self.generation, self.journal);
        let at = self.end;
        let sync = self.sync && !lazy;
        self.on_good_slots(|file| {
            file.write_at(&bytes, at)?;
            if sync { file.sync() } else { Ok(()) }
        })?;
        self.end += bytes.len() as u64;
        event::apply(&mut self.tables, event);
        Ok(())
    }

    /// Makes what was written lazily durable.
    pub fn flush(&mut self) -> io::Result<()> {
        match self.sync {
            false => Ok(()),
            // What a failed sync dropped no later one brings: it is written anew.
            true if self.slots.iter().all(|slot| !slot.good) => self.compact(),
            true => self.on_good_slots(Handle::sync),
        }
    }

    /// Begins both files anew with a checkpoint, one after the other.
    fn compact(&mut self) -> io::Result<()> {
        let generation = self.generation + 1;
        let mut bytes = header(self.journal, generation);
        let checkpoint = Event::Checkpoint(self.tables.clone()).encode();
        bytes.extend(framed(&checkpoint, generation, self.journal));
        let end = bytes.len() as u64;
        bytes.resize(bytes.len().max(FILE_BYTES), 0);
        // A slot that failed once may be good again: everything in it is written anew.
        let mut result = Err(io::Error::other("no file"));
        for slot in &mut self.slots {
            let written = slot
                .file
                .write_at(&bytes, 0)
                .and_then(|()| slot.file.sync());
            slot.good = written.is_ok();
            result = match (result, written) {
                (Ok(()), _) | (_, Ok(())) => Ok(()),
                (_, Err(error)) => Err(error),
            };
        }
        if result.is_ok() {
            self.generation = generation;
            self.end = end;
        }
        result
    }

    fn on_good_slots(&mut self, act: impl Fn(&F::Handle) -> io::Result<()>) -> io::Result<()> {
        let mut error = None;
        let mut done = false;
        for slot in self.slots.iter_mut().filter(|slot| slot.good) {
            match act(&slot.file) {
                Ok(()) => done = true,
                Err(e) => {
                    slot.good = false;
                    error = Some(e);
                }
            }
        }
        if done {
            return Ok(());
        }
        // Both failed: the next write begins with a checkpoint, which tries them again.
        self.end = FILE_BYTES as u64;
        Err(error.unwrap_or_else(|| io::Error::other("both files of the ledger failed")))
    }
}

/// The bytes of one event, bound to its journal and generation: what an earlier generation left
/// behind it never passes.
fn framed(payload: &[u8], generation: u64, journal: u128) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len() + EVENT_HEAD_BYTES as usize);
    bytes.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&sum(payload, generation, journal).to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

fn sum(payload: &[u8], generation: u64, journal: u128) -> u64 {
    let seed = XxHash3_64::oneshot_with_seed(generation, &journal.to_le_bytes());
    XxHash3_64::oneshot_with_seed(seed, payload)
}

fn header(journal: u128, generation: u64) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&(HEADER_BYTES as u32).to_le_bytes());
    bytes.extend_from_slice(&journal.to_le_bytes());
    bytes.extend_from_slice(&generation.to_le_bytes());
    let sum = XxHash3_64::oneshot(&bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes
}

/// What a file holds, up to the first event that is not whole; `None` if it is no ledger.
fn read(name: &'static str, file: &impl Handle) -> Result<Option<Contents>, LedgerError> {
    let io = |source| LedgerError::Io { name, source };
    let length = usize::try_from(file.bytes().map_err(io)?).unwrap_or(FILE_BYTES);
    let mut bytes = vec![0; length.min(2 * FILE_BYTES)];
    let n = file.read_at(&mut bytes, 0).map_err(io)?;
    bytes.truncate(n);
    let mut from = Take(&bytes);
    let mut read = || -> Result<_, Damage> {
        let magic = from.bytes(8)? == MAGIC;
        let (version, _) = (from.u32()?, from.u32()?);
        Ok((magic, version, from.u128()?, from.u64()?, from.u64()?))
    };
    let Ok((true, version, journal, generation, checksum)) = read() else {
        return Ok(None);
    };
    let right = |bytes: &[u8]| XxHash3_64::oneshot(bytes) == checksum;
    // A flipped bit is no other version: the checksum stands at this place in all of them.
    if !bytes.get(..CHECKSUM_AT).is_some_and(right) {
        return Ok(None);
    }
    if version != VERSION {
        return Err(LedgerError::Version {
            name,
            found: version,
        });
    }
    let mut contents = Contents {
        journal,
        generation,
        events: Vec::new(),
        end: HEADER_BYTES,
    };
    while let Some(event) = next(&mut from, generation, journal) {
        contents.events.push(event);
        contents.end = (bytes.len() - from.0.len()) as u64;
    }
    // Without its checkpoint a generation means nothing.
    let whole = matches!(contents.events.first(), Some(Event::Checkpoint(_)));
    Ok(whole.then_some(contents))
}

fn next(from: &mut Take<'_>, generation: u64, journal: u128) -> Option<Event> {
    let mut ahead = Take(from.0);
    let length = usize::try_from(ahead.u64().ok()?).ok()?;
    let checksum = ahead.u64().ok()?;
    let payload = ahead.bytes(length).ok()?;
    if sum(payload, generation, journal) != checksum {
        return None;
    }
    let event = Event::decode(payload).ok()?;
    *from = ahead;
    Some(event)
}
