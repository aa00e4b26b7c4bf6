//! In flight: which traces have rows on their way to the disk, and who must wait for them.
//!
//! The memory takes a request's rows as written as soon as it has worked them out. A request that
//! comes meanwhile for the same trace (a resend, a correction) rests on those rows: it is only
//! good when they are. So it waits for their outcome beside its own.
//!
//! Entries are made and looked up under the lock of the memory, so none is missed.

use std::collections::hash_map::Entry;

use foldhash::fast::RandomState;
use tokio::sync::watch;

use super::NotDurable;

/// What became of the rows of one request; `None` while it is not known.
pub type Outcome = Option<Result<(), NotDurable>>;

/// The traces whose rows are under way.
#[derive(Debug, Default)]
pub struct InFlight {
    traces: std::collections::HashMap<[u8; 16], Pending, RandomState>,
}

/// The requests that brought a trace's rows; nearly always one.
#[derive(Debug)]
struct Pending {
    last: watch::Receiver<Outcome>,
    earlier: Vec<watch::Receiver<Outcome>>,
}

/// Answers one request: when its rows, and all that they rest on, are durable.
#[derive(Debug)]
pub struct Ticket {
    awaited: Vec<watch::Receiver<Outcome>>,
}

// === impl InFlight ===

impl InFlight {
    /// The ticket of a request: `touched` are the traces it rests on, `changed` those it brings
    /// rows for. `own` is the outcome of its own rows.
    pub fn enter(
        &mut self,
        touched: &[[u8; 16]],
        changed: &[[u8; 16]],
        own: watch::Receiver<Outcome>,
    ) -> Ticket {
        let mut awaited: Vec<watch::Receiver<Outcome>> = Vec::with_capacity(1);
        for pending in touched.iter().filter_map(|trace| self.traces.get(trace)) {
            for other in pending.earlier.iter().chain([&pending.last]) {
                if !awaited.iter().any(|known| known.same_channel(other)) {
                    awaited.push(other.clone());
                }
            }
        }
        for trace in changed {
            match self.traces.entry(*trace) {
                Entry::Vacant(entry) => {
                    entry.insert(Pending {
                        last: own.clone(),
                        earlier: Vec::new(),
                    });
                }
                Entry::Occupied(mut entry) if !entry.get().last.same_channel(&own) => {
                    let pending = entry.get_mut();
                    let last = std::mem::replace(&mut pending.last, own.clone());
                    pending.earlier.push(last);
                }
                Entry::Occupied(_) => {}
            }
        }
        awaited.push(own);
        Ticket { awaited }
    }

    /// The outcome of a request's rows is known.
    pub fn leave(&mut self, changed: &[[u8; 16]], own: &watch::Receiver<Outcome>) {
        for trace in changed {
            let Entry::Occupied(mut entry) = self.traces.entry(*trace) else {
                continue;
            };
            let pending = entry.get_mut();
            pending.earlier.retain(|other| !other.same_channel(own));
            if pending.last.same_channel(own) {
                match pending.earlier.pop() {
                    Some(before) => pending.last = before,
                    None => _ = entry.remove(),
                }
            }
        }
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.traces.is_empty()
    }
}

// === impl Ticket ===

impl Ticket {
    /// Waits for everything; the first failure is the answer. `None` when somebody who was to
    /// tell has gone.
    pub async fn outcome(self) -> Option<Result<(), NotDurable>> {
        for mut one in self.awaited {
            let outcome = one.wait_for(Option::is_some).await.ok()?.clone()?;
            if outcome.is_err() {
                return Some(outcome);
            }
        }
        Some(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: [u8; 16] = [1; 16];
    const B: [u8; 16] = [2; 16];

    fn failed() -> Outcome {
        Some(Err(NotDurable {
            reason: "disk full".to_owned(),
            retry_after: std::time::Duration::from_secs(1),
        }))
    }

    #[tokio::test]
    async fn a_resend_is_as_good_as_the_rows_it_rests_on() {
        let mut in_flight = InFlight::default();
        let (first, first_rows) = watch::channel(None);
        let (resend, resend_rows) = watch::channel(None);
        let (other, other_rows) = watch::channel(None);
        let _first = in_flight.enter(&[A], &[A], first_rows.clone());
        let resent = in_flight.enter(&[A], &[], resend_rows);
        let unrelated = in_flight.enter(&[B], &[B], other_rows.clone());
        resend.send_replace(Some(Ok(())));
        other.send_replace(Some(Ok(())));
        assert_eq!(unrelated.outcome().await, Some(Ok(())));
        first.send_replace(failed());
        assert_eq!(resent.outcome().await, failed());
        in_flight.leave(&[A], &first_rows);
        in_flight.leave(&[B], &other_rows);
        assert!(in_flight.is_empty());
    }

    #[tokio::test]
    async fn a_third_request_waits_for_both_before_it_in_whichever_order_they_end() {
        for last_first in [true, false] {
            let mut in_flight = InFlight::default();
            let (first, first_rows) = watch::channel(None);
            let (second, second_rows) = watch::channel(None);
            let (third, third_rows) = watch::channel(None);
            let _first = in_flight.enter(&[A], &[A], first_rows.clone());
            let _second = in_flight.enter(&[A], &[A], second_rows.clone());
            let ticket = in_flight.enter(&[A], &[A], third_rows.clone());
            assert_eq!(ticket.awaited.len(), 3);
            third.send_replace(Some(Ok(())));
            first.send_replace(Some(Ok(())));
            second.send_replace(failed());
            assert_eq!(ticket.outcome().await, failed());
            let mut order = [first_rows, second_rows, third_rows];
            if last_first {
                order.reverse();
            }
            for rows in &order {
                in_flight.leave(&[A], rows);
            }
            assert!(in_flight.is_empty());
        }
    }

    #[tokio::test]
    async fn nobody_waits_for_a_committer_that_is_gone() {
        let mut in_flight = InFlight::default();
        let (sender, rows) = watch::channel(None);
        let ticket = in_flight.enter(&[A], &[A], rows);
        drop(sender);
        assert_eq!(ticket.outcome().await, None);
    }
}
