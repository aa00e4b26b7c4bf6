//! Cases of evaluations wait for their tick as calls do.

use serde::{Deserialize, Serialize};

use super::{Change, Detector, Dimension, EvalFact, clock, lattice::Key};

/// An evaluation that waits for its tick.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OwnedEval {
    tick: u32,
    key: Key,
    suite: u32,
    run: u32,
    passed: Option<bool>,
    score: Option<f64>,
}

impl Detector {
    pub(super) fn wait_eval(&mut self, eval: &EvalFact<'_>) {
        let mut key = Key::default();
        for (dimension, text) in [
            (Dimension::Service, eval.service),
            (Dimension::Environment, eval.environment),
            (Dimension::Feature, eval.feature),
        ] {
            key[dimension as usize] = self.names.intern(text);
        }
        self.clock.advance(eval.end_ns);
        self.waiting_evals.push(OwnedEval {
            tick: clock::tick_of(eval.end_ns).max(self.clock.next),
            key,
            suite: self.names.intern(eval.suite),
            run: self.names.intern(eval.run_id),
            passed: eval.passed,
            score: eval.score,
        });
    }

    pub(super) fn run_evals(&mut self, tick: u32, out: &mut Vec<Change>) {
        if self.waiting_evals.is_empty() {
            return;
        }
        let waiting = std::mem::take(&mut self.waiting_evals);
        for eval in waiting {
            if eval.tick > tick {
                self.waiting_evals.push(eval);
                continue;
            }
            let case = EvalFact {
                passed: eval.passed,
                score: eval.score,
                ..EvalFact::default()
            };
            if let Some(verdict) = self
                .evals
                .take(&eval.key, eval.suite, eval.run, &case, tick)
            {
                self.eval_news(verdict, &eval.key, tick, out);
            }
        }
    }
}
