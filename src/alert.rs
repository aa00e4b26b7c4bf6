//! Alert: from a detector's incident to a delivered message.
//!
//! [`manager`] decides who is told what and when and is pure; [`content`] and [`render`] make the
//! words; [`deliver`] brings them to receivers; [`log`] keeps it all through a crash. [`start`]
//! puts them together. Nothing here waits for ClickHouse: the history goes there when it can.

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
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use self::{desk::Desk, log::Log, runbook::Runbooks};
pub use self::{
    desk::{DeskError, TestReport},
    options::Options,
};
use crate::{detect::Change, store::Store};

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
    #[error("cannot set up HTTP: {0}")]
    Http(#[from] reqwest::Error),
}

/// Alerts at work; cheap to clone.
#[derive(Clone)]
pub struct AlertHandle {
    desk: Arc<tokio::sync::Mutex<Desk>>,
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
        desk: Arc::new(tokio::sync::Mutex::new(desk)),
        wake: Arc::default(),
    };
    let stop = CancellationToken::new();
    let mut tasks = vec![tokio::spawn(worker::deliver(
        handle.clone(),
        sender,
        stop.clone(),
    ))];
    if let Some(store) = store {
        tasks.push(tokio::spawn(worker::remember(
            handle.clone(),
            store,
            stop.clone(),
        )));
    }
    Ok(Running {
        handle,
        stop,
        tasks,
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
        self.desk.lock().await.change(now_ns(), change);
        self.wake.notify_one();
    }

    /// Reads receivers, routes, texts and the silences file again; a mistake changes nothing.
    pub async fn reload(&self, options: Options) -> Result<(), StartError> {
        let books = runbooks(&options)?;
        let silences = silences::load(options.silences_file.as_deref(), now_ns())?;
        let mut desk = self.desk.lock().await;
        desk.configure(options, books);
        desk.begin(now_ns(), silences);
        self.wake.notify_one();
        Ok(())
    }
}

pub(crate) fn now_ns() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
