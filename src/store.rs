//! Store: the schema, the batches, and ClickHouse, embedded or server.
//!
//! [`Writer`] takes blocks and says when they are stored; [`Store`] talks to ClickHouse;
//! [`schema`] and [`migrate`] make the tables. Nothing outside this module knows that the store is
//! ClickHouse, but for the wire form of the blocks.

pub mod alerts;
mod client;
pub mod embedded;
mod error;
pub mod migrate;
pub mod schema;
mod writer;

pub use client::{Insert, Store, Target, TargetError};
pub use error::WriteError;
pub use writer::{BatchConfig, CommitError, TableStats, Writer};
