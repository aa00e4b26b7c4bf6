//! Store: the schema and ClickHouse, embedded or server.
//!
//! [`Store`] talks to ClickHouse, [`WriteError`] says what to do about its answers; [`schema`] and
//! [`migrate`] make the tables. Nothing outside this module knows that the store is
//! ClickHouse, but for the wire form of the blocks.

pub mod alerts;
mod client;
pub mod embedded;
mod error;
pub mod migrate;
pub mod schema;

pub use client::{Insert, Store, Target, TargetError};
pub use error::WriteError;
