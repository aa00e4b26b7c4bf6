//! The parent's side: starts the engine process, proves that it is the one that answers, starts it again when it
//! dies, and ends it.
//!
//! A restarted child has the same ports, key and nonce, so that clients only need to try again. Each child belongs to
//! a thread of its own that lives as long as it does, because the kernel ties the child to the *thread* that started
//! it.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{oneshot, watch};

use super::front::PROOF_PATH;
use super::{
    CHILD_COMMAND, ChildConfig, ChildReport, DOOR_FILE, Door, EmbeddedConfig, EmbeddedError,
    WRITER_USER, fetch, random_hex,
};

/// Opening a large store takes seconds at most.
const START_MAX: Duration = Duration::from_secs(60);
/// A child that was told to stop and did not is killed; what was acknowledged is on disk.
const STOP_MAX: Duration = Duration::from_secs(15);
const PROOF_MAX: Duration = Duration::from_secs(5);
const PROOF_BYTES_MAX: u64 = 16 * 1024;
/// Pauses between restarts double up to the longest; a child that lived this long starts the series anew.
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(10);
const BACKOFF_RESET: Duration = Duration::from_secs(60);
/// How often a child's thread looks whether the child ended.
const WAIT_PAUSE: Duration = Duration::from_millis(20);

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

/// What a child's thread is told.
enum Order {
    /// Close its standard input: stop when the queries are done.
    Close,
    Kill,
}

/// A child process and the thread that owns it.
struct Child {
    pid: u32,
    orders: mpsc::Sender<Order>,
    exited: oneshot::Receiver<Option<ExitStatus>>,
}

/// What a child said when it was ready.
struct Ready {
    writer: SocketAddr,
    reader: SocketAddr,
    version: String,
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
        self.shared
            .door
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
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
        shared.restarts.fetch_add(1, Ordering::Relaxed);
        let door = {
            let mut door = shared
                .door
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            door.pid = child.pid;
            door.clone()
        };
        if let Err(error) = write_door(&shared.config.data_dir, &door) {
            tracing::warn!(%error, "other commands may not find the embedded store");
        }
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

/// Starts a child and waits until it serves and has proven itself.
async fn launch(program: &Path, order: &ChildConfig) -> Result<(Child, Ready), EmbeddedError> {
    let spawn = |source| EmbeddedError::Spawn {
        program: program.to_owned(),
        source,
    };
    let mut line = serde_json::to_string(order).map_err(|error| spawn(error.into()))?;
    line.push('\n');
    let (started, reported) = (oneshot::channel(), oneshot::channel());
    let (exit, exited) = oneshot::channel();
    let (orders, received) = mpsc::channel();
    let command = program.to_owned();
    std::thread::Builder::new()
        .name("engine-parent".to_owned())
        .spawn(move || own(&command, &line, started.0, reported.0, exit, &received))
        .map_err(spawn)?;
    let pid = started
        .1
        .await
        .map_err(|_| spawn(std::io::ErrorKind::Interrupted.into()))?
        .map_err(spawn)?;
    let mut child = Child {
        pid,
        orders,
        exited,
    };
    let report = match tokio::time::timeout(START_MAX, reported.1).await {
        Ok(Ok(report)) => report,
        Ok(Err(_)) => {
            let status = (&mut child.exited).await.ok().flatten();
            let status =
                status.map_or_else(|| "unknown status".to_owned(), |status| status.to_string());
            return Err(EmbeddedError::Child(format!(
                "its process ended without a word ({status}); see stderr"
            )));
        }
        Err(_) => {
            let _ = child.orders.send(Order::Kill);
            return Err(EmbeddedError::Timeout(START_MAX.as_secs()));
        }
    };
    match report {
        ChildReport::Failed { reason } => Err(EmbeddedError::Child(reason)),
        ChildReport::Ready {
            writer,
            reader,
            version,
        } => {
            for address in [writer, reader] {
                if !proves(address, &order.nonce).await {
                    let _ = child.orders.send(Order::Kill);
                    return Err(EmbeddedError::Impostor(address.to_string()));
                }
            }
            Ok((
                child,
                Ready {
                    writer,
                    reader,
                    version,
                },
            ))
        }
    }
}

/// The thread of one child: starts it, hands over its report, obeys orders, reports its end.
fn own(
    program: &Path,
    line: &str,
    started: oneshot::Sender<std::io::Result<u32>>,
    reported: oneshot::Sender<ChildReport>,
    exit: oneshot::Sender<Option<ExitStatus>>,
    orders: &mpsc::Receiver<Order>,
) {
    // A group of its own: Ctrl-C in a terminal is for the parent, which still has rows to write.
    let spawned = Command::new(program)
        .arg(CHILD_COMMAND)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    let _ = started.send(Ok(child.id()));
    let mut stdin = child.stdin.take();
    if let Some(pipe) = &mut stdin {
        // A child that is gone already shows by its exit.
        let _ = pipe.write_all(line.as_bytes()).and_then(|()| pipe.flush());
    }
    if let Some(stdout) = child.stdout.take() {
        std::thread::spawn(move || read_report(stdout, reported));
    }
    let status = loop {
        match child.try_wait() {
            Ok(None) => {}
            Ok(Some(status)) => break Some(status),
            Err(_) => break None,
        }
        match orders.recv_timeout(WAIT_PAUSE) {
            Ok(Order::Kill) => {
                let _ = child.kill();
            }
            // Whoever gave the orders is gone: the same as an order to stop.
            Ok(Order::Close) => stdin = None,
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                stdin = None;
                std::thread::sleep(WAIT_PAUSE);
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {}
        }
    };
    drop(stdin);
    let _ = exit.send(status);
}

/// Hands over the first line that is a report and reads the rest away, so that the child never blocks on its output.
fn read_report(stdout: std::process::ChildStdout, reported: oneshot::Sender<ChildReport>) {
    let mut reported = Some(reported);
    for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
        if let Ok(report) = serde_json::from_slice(&line)
            && let Some(reported) = reported.take()
        {
            let _ = reported.send(report);
        }
    }
}

/// Whether the process on `address` knows the nonce. The nonce itself does not travel.
async fn proves(address: SocketAddr, nonce: &str) -> bool {
    let Ok(challenge) = random_hex::<16>() else {
        return false;
    };
    let ip = if !address.ip().is_unspecified() {
        address.ip()
    } else if address.is_ipv4() {
        std::net::Ipv4Addr::LOCALHOST.into()
    } else {
        std::net::Ipv6Addr::LOCALHOST.into()
    };
    let address = SocketAddr::new(ip, address.port());
    let ask = async {
        let mut stream = tokio::net::TcpStream::connect(address).await?;
        let request = format!(
            "GET {PROOF_PATH}?challenge={challenge} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream
            .take(PROOF_BYTES_MAX)
            .read_to_end(&mut answer)
            .await?;
        Ok::<_, std::io::Error>(answer)
    };
    match tokio::time::timeout(PROOF_MAX, ask).await {
        Ok(Ok(answer)) => {
            let proof = Door::proof(nonce, &challenge);
            memchr::memmem::find(&answer, proof.as_bytes()).is_some()
        }
        _ => false,
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

    #[tokio::test]
    async fn a_stranger_on_the_port_proves_nothing() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nOk.\n").await;
            }
        });
        assert!(!proves(address, "nonce").await);
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named() {
        let order = ChildConfig {
            data_dir: "/nowhere".into(),
            library: "/nowhere".into(),
            memory_limit_bytes: 1,
            database: "d".into(),
            writer: SocketAddr::from(([127, 0, 0, 1], 0)),
            reader: SocketAddr::from(([127, 0, 0, 1], 0)),
            key: "k".into(),
            nonce: "n".into(),
        };
        let error = launch(Path::new("/no/such/program"), &order)
            .await
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("/no/such/program"), "{error}");
    }
}
