//! Twins: calls that two recorders show in two traces.
//!
//! An SDK that records its own calls starts a trace of its own when the instrumentation around it
//! does not make its span current; Logfire's record of a finished stream starts one when nothing
//! is active any more. Such pairs are found by process and time; `fold` has the last word on
//! whether the two are one call.

use std::collections::VecDeque;

use crate::normalise::{fold::SDK_NATIVE, observe::Observation, recognise::SpanRole};

/// Calls that are remembered as possible partners.
const CALLS_MAX: usize = 512;
/// Providers whose SDKs record their own calls.
const PROVIDERS: [&str; 2] = ["anthropic", "mistral_ai"];
/// Recorders start and end a little apart.
const SLACK_NS: u64 = 2_000_000;
/// A stream is recorded when it has ended, at most this long after its request.
const STREAM_MAX_NS: u64 = 900_000_000_000;

/// Recent calls that may yet meet their twin.
#[derive(Debug, Default)]
pub struct Twins {
    recent: VecDeque<Candidate>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// An SDK's own record.
    Native,
    /// An instrumentation's record of a call whose SDK may have one of its own.
    Outer,
    /// An instrumentation's record of a request whose stream is recorded apart.
    Request,
    /// The record of a stream.
    Stream,
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    kind: Kind,
    trace_id: [u8; 16],
    span_id: [u8; 8],
    process: u64,
    start_ns: u64,
    end_ns: u64,
    taken: bool,
}

// === impl Twins ===

impl Twins {
    /// Pairs of traces that belong together, of these observations and earlier ones.
    pub fn pairs(&mut self, observations: &[&Observation<'_>]) -> Vec<([u8; 16], [u8; 16])> {
        let mut pairs = Vec::new();
        for observation in observations {
            let known = |c: &Candidate| {
                let call = &observation.call;
                (c.trace_id, c.span_id) == (call.trace_id, call.span_id)
            };
            if candidates(observation).next().is_none() || self.recent.iter().any(known) {
                // Nobody's twin, or sent again: its partner was found or will come.
                continue;
            }
            for mut own in candidates(observation) {
                let partner = self
                    .recent
                    .iter_mut()
                    .filter(|c| !c.taken && own.pairs_with(c))
                    .min_by_key(|c| c.start_ns.abs_diff(own.start_ns));
                if let Some(partner) = partner {
                    partner.taken = true;
                    own.taken = true;
                    pairs.push((partner.trace_id, own.trace_id));
                }
                if self.recent.len() >= CALLS_MAX {
                    self.recent.pop_front();
                }
                self.recent.push_back(own);
            }
        }
        pairs
    }
}

/// What a span may be the twin of; for almost all spans, nothing.
fn candidates(observation: &Observation<'_>) -> impl Iterator<Item = Candidate> {
    let call = &observation.call;
    let is_call = observation.role == SpanRole::Call;
    let two_recorders = is_call && PROVIDERS.contains(&call.provider);
    let native = SDK_NATIVE.contains(&call.convention);
    let logfire = call.convention == "logfire";
    let kinds = [
        (two_recorders && native, Kind::Native),
        (two_recorders && !native, Kind::Outer),
        (
            logfire && is_call && !call.output.recorded && !call.errors.is_error,
            Kind::Request,
        ),
        (
            logfire && observation.role == SpanRole::Supplement,
            Kind::Stream,
        ),
    ];
    let candidate = Candidate {
        kind: Kind::Native,
        trace_id: call.trace_id,
        span_id: call.span_id,
        process: observation.process,
        start_ns: call.start_ns,
        end_ns: call.start_ns.saturating_add(call.duration_ns),
        taken: false,
    };
    kinds
        .into_iter()
        .filter(|(is, _)| *is)
        .map(move |(_, kind)| Candidate { kind, ..candidate })
}

// === impl Candidate ===

impl Candidate {
    fn pairs_with(&self, other: &Candidate) -> bool {
        if self.trace_id == other.trace_id || self.process != other.process {
            return false;
        }
        match (self.kind, other.kind) {
            (Kind::Native, Kind::Outer) => self.begins_within(other),
            (Kind::Outer, Kind::Native) => other.begins_within(self),
            (Kind::Stream, Kind::Request) => self.follows(other),
            (Kind::Request, Kind::Stream) => other.follows(self),
            _ => false,
        }
    }

    fn begins_within(&self, outer: &Candidate) -> bool {
        self.start_ns.saturating_add(SLACK_NS) >= outer.start_ns
            && self.start_ns <= outer.end_ns.saturating_add(SLACK_NS)
    }

    fn follows(&self, request: &Candidate) -> bool {
        self.start_ns >= request.start_ns && self.start_ns - request.start_ns <= STREAM_MAX_NS
    }
}
