//! How long a call of this size takes: time = a + b x output + c x input, by least squares of the
//! relative error, so that slow outliers weigh little. A duration divided by what is expected can
//! be compared between a short and a long answer.

use serde::{Deserialize, Serialize};

/// The sums of the normal equations, aged.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Fit {
    /// Upper triangle of X'WX, row by row.
    xx: [f64; 6],
    xy: [f64; 3],
    count: f32,
    solved: Option<[f32; 3]>,
}

// === impl Fit ===

impl Fit {
    /// Learns from a call: `seconds` for `output` and `input` (any unit, the same every time).
    pub fn learn(&mut self, seconds: f32, output: f32, input: f32) {
        let y = f64::from(seconds.max(1e-3));
        let w = 1.0 / (y * y);
        let (o, i) = (f64::from(output), f64::from(input));
        let terms = [1.0, o, i, o * o, o * i, i * i];
        for (sum, term) in self.xx.iter_mut().zip(terms) {
            *sum += w * term;
        }
        for (sum, term) in self.xy.iter_mut().zip([1.0, o, i]) {
            *sum += w * term * y;
        }
        self.count += 1.0;
    }

    /// Multiplies all weights.
    pub fn age(&mut self, keep: f32) {
        let k = f64::from(keep);
        self.xx.iter_mut().for_each(|v| *v *= k);
        self.xy.iter_mut().for_each(|v| *v *= k);
        self.count *= keep;
    }

    /// Enough was learned for a first solution?
    pub fn is_new(&self) -> bool {
        self.solved.is_none() && self.count >= 30.0
    }

    /// Solves for the coefficients; the old ones stay when there is too little to go by.
    pub fn solve(&mut self) {
        if self.count < 30.0 {
            return;
        }
        let [a, b, c, d, e, f] = self.xx;
        // A little ridge keeps constant columns (no output, no input) solvable.
        let (d, f) = (d * 1.001 + 1e-12, f * 1.001 + 1e-12);
        let [p, q, r] = self.xy;
        let det = a * (d * f - e * e) - b * (b * f - c * e) + c * (b * e - c * d);
        if det.abs() < 1e-30 {
            return;
        }
        let x = (p * (d * f - e * e) - b * (q * f - r * e) + c * (q * e - r * d)) / det;
        let y = (a * (q * f - e * r) - p * (b * f - c * e) + c * (b * r - c * q)) / det;
        let z = (a * (d * r - e * q) - b * (b * r - c * q) + p * (b * e - c * d)) / det;
        self.solved = Some([x as f32, y.max(0.0) as f32, z.max(0.0) as f32]);
    }

    /// Duration relative to what is expected; `None` before anything was learned.
    pub fn ratio(&self, seconds: f32, output: f32, input: f32) -> Option<f32> {
        let [a, b, c] = self.solved?;
        let expected = a.max(0.0) + b * output + c * input;
        (expected > 1e-3).then(|| seconds / expected)
    }
}
