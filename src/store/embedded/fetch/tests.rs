//! Fetching without the network: an `npm` that is a script, a release on a local port.

use std::os::unix::fs::PermissionsExt;

use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::store::embedded::hex;

const CONTENT: &[u8] = b"not really a library";

fn archive() -> Vec<u8> {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(
        Vec::new(),
        flate2::Compression::fast(),
    ));
    for (name, content) in [
        ("package/package.json", b"{}".as_slice()),
        ("package/libchdb.so", CONTENT),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

fn pin(release_url: &str) -> Pin {
    Pin {
        release_url: release_url.to_owned(),
        library_sha256: hex(&Sha256::digest(CONTENT)),
        library_bytes: CONTENT.len() as u64,
        npm_sha256: hex(&Sha256::digest(archive())),
    }
}

/// Serves the archive to everyone; gives its URL.
async fn release() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/libchdb.tar.gz", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let body = archive();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
        }
    });
    url
}

/// An `npm` that puts the archive where it is told, or fails.
fn npm(directory: &Path, script: &str) -> PathBuf {
    std::fs::write(directory.join("archive"), archive()).unwrap();
    let path = directory.join("npm");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn leftovers(directory: &Path) -> usize {
    let entries = std::fs::read_dir(directory).unwrap();
    entries
        .filter(|entry| {
            entry
                .as_ref()
                .unwrap()
                .file_name()
                .to_string_lossy()
                .starts_with(".fetch-")
        })
        .count()
}

#[tokio::test]
async fn npm_is_taken_where_it_is() {
    let tools = tempfile::tempdir().unwrap();
    let cache = tempfile::tempdir().unwrap();
    let script = format!("cp {}/archive \"$6/lib.tgz\"", tools.path().display());
    let npm = npm(tools.path(), &script);
    let path = install::into(cache.path(), &pin("http://127.0.0.1:1/"), &npm)
        .await
        .unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), CONTENT);
    assert_eq!(cached(cache.path(), &pin("")), Some(path));
    assert_eq!(leftovers(cache.path()), 0);
}

#[tokio::test]
async fn the_release_is_taken_where_npm_is_not() {
    let cache = tempfile::tempdir().unwrap();
    let path = install::into(
        cache.path(),
        &pin(&release().await),
        Path::new("/no/such/npm"),
    )
    .await
    .unwrap();
    assert_eq!(std::fs::read(path).unwrap(), CONTENT);
}

#[tokio::test]
async fn two_at_once_fetch_once() {
    let cache = tempfile::tempdir().unwrap();
    let pin = pin(&release().await);
    let npm = Path::new("/no/such/npm");
    let (first, second) = tokio::join!(
        install::into(cache.path(), &pin, npm),
        install::into(cache.path(), &pin, npm)
    );
    assert_eq!(first.unwrap(), second.unwrap());
}

#[tokio::test]
async fn another_content_is_not_used_and_leaves_nothing() {
    let cache = tempfile::tempdir().unwrap();
    let mut pin = pin(&release().await);
    pin.library_sha256 = "0".repeat(64);
    let error = install::into(cache.path(), &pin, Path::new("/no/such/npm"))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("SHA-256") && error.contains("storage.embedded.library"),
        "{error}"
    );
    assert_eq!(cached(cache.path(), &pin), None);
    assert_eq!(leftovers(cache.path()), 0);
}

#[tokio::test]
async fn when_nothing_works_both_reasons_are_told() {
    let tools = tempfile::tempdir().unwrap();
    let cache = tempfile::tempdir().unwrap();
    let npm = npm(tools.path(), "echo 'npm error 404 not here' >&2; exit 1");
    let error = install::into(cache.path(), &pin("http://127.0.0.1:1/x"), &npm)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("404 not here") && error.contains("127.0.0.1:1"),
        "{error}"
    );
}

#[tokio::test]
async fn a_library_of_ones_own_must_be_there() {
    let error = library(Some(Path::new("/no/such/libchdb.so")))
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("/no/such/libchdb.so"), "{error}");
}

#[test]
fn the_cache_is_where_the_environment_says() {
    let with = |set: &'static [(&str, &str)]| {
        cache_directory(move |name| {
            set.iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).into())
        })
    };
    assert_eq!(
        with(&[("LAPWING_CACHE_DIR", "/a"), ("HOME", "/h")]),
        Some("/a".into())
    );
    assert_eq!(
        with(&[("LAPWING_CACHE_DIR", ""), ("XDG_CACHE_HOME", "/x")]),
        Some("/x/lapwing".into())
    );
    assert_eq!(with(&[("HOME", "/h")]), Some("/h/.cache/lapwing".into()));
    assert_eq!(with(&[]), None);
}
