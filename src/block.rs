//! Block: rows become ClickHouse Native blocks, ready to be inserted as they are.
