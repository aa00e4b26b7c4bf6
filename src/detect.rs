//! Detect: from the facts of model calls to incidents.
//!
//! A pure state machine on event time: it is told [`Fact`]s and the passing of time, and answers
//! with [`Change`]s of incidents. It does no I/O, reads no clock and sees no prompt text, so live
//! traffic, a replayed file and a backtest over stored history give the same incidents. Turning an
//! incident into a message that a person reads is `alert`'s work.

mod fact;
mod incident;

pub use fact::{CallFact, EvalFact, Fact};
pub use incident::{
    BlastRadius, Change, Confidence, Delta, Dimension, Exemplar, Impact, Incident, Kind, Observed,
    Scope, Severity, Share, State, Unit, UnknownKind,
};
