//! Gathering: which blocks go into one insert.

use std::io;

use bytes::Bytes;
use twox_hash::XxHash3_128;

use crate::{
    block::{BLOCK_DAYS_MAX, Block, Compression, Table},
    journal::{cursor::Cursor, files::Handle, ledger::Plan, position::BlockId},
};

/// Blocks that go into one insert, in order.
#[derive(Debug, Default)]
pub(in crate::journal) struct Batch {
    pub blocks: Vec<(BlockId, Block)>,
    pub rows: usize,
    uncompressed_bytes: usize,
    days: Vec<u32>,
}

/// What one insert may have.
#[derive(Debug, Clone, Copy)]
pub(in crate::journal) struct Limits {
    pub rows: usize,
    pub bytes: usize,
}

impl Batch {
    /// A batch of these blocks, whatever the limits.
    pub fn of(blocks: Vec<(BlockId, Block)>) -> Batch {
        let mut batch = Batch::default();
        blocks
            .into_iter()
            .for_each(|(id, block)| batch.add(id, block));
        batch
    }

    /// Takes blocks until the batch is full (true) or everything was read.
    pub fn fill<H: Handle>(&mut self, cursor: &mut Cursor<H>, limits: Limits) -> io::Result<bool> {
        while let Some((_, block)) = cursor.peek()? {
            if !self.has_room(block, limits) {
                return Ok(true);
            }
            if let Some((id, block)) = cursor.take() {
                self.add(id, block);
            }
        }
        Ok(false)
    }

    fn has_room(&self, block: &Block, limits: Limits) -> bool {
        let Some((_, first)) = self.blocks.first() else {
            // One block always fits, however large.
            return true;
        };
        let new_days = block.days.iter().filter(|day| !self.days.contains(day));
        self.rows + block.rows as usize <= limits.rows
            && self
                .uncompressed_bytes
                .saturating_add(block.uncompressed_bytes)
                <= limits.bytes
            && self.days.len() + new_days.count() <= BLOCK_DAYS_MAX
            && first.compression == block.compression
    }

    fn add(&mut self, id: BlockId, block: Block) {
        for day in &block.days {
            if !self.days.contains(day) {
                self.days.push(*day);
            }
        }
        self.rows += block.rows as usize;
        self.uncompressed_bytes = self
            .uncompressed_bytes
            .saturating_add(block.uncompressed_bytes);
        self.blocks.push((id, block));
    }

    /// The plan of this batch; `None` if it is empty.
    pub fn plan(&self, table: Table) -> Option<Plan> {
        let mut hash = XxHash3_128::new();
        for (_, block) in &self.blocks {
            hash.write(&(block.bytes.len() as u64).to_le_bytes());
            hash.write(&block.bytes);
        }
        Some(Plan {
            table,
            first: self.blocks.first()?.0,
            last: self.blocks.last()?.0,
            blocks: u32::try_from(self.blocks.len()).ok()?,
            rows: self.rows as u64,
            hash: hash.finish_128(),
        })
    }

    /// Two halves, in order; `None` for a single block.
    pub fn halves(self) -> Result<(Batch, Batch), Batch> {
        if self.blocks.len() < 2 {
            return Err(self);
        }
        let mut first = self.blocks;
        let second = first.split_off(first.len() / 2);
        Ok((Batch::of(first), Batch::of(second)))
    }

    pub fn compression(&self) -> Compression {
        self.blocks
            .first()
            .map(|(_, block)| block.compression)
            .unwrap_or_default()
    }

    /// The bytes of the insert's body.
    pub fn bytes(&self) -> Vec<Bytes> {
        self.blocks
            .iter()
            .map(|(_, block)| block.bytes.clone())
            .collect()
    }

    pub fn body_bytes(&self) -> usize {
        self.blocks.iter().map(|(_, block)| block.bytes.len()).sum()
    }
}
