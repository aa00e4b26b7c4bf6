//! How long requests wait for their answer: a histogram that many threads add to.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use hdrhistogram::Histogram;

/// Times to the acknowledgement of a request, in microseconds.
#[derive(Debug)]
pub struct Latency(Mutex<Option<Histogram<u64>>>);

/// The longest time that is told apart: an hour.
const LATENCY_MAX_US: u64 = 3_600_000_000;

// === impl Latency ===

impl Default for Latency {
    fn default() -> Self {
        // Two digits: 1 % error, 20 KB. The bounds are valid; if they were not, nothing is shown.
        Latency(Mutex::new(
            Histogram::new_with_bounds(1, LATENCY_MAX_US, 2).ok(),
        ))
    }
}

impl Latency {
    /// Adds one request.
    pub fn record(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        if let Some(histogram) = self.lock().as_mut() {
            histogram.saturating_record(micros.clamp(1, LATENCY_MAX_US));
        }
    }

    /// What was recorded so far.
    pub fn snapshot(&self) -> Option<Histogram<u64>> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Histogram<u64>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
