//! A request body that is watched while it is read: size, admission, time.
//!
//! Both transports read through [`Guarded`], so the limits are the same. It copies nothing.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use super::{Full, limits::Permit};

/// Why a body was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    #[error("the request body is larger than {bytes_max} bytes; send smaller batches")]
    TooLarge { bytes_max: usize },
    #[error("too many bytes in flight; try again later")]
    Busy,
    #[error("the request body did not arrive within {} s", .within.as_secs())]
    Slow { within: Duration },
    #[error("the request body cannot be decompressed as {encoding}: {reason}")]
    Garbage {
        encoding: &'static str,
        reason: String,
    },
    #[error("the request body was cut short: {reason}")]
    Broken { reason: String },
}

impl From<Full> for BodyError {
    fn from(_: Full) -> Self {
        Self::Busy
    }
}

/// A body under limits.
pub struct Guarded<B> {
    inner: B,
    permit: Arc<Permit>,
    bytes: usize,
    bytes_max: usize,
    within: Duration,
    deadline: Pin<Box<Sleep>>,
}

impl<B: Body<Data = Bytes> + Unpin> Guarded<B> {
    /// Refuses at once what declares itself too large. `bytes_max` counts what is on the wire.
    pub fn new(
        inner: B,
        permit: Arc<Permit>,
        bytes_max: usize,
        within: Duration,
    ) -> Result<Self, BodyError> {
        if inner.size_hint().lower() > bytes_max as u64 {
            return Err(BodyError::TooLarge { bytes_max });
        }
        permit.grow_to(usize::try_from(inner.size_hint().lower()).unwrap_or(usize::MAX))?;
        Ok(Self {
            inner,
            permit,
            bytes: 0,
            bytes_max,
            within,
            deadline: Box::pin(sleep(within)),
        })
    }
}

impl<B> Body for Guarded<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Pending if this.deadline.as_mut().poll(cx).is_ready() => {
                Poll::Ready(Some(Err(BodyError::Slow {
                    within: this.within,
                })))
            }
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(BodyError::Broken {
                reason: error.to_string(),
            }))),
            Poll::Ready(Some(Ok(frame))) => {
                let more = frame.data_ref().map_or(0, Bytes::len);
                this.bytes = this.bytes.saturating_add(more);
                if this.bytes > this.bytes_max {
                    return Poll::Ready(Some(Err(BodyError::TooLarge {
                        bytes_max: this.bytes_max,
                    })));
                }
                this.permit.grow_to(this.bytes)?;
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
