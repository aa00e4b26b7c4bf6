//! Twins that the tree does not show: two recorders of one call side by side, with one response's
//! id, or each in a trace of its own.

use hashbrown::HashMap;

use super::{Folder, NEIGHBOURS_MAX, Observation, SDK_NATIVE, evidence};

// === impl Folder ===

impl<'a> Folder<'a> {
    /// Langfuse's callback and its OpenAI wrapper record one call each, side by side when the
    /// framework does not make the outer one current.
    pub(super) fn side_by_side(&mut self) {
        let by_wrapper = |o: &Observation<'_>| {
            o.call.convention == "langfuse" && o.call.span_name.starts_with("OpenAI-")
        };
        let wrapped: Vec<usize> = self
            .counted()
            .into_iter()
            .filter(|i| by_wrapper(&self.observations[*i]))
            .collect();
        for inner in wrapped {
            let outer = (0..inner).rev().take(NEIGHBOURS_MAX).find(|&i| {
                self.is_counted(i)
                    && self.call(i).convention == "langfuse"
                    && !by_wrapper(&self.observations[i])
                    && self.tree.same_parent(i, inner)
                    && evidence::encloses(self.call(i), self.call(inner))
                    && evidence::may_be_same(self.call(i), self.call(inner))
                    && evidence::same_question(self.call(i), self.call(inner))
            });
            if let Some(outer) = outer {
                self.duplicate(inner, outer);
            }
        }
    }

    /// Spans that name the same response show the same call.
    pub(super) fn same_response(&mut self) {
        let mut by_id: HashMap<&'a str, [Option<usize>; 2]> = HashMap::new();
        for at in self.counted() {
            let id = self.call(at).response_id;
            if id.is_empty() {
                continue;
            }
            let earlier = by_id.entry(id).or_default();
            let own = self.observations[at].call.instrumentation;
            let first = earlier
                .iter()
                .flatten()
                .copied()
                .find(|i| self.observations[*i].call.instrumentation != own);
            match first {
                Some(first) => self.duplicate(at, first),
                // Whoever names a third recorder's response is shown by these two.
                None => {
                    if let Some(free) = earlier.iter_mut().find(|place| place.is_none()) {
                        *free = Some(at);
                    }
                }
            }
        }
    }

    /// An SDK's own span and the instrumentation's span around it, each in a trace of its own.
    pub(super) fn sdk_twins(&mut self) {
        let counted = self.counted();
        let mut taken = vec![false; self.observations.len()];
        for (n, &native) in counted.iter().enumerate() {
            if !SDK_NATIVE.contains(&self.call(native).convention) || !self.is_counted(native) {
                continue;
            }
            // Recorders start within moments of each other: the partner is close by.
            let from = n.saturating_sub(NEIGHBOURS_MAX);
            let to = (n + NEIGHBOURS_MAX).min(counted.len());
            let near = counted.get(from..to).unwrap_or_default();
            let outer = near.iter().copied().rfind(|&i| {
                i != native
                    && self.is_counted(i)
                    && !taken.get(i).copied().unwrap_or(true)
                    && !SDK_NATIVE.contains(&self.call(i).convention)
                    && self.observations[i].process == self.observations[native].process
                    && evidence::begins_within(self.call(native), self.call(i))
                    && evidence::may_be_same(self.call(i), self.call(native))
            });
            if let Some(outer) = outer {
                taken[outer] = true;
                self.duplicate(native, outer);
            }
        }
    }
}
