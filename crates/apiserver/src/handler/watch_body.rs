//! Response body of a watch: frames until the watch ends, and the record of its end.
//!
//! The end is recorded before the client sees it. If the client disconnects first, a task that
//! shutdown waits for writes the record.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use apimachinery::RequestInfo;
use bytes::Bytes;
use futures::Stream;
use http::StatusCode;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tracing::warn;

use crate::AuditContext;
use crate::handler::max_in_flight::Seat;
use crate::metrics::WatchMetrics;
use crate::state::ServerState;

type Frames = Pin<Box<dyn Stream<Item = Bytes> + Send>>;
type FinalRecord = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Frames of one watch.
pub(crate) struct WatchBody {
    frames: Frames,
    state: Arc<ServerState>,
    /// Taken when the end is recorded.
    audit: Option<AuditContext>,
    /// Completes when the server shuts down.
    closing: Pin<Box<WaitForCancellationFutureOwned>>,
    final_record: Option<FinalRecord>,
    metrics: WatchMetrics,
    /// Status code of the response.
    code: StatusCode,
    /// Seat among the concurrent watches.
    _seat: Option<Seat>,
}

impl WatchBody {
    pub(crate) fn new(
        frames: Frames,
        (audit, code, seat): (AuditContext, StatusCode, Option<Seat>),
        state: Arc<ServerState>,
        info: &RequestInfo,
    ) -> Self {
        let metrics = state.metrics.watch_started(info);
        let closing = Box::pin(state.closing.clone().cancelled_owned());
        let audit = Some(audit);
        Self { frames, state, audit, closing, final_record: None, metrics, code, _seat: seat }
    }

    pub(crate) fn poll_bytes(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.final_record.is_none() && self.audit.is_some() {
            match self.poll_frames(context) {
                Poll::Ready(None) => {}
                poll => return poll,
            }
        }
        if let Some(final_record) = &mut self.final_record {
            std::task::ready!(final_record.as_mut().poll(context));
            self.final_record = None;
        }
        Poll::Ready(None)
    }

    /// Returns the next frame; `None` when the watch has ended and its end is being recorded.
    fn poll_frames(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.closing.as_mut().poll(context).is_ready() {
            self.final_record = self.complete();
            return Poll::Ready(None);
        }
        let next = catch_unwind(AssertUnwindSafe(|| self.frames.as_mut().poll_next(context)));
        match next {
            Ok(Poll::Ready(None)) => {
                self.final_record = self.complete();
                Poll::Ready(None)
            }
            Ok(poll) => {
                if let Poll::Ready(Some(frame)) = &poll {
                    self.metrics.sent(frame);
                }
                poll
            }
            Err(_) => {
                self.final_record = self.end(|audit| audit.panicked("the watch panicked"));
                Poll::Ready(None)
            }
        }
    }

    fn complete(&mut self) -> Option<FinalRecord> {
        let code = self.code.as_u16();
        self.end(|audit| audit.watch_complete(code))
    }

    fn end(&mut self, complete: impl FnOnce(AuditContext) -> Option<Bytes>) -> Option<FinalRecord> {
        let record = complete(self.audit.take()?);
        self.metrics.ended();
        let state = Arc::clone(&self.state);
        Some(Box::pin(async move {
            if let Err(error) = state.log_event(record).await {
                warn!(reason = error.status.message, "cannot record the end of a watch");
            }
        }))
    }
}

impl Drop for WatchBody {
    fn drop(&mut self) {
        // The client disconnected before the end, or while the end was being recorded.
        if let Some(final_record) = self.complete().or_else(|| self.final_record.take()) {
            self.state.tracker.spawn_on(final_record, &self.state.runtime);
        }
    }
}
