//! What the outbox is told and tells: messages, outcomes, and the notes that the log keeps.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A rendered message to one receiver. Keys of the receiver are not in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Idempotency key.
    pub id: String,
    pub receiver: String,
    pub body: String,
    /// What it is about: messages that share one stay in order.
    pub alert_ids: Vec<String>,
    pub created_ns: u64,
    pub attempts: u32,
    pub next_at_ns: u64,
    /// Why the last attempt failed.
    pub reason: String,
}

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Delivered {
        status: Option<u16>,
    },
    /// It may succeed later.
    Retry {
        status: Option<u16>,
        reason: String,
        after: Option<Duration>,
    },
    /// It never will.
    Refused {
        status: Option<u16>,
        reason: String,
    },
    /// Neither will any other message to this receiver.
    Gone {
        status: Option<u16>,
        reason: String,
    },
}

impl Outcome {
    /// As in the history.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Delivered { .. } => "delivered",
            Outcome::Retry { .. } => "failed",
            Outcome::Refused { .. } | Outcome::Gone { .. } => "dead",
        }
    }
}

/// A message that was given up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dead {
    pub message: Message,
    pub reason: String,
    pub at_ns: u64,
}

/// A receiver that said it is gone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Disabled {
    pub reason: String,
    pub at_ns: u64,
    /// [`crate::alert::options::Receiver::hash`] at that time.
    pub config: u64,
}

/// What changed, for the state log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Note {
    Put(Message),
    Again {
        receiver: String,
        id: String,
        attempts: u32,
        next_at_ns: u64,
        reason: String,
    },
    Done {
        receiver: String,
        id: String,
    },
    Dead {
        receiver: String,
        id: String,
        reason: String,
        at_ns: u64,
    },
    /// A dead letter is sent once more.
    Replay {
        receiver: String,
        id: String,
        at_ns: u64,
    },
    Disabled {
        receiver: String,
        disabled: Option<Disabled>,
    },
}
