//! The parent's side: starts the engine process, proves that it is the one that answers, starts it again when it
//! dies, and ends it.
//!
//! A restarted child has the same ports, key and nonce, so that clients only need to try again.
//!
//! Not here: one child, from its start to its exit ([`process`]).

mod process;

use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use self::process::{Child, Order, launch};
use super::{
    ChildConfig, DOOR_FILE, Door, EmbeddedConfig, EmbeddedError, WRITER_USER, fetch, random_hex,
};

/// A child that was told to stop and did not is killed; what was acknowledged is on disk.
const STOP_MAX: Duration = Duration::from_secs(15);
/// Pauses between restarts double up to the longest; a child that lived this long starts the series anew.
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(10);
const BACKOFF_RESET: Duration = Duration::from_secs(60);
/// A running embedded store. Dropped, it stops without waiting.
pub struct Embedded {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    monitor: Option<tokio::task::JoinHandle<()>>,
}

struct Shared {
    config: EmbeddedConfig,
    door: Mutex<Door>,
    reader: SocketAddr,
    version: String,
    restarts: AtomicU64,
}

impl Shared {
    fn door(&self) -> std::sync::MutexGuard<'_, Door> {
        // A door is replaced as a whole: whoever broke off left a whole one.
        self.door
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Embedded {
    /// Gets the library if need be, starts the child and waits until it serves.
    pub async fn start(config: EmbeddedConfig) -> Result<Self, EmbeddedError> {
        let random = |source| EmbeddedError::Io {
            what: "read",
            path: "the random number generator".into(),
            source,
        };
        let library = fetch::library(config.library.as_deref()).await?;
        std::fs::create_dir_all(&config.data_dir).map_err(|source| EmbeddedError::Io {
            what: "create",
            path: config.data_dir.clone(),
            source,
        })?;
        // The child changes its directory.
        let data_dir =
            std::path::absolute(&config.data_dir).map_err(|source| EmbeddedError::Io {
                what: "resolve",
                path: config.data_dir.clone(),
                source,
            })?;
        let mut order = ChildConfig {
            data_dir,
            library: std::path::absolute(&library).unwrap_or(library),
            memory_limit_bytes: config.memory_limit_bytes,
            database: config.database.clone(),
            writer: SocketAddr::from(([127, 0, 0, 1], 0)),
            reader: config.listen,
            key: random_hex::<24>().map_err(random)?,
            nonce: random_hex::<24>().map_err(random)?,
        };
        let (child, ready) = launch(&config.program, &order).await?;
        order.writer = ready.writer;
        order.reader = ready.reader;
        let door = Door {
            url: format!("http://{}", ready.writer),
            user: WRITER_USER.to_owned(),
            key: order.key.clone(),
            pid: child.pid,
            nonce: order.nonce.clone(),
        };
        write_door(&config.data_dir, &door)?;
        let shared = Arc::new(Shared {
            config,
            door: Mutex::new(door),
            reader: ready.reader,
            version: ready.version,
            restarts: AtomicU64::new(0),
        });
        let (stop, stopping) = watch::channel(false);
        let monitor = tokio::spawn(watch_over(Arc::clone(&shared), order, child, stopping));
        Ok(Self {
            shared,
            stop,
            monitor: Some(monitor),
        })
    }

    /// How to write: the same URL, user and key for the whole life of this value.
    pub fn endpoint(&self) -> Door {
        self.shared.door().clone()
    }

    /// Address of the read-only door.
    pub fn reader_addr(&self) -> SocketAddr {
        self.shared.reader
    }

    /// Version of the engine, as `SELECT version()` tells it.
    pub fn version(&self) -> &str {
        &self.shared.version
    }

    /// How often the child was started again after it died.
    pub fn restarts(&self) -> u64 {
        self.shared.restarts.load(Ordering::Relaxed)
    }

    /// Ends the child: queries that run get seconds to end. Returns when the process is gone.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        if let Some(monitor) = self.monitor.take() {
            // The task only ends early when the runtime does.
            let _ = monitor.await;
        }
    }
}

/// Keeps a child alive until told to stop.
async fn watch_over(
    shared: Arc<Shared>,
    order: ChildConfig,
    first: Child,
    mut stopping: watch::Receiver<bool>,
) {
    let mut child = first;
    let mut pause = BACKOFF_FIRST;
    loop {
        let started = Instant::now();
        let status = tokio::select! {
            status = &mut child.exited => status.ok().flatten(),
            () = told(&mut stopping) => {
                end(child).await;
                // A missing file is what is wanted.
                let _ = std::fs::remove_file(shared.config.data_dir.join(DOOR_FILE));
                return;
            }
        };
        let status = status.map_or_else(|| "unknown".to_owned(), |status| status.to_string());
        tracing::error!(pid = child.pid, %status, "the embedded store died; starting it again");
        if started.elapsed() > BACKOFF_RESET {
            pause = BACKOFF_FIRST;
        }
        child = loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = told(&mut stopping) => return,
            }
            pause = pause.saturating_mul(2).min(BACKOFF_MAX);
            match launch(&shared.config.program, &order).await {
                Ok((child, _)) => break child,
                Err(error) => {
                    tracing::error!(%error, "the embedded store cannot be started again; will try once more")
                }
            }
        };
        // The file first: who sees the new process here finds it there, too.
        let before = shared.door().clone();
        let door = Door {
            pid: child.pid,
            ..before
        };
        if let Err(error) = write_door(&shared.config.data_dir, &door) {
            tracing::warn!(%error, "other commands may not find the embedded store");
        }
        shared.restarts.fetch_add(1, Ordering::Relaxed);
        *shared.door() = door;
    }
}

/// Waits for the order to stop, or for the one who could give it to be gone.
async fn told(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stop| *stop).await;
}

async fn end(mut child: Child) {
    // A send fails only when the thread, and so the child, is gone.
    let _ = child.orders.send(Order::Close);
    if tokio::time::timeout(STOP_MAX, &mut child.exited)
        .await
        .is_err()
    {
        tracing::warn!(
            pid = child.pid,
            "the embedded store did not stop in time and is killed"
        );
        let _ = child.orders.send(Order::Kill);
        let _ = child.exited.await;
    }
}

/// Replaces the door file in one step; only its owner can read it.
fn write_door(data_dir: &Path, door: &Door) -> Result<(), EmbeddedError> {
    let path = data_dir.join(DOOR_FILE);
    let temporary = data_dir.join(format!("{DOOR_FILE}.new"));
    let write = || {
        // An old file keeps its mode when it is opened again, so it goes first.
        match std::fs::remove_file(&temporary) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(&serde_json::to_vec_pretty(door)?)?;
        file.sync_all()?;
        std::fs::rename(&temporary, &path)
    };
    write().map_err(|source| EmbeddedError::Io {
        what: "write",
        path: path.clone(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn door() -> Door {
        Door {
            url: "http://127.0.0.1:1".into(),
            user: "u".into(),
            key: "k".into(),
            pid: 1,
            nonce: "n".into(),
        }
    }

    #[test]
    fn the_door_file_is_its_owners_alone() {
        let directory = tempfile::tempdir().unwrap();
        write_door(directory.path(), &door()).unwrap();
        write_door(directory.path(), &door()).unwrap();
        let mode = std::fs::metadata(directory.path().join(DOOR_FILE))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(Door::read(directory.path()).unwrap(), Some(door()));
        assert!(!format!("{:?}", door()).contains("\"k\""));
    }
}
