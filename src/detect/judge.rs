//! From tests that passed the bar to incidents: which scope, which kind, new or known.

use super::{
    Change, Confidence, Detector, Incident, Kind, Observed, Scope, Severity, Unit,
    clock::{TICK_NS, end_of},
    cusum::{Bar, Candidate, TICK_S, Track},
    lattice::{self, Key, PROVIDER_FIRST, SERVICE_FIRST, WHOLE_SERVICE_FIRST, labels},
    ledger::Entry,
    signal::Signal,
};

/// Share of the needed evidence from which a key is no longer learned from.
const HOT_SHARE: f32 = 0.45;
/// Nats that must stand without the strongest minute.
const OUTSIDE: f32 = 5.0;
/// Hits below which nothing is raised.
const HITS_MIN: u32 = 4;
/// Scopes that explain equally well, nats: a call that was good or bad by chance gives as much.
const EQUAL: f32 = 0.5;
/// A rise of so many of all calls wakes somebody.
const PAGE_RISE: f64 = 0.25;
/// Rate limits of an unknown kind without one success for so long are a quota: 3 minutes.
const NO_SUCCESS_TICKS: u32 = 180 / TICK_S;
/// Share of calls that fail when nothing gets through.
const NOTHING_THROUGH: f64 = 0.97;
/// Nats from which a second signal says of what kind the first one is.
const BESIDE: f32 = 4.0;
/// Signals of a retry storm; their evidence is added up.
const STORM: u32 = Signal::Retry.bit() | Signal::DeepRetry.bit();
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
    /// Ends the tick of every test that got evidence; raises what passed.
    pub(super) fn judge(&mut self, tick: u32, out: &mut Vec<Change>) {
        let mut passed: Vec<(f32, u64, u32, u8)> = Vec::new();
        for (at, signal) in std::mem::take(&mut self.touched) {
            let bar = self.bar(signal);
            let Some(node) = self.lattice.nodes.get_mut(at as usize) else {
                continue;
            };
            let Some(place) = node.candidates.iter().position(|c| c.signal == signal) else {
                continue;
            };
            let Some(test) = node.candidates.get_mut(place) else {
                continue;
            };
            if !test.step(tick, &bar) {
                node.drop_test(signal);
                if node.active == 0 && self.is_tenant(at) {
                    self.drop_tenant(at);
                }
                continue;
            }
            let evidence = test.evidence();
            if evidence > HOT_SHARE * bar.evidence {
                node.hot |= 1 << signal;
            }
            let enough = match STORM & (1 << signal) != 0 {
                true => node.storm() >= bar.evidence,
                false => node
                    .test(signal)
                    .is_some_and(|t| t.passed(&bar, tick).is_some()),
            };
            if enough {
                passed.push((evidence, node.hash, at, signal));
            }
        }
        passed.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        for (_, _, at, signal) in passed {
            self.found(at, signal, tick, out);
        }
    }

    fn bar(&self, signal: u8) -> Bar {
        let spec = Signal::ALL.get(usize::from(signal)).map(|s| s.spec());
        let window = spec.map_or(0, |s| s.blip_s) / TICK_S;
        Bar {
            evidence: self.config.least_evidence(),
            outside: OUTSIDE,
            hits: HITS_MIN,
            window,
        }
    }

    /// A test passed: names the scope that explains it best, and raises.
    fn found(&mut self, at: u32, signal: u8, tick: u32, out: &mut Vec<Change>) {
        let Some(kind) = Signal::ALL
            .get(usize::from(signal))
            .and_then(|s| s.spec().kind)
        else {
            return;
        };
        let best = self.scan(at, signal, kind);
        let Some(node) = self.lattice.get(best) else {
            return;
        };
        let (key, leaves) = (node.key, self.keys(&node.leaves));
        let kind = self.kind_at(kind, at, best);
        if let Some(open) = self.ledger.explained(kind, &key, &leaves, tick) {
            let same = self
                .ledger
                .entries
                .get(open)
                .is_some_and(|e| e.incident.kind == kind);
            match same {
                true => {
                    self.ledger
                        .widen(open, &key, &leaves, &labels(&key, &self.names), tick, out)
                }
                false => self.ledger.attach(open, 1 << signal),
            }
            return;
        }
        let Some(track) = node.test(signal).map(Candidate::best) else {
            return;
        };
        let scope = labels(&key, &self.names);
        if track.s < self.config.evidence(kind, &scope) {
            return;
        }
        if let Some(finding) = self.weigh(kind, signal, key, leaves, &track.clone(), tick) {
            self.raise(finding, tick, out);
        }
    }

    /// What the rise of a signal is called, beside what else rises in the same scope.
    fn kind_at(&self, kind: Kind, at: u32, best: u32) -> Kind {
        let (Some(node), Some(wide)) = (self.lattice.get(at), self.lattice.get(best)) else {
            return kind;
        };
        let evidence = |signal: Signal| {
            node.test(signal.index() as u8)
                .map_or(0.0, Candidate::evidence)
        };
        match kind {
            // One service whose clients multiply its failures.
            Kind::ProviderOutage if wide.key[1] != 0 && wide.storm() >= 0.6 * BESIDE => {
                Kind::RetryStorm
            }
            // Longer prompts alone are growth; longer answers too are somebody spending.
            Kind::ContextGrowth | Kind::CostBurn
                if evidence(Signal::OutputHigh) >= BESIDE / 2.0 =>
            {
                Kind::CostBurn
            }
            Kind::CostBurn if evidence(Signal::InputHigh) >= BESIDE => Kind::ContextGrowth,
            other => other,
        }
    }

    /// The last look at a finding: is it of the kind that the signal says?
    fn weigh(
        &self,
        kind: Kind,
        signal: u8,
        key: Key,
        leaves: Vec<Key>,
        track: &Track,
        tick: u32,
    ) -> Option<Finding> {
        let value = f64::from(track.hits) / f64::from(track.trials.max(1));
        let baseline = f64::from(track.expected) / f64::from(track.trials.max(1));
        let spec = Signal::ALL.get(usize::from(signal)).map(|s| s.spec());
        let least = f64::from(spec.map_or(0.0, |s| s.least));
        let (mut kind, mut confidence) = (kind, Confidence::High);
        if kind == Kind::RateLimitSpike {
            let onset_ns = u64::from(track.onset) * TICK_NS;
            let vague = self
                .evidence
                .find(&key, 1 << signal, onset_ns, &self.names)
                .vague;
            if vague > 0.5 {
                confidence = Confidence::Medium;
                if value >= NOTHING_THROUGH {
                    if tick - track.onset < NO_SUCCESS_TICKS {
                        return None;
                    }
                    kind = Kind::QuotaExhausted;
                }
            }
        }
        Some(Finding {
            kind,
            key,
            leaves,
            signals: 1 << signal,
            onset: track.onset,
            rule: "likelihood_ratio_cusum",
            observed: Observed {
                value,
                baseline,
                // The smallest rise that is looked for: what people can compare the value with.
                threshold: baseline + least * (1.0 - baseline),
                unit: Unit::Ratio,
                sample: u64::from(track.trials),
                window_s: f64::from((tick - track.onset + 1) * TICK_S),
            },
            confidence,
        })
    }

    /// The node with the most evidence among those that share leaves with a node.
    fn scan(&self, at: u32, signal: u8, kind: Kind) -> u32 {
        let Some(node) = self.lattice.get(at) else {
            return at;
        };
        let order = match kind {
            Kind::RateLimitSpike
            | Kind::QuotaExhausted
            | Kind::ProviderOutage
            | Kind::LatencyShift
            | Kind::EmptyRise => PROVIDER_FIRST,
            Kind::ToolErrorRise | Kind::RetryStorm => WHOLE_SERVICE_FIRST,
            _ => SERVICE_FIRST,
        };
        let mut near: Vec<u32> = Vec::new();
        for leaf in &node.leaves {
            if let Some(leaf) = self.leaves.get(*leaf as usize) {
                near.extend(&leaf.nodes);
            }
        }
        near.sort_unstable();
        near.dedup();
        near.extend(self.tenant_nodes.iter().filter(|t| {
            self.lattice
                .get(**t)
                .is_some_and(|t| t.leaves.iter().any(|l| node.leaves.contains(l)))
        }));
        let evidence = |at: &u32| {
            let node = self.lattice.get(*at)?;
            let raw = |s: u8| node.test(s).map(|t| t.best().raw);
            match kind {
                // Where the failures are is where the storm is.
                Kind::RetryStorm => Some(node.storm() + raw(Signal::Outage.index() as u8)?),
                _ => raw(signal),
            }
        };
        let scored: Vec<(f32, u32)> = near
            .iter()
            .filter_map(|at| Some((evidence(at)?, *at)))
            .collect();
        let most = scored.iter().map(|(e, _)| *e).fold(f32::MIN, f32::max);
        // The smallest of those that explain it; of equal ones the one that is told most naturally.
        let size = |at: u32| {
            let node = self.lattice.get(at);
            let rank = node.and_then(|n| order.get(usize::from(n.level)));
            let calls = |n: &lattice::Node| -> u64 {
                if n.level == lattice::TENANT_LEVEL {
                    return 0;
                }
                let leaves = n.leaves.iter().filter_map(|l| self.leaves.get(*l as usize));
                leaves.map(|l| u64::from(l.calls)).sum()
            };
            (node.map_or(0, calls), rank.copied(), node.map(|n| n.hash))
        };
        let equal = scored
            .iter()
            .filter(|(e, _)| *e >= most - EQUAL)
            .map(|(_, at)| *at);
        equal.min_by_key(|at| size(*at)).unwrap_or(at)
    }

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
        if self
            .ledger
            .explained(finding.kind, &finding.key, &finding.leaves, tick)
            .is_some()
        {
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
                ..super::Impact::default()
            },
            observed,
        };
        let entry = Entry::new(
            incident,
            finding.key,
            finding.leaves,
            finding.signals,
            finding.onset,
            tick,
        );
        self.ledger.open(entry, out);
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
                    && n.active & signals == 0
            })
            .collect();
        well.sort_by_key(|n| n.hash);
        well.truncate(NOT_AFFECTED);
        well.iter().map(|n| labels(&n.key, &self.names)).collect()
    }

    /// Closes the open incident of a kind with this very scope.
    pub(super) fn close(&mut self, kind: Kind, key: &Key, tick: u32, out: &mut Vec<Change>) {
        let mut ended = Vec::new();
        for entry in &mut self.ledger.entries {
            if entry.incident.kind == kind && entry.key == *key && entry.closed.is_none() {
                entry.close(tick, out);
                ended.push(entry.begins_anew());
            }
        }
        for (leaves, signals) in ended {
            self.begin_anew(&leaves, signals);
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
