//! Normalise: spans and log events of any convention become [`Call`](crate::call::Call)s.
//!
//! After this stage no attribute name exists.
