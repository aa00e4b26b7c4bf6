//! The request's body as plain bytes: from the socket's task to the worker's thread, and through the decompressors.
//!
//! Nothing here holds a whole body. A body may be compressed twice: by `Content-Encoding`, then by ClickHouse's own
//! blocks (`decompress=1`). All readers go on to the next frame when one ends: a reader that stopped after the first
//! would lose rows and report success.

use std::io::{self, BufRead, BufReader, Read};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::mpsc;

use super::blocks::BlockReader;
use super::error::{Exception, NOT_IMPLEMENTED};

/// Chunks in flight between the socket and the worker.
const QUEUE_CHUNKS: usize = 8;
/// A client that sends nothing for so long in the middle of a body is given up.
const IDLE_MAX: Duration = Duration::from_secs(120);
/// Most plain bytes of one body. Bounds what one request can write, not what is held.
pub const BODY_BYTES_MAX: u64 = 16 * 1024 * 1024 * 1024;
const BUFFER_BYTES: usize = 64 * 1024;

/// The worker's end of a body.
pub struct ChannelReader {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    current: Bytes,
}

/// Moves a body to a worker. Ends when the body ends, fails, or nobody reads it.
pub fn channel(mut body: Incoming) -> ChannelReader {
    let (sender, chunks) = mpsc::channel(QUEUE_CHUNKS);
    tokio::spawn(async move {
        loop {
            let item = match tokio::time::timeout(IDLE_MAX, body.frame()).await {
                Ok(None) => return,
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => Ok(data),
                    Err(_trailers) => continue,
                },
                Ok(Some(Err(error))) => {
                    Err(io::Error::new(io::ErrorKind::ConnectionAborted, error))
                }
                Err(_) => Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the client stopped sending the body",
                )),
            };
            let last = item.is_err();
            if sender.send(item).await.is_err() || last {
                return;
            }
        }
    });
    ChannelReader {
        chunks,
        current: Bytes::new(),
    }
}

impl Read for ChannelReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.chunks.blocking_recv() {
                Some(chunk) => self.current = chunk?,
                None => return Ok(0),
            }
        }
        let count = self.current.len().min(out.len());
        if let Some(to) = out.get_mut(..count) {
            self.current.copy_to_slice(to);
        }
        Ok(count)
    }
}

/// An LZ4 body of any number of frames.
struct Lz4Frames<R: Read> {
    decoder: lz4_flex::frame::FrameDecoder<BufReader<R>>,
}

impl<R: Read> Read for Lz4Frames<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.decoder.read(out)?;
            if count > 0 || out.is_empty() || self.decoder.get_mut().fill_buf()?.is_empty() {
                return Ok(count);
            }
        }
    }
}

/// The plain bytes of a body.
///
/// `encoding` is the value of `Content-Encoding`, `blocks` whether the plain bytes are ClickHouse's own blocks.
pub fn plain<R: Read + Send + 'static>(
    body: R,
    encoding: Option<&str>,
    blocks: bool,
) -> Result<Box<dyn Read + Send>, Exception> {
    let decoded: Box<dyn Read + Send> = match encoding
        .map(str::trim)
        .unwrap_or_default()
        .to_ascii_lowercase()
        .as_str()
    {
        "" | "identity" => Box::new(body),
        "gzip" | "x-gzip" => Box::new(flate2::read::MultiGzDecoder::new(body)),
        "deflate" => Box::new(flate2::read::ZlibDecoder::new(body)),
        "zstd" => Box::new(
            zstd::Decoder::new(body).map_err(|error| Exception::new(NOT_IMPLEMENTED, error))?,
        ),
        "lz4" => {
            let body = BufReader::with_capacity(BUFFER_BYTES, body);
            Box::new(Lz4Frames {
                decoder: lz4_flex::frame::FrameDecoder::new(body),
            })
        }
        other => {
            let message = format!(
                "Content-Encoding '{other}' is not supported; use gzip, deflate, lz4 or zstd"
            );
            return Err(Exception::new(NOT_IMPLEMENTED, message));
        }
    };
    let plain: Box<dyn Read + Send> = if blocks {
        Box::new(BlockReader::new(decoded))
    } else {
        decoded
    };
    Ok(Box::new(Bounded {
        inner: plain,
        left: BODY_BYTES_MAX,
    }))
}

/// Fails, rather than ends, when the limit is reached: an end would look like a whole body.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(out)?;
        self.left = self
            .left
            .checked_sub(u64::try_from(count).unwrap_or(u64::MAX))
            .ok_or_else(|| {
                io::Error::other(format!("the body is larger than {BODY_BYTES_MAX} bytes"))
            })?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn through(encoding: &str, packed: Vec<u8>) -> Vec<u8> {
        let mut out = Vec::new();
        plain(io::Cursor::new(packed), Some(encoding), false)
            .unwrap()
            .read_to_end(&mut out)
            .unwrap();
        out
    }

    fn lz4(data: &[u8]) -> Vec<u8> {
        let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn every_frame_of_a_body_is_read() {
        let parts: Vec<Vec<u8>> = (0..5_u8).map(|n| vec![n; 100_000]).collect();
        let whole = parts.concat();
        assert_eq!(
            through("lz4", parts.iter().flat_map(|part| lz4(part)).collect()),
            whole
        );
        assert_eq!(
            through("gzip", parts.iter().flat_map(|part| gzip(part)).collect()),
            whole
        );
        let frames = parts
            .iter()
            .flat_map(|part| zstd::encode_all(part.as_slice(), 1).unwrap())
            .collect();
        assert_eq!(through("zstd", frames), whole);
        assert_eq!(through("identity", whole.clone()), whole);
    }

    #[test]
    fn a_cut_body_is_an_error() {
        let packed = lz4(&vec![7; 300_000]);
        let cut = packed[..packed.len() - 6].to_vec();
        let mut out = Vec::new();
        assert!(
            plain(io::Cursor::new(cut), Some("lz4"), false)
                .unwrap()
                .read_to_end(&mut out)
                .is_err()
        );
    }

    #[test]
    fn an_unknown_encoding_is_refused_by_name() {
        let refused = plain(io::empty(), Some("br"), false).err().unwrap();
        assert!(refused.text.contains("'br'"), "{}", refused.text);
    }
}
