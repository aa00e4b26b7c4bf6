//! Fetching an archive, checking it, unpacking the library and moving it to its place.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::progress::Progress;
use super::{
    ARCHIVE_BYTES_MAX, FetchError, LIBRARY_NAME, NPM_PACKAGE, Pin, STALL_MAX, VERSION, cached,
};
use crate::store::embedded::hex;

const BUFFER_BYTES: usize = 1024 * 1024;
const NPM_POLL: Duration = Duration::from_millis(500);

/// Brings the library into `directory` and gives its path.
pub async fn into(directory: &Path, pin: &Pin, npm: &Path) -> Result<PathBuf, FetchError> {
    std::fs::create_dir_all(directory).map_err(io("create", directory))?;
    let _lock = lock(directory).await?;
    if let Some(found) = cached(directory, pin) {
        // Another process fetched it while this one waited.
        return Ok(found);
    }
    // Below the final directory, so that the rename stays on one file system; removed on every way out.
    let work = tempfile::Builder::new()
        .prefix(".fetch-")
        .tempdir_in(directory)
        .map_err(io("create", directory))?;
    let by_npm = match npm_pack(npm, work.path()).await {
        Ok(archive) => unpack(&archive, Some(&pin.npm_sha256), directory, work.path(), pin).await,
        Err(error) => Err(error),
    };
    let npm = match by_npm {
        Ok(path) => return Ok(path),
        Err(error) => error,
    };
    tracing::warn!(error = %npm, "the engine library could not be taken from npm; trying the official release");
    let by_release = match download(&pin.release_url, work.path()).await {
        Ok(archive) => unpack(&archive, None, directory, work.path(), pin).await,
        Err(error) => Err(error),
    };
    by_release.map_err(|release| FetchError::Unobtainable {
        npm: Box::new(npm),
        release: Box::new(release),
    })
}

fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> FetchError {
    move |source| FetchError::Io {
        what,
        path: path.to_owned(),
        source,
    }
}

/// Held while fetching; a second process waits here.
async fn lock(directory: &Path) -> Result<File, FetchError> {
    let path = directory.join("fetch.lock");
    let file = File::create(&path).map_err(io("create", &path))?;
    let locked = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await;
    locked
        .map_err(|error| io("lock", &path)(std::io::Error::other(error)))?
        .map_err(io("lock", &path))
}

/// The pinned package's archive, by the ordinary client with whatever registry it is configured for.
async fn npm_pack(npm: &Path, work: &Path) -> Result<PathBuf, FetchError> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => FetchError::Npm("npm is not installed".to_owned()),
        _ => FetchError::Npm(error.to_string()),
    };
    let mut child = tokio::process::Command::new(npm)
        .args(["pack", "--silent", "--ignore-scripts"])
        .arg(format!("{NPM_PACKAGE}@{VERSION}"))
        .arg("--pack-destination")
        .arg(work)
        .current_dir(work)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let mut progress = Progress::new(
        "fetching the ClickHouse engine with npm (178 MB, once)",
        None,
    );
    let mut errors = child.stderr.take();
    let output = async {
        let mut text = Vec::new();
        if let Some(pipe) = &mut errors {
            tokio::io::AsyncReadExt::read_to_end(pipe, &mut text).await?;
        }
        Ok::<_, std::io::Error>((child.wait().await?, text))
    };
    tokio::pin!(output);
    let (status, text) = loop {
        tokio::select! {
            done = &mut output => break done.map_err(failed)?,
            () = tokio::time::sleep(NPM_POLL) => progress.at(0),
        }
    };
    if !status.success() {
        let text = String::from_utf8_lossy(&text);
        let last = text
            .lines()
            .rfind(|line| !line.trim().is_empty())
            .unwrap_or("no message");
        return Err(FetchError::Npm(format!("{status}: {last}")));
    }
    let mut entries = std::fs::read_dir(work).map_err(io("read", work))?;
    entries
        .find_map(|entry| {
            entry
                .ok()
                .map(|entry| entry.path())
                .filter(|path| path.extension().is_some_and(|e| e == "tgz"))
        })
        .ok_or_else(|| FetchError::Npm("it left no archive".to_owned()))
}

async fn download(url: &str, work: &Path) -> Result<PathBuf, FetchError> {
    let failed = |reason: String| FetchError::Download {
        url: url.to_owned(),
        reason,
    };
    // Fails when a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .connect_timeout(STALL_MAX)
        .read_timeout(STALL_MAX)
        .build()
        .map_err(|error| failed(error.to_string()))?;
    let mut response = client
        .get(url)
        .send()
        .await
        .map_err(|error| failed(error.to_string()))?;
    if !response.status().is_success() {
        return Err(failed(response.status().to_string()));
    }
    let path = work.join("release.tar.gz");
    let mut file = File::create(&path).map_err(io("create", &path))?;
    let mut progress = Progress::new(
        "downloading the ClickHouse engine (once)",
        response.content_length(),
    );
    let mut received = 0_u64;
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| failed(error.to_string()))?
    {
        received = received.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        if received > ARCHIVE_BYTES_MAX {
            return Err(failed(format!(
                "it is larger than {ARCHIVE_BYTES_MAX} bytes"
            )));
        }
        file.write_all(&chunk).map_err(io("write", &path))?;
        progress.at(received);
    }
    Ok(path)
}

/// Checks the archive if its hash is pinned, unpacks the library, checks that, and moves it to its place.
async fn unpack(
    archive: &Path,
    archive_sha256: Option<&str>,
    directory: &Path,
    work: &Path,
    pin: &Pin,
) -> Result<PathBuf, FetchError> {
    let (archive, directory, work) = (archive.to_owned(), directory.to_owned(), work.to_owned());
    let archive_sha256 = archive_sha256.map(str::to_owned);
    let library_sha256 = pin.library_sha256.clone();
    let bytes = pin.library_bytes;
    let place = directory.clone();
    tokio::task::spawn_blocking(move || {
        if let Some(expected) = archive_sha256 {
            let mut file = File::open(&archive).map_err(io("open", &archive))?;
            let found =
                copy(&mut file, &mut std::io::sink(), None).map_err(io("read", &archive))?;
            check("the archive of the npm package", &expected, found)?;
        }
        let fresh = work.join(LIBRARY_NAME);
        let found = extract(&archive, &fresh, bytes)?;
        check("the engine library in the archive", &library_sha256, found)?;
        let path = directory.join(LIBRARY_NAME);
        std::fs::rename(&fresh, &path).map_err(io("write", &path))?;
        File::open(&directory)
            .and_then(|directory| directory.sync_all())
            .map_err(io("sync", &directory))?;
        Ok(path)
    })
    .await
    .map_err(|error| io("write", &place)(std::io::Error::other(error)))?
}

fn check(what: &str, expected: &str, found: String) -> Result<(), FetchError> {
    if found == expected {
        return Ok(());
    }
    Err(FetchError::Checksum {
        what: what.to_owned(),
        expected: expected.to_owned(),
        found,
    })
}

/// Writes the library of an archive to `to`, synced, and gives its SHA-256.
fn extract(archive: &Path, to: &Path, bytes: u64) -> Result<String, FetchError> {
    let file = File::open(archive).map_err(io("open", archive))?;
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(file));
    for entry in tar.entries().map_err(io("read", archive))? {
        let entry = entry.map_err(io("read", archive))?;
        let named = entry
            .path()
            .is_ok_and(|path| path.file_name().is_some_and(|name| name == LIBRARY_NAME));
        if !named || !entry.header().entry_type().is_file() {
            continue;
        }
        let mut out = File::create(to).map_err(io("create", to))?;
        let mut progress = Progress::new("unpacking the ClickHouse engine", Some(bytes));
        let hash = copy(
            &mut entry.take(ARCHIVE_BYTES_MAX),
            &mut out,
            Some(&mut progress),
        )
        .map_err(io("write", to))?;
        out.sync_all().map_err(io("sync", to))?;
        return Ok(hash);
    }
    Err(FetchError::NotInArchive(archive.to_owned()))
}

/// Copies everything and gives the SHA-256 of it.
fn copy(
    from: &mut impl Read,
    to: &mut impl Write,
    mut progress: Option<&mut Progress>,
) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0_u8; BUFFER_BYTES];
    let mut done = 0_u64;
    loop {
        let count = from.read(&mut buffer)?;
        let part = buffer.get(..count).unwrap_or_default();
        if part.is_empty() {
            return Ok(hex(&hash.finalize()));
        }
        hash.update(part);
        to.write_all(part)?;
        done = done.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        if let Some(progress) = &mut progress {
            progress.at(done);
        }
    }
}
