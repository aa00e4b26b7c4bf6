//! End to end: the real binary on its real store, fed by real exporters, and by bad ones.

/// From a failing span to a webhook.
mod alert;
/// The stored past before the detector of today.
mod backtest;
/// Requests that are wrong, and what is right beside them.
mod bad_input;
/// Secrets and personal data, and that they are nowhere.
mod canaries;
/// Kill -9 with an oracle.
mod crash;
/// What a person runs who does not see calls.
mod doctor;
/// One row per model call, whichever exporter brought it.
mod exporters;
/// What the detector is told live, and of the store.
mod facts;
/// What is passed on to another collector.
mod forward;
/// `lapwing journal`, on a journal with everything wrong.
mod journal;
/// Evidence that comes after the row it belongs to.
mod late_evidence;
/// Starts, stops and deaths.
mod lifecycle;
/// A network that loses, cuts and repeats.
mod loss;
/// What was sent against what is found.
mod oracle;
/// A store that is away for long.
mod outage;
/// Journals that are full or fail.
mod room;
/// A ClickHouse of somebody else's.
mod server_mode;
/// What came of tool calls, and what judges said of answers.
mod tool_calls;
/// The queries of dashboards on spans.
mod trace_queries;
