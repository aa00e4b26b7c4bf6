//! Log: where records are appended.
//!
//! One group of records is one write and one sync. Order: a segment's header is synced, then the
//! directory's names, and only then are records written to it. Nothing is ever written over what
//! was synced.
//!
//! After a failure the file is cut back to what was synced before. If there was no space, the next
//! group may try again; after any other failure nothing is appended until the program is started
//! again: a disk that failed to sync may have dropped what it then claims to have.

use std::{io, sync::Arc};

use super::{
    files::{Files, Handle},
    position::Position,
    record::{HEAD_BYTES, Head, Meta, Request},
    segment::{self, HEADER_BYTES, Header},
};
use crate::block::Block;

/// A record before it has a place.
#[derive(Debug)]
pub struct Encoded {
    pub meta: Meta,
    pub blocks: Vec<Block>,
    meta_bytes: Vec<u8>,
    body_bytes: u64,
}

/// Appends to the newest segment.
#[derive(Debug)]
pub struct Log<F: Files> {
    files: Arc<F>,
    options: LogOptions,
    journal: u128,
    next_segment: u64,
    open: Option<Open<F::Handle>>,
    failed: Option<String>,
    buffer: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
pub struct LogOptions {
    /// A segment that has this many bytes is followed by another.
    pub segment_bytes_max: u64,
    /// Wait until the disk has it.
    pub sync: bool,
}

#[derive(Debug)]
struct Open<H> {
    number: u64,
    file: Arc<H>,
    /// Up to here it is durable.
    end: u64,
}

/// What became of a group: the records from the front that are durable, and what befell the rest.
#[derive(Debug)]
pub struct Appended<H> {
    pub placed: Vec<Placed<H>>,
    pub error: Option<AppendError>,
}

/// A durable record.
#[derive(Debug)]
pub struct Placed<H> {
    pub at: Position,
    pub next: Position,
    pub file: Arc<H>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    #[error("no space for the journal: {0}; free some on its disk")]
    NoSpace(String),
    #[error("the journal's disk failed: {0}; check the disk, then start lapwing again")]
    Failed(String),
}

// === impl Encoded ===

impl Encoded {
    pub fn new(blocks: Vec<Block>, facts: bytes::Bytes, requests: Vec<Request>) -> Encoded {
        let meta = Meta {
            requests,
            facts,
            blocks: blocks.iter().map(super::record::BlockMeta::of).collect(),
        };
        Encoded {
            meta_bytes: meta.encode(),
            body_bytes: meta.body_bytes(),
            blocks,
            meta,
        }
    }

    /// Bytes it will take on disk.
    pub fn record_bytes(&self) -> u64 {
        HEAD_BYTES as u64 + self.meta_bytes.len() as u64 + self.body_bytes
    }

    pub(super) fn put(&self, seed: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(&Head::encode(seed, &self.meta_bytes, self.body_bytes));
        out.extend_from_slice(&self.meta_bytes);
        for block in &self.blocks {
            out.extend_from_slice(&block.bytes);
        }
    }
}

// === impl Log ===

impl<F: Files> Log<F> {
    /// A log whose first record goes into a new segment.
    pub fn new(files: Arc<F>, options: LogOptions, journal: u128, next_segment: u64) -> Log<F> {
        Log {
            files,
            options,
            journal,
            next_segment,
            open: None,
            failed: None,
            buffer: Vec::new(),
        }
    }

    #[cfg(test)]
    pub fn set_segment_bytes_max(&mut self, bytes: u64) {
        self.options.segment_bytes_max = bytes;
    }

    /// Appends a group. `recent` gives the requests that a new segment begins with, so that they
    /// are known after the older ones are deleted.
    pub fn append(
        &mut self,
        group: &[Encoded],
        recent: impl Fn() -> Vec<Request>,
    ) -> Appended<F::Handle> {
        let mut placed = Vec::with_capacity(group.len());
        let mut rest = group;
        let mut error = self.failed.clone().map(AppendError::Failed);
        while error.is_none() && !rest.is_empty() {
            match self.append_some(rest, &mut placed, &recent) {
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(cause) => error = Some(self.cut_back(&cause)),
            }
        }
        Appended { placed, error }
    }

    /// Appends records to one segment and says how many; at least one.
    fn append_some(
        &mut self,
        group: &[Encoded],
        placed: &mut Vec<Placed<F::Handle>>,
        recent: &impl Fn() -> Vec<Request>,
    ) -> io::Result<usize> {
        let limit = self.options.segment_bytes_max;
        if self.open.as_ref().is_none_or(|open| open.end >= limit) {
            let next = self.begin(recent())?;
            self.open = Some(next);
        }
        let Some(open) = &mut self.open else {
            return Err(io::Error::other("there is no segment"));
        };
        let seed = segment::seed(self.journal, open.number);
        self.buffer.clear();
        let mut ends = Vec::with_capacity(group.len());
        for record in group {
            if !ends.is_empty() && open.end + self.buffer.len() as u64 >= limit {
                break;
            }
            record.put(seed, &mut self.buffer);
            ends.push(open.end + self.buffer.len() as u64);
        }
        open.file.write_at(&self.buffer, open.end)?;
        if self.options.sync {
            open.file.sync()?;
        }
        let number = open.number;
        let position = |offset| Position {
            segment: number,
            offset,
        };
        for end in &ends {
            placed.push(Placed {
                at: position(open.end),
                next: position(*end),
                file: Arc::clone(&open.file),
            });
            open.end = *end;
        }
        // What a rare large group needed is given back.
        self.buffer.shrink_to(BUFFER_KEPT_BYTES);
        Ok(ends.len())
    }

    /// Makes the next segment, ready to be written to.
    fn begin(&mut self, recent: Vec<Request>) -> io::Result<Open<F::Handle>> {
        let number = self.next_segment;
        // Not used again even if this fails half-way.
        self.next_segment += 1;
        let header = Header {
            journal: self.journal,
            number,
        };
        let name = segment::name(number);
        let file = self.files.create(&name)?;
        let mut bytes = header.encode().to_vec();
        if !recent.is_empty() {
            Encoded::new(Vec::new(), bytes::Bytes::new(), recent).put(header.seed(), &mut bytes);
        }
        let made = file.write_at(&bytes, 0).and_then(|()| {
            if self.options.sync {
                file.sync()?;
                self.files.sync_names()?;
            }
            Ok(())
        });
        if let Err(error) = made {
            // It holds nothing; if it stays it is found empty at the next start.
            _ = self.files.remove(&name);
            return Err(error);
        }
        Ok(Open {
            number,
            file: Arc::new(file),
            end: bytes.len().max(HEADER_BYTES as usize) as u64,
        })
    }

    /// After a failure: what was not synced is cut off, so that no reader ever meets it.
    fn cut_back(&mut self, cause: &io::Error) -> AppendError {
        let cut = match &self.open {
            Some(open) => open
                .file
                .truncate(open.end)
                .and_then(|()| match self.options.sync {
                    true => open.file.sync(),
                    false => Ok(()),
                }),
            None => Ok(()),
        };
        if no_space(cause) && cut.is_ok() {
            return AppendError::NoSpace(cause.to_string());
        }
        let text = match cut {
            Ok(()) => cause.to_string(),
            Err(second) => format!("{cause}, then {second}"),
        };
        self.failed = Some(text.clone());
        AppendError::Failed(text)
    }
}

/// The buffer of one group that is kept for the next.
const BUFFER_KEPT_BYTES: usize = 4 << 20;

/// Does the error pass when files are deleted?
pub(super) fn no_space(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
