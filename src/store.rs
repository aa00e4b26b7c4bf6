//! Store: the schema, the batches, and ClickHouse, embedded or server.

pub mod embedded;
