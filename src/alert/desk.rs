//! Desk: the one place where alerts, outbox and log come together.
//!
//! Whatever happens becomes one line of the log before anybody acts on it. If the disk takes no
//! more, alerts still go out: at night a message that may be repeated after a crash is better than
//! none.

mod trial;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::{
    deliver::outbox::{Message, Note, Outbox, Outcome},
    history::Row,
    log::{self, Book, Entry, Log},
    manager::{Decision, Manager, ManagerError, Policy},
    model::{Alert, Event, Notification, Silence, Status},
    options::{Options, Receiver, Via},
    render::{self, Context},
    route::{Routes, Target},
    runbook::Runbooks,
};
use crate::detect::Change;

pub use self::trial::TestReport;
pub(super) use self::trial::test_notification;

/// Rows of the history that wait for the store; the oldest go when there are more.
const ROWS_MAX: usize = 20_000;

/// Alerts, outbox and log.
pub(super) struct Desk {
    pub options: Options,
    pub manager: Manager,
    pub outbox: Outbox,
    rows: BTreeMap<u64, Row>,
    next_row: u64,
    log: Log,
    broken: bool,
    pub rows_dropped: u64,
    /// Attempts to deliver by receiver and outcome, since the start.
    pub attempts: BTreeMap<(String, &'static str), u64>,
}

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeskError {
    #[error(transparent)]
    Manager(#[from] ManagerError),
    #[error("there is no receiver {0:?}; there are {1}")]
    NoReceiver(String, String),
    #[error("there is no dead letter {0} for {1}")]
    NoDeadLetter(String, String),
}

// === impl Desk ===

impl Desk {
    pub fn new(options: Options, books: Arc<Runbooks>, log: Log, book: Book) -> Desk {
        let manager = Manager::new(policy(&options), books, book.state);
        Desk {
            next_row: book.rows.keys().next_back().map_or(1, |n| n + 1),
            rows: book.rows,
            options,
            manager,
            outbox: book.outbox,
            log,
            broken: false,
            rows_dropped: 0,
            attempts: BTreeMap::new(),
        }
    }

    /// Other receivers, routes and texts from now on.
    pub fn configure(&mut self, options: Options, books: Arc<Runbooks>) {
        self.manager.policy = policy(&options);
        self.manager.runbooks = books;
        self.options = options;
    }

    /// After a start or a reload: what the configuration changes about what was.
    pub fn begin(&mut self, now_ns: u64, silences: Vec<Silence>) {
        let mut notes = Vec::new();
        for receiver in &self.options.receivers {
            notes.extend(self.outbox.configured(&receiver.name, receiver.hash()));
        }
        let names: BTreeSet<&str> = self
            .options
            .receivers
            .iter()
            .map(|r| r.name.as_str())
            .collect();
        notes.extend(self.outbox.orphans(&names, now_ns));
        let decision = self.manager.silences_of_file(now_ns, silences);
        self.commit(now_ns, decision, notes, Vec::new());
    }

    pub fn change(&mut self, now_ns: u64, change: Change) {
        let decision = self.manager.change(now_ns, change);
        self.decided(now_ns, decision);
    }

    pub fn tick(&mut self, now_ns: u64) {
        let decision = self.manager.tick(now_ns);
        self.decided(now_ns, decision);
    }

    pub fn silence(&mut self, now_ns: u64, silence: Silence) -> Result<(), DeskError> {
        let decision = self.manager.silence(now_ns, silence)?;
        self.decided(now_ns, decision);
        Ok(())
    }

    pub fn unsilence(&mut self, now_ns: u64, id: &str) -> Result<(), DeskError> {
        let decision = self.manager.unsilence(now_ns, id)?;
        self.decided(now_ns, decision);
        Ok(())
    }

    pub fn acknowledge(
        &mut self,
        now_ns: u64,
        id: &str,
        by: &str,
        comment: &str,
    ) -> Result<(), DeskError> {
        let decision = self.manager.acknowledge(now_ns, id, by, comment)?;
        self.decided(now_ns, decision);
        Ok(())
    }

    pub fn replay(&mut self, now_ns: u64, receiver: &str, id: &str) -> Result<(), DeskError> {
        let notes = self.outbox.replay(receiver, id, now_ns);
        let notes =
            notes.ok_or_else(|| DeskError::NoDeadLetter(id.to_owned(), receiver.to_owned()))?;
        self.commit(now_ns, Decision::default(), notes, Vec::new());
        Ok(())
    }

    pub fn attempted(
        &mut self,
        now_ns: u64,
        receiver: &Receiver,
        message: &Message,
        outcome: Outcome,
    ) {
        let outcomes = (receiver.name.clone(), outcome.word());
        *self.attempts.entry(outcomes).or_default() += 1;
        let told = match &outcome {
            Outcome::Delivered { .. } => None,
            Outcome::Retry { reason, .. } => Some(("will be tried again", reason.clone())),
            Outcome::Refused { reason, .. } => Some(("given up", reason.clone())),
            Outcome::Gone { reason, .. } => {
                Some(("given up and the receiver disabled", reason.clone()))
            }
        };
        if let Some((what, reason)) = told {
            tracing::warn!(
                receiver = receiver.name,
                message = message.id,
                reason,
                "alert not delivered: {what}"
            );
        }
        let retry = self.options.retry;
        let (notes, row) = self
            .outbox
            .attempted(message, outcome, receiver.hash(), &retry, now_ns);
        self.commit(
            now_ns,
            Decision::default(),
            notes,
            row.into_iter().collect(),
        );
    }

    /// The rows that the store does not have yet, oldest first.
    pub fn rows(&self, max: usize) -> Vec<(u64, Row)> {
        self.rows
            .iter()
            .take(max)
            .map(|(n, row)| (*n, row.clone()))
            .collect()
    }

    pub fn rows_waiting(&self) -> usize {
        self.rows.len()
    }

    /// The store has the rows up to this one.
    pub fn stored(&mut self, number: u64) {
        self.rows = self.rows.split_off(&(number + 1));
        self.append(vec![Entry::Stored(number)]);
    }

    /// The body that keeps an Alertmanager from ending what still fires.
    pub fn refresh(&self, receiver: &Receiver, now_ns: u64) -> Option<Message> {
        let told = |a: &&Alert| {
            let known = a
                .told
                .get(&receiver.name)
                .is_some_and(|t| t.event != Event::Resolved);
            a.status == Status::Firing && a.muted.is_none() && known
        };
        let alerts: Vec<&Alert> = self.manager.state().alerts.values().filter(told).collect();
        if alerts.is_empty() {
            return None;
        }
        let body = render::refresh(&self.context(now_ns), &alerts);
        Some(message(
            format!("lw_refresh_{now_ns}"),
            &receiver.name,
            body,
            Vec::new(),
            now_ns,
        ))
    }

    pub fn context(&self, now_ns: u64) -> Context<'_> {
        Context {
            books: &self.manager.runbooks,
            bases: &self.options.bases,
            now_ns,
        }
    }

    fn no_receiver(&self, name: &str) -> DeskError {
        let names: Vec<&str> = self
            .options
            .receivers
            .iter()
            .map(|r| r.name.as_str())
            .collect();
        let names = if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        };
        DeskError::NoReceiver(name.to_owned(), names)
    }

    fn decided(&mut self, now_ns: u64, decision: Decision) {
        let mut notes = Vec::new();
        for notification in &decision.notifications {
            let receiver = self
                .options
                .receivers
                .iter()
                .find(|r| r.name == notification.receiver)
                .cloned();
            let message = receiver.and_then(|r| self.message(&r, notification, now_ns));
            if let Some(message) = message {
                notes.extend(self.outbox.put(message));
            }
        }
        self.commit(now_ns, decision, notes, Vec::new());
    }

    fn message(
        &self,
        receiver: &Receiver,
        notification: &Notification,
        now_ns: u64,
    ) -> Option<Message> {
        let body = render::body(&self.context(now_ns), receiver, notification)?;
        let ids = notification
            .alerts
            .iter()
            .map(|item| item.alert.id.clone())
            .collect();
        Some(message(
            notification.id.clone(),
            &receiver.name,
            body,
            ids,
            now_ns,
        ))
    }

    fn commit(&mut self, _now_ns: u64, decision: Decision, notes: Vec<Note>, rows: Vec<Row>) {
        let mut entries = log::decided(&decision);
        entries.extend(notes.into_iter().map(Entry::Outbox));
        for row in decision.rows.into_iter().chain(rows) {
            entries.push(Entry::Row(self.next_row, row.clone()));
            self.rows.insert(self.next_row, row);
            self.next_row += 1;
        }
        while self.rows.len() > ROWS_MAX {
            self.rows.pop_first();
            self.rows_dropped += 1;
        }
        self.append(entries);
    }

    fn append(&mut self, entries: Vec<Entry>) {
        if entries.is_empty() {
            return;
        }
        let all = || log::everything(self.manager.state(), &self.outbox, &self.rows);
        // After a failed write the end of the file is not known: it is written anew as a whole.
        let done = match self.broken || self.log.has_grown() {
            true => self.log.rewrite(&all()),
            false => self.log.append(&entries),
        };
        if let Err(error) = &done {
            tracing::error!(%error, "the alert state cannot be written: alerts go out, but a crash now may repeat them");
        }
        self.broken = done.is_err();
    }
}

pub(super) fn message(
    id: String,
    receiver: &str,
    body: String,
    alert_ids: Vec<String>,
    now_ns: u64,
) -> Message {
    Message {
        id,
        receiver: receiver.to_owned(),
        body,
        alert_ids,
        created_ns: now_ns,
        attempts: 0,
        next_at_ns: now_ns,
        reason: String::new(),
    }
}

fn policy(options: &Options) -> Policy {
    let target = |r: &Receiver| Target {
        name: r.name.clone(),
        groups: r.via.groups(),
    };
    let nanos = |d: Duration| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
    Policy {
        routes: Routes::new(
            options.receivers.iter().map(target).collect(),
            options.routes.clone(),
        ),
        group_by: options.group_by.clone(),
        group_wait_ns: nanos(options.group_wait),
        update_interval_ns: nanos(options.update_interval),
        repeat_interval_ns: nanos(options.repeat_interval),
        flap: options.flap,
        windows: options.windows.clone(),
    }
}

/// Is this receiver an Alertmanager that has to be told again and again?
pub(super) fn is_refreshed(receiver: &Receiver) -> bool {
    matches!(receiver.via, Via::Alertmanager { .. })
}
