//! What the ledger remembers, as bytes and back, and what a series of it comes to.

use crate::{
    block::Table,
    journal::{
        position::{BlockId, Position},
        record::{Damage, Take},
    },
};

/// One insert: which blocks of a table, in order. Written down before the first attempt, so that
/// every later attempt, after a crash too, sends the same bytes under the same token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    pub table: Table,
    pub first: BlockId,
    pub last: BlockId,
    /// Blocks of the table from the first to the last.
    pub blocks: u32,
    pub rows: u64,
    /// Of the blocks' contents, in order.
    pub hash: u128,
}

/// Something that happened to plans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It may be attempted from now on.
    Planned(Plan),
    /// The store refused the plan as a whole; these take its place.
    Replaced { old: Plan, parts: Vec<Plan> },
    /// It is stored, or kept in quarantine.
    Settled(Plan),
    /// All that matters of what came before.
    Checkpoint(Vec<TablePlans>),
}

/// The plans of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TablePlans {
    pub table: Table,
    /// Every block up to this one was planned at some time.
    pub planned: Option<BlockId>,
    /// The plans that are neither settled nor replaced.
    pub open: Vec<Plan>,
}

// === impl Plan ===

impl Plan {
    /// Identity of the insert; `journal` keeps collectors apart.
    pub fn token(&self, journal: u128) -> String {
        format!(
            "{journal:032x}-{}-{}-{:x}-{:032x}",
            self.table.name(),
            self.first,
            self.blocks,
            self.hash
        )
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_table(out, self.table);
        for id in [self.first, self.last] {
            put_id(out, id);
        }
        out.extend_from_slice(&self.blocks.to_le_bytes());
        out.extend_from_slice(&self.rows.to_le_bytes());
        out.extend_from_slice(&self.hash.to_le_bytes());
    }

    fn decode(from: &mut Take<'_>) -> Result<Plan, Damage> {
        Ok(Plan {
            table: from.table()?,
            first: id(from)?,
            last: id(from)?,
            blocks: from.u32()?,
            rows: from.u64()?,
            hash: from.u128()?,
        })
    }
}

// === impl TablePlans ===

impl TablePlans {
    /// Nothing planned yet, for every table.
    pub fn none() -> Vec<TablePlans> {
        let of = |table| TablePlans {
            table,
            planned: None,
            open: Vec::new(),
        };
        Table::ALL.into_iter().map(of).collect()
    }

    /// Is this block still to be inserted?
    pub fn needs(&self, id: BlockId) -> bool {
        let open = |plan: &Plan| plan.first <= id && id <= plan.last;
        Some(id) > self.planned || self.open.iter().any(open)
    }

    /// The first block that is not known to be settled.
    pub fn floor(&self) -> Option<BlockId> {
        self.open.iter().map(|plan| plan.first).min()
    }

    fn remove(&mut self, plan: &Plan) {
        // By its token's parts: the halves of a plan begin where it began.
        self.open.retain(|open| {
            (open.first, open.last, open.hash) != (plan.first, plan.last, plan.hash)
        });
    }

    fn add(&mut self, plan: Plan) {
        self.remove(&plan);
        self.planned = self.planned.max(Some(plan.last));
        self.open.push(plan);
    }
}

/// Takes an event in.
pub fn apply(tables: &mut Vec<TablePlans>, event: Event) {
    let mut of = |table: Table, then: &mut dyn FnMut(&mut TablePlans)| {
        tables
            .iter_mut()
            .filter(|plans| plans.table == table)
            .for_each(then);
    };
    match event {
        Event::Planned(plan) => of(plan.table, &mut |t| t.add(plan)),
        Event::Settled(plan) => of(plan.table, &mut |t| t.remove(&plan)),
        Event::Replaced { old, parts } => of(old.table, &mut |t| {
            t.remove(&old);
            parts.iter().for_each(|part| t.add(*part));
        }),
        Event::Checkpoint(all) => {
            *tables = TablePlans::none();
            for plans in all {
                tables
                    .iter_mut()
                    .filter(|t| t.table == plans.table)
                    .for_each(|t| *t = plans.clone());
            }
        }
    }
}

// === impl Event ===

impl Event {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        match self {
            Event::Planned(plan) => {
                out.push(1);
                plan.encode(&mut out);
            }
            Event::Replaced { old, parts } => {
                out.push(2);
                old.encode(&mut out);
                put_plans(&mut out, parts);
            }
            Event::Settled(plan) => {
                out.push(3);
                plan.encode(&mut out);
            }
            Event::Checkpoint(tables) => {
                out.push(4);
                out.extend_from_slice(&(tables.len() as u32).to_le_bytes());
                for plans in tables {
                    put_table(&mut out, plans.table);
                    out.push(u8::from(plans.planned.is_some()));
                    put_id(&mut out, plans.planned.unwrap_or_default());
                    put_plans(&mut out, &plans.open);
                }
            }
        }
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Event, Damage> {
        let mut from = Take(bytes);
        match from.u8()? {
            1 => Plan::decode(&mut from).map(Event::Planned),
            2 => Ok(Event::Replaced {
                old: Plan::decode(&mut from)?,
                parts: plans(&mut from)?,
            }),
            3 => Plan::decode(&mut from).map(Event::Settled),
            4 => {
                let mut tables = Vec::new();
                for _ in 0..from.u32()? {
                    let table = from.table()?;
                    let some = from.u8()? != 0;
                    let planned = id(&mut from)?;
                    tables.push(TablePlans {
                        table,
                        planned: some.then_some(planned),
                        open: plans(&mut from)?,
                    });
                }
                Ok(Event::Checkpoint(tables))
            }
            _ => Err(Damage::Content("unknown event")),
        }
    }
}

fn put_table(out: &mut Vec<u8>, table: Table) {
    let name = table.name().as_bytes();
    out.push(name.len() as u8);
    out.extend_from_slice(name);
}

fn put_id(out: &mut Vec<u8>, id: BlockId) {
    out.extend_from_slice(&id.record.segment.to_le_bytes());
    out.extend_from_slice(&id.record.offset.to_le_bytes());
    out.extend_from_slice(&id.index.to_le_bytes());
}

fn id(from: &mut Take<'_>) -> Result<BlockId, Damage> {
    Ok(BlockId {
        record: Position {
            segment: from.u64()?,
            offset: from.u64()?,
        },
        index: from.u32()?,
    })
}

fn put_plans(out: &mut Vec<u8>, plans: &[Plan]) {
    out.extend_from_slice(&(plans.len() as u32).to_le_bytes());
    plans.iter().for_each(|plan| plan.encode(out));
}

fn plans(from: &mut Take<'_>) -> Result<Vec<Plan>, Damage> {
    (0..from.u32()?).map(|_| Plan::decode(from)).collect()
}
