//! Evaluations: a sequential test of the share of cases that pass, against the trailing week.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};

use super::{EvalFact, cusum::TICK_S, lattice::Key, names::Sym};

/// Fall of the pass rate that is worth telling: 5 points.
pub(super) const DROP: f64 = 0.05;
/// Nats. Suites run a few times a day with some hundred cases, a thousandth of the calls that the
/// other tests see, so `ln 400` less than those need.
const EVIDENCE: f64 = 7.5;
/// Evidence of one case; cases of one run share a judge and a prompt.
const CASES_MIN: f64 = 150.0;
/// Cases become the baseline after a day, and fade with a half-life of 4 days.
const DELAY_TICKS: u32 = 86_400 / TICK_S;
const HALF_LIFE_TICKS: f64 = 4.0 * 86_400.0 / TICK_S as f64;
/// A gap between cases longer than this begins a new run where none is named: half an hour.
const RUN_GAP_TICKS: u32 = 1800 / TICK_S;
const SUITES_MAX: usize = 20_000;
const PENDING_MAX: usize = 64;
/// A score that counts as passed where nobody says so.
const PASS_SCORE: f64 = 0.5;

/// Every suite.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Evals {
    #[serde(with = "super::snapshot::pairs")]
    suites: HashMap<(Key, Sym), Suite, FixedState>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Suite {
    cases: f64,
    passed: f64,
    aged: u32,
    /// Runs that are not yet part of the baseline: tick, cases, passed.
    pending: Vec<(u32, f64, f64)>,
    last: u32,
    run: Sym,
    s: f64,
    onset: u32,
    since: (f64, f64),
    low: bool,
}

/// What a case says.
#[derive(Debug, Clone, Copy)]
pub struct Drop {
    pub onset: u32,
    pub before: f64,
    pub now: f64,
    pub cases: u64,
}

/// The state of a suite changed.
#[derive(Debug, Clone, Copy)]
pub enum Verdict {
    Fell(Drop),
    Recovered,
}

// === impl Evals ===

impl Evals {
    /// Counts a case.
    pub fn take(
        &mut self,
        key: &Key,
        suite: Sym,
        run: Sym,
        case: &EvalFact<'_>,
        tick: u32,
    ) -> Option<Verdict> {
        let passed = case.passed.or(case.score.map(|s| s >= PASS_SCORE))?;
        let at = (*key, suite);
        if self.suites.len() >= SUITES_MAX && !self.suites.contains_key(&at) {
            return None;
        }
        let suite = self.suites.entry(at).or_default();
        suite.take(passed, run, tick)
    }
}

// === impl Suite ===

impl Suite {
    fn take(&mut self, passed: bool, run: Sym, tick: u32) -> Option<Verdict> {
        if tick.saturating_sub(self.last) > RUN_GAP_TICKS
            || run != self.run
            || self.pending.is_empty()
        {
            self.begin(tick);
        }
        (self.last, self.run) = (tick, run);
        let hit = if passed { 1.0 } else { 0.0 };
        if let Some((_, n, x)) = self.pending.last_mut() {
            *n += 1.0;
            *x += hit;
        }
        if self.cases < CASES_MIN {
            return None;
        }
        // The baseline's own error is given away.
        let mean = (self.passed + 1.0) / (self.cases + 2.0);
        let p0 = (mean - (mean * (1.0 - mean) / self.cases).sqrt()).clamp(0.05, 0.995);
        let p1 = (p0 - DROP).max(0.01);
        let gain = if passed {
            (p1 / p0).ln()
        } else {
            ((1.0 - p1) / (1.0 - p0)).ln()
        };
        if self.s <= 0.0 {
            (self.onset, self.since) = (tick, (0.0, 0.0));
        }
        self.s = (self.s + gain).clamp(0.0, 2.0 * EVIDENCE);
        self.since = (self.since.0 + 1.0, self.since.1 + hit);
        if self.low && self.s < EVIDENCE / 3.0 {
            (self.low, self.s) = (false, 0.0);
            return Some(Verdict::Recovered);
        }
        if self.low || self.s < EVIDENCE || self.since.0 < 20.0 {
            return None;
        }
        self.low = true;
        Some(Verdict::Fell(Drop {
            onset: self.onset,
            before: mean,
            now: self.since.1 / self.since.0,
            cases: self.since.0 as u64,
        }))
    }

    fn begin(&mut self, tick: u32) {
        let keep = 0.5_f64.powf(f64::from(tick.saturating_sub(self.aged)) / HALF_LIFE_TICKS);
        (self.cases, self.passed, self.aged) = (self.cases * keep, self.passed * keep, tick);
        if !self.low && self.s < EVIDENCE / 2.0 {
            let old = |run: &(u32, f64, f64)| tick.saturating_sub(run.0) > DELAY_TICKS;
            for run in self.pending.iter().filter(|run| old(run)) {
                self.cases += run.1;
                self.passed += run.2;
            }
            self.pending.retain(|run| !old(run));
        }
        if self.pending.len() >= PENDING_MAX {
            self.pending.remove(0);
        }
        self.pending.push((tick, 0.0, 0.0));
    }
}
