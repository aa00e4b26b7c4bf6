//! What an incident shows: calls, codes, who is hit, what changed before.
//!
//! The newest odd calls and changes of all keys are kept in two rings; an incident takes from them
//! what lies in its scope.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::{
    BlastRadius, Delta, Dimension, Exemplar, Share,
    lattice::{Key, contains},
    names::{Names, Sym},
    sample::{CHANGEABLE, Sample, Texts},
};

/// Odd calls remembered, over all keys.
const ODD_MAX: usize = 8192;
/// Changes remembered, over all keys.
const DELTAS_MAX: usize = 1024;
/// Shown in an incident.
const EXEMPLARS: usize = 5;
const CODES: usize = 8;
const VALUES: usize = 6;
/// Changes before the onset that may be its cause.
const BEFORE_NS: u64 = 3600 * 1_000_000_000;
/// A value's share inside must exceed the share outside by this factor to be told.
const LIFT_MIN: f64 = 1.3;

/// Rings of odd calls and of changes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Evidence {
    odd: VecDeque<Odd>,
    deltas: VecDeque<Changed>,
}

/// A call that hit a signal.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Odd {
    end_ns: u64,
    hits: u32,
    key: Key,
    trace_id: [u8; 16],
    span_id: [u8; 8],
    class: Sym,
    code: Sym,
    http_status: u16,
    vague: bool,
    /// Tool, response model.
    extra: [Sym; 2],
    streaming: bool,
    texts: Option<Box<Texts>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Changed {
    key: Key,
    what: u8,
    from: Sym,
    to: Sym,
    at_ns: u64,
}

/// What was found for a scope.
#[derive(Debug, Default)]
pub struct Found {
    pub exemplars: Vec<Exemplar>,
    pub codes: Vec<(String, u64)>,
    pub class: String,
    pub error: String,
    pub blast_radius: Vec<BlastRadius>,
    pub changes: Vec<Delta>,
    pub tenants: u64,
    /// Share of the odd calls that are rate limits of an unknown kind.
    pub vague: f64,
    /// The tenant with the most odd calls, and its share of them.
    pub main_tenant: Option<(Sym, f64)>,
}

// === impl Evidence ===

impl Evidence {
    /// Remembers a call that hit something.
    pub fn odd(&mut self, call: &Sample, key: &Key, hits: u32) {
        if self.odd.len() >= ODD_MAX {
            self.odd.pop_front();
        }
        let mut key = *key;
        key[Dimension::Tenant as usize] = call.tenant;
        self.odd.push_back(Odd {
            end_ns: call.end_ns,
            hits,
            key,
            trace_id: call.trace_id,
            span_id: call.span_id,
            class: call.class,
            code: call.code,
            http_status: call.http_status,
            vague: call.vague,
            extra: [call.tool, call.response_model],
            streaming: call.streaming,
            texts: call.texts.clone(),
        });
    }

    /// Compares what may change with what was seen; remembers news.
    pub fn note(&mut self, call: &Sample, key: &Key, seen: &mut [[Sym; 3]; 5]) {
        for (what, (sym, known)) in (0..).zip(call.changeable.iter().zip(seen)) {
            if *sym == 0 || known.contains(sym) {
                continue;
            }
            let from = known.first().copied().unwrap_or(0);
            known.rotate_right(1);
            if let Some(newest) = known.first_mut() {
                *newest = *sym;
            }
            if from == 0 {
                continue;
            }
            if self.deltas.len() >= DELTAS_MAX {
                self.deltas.pop_front();
            }
            self.deltas.push_back(Changed {
                key: *key,
                what,
                from,
                to: *sym,
                at_ns: call.end_ns,
            });
        }
    }

    /// What lies in a scope and hit one of `signals` since the onset.
    pub fn find(&self, scope: &Key, signals: u32, onset_ns: u64, names: &Names) -> Found {
        let since = self.odd.partition_point(|o| o.end_ns < onset_ns);
        let inside: Vec<&Odd> = self
            .odd
            .range(since..)
            .filter(|o| o.hits & signals != 0 && contains(scope, &o.key))
            .collect();
        let outside: Vec<&Odd> = self
            .odd
            .range(..since)
            .filter(|o| contains(scope, &o.key))
            .collect();
        let mut found = Found {
            changes: self.changes(scope, onset_ns, names),
            ..Found::default()
        };
        let count = |get: &dyn Fn(&Odd) -> String| {
            let mut counts: BTreeMap<String, u64> = BTreeMap::new();
            inside
                .iter()
                .map(|o| get(o))
                .filter(|text| !text.is_empty())
                .for_each(|text| *counts.entry(text).or_default() += 1);
            let mut counts: Vec<_> = counts.into_iter().collect();
            counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
            counts.truncate(CODES);
            counts
        };
        found.codes = count(&|o| match (names.text(o.code), o.http_status) {
            ("", 0) => String::new(),
            ("", status) => status.to_string(),
            (code, _) => code.to_owned(),
        });
        found.class = count(&|o| names.text(o.class).to_owned())
            .into_iter()
            .next()
            .map_or_else(String::new, |(class, _)| class);
        let texts = |o: &&Odd| o.texts.as_ref().map(|t| t.message.clone());
        found.error = inside
            .iter()
            .rev()
            .filter_map(texts)
            .find(|m| !m.is_empty())
            .unwrap_or_default();
        found.exemplars = inside
            .iter()
            .rev()
            .take(EXEMPLARS)
            .map(|o| Exemplar {
                trace_id: o.trace_id,
                span_id: o.span_id,
                request_id: o
                    .texts
                    .as_ref()
                    .map_or_else(String::new, |t| t.request_id.clone()),
                at_ns: o.end_ns,
            })
            .collect();
        let vague = inside.iter().filter(|o| o.vague).count();
        found.vague = vague as f64 / inside.len().max(1) as f64;
        let mut tenants: BTreeMap<Sym, usize> = BTreeMap::new();
        for odd in &inside {
            *tenants
                .entry(odd.key[Dimension::Tenant as usize])
                .or_default() += 1;
        }
        tenants.remove(&0);
        found.tenants = tenants.len() as u64;
        found.main_tenant = tenants
            .iter()
            .max_by_key(|(sym, n)| (**n, names.text(**sym)))
            .map(|(sym, n)| (*sym, *n as f64 / inside.len().max(1) as f64));
        found.blast_radius = radius(&inside, &outside, names);
        found
    }

    fn changes(&self, scope: &Key, onset_ns: u64, names: &Names) -> Vec<Delta> {
        let from = onset_ns.saturating_sub(BEFORE_NS);
        let mut found: Vec<Delta> = Vec::new();
        for delta in &self.deltas {
            let what = CHANGEABLE.get(usize::from(delta.what)).copied();
            let told = Delta {
                what: what.unwrap_or("").to_owned(),
                from: names.text(delta.from).to_owned(),
                to: names.text(delta.to).to_owned(),
                at_ns: delta.at_ns,
            };
            let same = |d: &Delta| d.what == told.what && d.from == told.from && d.to == told.to;
            if delta.at_ns >= from && contains(scope, &delta.key) && !found.iter().any(same) {
                found.push(told);
            }
        }
        found.truncate(VALUES);
        found
    }
}

/// How odd calls are spread, beside the odd calls of the same scope before the onset.
fn radius(inside: &[&Odd], outside: &[&Odd], names: &Names) -> Vec<BlastRadius> {
    type Get<'a> = &'a dyn Fn(&Odd) -> String;
    let dimension = |d: Dimension| move |o: &Odd| names.text(o.key[d as usize]).to_owned();
    type Named<'a> = (&'a str, Box<dyn Fn(&Odd) -> String + 'a>);
    let gets: Vec<Named<'_>> = Dimension::ALL
        .into_iter()
        .map(|d| {
            (
                d.as_str(),
                Box::new(dimension(d)) as Box<dyn Fn(&Odd) -> String>,
            )
        })
        .chain([
            (
                "tool",
                Box::new(|o: &Odd| names.text(o.extra[0]).to_owned()) as Box<_>,
            ),
            (
                "response_model",
                Box::new(|o: &Odd| names.text(o.extra[1]).to_owned()) as Box<_>,
            ),
            (
                "streaming",
                Box::new(|o: &Odd| o.streaming.to_string()) as Box<_>,
            ),
            (
                "code",
                Box::new(|o: &Odd| names.text(o.code).to_owned()) as Box<_>,
            ),
        ])
        .collect();
    let count = |odd: &[&Odd], get: Get<'_>| {
        let mut counts: BTreeMap<String, f64> = BTreeMap::new();
        for o in odd {
            *counts.entry(get(o)).or_default() += 1.0 / odd.len() as f64;
        }
        counts.remove("");
        counts
    };
    let mut told = Vec::new();
    for (name, get) in &gets {
        let (ours, theirs) = (count(inside, get), count(outside, get));
        let mut values: Vec<Share> = ours
            .into_iter()
            .map(|(value, share_inside)| {
                let share_outside = theirs.get(&value).copied().unwrap_or(0.0);
                Share {
                    value,
                    share_inside,
                    share_outside,
                    lift: share_inside / share_outside.max(0.01),
                }
            })
            .collect();
        values.sort_by(|a, b| b.share_inside.total_cmp(&a.share_inside));
        values.truncate(VALUES);
        if values.len() == 1 || values.iter().any(|v| v.lift >= LIFT_MIN) {
            told.push(BlastRadius {
                dimension: (*name).to_owned(),
                values,
            });
        }
    }
    told
}
