//! Learning from the store: a detector without a state runs over what is stored, so that a lost
//! state, or a new collector beside an old one, costs no baseline.
//!
//! What was over is not told again; what still goes on is. Not here: how rows become facts.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant},
};

use super::Watcher;
use crate::{
    clock,
    detect::{Detector, Fact, State},
    past,
    store::{Store, WriteError},
};

/// Volumes and evaluations look back a week.
const LEARN_NS: u64 = 7 * 86_400_000_000_000;
/// Rows that are learned from: the newest. A slow machine reads as many in half of
/// [`LEARN_TIME_MAX`].
const ROWS_MAX: u64 = 1_000_000;
/// How long it may learn, and how often it looks whether it must end: nothing is detected meanwhile.
const LEARN_TIME_MAX: Duration = Duration::from_secs(60);
const LEARN_LOOK: Duration = Duration::from_millis(100);
/// Facts of the journal that say where it begins.
const FIRST_FACTS: usize = 101;
/// ClickHouse's numbers for a store that nothing was made in yet.
const UNKNOWN_TABLE: u32 = 60;
const UNKNOWN_DATABASE: u32 = 81;

impl Watcher {
    /// Learns, for a minute at most, and tells what still goes on.
    pub(super) fn learn(&mut self, store: &Store, stop: &AtomicBool) {
        // What is in the journal will be told from there.
        let to_ns = self.journal_begins_ns().unwrap_or_else(clock::wall_ns);
        let (mut changes, mut open) = (Vec::new(), HashMap::new());
        let detector = &mut self.detector;
        let told = learn_from(store, to_ns, detector, |detector, fact| {
            detector.observe(fact, &mut changes);
            for change in changes.drain(..) {
                match change.state {
                    State::Opened | State::Updated => open.insert(change.incident.id, change),
                    State::Closed => open.remove(&change.incident.id),
                };
            }
        });
        let over = async {
            let begun = Instant::now();
            while !stop.load(Relaxed) && begun.elapsed() < LEARN_TIME_MAX {
                tokio::time::sleep(LEARN_LOOK).await;
            }
        };
        let told = self.runtime.block_on(async {
            tokio::select! {
                told = told => Some(told),
                () = over => None,
            }
        });
        match told {
            // It was stopped in the past, which says nothing about what goes on.
            None => {
                tracing::warn!(
                    "the detector had no time to learn from all that is stored, and begins with a part of it"
                );
                return;
            }
            Some(Ok(0)) => {}
            Some(Ok(facts)) => tracing::info!(facts, "the detector learned from what is stored"),
            // A new store has no tables yet.
            Some(Err(error)) if matches!(error.code(), Some(UNKNOWN_TABLE | UNKNOWN_DATABASE)) => {}
            Some(Err(error)) => {
                tracing::warn!(%error, "the detector begins without what is stored");
            }
        }
        self.tell(open.into_values().collect());
    }

    /// When the first facts in the journal ended, which may be in the store as well: the middle one
    /// of them, so that one wrong clock does not decide. `None` = there are no facts.
    fn journal_begins_ns(&self) -> Option<u64> {
        let mut ends = Vec::with_capacity(FIRST_FACTS);
        for record in self.journal.facts_since(self.at) {
            let Ok((_, facts)) = record else { break };
            let facts = Fact::read_all(&facts).filter_map(Result::ok);
            ends.extend(facts.map(|mut fact| *super::end_of(&mut fact)));
            if ends.len() >= FIRST_FACTS {
                break;
            }
        }
        ends.truncate(FIRST_FACTS);
        ends.sort_unstable();
        ends.get(ends.len() / 2).copied()
    }
}

async fn learn_from(
    store: &Store,
    to_ns: u64,
    detector: &mut Detector,
    mut see: impl FnMut(&mut Detector, &Fact<'_>),
) -> Result<u64, WriteError> {
    let stored = past::survey(store, to_ns.saturating_sub(LEARN_NS), to_ns).await?;
    let newest = stored.newest(ROWS_MAX);
    past::tell(store, &newest, |fact| see(detector, fact)).await
}
