//! What people ask for: silences, and taking an alert on.

use std::collections::BTreeSet;

use super::{Decision, Manager, ManagerError, SILENCES_MAX};
use crate::alert::{
    history::Row,
    model::{Acknowledgement, Silence},
    text,
};

impl Manager {
    /// Adds a silence, or changes the one of this id.
    pub fn silence(&mut self, now_ns: u64, silence: Silence) -> Result<Decision, ManagerError> {
        let known = self.state.silences.contains_key(&silence.id);
        if !known && self.state.silences.len() >= SILENCES_MAX {
            return Err(ManagerError::TooManySilences(SILENCES_MAX));
        }
        if silence.ends_at_ns <= silence.starts_at_ns {
            return Err(ManagerError::EndsBeforeBegin);
        }
        let mut decision = Decision::default();
        decision
            .silences
            .insert(silence.id.clone(), Some(silence.clone()));
        self.state.silences.insert(silence.id.clone(), silence);
        Ok(self.settle(now_ns, decision))
    }

    /// Ends a silence now.
    pub fn unsilence(&mut self, now_ns: u64, id: &str) -> Result<Decision, ManagerError> {
        let Some(silence) = self.state.silences.get_mut(id) else {
            return Err(ManagerError::NoSilence(id.to_owned()));
        };
        silence.ends_at_ns = silence.ends_at_ns.min(now_ns);
        let mut decision = Decision::default();
        decision
            .silences
            .insert(id.to_owned(), Some(silence.clone()));
        Ok(self.settle(now_ns, decision))
    }

    /// The silences of the file, all of them: those that are gone from it end.
    pub fn silences_of_file(&mut self, now_ns: u64, silences: Vec<Silence>) -> Decision {
        let mut decision = Decision::default();
        let named: BTreeSet<&str> = silences.iter().map(|s| s.id.as_str()).collect();
        let gone = |s: &&Silence| s.from_file && !named.contains(s.id.as_str());
        let gone: Vec<String> = self
            .state
            .silences
            .values()
            .filter(gone)
            .map(|s| s.id.clone())
            .collect();
        for id in gone {
            self.state.silences.remove(&id);
            decision.silences.insert(id, None);
        }
        for silence in silences {
            decision
                .silences
                .insert(silence.id.clone(), Some(silence.clone()));
            self.state.silences.insert(silence.id.clone(), silence);
        }
        self.settle(now_ns, decision)
    }

    /// Somebody takes an alert on: no more reminders, unless it gets worse.
    pub fn acknowledge(
        &mut self,
        now_ns: u64,
        id: &str,
        by: &str,
        comment: &str,
    ) -> Result<Decision, ManagerError> {
        let alert = self.state.alerts.get(id);
        let mut alert = alert
            .cloned()
            .ok_or_else(|| ManagerError::NoAlert(id.to_owned()))?;
        if !alert.is_open() {
            return Err(ManagerError::Over(id.to_owned()));
        }
        alert.acknowledged = Some(Acknowledgement {
            by: text::line(by, 100),
            comment: text::line(comment, 500),
            at_ns: now_ns,
            severity: alert.incident.severity,
        });
        let mut decision = Decision::default();
        decision
            .rows
            .push(Row::of(&alert, "acknowledged", by, now_ns));
        self.put(alert, &mut decision);
        Ok(self.settle(now_ns, decision))
    }
}
