//! One child: starts it, waits until it serves and has proven itself, and reports its end.
//!
//! Each child belongs to a thread of its own that lives as long as it does, because the kernel ties
//! the child to the *thread* that started it.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

use crate::store::embedded::front::PROOF_PATH;
use crate::store::embedded::{
    CHILD_COMMAND, ChildConfig, ChildReport, Door, EmbeddedError, random_hex,
};

/// Opening a large store takes seconds at most.
const START_MAX: Duration = Duration::from_secs(60);
const PROOF_MAX: Duration = Duration::from_secs(5);
const PROOF_BYTES_MAX: u64 = 16 * 1024;
/// How often a child's thread looks whether the child ended.
const WAIT_PAUSE: Duration = Duration::from_millis(20);

/// What a child's thread is told.
pub enum Order {
    /// Close its standard input: stop when the queries are done.
    Close,
    Kill,
}

/// A child process and the thread that owns it.
pub struct Child {
    pub pid: u32,
    pub orders: mpsc::Sender<Order>,
    pub exited: oneshot::Receiver<Option<ExitStatus>>,
}

/// What a child said when it was ready.
pub struct Ready {
    pub writer: SocketAddr,
    pub reader: SocketAddr,
    pub version: String,
}

/// Starts a child and waits until it serves and has proven itself.
pub async fn launch(program: &Path, order: &ChildConfig) -> Result<(Child, Ready), EmbeddedError> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
