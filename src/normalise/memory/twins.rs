//! Twins: calls that two recorders show in two traces.
//!
//! An SDK that records its own calls starts a trace of its own when the instrumentation around it
//! does not make its span current. Such a pair is found by process and time; `fold` has the last
//! word on whether the two are one call.

use std::collections::VecDeque;

use crate::normalise::{fold::SDK_NATIVE, observe::Observation, recognise::SpanRole};

/// Calls that are remembered as possible partners.
const CALLS_MAX: usize = 512;
/// Providers whose SDKs record their own calls.
const PROVIDERS: [&str; 2] = ["anthropic", "mistral_ai"];
/// Recorders start and end a little apart.
const SLACK_NS: u64 = 2_000_000;

/// Recent calls that may yet meet their twin.
#[derive(Debug, Default)]
pub struct Twins {
    recent: VecDeque<Candidate>,
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    trace_id: [u8; 16],
    process: u64,
    start_ns: u64,
    end_ns: u64,
    native: bool,
    taken: bool,
}

// === impl Twins ===

impl Twins {
    /// Pairs of traces that belong together, of these observations and earlier ones.
    pub fn pairs(
        &mut self,
        observations: &[&Observation<'_>],
        _now_ns: u64,
    ) -> Vec<([u8; 16], [u8; 16])> {
        let mut pairs = Vec::new();
        for observation in observations {
            let call = &observation.call;
            let may_have_twin =
                observation.role == SpanRole::Call && PROVIDERS.contains(&call.provider);
            if !may_have_twin {
                continue;
            }
            let mut own = Candidate {
                trace_id: call.trace_id,
                process: observation.process,
                start_ns: call.start_ns,
                end_ns: call.start_ns.saturating_add(call.duration_ns),
                native: SDK_NATIVE.contains(&call.convention),
                taken: false,
            };
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
        pairs
    }
}

// === impl Candidate ===

impl Candidate {
    fn pairs_with(&self, other: &Candidate) -> bool {
        let (native, outer) = if self.native {
            (self, other)
        } else {
            (other, self)
        };
        self.native != other.native
            && self.trace_id != other.trace_id
            && self.process == other.process
            && native.start_ns.saturating_add(SLACK_NS) >= outer.start_ns
            && native.start_ns <= outer.end_ns.saturating_add(SLACK_NS)
    }
}
