//! The engine library: found, or fetched once and checked.
//!
//! In this order: the operator's own file; the cache (`$LAPWING_CACHE_DIR`, else `$XDG_CACHE_HOME/lapwing`, else
//! `~/.cache/lapwing`); the pinned npm package by `npm pack`, where there is npm; the archive of the official release.
//! A fetched library is used only if its SHA-256 is the pinned one. It reaches its place in the cache by a rename
//! after it was checked and synced, so what stands there is whole; two processes do not fetch at once.

use std::path::{Path, PathBuf};
use std::time::Duration;

mod install;
mod progress;

/// The pinned version, which names the npm package's and the cache directory's.
pub const VERSION: &str = "26.7.3-stable.1";
const NPM_PACKAGE: &str = "@chdb/lib-linux-x64-gnu";
const RELEASE_URL: &str =
    "https://github.com/chdb-io/chdb-core/releases/download/v26.7.3/linux-x86_64-libchdb.tar.gz";
const LIBRARY_NAME: &str = "libchdb.so";
const LIBRARY_SHA256: &str = "36ad4e999882821ef13cf2d0f52c93f48e6ee1b4498b35a201c23ce4b8d15bf5";
const LIBRARY_BYTES: u64 = 566_330_096;
/// The npm package's archive, checked before it is unpacked.
const NPM_ARCHIVE_SHA256: &str = "c0d32b129e988f2b9a9a31c9141aecf5e1e2453f9a079efc4d36ab8e3f92b2ad";
/// No archive of the library is larger.
const ARCHIVE_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// A download that brings nothing for so long is given up.
const STALL_MAX: Duration = Duration::from_secs(60);

/// Why there is no engine library. Every message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("storage.embedded.library names {0}, which is not a file")]
    NoSuchLibrary(PathBuf),
    #[error(
        "there is no pinned engine library for {0}: set storage.embedded.library to a libchdb.so 26.7 or newer, or use storage.mode: server"
    )]
    Platform(String),
    #[error("neither LAPWING_CACHE_DIR nor HOME is set: set one, or set storage.embedded.library")]
    NoCache,
    #[error("cannot {what} {path}: {source}")]
    Io {
        what: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(
        "{what} has SHA-256 {found}, expected {expected}: it was not used; try again, or set storage.embedded.library"
    )]
    Checksum {
        what: String,
        expected: String,
        found: String,
    },
    #[error("the archive {0} holds no {LIBRARY_NAME}")]
    NotInArchive(PathBuf),
    #[error("npm pack failed: {0}")]
    Npm(String),
    #[error("cannot download {url}: {reason}")]
    Download { url: String, reason: String },
    #[error(
        "cannot obtain the engine library: {npm}; {release}. Put a libchdb.so 26.7 or newer on this machine and set storage.embedded.library, or use storage.mode: server"
    )]
    Unobtainable {
        npm: Box<FetchError>,
        release: Box<FetchError>,
    },
}

/// What is fetched and how it is known to be right. A value, so that tests can bring their own.
struct Pin {
    release_url: String,
    library_sha256: String,
    library_bytes: u64,
    npm_sha256: String,
}

impl Pin {
    fn current() -> Self {
        Self {
            release_url: RELEASE_URL.to_owned(),
            library_sha256: LIBRARY_SHA256.to_owned(),
            library_bytes: LIBRARY_BYTES,
            npm_sha256: NPM_ARCHIVE_SHA256.to_owned(),
        }
    }
}

/// Path of a library that can be loaded, fetching it if need be.
pub async fn library(own: Option<&Path>) -> Result<PathBuf, FetchError> {
    if let Some(own) = own {
        return if own.is_file() {
            Ok(own.to_owned())
        } else {
            Err(FetchError::NoSuchLibrary(own.to_owned()))
        };
    }
    let cache = cache_directory(|name| std::env::var_os(name)).ok_or(FetchError::NoCache)?;
    let directory = cache.join("engine").join(VERSION);
    let pin = Pin::current();
    if let Some(found) = cached(&directory, &pin) {
        return Ok(found);
    }
    if !cfg!(all(
        target_os = "linux",
        target_arch = "x86_64",
        target_env = "gnu"
    )) {
        return Err(FetchError::Platform(format!(
            "{}-{}",
            std::env::consts::OS,
            std::env::consts::ARCH
        )));
    }
    install::into(&directory, &pin, Path::new("npm")).await
}

/// Where fetched files stay, outside of any checkout.
fn cache_directory(variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> Option<PathBuf> {
    let set = |name: &str| {
        variable(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set("LAPWING_CACHE_DIR")
        .or_else(|| set("XDG_CACHE_HOME").map(|base| base.join("lapwing")))
        .or_else(|| set("HOME").map(|home| home.join(".cache").join("lapwing")))
}

/// The library in the cache, if it is whole. Its content was checked when it was put there; to hash half a gigabyte at
/// every start would take longer than the start.
fn cached(directory: &Path, pin: &Pin) -> Option<PathBuf> {
    let path = directory.join(LIBRARY_NAME);
    let metadata = std::fs::metadata(&path).ok()?;
    (metadata.is_file() && metadata.len() == pin.library_bytes).then_some(path)
}

#[cfg(test)]
mod tests;
