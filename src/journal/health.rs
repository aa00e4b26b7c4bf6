//! Health: may the journal take more, and if not, why.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

/// What stands in the way of accepting.
#[derive(Debug, Default)]
pub struct Health {
    failed: AtomicBool,
    /// Why, for the operator.
    reason: Mutex<String>,
    full: AtomicBool,
    /// Delivered segments could not be deleted.
    untidy: AtomicBool,
    /// Groups that found no space on the disk.
    pub no_space: AtomicU64,
    /// Bytes that were no record, found when the journal was opened.
    pub damaged_bytes: AtomicU64,
    /// Bytes cut off from unfinished ends.
    pub torn_bytes: AtomicU64,
}

impl Health {
    /// The disk failed: nothing is accepted until the next start.
    pub(super) fn fail(&self, reason: String) {
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = reason;
        self.failed.store(true, Relaxed);
    }

    /// Why nothing is accepted until the next start.
    pub fn failure(&self) -> Option<String> {
        let failed = self.failed.load(Relaxed);
        failed.then(|| {
            let reason = self.reason.lock();
            reason.unwrap_or_else(PoisonError::into_inner).clone()
        })
    }

    pub(super) fn set_full(&self, full: bool) {
        if self.full.swap(full, Relaxed) != full {
            match full {
                true => tracing::warn!("the journal is full: senders are told to retry"),
                false => tracing::info!("the journal has room again"),
            }
        }
    }

    /// Could what was delivered be deleted? It is told when that changes.
    pub(super) fn tidied(&self, result: Result<(), std::io::Error>) {
        if self.untidy.swap(result.is_err(), Relaxed) == result.is_err() {
            return;
        }
        match result {
            Ok(()) => tracing::info!("delivered segments of the journal are deleted again"),
            Err(error) => tracing::warn!(%error,
                "delivered segments of the journal cannot be deleted: they count against its quota \
                 until they are; check the disk and its permissions"),
        }
    }

    /// Nothing is accepted until something is delivered.
    pub fn is_full(&self) -> bool {
        self.full.load(Relaxed)
    }
}
