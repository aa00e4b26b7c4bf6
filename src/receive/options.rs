//! What the operator may set about the receivers, with the defaults.

use std::{sync::Arc, time::Duration};

use super::{Admission, BearerTokens, IN_FLIGHT_BYTES_MAX, ReceiveStats};

/// The largest request, before and after decompression; the recommendation of the OTLP spec.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Connections of one receiver; more wait in the listener's backlog.
pub const CONNECTIONS_MAX: usize = 4096;
/// HTTP/2 streams of one connection.
pub const STREAMS_MAX: u32 = 256;

const HEADER_TIMEOUT: Duration = Duration::from_secs(60);
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What both receivers have in common.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Bytes of one request, before and after decompression.
    pub message_bytes_max: usize,
    pub connections_max: usize,
    pub streams_max: u32,
    /// From the connection (or the last answer) to the end of the next request's headers.
    pub header_timeout: Duration,
    /// From the headers to the end of the body.
    pub body_timeout: Duration,
    /// What requests in progress get after shutdown began.
    pub drain_timeout: Duration,
    /// What clients are told when [`Admission`] is full.
    pub retry_after: Duration,
    /// None: everybody may send.
    pub tokens: BearerTokens,
    /// Share one between receivers to bound both together.
    pub admission: Arc<Admission>,
    pub stats: Arc<ReceiveStats>,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            message_bytes_max: MESSAGE_BYTES_MAX,
            connections_max: CONNECTIONS_MAX,
            streams_max: STREAMS_MAX,
            header_timeout: HEADER_TIMEOUT,
            body_timeout: BODY_TIMEOUT,
            drain_timeout: DRAIN_TIMEOUT,
            retry_after: RETRY_AFTER,
            tokens: BearerTokens::default(),
            admission: Admission::new(IN_FLIGHT_BYTES_MAX),
            stats: Arc::default(),
        }
    }
}

/// OTLP/gRPC.
#[derive(Debug, Clone, Default)]
pub struct GrpcOptions {
    pub serve: ServeOptions,
}

/// OTLP/HTTP.
#[derive(Debug, Clone, Default)]
pub struct HttpOptions {
    pub serve: ServeOptions,
    /// Origins of browsers that may send, compared whole. Empty: no CORS.
    pub allowed_origins: Vec<String>,
}
