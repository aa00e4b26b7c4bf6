//! The detector: facts are counted in their key, ticks are closed, tests are looked at.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};

use super::{
    CallFact, Change, DetectorConfig, Dimension, Fact,
    baseline::{BLOCK_S, Pool},
    cases::OwnedEval,
    clock::Clock,
    cusum::{Rate, TICK_S},
    evals::Evals,
    evidence::Evidence,
    lattice::{self, Key, Lattice, TENANT_LEVEL},
    leaf::Leaf,
    ledger::Ledger,
    models::Models,
    names::Names,
    sample::Sample,
    signal::{SIGNALS, Signal},
    traffic::Traffic,
    watch::Watch,
};

pub(super) const MINUTE_TICKS: u32 = 60 / TICK_S;
pub(super) const BLOCK_TICKS: u32 = BLOCK_S / TICK_S;
/// A silence longer than this is jumped over, ticks: a day.
const JUMP_TICKS: u32 = 86_400 / TICK_S;
/// Signals that are tested per tenant too.
const METERED: u32 = Signal::RateLimit.bit() | Signal::Quota.bit() | Signal::Auth.bit();
/// Tests of tenants under way, at most.
const TENANT_TESTS_MAX: usize = 20_000;

/// The state machine. See the module's documentation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Detector {
    #[serde(skip)]
    pub(super) config: DetectorConfig,
    pub(super) clock: Clock,
    pub(super) names: Names,
    pub(super) leaves: Vec<Leaf>,
    #[serde(skip)]
    pub(super) leaf_of: HashMap<Key, u32, FixedState>,
    /// Leaves that may be used again.
    pub(super) free: Vec<u32>,
    /// Keys that found no place, and idle ones that made room.
    pub(super) keys_refused: u64,
    pub(super) keys_forgotten: u64,
    pub(super) lattice: Lattice,
    pub(super) tenant_nodes: Vec<u32>,
    pub(super) pool: Pool,
    pool_rates: [Rate; SIGNALS],
    pub(super) models: Models,
    pub(super) evals: Evals,
    pub(super) evidence: Evidence,
    pub(super) traffic: Traffic,
    pub(super) watch: Watch,
    pub(super) ledger: Ledger,
    /// Leaves with counts in this tick, and those of this minute.
    dirty: Vec<u32>,
    minute: Vec<u32>,
    /// Tests that got evidence in this tick.
    pub(super) touched: Vec<(u32, u8)>,
    pub(super) waiting_evals: Vec<OwnedEval>,
}

/// What did not go as it should, since the start or the snapshot's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Facts that came after their tick was closed; they were counted in the next.
    pub late: u64,
    /// Keys that are kept.
    pub keys: u64,
    /// Facts whose key found no place.
    pub keys_refused: u64,
    /// Idle keys that made room.
    pub keys_forgotten: u64,
    pub names_refused: u64,
    /// Calls of tenants that are not watched.
    pub tenants_refused: u64,
    /// Findings that were part of an open incident.
    pub findings_attached: u64,
    pub incidents_refused: u64,
}

// === impl Detector ===

impl Detector {
    /// A detector that has seen nothing.
    pub fn new(config: DetectorConfig) -> Detector {
        let pool = Pool::default();
        Detector {
            config,
            clock: Clock::default(),
            names: Names::default(),
            leaves: Vec::new(),
            leaf_of: HashMap::default(),
            free: Vec::new(),
            keys_refused: 0,
            keys_forgotten: 0,
            lattice: Lattice::default(),
            tenant_nodes: Vec::new(),
            pool_rates: Signal::ALL.map(|signal| pool.rate(signal)),
            pool,
            models: Models::default(),
            evals: Evals::default(),
            evidence: Evidence::default(),
            traffic: Traffic::default(),
            watch: Watch::default(),
            ledger: Ledger::default(),
            dirty: Vec::new(),
            minute: Vec::new(),
            touched: Vec::new(),
            waiting_evals: Vec::new(),
        }
    }

    /// Is told a fact; answers with what it changed.
    pub fn observe(&mut self, fact: &Fact<'_>, out: &mut Vec<Change>) {
        match fact {
            // Its first form was counted; counting the second would make two calls of one.
            Fact::Call(call) if call.corrected => return,
            Fact::Call(call) => self.wait(call),
            Fact::Eval(eval) => self.wait_eval(eval),
        }
        self.run(out);
    }

    /// Is told that time has passed: everything up to the watermark was sent.
    pub fn advance(&mut self, watermark_ns: u64, out: &mut Vec<Change>) {
        self.clock.advance(watermark_ns);
        self.run(out);
    }

    /// Up to where it has seen time pass, nanoseconds since the Unix epoch; 0 = not begun.
    pub fn newest_ns(&self) -> u64 {
        self.clock.newest_ns()
    }

    /// How long the watermark waits from now on, seconds: live traffic measures it.
    pub fn set_lateness(&mut self, lateness_s: u32) {
        self.config.lateness_s = lateness_s;
    }

    /// What did not go as it should, for the collector's own numbers.
    pub fn counters(&self) -> Counters {
        Counters {
            late: self.clock.late,
            keys: self.leaf_of.len() as u64,
            keys_refused: self.keys_refused,
            keys_forgotten: self.keys_forgotten,
            names_refused: self.names.refused,
            tenants_refused: self.traffic.refused,
            findings_attached: self.ledger.attached,
            incidents_refused: self.ledger.refused,
        }
    }

    pub(super) fn rebuild(&mut self, config: DetectorConfig) {
        self.config = config;
        self.names.rebuild();
        self.lattice.rebuild();
        self.traffic.rebuild();
        let live = (0..)
            .zip(&self.leaves)
            .filter(|(at, _)| !self.free.contains(at));
        self.leaf_of = live.map(|(at, leaf)| (leaf.key, at)).collect();
    }

    fn wait(&mut self, call: &CallFact<'_>) {
        let leaf = self.leaf(call);
        let sample = Sample::new(call, leaf, &mut self.names);
        self.clock.push(sample);
    }

    /// Works off every tick that is complete.
    fn run(&mut self, out: &mut Vec<Change>) {
        let until = self.clock.complete(self.config.lateness_s);
        if until <= self.clock.next {
            return;
        }
        if until - self.clock.next > JUMP_TICKS
            && self.clock.first_waiting().is_none_or(|t| t > until)
        {
            self.clock.next = until - JUMP_TICKS;
        }
        while self.clock.next < until {
            let tick = self.clock.next;
            self.tick(tick, out);
            self.clock.next = tick + 1;
        }
    }

    fn tick(&mut self, tick: u32, out: &mut Vec<Change>) {
        if self.clock.first_waiting() == Some(tick) {
            for call in self.clock.take(tick) {
                self.count(&call, tick, out);
            }
        }
        self.run_evals(tick, out);
        self.gather(tick);
        self.judge(tick, out);
        if tick % MINUTE_TICKS == MINUTE_TICKS - 1 {
            self.end_minute(tick, out);
        }
        if tick % BLOCK_TICKS == BLOCK_TICKS - 1 {
            self.end_block();
        }
    }

    /// Counts a call everywhere it belongs.
    fn count(&mut self, call: &Sample, tick: u32, out: &mut Vec<Change>) {
        let Some(leaf) = self.leaves.get_mut(call.leaf as usize) else {
            return;
        };
        if leaf.tick.trials[0] == 0 {
            self.dirty.push(call.leaf);
        }
        let hits = leaf.take(call, tick, &self.pool);
        self.traffic.take(call, leaf.volumes, tick);
        let mut key = leaf.key;
        self.pool.calls += 1.0;
        if let Some(warm) = &mut leaf.warm {
            self.evidence.note(call, &leaf.key, &mut warm.seen);
        }
        key[Dimension::Tenant as usize] = call.tenant;
        if hits != 0 {
            self.evidence.odd(call, &leaf.key, hits);
        }
        if !self.ledger.entries.is_empty() {
            self.ledger.count(call, &key, hits, tick);
        }
        self.watch_call(call, &key, tick, out);
        if call.tenant != 0 && (hits & METERED != 0 || !self.tenant_nodes.is_empty()) {
            self.count_tenant(call, &key, hits, tick);
        }
        let (provider, request) = (
            key[Dimension::Provider as usize],
            key[Dimension::RequestModel as usize],
        );
        if let Some(news) = self
            .models
            .take(provider, request, call.response_model, tick)
        {
            self.model_news(&news, &key, tick, out);
        }
    }

    /// Evidence for a tenant of its own.
    fn count_tenant(&mut self, call: &Sample, key: &Key, hits: u32, tick: u32) {
        let open = hits & METERED != 0 && self.tenant_nodes.len() < TENANT_TESTS_MAX;
        let Some(at) = self.lattice.tenant(key, open, &self.names) else {
            return;
        };
        let (Some(leaf), Some(node)) = (
            self.leaves.get(call.leaf as usize),
            self.lattice.nodes.get_mut(at as usize),
        ) else {
            return;
        };
        if node.leaves.is_empty() {
            self.tenant_nodes.push(at);
        }
        if !node.leaves.contains(&call.leaf) {
            node.leaves.push(call.leaf);
        }
        let mut mask = (node.active | hits) & METERED;
        while mask != 0 {
            let signal = mask.trailing_zeros() as u8;
            mask &= mask - 1;
            let rate = leaf.rate(usize::from(signal), &self.pool_rates);
            if let Some(test) = node.candidate(signal, tick) {
                if test.trials == 0 {
                    self.touched.push((at, signal));
                }
                test.add(&rate, 1, hits >> signal & 1);
            }
        }
    }

    /// Adds the tick's evidence of every leaf to the nodes that it lies in.
    fn gather(&mut self, tick: u32) {
        let mut dirty = std::mem::take(&mut self.dirty);
        dirty.sort_by_key(|at| self.leaves.get(*at as usize).map_or(0, |leaf| leaf.hash));
        for at in &dirty {
            let Some(leaf) = self.leaves.get_mut(*at as usize) else {
                continue;
            };
            for node_at in &leaf.nodes {
                let Some(node) = self.lattice.nodes.get_mut(*node_at as usize) else {
                    continue;
                };
                if !node.is_tested() {
                    continue;
                }
                let mut mask = node.active | leaf.tick.hit_mask;
                while mask != 0 {
                    let signal = mask.trailing_zeros() as u8;
                    mask &= mask - 1;
                    let i = usize::from(signal);
                    let (Some(n), Some(x)) = (leaf.tick.trials.get(i), leaf.tick.hits.get(i))
                    else {
                        continue;
                    };
                    if *n == 0 || !lattice::is_tested(signal, node.level) {
                        continue;
                    }
                    let rate = leaf.rate(i, &self.pool_rates);
                    if let Some(test) = node.candidate(signal, tick) {
                        if test.trials == 0 {
                            self.touched.push((*node_at, signal));
                        }
                        test.add(&rate, u32::from(*n), u32::from(*x));
                    }
                }
            }
            leaf.end_tick();
            if !std::mem::replace(&mut leaf.in_minute, true) {
                self.minute.push(*at);
            }
        }
        dirty.clear();
        self.dirty = dirty;
    }

    fn end_minute(&mut self, tick: u32, out: &mut Vec<Change>) {
        for at in std::mem::take(&mut self.minute) {
            let hot = self.hot(at) | self.open(at);
            if let Some(leaf) = self.leaves.get_mut(at as usize) {
                leaf.in_minute = false;
                leaf.end_minute(tick / MINUTE_TICKS, hot, &mut self.pool);
            }
        }
        self.end_traffic_minute(tick, out);
        self.end_watch_minute(tick, out);
        for ended in self.ledger.sweep(tick, out) {
            self.begin_anew(&ended);
        }
    }

    fn end_block(&mut self) {
        for at in 0..self.leaves.len() as u32 {
            let (hot, open) = (self.hot(at), self.open(at));
            if let Some(leaf) = self.leaves.get_mut(at as usize) {
                leaf.end_block(hot, open, &mut self.pool);
            }
        }
        self.forget_idle(self.clock.next);
        self.lattice.nodes.iter_mut().for_each(|node| node.hot = 0);
        self.pool.age();
        self.pool_rates = Signal::ALL.map(|signal| self.pool.rate(signal));
    }

    /// Signals that may become an incident at a leaf.
    fn hot(&self, leaf: u32) -> u32 {
        let leaf = self.leaves.get(leaf as usize);
        let nodes = leaf.into_iter().flat_map(|l| &l.nodes);
        let nodes = nodes.filter_map(|at| self.lattice.get(*at));
        nodes.fold(0, |mask, node| mask | node.hot)
    }

    /// Signals of open incidents at a leaf.
    fn open(&self, leaf: u32) -> u32 {
        let leaf = self.leaves.get(leaf as usize);
        leaf.map_or(0, |l| self.ledger.signals_of(&l.key))
    }

    /// Forgets a test of a tenant.
    pub(super) fn drop_tenant(&mut self, node: u32) {
        let leaves = self.lattice.get(node).map(|n| n.leaves.clone());
        for leaf in leaves.unwrap_or_default() {
            self.lattice.remove(leaf, &[node]);
        }
        self.tenant_nodes.retain(|n| *n != node);
    }

    /// The level of a node, for tests of tenants.
    pub(super) fn is_tenant(&self, node: u32) -> bool {
        self.lattice
            .get(node)
            .is_some_and(|n| n.level == TENANT_LEVEL)
    }
}
