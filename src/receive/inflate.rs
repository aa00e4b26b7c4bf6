//! Decompression with a hard limit on what comes out.
//!
//! The output grows in small steps, each one admitted first. What grows large is measured to its
//! end before it is kept: a bomb takes the time to inflate `bytes_max` bytes, and little memory.

use std::io::{self, Read};

use bytes::Bytes;

use super::{body::BodyError, limits::Permit};

/// How much is inflated between two looks at the limits.
const STEP_BYTES: usize = 64 * 1024;
/// From here on the size is measured by inflating once for nothing; few requests are this large.
const UNMEASURED_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The largest zstd window we allocate (2^26 = 64 MiB).
const ZSTD_WINDOW_LOG_MAX: u32 = 26;
/// From here on inflating leaves the thread that serves sockets.
const INLINE_BYTES_MAX: usize = 64 * 1024;

/// A `Content-Encoding` we read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    Gzip,
    Zstd,
    /// The zlib format, as HTTP means it.
    Deflate,
}

impl Compression {
    /// The value of a `Content-Encoding` header; `Err` when we do not read it.
    pub fn parse(value: &str) -> Result<Option<Self>, ()> {
        match value.trim().to_ascii_lowercase().as_str() {
            "" | "identity" | "none" => Ok(None),
            "gzip" | "x-gzip" => Ok(Some(Self::Gzip)),
            "zstd" => Ok(Some(Self::Zstd)),
            "deflate" | "zlib" => Ok(Some(Self::Deflate)),
            _ => Err(()),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Deflate => "deflate",
        }
    }
}

/// Inflates `body`, off the serving threads when it is large.
pub async fn inflate(
    compression: Compression,
    body: Bytes,
    bytes_max: usize,
    permit: std::sync::Arc<Permit>,
) -> Result<Bytes, BodyError> {
    if body.len() <= INLINE_BYTES_MAX {
        return inflate_now(compression, &body, bytes_max, &permit);
    }
    tokio::task::spawn_blocking(move || inflate_now(compression, &body, bytes_max, &permit))
        .await
        // The runtime is ending: nothing is wrong with the data.
        .unwrap_or(Err(BodyError::Busy))
}

fn inflate_now(
    compression: Compression,
    body: &[u8],
    bytes_max: usize,
    permit: &Permit,
) -> Result<Bytes, BodyError> {
    let garbage = |error: std::io::Error| BodyError::Garbage {
        encoding: compression.name(),
        reason: error.to_string(),
    };
    let mut from = open(compression, body).map_err(garbage)?;
    let mut out = Vec::new();
    loop {
        let room = UNMEASURED_BYTES_MAX.saturating_sub(out.len());
        let step = room.min(STEP_BYTES.max(body.len()));
        permit.grow(step)?;
        let read = from
            .by_ref()
            .take(step as u64)
            .read_to_end(&mut out)
            .map_err(garbage)?;
        if out.len() > bytes_max {
            return Err(BodyError::TooLarge { bytes_max });
        }
        if read < step {
            return Ok(out.into());
        }
        if room == step {
            break;
        }
    }
    // Large: the rest is measured before it is kept, so that a bomb costs time and no memory.
    let rest_max = bytes_max.saturating_sub(out.len());
    let rest = measure(&mut from, rest_max).map_err(garbage)?;
    let rest = rest.ok_or(BodyError::TooLarge { bytes_max })?;
    let total = out.len().saturating_add(rest);
    drop((from, out));
    permit.grow(rest)?;
    let mut out = Vec::with_capacity(total);
    open(compression, body)
        .and_then(|mut from| from.read_to_end(&mut out))
        .map_err(garbage)?;
    Ok(out.into())
}

fn open(compression: Compression, body: &[u8]) -> io::Result<Box<dyn Read + '_>> {
    Ok(match compression {
        Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(body)),
        Compression::Deflate => Box::new(flate2::read::ZlibDecoder::new(body)),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(body)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            Box::new(decoder)
        }
    })
}

/// How many bytes are left to read; `None` when more than `bytes_max`.
fn measure(from: &mut dyn Read, bytes_max: usize) -> io::Result<Option<usize>> {
    let mut scratch = vec![0; STEP_BYTES];
    let mut bytes = 0usize;
    loop {
        let read = from.read(&mut scratch)?;
        if read == 0 {
            return Ok(Some(bytes));
        }
        bytes = bytes.saturating_add(read);
        if bytes > bytes_max {
            return Ok(None);
        }
    }
}
