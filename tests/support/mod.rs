//! What the tests that run the real binary share.

#![allow(dead_code, reason = "each test crate that includes this uses a part")]

/// Applications under a real instrumentation, and their provider.
pub mod clients;
/// The collector as a process.
pub mod lapwing;
/// Children that end with the test.
pub mod process;
/// Faults between the collector and its store.
pub mod proxy;
/// Requests, byte by byte.
pub mod send;
/// Conditions and ports.
pub mod wait;
