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
    fn above(&self, at: usize) -> impl Iterator<Item = usize> + '_ {
        std::iter::successors(self.up.get(at).copied().flatten(), |i| {
            self.up.get(*i).copied().flatten()
        })
        .take(HOPS_MAX)
    }

    /// The nearest observation above that passes the test.
    pub fn nearest(&self, at: usize, test: impl Fn(usize) -> bool) -> Option<usize> {
        self.above(at).find(|i| *i != at && test(*i))
    }

    /// Is `at` somewhere below `top`?
    pub fn is_below(&self, at: usize, top: usize) -> bool {
        at != top && self.above(at).any(|i| i == top)
    }

    /// Does any observation below `top` pass the test?
    pub fn below(&self, top: usize, test: &dyn Fn(usize) -> bool) -> bool {
        (0..self.up.len()).any(|i| test(i) && self.is_below(i, top))
    }

    /// Have both the same parent span?
    pub fn same_parent(&self, a: usize, b: usize) -> bool {
        let parent = |i: usize| self.parent.get(i).copied().flatten();
        parent(a).is_some() && parent(a) == parent(b)
    }
}
