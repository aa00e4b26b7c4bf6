//! How often calls are tried: by how much retries multiply them.

use serde::{Deserialize, Serialize};

use super::sample::Sample;

/// Calls, and how many of them were first attempts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Attempts {
    pub all: f32,
    pub first: f32,
}

// === impl Attempts ===

impl Attempts {
    /// Counts a call.
    pub fn count(&mut self, call: &Sample) {
        self.all += 1.0;
        self.first += if call.attempt > 1 { 0.0 } else { 1.0 };
    }

    /// Both together.
    pub fn plus(self, other: Attempts) -> Attempts {
        Attempts {
            all: self.all + other.all,
            first: self.first + other.first,
        }
    }

    /// Multiplies what was counted.
    pub fn fade(&mut self, keep: f32) {
        self.all *= keep;
        self.first *= keep;
    }

    /// Attempts for one original call; `None` where nobody tells of a second attempt.
    pub fn amplification(self) -> Option<f64> {
        let known = self.all > self.first && self.first > 0.0;
        known.then(|| f64::from(self.all / self.first))
    }
}
