//! The commands.
pub mod enrich;
pub mod query;
pub mod schema;
