//! The last minutes of a busy key: what its signals were like just before now.
//!
//! A share that drifts within hours does not jump within a minute. Where a signal has so many hits
//! that a few minutes tell its level, the level of these minutes is what it is compared with, and
//! how a minute differs from those before it is how much minutes differ. Counts come in a minute
//! late, and not while something may be going on; what is not renewed fades.

use serde::{Deserialize, Serialize};

use super::signal::SIGNALS;

/// What remains of the counts after a minute: a half-life of ten.
const KEEP: f32 = 0.933;
/// Hits from which the minutes say the level to some eight percent. In balance these are ten hits a
/// minute, with which a doubled share shows before it is taken for the level.
const HITS_MIN: f32 = 150.0;
/// Minutes that must be among them, faded like the counts: ten in a row, so that the beginning of a
/// batch says nothing of the rest.
const MINUTES_MIN: f32 = 7.0;

/// Trials and hits of the last minutes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Recent {
    trials: [f32; SIGNALS],
    hits: [f32; SIGNALS],
    /// The last minute, which is not among them yet.
    last: [[u16; SIGNALS]; 2],
    minutes: f32,
    at_minute: u32,
}

impl Recent {
    /// Takes a minute in; `held` are the signals that something may be going on with.
    pub fn add(&mut self, minute: u32, counts: [[u16; SIGNALS]; 2], held: u32) {
        let passed = minute.saturating_sub(std::mem::replace(&mut self.at_minute, minute));
        let keep = KEEP.powf(passed as f32);
        self.minutes = self.minutes * keep + 1.0;
        let [trials, hits] = std::mem::replace(&mut self.last, counts);
        for signal in 0..SIGNALS {
            self.trials[signal] *= keep;
            self.hits[signal] *= keep;
            if held >> signal & 1 == 0 {
                self.trials[signal] += f32::from(trials[signal]);
                self.hits[signal] += f32::from(hits[signal]);
            } else {
                self.last[0][signal] = 0;
                self.last[1][signal] = 0;
            }
        }
    }

    /// Trials and hits of a signal, where they are enough to say its level.
    pub fn level(&self, signal: usize) -> Option<(f32, f32)> {
        let hits = self.hits.get(signal).copied()?;
        let trials = self.trials.get(signal).copied()?;
        (hits >= HITS_MIN && self.minutes >= MINUTES_MIN).then_some((trials, hits))
    }

    /// Forgets signals, whose level was accepted as another.
    pub fn forget(&mut self, signals: u32) {
        for signal in (0..SIGNALS).filter(|signal| signals >> signal & 1 != 0) {
            (self.trials[signal], self.hits[signal]) = (0.0, 0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNAL: usize = 5;

    fn minute(trials: u16, hits: u16) -> [[u16; SIGNALS]; 2] {
        let mut counts = [[0; SIGNALS]; 2];
        (counts[0][SIGNAL], counts[1][SIGNAL]) = (trials, hits);
        counts
    }

    fn share(recent: &Recent) -> Option<f32> {
        recent.level(SIGNAL).map(|(trials, hits)| hits / trials)
    }

    #[test]
    fn the_minutes_of_a_busy_key_say_its_level() {
        let (mut busy, mut quiet) = (Recent::default(), Recent::default());
        for at in 1..30 {
            busy.add(at, minute(1000, 20), 0);
            quiet.add(at, minute(100, 2), 0);
            let told = share(&busy).map(|share| (share * 1000.0).round());
            assert_eq!(told, (at >= 12).then_some(20.0), "minute {at}");
        }
        assert_eq!(share(&quiet), None);
    }

    #[test]
    fn what_may_be_an_incident_is_no_level_and_a_level_that_is_not_renewed_is_forgotten() {
        let mut recent = Recent::default();
        for at in 1..30 {
            recent.add(at, minute(5000, 100), 0);
        }
        // The first odd minute is held back with the one that was waiting.
        for at in 30..40 {
            recent.add(at, minute(5000, 2000), 1 << SIGNAL);
            assert_eq!(
                share(&recent).map(|share| (share * 1000.0).round()),
                Some(20.0)
            );
        }
        recent.add(90, minute(5000, 100), 0);
        assert_eq!(share(&recent), None);
    }
}
