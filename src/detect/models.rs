//! Which models answer for a requested name: the set of those seen, and news that are not chance.
//!
//! A name may be served by a known mix of models. A model that was never seen is news at its third
//! answer, if a share like the one it has now could not have stayed unseen until now.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};

use super::{cusum::TICK_S, names::Sym};

/// Answers of a new model before it is believed: one may be a test, two a coincidence.
const SIGHTINGS: u32 = 3;
/// Answers before anything is known of a name.
const LEARN_CALLS: u32 = 100;
/// Answers of the new model that should have been seen before, at its present share, had it been
/// there all the time: e^-5 is less than one in a hundred.
const MISSED: f64 = 5.0;
/// Models remembered for a name, and names.
const MODELS_MAX: usize = 16;
const NAMES_MAX: usize = 50_000;
/// A model that was away for so long is new again: 14 days.
const FORGET_TICKS: u32 = 14 * 86_400 / TICK_S;

/// The models of every requested name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Models {
    #[serde(with = "super::snapshot::pairs")]
    sets: HashMap<(Sym, Sym), Set, FixedState>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Set {
    calls: u32,
    known: Vec<(Sym, u32)>,
    new: Vec<New>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct New {
    model: Sym,
    since_calls: u32,
    since: u32,
    seen: u32,
}

/// A model answers that did not before.
#[derive(Debug, Clone, Copy)]
pub struct News {
    pub onset: u32,
    pub seen: u32,
    /// Share of answers since it was first seen.
    pub share: f64,
}

// === impl Models ===

impl Models {
    /// Counts an answer.
    pub fn take(&mut self, provider: Sym, request: Sym, model: Sym, tick: u32) -> Option<News> {
        if model == 0 || request == 0 {
            return None;
        }
        if self.sets.len() >= NAMES_MAX && !self.sets.contains_key(&(provider, request)) {
            return None;
        }
        let set = self.sets.entry((provider, request)).or_default();
        set.calls = set.calls.saturating_add(1);
        if let Some(at) = set.known.iter().position(|(known, _)| *known == model) {
            let known = set.known.get_mut(at)?;
            let away = tick.saturating_sub(known.1);
            known.1 = tick;
            if away < FORGET_TICKS {
                return None;
            }
            set.known.swap_remove(at);
        }
        if set.calls <= LEARN_CALLS {
            set.learn(model, tick);
            return None;
        }
        set.meet(model, tick)
    }
}

// === impl Set ===

impl Set {
    fn learn(&mut self, model: Sym, tick: u32) {
        if self.known.len() >= MODELS_MAX {
            self.known.sort_by_key(|(_, last)| std::cmp::Reverse(*last));
            self.known.pop();
        }
        self.known.push((model, tick));
    }

    fn meet(&mut self, model: Sym, tick: u32) -> Option<News> {
        let at = match self.new.iter().position(|n| n.model == model) {
            Some(at) => at,
            None => {
                if self.new.len() >= MODELS_MAX {
                    self.new.remove(0);
                }
                self.new.push(New {
                    model,
                    since_calls: self.calls,
                    since: tick,
                    seen: 0,
                });
                self.new.len() - 1
            }
        };
        let new = self.new.get_mut(at)?;
        new.seen += 1;
        let share = f64::from(new.seen) / f64::from(self.calls - new.since_calls + 1);
        if new.seen < SIGHTINGS || share * f64::from(new.since_calls) < MISSED {
            return None;
        }
        let news = News {
            onset: new.since,
            seen: new.seen,
            share,
        };
        self.new.remove(at);
        self.learn(model, tick);
        Some(news)
    }
}
