//! Lapwing: an OpenTelemetry collector for LLM calls.
//!
//! The modules in the order the data flows; `ARCHITECTURE.md` has the whole picture.

pub mod call;
mod words;

pub mod clock;

pub mod proto;

pub mod receive;

pub mod decode;
pub mod detect;

pub mod redact;

pub mod normalise;

pub mod enrich;

pub mod alert;

pub mod block;

pub mod store;

pub mod past;

pub mod journal;

pub mod forward;

pub mod config;

pub mod telemetry;

pub mod admin;

pub mod pipeline;

pub mod watch;

pub mod cli;
