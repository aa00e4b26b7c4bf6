//! Baselines: what share of trials hits on a normal day, per key and signal.
//!
//! Two horizons. The long one (half-life 2 days) shrinks to the pool of all keys; the short one
//! (half-life 1 hour) shrinks to the long one with the strength that the signal's slow drift
//! deserves, so that busy keys follow the day and quiet keys do not follow their own noise.
//! Counts come in half an hour late, and not at all while something is going on.
//!
//! Where a signal has ten hits a minute, the last minutes say what is normal (`recent.rs`).

use serde::{Deserialize, Serialize};

use super::{
    cusum::Rate,
    recent::Recent,
    signal::{SIGNALS, SPECS, Signal},
};

/// Length of a block of counts.
pub const BLOCK_S: u32 = 600;
/// Blocks that wait before they count as normal: longer than the slow start of an incident.
pub const PENDING: usize = 3;
/// Long horizon, half-life in blocks: two days, so that one odd day does not decide.
const LONG_HALF_LIFE: f32 = 2.0 * 144.0;
/// Short horizon, half-life in blocks: an hour.
const SHORT_HALF_LIFE: f32 = 6.0;
/// Keys differ from the pool by two thirds up or down (a gamma prior of this shape), which gives the
/// strength of the pool in hits; in trials it is limited.
const POOL_SHAPE: f32 = 2.0;
const POOL_TRIALS_MAX: f32 = 1000.0;
/// Strength of what is known beforehand against the pool, in trials.
const PRIOR_TRIALS: f32 = 250.0;
/// Standard deviations of the baseline's own error that are given away to be safe.
const DOUBT: f32 = 1.0;
/// The smallest step tested, in standard deviations of the baseline: a CUSUM gains on anything
/// above half its step, so half of it and [`DOUBT`] make three.
const STEP: f32 = 4.0;
/// Calls a minute more that are acted upon, whatever their share of a busy key is.
const NOTICED: f32 = 30.0;
/// Blocks after which a frozen signal is the new normal, whatever the ledger says: a day.
pub const ACCEPT_BLOCKS: u8 = 148;
/// Trials from which a key stands on its own.
pub const GROWN_TRIALS: f32 = 150.0;
/// Blocks of history from which a key stands on its own.
pub const GROWN_BLOCKS: u16 = 6;
/// Squared coefficient of variation of a share's slow drift before any was measured (a quarter
/// up or down is usual in the public traces), and the expected hits that this belief weighs.
const DRIFT_PRIOR: (f32, f32) = (0.06, 200.0);
/// The same within a minute.
const BURST_PRIOR: (f32, f32) = (0.06, 200.0);
/// The same between keys, until two dozen hours of keys were seen: there may be keys that have no
/// such failures at all.
const BETWEEN_PRIOR: (f32, f32) = (1.0, 24.0);
/// Drift that remains between the short horizon and now.
const LAG_DRIFT: f32 = 0.2;
/// Idle blocks after which the last hours say nothing: four half-lives.
pub const FORGOTTEN: u8 = 24;
/// Residuals are clipped there, in standard deviations: a burst must not make the test blind.
const CLIP: f32 = 5.0;
/// Hits expected from which a residual says something of the spread.
const LEARN_HITS: f32 = 2.0;
/// Blocks of an hour.
const HOUR_BLOCKS: u8 = 6;

/// Trials and hits of every signal over some time.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Block {
    pub trials: [f32; SIGNALS],
    pub hits: [f32; SIGNALS],
    /// Signals that do not count, because something was going on.
    pub frozen: u32,
}

/// The baselines of one key.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Baseline {
    long: Block,
    short: Block,
    pub current: Block,
    /// The hour that the drift is learned from.
    hour: Block,
    hour_blocks: u8,
    /// Blocks of signals that may become incidents.
    held: Block,
    pending: [Block; PENDING],
    blocks: u16,
    idle: u8,
    /// Trials of a busy block; fades over days.
    busiest: f32,
    frozen_for: [u8; SIGNALS],
}

/// What all keys have in common.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pool {
    all: Block,
    drift: [Excess; SIGNALS],
    burst: [Excess; SIGNALS],
    /// How keys differ from each other.
    between: [Excess; SIGNALS],
    /// Calls that the pool has seen.
    pub calls: f32,
}

/// How much more a share varies than chance alone would have it.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Excess {
    over: f32,
    weight: f32,
}

// === impl Baseline ===

impl Baseline {
    /// Ends a block.
    ///
    /// `open` are the signals of open incidents: their blocks are dropped. `hot` are those that may
    /// become incidents: their blocks are held back, and counted when nothing came of it. Dropping
    /// them too would cut the tail off what is normal, and everything would look odd in the end.
    pub fn roll(&mut self, hot: u32, open: u32, pool: &mut Pool) {
        self.blocks = self.blocks.saturating_add(1);
        let (mut hot, mut open) = (hot, open);
        for (signal, count) in self.frozen_for.iter_mut().enumerate() {
            let bit = 1 << signal;
            let frozen = (hot | open) & bit != 0;
            *count = if frozen { count.saturating_add(1) } else { 0 };
            if *count > ACCEPT_BLOCKS {
                hot &= !bit;
                open &= !bit;
            }
        }
        self.current.frozen |= open;
        self.pending
            .iter_mut()
            .for_each(|block| block.frozen |= open);
        self.pending.rotate_left(1);
        let leaving = match self.pending.last_mut() {
            Some(last) => std::mem::replace(last, std::mem::take(&mut self.current)),
            None => return,
        };
        let (long, short) = (
            0.5_f32.powf(1.0 / LONG_HALF_LIFE),
            0.5_f32.powf(1.0 / SHORT_HALF_LIFE),
        );
        for signal in 0..SIGNALS {
            let bit = 1 << signal;
            let (held_n, held_x) = (&mut self.held.trials[signal], &mut self.held.hits[signal]);
            if open & bit != 0 {
                (*held_n, *held_x) = (0.0, 0.0);
            }
            if leaving.frozen & bit == 0 {
                *held_n += leaving.trials[signal];
                *held_x += leaving.hits[signal];
            }
            if hot & bit != 0 || *held_n == 0.0 {
                continue;
            }
            let (n, x) = (std::mem::take(held_n), std::mem::take(held_x));
            for (horizon, keep) in [(&mut self.long, long), (&mut self.short, short)] {
                horizon.trials[signal] = horizon.trials[signal] * keep + n;
                horizon.hits[signal] = horizon.hits[signal] * keep + x;
            }
            for block in [&mut pool.all, &mut self.hour] {
                block.trials[signal] += n;
                block.hits[signal] += x;
            }
        }
        self.busiest = (self.busiest * long).max(leaving.trials[0]);
        self.hour_blocks += 1;
        if self.hour_blocks >= HOUR_BLOCKS {
            self.learn_drift(pool);
        }
    }

    fn learn_drift(&mut self, pool: &mut Pool) {
        let hour = std::mem::take(&mut self.hour);
        self.hour_blocks = 0;
        for signal in 0..SIGNALS {
            if self.long.trials[signal] > GROWN_TRIALS {
                let p = self.long.hits[signal] / self.long.trials[signal];
                pool.drift[signal].learn(hour.trials[signal], hour.hits[signal], p, DRIFT_PRIOR);
                let (n, x) = (self.long.trials[signal], self.long.hits[signal]);
                let common = pool.share(signal);
                pool.between[signal].learn(n, x, common, BETWEEN_PRIOR);
            }
        }
    }

    /// The test's rates for a signal, now.
    ///
    /// `per_minute` are trials a minute, for which bursts of a minute are discounted; `recent` are
    /// the last minutes.
    pub fn rate(&self, signal: Signal, pool: &Pool, per_minute: f32, recent: &Recent) -> Rate {
        let i = signal.index();
        let (n, x) = (self.long.trials[i], self.long.hits[i]);
        let common = pool.share(i);
        // Where keys differ more than usual, some having no such failures at all, the pool says less.
        let shape = POOL_SHAPE.min(1.0 / pool.between[i].value(BETWEEN_PRIOR));
        let strength = (shape / common).min(POOL_TRIALS_MAX);
        let long = (x + strength * common) / (n + strength);
        let drift = pool.drift[i].value(DRIFT_PRIOR);
        // A gamma prior whose spread is the drift, updated with the last hour's hits.
        let steady = 1.0 / drift;
        // What grows for hours must not be followed by the baseline that it is compared with.
        let follow = if signal == Signal::InputHigh {
            0.0
        } else {
            1.0
        };
        let (short_n, short_x) = (follow * self.short.trials[i], follow * self.short.hits[i]);
        let expected = short_n * long;
        let hours = long * (short_x + steady) / (expected + steady);
        // Busy keys know it better: a level that is minutes old, and what a minute more of it means.
        let minutes = recent.level(i).filter(|_| follow > 0.0);
        let (local, seen) = match minutes {
            Some((n, x)) => (hours * (x + steady) / (n * hours + steady), x),
            None => (hours, short_x),
        };
        let own = 1.0 / (x + shape);
        let doubt = (1.0 / (seen + steady) + LAG_DRIFT * drift + own).sqrt();
        // What doubt there is moves the odds; a share near one cannot move as a small one can.
        let error = doubt * local * (1.0 - local.min(1.0));
        let p0 = local + DOUBT * error;
        let p0 = if signal.is_failure() {
            p0
        } else {
            p0.max(SPECS[i].prior)
        };
        let burst = pool.burst[i].value(BURST_PRIOR);
        // What bursts add to the variance is theirs at the level, where that is known well.
        let level = match minutes {
            Some(_) => local * (local / p0).min(1.0),
            None => p0,
        };
        let phi = 1.0 + per_minute * level * burst;
        // Where thirty calls more in a minute are a small share, that share is worth an alert.
        let least = match minutes {
            Some(_) => SPECS[i].least.min(NOTICED / per_minute.max(1.0)),
            None => SPECS[i].least,
        };
        // Half way to the small step must lie beyond what the baseline may do by itself.
        let small = least.max(STEP * error);
        let mut rate = Rate::new(p0, small, phi, self.is_grown());
        rate.mean = local;
        rate
    }

    /// Makes the level of the last blocks that of the baseline: an incident that lasted for so long
    /// is the new normal.
    pub fn accept(&mut self, signals: u32) {
        for signal in (0..SIGNALS).filter(|signal| signals >> signal & 1 != 0) {
            let blocks = || self.pending.iter().chain([&self.current]);
            let n: f32 = blocks().map(|block| block.trials[signal]).sum();
            let x: f32 = blocks().map(|block| block.hits[signal]).sum();
            if n <= 0.0 {
                continue;
            }
            self.long.hits[signal] = self.long.trials[signal] * x / n;
            (self.short.trials[signal], self.short.hits[signal]) = (n, x);
            (self.held.trials[signal], self.held.hits[signal]) = (0.0, 0.0);
            for block in self.pending.iter_mut().chain([&mut self.current]) {
                block.frozen &= !(1 << signal);
            }
        }
    }

    /// Was the key seen long enough to have a level of its own?
    pub fn has_level(&self) -> bool {
        self.blocks >= GROWN_BLOCKS
    }

    /// Was so much of it seen that small changes mean something?
    pub fn is_grown(&self) -> bool {
        self.has_level() && self.long.trials[0] >= GROWN_TRIALS
    }

    /// Trials a minute in a busy block.
    pub fn per_minute(&self) -> f32 {
        self.busiest * 60.0 / BLOCK_S as f32
    }

    /// Has nothing happened for the last blocks? Then the last hours are forgotten; answers how
    /// many blocks it is idle, up to [`FORGOTTEN`].
    pub fn idle(&mut self) -> Option<u8> {
        if self.current.trials[0] > 0.0 || self.pending.iter().any(|b| b.trials[0] > 0.0) {
            self.idle = 0;
            return None;
        }
        if self.idle < FORGOTTEN {
            self.idle += 1;
            let keep = 0.5_f32.powf(1.0 / SHORT_HALF_LIFE);
            for signal in 0..SIGNALS {
                self.short.trials[signal] *= keep;
                self.short.hits[signal] *= keep;
            }
        }
        Some(self.idle)
    }
}

// === impl Pool ===

impl Default for Pool {
    fn default() -> Pool {
        Pool {
            all: Block::default(),
            drift: [Excess::default(); SIGNALS],
            burst: [Excess::default(); SIGNALS],
            between: [Excess::default(); SIGNALS],
            calls: 0.0,
        }
    }
}

impl Pool {
    /// The share of hits over all keys, shrunk to what is known beforehand.
    fn share(&self, signal: usize) -> f32 {
        let (n, x) = (self.all.trials[signal], self.all.hits[signal]);
        (x + PRIOR_TRIALS * SPECS[signal].prior) / (n + PRIOR_TRIALS)
    }

    /// Learns how a minute differs from the hour around it.
    pub fn minute(&mut self, signal: usize, trials: f32, hits: f32, p: f32) {
        self.burst[signal].learn(trials, hits, p, BURST_PRIOR);
    }

    /// Ages what was learned; once a block.
    pub fn age(&mut self) {
        let keep = 0.5_f32.powf(1.0 / LONG_HALF_LIFE);
        for signal in 0..SIGNALS {
            self.all.trials[signal] *= keep;
            self.all.hits[signal] *= keep;
            for excess in [
                &mut self.drift[signal],
                &mut self.burst[signal],
                &mut self.between[signal],
            ] {
                excess.over *= keep;
                excess.weight *= keep;
            }
        }
    }

    /// The rates of a key that nothing is known about.
    pub fn rate(&self, signal: Signal) -> Rate {
        let p = self.share(signal.index());
        Rate::new(p * 2.0, signal.spec().least, 1.0, false)
    }
}

// === impl Excess ===

impl Excess {
    /// Method of moments: Var x = n p q + (n p)^2 c^2.
    fn learn(&mut self, n: f32, x: f32, p: f32, prior: (f32, f32)) {
        let expected = n * p;
        if expected < LEARN_HITS {
            return;
        }
        let chance = expected * (1.0 - p);
        let spread = (chance + expected * expected * self.value(prior)).sqrt();
        let residual = (x - expected).clamp(-CLIP * spread, CLIP * spread);
        // Weighted by how much the residual says about the excess.
        let weight = expected * expected / (chance + expected * expected * prior.0);
        self.over += weight * (residual * residual - chance) / expected.max(1e-6).powi(2);
        self.weight += weight;
    }

    fn value(self, prior: (f32, f32)) -> f32 {
        ((self.over + prior.0 * prior.1) / (self.weight + prior.1)).clamp(0.004, 1.0)
    }
}
