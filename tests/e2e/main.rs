//! End to end: the real binary on its real store, fed by real exporters.

/// The collector as a process, and the programs that send to it.
#[path = "../support/mod.rs"]
mod support;

/// One row per model call, whichever exporter brought it.
mod exporters;
