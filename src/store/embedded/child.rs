//! The child process: loads the engine library, opens the store and serves the front until its parent lets go.
//!
//! It lives exactly as long as its parent: the kernel kills it when the parent's thread that started it ends, and the
//! end of its standard input is the order to stop. Signals meant for the whole service are ignored, because the parent
//! still has rows to write when it shuts down. The parent hears one line on standard output: ready, or why not.

use std::io::{BufRead, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use super::ffi::{self, Engine};
use super::front::{Front, FrontConfig, FrontError};
use super::outcome::EngineError;
use super::{ChildConfig, ChildReport, engine_config};

/// A store whose last owner was just killed is free within moments; one that is in use stays taken.
const LOCK_WAIT: Duration = Duration::from_secs(3);
const LOCK_PAUSE: Duration = Duration::from_millis(20);
/// Queries that still run when the parent lets go get so long to end.
const DRAIN_MAX: Duration = Duration::from_secs(5);
const LOCK_FILE: &str = "store.lock";
/// Longest configuration line.
const CONFIG_BYTES_MAX: u64 = 1024 * 1024;

/// Why the child could not serve.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    #[error(
        "this command is started by lapwing itself: it expects its configuration on standard input ({0})"
    )]
    Config(String),
    #[error("cannot {what} {path}: {source}")]
    Io {
        what: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(
        "the store in {data_dir} is in use by process {holder}: stop it, or choose another data_dir; to query a running store use `lapwing query`"
    )]
    InUse { data_dir: PathBuf, holder: String },
    #[error(
        "cannot listen on {address}: {source}; free the port or set storage.embedded.listen to another one"
    )]
    Listen {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error("cannot start the engine's runtime: {0}")]
    Runtime(std::io::Error),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Front(#[from] FrontError),
}

/// The hidden subcommand. Must be called outside of an async runtime, before other threads exist. Does not return
/// when it served: the process ends.
pub fn run_child() -> Result<(), ChildError> {
    ffi::die_with_parent();
    let config = read_config(&mut std::io::stdin().lock())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("lapwing-engine")
        .build()
        .map_err(ChildError::Runtime)?;
    let served = runtime.block_on(serve(config));
    match served {
        // Without the engine library's destructors, which race its own threads.
        Ok(()) => ffi::exit_now(0),
        Err(error) => {
            report(&ChildReport::Failed {
                reason: error.to_string(),
            });
            // The parent has the reason; the engine may be half open.
            ffi::exit_now(1)
        }
    }
}

fn read_config(input: &mut impl BufRead) -> Result<ChildConfig, ChildError> {
    let mut line = String::new();
    input
        .take(CONFIG_BYTES_MAX)
        .read_line(&mut line)
        .map_err(|error| ChildError::Config(error.to_string()))?;
    serde_json::from_str(&line).map_err(|error| ChildError::Config(error.to_string()))
}

fn report(report: &ChildReport) {
    let line = serde_json::to_string(report).unwrap_or_default();
    let mut out = std::io::stdout().lock();
    // When nobody listens the pipe on stdin is closed too, and the child ends.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> ChildError {
    move |source| ChildError::Io {
        what,
        path: path.to_owned(),
        source,
    }
}

/// The lock of a data directory, held until the process ends.
fn lock(data_dir: &Path) -> Result<std::fs::File, ChildError> {
    let path = data_dir.join(LOCK_FILE);
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .map_err(io("open", &path))?;
    let start = Instant::now();
    while file.try_lock().is_err() {
        if start.elapsed() > LOCK_WAIT {
            let mut holder = String::new();
            // The number helps; that the store is taken stands without it.
            let _ = file.read_to_string(&mut holder);
            let holder = if holder.is_empty() {
                "unknown".to_owned()
            } else {
                holder.trim().to_owned()
            };
            return Err(ChildError::InUse {
                data_dir: data_dir.to_owned(),
                holder,
            });
        }
        std::thread::sleep(LOCK_PAUSE);
    }
    file.set_len(0).map_err(io("write", &path))?;
    write!(file, "{}", std::process::id()).map_err(io("write", &path))?;
    Ok(file)
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ChildError> {
    let failed = |source| ChildError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

async fn serve(config: ChildConfig) -> Result<(), ChildError> {
    let data_dir = config.data_dir.clone();
    std::fs::create_dir_all(&data_dir).map_err(io("create", &data_dir))?;
    let _lock = lock(&data_dir)?;
    // Sockets first: a port that is taken is told without opening the store.
    let (writer, writer_address) = listen(config.writer).await?;
    let (reader, reader_address) = listen(config.reader).await?;

    let store = data_dir.join("store");
    let backups = data_dir.join("backups");
    let settings = data_dir.join("store-config");
    std::fs::create_dir_all(&store).map_err(io("create", &store))?;
    let file = engine_config::write(&settings, config.memory_limit_bytes, &backups)
        .map_err(io("write", &settings))?;
    // Whatever the engine writes relative to the current directory stays in the data directory.
    std::env::set_current_dir(&data_dir).map_err(io("enter", &data_dir))?;

    let (anchor, front) = tokio::task::spawn_blocking(move || {
        let engine = Engine::load(&config.library, &store, &file)?;
        // Held to the end, so that the store is not closed and opened between requests.
        let anchor = engine.connect()?;
        let front = FrontConfig {
            database: config.database,
            memory_limit_bytes: config.memory_limit_bytes,
            key: config.key,
            nonce: config.nonce,
        };
        Ok::<_, ChildError>((anchor, Front::new(engine, front)?))
    })
    .await
    .map_err(|error| ChildError::Runtime(std::io::Error::other(error)))??;

    let front = Arc::new(front);
    let tasks = [
        tokio::spawn(Arc::clone(&front).serve(writer, true)),
        tokio::spawn(Arc::clone(&front).serve(reader, false)),
        tokio::spawn(Arc::clone(&front).sweep()),
        tokio::spawn(ignore_signals()),
    ];
    let version = front.version().to_owned();
    report(&ChildReport::Ready {
        writer: writer_address,
        reader: reader_address,
        version,
    });

    // The parent never sends another byte: whatever ends this read is the order to stop.
    let _ = tokio::task::spawn_blocking(|| {
        std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink())
    })
    .await;
    for task in &tasks[..2] {
        task.abort();
    }
    front.drain(DRAIN_MAX).await;
    drop(anchor);
    Ok(())
}

/// Service managers and terminals signal the whole group; the parent decides when the store ends.
async fn ignore_signals() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
        signal(SignalKind::hangup()),
    ) else {
        return;
    };
    loop {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_by_hand_is_told_what_is_missing() {
        let error = read_config(&mut &b""[..]).unwrap_err().to_string();
        assert!(error.contains("started by lapwing itself"), "{error}");
    }

    #[test]
    fn a_second_owner_is_told_who_is_first() {
        let directory = tempfile::tempdir().unwrap();
        let _first = lock(directory.path()).unwrap();
        let error = lock(directory.path()).unwrap_err().to_string();
        assert!(
            error.contains(&format!("in use by process {}", std::process::id())),
            "{error}"
        );
    }
}
