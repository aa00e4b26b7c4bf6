//! The commands.
pub mod enrich;
