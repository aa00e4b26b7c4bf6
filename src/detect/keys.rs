//! Keys come and go: the leaf of a call, and room for new ones when there are too many.

use super::{CallFact, Detector, clock, detector::BLOCK_TICKS, lattice::Key, leaf::Leaf};

/// Calls from which a key is not forgotten to make room for new ones.
const BUSY_CALLS: u32 = 500;

impl Detector {
    /// The leaf of a call, made when it is new.
    pub(super) fn leaf(&mut self, call: &CallFact<'_>) -> u32 {
        let names = &mut self.names;
        let mut key: Key = [
            0,
            names.intern(call.service),
            names.intern(call.environment),
            names.intern(call.region),
            names.intern(call.feature),
            names.intern(call.provider),
            names.intern(call.request_model),
        ];
        let tick = clock::tick_of(call.end_ns);
        if let Some(leaf) = self.known(&key, tick) {
            return leaf;
        }
        if self.leaf_of.len() >= self.config.keys_max {
            self.keys_refused += 1;
            // What is common to all stays known: the provider.
            let other = self.names.intern("(other)");
            key = [0, other, other, 0, other, key[5], other];
            if let Some(leaf) = self.known(&key, tick) {
                return leaf;
            }
        }
        let at = match self.free.pop() {
            Some(at) => at,
            None => {
                self.leaves.push(Leaf::default());
                u32::try_from(self.leaves.len() - 1).unwrap_or(0)
            }
        };
        let nodes = self.lattice.place(at, &key, &self.names);
        let volumes = self.traffic.place(&key, tick);
        if let Some(leaf) = self.leaves.get_mut(at as usize) {
            *leaf = Leaf {
                key,
                volumes,
                hash: self.names.stable(&key),
                nodes,
                last_tick: tick,
                ..Leaf::default()
            };
        }
        self.leaf_of.insert(key, at);
        at
    }

    /// The leaf of a key that is known already.
    fn known(&mut self, key: &Key, tick: u32) -> Option<u32> {
        let at = *self.leaf_of.get(key)?;
        let leaf = self.leaves.get_mut(at as usize)?;
        leaf.last_tick = leaf.last_tick.max(tick);
        Some(at)
    }

    /// Makes room when nearly all keys are taken: the idlest go, busy ones stay in any case.
    pub(super) fn forget_idle(&mut self, tick: u32) {
        if self.leaf_of.len() * 10 < self.config.keys_max * 9 {
            return;
        }
        let idle = |leaf: &Leaf| leaf.calls < BUSY_CALLS && leaf.last_tick + BLOCK_TICKS < tick;
        let mut old: Vec<(u32, u64, u32)> = self
            .leaf_of
            .values()
            .filter_map(|at| self.leaves.get(*at as usize).map(|leaf| (*at, leaf)))
            .filter(|(_, leaf)| idle(leaf))
            .map(|(at, leaf)| (leaf.last_tick, leaf.hash, at))
            .collect();
        old.sort_unstable();
        old.truncate(self.config.keys_max / 5);
        let mut gone = vec![false; self.leaves.len()];
        for (_, _, at) in old {
            if let (Some(leaf), Some(gone)) =
                (self.leaves.get_mut(at as usize), gone.get_mut(at as usize))
            {
                self.leaf_of.remove(&leaf.key);
                *leaf = Leaf::default();
                *gone = true;
                self.free.push(at);
                self.keys_forgotten += 1;
            }
        }
        self.lattice.forget(&gone);
    }
}
