//! ClickHouse's own compressed blocks (`compress=1`, `decompress=1`): CityHash128 (version 1.0.2) of the rest, one
//! byte of method, two lengths, the payload. Each block stands alone; a body is any number of them.

use std::io::{self, Read};

/// Method, compressed length (header included) and plain length.
const HEADER_BYTES: usize = 9;
const CHECKSUM_BYTES: usize = 16;
const METHOD_NONE: u8 = 0x02;
const METHOD_LZ4: u8 = 0x82;
const METHOD_ZSTD: u8 = 0x90;

/// Largest block taken from a client, compressed or plain; ClickHouse's own default block is 1 MiB.
const BLOCK_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Plain bytes per block written.
const BLOCK_BYTES: usize = 1024 * 1024;

/// Reads the plain bytes of a body of blocks, checking every checksum.
pub struct BlockReader<R> {
    inner: R,
    plain: Vec<u8>,
    at: usize,
}

impl<R: Read> BlockReader<R> {
    pub fn new(inner: R) -> Self {
        Self {
            inner,
            plain: Vec::new(),
            at: 0,
        }
    }

    /// Loads the next block; false at the end of the body, which may only be between two blocks.
    fn load(&mut self) -> io::Result<bool> {
        let mut checksum = [0_u8; CHECKSUM_BYTES];
        let first = self.inner.read(&mut checksum)?;
        if first == 0 {
            return Ok(false);
        }
        self.inner
            .read_exact(checksum.get_mut(first..).unwrap_or_default())?;
        let mut header = [0_u8; HEADER_BYTES];
        self.inner.read_exact(&mut header)?;
        let [method, c0, c1, c2, c3, p0, p1, p2, p3] = header;
        let packed = to_len(u32::from_le_bytes([c0, c1, c2, c3]))?;
        let plain = to_len(u32::from_le_bytes([p0, p1, p2, p3]))?;
        let payload = packed
            .checked_sub(HEADER_BYTES)
            .ok_or_else(|| bad("its length is shorter than its header"))?;
        // Grown by what really arrives, not by what the header promises.
        let mut block = header.to_vec();
        let read = self
            .inner
            .by_ref()
            .take(u64::try_from(payload).unwrap_or(u64::MAX))
            .read_to_end(&mut block)?;
        if read != payload {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if checksum != sum(&block) {
            return Err(bad("its checksum does not match"));
        }
        let payload = block.get(HEADER_BYTES..).unwrap_or_default();
        self.plain = match method {
            METHOD_NONE => payload.to_vec(),
            METHOD_LZ4 => lz4_flex::block::decompress(payload, plain)
                .map_err(|error| bad(error.to_string()))?,
            METHOD_ZSTD => zstd::bulk::decompress(payload, plain)?,
            other => {
                return Err(bad(format!(
                    "method 0x{other:02x} is not supported; use LZ4, ZSTD or none"
                )));
            }
        };
        if self.plain.len() != plain {
            return Err(bad("it holds another number of bytes than its header says"));
        }
        self.at = 0;
        Ok(true)
    }
}

fn to_len(value: u32) -> io::Result<usize> {
    let length = usize::try_from(value).unwrap_or(usize::MAX);
    if length > BLOCK_BYTES_MAX {
        return Err(bad(format!("it is longer than {BLOCK_BYTES_MAX} bytes")));
    }
    Ok(length)
}

fn bad(what: impl std::fmt::Display) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("a compressed block is damaged: {what}"),
    )
}

/// The checksum as it stands before a block: the high half first, each half little-endian.
fn sum(block: &[u8]) -> [u8; CHECKSUM_BYTES] {
    cityhash_rs::cityhash_102_128(block)
        .rotate_left(64)
        .to_le_bytes()
}

impl<R: Read> Read for BlockReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at >= self.plain.len() {
            if !self.load()? {
                return Ok(0);
            }
        }
        let rest = self.plain.get(self.at..).unwrap_or_default();
        let count = rest.len().min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        self.at = self.at.saturating_add(count);
        Ok(count)
    }
}

/// `plain` as LZ4 blocks.
pub fn compress(plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(plain.len() / 2);
    for part in plain.chunks(BLOCK_BYTES) {
        let payload = lz4_flex::block::compress(part);
        let packed = u32::try_from(payload.len().saturating_add(HEADER_BYTES)).unwrap_or(u32::MAX);
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
        let mut block = Vec::with_capacity(payload.len().saturating_add(HEADER_BYTES));
        block.push(METHOD_LZ4);
        block.extend_from_slice(&packed.to_le_bytes());
        block.extend_from_slice(&length.to_le_bytes());
        block.extend_from_slice(&payload);
        out.extend_from_slice(&sum(&block));
        out.extend_from_slice(&block);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        BlockReader::new(bytes).read_to_end(&mut plain)?;
        Ok(plain)
    }

    #[test]
    fn many_blocks_come_back_as_one_body() {
        let plain: Vec<u8> = (0..3_000_000_u32).map(|n| (n / 7) as u8).collect();
        let mut packed = compress(&plain);
        packed.extend(compress(b"and more"));
        let back = read(&packed).unwrap();
        assert!(back.starts_with(&plain) && back.ends_with(b"and more"));
        assert_eq!(read(b"").unwrap(), b"");
    }

    #[test]
    fn a_block_of_a_real_client_is_understood() {
        // The uncompressed block of the five bytes "hello", as ClickHouse's clients write it.
        let mut block = vec![METHOD_NONE];
        block.extend(14_u32.to_le_bytes());
        block.extend(5_u32.to_le_bytes());
        block.extend(b"hello");
        let mut packed = sum(&block).to_vec();
        packed.extend(&block);
        assert_eq!(read(&packed).unwrap(), b"hello");
    }

    #[test]
    fn damage_and_truncation_are_errors() {
        let packed = compress(b"hello hello hello hello hello");
        for at in 0..packed.len() {
            let mut damaged = packed.clone();
            damaged[at] ^= 1;
            assert!(read(&damaged).is_err(), "byte {at}");
            assert!(at == 0 || read(&packed[..at]).is_err(), "cut at {at}");
        }
    }
}
