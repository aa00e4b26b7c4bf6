//! Record: one group commit as bytes, and back.
//!
//! A record is a head of [`HEAD_BYTES`], a *meta* part (request hashes, facts, what each block is)
//! and the blocks as they will be sent. Head and meta share a checksum, each block has one of its
//! own: a reader can skip blocks that are not for it, and a flipped bit costs one block.
//!
//! ```text
//! 0  magic "LWJR"      4  kind, 3 zero bytes    8  meta bytes (u32)    12  zero (u32)
//! 16 body bytes (u64)  24 checksum (u64): XXH3 of head[0..24] and meta, seeded by journal and segment
//! ```
//!
//! All numbers are little-endian. Pure: no files here.

use bytes::Bytes;
use twox_hash::XxHash3_64;

use crate::block::{Block, Compression, Table};

/// Bytes of a record before its meta part.
pub const HEAD_BYTES: usize = 32;
/// A meta part that claims more is damage.
pub const META_BYTES_MAX: usize = 256 << 20;
/// A body that claims more is damage.
pub const BODY_BYTES_MAX: u64 = 8 << 30;
/// The first bytes of every record.
pub const MAGIC: [u8; 4] = *b"LWJR";

const KIND_COMMIT: u8 = 1;
const CHECKSUM_AT: usize = 24;

/// A request that the record acknowledges: a hash of its bytes, and the Unix time in seconds.
pub type Request = (u128, u64);

/// What a record says without its blocks' bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Meta {
    pub requests: Vec<Request>,
    /// For whoever follows the journal; opaque here.
    pub facts: Bytes,
    pub blocks: Vec<BlockMeta>,
}

/// A block without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockMeta {
    pub table: Table,
    pub rows: u32,
    pub compression: Compression,
    /// As it stands in the record.
    pub bytes: u32,
    pub uncompressed_bytes: u64,
    pub days: Vec<u32>,
    /// XXH3 of its bytes.
    pub checksum: u64,
}

/// The head, before its checksum is known to be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub meta_bytes: usize,
    pub body_bytes: u64,
    checksum: u64,
}

/// These bytes are no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    #[error("no record begins here")]
    NoRecord,
    #[error("a record is cut off")]
    CutOff,
    #[error("a checksum is wrong")]
    Checksum,
    #[error("a record cannot be read: {0}")]
    Content(&'static str),
    /// Sound, but of a table that this program does not know.
    #[error("a record is for the table {0:?}, which this version does not know")]
    Table(String),
}

// === impl BlockMeta ===

impl BlockMeta {
    pub fn of(block: &Block) -> BlockMeta {
        BlockMeta {
            table: block.table,
            rows: block.rows,
            compression: block.compression,
            bytes: u32::try_from(block.bytes.len()).unwrap_or(u32::MAX),
            uncompressed_bytes: block.uncompressed_bytes as u64,
            days: block.days.clone(),
            checksum: XxHash3_64::oneshot(&block.bytes),
        }
    }

    /// Joins it with its bytes; `None` if they are not the ones that were written.
    pub fn with(&self, bytes: Bytes) -> Option<Block> {
        let right =
            bytes.len() == self.bytes as usize && XxHash3_64::oneshot(&bytes) == self.checksum;
        right.then(|| Block {
            table: self.table,
            rows: self.rows,
            bytes,
            compression: self.compression,
            uncompressed_bytes: usize::try_from(self.uncompressed_bytes).unwrap_or(usize::MAX),
            days: self.days.clone(),
        })
    }
}

// === impl Meta ===

impl Meta {
    /// Bytes of the blocks.
    pub fn body_bytes(&self) -> u64 {
        self.blocks.iter().map(|block| u64::from(block.bytes)).sum()
    }

    /// The meta part.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + self.blocks.len() * 64 + self.facts.len());
        put_u32(&mut out, self.requests.len());
        for (hash, at) in &self.requests {
            out.extend_from_slice(&hash.to_le_bytes());
            out.extend_from_slice(&at.to_le_bytes());
        }
        put_u32(&mut out, self.facts.len());
        out.extend_from_slice(&self.facts);
        put_u32(&mut out, self.blocks.len());
        for block in &self.blocks {
            block.encode(&mut out);
        }
        out
    }

    /// Reads a meta part.
    pub fn decode(bytes: &[u8]) -> Result<Meta, Damage> {
        let mut from = Take(bytes);
        let mut meta = Meta::default();
        for _ in 0..from.u32()? {
            meta.requests.push((from.u128()?, from.u64()?));
        }
        let facts = from.u32()? as usize;
        meta.facts = Bytes::copy_from_slice(from.bytes(facts)?);
        for _ in 0..from.u32()? {
            meta.blocks.push(BlockMeta::decode(&mut from)?);
        }
        match from.0.is_empty() {
            true => Ok(meta),
            false => Err(Damage::Content("something follows its end")),
        }
    }
}

impl BlockMeta {
    fn encode(&self, out: &mut Vec<u8>) {
        // By name: an order of tables that changes with the version cannot mislead.
        let name = self.table.name().as_bytes();
        out.push(name.len() as u8);
        out.extend_from_slice(name);
        out.push(match self.compression {
            Compression::None => 0,
            Compression::Lz4 => 1,
        });
        out.extend_from_slice(&self.rows.to_le_bytes());
        out.extend_from_slice(&self.bytes.to_le_bytes());
        out.extend_from_slice(&self.uncompressed_bytes.to_le_bytes());
        out.extend_from_slice(&self.checksum.to_le_bytes());
        put_u32(out, self.days.len());
        for day in &self.days {
            out.extend_from_slice(&day.to_le_bytes());
        }
    }

    fn decode(from: &mut Take<'_>) -> Result<BlockMeta, Damage> {
        let table = from.table()?;
        let compression = match from.u8()? {
            0 => Compression::None,
            1 => Compression::Lz4,
            _ => return Err(Damage::Content("unknown compression")),
        };
        let (rows, bytes) = (from.u32()?, from.u32()?);
        let (uncompressed_bytes, checksum) = (from.u64()?, from.u64()?);
        let mut days = Vec::new();
        for _ in 0..from.u32()? {
            days.push(from.u32()?);
        }
        Ok(BlockMeta {
            table,
            rows,
            compression,
            bytes,
            uncompressed_bytes,
            days,
            checksum,
        })
    }
}

// === impl Head ===

impl Head {
    /// The head of a record whose meta part is `meta`; `seed` is its segment's.
    pub fn encode(seed: u64, meta: &[u8], body_bytes: u64) -> [u8; HEAD_BYTES] {
        let mut head = [0; HEAD_BYTES];
        head[..4].copy_from_slice(&MAGIC);
        head[4] = KIND_COMMIT;
        head[8..12].copy_from_slice(&(meta.len() as u32).to_le_bytes());
        head[16..24].copy_from_slice(&body_bytes.to_le_bytes());
        let sum = checksum(seed, &head[..CHECKSUM_AT], meta);
        head[CHECKSUM_AT..].copy_from_slice(&sum.to_le_bytes());
        head
    }

    /// Reads a head; its sizes are plausible, but only [`Head::holds`] says that they are right.
    pub fn decode(bytes: &[u8]) -> Result<Head, Damage> {
        let mut from = Take(bytes);
        if from.bytes(4).map_err(|_| Damage::CutOff)? != MAGIC {
            return Err(Damage::NoRecord);
        }
        let mut read = || {
            let kind = from.u32()?;
            let meta_bytes = from.u32()? as usize;
            let _ = from.u32()?;
            let body_bytes = from.u64()?;
            Ok((kind, meta_bytes, body_bytes, from.u64()?))
        };
        let (kind, meta_bytes, body_bytes, checksum) =
            read().map_err(|_: Damage| Damage::CutOff)?;
        let plausible = kind == u32::from(KIND_COMMIT)
            && meta_bytes <= META_BYTES_MAX
            && body_bytes <= BODY_BYTES_MAX;
        match plausible {
            true => Ok(Head {
                meta_bytes,
                body_bytes,
                checksum,
            }),
            false => Err(Damage::NoRecord),
        }
    }

    /// Do this head (as bytes) and meta part belong together, and to this seed's segment?
    pub fn holds(&self, seed: u64, head: &[u8], meta: &[u8]) -> bool {
        head.get(..CHECKSUM_AT)
            .is_some_and(|head| checksum(seed, head, meta) == self.checksum)
    }

    /// Bytes of the whole record.
    pub fn record_bytes(&self) -> u64 {
        HEAD_BYTES as u64 + self.meta_bytes as u64 + self.body_bytes
    }
}

/// XXH3 of a head and what follows it. The seed makes that bytes of another file, or those that a
/// client put into its texts to look like a record, do not pass.
fn checksum(seed: u64, head: &[u8], meta: &[u8]) -> u64 {
    let of_head = XxHash3_64::oneshot_with_seed(seed, head);
    XxHash3_64::oneshot_with_seed(of_head, meta)
}

fn put_u32(out: &mut Vec<u8>, n: usize) {
    out.extend_from_slice(&u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes());
}

/// Takes numbers off the front.
pub(super) struct Take<'b>(pub &'b [u8]);

impl<'b> Take<'b> {
    pub fn bytes(&mut self, n: usize) -> Result<&'b [u8], Damage> {
        let (taken, rest) = self
            .0
            .split_at_checked(n)
            .ok_or(Damage::Content("it ends within a value"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        let bytes = self.bytes(N)?;
        bytes
            .try_into()
            .map_err(|_| Damage::Content("it ends within a value"))
    }

    pub fn u8(&mut self) -> Result<u8, Damage> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub fn u32(&mut self) -> Result<u32, Damage> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Result<u64, Damage> {
        self.array().map(u64::from_le_bytes)
    }

    pub fn u128(&mut self) -> Result<u128, Damage> {
        self.array().map(u128::from_le_bytes)
    }

    /// A table by its name.
    pub fn table(&mut self) -> Result<Table, Damage> {
        let length = usize::from(self.u8()?);
        let name = self.bytes(length)?;
        Table::named(name).ok_or_else(|| Damage::Table(String::from_utf8_lossy(name).into_owned()))
    }
}
