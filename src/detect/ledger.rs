//! The incidents that are open: one per cause, until it is over.
//!
//! A finding that an open incident explains is attached to it (its impact grows), not raised
//! beside it. An incident closes when what rose has come down by more than half of the rise for
//! ten minutes, or has become the new normal.

use serde::{Deserialize, Serialize};

use super::{
    Change, Incident, Kind, Scope, State,
    attempts::Attempts,
    causes::explains,
    clock::end_of,
    cusum::TICK_S,
    lattice::{Key, contains},
    sample::Sample,
    signal,
};

/// Open incidents; findings beyond are counted only.
const OPEN_MAX: usize = 500;
/// Calm before an incident is closed, ticks: ten minutes.
const CALM_TICKS: u32 = 600 / TICK_S;
/// Hits that are missing before calm is believed, where calls are rare.
const CALM_HITS: f64 = 4.0;
/// A closed incident that comes back within this time is the same one: half an hour.
const REFIRE_TICKS: u32 = 1800 / TICK_S;
/// After 8 hours a level is the new normal.
const ACCEPT_TICKS: u32 = 8 * 3600 / TICK_S;
/// How long a new normal explains its symptoms: a day.
const ACCEPTED_TICKS: u32 = 24 * 3600 / TICK_S;
/// What grows for days is normal after one: 24 hours.
const ACCEPT_SLOW_TICKS: u32 = 24 * 3600 / TICK_S;
/// Leaves remembered of an incident that grows.
const LEAVES_MAX: usize = 1000;
/// Share of the rise below which it counts as over.
const CLOSE_SHARE: f64 = 0.4;
/// A rise so many times that of an incident which has been open for half an hour is another one,
/// not its slow start; for as many calls of late as say so without doubt.
const OUTGROWN: f64 = 4.0;
const OUTGROWN_TRIALS: f64 = 100.0;
/// The gauge forgets half in five minutes, or in ten calls where calls are rare.
const GAUGE_TICKS: f64 = 300.0 / TICK_S as f64;
const GAUGE_CALLS: f64 = 10.0;
/// Effects that begin this long after a model was changed are not its effects: an hour, which is how
/// far back an incident looks for changes that may be its cause.
const MODEL_CHANGE_TICKS: u32 = 3600 / TICK_S;
/// The same for evaluations, which run a few times a day: a day.
const MODEL_CHANGE_EVAL_TICKS: u32 = 24 * 3600 / TICK_S;

/// Open and lately closed incidents.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Ledger {
    pub entries: Vec<Entry>,
    /// Findings that were part of an open incident.
    pub attached: u64,
    /// Findings that found no place.
    pub refused: u64,
}

/// An incident and how it is watched.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    pub incident: Incident,
    pub key: Key,
    /// Leaves that the scope had when it was raised.
    pub leaves: Vec<Key>,
    /// Signals that it is about; 0 = watched by who raised it.
    pub signals: u32,
    /// Signals of its symptoms.
    symptoms: u32,
    pub opened: u32,
    pub onset: u32,
    pub closed: Option<u32>,
    /// How it was closed.
    end: End,
    gauge: Gauge,
    /// Trials and hits since the onset.
    total: (f64, f64),
    calm_since: Option<u32>,
    /// Trials since.
    calm_trials: f64,
    /// Of the minutes before it was raised, and since.
    pub attempts: Attempts,
}

/// How an incident ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// What rose came down.
    Over,
    /// It lasted for so long that it is the new normal.
    Accepted,
    /// It has become so much more, so long after it began, that it is another one.
    Outgrown,
}

/// What an incident leaves behind.
#[derive(Debug, Clone)]
pub struct Ended {
    pub leaves: Vec<Key>,
    /// Signals whose tests begin anew.
    pub signals: u32,
    /// Those of them whose present level is the baseline from now on.
    pub accepted: u32,
}

/// What was found, as far as an open incident may explain it.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    pub kind: Kind,
    pub key: &'a Key,
    pub leaves: &'a [Key],
    /// What is noticed late may have begun at once.
    pub onset: u32,
    /// By how much it rose, in the unit of [`super::Observed`].
    pub rise: f64,
}

/// The share of hits now.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Gauge {
    trials: f64,
    hits: f64,
    tick: u32,
}

// === impl Ledger ===

impl Ledger {
    /// Is there an open incident (or one closed a moment ago) that explains this finding?
    pub fn explained(&self, found: &Found<'_>, tick: u32) -> Option<usize> {
        let within = match found.kind {
            Kind::EvalDrop => MODEL_CHANGE_EVAL_TICKS,
            _ => MODEL_CHANGE_TICKS,
        };
        self.entries.iter().position(|e| {
            let same = e.incident.kind == found.kind && e.is_back(found.rise, tick);
            let age = found.onset.saturating_sub(e.opened);
            let lasting = e.incident.kind != Kind::ModelChange || age <= within;
            let cause = explains(e.incident.kind, found.kind) && lasting && e.lives_at(found.onset);
            (same || cause) && e.touches(found.key, found.leaves)
        })
    }

    /// A symptom is part of an open incident.
    pub fn attach(&mut self, at: usize, signals: u32) {
        self.attached += 1;
        if let Some(entry) = self.entries.get_mut(at) {
            entry.symptoms |= signals;
        }
    }

    /// A finding of the same kind is part of an open incident: the wider scope is the truer one.
    pub fn widen(
        &mut self,
        at: usize,
        key: &Key,
        leaves: &[Key],
        scope: &Scope,
        tick: u32,
        out: &mut Vec<Change>,
    ) {
        self.attached += 1;
        let Some(entry) = self.entries.get_mut(at) else {
            return;
        };
        let more = leaves.iter().filter(|leaf| !entry.leaves.contains(leaf));
        let more: Vec<Key> = more.take(LEAVES_MAX).copied().collect();
        entry.leaves.extend(more);
        if entry.key != *key && contains(key, &entry.key) && entry.closed.is_none() {
            entry.key = *key;
            entry.incident.scope = scope.clone();
            out.push(Change {
                at_ns: end_of(tick),
                state: State::Updated,
                incident: entry.incident.clone(),
            });
        }
    }

    /// Opens an incident.
    pub fn open(&mut self, entry: Entry, out: &mut Vec<Change>) {
        if self.entries.len() >= OPEN_MAX {
            self.refused += 1;
            return;
        }
        out.push(Change {
            at_ns: entry.incident.raised_ns,
            state: State::Opened,
            incident: entry.incident.clone(),
        });
        self.entries.push(entry);
    }

    /// Counts a call in the incidents that it belongs to.
    pub fn count(&mut self, call: &Sample, key: &Key, hits: u32, tick: u32) {
        for entry in &mut self.entries {
            if entry.closed.is_none() && contains(&entry.key, key) {
                entry.count(call, hits, tick);
            }
        }
    }

    /// Closes what is over; once a minute.
    ///
    /// Answers with what may begin anew.
    pub fn sweep(&mut self, tick: u32, out: &mut Vec<Change>) -> Vec<Ended> {
        let mut ended = Vec::new();
        for entry in &mut self.entries {
            if entry.closed.is_none()
                && entry.signals != 0
                && let Some(end) = entry.ends(tick)
            {
                ended.push(entry.close(end, tick, out));
            }
        }
        // What is accepted goes on, and so do its symptoms, until the baselines know them.
        let kept = |e: &Entry| match e.end {
            End::Accepted => e.closed_for(tick) < ACCEPTED_TICKS,
            End::Over => e.is_fresh(tick),
            End::Outgrown => false,
        };
        self.entries.retain(kept);
        ended
    }

    /// Signals of open incidents that touch a leaf, which must not be learned from.
    pub fn signals_of(&self, key: &Key) -> u32 {
        self.entries
            .iter()
            .filter(|e| e.closed.is_none() && contains(&e.key, key))
            .fold(0, |mask, e| mask | e.signals)
    }
}

// === impl Entry ===

impl Entry {
    pub fn new(
        incident: Incident,
        key: Key,
        leaves: Vec<Key>,
        signals: u32,
        onset: u32,
        tick: u32,
    ) -> Entry {
        let trials = GAUGE_CALLS;
        Entry {
            gauge: Gauge {
                trials,
                hits: incident.observed.value * trials,
                tick,
            },
            total: (
                incident.observed.sample as f64,
                incident.observed.value * incident.observed.sample as f64,
            ),
            incident,
            key,
            leaves,
            signals,
            symptoms: 0,
            opened: tick,
            onset,
            closed: None,
            end: End::Over,
            calm_since: None,
            calm_trials: 0.0,
            attempts: Attempts::default(),
        }
    }

    /// Ticks since it was closed; 0 = it is open.
    fn closed_for(&self, tick: u32) -> u32 {
        self.closed.map_or(0, |at| tick.saturating_sub(at))
    }

    /// Is it open, or closed a moment ago?
    fn is_fresh(&self, tick: u32) -> bool {
        self.closed_for(tick) < REFIRE_TICKS
    }

    /// Is what rose by so much this incident, open or come back? What comes back several times as
    /// large is another one.
    fn is_back(&self, rise: f64, tick: u32) -> bool {
        let small = rise <= OUTGROWN * self.rise();
        self.is_fresh(tick) && (self.closed.is_none() || small)
    }

    /// Did it go on when something else began?
    fn lives_at(&self, tick: u32) -> bool {
        let over = self.calm_since.or(self.closed);
        self.end == End::Accepted || over.is_none_or(|over| tick <= over)
    }

    /// By how much the number rose.
    fn rise(&self) -> f64 {
        let seen = &self.incident.observed;
        (seen.value - seen.baseline).max(0.0)
    }

    /// Do the scopes share calls?
    fn touches(&self, key: &Key, leaves: &[Key]) -> bool {
        let mut wide = self.key;
        let [tenant, ..] = &mut wide;
        let [other, ..] = key;
        if *tenant != 0 && *other != 0 && tenant != other {
            return false;
        }
        *tenant = 0;
        leaves.iter().any(|leaf| contains(&wide, leaf))
    }

    fn count(&mut self, call: &Sample, hits: u32, tick: u32) {
        let impact = &mut self.incident.impact;
        impact.calls += 1;
        impact.failed += u64::from(call.failed);
        impact.tokens += call.tokens() as u64;
        if let Some(cost) = call.cost {
            *impact.cost_usd.get_or_insert(0.0) += f64::from(cost);
        }
        self.attempts.count(call);
        impact.amplification = self.attempts.amplification();
        let gauge = &mut self.gauge;
        let passed = f64::from(tick.saturating_sub(gauge.tick));
        let rare = 0.5_f64.powf(1.0 / GAUGE_CALLS);
        let keep = 0.5_f64.powf(passed / GAUGE_TICKS).max(rare);
        let hit = if hits & self.signals != 0 { 1.0 } else { 0.0 };
        self.total.0 += 1.0;
        self.calm_trials += 1.0;
        self.total.1 += hit;
        gauge.trials = gauge.trials * keep + 1.0;
        gauge.hits = gauge.hits * keep + hit;
        gauge.tick = tick;
    }

    /// Has it come to its end?
    fn ends(&mut self, tick: u32) -> Option<End> {
        // What was seen at first was seen because it was much; the mean since is lower.
        let seen = &self.incident.observed;
        let value = seen.value.min(self.total.1 / self.total.0.max(1.0));
        let limit = seen.baseline + CLOSE_SHARE * (value - seen.baseline).max(0.0);
        let now = self.gauge.hits / self.gauge.trials.max(1.0);
        if now - seen.baseline > OUTGROWN * self.rise()
            && self.gauge.trials >= OUTGROWN_TRIALS
            && tick.saturating_sub(self.opened) > REFIRE_TICKS
        {
            return Some(End::Outgrown);
        }
        if now > limit {
            self.calm_since = None;
            self.calm_trials = 0.0;
            let slow = matches!(
                self.incident.kind,
                Kind::ContextGrowth | Kind::CostBurn | Kind::InputShift
            );
            let lasts = if slow {
                ACCEPT_SLOW_TICKS
            } else {
                ACCEPT_TICKS
            };
            return (tick.saturating_sub(self.opened) > lasts).then_some(End::Accepted);
        }
        let since = *self.calm_since.get_or_insert(tick);
        let enough =
            self.calm_trials * value >= CALM_HITS || tick.saturating_sub(since) > ACCEPT_TICKS;
        (tick.saturating_sub(since) >= CALM_TICKS && enough).then_some(End::Over)
    }

    /// Ends it.
    pub fn close(&mut self, end: End, tick: u32, out: &mut Vec<Change>) -> Ended {
        self.closed = Some(tick);
        self.end = end;
        self.incident.ended_ns = Some(end_of(self.calm_since.unwrap_or(tick)));
        out.push(Change {
            at_ns: end_of(tick),
            state: State::Closed,
            incident: self.incident.clone(),
        });
        let seen = self.signals | self.symptoms;
        Ended {
            leaves: self.leaves.clone(),
            signals: seen | signal::of_kind(self.incident.kind),
            accepted: if end == End::Accepted { seen } else { 0 },
        }
    }
}
