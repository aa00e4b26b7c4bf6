//! Deliver: from a message on disk to a receiver that has it, or a dead letter with the reason.
//!
//! [`outbox`] decides what is sent when and is pure; [`send`] sends one message once. A message is
//! sent at least once and carries the same idempotency key each time; it is given up only for a
//! reason that is kept with it.

pub mod address;
pub mod outbox;
pub mod send;
pub mod sign;
pub mod smtp;
