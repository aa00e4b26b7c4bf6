//! Segment: one append-only file of records, and the walk along it.
//!
//! A segment begins with a header (magic, version, the journal's id, the segment's number), whose
//! size stands in it, so that a later version may add to it. An unknown version is refused. The
//! walk goes from record to record; where bytes are no record it looks for the next one and says
//! what it passed over.

use std::{io, sync::Arc};

use twox_hash::XxHash3_64;

use super::{
    files::Handle,
    record::{Damage, HEAD_BYTES, Head, MAGIC, Meta, Take},
};

/// The format that is written, and the only one that is read.
pub const VERSION: u32 = 1;
/// Bytes before the first record.
pub const HEADER_BYTES: u64 = 48;
const SEGMENT_MAGIC: [u8; 8] = *b"LAPWJRNL";
const CHECKSUM_AT: usize = 40;
const SUFFIX: &str = ".segment";
/// How much is read at a time while walking.
const WINDOW_BYTES: usize = 64 << 10;

/// What a segment says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Random, made with the journal.
    pub journal: u128,
    pub number: u64,
}

/// Why a header is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadHeader {
    Version(u32),
    Damaged,
}

/// Goes along a segment, record by record.
#[derive(Debug)]
pub struct Walk<H> {
    file: Arc<H>,
    seed: u64,
    at: u64,
    end: u64,
    window: Vec<u8>,
    window_at: u64,
}

/// One step of a walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Record(Found),
    /// These bytes are no record.
    Damage {
        from: u64,
        to: u64,
        reason: Damage,
    },
}

/// A sound record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub at: u64,
    /// Where its first block begins.
    pub body_at: u64,
    pub next: u64,
    pub meta: Meta,
}

/// The file of a segment.
pub fn name(number: u64) -> String {
    format!("{number:016x}{SUFFIX}")
}

/// The segment of a file; `None` for other files.
pub fn number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    match digits.len() {
        16 => u64::from_str_radix(digits, 16).ok(),
        _ => None,
    }
}

// === impl Header ===

impl Header {
    pub fn encode(self) -> [u8; HEADER_BYTES as usize] {
        let mut out = [0; HEADER_BYTES as usize];
        out[..8].copy_from_slice(&SEGMENT_MAGIC);
        out[8..12].copy_from_slice(&VERSION.to_le_bytes());
        out[12..16].copy_from_slice(&(HEADER_BYTES as u32).to_le_bytes());
        out[16..32].copy_from_slice(&self.journal.to_le_bytes());
        out[32..40].copy_from_slice(&self.number.to_le_bytes());
        let sum = XxHash3_64::oneshot(&out[..CHECKSUM_AT]);
        out[CHECKSUM_AT..].copy_from_slice(&sum.to_le_bytes());
        out
    }

    /// Reads the header of a file.
    pub fn read(file: &impl Handle) -> io::Result<Result<Header, BadHeader>> {
        let mut bytes = [0; HEADER_BYTES as usize];
        let n = file.read_at(&mut bytes, 0)?;
        Ok(Header::decode(bytes.get(..n).unwrap_or_default()))
    }

    fn decode(bytes: &[u8]) -> Result<Header, BadHeader> {
        let mut from = Take(bytes);
        let mut read = || -> Result<_, Damage> {
            let magic = from.bytes(8)? == SEGMENT_MAGIC;
            let (version, _size) = (from.u32()?, from.u32()?);
            let header = Header {
                journal: from.u128()?,
                number: from.u64()?,
            };
            Ok((magic, version, header, from.u64()?))
        };
        let (magic, version, header, sum) = read().map_err(|_| BadHeader::Damaged)?;
        if !magic {
            return Err(BadHeader::Damaged);
        }
        let right = bytes
            .get(..CHECKSUM_AT)
            .is_some_and(|bytes| XxHash3_64::oneshot(bytes) == sum);
        // A flipped bit is no other version: the checksum stands at this place in all of them.
        match version {
            _ if !right => Err(BadHeader::Damaged),
            VERSION => Ok(header),
            other => Err(BadHeader::Version(other)),
        }
    }

    /// What the checksums of the segment's records begin with.
    pub fn seed(self) -> u64 {
        seed(self.journal, self.number)
    }
}

/// See [`Header::seed`].
pub fn seed(journal: u128, number: u64) -> u64 {
    XxHash3_64::oneshot_with_seed(number, &journal.to_le_bytes())
}

// === impl Walk ===

impl<H: Handle> Walk<H> {
    /// From the record at `at` to `end`.
    pub fn new(file: Arc<H>, seed: u64, at: u64, end: u64) -> Walk<H> {
        Walk {
            file,
            seed,
            at,
            end,
            window: Vec::new(),
            window_at: 0,
        }
    }

    /// Where the next step begins.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// More was appended.
    pub fn extend(&mut self, end: u64) {
        self.end = self.end.max(end);
    }

    /// The next record or damage; `None` at the end.
    pub fn step(&mut self) -> io::Result<Option<Step>> {
        if self.at >= self.end {
            return Ok(None);
        }
        let from = self.at;
        match self.record(from)? {
            Ok(found) => {
                self.at = found.next;
                Ok(Some(Step::Record(found)))
            }
            Err(reason) => {
                // A sound head whose body the file does not have: nothing can come after it.
                let to = match reason {
                    Damage::CutOff => self.end,
                    _ => self.search(from + 1)?,
                };
                self.at = to;
                Ok(Some(Step::Damage { from, to, reason }))
            }
        }
    }

    fn record(&mut self, at: u64) -> io::Result<Result<Found, Damage>> {
        let (seed, end) = (self.seed, self.end);
        let bytes = self.bytes(at, HEAD_BYTES)?;
        let head = match Head::decode(bytes) {
            Ok(head) => head,
            Err(damage) => return Ok(Err(damage)),
        };
        let known = HEAD_BYTES + head.meta_bytes;
        if at + known as u64 > end {
            // The size may be what is wrong: go on looking.
            return Ok(Err(Damage::NoRecord));
        }
        let bytes = self.bytes(at, known)?;
        let whole = bytes.get(..known);
        let Some((head_bytes, meta)) = whole.and_then(|b| b.split_at_checked(HEAD_BYTES)) else {
            return Ok(Err(Damage::CutOff));
        };
        if !head.holds(seed, head_bytes, meta) {
            return Ok(Err(Damage::Checksum));
        }
        let next = at + head.record_bytes();
        if next > end {
            return Ok(Err(Damage::CutOff));
        }
        Ok(
            Meta::decode(meta).and_then(|meta| match meta.body_bytes() == head.body_bytes {
                true => Ok(Found {
                    at,
                    body_at: at + known as u64,
                    next,
                    meta,
                }),
                false => Err(Damage::Content("its blocks have another size")),
            }),
        )
    }

    /// Where the next sound record begins, at `from` or later; the end if there is none.
    fn search(&mut self, from: u64) -> io::Result<u64> {
        let mut at = from;
        while at < self.end {
            let bytes = self.bytes(at, MAGIC.len())?;
            if bytes.len() < MAGIC.len() {
                break;
            }
            let Some(ahead) = memchr::memmem::find(bytes, &MAGIC) else {
                // The magic may lie across the end of what was read.
                at += (bytes.len() - MAGIC.len() + 1) as u64;
                continue;
            };
            at += ahead as u64;
            match self.record(at)? {
                Ok(_) | Err(Damage::CutOff | Damage::Table(_)) => return Ok(at),
                Err(_) => at += 1,
            }
        }
        Ok(self.end)
    }

    /// What there is from `at` on, at least `wanted` bytes unless the segment ends before.
    fn bytes(&mut self, at: u64, wanted: usize) -> io::Result<&[u8]> {
        let there = |walk: &Self| {
            let skip = usize::try_from(at.checked_sub(walk.window_at)?).ok()?;
            let left = walk.window.len().checked_sub(skip)?;
            (left >= wanted).then_some(skip)
        };
        let skip = match there(self) {
            Some(skip) => skip,
            None => {
                let left = usize::try_from(self.end - at).unwrap_or(usize::MAX);
                self.window.resize(wanted.max(WINDOW_BYTES).min(left), 0);
                let n = self.file.read_at(&mut self.window, at)?;
                self.window.truncate(n);
                self.window_at = at;
                0
            }
        };
        Ok(self.window.get(skip..).unwrap_or_default())
    }
}

impl<H: Handle> Walk<H> {
    /// Reads a part of the segment, such as a block or what is damaged.
    pub fn read(&self, at: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let mut out = vec![0; bytes];
        let n = self.file.read_at(&mut out, at)?;
        out.truncate(n);
        Ok(out)
    }
}
