//! What is not statistics: lists of models, budgets, fixed limits, and the limits that providers tell.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Change, Confidence, Detector, Dimension, Kind, Observed, Period, Unit,
    clock::TICK_NS,
    config::{self, lies_in},
    cusum::TICK_S,
    lattice::{self, Key, labels},
    raise::Finding,
    sample::Sample,
};

/// A notice that was not seen again for a day is over.
const NOTICE_TICKS: u32 = 86_400 / TICK_S;
/// Notices that are kept; more are not raised.
const NOTICES_MAX: usize = 10_000;
/// Share of a limit that is left when it is told, and when it is over.
const LOW: (f64, f64) = (0.1, 0.3);
/// Answers over which the share is smoothed, and needed.
const HEADERS: f64 = 10.0;
/// A budget is told before it is spent, when half of it is gone and the pace goes beyond it.
const FORECAST_SHARE: f64 = 0.5;
/// Levels of the lattice: service and model; model.
const SERVICE_MODEL: u8 = 3;
const MODEL: u8 = 5;

/// The state of lists, budgets and limits.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Watch {
    #[serde(with = "pairs")]
    notices: BTreeMap<(Kind, Key), u32>,
    #[serde(with = "pairs")]
    headroom: BTreeMap<(Key, bool), Headroom>,
    /// Money of each budget: period, spent, told.
    budgets: Vec<(u64, f64, bool)>,
    /// Minutes of each rule: tick, calls, hits.
    rules: Vec<Vec<(u32, f64, f64)>>,
}

/// What is left of a limit.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Headroom {
    limit: f64,
    share: f64,
    seen: f64,
    low: bool,
}

impl Detector {
    /// Looks at a call.
    pub(super) fn watch_call(
        &mut self,
        call: &Sample,
        key: &Key,
        tick: u32,
        out: &mut Vec<Change>,
    ) {
        let listed = |list: &[String], name: &str| list.iter().any(|p| config::matches(p, name));
        let model = self.names.text(key[Dimension::RequestModel as usize]);
        let answered = self.names.text(call.response_model);
        let approved = &self.config.approved_models;
        let unapproved = !approved.is_empty()
            && ((!model.is_empty() && !listed(approved, model))
                || (!answered.is_empty() && !listed(approved, answered)));
        let old = &self.config.deprecated_models;
        let deprecated = !old.is_empty() && (listed(old, model) || listed(old, answered));
        if unapproved {
            self.notice(Kind::UnapprovedModel, SERVICE_MODEL, key, tick, out);
        }
        if deprecated {
            self.notice(Kind::ModelDeprecation, SERVICE_MODEL, key, tick, out);
        }
        if let Some((left, tokens)) = call.remaining {
            self.headroom(left, tokens, key, tick, out);
        }
        self.count_rules(call, key, tick);
        self.spend(call, key, tick, out);
    }

    /// Raises what a list says, once.
    fn notice(&mut self, kind: Kind, level: u8, key: &Key, tick: u32, out: &mut Vec<Change>) {
        let Some(own) = lattice::project(level, key) else {
            return;
        };
        if let Some(seen) = self.watch.notices.get_mut(&(kind, own)) {
            *seen = tick;
            return;
        }
        if self.watch.notices.len() >= NOTICES_MAX {
            return;
        }
        self.watch.notices.insert((kind, own), tick);
        let observed = observed(1.0, 0.0, 1.0, Unit::None, tick, tick);
        self.tell(kind, own, tick, "model_list", observed, tick, out);
    }

    fn headroom(&mut self, left: u64, tokens: bool, key: &Key, tick: u32, out: &mut Vec<Change>) {
        let Some(own) = lattice::project(MODEL, key) else {
            return;
        };
        let room = self.watch.headroom.entry((own, tokens)).or_default();
        // Providers tell what is left; the most that ever was left is the limit.
        room.limit = room.limit.max(left as f64);
        room.seen += 1.0;
        let share = left as f64 / room.limit.max(1.0);
        room.share += (share - room.share) / HEADERS.min(room.seen);
        let (share, was) = (room.share, room.low);
        if room.seen >= HEADERS {
            room.low = share < if was { LOW.1 } else { LOW.0 };
        }
        match (was, room.low) {
            (false, true) => {
                let observed = observed(share, 1.0, LOW.0, Unit::Ratio, tick, tick);
                self.tell(
                    Kind::QuotaLow,
                    own,
                    tick,
                    "limit_headers",
                    observed,
                    tick,
                    out,
                );
            }
            (true, false) => self.close(Kind::QuotaLow, &own, tick, out),
            _ => {}
        }
    }

    fn count_rules(&mut self, call: &Sample, key: &Key, tick: u32) {
        if self.config.rules.is_empty() {
            return;
        }
        self.watch.rules.resize(self.config.rules.len(), Vec::new());
        let scope = labels(key, &self.names);
        let class = self.names.text(call.class);
        for (rule, minutes) in self.config.rules.iter().zip(&mut self.watch.rules) {
            if !lies_in(&scope, &rule.scope) {
                continue;
            }
            let hit = call.failed && class.starts_with(rule.failure_class.as_str());
            let minute = tick / (60 / TICK_S);
            match minutes.last_mut() {
                Some(last) if last.0 == minute => {
                    last.1 += 1.0;
                    last.2 += f64::from(u8::from(hit));
                }
                _ => minutes.push((minute, 1.0, f64::from(u8::from(hit)))),
            }
        }
    }

    fn spend(&mut self, call: &Sample, key: &Key, tick: u32, out: &mut Vec<Change>) {
        let Some(cost) = call.cost.filter(|_| !self.config.budgets.is_empty()) else {
            return;
        };
        self.watch
            .budgets
            .resize(self.config.budgets.len(), (0, 0.0, false));
        let scope = labels(key, &self.names);
        let mut over = Vec::new();
        for (budget, state) in self.config.budgets.iter().zip(&mut self.watch.budgets) {
            if !lies_in(&scope, &budget.scope) {
                continue;
            }
            let length = match budget.period {
                Period::Hour => 3600,
                Period::Day => 86_400,
                Period::Month => 30 * 86_400,
            };
            let seconds = call.end_ns / 1_000_000_000;
            if state.0 != seconds / length {
                *state = (seconds / length, 0.0, false);
            }
            state.1 += f64::from(cost * call.weight);
            let passed = (seconds % length + 1) as f64 / length as f64;
            let spent = state.1 / budget.usd.max(1e-9);
            if !state.2 && (spent >= 1.0 || spent >= FORECAST_SHARE && spent / passed > 1.0) {
                state.2 = true;
                over.push((budget.scope.clone(), state.1, budget.usd));
            }
        }
        for (scope, spent, usd) in over {
            let mut own = Key::default();
            for (dimension, values) in &scope {
                if let [value] = &values[..] {
                    own[*dimension as usize] = self.names.intern(value);
                }
            }
            let observed = observed(spent, usd, usd, Unit::Usd, tick, tick);
            self.tell(
                Kind::BudgetExceeded,
                own,
                tick,
                "budget",
                observed,
                tick,
                out,
            );
        }
    }

    /// Ends the minute: fixed limits are looked at, old notices end.
    pub(super) fn end_watch_minute(&mut self, tick: u32, out: &mut Vec<Change>) {
        let mut told = Vec::new();
        for (rule, minutes) in self.config.rules.iter().zip(&mut self.watch.rules) {
            let first =
                (tick / (60 / TICK_S)).saturating_sub(rule.window_s.div_ceil(60).max(1) - 1);
            minutes.retain(|m| m.0 >= first);
            let (calls, hits) = minutes
                .iter()
                .fold((0.0, 0.0), |sum, m| (sum.0 + m.1, sum.1 + m.2));
            if calls >= f64::from(rule.calls_min.max(1)) {
                told.push((
                    rule.kind,
                    rule.scope.clone(),
                    hits / calls,
                    rule.above,
                    calls,
                ));
            }
        }
        for (kind, scope, share, above, calls) in told {
            let mut own = Key::default();
            for (dimension, values) in &scope {
                if let [value] = &values[..] {
                    own[*dimension as usize] = self.names.intern(value);
                }
            }
            if share <= above {
                self.close_rule(kind, &own, tick, out);
                continue;
            }
            let mut observed = observed(share, above, above, Unit::Ratio, tick, tick);
            observed.sample = calls as u64;
            self.tell(kind, own, tick, "static_rule", observed, tick, out);
        }
        let over: Vec<(Kind, Key)> = self
            .watch
            .notices
            .iter()
            .filter(|(_, seen)| tick.saturating_sub(**seen) > NOTICE_TICKS)
            .map(|(at, _)| *at)
            .collect();
        for (kind, key) in over {
            self.watch.notices.remove(&(kind, key));
            self.close(kind, &key, tick, out);
        }
    }

    fn close_rule(&mut self, kind: Kind, key: &Key, tick: u32, out: &mut Vec<Change>) {
        let entries = &self.ledger.entries;
        let ours = entries
            .iter()
            .any(|e| e.incident.kind == kind && e.key == *key && e.incident.rule == "static_rule");
        if ours {
            self.close(kind, key, tick, out);
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn tell(
        &mut self,
        kind: Kind,
        key: Key,
        onset: u32,
        rule: &'static str,
        observed: Observed,
        tick: u32,
        out: &mut Vec<Change>,
    ) {
        let finding = Finding {
            kind,
            key,
            leaves: self.leaves_in(&key),
            signals: 0,
            onset,
            rule,
            observed,
            confidence: Confidence::High,
        };
        self.raise(finding, tick, out);
    }
}

fn observed(
    value: f64,
    baseline: f64,
    threshold: f64,
    unit: Unit,
    onset: u32,
    tick: u32,
) -> Observed {
    Observed {
        value,
        baseline,
        threshold,
        unit,
        sample: 1,
        window_s: (u64::from(tick - onset) * TICK_NS) as f64 / 1e9,
    }
}

/// Maps with keys that are no strings, as lists of pairs.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<K: Serialize, V: Serialize, S: Serializer>(
        map: &BTreeMap<K, V>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(map)
    }

    pub fn deserialize<'de, K, V, D>(from: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        K: Deserialize<'de> + Ord,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        Ok(Vec::<(K, V)>::deserialize(from)?.into_iter().collect())
    }
}
