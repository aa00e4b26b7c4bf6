//! Conventions as their documents and sources describe them.
