//! Forward: every span and log record goes on, with what was worked out about it, to another
//! collector or backend that speaks OTLP.
//!
//! The pipeline writes what goes on beside the rows, into the same journal record ([`outgoing`]);
//! the forwarder follows the journal in its order and sends each piece until it is accepted
//! ([`run`]). What was accepted is remembered on disk ([`state`]) after the answer: a crash between
//! the two sends it again. At least once, never silently less: what the target refuses for good is
//! counted and logged.
//!
//! Not here: what is worth passing on (everything is), and the store, which does not wait for this.

mod attributes;
mod grpc;
mod http;
mod outgoing;
mod run;
mod send;
mod state;
#[cfg(test)]
mod tests;

use std::{
    sync::atomic::{AtomicBool, AtomicU64},
    time::Duration,
};

pub use self::{
    attributes::of_call,
    outgoing::{Encoded, Encoder, Outgoing},
    run::Forwarder,
    send::{Outcome, Sender, SetupError},
};

/// Where everything goes, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// `http://` or `https://`, host and port; for HTTP the base that `/v1/traces` is put behind.
    pub endpoint: String,
    pub protocol: Protocol,
    /// Sent with every request; values may be secrets.
    pub headers: Vec<(String, String)>,
    pub compression: Compression,
    /// For one attempt.
    pub timeout: Duration,
}

/// How OTLP travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Grpc,
    HttpProtobuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    Gzip,
    None,
}

/// The kinds of requests that go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signal {
    Traces,
    Logs,
}

/// What went on, since the start.
#[derive(Debug, Default)]
pub struct ForwardStats {
    pub spans: AtomicU64,
    pub log_records: AtomicU64,
    pub requests: AtomicU64,
    /// Attempts that were not accepted and are made again.
    pub retries: AtomicU64,
    /// Items that the target refused for good.
    pub refused: AtomicU64,
    /// Items that the target said it left out of requests that it accepted.
    pub rejected: AtomicU64,
    /// The target waits for its operator, or ours.
    pub is_held: AtomicBool,
    /// 1 from a failed attempt until one is accepted.
    pub is_failing: AtomicBool,
    /// Segments of the journal that are kept for this.
    pub segments_behind: AtomicU64,
}

// === impl Signal ===

impl Signal {
    /// The method of the collector's service.
    fn grpc_path(self) -> &'static str {
        match self {
            Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        }
    }

    fn http_path(self) -> &'static str {
        match self {
            Signal::Traces => "/v1/traces",
            Signal::Logs => "/v1/logs",
        }
    }

    /// How many items of it went on.
    fn counter(self, stats: &ForwardStats) -> &AtomicU64 {
        match self {
            Signal::Traces => &stats.spans,
            Signal::Logs => &stats.log_records,
        }
    }
}
