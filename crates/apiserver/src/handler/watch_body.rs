//! Body of a streamed response: a watch, or a long response of an upstream.
//!
//! The end is recorded before the client sees it. If the client disconnects first, a task that
//! shutdown waits for writes the record.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use event::Json;
use event::annotations::INTERRUPTED;
use futures::Stream;
use http::StatusCode;
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::AuditContext;
use crate::audit::intents::Intent;
use crate::handler::body::Aborted;
use crate::handler::max_in_flight::Seat;
use crate::handler::recorded_end::{FinalRecord, RecordedEnd};
use crate::metrics::WatchMetrics;
use crate::state::ServerState;

/// The parts of a response that arrive one after the other.
pub(crate) trait Frames: Send {
    /// The next part; `None` at the end. It is not polled after an error.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Aborted>>>;

    /// Whether the response may end after any part, as a watch may.
    fn is_open_ended(&self) -> bool;

    /// The recorded form of the body, at its end.
    fn recorded(&mut self) -> Option<Json> {
        None
    }
}

/// The events of a watch of this server.
pub(crate) struct WatchFrames(pub(crate) Pin<Box<dyn Stream<Item = Bytes> + Send>>);

impl Frames for WatchFrames {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Aborted>>> {
        self.0.as_mut().poll_next(context).map(|frame| frame.map(Ok))
    }

    fn is_open_ended(&self) -> bool {
        true
    }
}

/// Records the end of a response.
pub(crate) struct Completion {
    pub(crate) audit: AuditContext,
    /// Status code of the response.
    pub(crate) code: StatusCode,
    /// Seat of the request, held until the end.
    pub(crate) seat: Option<Seat>,
    /// The stored intent, removed with the record of the end.
    pub(crate) intent: Option<Intent>,
    /// Metrics, if it is a watch.
    pub(crate) metrics: Option<WatchMetrics>,
}

/// Frames of one response.
pub(crate) struct WatchBody {
    frames: Box<dyn Frames>,
    end: RecordedEnd,
    /// Completes when the server shuts down.
    closing: Pin<Box<WaitForCancellationFutureOwned>>,
    final_record: Option<FinalRecord>,
    /// Why the response is aborted, once its end is recorded.
    failure: Option<Aborted>,
    metrics: Option<WatchMetrics>,
    /// Status code of the response.
    code: StatusCode,
    /// Seat among the concurrent requests.
    _seat: Option<Seat>,
}

impl WatchBody {
    pub(crate) fn new(
        frames: Box<dyn Frames>,
        completion: Completion,
        state: Arc<ServerState>,
    ) -> Self {
        let Completion { audit, code, seat, intent, metrics } = completion;
        let closing = Box::pin(state.closing.clone().cancelled_owned());
        let end = RecordedEnd::new(state, audit, intent);
        let (final_record, failure) = (None, None);
        Self { frames, end, closing, final_record, failure, metrics, code, _seat: seat }
    }

    pub(crate) fn poll_bytes(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Aborted>>> {
        if self.final_record.is_none() && self.end.is_pending() {
            match self.poll_frames(context) {
                Poll::Ready(None) => {}
                poll => return poll,
            }
        }
        if let Some(final_record) = &mut self.final_record {
            std::task::ready!(final_record.as_mut().poll(context));
            self.final_record = None;
        }
        Poll::Ready(self.failure.take().map(Err))
    }

    /// Returns the next frame; `None` when the response has ended and its end is being recorded.
    fn poll_frames(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Aborted>>> {
        if self.frames.is_open_ended() && self.closing.as_mut().poll(context).is_ready() {
            self.final_record = self.complete(None);
            return Poll::Ready(None);
        }
        let next = catch_unwind(AssertUnwindSafe(|| self.frames.poll_next(context)));
        match next {
            Ok(Poll::Ready(None)) => {
                self.final_record = self.complete(None);
                Poll::Ready(None)
            }
            Ok(Poll::Ready(Some(Err(failure)))) => {
                self.final_record = self.complete(Some(&failure.to_string()));
                self.failure = Some(failure);
                Poll::Ready(None)
            }
            Ok(poll) => {
                if let (Poll::Ready(Some(Ok(frame))), Some(metrics)) = (&poll, &self.metrics) {
                    metrics.sent(frame);
                }
                poll
            }
            Err(_) => {
                self.final_record = self.end(|audit| audit.panicked("the watch panicked"));
                Poll::Ready(None)
            }
        }
    }

    /// Completes the event. `interruption` says why the response ends early.
    fn complete(&mut self, interruption: Option<&str>) -> Option<FinalRecord> {
        if !self.end.is_pending() {
            return None;
        }
        let (code, object) = (self.code.as_u16(), self.frames.recorded());
        self.end(|mut audit| {
            if let Some(reason) = interruption {
                audit.annotate(INTERRUPTED, reason);
            }
            audit.stream_complete(code, object)
        })
    }

    fn end(&mut self, complete: impl FnOnce(AuditContext) -> Option<Bytes>) -> Option<FinalRecord> {
        let record = self.end.write(complete)?;
        if let Some(metrics) = &self.metrics {
            metrics.ended();
        }
        Some(record)
    }
}

impl Drop for WatchBody {
    fn drop(&mut self) {
        // The client disconnected before the end, or while the end was being recorded.
        let interruption =
            (!self.frames.is_open_ended()).then_some("the client did not read it to the end");
        if let Some(final_record) = self.complete(interruption).or_else(|| self.final_record.take())
        {
            self.end.spawn(final_record);
        }
    }
}
