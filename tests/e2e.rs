//! End to end: the real binary on its real store, fed by real exporters.

/// One row per model call, whichever exporter brought it.
mod exporters;
