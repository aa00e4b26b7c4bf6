//! Cursor: the blocks of one table, in the order they were acknowledged.
//!
//! Reads from memory what is new and from the files what is older; of a file only the blocks of
//! its table. Blocks whose bytes are damaged are passed over and told.

use std::{collections::VecDeque, io, sync::Arc};

use bytes::Bytes;

use super::{
    files::Handle,
    index::{Index, Place},
    position::{BlockId, Position},
    segment::{Found, Step, Walk},
};
use crate::block::{Block, Table};

/// Goes along the journal for one table.
#[derive(Debug)]
pub struct Cursor<H> {
    index: Arc<Index<H>>,
    table: Table,
    /// Blocks up to this one are not wanted.
    after: Option<BlockId>,
    /// The next record to look at.
    at: Position,
    walk: Option<(u64, Walk<H>)>,
    /// Blocks of the last record that were not taken yet.
    pending: VecDeque<(BlockId, Block)>,
    damaged: Vec<DamagedBlock>,
}

/// A block whose bytes are not those that were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedBlock {
    pub id: BlockId,
    pub rows: u32,
    pub bytes: Bytes,
}

// === impl Cursor ===

impl<H: Handle> Cursor<H> {
    /// From the block after `after`, or from the oldest there is.
    pub fn new(index: Arc<Index<H>>, table: Table, after: Option<BlockId>) -> Cursor<H> {
        Cursor {
            index,
            table,
            after,
            at: after.map(|id| id.record).unwrap_or_default(),
            walk: None,
            pending: VecDeque::new(),
            damaged: Vec::new(),
        }
    }

    /// The same, but from this block on.
    pub fn at(index: Arc<Index<H>>, table: Table, from: BlockId) -> Cursor<H> {
        let mut cursor = Cursor::new(index, table, None);
        cursor.at = from.record;
        let before = from.index.checked_sub(1);
        cursor.after = before.map(|index| BlockId { index, ..from });
        cursor
    }

    /// The next block, which stays the next; `None` when everything was read.
    pub fn peek(&mut self) -> io::Result<Option<&(BlockId, Block)>> {
        while self.pending.is_empty() {
            match self.index.locate(self.at) {
                Place::End => return Ok(None),
                Place::Skip(at) => {
                    self.at = at;
                    self.walk = None;
                }
                Place::Memory(hot) => {
                    self.walk = None;
                    for (index, block) in hot.blocks.iter().enumerate() {
                        let id = self.id(hot.at, index);
                        if block.table == self.table && Some(id) > self.after {
                            self.pending.push_back((id, block.clone()));
                        }
                    }
                    self.at = hot.next;
                }
                Place::File(segment) => {
                    let number = self.at.segment;
                    let mut walk = match self.walk.take() {
                        Some((of, mut walk)) if of == number && walk.at() == self.at.offset => {
                            walk.extend(segment.end);
                            walk
                        }
                        _ => Walk::new(segment.file, segment.seed, self.at.offset, segment.end),
                    };
                    // Damage between records was told when the journal was opened.
                    if let Some(Step::Record(found)) = walk.step()? {
                        self.read(&walk, &found)?;
                    }
                    self.at.offset = walk.at();
                    self.walk = Some((number, walk));
                }
            }
        }
        Ok(self.pending.front())
    }

    /// Takes the block that [`Cursor::peek`] showed.
    pub fn take(&mut self) -> Option<(BlockId, Block)> {
        self.pending.pop_front()
    }

    /// Would reading on need no file?
    pub fn is_near(&self) -> bool {
        matches!(self.index.locate(self.at), Place::Memory(_) | Place::End)
    }

    /// Everything of its table before this position was taken.
    pub fn position(&self) -> Position {
        self.pending.front().map_or(self.at, |(id, _)| id.record)
    }

    /// The damaged blocks since the last time.
    pub fn damaged(&mut self) -> Vec<DamagedBlock> {
        std::mem::take(&mut self.damaged)
    }

    fn read(&mut self, walk: &Walk<H>, found: &Found) -> io::Result<()> {
        let record = Position {
            segment: self.at.segment,
            offset: found.at,
        };
        let mut at = found.body_at;
        for (index, meta) in found.meta.blocks.iter().enumerate() {
            let id = self.id(record, index);
            if meta.table == self.table && Some(id) > self.after {
                let bytes = Bytes::from(walk.read(at, meta.bytes as usize)?);
                match meta.with(bytes.clone()) {
                    Some(block) => self.pending.push_back((id, block)),
                    None => self.damaged.push(DamagedBlock {
                        id,
                        rows: meta.rows,
                        bytes,
                    }),
                }
            }
            at += u64::from(meta.bytes);
        }
        Ok(())
    }

    fn id(&self, record: Position, index: usize) -> BlockId {
        BlockId {
            record,
            index: u32::try_from(index).unwrap_or(u32::MAX),
        }
    }
}
