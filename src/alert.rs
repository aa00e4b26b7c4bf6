//! Alert: from a detector's incident to a delivered message.
//!
//! [`manager`] decides who is told what and when and is pure; [`content`] and [`render`] make the
//! words; [`deliver`] brings them to receivers; [`log`] keeps it all through a crash. [`start`]
//! puts them together. Nothing here waits for ClickHouse: the history goes there when it can.

pub mod api;
pub mod content;
pub mod deliver;
mod desk;
pub mod history;
mod inhibit;
pub mod labels;
mod log;
pub mod maintenance;
pub mod manager;
pub mod matcher;
pub mod model;
pub mod options;
pub mod render;
pub mod route;
pub mod runbook;
pub mod sample;
pub mod silences;
mod text;
mod worker;

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use self::{deliver::outbox::Outcome, desk::Desk, log::Log, model::Event, runbook::Runbooks};
pub use self::{
    desk::{DeskError, TestReport},
    options::Options,
};
use crate::{
    detect::{Change, Kind},
    store::Store,
};

/// Why alerts cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Log(#[from] log::LogError),
    #[error("cannot read {path}: {source}")]
    Read {
        path: String,
        source: std::io::Error,
    },
    #[error(transparent)]
    Runbook(#[from] runbook::RunbookError),
    #[error(transparent)]
    Silences(#[from] silences::SilencesError),
    #[error("there is no receiver {0:?}; there are: {1}")]
    NoReceiver(String, String),
    #[error("cannot set up HTTP: {0}")]
    Http(#[from] reqwest::Error),
}

/// Alerts at work; cheap to clone.
#[derive(Clone)]
pub struct AlertHandle {
    desk: Arc<Mutex<Desk>>,
    wake: Arc<Notify>,
}

/// The tasks behind a handle.
pub struct Running {
    handle: AlertHandle,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

/// Time for a delivery that is under way when the program ends.
const SHUTDOWN_TIME_MAX: Duration = Duration::from_secs(5);

/// Reads the state below `data_dir` and begins to deliver. Without a store the history waits.
pub fn start(
    options: Options,
    data_dir: &Path,
    store: Option<Store>,
) -> Result<Running, StartError> {
    let books = runbooks(&options)?;
    let silences = silences::load(options.silences_file.as_deref(), now_ns())?;
    let (log, book) = Log::open(&data_dir.join("alerts"))?;
    let sender = deliver::send::Sender::new()?;
    let mut desk = Desk::new(options, books, log, book);
    desk.begin(now_ns(), silences);
    let handle = AlertHandle {
        desk: Arc::new(Mutex::new(desk)),
        wake: Arc::default(),
    };
    let stop = CancellationToken::new();
    let deliver = tokio::spawn(worker::deliver(handle.clone(), sender, stop.clone()));
    let mut running = Running {
        handle,
        stop,
        tasks: vec![deliver],
    };
    if let Some(store) = store {
        running.remember(store);
    }
    Ok(running)
}

/// Sends a sample to a receiver once, without queue and collector, and says what it answered.
pub async fn send_test(
    options: &Options,
    receiver: &str,
    kind: Kind,
    resolved: bool,
) -> Result<TestReport, StartError> {
    let books = runbooks(options)?;
    let found = options.receivers.iter().find(|r| r.name == receiver);
    let receiver = found.ok_or_else(|| {
        let names: Vec<&str> = options.receivers.iter().map(|r| r.name.as_str()).collect();
        StartError::NoReceiver(receiver.to_owned(), names.join(", "))
    })?;
    let now_ns = now_ns();
    let event = if resolved {
        Event::Resolved
    } else {
        Event::Firing
    };
    let notification = desk::test_notification(&receiver.name, kind, event, now_ns);
    let context = render::Context {
        books: &books,
        bases: &options.bases,
        now_ns,
    };
    let body = render::body(&context, receiver, &notification).unwrap_or_default();
    let message = desk::message(
        notification.id.clone(),
        &receiver.name,
        body,
        Vec::new(),
        now_ns,
    );
    let outcome = deliver::send::Sender::new()?.send(receiver, &message).await;
    let (state, reason) = match outcome {
        Outcome::Delivered { .. } => ("delivered", String::new()),
        Outcome::Retry { reason, .. } => ("waiting", reason),
        Outcome::Refused { reason, .. } | Outcome::Gone { reason, .. } => ("dead", reason),
    };
    Ok(TestReport {
        id: notification.id,
        receiver: receiver.name.clone(),
        state,
        attempts: 1,
        reason,
    })
}

fn runbooks(options: &Options) -> Result<Arc<Runbooks>, StartError> {
    let Some(path) = &options.runbooks_file else {
        return Ok(Arc::new(Runbooks::load(None)?));
    };
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| StartError::Read {
        path: name.clone(),
        source,
    })?;
    Ok(Arc::new(Runbooks::load(Some((&name, &text)))?))
}

// === impl Running ===

impl Running {
    pub fn handle(&self) -> AlertHandle {
        self.handle.clone()
    }

    /// From now on the history goes to this store.
    pub fn remember(&mut self, store: Store) {
        let task = worker::remember(self.handle.clone(), store, self.stop.clone());
        self.tasks.push(tokio::spawn(task));
    }

    /// Ends: what is being sent is finished or, after a few seconds, left to the next start.
    pub async fn shutdown(self) {
        self.stop.cancel();
        for task in self.tasks {
            // A task that is late is dropped with the runtime; its message is still in the log.
            _ = tokio::time::timeout(SHUTDOWN_TIME_MAX, task).await;
        }
    }
}

// === impl AlertHandle ===

impl AlertHandle {
    /// Takes a change of an incident in; what follows from it is on disk when this returns. Told
    /// again after a restart, it changes nothing.
    pub async fn tell(&self, change: Change) {
        self.desk().change(now_ns(), change);
        self.wake.notify_one();
    }

    /// Reads receivers, routes, texts and the silences file again; a mistake changes nothing.
    pub async fn reload(&self, options: Options) -> Result<(), StartError> {
        let books = runbooks(&options)?;
        let silences = silences::load(options.silences_file.as_deref(), now_ns())?;
        let mut desk = self.desk();
        desk.configure(options, books);
        desk.begin(now_ns(), silences);
        drop(desk);
        self.wake();
        Ok(())
    }
}

impl AlertHandle {
    /// How a message fares; `None` for one that is not known or long delivered.
    pub fn delivery(&self, receiver: &str, id: &str) -> Option<TestReport> {
        self.desk().report(receiver, id)
    }

    /// Numbers for `/metrics`.
    pub fn metrics(&self) -> String {
        let desk = self.desk();
        let count = |status| {
            desk.manager
                .state()
                .alerts
                .values()
                .filter(|a| a.status == status)
                .count()
        };
        let mut out = String::new();
        let mut gauge = |name: &str, about: &str, value: u64| {
            out += &format!("# HELP {name} {about}\n# TYPE {name} gauge\n{name} {value}\n");
        };
        gauge(
            "lapwing_alerts_pending",
            "Alerts that are held back for a moment",
            count(model::Status::Pending) as u64,
        );
        gauge(
            "lapwing_alerts_firing",
            "Alerts that fire",
            count(model::Status::Firing) as u64,
        );
        gauge(
            "lapwing_alert_messages_waiting",
            "Messages that no receiver has yet",
            desk.outbox.waiting().count() as u64,
        );
        gauge(
            "lapwing_alert_dead_letters",
            "Messages that were given up and can be replayed",
            desk.outbox.dead().count() as u64,
        );
        gauge(
            "lapwing_alert_receivers_disabled",
            "Receivers that said they are gone",
            desk.outbox.disabled().len() as u64,
        );
        gauge(
            "lapwing_alert_history_rows_waiting",
            "Rows of the history that the store does not have yet",
            desk.rows_waiting() as u64,
        );
        out += "# HELP lapwing_alert_history_rows_dropped_total Rows of the history that found no place while the store was away\n\
                # TYPE lapwing_alert_history_rows_dropped_total counter\n";
        out += &format!(
            "lapwing_alert_history_rows_dropped_total {}\n",
            desk.rows_dropped
        );
        out += "# HELP lapwing_alert_deliveries_total Attempts to deliver a message, by what came of them\n\
                # TYPE lapwing_alert_deliveries_total counter\n";
        for ((receiver, outcome), n) in &desk.attempts {
            // Names of receivers are words: the configuration takes no others.
            out += &format!(
                "lapwing_alert_deliveries_total{{receiver=\"{receiver}\",outcome=\"{outcome}\"}} {n}\n"
            );
        }
        out
    }

    /// A lock holds for as long as one line of the log takes to write.
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        self.wake.notify_one();
    }
}

pub(crate) fn now_ns() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
