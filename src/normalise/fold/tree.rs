//! The tree of a trace, as far as it is known: who is below whom.

use hashbrown::HashMap;

use super::{Link, Observation};

/// Steps up that are followed: deeper traces exist, deeper nesting of recorders does not.
const HOPS_MAX: usize = 128;

/// Parent links between observations, through ordinary spans.
pub struct Tree {
    /// The nearest observation above each one.
    up: Vec<Option<usize>>,
    /// The parent span of each one, observed or not.
    parent: Vec<Option<[u8; 8]>>,
}

// === impl Tree ===

impl Tree {
    pub fn new(observations: &[Observation<'_>], links: &[Link]) -> Tree {
        let observed: HashMap<[u8; 8], usize> = observations
            .iter()
            .enumerate()
            .map(|(n, o)| (o.call.span_id, n))
            .collect();
        let ordinary: HashMap<[u8; 8], [u8; 8]> = links.iter().copied().collect();
        let parent: Vec<_> = observations.iter().map(|o| o.call.parent_span_id).collect();
        let up = parent
            .iter()
            .enumerate()
            .map(|(n, parent)| {
                let mut at = *parent;
                for _ in 0..HOPS_MAX {
                    let id = at?;
                    match observed.get(&id) {
                        Some(found) if *found != n => return Some(*found),
                        _ => at = ordinary.get(&id).copied(),
                    }
                }
                None
            })
            .collect();
        Tree { up, parent }
    }

    /// The observations above one, nearest first; ends in a cycle, too.
    pub fn above(&self, at: usize) -> impl Iterator<Item = usize> + '_ {
        std::iter::successors(self.up.get(at).copied().flatten(), |i| {
            self.up.get(*i).copied().flatten()
        })
        .take(HOPS_MAX)
    }

    /// The nearest observation above that passes the test.
    pub fn nearest(&self, at: usize, test: impl Fn(usize) -> bool) -> Option<usize> {
        self.above(at).find(|i| *i != at && test(*i))
    }

    /// For each of `len` observations: does any below it pass the test?
    pub fn mark_above(&self, len: usize, test: impl Fn(usize) -> bool) -> Vec<bool> {
        let mut marked = vec![false; len];
        for at in (0..len).filter(|i| test(*i)) {
            for up in self.above(at).filter(|up| *up != at) {
                if let Some(mark) = marked.get_mut(up) {
                    *mark = true;
                }
            }
        }
        marked
    }

    /// How many observations are above one.
    pub fn depth(&self, at: usize) -> usize {
        self.above(at).count()
    }

    /// The parent span of an observation, observed or not.
    pub fn parent(&self, at: usize) -> Option<[u8; 8]> {
        self.parent.get(at).copied().flatten()
    }

    /// Have both the same parent span?
    pub fn same_parent(&self, a: usize, b: usize) -> bool {
        self.parent(a).is_some() && self.parent(a) == self.parent(b)
    }
}
