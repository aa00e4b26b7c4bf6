//! What models and evaluations say, as findings.

use super::{
    Change, Confidence, Detector, Kind, Observed, Unit,
    cusum::TICK_S,
    evals::DROP,
    evals::{Drop, Verdict},
    lattice::{self, Key},
    models::News,
    raise::Finding,
};

impl Detector {
    pub(super) fn model_news(&mut self, news: &News, key: &Key, tick: u32, out: &mut Vec<Change>) {
        let Some(own) = lattice::project(5, key) else {
            return;
        };
        let finding = Finding {
            kind: Kind::ModelChange,
            key: own,
            leaves: self.leaves_in(&own),
            signals: 0,
            onset: news.onset,
            rule: "first_seen_model",
            observed: Observed {
                value: news.share,
                baseline: 0.0,
                threshold: 3.0,
                unit: Unit::Ratio,
                sample: u64::from(news.seen),
                window_s: f64::from((tick - news.onset + 1) * TICK_S),
            },
            confidence: Confidence::High,
        };
        self.raise(finding, tick, out);
    }

    pub(super) fn eval_news(
        &mut self,
        verdict: Verdict,
        key: &Key,
        tick: u32,
        out: &mut Vec<Change>,
    ) {
        let drop: Drop = match verdict {
            Verdict::Fell(drop) => drop,
            Verdict::Recovered => {
                self.close(Kind::EvalDrop, key, tick, out);
                return;
            }
        };
        let leaves = self.leaves_in(key);
        let finding = Finding {
            kind: Kind::EvalDrop,
            key: *key,
            leaves: if leaves.is_empty() {
                vec![*key]
            } else {
                leaves
            },
            signals: 0,
            onset: drop.onset,
            rule: "binomial_cusum",
            observed: Observed {
                value: drop.now,
                baseline: drop.before,
                threshold: (drop.before - DROP).max(0.0),
                unit: Unit::PassRate,
                sample: drop.cases,
                window_s: f64::from((tick - drop.onset + 1) * TICK_S),
            },
            confidence: Confidence::High,
        };
        self.raise(finding, tick, out);
    }
}
