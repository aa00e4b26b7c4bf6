//! Normalise: spans and log events of any convention become [`Call`](crate::call::Call)s.
//!
//! [`observe`] reads one span; [`fold`] puts the observations of a trace together, so that a call
//! shown by several spans is one row and every retry is a row of its own. After this stage no
//! attribute name exists. Pure: no I/O, no clock, no lock.

pub mod attributes;
mod conversation;
pub mod evaluations;
mod events;
mod fields;
pub mod fold;
mod indexed;
mod json;
pub mod memory;
mod messages;
mod models;
mod observe;
mod recognise;
mod text;
mod usage;
mod vocabulary;

/// Builds OTLP bodies for scenarios; the integration tests have the same file.
#[cfg(test)]
#[path = "../tests/support/otlp.rs"]
pub(crate) mod otlp;

/// Doors for the fuzzers.
#[doc(hidden)]
pub mod fuzzing;

pub use attributes::{AttributeTable, AttributeTableError};
pub use observe::{Observation, Observer};
pub use recognise::SpanRole;
pub use vocabulary::finish;
