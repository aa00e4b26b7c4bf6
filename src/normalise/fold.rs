//! Fold: the observations of a trace become calls, each counted once.
//!
//! One model call may be shown by an SDK span, by an instrumentation's span around it, by a
//! framework's wrapper, by an HTTP client span below it and by a second record of the stream. The
//! innermost call span counts; the others give it what it lacks and are rows with `duplicate_of`,
//! or no rows at all (HTTP, agents). Requests that follow a failed one of the same call are
//! attempts: rows of their own.
//!
//! Pure, and a function of the set of observations: their order of arrival does not matter.

mod evidence;
mod tools;
mod tree;
mod twins;

use bumpalo::Bump;
use hashbrown::{HashMap, HashSet};

use self::{
    evidence::{adopt_errors, fill},
    tree::Tree,
};
use super::{observe::Observation, recognise::SpanRole};
use crate::call::{Call, Operation};

/// Two spans' ids: a span and its parent.
pub type Link = ([u8; 8], [u8; 8]);

/// SDKs that record their own calls, in a trace of their own when nothing is active: a call of
/// another recorder in the same process around the same time is the same call.
pub const SDK_NATIVE: [&str; 2] = ["anthropic_sdk", "mistral_sdk"];

/// Spans before or after one that are looked at as its partner: twins and retries begin close by.
const NEIGHBOURS_MAX: usize = 256;

/// Puts observations of one trace (or of twins' traces) together. `links` are the ordinary spans
/// between them.
pub fn fold<'a>(
    mut observations: Vec<Observation<'a>>,
    links: &[Link],
    arena: &'a Bump,
) -> Vec<Call<'a>> {
    // One call and nothing else: by far the most common trace.
    if let [only] = observations.as_slice()
        && only.role == SpanRole::Call
    {
        return observations
            .into_iter()
            .map(|o| with_resends(o.call, o.resends))
            .collect();
    }
    observations.sort_by_key(|o| (o.call.start_ns, o.call.span_id));
    let mut seen = HashSet::with_capacity(observations.len());
    observations.retain(|o| seen.insert((o.call.trace_id, o.call.span_id)));
    let tree = Tree::new(&observations, links);
    let mut folder = Folder {
        arena,
        tree,
        attempts: Vec::new(),
        observations,
    };
    folder.supplements();
    folder.http();
    folder.lonely();
    folder.nested();
    folder.side_by_side();
    folder.same_response();
    folder.sdk_twins();
    folder.wrappers();
    folder.retries();
    folder.tools();
    folder.finish()
}

struct Folder<'a> {
    arena: &'a Bump,
    tree: Tree,
    /// Sorted by start.
    observations: Vec<Observation<'a>>,
    /// Earlier HTTP requests of a call: attempts that no call span shows.
    attempts: Vec<Call<'a>>,
}

fn with_resends(mut call: Call<'_>, resends: u64) -> Call<'_> {
    call.attempt = attempt_after(resends);
    call
}

fn attempt_after(resends: u64) -> u16 {
    u16::try_from(resends.saturating_add(1)).unwrap_or(u16::MAX)
}

// === impl Folder ===

impl<'a> Folder<'a> {
    fn role(&self, at: usize) -> SpanRole {
        self.observations[at].role
    }

    fn call(&self, at: usize) -> &Call<'a> {
        &self.observations[at].call
    }

    /// Counted call spans, by start.
    fn counted(&self) -> Vec<usize> {
        (0..self.observations.len())
            .filter(|i| self.is_counted(*i))
            .collect()
    }

    fn is_counted(&self, at: usize) -> bool {
        self.role(at) == SpanRole::Call && self.call(at).duplicate_of.is_none()
    }

    fn with_role(&self, role: SpanRole) -> Vec<usize> {
        (0..self.observations.len())
            .filter(|i| self.role(*i) == role)
            .collect()
    }

    /// Gives `primary` what `other` knows.
    fn give(&mut self, other: usize, primary: usize) {
        let from = self.observations[other].clone();
        let to = &mut self.observations[primary];
        to.has_exception |= from.has_exception;
        to.resends = to.resends.max(from.resends);
        fill(&mut to.call, &from.call, self.arena);
    }

    /// `other` shows the same call as `primary` does.
    fn duplicate(&mut self, other: usize, primary: usize) {
        let wire = self.call(other).usage;
        if SDK_NATIVE.contains(&self.call(other).convention) && wire.output_tokens.is_some() {
            // The SDK read the counts from the wire; recorders around it add streams up.
            self.observations[primary].call.usage = wire;
        }
        self.give(other, primary);
        self.observations[other].call.duplicate_of = Some(self.call(primary).span_id);
    }

    /// A second record of a stream belongs to the call around it, or to the last one before it
    /// that has no answer yet.
    fn supplements(&mut self) {
        for at in self.with_role(SpanRole::Supplement) {
            let around = self.tree.nearest(at, |i| self.role(i) == SpanRole::Call);
            let target = around.or_else(|| {
                (0..at).rev().take(NEIGHBOURS_MAX).find(|i| {
                    let (a, b) = (self.call(*i), self.call(at));
                    self.role(*i) == SpanRole::Call
                        && a.request_model == b.request_model
                        && a.instrumentation == b.instrumentation
                        && !a.output.recorded
                })
            });
            match target {
                Some(call) => {
                    // Only the call span knows when the answer ended.
                    let last_ns = self.call(at).start_ns;
                    self.duplicate(at, call);
                    let call = &mut self.observations[call].call;
                    call.streaming = call.streaming.or(Some(true));
                    call.duration_ns = call.duration_ns.max(last_ns.saturating_sub(call.start_ns));
                }
                None => self.observations[at].role = SpanRole::Call,
            }
        }
    }

    /// HTTP requests below a call are its attempts: the last one is the call's own.
    fn http(&mut self) {
        let mut requests: Vec<(usize, usize)> = Vec::new();
        for at in self.with_role(SpanRole::Http) {
            match self.tree.nearest(at, |i| self.role(i) == SpanRole::Call) {
                Some(call) => requests.push((call, at)),
                None => self.observations[at].role = SpanRole::Call,
            }
        }
        requests.sort_unstable();
        for group in requests.chunk_by(|a, b| a.0 == b.0) {
            let Some(((call, last), earlier)) = group.split_last().map(|(l, e)| (*l, e)) else {
                continue;
            };
            let request = self.call(call).clone();
            for (n, (_, at)) in earlier.iter().enumerate() {
                self.attempts
                    .push(evidence::http_attempt(&request, self.call(*at), n + 1));
            }
            let (status, address) = {
                let own = self.call(last);
                (own.errors.http_status, own.server_address)
            };
            let observation = &mut self.observations[call];
            observation.resends = observation.resends.max(earlier.len() as u64);
            let call = &mut observation.call;
            call.errors.http_status = call.errors.http_status.or(status);
            if call.server_address.is_empty() {
                call.server_address = address;
            }
        }
    }

    /// A wrapper or agent with no call below it is all that is left of its calls.
    fn lonely(&mut self) {
        for role in [SpanRole::Wrapper, SpanRole::Agent] {
            let below = self.tree.mark_above(self.observations.len(), |i| {
                matches!(self.role(i), SpanRole::Call | SpanRole::Wrapper)
                    || (role == SpanRole::Agent
                        && self.role(i) == SpanRole::Agent
                        && self.call(i).operation == Operation::InvokeAgent)
            });
            for at in self.with_role(role) {
                let speaks =
                    role == SpanRole::Wrapper || self.call(at).operation == Operation::InvokeAgent;
                if speaks && !below.get(at).copied().unwrap_or(false) {
                    self.observations[at].role = SpanRole::Call;
                }
            }
        }
    }

    /// A call around a call is its twin, when they could be the same request. Of several inner
    /// ones it is the last: that one brought the answer.
    fn nested(&mut self) {
        // The innermost first: what a twin had inside belongs to the call around it.
        let mut order = self.counted();
        order.sort_by_key(|i| std::cmp::Reverse((self.tree.depth(*i), *i)));
        let mut inside: HashMap<usize, Vec<usize>> = HashMap::new();
        for at in order {
            let mut inner = inside.remove(&at).unwrap_or_default();
            inner.sort_unstable();
            let twin = inner
                .iter()
                .copied()
                .rfind(|i| evidence::may_be_same(self.call(at), self.call(*i)));
            let up = self.tree.nearest(at, |i| self.role(i) == SpanRole::Call);
            match twin {
                Some(twin) => {
                    self.duplicate(at, twin);
                    if let Some(up) = up {
                        inside.entry(up).or_default().extend(inner);
                    }
                }
                None => {
                    if let Some(up) = up {
                        inside.entry(up).or_default().push(at);
                    }
                }
            }
        }
    }

    /// A wrapper repeats its last call and may know of a failure after it (an answer that did not
    /// parse, a tool that does not exist).
    fn wrappers(&mut self) {
        let mut last_below: Vec<Option<usize>> = vec![None; self.observations.len()];
        for call in self.counted() {
            for up in self.tree.above(call) {
                if let Some(last) = last_below.get_mut(up) {
                    *last = Some(call);
                }
            }
        }
        for role in [SpanRole::Wrapper, SpanRole::Agent] {
            for at in self.with_role(role) {
                let Some(last) = last_below.get(at).copied().flatten() else {
                    continue;
                };
                let outer = self.observations[at].clone();
                let inner = &mut self.observations[last].call;
                adopt_errors(inner, &outer.call, self.arena);
                if role == SpanRole::Wrapper {
                    fill(inner, &outer.call, self.arena);
                    self.observations[at].call.duplicate_of = Some(self.call(last).span_id);
                    // A row of its own, so that whoever looks for the wrapper finds its call.
                    self.observations[at].role = SpanRole::Call;
                }
            }
        }
    }

    /// Calls under one parent that follow a failed one with the same request are its retries.
    fn retries(&mut self) {
        for observation in &mut self.observations {
            observation.call.attempt = attempt_after(observation.resends);
        }
        let mut siblings: HashMap<[u8; 8], Vec<usize>> = HashMap::new();
        for at in self.counted() {
            let Some(parent) = self.tree.parent(at) else {
                continue;
            };
            let earlier = siblings.entry(parent).or_default();
            // The last one with this request: after a success a call is a new one.
            let before = earlier
                .iter()
                .rev()
                .take(NEIGHBOURS_MAX)
                .copied()
                .find(|i| {
                    let (a, b) = (&self.observations[*i].call, &self.observations[at].call);
                    evidence::same_request(a, b)
                })
                .filter(|i| self.observations[*i].call.errors.is_error);
            earlier.push(at);
            if let Some(before) = before {
                self.retry(at, before);
            }
        }
    }

    fn retry(&mut self, at: usize, before: usize) {
        let earlier = self.call(before).clone();
        let observation = &mut self.observations[at];
        observation.call.attempt = observation.call.attempt.saturating_add(earlier.attempt);
        // openinference-vercel marks the attempt that succeeded with the error of the last one.
        let copied = observation.call.errors.messages == earlier.errors.messages
            && !observation.has_exception
            && evidence::answered(&observation.call);
        if copied {
            observation.call.errors = Default::default();
        }
    }

    fn finish(self) -> Vec<Call<'a>> {
        let rows = self.observations.into_iter().filter(|o| {
            matches!(o.role, SpanRole::Call | SpanRole::Tool)
                || (o.role == SpanRole::Supplement && o.call.duplicate_of.is_some())
        });
        let mut calls: Vec<Call<'a>> = rows.map(|o| o.call).collect();
        calls.extend(self.attempts);
        resolve_chains(&mut calls);
        calls
    }
}

/// A duplicate of a duplicate is a duplicate of the row that counts.
fn resolve_chains(calls: &mut [Call<'_>]) {
    let next: HashMap<[u8; 8], [u8; 8]> = calls
        .iter()
        .filter_map(|c| Some((c.span_id, c.duplicate_of?)))
        .collect();
    for call in calls {
        // Chains are as long as the nesting of recorders: a few.
        for _ in 0..8 {
            let further = call.duplicate_of.and_then(|of| next.get(&of));
            match further {
                Some(further) => call.duplicate_of = Some(*further),
                None => break,
            }
        }
    }
}

#[cfg(test)]
mod tests;
