//! A model of senders, journal and store on the simulated file system: whatever fails, what was
//! acknowledged reaches the store once, and what was not, at most once.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{
    sim::{Fault, SimFiles},
    *,
};
use crate::journal::{
    cursor::Cursor,
    deliver::gather::{Batch, Limits},
    facts,
    ledger::{Event, Plan},
    position::Position,
};

const LIMITS: Limits = Limits {
    rows: 3,
    bytes: 1 << 20,
};

/// What becomes of one insert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Stored,
    /// Stored, but the answer was lost.
    Lost,
    /// It never came there.
    Unsent,
    /// Refused for good, as it is.
    Refused,
}

#[derive(Debug, Clone)]
enum Op {
    Append(u8),
    Deliver(Table, Answer),
    /// The follower reads on, and perhaps makes durable what it has.
    Follow(bool),
    LosePower(u64),
    Die,
    Fail(Fault),
    Space(Option<usize>),
}

/// A store that deduplicates by token.
#[derive(Debug, Default)]
struct Store {
    tokens: BTreeSet<String>,
    copies: BTreeMap<(Table, u64), u32>,
}

/// One lane's state: where it reads, and its inserts under way.
#[derive(Debug)]
struct Lane {
    cursor: Cursor<super::sim::SimHandle>,
    /// With what is not written down yet.
    under_way: Vec<(Plan, Batch, bool)>,
}

/// Who follows the facts, with a state of its own on disk.
#[derive(Debug, Default, Clone)]
struct Follower {
    at: Option<Position>,
    told: Vec<u64>,
}

pub struct World {
    pub files: SimFiles,
    pub core: Arc<Core<SimFiles>>,
    work: Work<SimFiles>,
    lanes: BTreeMap<Table, Lane>,
    store: Store,
    follower: Follower,
    saved: Follower,
    issued: u64,
    acknowledged: BTreeSet<u64>,
}

impl World {
    pub fn new() -> World {
        let files = SimFiles::default();
        let (core, work) = open(&files, Durability::Disk);
        core.progress().consumed(Position::default());
        let lanes = lanes(&core);
        World {
            files,
            core,
            work,
            lanes,
            store: Store::default(),
            follower: Follower::default(),
            saved: Follower::default(),
            issued: 0,
            acknowledged: BTreeSet::new(),
        }
    }

    pub fn restart(&mut self) {
        self.files.heal();
        let (core, work) = open(&self.files, Durability::Disk);
        assert_eq!(core.journal, self.core.journal, "the same journal");
        self.follower = self.saved.clone();
        core.progress().consumed(self.saved.at.unwrap_or_default());
        self.lanes = lanes(&core);
        (self.core, self.work) = (core, work);
    }

    /// Tells the follower the facts that it does not have, which come in the journal's order.
    pub fn follow(&mut self, save: bool) {
        for found in facts::since(Arc::clone(&self.core.index), self.follower.at) {
            let (at, facts) = found.expect("readable");
            assert!(Some(at) > self.follower.at, "positions only grow");
            self.follower.at = Some(at);
            let number = facts.first_chunk().expect("a number");
            self.follower.told.push(u64::from_le_bytes(*number));
        }
        if save {
            self.saved = self.follower.clone();
            let at = self.saved.at.unwrap_or_default();
            self.core.progress().consumed(at);
            self.core.release();
        }
    }

    /// Acknowledged facts that the follower was not told, and the number of those told twice.
    pub fn facts_amiss(&self) -> (Vec<u64>, usize) {
        let told: BTreeSet<u64> = self.follower.told.iter().copied().collect();
        let untold = self.acknowledged.difference(&told).copied().collect();
        (untold, self.follower.told.len() - told.len())
    }

    /// Sends records in one group.
    pub fn append(&mut self, count: u8) {
        let numbers: Vec<u64> = (0..u64::from(count)).map(|n| self.issued + n + 1).collect();
        self.issued += u64::from(count);
        let records = numbers.iter().map(|n| record(*n)).collect();
        let results = self.work.commit(records);
        assert_eq!(results.len(), numbers.len(), "everybody is answered");
        for (number, result) in numbers.into_iter().zip(results) {
            if result.is_ok() {
                self.acknowledged.insert(number);
            }
        }
    }

    /// One step of a lane. False when there was nothing to do.
    pub fn deliver(&mut self, table: Table, answer: Answer) -> bool {
        let lane = self.lanes.get_mut(&table).expect("a lane");
        if lane.under_way.is_empty() {
            let mut batch = Batch::default();
            batch.fill(&mut lane.cursor, LIMITS).expect("readable");
            let account = self.core.accounts.of(table);
            let lost: u64 = lane
                .cursor
                .damaged()
                .iter()
                .map(|b| u64::from(b.rows))
                .sum();
            account
                .damaged
                .fetch_add(lost, std::sync::atomic::Ordering::Relaxed);
            let Some(plan) = batch.plan(table) else {
                let at = lane.cursor.position();
                if self.core.advance(table, at, Some(at)) {
                    self.core.release();
                }
                return false;
            };
            lane.under_way.push((plan, batch, false));
        }
        let (plan, batch, written) = lane.under_way.pop().expect("something");
        if !written {
            if self
                .core
                .ledger()
                .write(Event::Planned(plan), false)
                .is_err()
            {
                lane.under_way.push((plan, batch, false));
                return true;
            }
            let at = lane.cursor.position();
            self.core.advance(table, at, Some(at));
        }
        let token = plan.token(self.core.journal);
        if matches!(answer, Answer::Stored | Answer::Lost) && self.store.tokens.insert(token) {
            for (_, block) in &batch.blocks {
                *self
                    .store
                    .copies
                    .entry((table, number_of(block)))
                    .or_default() += 1;
            }
        }
        match answer {
            Answer::Stored => {
                // Lazy: it may be lost, and the insert is repeated under its token.
                if self
                    .core
                    .ledger()
                    .write(Event::Settled(plan), true)
                    .is_err()
                {
                    lane.under_way.push((plan, batch, true));
                } else {
                    self.core.release();
                }
            }
            Answer::Refused
                if batch.blocks.len() > 1
                    && !self.store.tokens.contains(&plan.token(self.core.journal)) =>
            {
                let (first, second) = batch.halves().expect("two halves");
                let halves = [first, second].map(|half| (half.plan(table).expect("a plan"), half));
                let parts = halves.iter().map(|(plan, _)| *plan).collect();
                let replaced = Event::Replaced { old: plan, parts };
                if self.core.ledger().write(replaced, false).is_ok() {
                    lane.under_way
                        .extend(halves.into_iter().map(|(p, b)| (p, b, true)));
                } else {
                    let blocks = halves
                        .into_iter()
                        .flat_map(|(_, half)| half.blocks)
                        .collect();
                    lane.under_way.push((plan, Batch::of(blocks), true));
                }
            }
            Answer::Lost | Answer::Unsent | Answer::Refused => {
                lane.under_way.push((plan, batch, true));
            }
        }
        true
    }

    pub fn deliver_all(&mut self) {
        self.files.heal();
        for table in Table::ALL {
            while self.deliver(table, Answer::Stored) {}
        }
    }

    pub fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    fn copies(&self, table: Table, number: u64) -> u32 {
        self.store
            .copies
            .get(&(table, number))
            .copied()
            .unwrap_or(0)
    }

    /// Acknowledged rows that the store does not have.
    pub fn lost(&self) -> usize {
        self.lost_rows().len()
    }

    fn lost_rows(&self) -> Vec<(Table, u64)> {
        let tables = [Table::OtelTraces, Table::LlmCallVersions];
        let rows = tables
            .iter()
            .flat_map(|t| self.acknowledged.iter().map(move |n| (*t, *n)));
        rows.filter(|(table, number)| self.copies(*table, *number) == 0)
            .collect()
    }

    pub fn doubled(&self) -> usize {
        self.store
            .copies
            .values()
            .filter(|copies| **copies > 1)
            .count()
    }

    pub fn stored_last(&self) -> bool {
        self.copies(Table::OtelTraces, self.issued) == 1
    }
}

fn lanes(core: &Arc<Core<SimFiles>>) -> BTreeMap<Table, Lane> {
    let of = |table| {
        let ledger = core.ledger();
        let plans = ledger
            .tables()
            .iter()
            .find(|t| t.table == table)
            .expect("all tables");
        let mut under_way = Vec::new();
        for plan in &plans.open {
            let mut cursor = Cursor::at(Arc::clone(&core.index), table, plan.first);
            let mut blocks = Vec::new();
            while let Some((id, _)) = cursor.peek().expect("readable") {
                if *id > plan.last {
                    break;
                }
                blocks.extend(cursor.take());
            }
            let batch = Batch::of(blocks);
            let now = batch.plan(table);
            // Only damage makes it another plan; without it this must hold.
            if now.is_some_and(|now| now.hash == plan.hash) {
                under_way.push((*plan, batch, true));
            } else if let Some(now) = now {
                under_way.push((now, batch, true));
            }
        }
        let cursor = Cursor::new(Arc::clone(&core.index), table, plans.planned);
        (table, Lane { cursor, under_way })
    };
    Table::ALL.into_iter().map(of).collect()
}

fn op() -> impl Strategy<Value = Op> {
    let table = proptest::sample::select(vec![Table::OtelTraces, Table::LlmCallVersions]);
    let answer = prop_oneof![
        4 => Just(Answer::Stored),
        2 => Just(Answer::Lost),
        1 => Just(Answer::Unsent),
        1 => Just(Answer::Refused),
    ];
    let fault = proptest::sample::select(vec![
        Fault::Write,
        Fault::Sync,
        Fault::SyncNames,
        Fault::Create,
        Fault::Truncate,
        Fault::Remove,
    ]);
    prop_oneof![
        6 => (1u8..4).prop_map(Op::Append),
        8 => (table, answer).prop_map(|(table, answer)| Op::Deliver(table, answer)),
        2 => any::<bool>().prop_map(Op::Follow),
        1 => any::<u64>().prop_map(Op::LosePower),
        1 => Just(Op::Die),
        2 => fault.prop_map(Op::Fail),
        1 => proptest::option::of(0usize..900).prop_map(Op::Space),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_fails_the_acknowledged_is_stored_once(ops in proptest::collection::vec(op(), 1..80)) {
        let mut world = World::new();
        for op in ops {
            match op {
                Op::Append(count) => world.append(count),
                Op::Deliver(table, answer) => _ = world.deliver(table, answer),
                Op::Follow(save) => world.follow(save),
                Op::LosePower(seed) => {
                    world.files.lose_power(seed);
                    world.restart();
                }
                Op::Die => {
                    world.files.die();
                    world.restart();
                }
                Op::Fail(fault) => world.files.fail_next(fault),
                Op::Space(space) => world.files.set_space(space),
            }
        }
        world.files.heal();
        world.restart();
        world.append(1);
        prop_assert!(world.acknowledged.contains(&world.issued), "a new start accepts again");
        world.deliver_all();
        world.follow(true);
        prop_assert_eq!(world.facts_amiss(), (vec![], 0));
        prop_assert_eq!(world.lost_rows(), []);
        prop_assert_eq!(world.doubled(), 0);
        // What is settled is deleted: one segment is left, or two when the last was just begun.
        prop_assert!(world.core.index.segments() <= 2);
    }
}
