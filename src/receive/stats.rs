//! What the receivers count about themselves: plain atomics, read by telemetry.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Signal;

/// The door a request came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Grpc,
    Http,
}

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    Invalid,
    Busy,
    TooLarge,
    Slow,
    Unauthenticated,
    /// Wrong path, method, media type or encoding.
    Unsupported,
}

/// How many transports, signals and reasons there are.
const TRANSPORTS: usize = 2;
const SIGNALS: usize = 3;
const REASONS: usize = 6;

/// The counters of one transport and signal.
#[derive(Debug, Default)]
pub struct SignalStats {
    /// Requests accepted.
    pub requests: AtomicU64,
    /// Bytes of accepted requests, decompressed.
    pub bytes: AtomicU64,
    refused: [AtomicU64; REASONS],
}

/// All counters; one instance may be shared by both receivers.
#[derive(Debug, Default)]
pub struct ReceiveStats {
    signals: [[SignalStats; SIGNALS]; TRANSPORTS],
    /// Refused before a signal was known, per transport and reason.
    unknown: [[AtomicU64; REASONS]; TRANSPORTS],
}

impl ReceiveStats {
    /// The counters of one transport and signal.
    pub fn of(&self, transport: Transport, signal: Signal) -> &SignalStats {
        #[allow(clippy::indexing_slicing)] // The enums have exactly these many variants.
        &self.signals[transport as usize][signal as usize]
    }

    /// Requests refused for `reason`; `None` is "before the signal was known".
    pub fn refused(&self, transport: Transport, signal: Option<Signal>, reason: Reason) -> u64 {
        self.counter(transport, signal, reason)
            .load(Ordering::Relaxed)
    }

    pub(super) fn accept(&self, transport: Transport, signal: Signal, bytes: usize) {
        let stats = self.of(transport, signal);
        stats.requests.fetch_add(1, Ordering::Relaxed);
        stats.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn refuse(&self, transport: Transport, signal: Option<Signal>, reason: Reason) {
        self.counter(transport, signal, reason)
            .fetch_add(1, Ordering::Relaxed);
    }

    #[allow(clippy::indexing_slicing)] // The enums have exactly these many variants.
    fn counter(&self, transport: Transport, signal: Option<Signal>, reason: Reason) -> &AtomicU64 {
        match signal {
            Some(signal) => &self.of(transport, signal).refused[reason as usize],
            None => &self.unknown[transport as usize][reason as usize],
        }
    }
}
