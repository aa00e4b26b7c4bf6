//! The spans of one request, put together by trace before the memory is asked.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// The spans of a request by trace, twins' traces together.
#[derive(Default)]
pub struct Batch {
    by_trace: HashMap<[u8; 16], usize, RandomState>,
    /// Traces, and positions in the request.
    groups: Vec<(Vec<[u8; 16]>, Vec<usize>)>,
}

// === impl Batch ===

impl Batch {
    pub fn add(&mut self, trace: [u8; 16], at: usize) {
        let group = *self.by_trace.entry(trace).or_insert_with(|| {
            self.groups.push((vec![trace], Vec::new()));
            self.groups.len() - 1
        });
        if let Some((_, positions)) = self.groups.get_mut(group) {
            positions.push(at);
        }
    }

    /// Two traces belong together; either may be one that only the memory knows.
    pub fn join(&mut self, a: [u8; 16], b: [u8; 16]) {
        match (
            self.by_trace.get(&a).copied(),
            self.by_trace.get(&b).copied(),
        ) {
            (Some(x), Some(y)) if x != y => {
                let moved = self
                    .groups
                    .get_mut(y)
                    .map(std::mem::take)
                    .unwrap_or_default();
                for trace in &moved.0 {
                    self.by_trace.insert(*trace, x);
                }
                if let Some(group) = self.groups.get_mut(x) {
                    group.0.extend(moved.0);
                    group.1.extend(moved.1);
                }
            }
            (Some(x), None) => self.attach(x, b),
            (None, Some(y)) => self.attach(y, a),
            _ => {}
        }
    }

    fn attach(&mut self, group: usize, trace: [u8; 16]) {
        self.by_trace.insert(trace, group);
        if let Some(group) = self.groups.get_mut(group) {
            group.0.push(trace);
        }
    }

    pub fn groups(self) -> impl Iterator<Item = (Vec<[u8; 16]>, Vec<usize>)> {
        self.groups
            .into_iter()
            .filter(|(_, positions)| !positions.is_empty())
    }
}
