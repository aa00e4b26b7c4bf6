//! The answer as it leaves: a head, sent when it is known, then pieces of the body, and what happens when either side
//! goes away.
//!
//! A worker thread fills a [`Sink`]; the connection's task drains a [`Body`]. When the client goes first, the query
//! is killed; when the query fails after the head was sent, the body ends in an exception block and the connection
//! breaks, so that no client takes a part for the whole.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use hyper::body::Frame;
use tokio::sync::{mpsc, oneshot};

use super::error::Exception;
use super::settings::quote;
use crate::store::embedded::ffi::Engine;

/// Pieces in flight between the worker and the connection.
const QUEUE_PIECES: usize = 4;
/// A query that did not end is killed again after so long, so many times: it may not have been registered yet.
const KILL_PAUSE: Duration = Duration::from_millis(100);
const KILL_TRIES: u32 = 50;
/// Between the exception block and the break, so that the block reaches the socket.
const BREAK_PAUSE: Duration = Duration::from_millis(20);

/// A query that runs, and how to end it.
pub struct Running {
    engine: Engine,
    /// End of the query's `log_comment`.
    tag: String,
    done: AtomicBool,
}

impl Running {
    pub fn new(engine: Engine, tag: String) -> Arc<Self> {
        Arc::new(Self {
            engine,
            tag,
            done: AtomicBool::new(false),
        })
    }

    pub fn finish(&self) {
        self.done.store(true, Ordering::Release);
    }

    fn kill(&self) {
        let sql = format!(
            "KILL QUERY WHERE endsWith(Settings['log_comment'], {}) ASYNC",
            quote(&self.tag)
        );
        for _ in 0..KILL_TRIES {
            if self.done.load(Ordering::Acquire) {
                return;
            }
            if let Ok(mut connection) = self.engine.connect() {
                // A query that is not found yet is an empty result, and every other failure leaves nothing to do.
                let _ = connection.query(sql.as_bytes(), "Null", &[]);
            }
            std::thread::sleep(KILL_PAUSE);
        }
    }
}

/// Held by whoever waits for the answer. Dropped before the query is done, it kills the query.
pub struct Waiting(pub Arc<Running>);

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.0.done.load(Ordering::Acquire) {
            return;
        }
        let running = Arc::clone(&self.0);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn_blocking(move || running.kill());
        }
    }
}

/// A step of a body under way.
pub enum Piece {
    Data(Bytes),
    Break,
}

/// The client went away.
#[derive(Debug)]
pub struct Gone;

/// The worker's end of an answer.
pub struct Sink {
    head: Option<oneshot::Sender<Response<mpsc::Receiver<Piece>>>>,
    pieces: Option<mpsc::Sender<Piece>>,
}

/// The connection's end, before the head is known.
pub struct Pending(oneshot::Receiver<Response<mpsc::Receiver<Piece>>>);

pub fn channel() -> (Sink, Pending) {
    let (head, pending) = oneshot::channel();
    (
        Sink {
            head: Some(head),
            pieces: None,
        },
        Pending(pending),
    )
}

impl Sink {
    /// Whether the head is out, after which a failure can only be told in the body.
    pub fn started(&self) -> bool {
        self.head.is_none()
    }

    pub fn start(&mut self, head: Response<()>) -> Result<(), Gone> {
        let (sender, receiver) = mpsc::channel(QUEUE_PIECES);
        self.pieces = Some(sender);
        let channel = self.head.take().ok_or(Gone)?;
        channel.send(head.map(|()| receiver)).map_err(|_| Gone)
    }

    /// Sends a piece; blocks while the client is behind.
    pub fn send(&mut self, data: Bytes) -> Result<(), Gone> {
        if data.is_empty() {
            return Ok(());
        }
        self.pieces
            .as_ref()
            .ok_or(Gone)?
            .blocking_send(Piece::Data(data))
            .map_err(|_| Gone)
    }

    /// Ends a started answer with an exception.
    pub fn break_off(&mut self, exception: &Exception, tag: &str) {
        if self.send(exception.tail(tag).into()).is_ok()
            && let Some(pieces) = &self.pieces
        {
            // The client may be gone by now; then there is nobody to tell.
            let _ = pieces.blocking_send(Piece::Break);
        }
    }
}

impl Pending {
    /// Waits for the head. `None` when the worker ended without one.
    pub async fn head(self, waiting: Waiting) -> Option<Response<Body>> {
        let response = self.0.await.ok()?;
        Some(response.map(|pieces| Body::Pieces {
            pieces,
            _waiting: waiting,
            breaking: None,
        }))
    }
}

/// A response's body: one piece known in advance, or those of a worker.
pub enum Body {
    Whole(Option<Bytes>),
    Pieces {
        pieces: mpsc::Receiver<Piece>,
        _waiting: Waiting,
        breaking: Option<Pin<Box<tokio::time::Sleep>>>,
    },
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        match &mut *self {
            Self::Whole(data) => Poll::Ready(data.take().map(|data| Ok(Frame::data(data)))),
            Self::Pieces {
                pieces, breaking, ..
            } => loop {
                if let Some(pause) = breaking {
                    return pause
                        .as_mut()
                        .poll(context)
                        .map(|()| Some(Err(std::io::Error::other("the query failed"))));
                }
                match std::task::ready!(pieces.poll_recv(context)) {
                    Some(Piece::Data(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                    Some(Piece::Break) => {
                        *breaking = Some(Box::pin(tokio::time::sleep(BREAK_PAUSE)))
                    }
                    None => return Poll::Ready(None),
                }
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match self {
            Self::Whole(data) => {
                let length = data.as_ref().map_or(0, Bytes::len);
                hyper::body::SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
            Self::Pieces { .. } => hyper::body::SizeHint::default(),
        }
    }
}
