//! From tests that passed the bar to findings: which scope, which kind, new or known.

use super::{
    Change, Confidence, Detector, Kind, Observed, Unit,
    clock::TICK_NS,
    cusum::{Bar, Candidate, TICK_S, Track},
    lattice::{self, Key, PROVIDER_FIRST, SERVICE_FIRST, WHOLE_SERVICE_FIRST, labels},
    ledger::Found,
    raise::Finding,
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
/// Rate limits of an unknown kind without one success for so long are a quota: 3 minutes.
const NO_SUCCESS_TICKS: u32 = 180 / TICK_S;
/// Share of calls that fail when nothing gets through.
const NOTHING_THROUGH: f64 = 0.97;
/// Nats from which a second signal says of what kind the first one is.
const BESIDE: f32 = 4.0;
/// Share of the evidence that a storm needs where calls are known to fail: then it is not one of
/// many scopes at any time, but this one now.
const STORM_SHARE: f32 = 0.5;
/// Signals of a retry storm; their evidence is added up.
const STORM: u32 = Signal::Retry.bit() | Signal::DeepRetry.bit();

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
            let mut enough = test.passed(&bar, tick).is_some();
            let hash = node.hash;
            if evidence > HOT_SHARE * bar.evidence {
                node.hot |= 1 << signal;
            }
            if STORM & (1 << signal) != 0 {
                enough = self.storm(at, bar.evidence) >= bar.evidence;
            }
            if enough {
                passed.push((evidence, hash, at, signal));
            }
        }
        // A storm explains the failures that it multiplies, so it comes first.
        let later = |signal: u8| STORM & (1 << signal) == 0;
        passed.sort_by(|a, b| {
            let evidence = b.0.total_cmp(&a.0);
            later(a.3)
                .cmp(&later(b.3))
                .then(evidence)
                .then(a.1.cmp(&b.1))
        });
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
        let Some(signal) = Signal::ALL.get(usize::from(signal)).copied() else {
            return;
        };
        let Some(kind) = signal.spec().kind else {
            return;
        };
        let best = self.scan(at, signal, kind);
        let Some(node) = self.lattice.get(best) else {
            return;
        };
        let (key, leaves) = (node.key, self.keys(&node.leaves));
        let kind = self.kind_at(kind, at, best);
        let Some(track) = self
            .lattice
            .test(best, signal)
            .map(Candidate::best)
            .cloned()
        else {
            return;
        };
        let found = Found {
            kind,
            key: &key,
            leaves: &leaves,
            onset: track.onset,
            rise: f64::from(track.hits as f32 - track.expected) / f64::from(track.trials.max(1)),
        };
        if let Some(open) = self.ledger.explained(&found, tick) {
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
                false => self.ledger.attach(open, signal.bit()),
            }
            return;
        }
        let scope = labels(&key, &self.names);
        let needed = self.config.evidence(kind, &scope);
        let has = match STORM & signal.bit() != 0 {
            true => self.storm(best, needed),
            false => track.s,
        };
        if has < needed {
            return;
        }
        if let Some(finding) = self.weigh(kind, signal, key, leaves, &track, tick) {
            self.raise(finding, tick, out);
        }
    }

    /// The evidence of a storm at a node, nats; worth more where calls are known to fail.
    fn storm(&self, at: u32, needed: f32) -> f32 {
        let (storm, failing) = self.lattice.storm(at);
        storm / if failing >= needed { STORM_SHARE } else { 1.0 }
    }

    /// What the rise of a signal is called, beside what else rises in the same scope.
    fn kind_at(&self, kind: Kind, at: u32, best: u32) -> Kind {
        let Some(wide) = self.lattice.get(best) else {
            return kind;
        };
        let evidence = |signal: Signal| self.lattice.evidence(at, signal);
        match kind {
            // One service whose clients multiply its failures.
            Kind::ProviderOutage
                if wide.key[1] != 0 && self.lattice.storm(best).0 >= 0.6 * BESIDE =>
            {
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
        signal: Signal,
        key: Key,
        leaves: Vec<Key>,
        track: &Track,
        tick: u32,
    ) -> Option<Finding> {
        let value = f64::from(track.hits) / f64::from(track.trials.max(1));
        let baseline = f64::from(track.expected) / f64::from(track.trials.max(1));
        let least = f64::from(signal.spec().least);
        let (mut kind, mut confidence) = (kind, Confidence::High);
        if kind == Kind::RateLimitSpike {
            let onset_ns = u64::from(track.onset) * TICK_NS;
            let vague = self
                .evidence
                .find(&key, signal.bit(), onset_ns, &self.names)
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
            signals: signal.bit(),
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
    fn scan(&self, at: u32, signal: Signal, kind: Kind) -> u32 {
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
            let raw = |signal| self.lattice.test(*at, signal).map(|t| t.best().raw);
            match kind {
                // Where the failures are is where the storm is.
                Kind::RetryStorm => Some(self.lattice.storm(*at).0 + raw(Signal::Outage)?),
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
}
