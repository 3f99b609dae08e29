//! The answer to a watch: frames until somebody ends it, and a record of the end.
//!
//! The end is recorded before the client sees it; when the client goes first, the record is written
//! by a task that shutdown waits for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use http::StatusCode;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tracing::warn;

use crate::front::Front;
use crate::limits::Seat;
use crate::metrics::WatchNumbers;
use crate::{RequestInfo, Trail};

type Frames = Pin<Box<dyn Stream<Item = Bytes> + Send>>;
type Farewell = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Frames of one watch.
pub(crate) struct WatchBody {
    frames: Frames,
    front: Arc<Front>,
    /// Taken when the end is recorded.
    trail: Option<Trail>,
    /// Done when the server closes.
    closing: Pin<Box<WaitForCancellationFutureOwned>>,
    farewell: Option<Farewell>,
    numbers: WatchNumbers,
    /// Of the answer.
    code: StatusCode,
    /// The watch's own among those that there may be at a time.
    _seat: Option<Seat>,
}

impl WatchBody {
    pub(crate) fn new(
        frames: Frames,
        (trail, code, seat): (Trail, StatusCode, Option<Seat>),
        front: Arc<Front>,
        info: &RequestInfo,
    ) -> Self {
        let numbers = front.metrics.watch_began(info);
        let closing = Box::pin(front.closing.clone().cancelled_owned());
        let trail = Some(trail);
        Self { frames, front, trail, closing, farewell: None, numbers, code, _seat: seat }
    }

    pub(crate) fn poll_bytes(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.farewell.is_none() && self.trail.is_some() {
            match self.poll_frames(context) {
                Poll::Ready(None) => {}
                other => return other,
            }
        }
        if let Some(farewell) = &mut self.farewell {
            std::task::ready!(farewell.as_mut().poll(context));
            self.farewell = None;
        }
        Poll::Ready(None)
    }

    /// The next frame; `None` when the watch is over and its end is being recorded.
    fn poll_frames(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.closing.as_mut().poll(context).is_ready() {
            self.farewell = self.end_in_order();
            return Poll::Ready(None);
        }
        let next = catch_unwind(AssertUnwindSafe(|| self.frames.as_mut().poll_next(context)));
        match next {
            Ok(Poll::Ready(None)) => {
                self.farewell = self.end_in_order();
                Poll::Ready(None)
            }
            Ok(poll) => {
                if let Poll::Ready(Some(frame)) = &poll {
                    self.numbers.sent(frame);
                }
                poll
            }
            Err(_) => {
                self.farewell = self.end(|trail| trail.panicked("a watch broke off"));
                Poll::Ready(None)
            }
        }
    }

    fn end_in_order(&mut self) -> Option<Farewell> {
        let code = self.code.as_u16();
        self.end(|trail| trail.watched(code))
    }

    fn end(&mut self, complete: impl FnOnce(Trail) -> Option<Bytes>) -> Option<Farewell> {
        let record = complete(self.trail.take()?);
        self.numbers.ended();
        let front = Arc::clone(&self.front);
        Some(Box::pin(async move {
            if let Err(error) = front.note(record).await {
                warn!(reason = error.status.message, "the end of a watch is not recorded");
            }
        }))
    }
}

impl Drop for WatchBody {
    fn drop(&mut self) {
        // Either the client went before the end, or while the end was being recorded.
        if let Some(farewell) = self.end_in_order().or_else(|| self.farewell.take()) {
            self.front.tracker.spawn_on(farewell, &self.front.runtime);
        }
    }
}
