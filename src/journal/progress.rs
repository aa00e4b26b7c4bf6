//! Progress: how far everybody who reads the journal is, and from where on it is still needed.
//!
//! Whoever has nothing to read holds nothing back: a lane moves on over records that have no block
//! for its table, and a follower of facts that knows all there are needs no segment.

use std::collections::BTreeMap;

use super::Position;
use crate::block::Table;

/// Everybody's place.
#[derive(Debug)]
pub struct Progress {
    lanes: BTreeMap<Table, Lane>,
    /// Up to where the follower of facts has them; `None` when nobody follows.
    consumed: Option<Position>,
    /// The newest durable record with facts.
    newest_facts: Option<Position>,
    /// Everything before was passed on; `None` when nobody passes on.
    passed_on: Option<Position>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Lane {
    /// Everything before was read.
    read: Position,
    /// Everything before was planned.
    planned: Position,
}

/// What a lane's advance comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advanced {
    /// All lanes read everything before.
    pub passed: Position,
    /// The lane left a segment behind: perhaps nobody needs it any more.
    pub left_segment: bool,
}

// === impl Progress ===

impl Progress {
    /// Until a lane says where it is, it needs everything.
    pub fn new(newest_facts: Option<Position>) -> Progress {
        let lanes = Table::ALL.into_iter().map(|t| (t, Lane::default()));
        Progress {
            lanes: lanes.collect(),
            consumed: None,
            newest_facts,
            passed_on: None,
        }
    }

    /// A lane read up to here, and planned everything up to there.
    pub fn advance(&mut self, table: Table, read: Position, planned: Option<Position>) -> Advanced {
        let lane = self.lanes.entry(table).or_default();
        let before = lane.planned.segment;
        lane.read = read;
        lane.planned = planned.unwrap_or(lane.planned);
        let left_segment = lane.planned.segment > before;
        let passed = self.lanes.values().map(|lane| lane.read).min();
        Advanced {
            passed: passed.unwrap_or_default(),
            left_segment,
        }
    }

    /// The record at this place is durable and has facts.
    pub fn has_facts(&mut self, at: Position) {
        self.newest_facts = self.newest_facts.max(Some(at));
    }

    /// The follower has everything up to here.
    pub fn consumed(&mut self, position: Position) {
        self.consumed = Some(position);
    }

    /// Everything before this was passed on. True when that left a segment behind.
    pub fn passed_on(&mut self, position: Position) -> bool {
        let before = self.passed_on.replace(position);
        before.is_some_and(|before| before.segment < position.segment)
    }

    /// What lies before nobody reads any more; inserts under way may still need it.
    pub fn floor(&self) -> Position {
        let planned = self.lanes.values().map(|lane| lane.planned);
        let facts = self.consumed.filter(|at| Some(*at) < self.newest_facts);
        planned
            .chain(facts)
            .chain(self.passed_on)
            .min()
            .unwrap_or_default()
    }
}
