//! Receive: OTLP over gRPC and HTTP, down to one [`Payload`] of plain bytes.
//!
//! Both transports end in the same call, [`Ingest::ingest`]; what the pipeline answers
//! ([`Receipt`] or [`Refusal`]) is put into the words of each transport here and nowhere else.
//! Limits are enforced here, before and after decompression. No message is decoded here.

mod answer;
mod auth;
mod body;
mod connections;
mod grpc;
mod http;
mod inflate;
mod limits;
mod options;
mod stats;

use std::{future::Future, time::Duration};

use bytes::Bytes;

pub use self::{
    auth::BearerTokens,
    grpc::serve_grpc,
    http::serve_http,
    limits::{Admission, Full, IN_FLIGHT_BYTES_MAX, Permit},
    options::{GrpcOptions, HttpOptions, ServeOptions},
    stats::{Reason, ReceiveStats, SignalStats, Transport},
};

/// Why a receiver stopped serving.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    #[error("cannot accept connections on {address}: {source}; check the listener and file limits")]
    Accept {
        address: String,
        source: std::io::Error,
    },
}

/// What the bytes hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signal {
    Traces,
    Logs,
    Metrics,
}

/// How the bytes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    Protobuf,
    Json,
}

/// One request, decompressed, not decoded.
#[derive(Debug, Clone)]
pub struct Payload {
    pub signal: Signal,
    pub encoding: Encoding,
    pub body: Bytes,
}

/// The request was made durable; `rejected` items of it never can be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Spans, log records or data points left out: `partial_success`.
    pub rejected: u64,
    /// For the client's developer; empty when there is nothing to say.
    pub message: String,
}

/// Nothing of the request was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The bytes will never be accepted: 400 / INVALID_ARGUMENT.
    Invalid { message: String },
    /// Try again: 503 with Retry-After / UNAVAILABLE with RetryInfo.
    Busy {
        message: String,
        retry_after: Duration,
    },
}

/// The pipeline, as the receivers see it.
pub trait Ingest: Send + Sync + 'static {
    /// Returns once everything accepted of the payload is durable.
    fn ingest(&self, payload: Payload) -> impl Future<Output = Result<Receipt, Refusal>> + Send;
}
