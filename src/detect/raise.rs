//! From findings to incidents: what an incident says of itself, and how it ends.

use super::{
    Change, Confidence, Detector, Incident, Kind, Observed, Scope, Severity, Unit,
    attempts::Attempts,
    clock::{TICK_NS, end_of},
    lattice::{self, Key, labels},
    ledger::{End, Ended, Entry, Found},
    signal::Signal,
};

/// A rise of so many of all calls wakes somebody.
const PAGE_RISE: f64 = 0.25;
/// Scopes named as not affected.
const NOT_AFFECTED: usize = 6;

/// Something that should be an incident.
pub(super) struct Finding {
    pub kind: Kind,
    pub key: Key,
    pub leaves: Vec<Key>,
    pub signals: u32,
    pub onset: u32,
    pub rule: &'static str,
    pub observed: Observed,
    pub confidence: Confidence,
}

impl Detector {
    pub(super) fn keys(&self, leaves: &[u32]) -> Vec<Key> {
        leaves
            .iter()
            .filter_map(|at| self.leaves.get(*at as usize).map(|leaf| leaf.key))
            .collect()
    }

    /// Leaves inside of a scope.
    pub(super) fn leaves_in(&self, key: &Key) -> Vec<Key> {
        let mut wide = *key;
        wide[0] = 0;
        let inside = self
            .leaves
            .iter()
            .filter(|l| lattice::contains(&wide, &l.key));
        inside.map(|l| l.key).collect()
    }

    /// Makes an incident of a finding, unless the configuration or an open one says otherwise.
    pub(super) fn raise(&mut self, finding: Finding, tick: u32, out: &mut Vec<Change>) {
        let scope = labels(&finding.key, &self.names);
        let silenced = self.config.disabled.contains(&finding.kind)
            || self
                .config
                .override_of(finding.kind, &scope)
                .is_some_and(|o| o.disabled);
        if silenced {
            return;
        }
        let found = Found {
            kind: finding.kind,
            key: &finding.key,
            leaves: &finding.leaves,
            onset: finding.onset,
            rise: finding.observed.value - finding.observed.baseline,
        };
        if self.ledger.explained(&found, tick).is_some() {
            self.ledger.attached += 1;
            return;
        }
        let onset_ns = u64::from(finding.onset) * TICK_NS;
        let found = self
            .evidence
            .find(&finding.key, finding.signals, onset_ns, &self.names);
        let raised_ns = end_of(tick) + u64::from(self.config.lateness_s) * 1_000_000_000;
        let id = self.names.stable(&finding.key)
            ^ (finding.kind as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ^ u64::from(finding.onset).wrapping_mul(0xd6e8_feb8_6659_fd93);
        let is_failure = finding.signals & (Signal::Tool.bit() * 2 - 1) != 0;
        let observed = finding.observed;
        let calls = observed.sample;
        let incident = Incident {
            id,
            kind: finding.kind,
            severity: severity(finding.kind, &observed),
            not_affected: self.not_affected(&finding.key, finding.signals),
            scope,
            onset_ns,
            raised_ns,
            ended_ns: None,
            failure_class: if is_failure {
                found.class
            } else {
                String::new()
            },
            rule: finding.rule.to_owned(),
            confidence: finding.confidence,
            exemplars: found.exemplars,
            codes: found.codes,
            error: found.error,
            blast_radius: found.blast_radius,
            changes: found.changes,
            impact: super::Impact {
                calls,
                failed: if is_failure {
                    (observed.value * calls as f64).round() as u64
                } else {
                    0
                },
                tenants: found.tenants,
                amplification: self.attempts(&finding.leaves).amplification(),
                ..super::Impact::default()
            },
            observed,
        };
        let mut entry = Entry::new(
            incident,
            finding.key,
            finding.leaves,
            finding.signals,
            finding.onset,
            tick,
        );
        entry.attempts = self.attempts(&entry.leaves);
        self.ledger.open(entry, out);
    }

    /// The attempts of the last minutes.
    fn attempts(&self, leaves: &[Key]) -> Attempts {
        let places = leaves.iter().filter_map(|key| self.leaf_of.get(key));
        let leaves = places.filter_map(|at| self.leaves.get(*at as usize));
        leaves
            .filter_map(|leaf| leaf.warm.as_ref())
            .fold(Attempts::default(), |sum, warm| sum.plus(warm.attempts))
    }

    /// Scopes of the same level that have tests without evidence.
    fn not_affected(&self, key: &Key, signals: u32) -> Vec<Scope> {
        let shape = |k: &Key| k.map(|sym| sym != 0);
        let mut well: Vec<_> = self
            .lattice
            .nodes
            .iter()
            .filter(|n| {
                !n.leaves.is_empty()
                    && shape(&n.key) == shape(key)
                    && n.key != *key
                    && self.lattice.tests_of(n).active & signals == 0
            })
            .collect();
        well.sort_by_key(|n| n.hash);
        well.truncate(NOT_AFFECTED);
        well.iter().map(|n| labels(&n.key, &self.names)).collect()
    }

    /// Closes the open incident of a kind with this very scope.
    pub(super) fn close(&mut self, kind: Kind, key: &Key, tick: u32, out: &mut Vec<Change>) {
        self.end(kind, key, End::Over, tick, out);
    }

    /// Ends the open incident of a kind with this very scope.
    pub(super) fn end(
        &mut self,
        kind: Kind,
        key: &Key,
        end: End,
        tick: u32,
        out: &mut Vec<Change>,
    ) {
        let mut ended = Vec::new();
        for entry in &mut self.ledger.entries {
            if entry.incident.kind == kind && entry.key == *key && entry.closed.is_none() {
                ended.push(entry.close(end, tick, out));
            }
        }
        for ended in &ended {
            self.begin_anew(ended);
        }
    }

    /// Ends the tests at every node that an incident which is over touched; what has become
    /// normal is the baseline from now on.
    pub(super) fn begin_anew(&mut self, ended: &Ended) {
        let mut nodes = self.tenant_nodes.clone();
        for at in ended.leaves.iter().filter_map(|key| self.leaf_of.get(key)) {
            if let Some(leaf) = self.leaves.get_mut(*at as usize) {
                nodes.extend(&leaf.nodes);
                leaf.accept(ended.accepted);
            }
        }
        for at in nodes {
            if let Some(node) = self.lattice.nodes.get_mut(at as usize) {
                for signal in Signal::ALL.iter().filter(|s| s.bit() & ended.signals != 0) {
                    node.drop_test(signal.index() as u8);
                }
            }
        }
    }
}

fn severity(kind: Kind, observed: &Observed) -> Severity {
    use Kind::*;
    match kind {
        QuotaExhausted | AuthFailure | ProviderOutage | RetryStorm | RunawayTenant | CostBurn
        | TelemetryGap => Severity::Page,
        QuotaLow | ModelDeprecation | ModelChange | EvalDrop | ContextGrowth | InputShift => {
            Severity::Ticket
        }
        _ if observed.unit == Unit::Ratio && observed.value - observed.baseline >= PAGE_RISE => {
            Severity::Page
        }
        _ => Severity::Ticket,
    }
}
