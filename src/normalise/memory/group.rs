//! One group: traces that are worked out together, and which of their rows are written.

use bumpalo::Bump;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::{Change, Changes, evidence::Evidence};
use crate::{
    call::Call,
    normalise::{attributes::AttributeTable, fold::fold, observe::Observation},
};

/// Evidence of one group that is kept; a longer trace goes on without its past.
const GROUP_BYTES_MAX: usize = 4 << 20;
/// Spans of one group that are kept together: the work per arrival grows with them.
const GROUP_SPANS_MAX: usize = 512;

/// Evidence read again and again, over the life of one group: a trace that comes span by span is
/// read as often as it has spans.
const GROUP_READ_BYTES_MAX: usize = 256 << 20;

/// A span of any trace.
type Key = ([u8; 16], [u8; 8]);

/// Traces that are worked out together.
#[derive(Debug, Default)]
pub struct Group {
    pub traces: Vec<[u8; 16]>,
    pub evidence: Evidence,
    /// Rows ever written, and the version they were last written with.
    rows: HashMap<Key, u32, RandomState>,
    pub touched_ns: u64,
    /// Bytes of evidence that were read again.
    read_bytes: usize,
    /// Too long to be worked out again: what comes now stands for itself.
    full: bool,
}

// === impl Group ===

impl Group {
    /// Bytes held, for the budget.
    pub fn bytes(&self) -> usize {
        self.evidence.bytes() + 32 * self.rows.len() + 16 * self.traces.len() + 192
    }

    pub fn is_full(&self) -> bool {
        self.full
    }

    pub fn has_rows(&self) -> bool {
        !self.rows.is_empty()
    }

    /// The calls that the evidence shows.
    pub fn calls<'a>(&mut self, table: &AttributeTable, arena: &'a Bump) -> Vec<Call<'a>> {
        self.read_bytes = self.read_bytes.saturating_add(self.evidence.bytes());
        self.evidence.calls(table, arena)
    }

    /// The calls of a group whose evidence has just been observed.
    pub fn first_calls<'a>(
        &self,
        observations: Vec<Observation<'a>>,
        arena: &'a Bump,
    ) -> Vec<Call<'a>> {
        fold(observations, self.evidence.links(), arena)
    }

    /// Gives the evidence up when there is too much of it; which spans were seen is remembered.
    pub fn close_when_full(&mut self) {
        let spans = self.evidence.span_count();
        let too_much = spans > GROUP_SPANS_MAX
            || self.evidence.bytes() > GROUP_BYTES_MAX
            || self.read_bytes > GROUP_READ_BYTES_MAX;
        if too_much && !self.full {
            self.full = true;
            self.evidence.drop_bodies();
            self.rows = HashMap::default();
        }
    }

    /// Takes another group over.
    pub fn absorb(&mut self, other: Group) {
        self.evidence.absorb(other.evidence);
        self.rows.extend(other.rows);
        self.traces.extend(other.traces);
        self.full |= other.full;
        self.read_bytes = self.read_bytes.saturating_add(other.read_bytes);
    }

    /// Compares what was written with what holds now.
    pub fn change<'a>(
        &mut self,
        old: Vec<Call<'a>>,
        new: Vec<Call<'a>>,
        changes: &mut Changes<'a>,
    ) {
        let key = |call: &Call<'a>| (call.trace_id, call.span_id);
        if old.is_empty() {
            self.write(new, changes);
            return;
        }
        let mut before: HashMap<Key, Call<'a>, RandomState> =
            old.into_iter().map(|call| (key(&call), call)).collect();
        let (kept, fresh): (Vec<Call<'a>>, Vec<Call<'a>>) = new
            .into_iter()
            .partition(|call| before.get(&key(call)) == Some(call));
        for call in &kept {
            before.remove(&key(call));
        }
        let mut gone: Vec<Call<'a>> = before.into_values().collect();
        gone.sort_by_key(|call| (call.start_ns, call.span_id));
        for call in gone {
            if let Some(&version) = self.rows.get(&key(&call)) {
                changes.push(Change {
                    call,
                    sign: -1,
                    version,
                });
            }
        }
        self.write(fresh, changes);
    }

    /// Rows that hold from now on.
    fn write<'a>(&mut self, calls: Vec<Call<'a>>, changes: &mut Changes<'a>) {
        changes.rows.reserve(calls.len());
        for call in calls {
            let key = (call.trace_id, call.span_id);
            let version = self.rows.entry(key).or_default();
            *version = version.saturating_add(1);
            changes.push(Change {
                call,
                sign: 1,
                version: *version,
            });
        }
    }
}
