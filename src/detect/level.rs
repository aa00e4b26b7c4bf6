//! How fast a key is these hours: the slow drift of a ratio around one, which is taken out before
//! calls are compared, so that the load of the day is not a shift.

use serde::{Deserialize, Serialize};

use super::baseline::PENDING;

/// Half-life in blocks: an hour.
const KEEP: f32 = 0.890_9;
/// Calls that a level needs to be believed by half: the squared ratio of the spread of single
/// calls (0.3) to that of the level (0.1).
const STRENGTH: f32 = 9.0;
/// A single call says no more than a factor e.
const CLIP: f32 = 1.0;

/// The mean logarithm of a ratio, of the hours before.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Level {
    count: f32,
    sum: f32,
    current: (f32, f32),
    pending: [(f32, f32); PENDING],
}

// === impl Level ===

impl Level {
    /// Counts a ratio; answers with what it is beside the level.
    pub fn correct(&mut self, ratio: f32) -> f32 {
        let log = ratio.max(1e-3).ln();
        let level = self.sum / (self.count + STRENGTH);
        self.current.0 += 1.0;
        self.current.1 += log.clamp(level - CLIP, level + CLIP);
        (log - level).exp()
    }

    /// Ends a block; the level does not follow an open incident.
    pub fn roll(&mut self, open: bool) {
        if open {
            self.pending = Default::default();
            self.current = Default::default();
            return;
        }
        self.pending.rotate_left(1);
        let Some(last) = self.pending.last_mut() else {
            return;
        };
        let (count, sum) = std::mem::replace(last, std::mem::take(&mut self.current));
        self.count = self.count * KEEP + count;
        self.sum = self.sum * KEEP + sum;
    }
}
