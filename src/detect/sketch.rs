//! A quantile sketch that forgets: counts in logarithmic bins, aged by halving weights.
//!
//! Six bins an octave are 12 % wide; with interpolation the error is below 6 %, a quarter of the
//! smallest margin that is asked of it (DDSketch's guarantee, without its merging).

use serde::{Deserialize, Serialize};

const BINS_PER_OCTAVE: f32 = 6.0;
/// The least value told apart: 2^-12.
const FLOOR_LOG2: f32 = -12.0;
const BINS_MAX: usize = 54 * 6;

/// Counts of values by size.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Sketch {
    first: u16,
    counts: Vec<f32>,
    total: f32,
}

// === impl Sketch ===

impl Sketch {
    /// Counts one value.
    pub fn add(&mut self, value: f32) {
        let bin = ((value.max(1e-9).log2() - FLOOR_LOG2) * BINS_PER_OCTAVE).max(0.0) as usize;
        let bin = bin.min(BINS_MAX - 1) as u16;
        if self.counts.is_empty() {
            self.first = bin;
        }
        if bin < self.first {
            let more = usize::from(self.first - bin);
            self.counts.splice(0..0, std::iter::repeat_n(0.0, more));
            self.first = bin;
        }
        let at = usize::from(bin - self.first);
        if at >= self.counts.len() {
            self.counts.resize(at + 1, 0.0);
        }
        if let Some(count) = self.counts.get_mut(at) {
            *count += 1.0;
            self.total += 1.0;
        }
    }

    /// Multiplies all weights.
    pub fn age(&mut self, keep: f32) {
        self.counts.iter_mut().for_each(|count| *count *= keep);
        self.total *= keep;
    }

    /// How much was counted, aged.
    pub fn total(&self) -> f32 {
        self.total
    }

    /// The value below which a share `q` lies.
    pub fn quantile(&self, q: f32) -> Option<f32> {
        let mut left = q * self.total;
        for (i, count) in self.counts.iter().enumerate() {
            if left <= *count && *count > 0.0 {
                let bin = f32::from(self.first) + i as f32 + left / count;
                return Some((bin / BINS_PER_OCTAVE + FLOOR_LOG2).exp2());
            }
            left -= count;
        }
        None
    }
}
