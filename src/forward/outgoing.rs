//! Outgoing: what goes on, as blocks of the journal.
//!
//! The bytes of a block are one that names the signal, and LZ4 of resource groups of an export
//! request (`resource_spans` or `resource_logs`, field and all). Groups after each other are a
//! request, so the blocks of several group commits become one by putting them together.

use bytes::Bytes;
use lz4_flex::block::{compress_prepend_size, decompress_size_prepended};

use super::Signal;
use crate::{
    block::{Block, Compression, Table},
    decode::{
        Resource, Scope,
        rewrite::{self, put},
    },
};

/// A block is closed when it has this much, before compression. With [`GROUP_BYTES_MAX`] this stays
/// below the 4 MiB that gRPC servers take by default.
const BLOCK_BYTES_MAX: usize = 1 << 20;
/// A resource group is closed when its items have this much: what is passed over when the target
/// refuses an item is its group.
const GROUP_BYTES_MAX: usize = 64 << 10;

/// Puts the items of one request together again.
#[derive(Debug)]
pub struct Encoder {
    signal: Signal,
    out: Vec<u8>,
    items: u32,
    /// The open group: whose it is, and its items.
    place: Option<(u32, u32)>,
    members: Vec<u8>,
}

/// Requests of one group commit.
#[derive(Debug, Default)]
pub struct Outgoing {
    traces: (Vec<u8>, u32),
    logs: (Vec<u8>, u32),
    sealed: Vec<Block>,
}

// === impl Encoder ===

impl Encoder {
    pub fn new(signal: Signal) -> Encoder {
        Encoder {
            signal,
            out: Vec::new(),
            items: 0,
            place: None,
            members: Vec::new(),
        }
    }

    /// Does this item belong to another group than the one before it? Then that one is to be closed.
    pub fn is_elsewhere(&self, place: (u32, u32)) -> bool {
        self.members.len() >= GROUP_BYTES_MAX || self.place.is_some_and(|open| open != place)
    }

    /// Adds an encoded item, with fields to append to it.
    pub fn item(&mut self, place: (u32, u32), item: &[u8], more: &[u8]) {
        self.place = Some(place);
        self.items = self.items.saturating_add(1);
        let length = (item.len() + more.len()) as u64;
        self.members.push(2 << 3 | 2);
        rewrite::put_varint(&mut self.members, length);
        self.members.extend_from_slice(item);
        self.members.extend_from_slice(more);
    }

    /// Closes the open group, whose sharing this is.
    pub fn close(&mut self, resource: &Resource<'_>, scope: &Scope<'_>) {
        if self.place.take().is_none() {
            return;
        }
        let mut inner = Vec::with_capacity(self.members.len() + scope.encoded.len() + 64);
        put(&mut inner, 1, scope.encoded);
        inner.append(&mut self.members);
        put_text(&mut inner, 3, scope.schema_url);
        let mut group = Vec::with_capacity(inner.len() + resource.encoded.len() + 64);
        put(&mut group, 1, resource.encoded);
        put(&mut group, 2, &inner);
        put_text(&mut group, 3, resource.schema_url);
        put(&mut self.out, 1, &group);
    }

    /// The whole, with every text repaired if there were some to repair.
    pub fn finish(mut self, has_bad_text: bool) -> Encoded {
        if has_bad_text {
            rewrite::repair(&mut self.out, self.signal == Signal::Traces);
        }
        Encoded {
            signal: self.signal,
            groups: self.out,
            items: self.items,
        }
    }
}

fn put_text(out: &mut Vec<u8>, number: u32, text: &str) {
    if !text.is_empty() {
        put(out, number, text.as_bytes());
    }
}

/// The groups of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    pub signal: Signal,
    pub groups: Vec<u8>,
    pub items: u32,
}

// === impl Outgoing ===

impl Outgoing {
    /// Appends a request.
    pub fn push(&mut self, request: &Encoded) {
        // Most have one group, and fit.
        if self.room(request.signal) >= request.groups.len() {
            return self.append(request.signal, &request.groups, request.items);
        }
        for group in rewrite::groups(&request.groups) {
            if self.room(request.signal) < group.len() {
                self.seal(request.signal);
            }
            let items = u32::try_from(rewrite::items(group)).unwrap_or(u32::MAX);
            self.append(request.signal, group, items);
        }
    }

    /// The blocks of everything that was pushed; empty afterwards.
    pub fn finish(&mut self) -> Vec<Block> {
        self.seal(Signal::Traces);
        self.seal(Signal::Logs);
        std::mem::take(&mut self.sealed)
    }

    fn of(&mut self, signal: Signal) -> &mut (Vec<u8>, u32) {
        match signal {
            Signal::Traces => &mut self.traces,
            Signal::Logs => &mut self.logs,
        }
    }

    fn room(&mut self, signal: Signal) -> usize {
        BLOCK_BYTES_MAX.saturating_sub(self.of(signal).0.len())
    }

    fn append(&mut self, signal: Signal, groups: &[u8], items: u32) {
        let (bytes, count) = self.of(signal);
        bytes.extend_from_slice(groups);
        *count = count.saturating_add(items);
    }

    fn seal(&mut self, signal: Signal) {
        let (groups, items) = std::mem::take(self.of(signal));
        if groups.is_empty() {
            return;
        }
        let mut bytes = vec![match signal {
            Signal::Traces => b'T',
            Signal::Logs => b'L',
        }];
        bytes.extend_from_slice(&compress_prepend_size(&groups));
        self.sealed.push(Block {
            table: Table::Forward,
            rows: items,
            bytes: Bytes::from(bytes),
            // Its own, within.
            compression: Compression::None,
            uncompressed_bytes: groups.len(),
            days: Vec::new(),
        });
    }
}

/// What a block holds; `None` if it was not written by [`Outgoing`].
pub fn open(block: &Block) -> Option<(Signal, Vec<u8>)> {
    let (kind, rest) = block.bytes.split_first()?;
    let signal = match kind {
        b'T' => Signal::Traces,
        b'L' => Signal::Logs,
        _ => return None,
    };
    Some((signal, decompress_size_prepended(rest).ok()?))
}

/// Which signal a block is of.
pub fn signal_of(block: &Block) -> Option<Signal> {
    match block.bytes.first()? {
        b'T' => Some(Signal::Traces),
        b'L' => Some(Signal::Logs),
        _ => None,
    }
}
