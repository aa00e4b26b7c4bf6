//! Resends: the same request again, because its sender never saw the answer.
//!
//! Exporters send a batch again, byte for byte, when a connection breaks before the answer. Known
//! by a hash of its bytes, it is answered as the first time and not stored a second time; while the
//! first is still under way, it waits for that one. Only what was acknowledged or is under way is
//! known; what was refused is worked out anew. Bounded by count and age.
//!
//! Not here: the same span in another request ([`super::in_flight`], and the memory of traces).

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use foldhash::fast::RandomState;
use tokio::sync::watch;
use twox_hash::XxHash3_128;

use crate::receive::{Encoding, Payload, Receipt, Signal};

/// Requests that are known; at 200 a second the last five minutes.
const REQUESTS_MAX: usize = 65_536;
/// How long each is known, in seconds: exporters give up after five minutes.
const AGE_MAX_S: u64 = 600;

/// The requests that were acknowledged lately or are under way.
#[derive(Debug, Default)]
pub struct Resends {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    known: HashMap<u128, State, RandomState>,
    /// Acknowledged ones with their times, oldest first.
    order: VecDeque<(u128, u64)>,
}

/// `None` while it is not known what becomes of the request; then how many items it rejected, or
/// `None` if it was refused.
type End = Option<Option<u32>>;

#[derive(Debug)]
enum State {
    UnderWay(watch::Sender<End>),
    /// With this many items rejected.
    Acknowledged(u32),
}

/// What a request is.
#[derive(Debug)]
pub enum Arrival<'r> {
    New(Entered<'r>),
    /// Acknowledged before, with this many items rejected.
    Known(u32),
    /// Sent again before the first was answered.
    UnderWay(watch::Receiver<End>),
}

/// A request that is being worked through. Dropped before its rows are in a group, it was never
/// here.
#[derive(Debug)]
pub struct Entered<'r> {
    resends: &'r Resends,
    key: u128,
    handed_over: bool,
}

/// How a request is known again: by its bytes, and what they are.
pub fn key(payload: &Payload) -> u128 {
    let signal = match payload.signal {
        Signal::Traces => 0,
        Signal::Logs => 1,
        Signal::Metrics => 2,
    };
    let encoding = match payload.encoding {
        Encoding::Protobuf => 0,
        Encoding::Json => 8,
    };
    XxHash3_128::oneshot_with_seed(signal + encoding, &payload.body)
}

/// The answer to a request that was acknowledged before.
pub fn receipt(rejected: u32) -> Receipt {
    Receipt {
        rejected: u64::from(rejected),
        message: match rejected {
            0 => String::new(),
            _ => {
                "some items of this request can never be accepted; see the first answer".to_owned()
            }
        },
    }
}

// === impl Resends ===

impl Resends {
    /// Looks the request up, and takes it in if it is new.
    pub fn enter(&self, key: u128, now_s: u64) -> Arrival<'_> {
        let mut inner = self.inner();
        inner.forget(now_s);
        match inner.known.get(&key) {
            Some(State::Acknowledged(rejected)) => return Arrival::Known(*rejected),
            Some(State::UnderWay(end)) => return Arrival::UnderWay(end.subscribe()),
            None => {}
        }
        let end = watch::Sender::new(None);
        inner.known.insert(key, State::UnderWay(end));
        Arrival::New(Entered {
            resends: self,
            key,
            handed_over: false,
        })
    }

    /// What became of a request: durable but for so many rejected items, or refused (`None`).
    ///
    /// Told by whoever commits the rows, not by whoever waits for the answer: a sender that gave
    /// up waiting is the very one that sends again.
    pub fn end(&self, key: u128, now_s: u64, rejected: Option<u64>) {
        let rejected = rejected.map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        let mut inner = self.inner();
        let was = match rejected {
            Some(rejected) => inner.acknowledge(key, now_s, rejected),
            None => inner.known.remove(&key),
        };
        drop(inner);
        if let Some(State::UnderWay(end)) = was {
            end.send_replace(Some(rejected));
        }
    }

    /// Requests acknowledged by an earlier run.
    pub fn remember(&self, requests: impl IntoIterator<Item = (u128, u64)>) {
        let mut inner = self.inner();
        for (key, at_s) in requests {
            _ = inner.acknowledge(key, at_s, 0);
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn acknowledge(&mut self, key: u128, at_s: u64, rejected: u32) -> Option<State> {
        self.order.push_back((key, at_s));
        self.known.insert(key, State::Acknowledged(rejected))
    }

    fn forget(&mut self, now_s: u64) {
        let old = |at: u64| at.saturating_add(AGE_MAX_S) < now_s;
        while self.order.len() > REQUESTS_MAX || self.order.front().is_some_and(|(_, at)| old(*at))
        {
            if let Some((key, _)) = self.order.pop_front() {
                self.known.remove(&key);
            }
        }
    }
}

// === impl Entered ===

impl Entered<'_> {
    pub fn key(&self) -> u128 {
        self.key
    }

    /// Its rows are in a group: from here on the group's end is its end.
    pub fn hand_over(mut self) {
        self.handed_over = true;
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        if !self.handed_over {
            self.resends.end(self.key, 0, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(resends: &Resends, key: u128, now_s: u64) -> Entered<'_> {
        match resends.enter(key, now_s) {
            Arrival::New(entered) => entered,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_acknowledged_request_is_known_for_a_while() {
        let resends = Resends::default();
        new(&resends, 7, 100).hand_over();
        resends.end(7, 100, Some(2));
        assert!(matches!(
            resends.enter(7, 100 + AGE_MAX_S),
            Arrival::Known(2)
        ));
        new(&resends, 7, 101 + AGE_MAX_S).hand_over();
    }

    #[test]
    fn a_refused_request_is_new_again() {
        let resends = Resends::default();
        drop(new(&resends, 7, 100));
        new(&resends, 7, 100).hand_over();
        resends.end(7, 100, None);
        drop(new(&resends, 7, 100));
    }

    #[test]
    fn a_request_that_is_under_way_is_waited_for_also_when_its_sender_has_gone() {
        let resends = Resends::default();
        new(&resends, 7, 100).hand_over();
        let Arrival::UnderWay(end) = resends.enter(7, 100) else {
            panic!("the first is under way");
        };
        assert_eq!(*end.borrow(), None);
        resends.end(7, 100, Some(0));
        assert_eq!(*end.borrow(), Some(Some(0)));
    }

    #[test]
    fn the_oldest_are_forgotten_first() {
        let resends = Resends::default();
        resends.remember((0..=REQUESTS_MAX as u128).map(|key| (key, 100)));
        drop(new(&resends, 0, 100));
        assert!(matches!(resends.enter(1, 100), Arrival::Known(0)));
    }
}
