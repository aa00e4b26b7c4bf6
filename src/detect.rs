//! Detect: from the facts of model calls to incidents.
//!
//! A pure state machine on event time: it is told [`Fact`]s and the passing of time, and answers
//! with [`Change`]s of incidents. It does no I/O, reads no clock and sees no prompt text, so live
//! traffic, a replayed file and a backtest over stored history give the same incidents. Turning an
//! incident into a message that a person reads is `alert`'s work.
//!
//! `docs/detector.md` says how it works and where every constant comes from.

mod attempts;
mod baseline;
mod cases;
mod causes;
mod clock;
mod config;
mod cusum;
mod detector;
mod evals;
mod evidence;
mod fact;
mod fit;
mod incident;
mod judge;
mod keys;
mod lattice;
mod leaf;
mod ledger;
mod level;
mod models;
mod names;
mod news;
mod poisson;
mod raise;
mod recent;
mod sample;
mod signal;
mod sketch;
mod snapshot;
mod tenant;
mod traffic;
mod volume;
mod watch;

#[cfg(test)]
mod tests;

pub use config::{Budget, DetectorConfig, Override, Period, Sensitivity, StaticRule};
pub use detector::{Counters, Detector};
pub use fact::{BadFacts, CallFact, ERROR_BYTES_MAX, EvalFact, Fact, passed};
pub use incident::{
    BlastRadius, Change, Confidence, Delta, Dimension, Exemplar, Impact, Incident, Kind, Observed,
    Scope, Severity, Share, State, Unit, UnknownKind,
};
pub use snapshot::SnapshotError;
