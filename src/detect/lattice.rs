//! The lattice of scopes: the finest key of a call, and the wider scopes that it lies in.
//!
//! A *leaf* is what a call belongs to; a *node* is a scope of one level, with the leaves in it and
//! the tests under way on it. Evidence is computed once per leaf and added up in its nodes, so that
//! an outage of a provider convinces at the provider before it does at any one service.

use std::{collections::HashMap, hash::BuildHasher as _};

use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};

use super::{
    Dimension, Scope,
    cusum::Candidate,
    names::{Names, Sym},
    signal::Signal,
};

/// A scope: one name per dimension in the order of [`Dimension::ALL`]; 0 = all.
pub type Key = [Sym; 7];

/// The levels, from narrow to wide; the last takes the tenant in.
pub static LEVELS: [&[Dimension]; 10] = {
    use Dimension::*;
    [
        &[
            Service,
            Environment,
            Region,
            Feature,
            Provider,
            RequestModel,
        ],
        &[Service, Environment, Feature],
        &[Service, Environment],
        &[Service, Environment, Provider, RequestModel],
        &[Service, Environment, Provider],
        &[Provider, RequestModel],
        &[Provider],
        &[Provider, Region],
        &[Environment],
        &[Tenant, Service, Environment, Provider],
    ]
};
/// Position of the level with the tenant.
pub const TENANT_LEVEL: u8 = 9;
/// Dimension that must be known for a level to exist, as a position in [`Dimension::ALL`].
const DEFINED_BY: [Option<Dimension>; 10] = [
    None,
    Some(Dimension::Feature),
    Some(Dimension::Service),
    Some(Dimension::RequestModel),
    Some(Dimension::Provider),
    Some(Dimension::RequestModel),
    Some(Dimension::Provider),
    Some(Dimension::Region),
    Some(Dimension::Environment),
    Some(Dimension::Tenant),
];
/// When two scopes explain equally well: what a provider does is told by the provider's names,
/// what we do by our own.
pub const PROVIDER_FIRST: [u8; 10] = [4, 4, 3, 2, 2, 0, 1, 2, 5, 3];
pub const WHOLE_SERVICE_FIRST: [u8; 10] = [2, 1, 0, 3, 3, 4, 4, 4, 5, 3];
pub const SERVICE_FIRST: [u8; 10] = [1, 0, 1, 2, 2, 3, 4, 4, 5, 3];

/// Nats for more failures, without which retries are no storm.
const STORM_FAILING: f32 = 4.0;

/// A scope of one level.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Node {
    pub level: u8,
    pub key: Key,
    /// The same in every process.
    pub hash: u64,
    pub leaves: Vec<u32>,
    pub candidates: Vec<Candidate>,
    /// Signals with a test under way.
    pub active: u32,
    /// Signals that something is going on with, in this block.
    pub hot: u32,
    /// The finest node of the only leaf in this scope, whose tests are this one's too: the same
    /// calls would give the same evidence. [`NONE`] = it has tests of its own.
    only: u32,
}

/// No node.
const NONE: u32 = u32::MAX;

/// All nodes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Lattice {
    pub nodes: Vec<Node>,
    /// Nodes by a hash of level and key: with the keys it would be the half of them once more. Of two
    /// with the same hash, which is one chance in millions of collectors, the newer one is found.
    #[serde(skip)]
    index: HashMap<u64, u32, FixedState>,
    free: Vec<u32>,
}

// === impl Lattice ===

impl Lattice {
    /// The nodes that a leaf lies in, made where they do not exist.
    pub fn place(&mut self, leaf: u32, key: &Key, names: &Names) -> Vec<u32> {
        let mut found = Vec::with_capacity(8);
        for level in 0..TENANT_LEVEL {
            if let Some(node) = self.node(level, key, names) {
                found.push(node);
                self.join(node, leaf, found.first().copied().unwrap_or(NONE));
            }
        }
        found.shrink_to_fit();
        found
    }

    /// Puts a leaf into a node; `finest` is the leaf's own.
    fn join(&mut self, at: u32, leaf: u32, finest: u32) {
        let Some(node) = self.nodes.get_mut(at as usize) else {
            return;
        };
        if node.leaves.is_empty() {
            node.leaves.reserve_exact(1);
            node.only = if at == finest { NONE } else { finest };
            node.leaves.push(leaf);
            return;
        }
        node.leaves.push(leaf);
        let only = std::mem::replace(&mut node.only, NONE);
        let level = node.level;
        // Two leaves are more than one: from now on the tests go separate ways.
        let Some(first) = self.nodes.get(only as usize) else {
            return;
        };
        let tests: Vec<Candidate> = first
            .candidates
            .iter()
            .filter(|test| is_tested(test.signal, level))
            .cloned()
            .collect();
        if let Some(node) = self.nodes.get_mut(at as usize) {
            node.active = tests.iter().fold(0, |mask, test| mask | 1 << test.signal);
            node.candidates = tests;
        }
    }

    /// The node that has the tests of a node: itself, or the finest one of its only leaf.
    pub fn tests_of<'a>(&'a self, node: &'a Node) -> &'a Node {
        self.nodes.get(node.only as usize).unwrap_or(node)
    }

    /// The test of a signal at a node, if one is under way.
    pub fn test(&self, at: u32, signal: Signal) -> Option<&Candidate> {
        let node = self.get(at)?;
        let signal = signal.index() as u8;
        let tests = &self.tests_of(node).candidates;
        tests
            .iter()
            .find(|test| test.signal == signal && is_tested(signal, node.level))
    }

    /// The evidence for a signal at a node, nats.
    pub fn evidence(&self, at: u32, signal: Signal) -> f32 {
        self.test(at, signal).map_or(0.0, Candidate::evidence)
    }

    /// Evidence of a retry storm at a node: retries beyond the usual, while calls fail more than
    /// usual. Answers with the evidence for either.
    pub fn storm(&self, at: u32) -> (f32, f32) {
        use Signal::*;
        let failing = [Outage, Broken, RateLimit, Empty, Schema];
        let failing = failing.map(|signal| self.evidence(at, signal));
        let failing = failing.into_iter().fold(0.0, f32::max);
        match failing >= STORM_FAILING {
            true => (
                self.evidence(at, Retry) + self.evidence(at, DeepRetry),
                failing,
            ),
            false => (0.0, failing),
        }
    }

    /// The node of a level for a key; `None` when the key does not name what defines the level.
    pub fn node(&mut self, level: u8, key: &Key, names: &Names) -> Option<u32> {
        let own = project(level, key)?;
        if let Some(node) = self.find(level, &own) {
            return Some(node);
        }
        let node = Node {
            level,
            key: own,
            hash: names.stable(&own) ^ u64::from(level),
            leaves: Vec::new(),
            candidates: Vec::new(),
            active: 0,
            hot: 0,
            only: NONE,
        };
        let at = match self.free.pop() {
            Some(at) => at,
            None => {
                self.nodes.push(node.clone());
                u32::try_from(self.nodes.len() - 1).ok()?
            }
        };
        *self.nodes.get_mut(at as usize)? = node;
        self.index.insert(place(level, &own), at);
        Some(at)
    }

    /// The node of a tenant; made only when asked to.
    pub fn tenant(&mut self, key: &Key, make: bool, names: &Names) -> Option<u32> {
        if make {
            return self.node(TENANT_LEVEL, key, names);
        }
        let own = project(TENANT_LEVEL, key)?;
        self.find(TENANT_LEVEL, &own)
    }

    fn find(&self, level: u8, key: &Key) -> Option<u32> {
        let at = *self.index.get(&place(level, key))?;
        let node = self.get(at)?;
        (node.level == level && node.key == *key).then_some(at)
    }

    /// Takes a leaf out of its nodes; empty nodes are forgotten.
    pub fn remove(&mut self, leaf: u32, nodes: &[u32]) {
        for at in nodes {
            let Some(node) = self.nodes.get_mut(*at as usize) else {
                continue;
            };
            node.leaves.retain(|l| *l != leaf);
            if node.leaves.is_empty() {
                self.index.remove(&place(node.level, &node.key));
                (node.candidates, node.active, node.hot) = (Vec::new(), 0, 0);
                self.free.push(*at);
            }
        }
    }

    /// Takes many leaves out at once; empty nodes are forgotten.
    pub fn forget(&mut self, gone: &[bool]) {
        for (at, node) in (0..).zip(&mut self.nodes) {
            if node.leaves.is_empty() {
                continue;
            }
            let stays = |leaf: &u32| !gone.get(*leaf as usize).copied().unwrap_or(false);
            node.leaves.retain(stays);
            if node.leaves.is_empty() {
                self.index.remove(&place(node.level, &node.key));
                (node.candidates, node.active, node.hot) = (Vec::new(), 0, 0);
                self.free.push(at);
            }
        }
    }

    /// The node, which exists as long as a leaf of it does.
    pub fn get(&self, node: u32) -> Option<&Node> {
        self.nodes.get(node as usize)
    }

    /// Builds the index after the nodes were read back.
    pub fn rebuild(&mut self) {
        let free: Vec<u32> = self.free.clone();
        self.index = (0..)
            .zip(&self.nodes)
            .filter(|(at, _)| !free.contains(at))
            .map(|(at, node)| (place(node.level, &node.key), at))
            .collect();
    }
}

// === impl Node ===

impl Node {
    /// The test of a signal, started if there is none.
    pub fn candidate(&mut self, signal: u8, tick: u32) -> Option<&mut Candidate> {
        let at = match self.candidates.iter().position(|c| c.signal == signal) {
            Some(at) => at,
            None => {
                // Most scopes have one test under way or none, and there are many scopes.
                self.candidates.reserve_exact(1);
                self.candidates.push(Candidate::new(signal, tick));
                self.active |= 1 << signal;
                self.candidates.len() - 1
            }
        };
        self.candidates.get_mut(at)
    }

    /// Does it have tests of its own?
    pub fn is_tested(&self) -> bool {
        self.only == NONE
    }

    /// Ends the test of a signal.
    pub fn drop_test(&mut self, signal: u8) {
        self.candidates.retain(|c| c.signal != signal);
        if self.candidates.is_empty() {
            self.candidates = Vec::new();
        }
        self.active &= !(1 << signal);
    }
}

/// Where a node is found in the index.
fn place(level: u8, key: &Key) -> u64 {
    FixedState::default().hash_one((level, key))
}

/// Is a signal tested at a level?
pub fn is_tested(signal: u8, level: u8) -> bool {
    let signal = Signal::ALL.get(usize::from(signal));
    signal.is_some_and(|s| s.spec().levels >> level & 1 != 0)
}

/// The part of a key that a level names.
pub fn project(level: u8, key: &Key) -> Option<Key> {
    let at = usize::from(level);
    if let Some(dimension) = DEFINED_BY.get(at).copied().flatten()
        && key.get(dimension as usize).copied().unwrap_or(0) == 0
    {
        return None;
    }
    let mut own = Key::default();
    for dimension in LEVELS.get(at).copied().unwrap_or(&[]) {
        let i = *dimension as usize;
        if let (Some(to), Some(from)) = (own.get_mut(i), key.get(i)) {
            *to = *from;
        }
    }
    Some(own)
}

/// A key as labels.
pub fn labels(key: &Key, names: &Names) -> Scope {
    Dimension::ALL
        .into_iter()
        .zip(key)
        .filter(|(_, sym)| **sym != 0)
        .map(|(dimension, sym)| (dimension, vec![names.text(*sym).to_owned()]))
        .collect()
}

/// Does `wide` contain `narrow`?
pub fn contains(wide: &Key, narrow: &Key) -> bool {
    wide.iter().zip(narrow).all(|(w, n)| *w == 0 || w == n)
}

/// Can a call lie in both?
pub fn overlap(a: &Key, b: &Key) -> bool {
    a.iter().zip(b).all(|(a, b)| *a == 0 || *b == 0 || a == b)
}
