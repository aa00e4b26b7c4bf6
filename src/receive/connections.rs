//! Sockets to HTTP requests: accepting, connection limits, HTTP/2 settings, draining.
//!
//! Knows nothing of OTLP. A connection that sends no complete request head in time is dropped.

use std::{
    convert::Infallible,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use hyper::{
    body::{Body, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto::Builder,
        graceful::{GracefulShutdown, Watcher},
    },
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time,
};
use tokio_util::sync::CancellationToken;

use super::{ReceiveError, ServeOptions};

const STREAM_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
const FRAME_BYTES: u32 = 1024 * 1024;
const HEADER_LIST_BYTES: u32 = 32 * 1024;
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Pause after a failed accept (out of file descriptors): others may end meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const UNKNOWN_ADDRESS: &str = "a listening socket";

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Which versions of HTTP a receiver speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Versions {
    Http1And2,
    Http2,
}

/// Serves until `shutdown`, then lets requests in progress end within the drain timeout.
pub(super) async fn serve<F, Fut, B>(
    listener: TcpListener,
    options: &ServeOptions,
    versions: Versions,
    handle: F,
    shutdown: CancellationToken,
) -> Result<(), ReceiveError>
where
    F: Fn(Request<Incoming>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let address = listener
        .local_addr()
        .map_err(|source| ReceiveError::Accept {
            address: UNKNOWN_ADDRESS.to_owned(),
            source,
        })?;
    let slots = Arc::new(Semaphore::new(options.connections_max));
    let builder = builder(options, versions);
    let graceful = GracefulShutdown::new();
    let killed = CancellationToken::new();
    loop {
        let slot = tokio::select! {
            () = shutdown.cancelled() => break,
            slot = Arc::clone(&slots).acquire_owned() => slot,
        };
        let stream = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%address, %error, "cannot accept a connection");
                    time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        let (builder, watcher, handle) = (builder.clone(), graceful.watcher(), handle.clone());
        let (killed, patience) = (killed.clone(), options.header_timeout);
        tokio::spawn(async move {
            let _slot = slot;
            tokio::select! {
                () = killed.cancelled() => {}
                () = connection(stream, builder, watcher, handle, patience) => {}
            }
        });
    }
    drop(listener);
    if time::timeout(options.drain_timeout, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!(%address, "connections were still open at the end of the drain timeout");
    }
    killed.cancel();
    Ok(())
}

async fn connection<F, Fut, B>(
    stream: TcpStream,
    builder: Builder<TokioExecutor>,
    watcher: Watcher,
    handle: F,
    patience: Duration,
) where
    F: Fn(Request<Incoming>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let started = Arc::new(AtomicBool::new(false));
    let service = {
        let started = Arc::clone(&started);
        service_fn(move |request| {
            started.store(true, Ordering::Relaxed);
            let answer = handle(request);
            async move { Ok::<_, Infallible>(answer.await) }
        })
    };
    let serving = builder
        .serve_connection(TokioIo::new(stream), service)
        .into_owned();
    let serving = watcher.watch(serving);
    tokio::pin!(serving);
    // Covers what hyper's own header timeout does not: silence before the version is known.
    let ended = tokio::select! {
        ended = &mut serving => ended,
        () = time::sleep(patience) => {
            if !started.load(Ordering::Relaxed) {
                return;
            }
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}

fn builder(options: &ServeOptions, versions: Versions) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_timeout);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(options.streams_max)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES)
        .max_header_list_size(HEADER_LIST_BYTES)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    match versions {
        Versions::Http1And2 => builder,
        Versions::Http2 => builder.http2_only(),
    }
}
