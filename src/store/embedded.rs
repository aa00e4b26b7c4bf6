//! The embedded ClickHouse: a child process of this program that loads the engine library and serves ClickHouse's
//! HTTP interface, so that every client (our own included) speaks to it as to a server.
//!
//! Two doors: the writer's, on a random loopback port with a random key that stand in a 0600 file under the data
//! directory, and the read-only one for dashboards. The engine has full rights over its tables and none outside:
//! no files, no URLs, no other servers.
//!
//! Here is what the two sides share; `supervisor` is the parent's side, `child` and `front` the child's, `ffi` the
//! library's. It is a separate process because the engine reserves memory, installs threads and can abort.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub mod fetch;

mod child;
mod engine_config;
mod ffi;
mod front;
mod outcome;
mod supervisor;

pub use child::{ChildError, run_child};
pub use supervisor::Embedded;

/// The user of the writer's door.
pub const WRITER_USER: &str = "lapwing";
/// The file under the data directory that tells other commands how to reach a running store.
pub const DOOR_FILE: &str = "store-door.json";
/// The hidden subcommand of `program` that runs [`run_child`].
pub const CHILD_COMMAND: &str = "engine";

/// What the embedded store needs to know.
#[derive(Debug, Clone)]
pub struct EmbeddedConfig {
    /// Directory of the whole program; the store keeps `store/`, its lock and its configuration below it.
    pub data_dir: PathBuf,
    /// Address of the read-only door; port 0 takes a free one.
    pub listen: SocketAddr,
    /// A `libchdb.so` of the operator's own instead of the pinned one.
    pub library: Option<PathBuf>,
    /// Ceiling of the engine's memory, in bytes.
    pub memory_limit_bytes: u64,
    /// The database that exists from the start and is the default of both doors.
    pub database: String,
    /// The executable to start as `program engine`.
    pub program: PathBuf,
}

/// How to reach a running store as its owner. Written to [`DOOR_FILE`] with mode 0600.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Door {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    pub user: String,
    /// Password of `user`, new at each start of the program.
    pub key: String,
    /// Process id of the child, which changes when the child is restarted.
    pub pid: u32,
    /// Secret with which the child proves that it answers on the port; see [`Door::proof`].
    pub nonce: String,
}

impl Door {
    /// Reads the door file of a data directory. `None` when no store was started there.
    pub fn read(data_dir: &Path) -> Result<Option<Self>, EmbeddedError> {
        let path = data_dir.join(DOOR_FILE);
        match std::fs::read(&path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes)
                    .map(Some)
                    .map_err(|error| EmbeddedError::Io {
                        what: "read",
                        path,
                        source: error.into(),
                    })
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(EmbeddedError::Io {
                what: "read",
                path,
                source,
            }),
        }
    }

    /// The answer that only the child of this door can give to `GET /lapwing/door?challenge=...`: the lowercase hex
    /// SHA-256 of `nonce:challenge`. It shows neither the nonce nor the key to whoever else listens on the port.
    pub fn proof(nonce: &str, challenge: &str) -> String {
        use sha2::Digest;
        hex(&sha2::Sha256::digest(format!("{nonce}:{challenge}")))
    }
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door")
            .field("url", &self.url)
            .field("user", &self.user)
            .field("pid", &self.pid)
            .finish()
    }
}

/// Why the embedded store is not there.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    #[error(transparent)]
    Library(#[from] fetch::FetchError),
    #[error("cannot {what} {path}: {source}")]
    Io {
        what: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("cannot start the engine process {program}: {source}")]
    Spawn {
        program: PathBuf,
        source: std::io::Error,
    },
    #[error("the embedded store did not start: {0}")]
    Child(String),
    #[error("the embedded store did not start within {0} s; its messages are on stderr")]
    Timeout(u64),
    #[error(
        "another process answers on {0}, where the embedded store should: stop it, then start again"
    )]
    Impostor(String),
}

/// What the parent tells the child, as one line of JSON on its standard input. The pipe then stays open: its end is
/// the order to stop.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct ChildConfig {
    data_dir: PathBuf,
    library: PathBuf,
    memory_limit_bytes: u64,
    database: String,
    /// Address of the writer's door; port 0 at the first start, the same port at restarts.
    writer: SocketAddr,
    reader: SocketAddr,
    key: String,
    nonce: String,
}

/// What the child tells the parent, as one line of JSON on its standard output.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ChildReport {
    Ready {
        writer: SocketAddr,
        reader: SocketAddr,
        version: String,
    },
    Failed {
        reason: String,
    },
}

/// Lowercase hexadecimal.
fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(
        String::with_capacity(bytes.len().saturating_mul(2)),
        |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        },
    )
}

/// Hex of `N` random bytes from the operating system.
fn random_hex<const N: usize>() -> std::io::Result<String> {
    let mut bytes = [0_u8; N];
    getrandom::fill(&mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(hex(&bytes))
}
