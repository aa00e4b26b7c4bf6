//! What one request brings for one group.

use foldhash::fast::RandomState;
use hashbrown::HashSet;

use super::{Observed, group::Group};
use crate::{
    decode::Traces,
    normalise::{fold::Link, observe::Observation},
};

/// What a request brings for one group.
pub struct News<'r, 'a> {
    pub request: &'r Traces<'a>,
    pub positions: &'r [usize],
    pub observed: &'r Observed<'a>,
}

// === impl News ===

impl<'a> News<'_, 'a> {
    /// Does the span say something about a call?
    pub fn is_observed(&self, at: usize) -> bool {
        self.observed.spans.get(at).is_some_and(Option::is_some)
    }

    /// Of spans that say to be the same the first, as the evidence has it.
    pub fn observations(&self) -> Vec<Observation<'a>> {
        let observed = self
            .positions
            .iter()
            .filter_map(|at| self.observed.spans.get(*at));
        if let [_] = self.positions {
            return observed.flatten().cloned().collect();
        }
        let mut all = Vec::with_capacity(self.positions.len());
        let mut seen: HashSet<_, RandomState> = HashSet::default();
        seen.reserve(self.positions.len());
        let first = |o: &&Observation<'a>| seen.insert((o.call.trace_id, o.call.span_id));
        all.extend(observed.flatten().filter(first).cloned());
        all
    }

    /// Is there a span that the group does not know, or a link that may change its tree?
    pub fn matters_to(&self, group: &Group) -> bool {
        let tree = group.evidence.span_count() > 1;
        self.positions.iter().any(|at| {
            let Some(span) = self.request.spans.get(*at) else {
                return false;
            };
            match self.observed.spans.get(*at) {
                Some(Some(_)) => !group.evidence.has_span((span.trace_id, span.span_id)),
                _ => {
                    tree && span.parent_span_id.is_some() && !group.evidence.has_link(span.span_id)
                }
            }
        })
    }

    pub fn links(&self) -> Vec<Link> {
        let spans = self
            .positions
            .iter()
            .filter_map(|at| self.request.spans.get(*at));
        spans
            .filter_map(|s| Some((s.span_id, s.parent_span_id?)))
            .collect()
    }
}
