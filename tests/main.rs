//! The integration tests: one binary, one module per subject.

/// Builds OTLP bodies that read like a scenario.
#[path = "support/otlp.rs"]
mod otlp;
/// From bodies to the rows that hold after them.
#[path = "support/rows.rs"]
mod rows;
/// The collector as a process, and the programs that send to it.
mod support;

/// Conventions as their documents and sources describe them.
mod conventions;
/// The real binary on its real store, fed by real exporters.
mod e2e;
/// Captured requests of real instrumentations, and the calls they come to.
mod golden;
