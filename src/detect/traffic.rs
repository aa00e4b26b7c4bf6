//! The counters of volume of all scopes and tenants, and what their minutes say.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};

use super::{
    Change, Confidence, Detector, Dimension, Kind, Observed, Unit,
    cusum::TICK_S,
    lattice::{self, Key},
    ledger::{End, Entry},
    names::Sym,
    poisson::Turn,
    raise::Finding,
    sample::Sample,
    tenant::Cell,
    volume::{Held, Volume},
};

/// Tenants of services that are counted; more are not watched, only their service is.
const CELLS_MAX: usize = 200_000;
/// Features and services that are counted.
const VOLUMES_MAX: usize = 50_000;
/// Levels of the lattice whose volume is watched: feature, service.
const FEATURE: u8 = 1;
const SERVICE: u8 = 2;

/// All counters.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Traffic {
    volumes: Vec<Volume>,
    #[serde(skip)]
    volume_of: HashMap<Key, u32, FixedState>,
    cells: Vec<Cell>,
    #[serde(skip)]
    cell_of: HashMap<(u32, Sym), u32, FixedState>,
    /// Tenants with calls in this minute, or under suspicion.
    live: Vec<u32>,
    /// Tenants that are not watched.
    pub refused: u64,
}

/// What is to be raised or closed.
struct Verdict {
    kind: Kind,
    key: Key,
    turn: Turn,
}

// === impl Traffic ===

impl Traffic {
    /// The counters of a leaf: of its feature and of its service.
    pub fn place(&mut self, key: &Key, tick: u32) -> [u32; 2] {
        [FEATURE, SERVICE].map(|level| {
            let own = lattice::project(level, key).or_else(|| lattice::project(SERVICE, key));
            let own = own.unwrap_or_default();
            if self.volumes.len() >= VOLUMES_MAX && !self.volume_of.contains_key(&own) {
                return u32::MAX;
            }
            *self.volume_of.entry(own).or_insert_with(|| {
                self.volumes.push(Volume::new(own, tick));
                self.volumes.len() as u32 - 1
            })
        })
    }

    /// Counts a call.
    pub fn take(&mut self, call: &Sample, places: [u32; 2], tick: u32) {
        let [feature, service] = places;
        for at in [feature, service]
            .into_iter()
            .take(if feature == service { 1 } else { 2 })
        {
            if let Some(volume) = self.volumes.get_mut(at as usize) {
                volume.add(call.weight);
            }
        }
        if call.tenant == 0 {
            return;
        }
        let at = match self.cell_of.get(&(service, call.tenant)) {
            Some(at) => *at,
            None if self.cells.len() >= CELLS_MAX => {
                self.refused += 1;
                return;
            }
            None => {
                let at = self.cells.len() as u32;
                self.cells.push(Cell::new(service, call.tenant, tick));
                self.cell_of.insert((service, call.tenant), at);
                at
            }
        };
        if let Some(cell) = self.cells.get_mut(at as usize)
            && cell.add(call.weight)
            && !cell.is_watched()
        {
            self.live.push(at);
        }
    }

    fn end_minute(&mut self, tick: u32) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        let mut explained = Vec::new();
        let mut still = Vec::new();
        for at in std::mem::take(&mut self.live) {
            let Some(cell) = self.cells.get_mut(at as usize) else {
                continue;
            };
            let Some(service) = self.volumes.get_mut(cell.service as usize) else {
                continue;
            };
            let turn = cell.end_minute(service, tick);
            if turn == Turn::Normal {
                explained.push((service.key, Held::Accepted));
            }
            if cell.is_watched() {
                still.push(at);
                if service
                    .expected()
                    .is_some_and(|expected| cell.is_main(expected))
                {
                    explained.push((service.key, Held::ByTenant));
                }
            }
            if turn != Turn::Nothing {
                let mut key = service.key;
                key[Dimension::Tenant as usize] = cell.tenant;
                verdicts.push(Verdict {
                    kind: Kind::RunawayTenant,
                    key,
                    turn,
                });
            }
        }
        self.live = still;
        for volume in &mut self.volumes {
            let ours = explained
                .iter()
                .filter(|(key, _)| lattice::overlap(key, &volume.key));
            let held = ours.fold(Held::No, |held, (_, by)| match held {
                Held::Accepted => held,
                _ => *by,
            });
            let turn = volume.end_minute(tick, held);
            let kind = match turn {
                Turn::Nothing => continue,
                Turn::Silent { .. } | Turn::Back => Kind::TelemetryGap,
                Turn::Rose { .. } | Turn::Over | Turn::Normal => Kind::CostBurn,
            };
            verdicts.push(Verdict {
                kind,
                key: volume.key,
                turn,
            });
        }
        verdicts
    }

    /// Builds the indexes after the counters were read back.
    pub fn rebuild(&mut self) {
        self.volume_of = (0..)
            .zip(&self.volumes)
            .map(|(at, v)| (v.key, at))
            .collect();
        self.cell_of = (0..)
            .zip(&self.cells)
            .map(|(at, c)| ((c.service, c.tenant), at))
            .collect();
    }
}

fn is_feature(key: &Key) -> bool {
    key[Dimension::Feature as usize] != 0
}

/// Do two scopes differ in nothing but the feature?
fn are_siblings(a: &Key, b: &Key) -> bool {
    let (mut a, mut b) = (*a, *b);
    (
        a[Dimension::Feature as usize],
        b[Dimension::Feature as usize],
    ) = (0, 0);
    a == b
}

impl Detector {
    /// Ends the minute of every counter.
    pub(super) fn end_traffic_minute(&mut self, tick: u32, out: &mut Vec<Change>) {
        let mut verdicts = self.traffic.end_minute(tick);
        // What is narrow is raised first, and the wider is then a part of it; but when several
        // features of a service grow together it is the service that grows.
        let rising = verdicts
            .iter()
            .filter(|v| matches!(v.turn, Turn::Rose { .. }) && is_feature(&v.key));
        let rising: Vec<Key> = rising.map(|v| v.key).collect();
        verdicts.sort_by_key(|v| {
            let several = rising.iter().filter(|k| are_siblings(k, &v.key)).count() > 1;
            (v.kind != Kind::RunawayTenant, is_feature(&v.key) == several)
        });
        for verdict in verdicts {
            let (kind, key) = (verdict.kind, verdict.key);
            let open = |e: &Entry| {
                e.incident.kind == kind && e.closed.is_none() && e.key != key && is_feature(&e.key)
            };
            if matches!(verdict.turn, Turn::Rose { .. })
                && is_feature(&key)
                && self
                    .ledger
                    .entries
                    .iter()
                    .any(|e| open(e) && are_siblings(&e.key, &key))
            {
                self.ledger.attached += 1;
                continue;
            }
            let observed = match verdict.turn {
                Turn::Over | Turn::Back => {
                    self.end(kind, &key, End::Over, tick, out);
                    continue;
                }
                Turn::Normal => {
                    self.end(kind, &key, End::Accepted, tick, out);
                    continue;
                }
                Turn::Nothing => continue,
                Turn::Silent { .. } if key[Dimension::Feature as usize] != 0 => continue,
                Turn::Silent { minutes, expected } => (
                    0.0,
                    expected / minutes,
                    expected,
                    tick.saturating_sub((minutes * 60.0) as u32 / TICK_S),
                ),
                Turn::Rose {
                    now,
                    expected,
                    calls,
                    onset,
                } => (now, expected, calls, onset),
            };
            let (now, expected, calls, onset) = observed;
            let finding = Finding {
                kind,
                key,
                leaves: self.leaves_in(&key),
                signals: 0,
                onset,
                rule: match kind {
                    Kind::TelemetryGap => "poisson_silence",
                    _ => "poisson_cusum",
                },
                observed: Observed {
                    value: f64::from(now),
                    baseline: f64::from(expected),
                    threshold: f64::from(expected) * 3.5,
                    unit: Unit::Calls,
                    sample: calls as u64,
                    window_s: f64::from(tick.saturating_sub(onset) * TICK_S),
                },
                confidence: Confidence::High,
            };
            self.raise(finding, tick, out);
        }
    }
}
