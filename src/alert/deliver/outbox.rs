//! Outbox: which message is sent when, and what its answer means. Pure; told the time.
//!
//! Invariants: a message leaves it delivered or as a dead letter with a reason. Messages about the
//! same alert reach a receiver in their order. A message that is known, waiting, delivered or
//! dead, is not taken in again.

mod words;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use crate::alert::{
    history::{DeliveryRow, Row},
    options::Retry,
};

pub use self::words::{Dead, Disabled, Message, Note, Outcome};

/// Waiting, delivered and dead messages.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: VecDeque<Message>,
    done: VecDeque<(String, String)>,
    done_set: BTreeSet<(String, String)>,
    dead: VecDeque<Dead>,
    disabled: BTreeMap<String, Disabled>,
}

/// Messages that wait; the oldest becomes a dead letter when there are more.
const WAITING_MAX: usize = 5_000;
/// Dead letters that are kept.
const DEAD_MAX: usize = 1_000;
/// Keys of delivered messages that are remembered.
const DONE_MAX: usize = 5_000;
/// The longest pause that a receiver may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);

// === impl Outbox ===

impl Outbox {
    /// Takes a note in, from now or from the log.
    pub fn apply(&mut self, note: Note) {
        match note {
            Note::Put(message) => self.waiting.push_back(message),
            Note::Again {
                receiver,
                id,
                attempts,
                next_at_ns,
                reason,
            } => {
                if let Some(message) = self.waiting_mut(&receiver, &id) {
                    (message.attempts, message.next_at_ns, message.reason) =
                        (attempts, next_at_ns, reason);
                }
            }
            Note::Done { receiver, id } => {
                self.take(&receiver, &id);
                self.done_set.insert((receiver.clone(), id.clone()));
                self.done.push_back((receiver, id));
                if self.done.len() > DONE_MAX
                    && let Some(old) = self.done.pop_front()
                {
                    self.done_set.remove(&old);
                }
            }
            Note::Dead {
                receiver,
                id,
                reason,
                at_ns,
            } => {
                let Some(message) = self.take(&receiver, &id) else {
                    return;
                };
                self.dead.push_back(Dead {
                    message,
                    reason,
                    at_ns,
                });
                if self.dead.len() > DEAD_MAX {
                    self.dead.pop_front();
                }
            }
            Note::Replay {
                receiver,
                id,
                at_ns,
            } => {
                let at = self
                    .dead
                    .iter()
                    .position(|d| d.message.receiver == receiver && d.message.id == id);
                let Some(dead) = at.and_then(|at| self.dead.remove(at)) else {
                    return;
                };
                self.waiting.push_back(Message {
                    attempts: 0,
                    next_at_ns: at_ns,
                    created_ns: at_ns,
                    ..dead.message
                });
            }
            Note::Disabled {
                receiver,
                disabled: Some(disabled),
            } => {
                self.disabled.insert(receiver, disabled);
            }
            Note::Disabled {
                receiver,
                disabled: None,
            } => {
                self.disabled.remove(&receiver);
            }
        }
    }

    /// Everything as notes, for a fresh log.
    pub fn notes(&self) -> Vec<Note> {
        let done = self.done.iter().map(|(receiver, id)| Note::Done {
            receiver: receiver.clone(),
            id: id.clone(),
        });
        let dead = self.dead.iter().flat_map(|dead| {
            let (receiver, id) = (dead.message.receiver.clone(), dead.message.id.clone());
            let buried = Note::Dead {
                receiver,
                id,
                reason: dead.reason.clone(),
                at_ns: dead.at_ns,
            };
            [Note::Put(dead.message.clone()), buried]
        });
        let disabled = self
            .disabled
            .iter()
            .map(|(receiver, disabled)| Note::Disabled {
                receiver: receiver.clone(),
                disabled: Some(disabled.clone()),
            });
        let waiting = self.waiting.iter().cloned().map(Note::Put);
        done.chain(dead).chain(disabled).chain(waiting).collect()
    }

    /// Takes a message in, unless it is known.
    pub fn put(&mut self, message: Message) -> Vec<Note> {
        let (receiver, id) = (&message.receiver, &message.id);
        let waits = self
            .waiting
            .iter()
            .chain(self.dead.iter().map(|d| &d.message));
        let known = waits
            .into_iter()
            .any(|m| &m.id == id && &m.receiver == receiver)
            || self.done_set.contains(&(receiver.clone(), id.clone()));
        if known {
            return Vec::new();
        }
        let mut notes = Vec::new();
        if let Some(oldest) = self
            .waiting
            .front()
            .filter(|_| self.waiting.len() >= WAITING_MAX)
        {
            notes.push(Note::Dead {
                receiver: oldest.receiver.clone(),
                id: oldest.id.clone(),
                reason: format!("{WAITING_MAX} messages wait: the oldest is given up"),
                at_ns: message.created_ns,
            });
        }
        let disabled = self.disabled.get(receiver).map(|disabled| Note::Dead {
            receiver: receiver.clone(),
            id: id.clone(),
            reason: format!("the receiver is disabled: {}", disabled.reason),
            at_ns: message.created_ns,
        });
        notes.push(Note::Put(message));
        notes.extend(disabled);
        self.all(notes)
    }

    /// The message that a receiver is sent now.
    pub fn next(&self, receiver: &str, now_ns: u64) -> Option<&Message> {
        let mut earlier: BTreeSet<&str> = BTreeSet::new();
        for message in self.waiting.iter().filter(|m| m.receiver == receiver) {
            let in_order = message
                .alert_ids
                .iter()
                .all(|id| !earlier.contains(id.as_str()));
            if in_order && message.next_at_ns <= now_ns {
                return Some(message);
            }
            earlier.extend(message.alert_ids.iter().map(String::as_str));
        }
        None
    }

    /// What came of an attempt. `config` is the receiver's hash.
    pub fn attempted(
        &mut self,
        sent: &Message,
        outcome: Outcome,
        config: u64,
        retry: &Retry,
        now_ns: u64,
    ) -> (Vec<Note>, Option<Row>) {
        let Some(message) = self
            .waiting_mut(&sent.receiver, &sent.id)
            .map(|m| m.clone())
        else {
            return (Vec::new(), None);
        };
        let attempt = message.attempts + 1;
        let (receiver, id) = (message.receiver.clone(), message.id.clone());
        let dead = |reason: &str| Note::Dead {
            receiver: receiver.clone(),
            id: id.clone(),
            reason: reason.to_owned(),
            at_ns: now_ns,
        };
        let row = |outcome: &str, http_status, reason: &str| {
            Row::Delivery(Box::new(DeliveryRow {
                timestamp_ns: now_ns,
                id: id.clone(),
                receiver: receiver.clone(),
                alert_ids: message.alert_ids.clone(),
                outcome: outcome.to_owned(),
                attempt,
                http_status,
                reason: reason.to_owned(),
            }))
        };
        let (notes, row) = match outcome {
            Outcome::Delivered { status } => {
                let done = Note::Done {
                    receiver: receiver.clone(),
                    id: id.clone(),
                };
                (vec![done], row("delivered", status, ""))
            }
            Outcome::Refused { status, reason } => {
                (vec![dead(&reason)], row("dead", status, &reason))
            }
            Outcome::Gone { status, reason } => {
                let others = self
                    .waiting
                    .iter()
                    .filter(|m| m.receiver == receiver && m.id != id);
                let mut notes = vec![dead(&reason)];
                notes.extend(others.map(|m| Note::Dead {
                    receiver: receiver.clone(),
                    id: m.id.clone(),
                    reason: format!("the receiver is disabled: {reason}"),
                    at_ns: now_ns,
                }));
                let disabled = Disabled {
                    reason: reason.clone(),
                    at_ns: now_ns,
                    config,
                };
                notes.push(Note::Disabled {
                    receiver: receiver.clone(),
                    disabled: Some(disabled),
                });
                (notes, row("dead", status, &reason))
            }
            Outcome::Retry {
                status,
                reason,
                after,
            } => {
                let pause = pause(retry, attempt, after, &id);
                let age = Duration::from_nanos(now_ns.saturating_sub(message.created_ns));
                if age + pause > retry.give_up_after {
                    let reason = format!("given up after {attempt} attempts: {reason}");
                    (vec![dead(&reason)], row("dead", status, &reason))
                } else {
                    let again = Note::Again {
                        receiver: receiver.clone(),
                        id: id.clone(),
                        attempts: attempt,
                        next_at_ns: now_ns.saturating_add(nanos(pause)),
                        reason: reason.clone(),
                    };
                    (vec![again], row("failed", status, &reason))
                }
            }
        };
        (self.all(notes), Some(row))
    }

    /// Sends a dead letter once more.
    pub fn replay(&mut self, receiver: &str, id: &str, now_ns: u64) -> Option<Vec<Note>> {
        self.dead
            .iter()
            .find(|d| d.message.receiver == receiver && d.message.id == id)?;
        let enabled = self
            .disabled
            .contains_key(receiver)
            .then(|| Note::Disabled {
                receiver: receiver.to_owned(),
                disabled: None,
            });
        let replay = Note::Replay {
            receiver: receiver.to_owned(),
            id: id.to_owned(),
            at_ns: now_ns,
        };
        Some(self.all(enabled.into_iter().chain([replay]).collect()))
    }

    /// A receiver that is configured anew is no longer disabled.
    pub fn configured(&mut self, receiver: &str, config: u64) -> Vec<Note> {
        let changed = self
            .disabled
            .get(receiver)
            .is_some_and(|d| d.config != config);
        let note = Note::Disabled {
            receiver: receiver.to_owned(),
            disabled: None,
        };
        self.all(changed.then_some(note).into_iter().collect())
    }

    /// Messages to receivers that are no longer there are given up.
    pub fn orphans(&mut self, receivers: &BTreeSet<&str>, now_ns: u64) -> Vec<Note> {
        let orphan = |m: &&Message| !receivers.contains(m.receiver.as_str());
        let notes = self.waiting.iter().filter(orphan).map(|m| Note::Dead {
            receiver: m.receiver.clone(),
            id: m.id.clone(),
            reason: "the receiver is no longer configured".to_owned(),
            at_ns: now_ns,
        });
        let notes = notes.collect();
        self.all(notes)
    }

    pub fn waiting(&self) -> impl Iterator<Item = &Message> {
        self.waiting.iter()
    }

    pub fn dead(&self) -> impl Iterator<Item = &Dead> {
        self.dead.iter()
    }

    pub fn disabled(&self) -> &BTreeMap<String, Disabled> {
        &self.disabled
    }

    pub fn is_done(&self, receiver: &str, id: &str) -> bool {
        self.done_set
            .contains(&(receiver.to_owned(), id.to_owned()))
    }

    fn all(&mut self, notes: Vec<Note>) -> Vec<Note> {
        notes.iter().cloned().for_each(|note| self.apply(note));
        notes
    }

    fn waiting_mut(&mut self, receiver: &str, id: &str) -> Option<&mut Message> {
        self.waiting
            .iter_mut()
            .find(|m| m.receiver == receiver && m.id == id)
    }

    fn take(&mut self, receiver: &str, id: &str) -> Option<Message> {
        let at = self
            .waiting
            .iter()
            .position(|m| m.receiver == receiver && m.id == id)?;
        self.waiting.remove(at)
    }
}

/// Doubles from attempt to attempt, give or take a fifth; never less than the receiver asks for.
fn pause(retry: &Retry, attempt: u32, after: Option<Duration>, id: &str) -> Duration {
    let doubled = retry
        .min
        .saturating_mul(1 << (attempt - 1).min(20))
        .min(retry.max);
    // Spread over messages and processes: replicas must not knock together.
    let seed = format!("{id} {attempt} {}", std::process::id());
    let spread = twox_hash::XxHash3_64::oneshot(seed.as_bytes()) % 401;
    let jittered = doubled.mul_f64(0.8 + spread as f64 / 1_000.0);
    jittered.max(after.unwrap_or_default().min(RETRY_AFTER_MAX))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
