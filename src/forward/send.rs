//! Send: one attempt to pass a request on, and what its answer means.
//!
//! OTLP's own rules for what may be tried again, but for one thing: what only an operator can mend
//! (a wrong token, a wrong path) is tried again, too, slowly, so that it costs time and not data.

use std::{io::Write as _, time::Duration};

use bytes::Bytes;
use prost::Message as _;

use super::{Compression, Options, Protocol, Signal, grpc::Grpc, http::Http};
use crate::proto::opentelemetry::proto::collector::trace::v1::ExportTraceServiceResponse;

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Taken, but for so many items, with what the target says of them.
    Accepted { rejected: u64, message: String },
    /// Not now.
    Retry {
        reason: String,
        after: Option<Duration>,
    },
    /// Not before somebody mends something.
    Held { reason: String },
    /// Never.
    Refused { reason: String },
}

/// The forwarder cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("`forward.otlp.endpoint` cannot be used: {0}")]
    Endpoint(String),
    #[error("`forward.otlp.headers` has {0:?}, which is no header")]
    Header(String),
}

/// The way to the target.
#[derive(Debug)]
pub enum Sender {
    Grpc(Grpc),
    Http(Http),
}

// === impl Sender ===

impl Sender {
    /// Connects to nothing yet.
    pub fn new(options: &Options) -> Result<Sender, SetupError> {
        // Both clients take the process's; it is an error to say so twice, and no harm.
        _ = rustls::crypto::ring::default_provider().install_default();
        Ok(match options.protocol {
            Protocol::Grpc => Sender::Grpc(Grpc::new(options)?),
            Protocol::HttpProtobuf => Sender::Http(Http::new(options)?),
        })
    }

    /// One attempt with an encoded export request.
    pub async fn send(&self, signal: Signal, request: Bytes) -> Outcome {
        match self {
            Sender::Grpc(grpc) => grpc.send(signal, request).await,
            Sender::Http(http) => http.send(signal, request).await,
        }
    }
}

/// A success, by its answer; one that cannot be read says nothing. The answers of traces and logs
/// have the same shape.
pub fn accepted(answer: &[u8]) -> Outcome {
    let partial = ExportTraceServiceResponse::decode(answer)
        .ok()
        .and_then(|answer| answer.partial_success)
        .unwrap_or_default();
    Outcome::Accepted {
        rejected: u64::try_from(partial.rejected_spans).unwrap_or(0),
        message: partial.error_message,
    }
}

/// The body as it travels.
pub fn packed(request: &Bytes, compression: Compression) -> Bytes {
    match compression {
        Compression::None => request.clone(),
        Compression::Gzip => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            // Writing into memory cannot fail.
            _ = out.write_all(request);
            out.finish().map_or_else(|_| request.clone(), Bytes::from)
        }
    }
}
