//! ClickHouse's compressed frames: where the bytes of a block go.
//!
//! A frame is a 16-byte checksum (CityHash128 v1.0.2 of all that follows), one byte that names the
//! method, the size of the frame without its checksum, the size of what it holds, and the data.
//! Frames simply follow each other, so blocks can be compressed once and concatenated later.
//!
//! Invariant: a frame never holds more than [`FRAME_BYTES_MAX`] of input. Large columns are
//! compressed where they are; small ones are gathered first.

use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};

/// Input of one frame, in bytes: what ClickHouse itself uses.
pub const FRAME_BYTES_MAX: usize = 1 << 20;

/// A piece of this many bytes is not gathered with its neighbours but makes frames of its own.
const DIRECT_BYTES_MIN: usize = 256 << 10;

/// Method byte of LZ4.
const METHOD_LZ4: u8 = 0x82;

/// CityHash128 of the rest of the frame.
const CHECKSUM_BYTES: usize = 16;

/// Method byte, compressed size and uncompressed size.
const HEADER_BYTES: usize = 9;

/// Where the data of a frame begins.
const DATA: usize = CHECKSUM_BYTES + HEADER_BYTES;

/// How the bytes of a block are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// As they are: for a server on the same machine.
    None,
    /// In LZ4 frames: less network and journal, at the price of CPU time (`make bench` shows both).
    #[default]
    Lz4,
}

/// What the compressor keeps between blocks: its hash table and buffers.
pub(super) struct Scratch {
    table: CompressTable,
    gathered: Vec<u8>,
    frame: Vec<u8>,
}

/// Takes the pieces of one block, in order.
pub(super) struct Sink<'s> {
    compression: Compression,
    scratch: &'s mut Scratch,
    out: Vec<u8>,
    taken: usize,
}

// === impl Scratch ===

impl Default for Scratch {
    fn default() -> Self {
        Scratch {
            table: CompressTable::large(),
            gathered: Vec::new(),
            frame: Vec::new(),
        }
    }
}

impl std::fmt::Debug for Scratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scratch").finish_non_exhaustive()
    }
}

// === impl Sink ===

impl<'s> Sink<'s> {
    /// A sink for about `bytes` of input.
    pub(super) fn new(compression: Compression, scratch: &'s mut Scratch, bytes: usize) -> Self {
        let capacity = match compression {
            Compression::None => bytes.saturating_add(4096),
            Compression::Lz4 => bytes / 3,
        };
        scratch.gathered.clear();
        Sink {
            compression,
            scratch,
            out: Vec::with_capacity(capacity),
            taken: 0,
        }
    }

    /// Takes one piece.
    pub(super) fn put(&mut self, piece: &[u8]) {
        self.taken += piece.len();
        if self.compression == Compression::None {
            self.out.extend_from_slice(piece);
            return;
        }
        if piece.len() >= DIRECT_BYTES_MIN {
            self.flush();
            for chunk in piece.chunks(FRAME_BYTES_MAX) {
                let Scratch { table, frame, .. } = &mut *self.scratch;
                self.out.extend_from_slice(compress(table, frame, chunk));
            }
            return;
        }
        if self.scratch.gathered.len() + piece.len() > FRAME_BYTES_MAX {
            self.flush();
        }
        self.scratch.gathered.extend_from_slice(piece);
    }

    /// The bytes to send, and how many there were before compression.
    pub(super) fn finish(mut self) -> (Vec<u8>, usize) {
        self.flush();
        // The block may wait for long; what the guess of its size was too large is given back.
        if self.out.capacity() / 2 > self.out.len() {
            self.out.shrink_to_fit();
        }
        (self.out, self.taken)
    }

    fn flush(&mut self) {
        if self.scratch.gathered.is_empty() {
            return;
        }
        let Scratch {
            table,
            gathered,
            frame,
        } = &mut *self.scratch;
        self.out.extend_from_slice(compress(table, frame, gathered));
        gathered.clear();
    }
}

/// Compresses `input` into one frame, whose bytes are a part of `frame`.
fn compress<'f>(table: &mut CompressTable, frame: &'f mut Vec<u8>, input: &[u8]) -> &'f [u8] {
    let room = DATA + get_maximum_output_size(input.len());
    // Kept at its largest size: zeroing it for each frame would cost as much as copying it.
    if frame.len() < room {
        frame.resize(room, 0);
    }
    let written = compress_into_with_table(input, &mut frame[DATA..], table)
        .expect("the output has the size that the codec asks for");
    let size = HEADER_BYTES + written;
    frame[CHECKSUM_BYTES] = METHOD_LZ4;
    frame[CHECKSUM_BYTES + 1..][..4].copy_from_slice(&(size as u32).to_le_bytes());
    frame[CHECKSUM_BYTES + 5..][..4].copy_from_slice(&(input.len() as u32).to_le_bytes());
    let (sum, rest) = frame[..CHECKSUM_BYTES + size].split_at_mut(CHECKSUM_BYTES);
    // The first half of the sum is in the high bits here; each half is written little-endian.
    let hash = cityhash_rs::cityhash_102_128(rest).rotate_right(64);
    sum.copy_from_slice(&hash.to_le_bytes());
    &frame[..CHECKSUM_BYTES + size]
}
