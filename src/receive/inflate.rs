//! Decompression with a hard limit on what comes out.
//!
//! The output grows in small steps, each one admitted first, so a bomb is refused after
//! `bytes_max` bytes however small it was on the wire.

use std::io::Read;

use bytes::Bytes;

use super::{body::BodyError, limits::Permit};

/// How much is inflated between two looks at the limits.
const STEP_BYTES: usize = 64 * 1024;
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
    let expected = body.len().saturating_mul(4).min(bytes_max);
    match compression {
        Compression::Gzip => drain(
            flate2::read::MultiGzDecoder::new(body),
            expected,
            bytes_max,
            permit,
            garbage,
        ),
        Compression::Deflate => drain(
            flate2::read::ZlibDecoder::new(body),
            expected,
            bytes_max,
            permit,
            garbage,
        ),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(body).map_err(garbage)?;
            decoder
                .window_log_max(ZSTD_WINDOW_LOG_MAX)
                .map_err(garbage)?;
            drain(decoder, expected, bytes_max, permit, garbage)
        }
    }
}

fn drain(
    mut from: impl Read,
    expected: usize,
    bytes_max: usize,
    permit: &Permit,
    garbage: impl Fn(std::io::Error) -> BodyError,
) -> Result<Bytes, BodyError> {
    permit.grow(expected)?;
    let mut admitted = expected;
    let mut out = Vec::with_capacity(expected);
    loop {
        // One byte over the limit is read to tell "exactly full" from "more to come".
        let room = bytes_max.saturating_add(1).saturating_sub(out.len());
        let step = room.min(STEP_BYTES);
        let needed = out.len().saturating_add(step);
        if needed > admitted {
            permit.grow(needed.saturating_sub(admitted))?;
            admitted = needed;
        }
        let read = from
            .by_ref()
            .take(step as u64)
            .read_to_end(&mut out)
            .map_err(&garbage)?;
        if out.len() > bytes_max {
            return Err(BodyError::TooLarge { bytes_max });
        }
        if read < step {
            return Ok(out.into());
        }
    }
}
