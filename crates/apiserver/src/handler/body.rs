//! Request bodies and response bodies.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use apimachinery::ApiError;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::Instant;

use crate::connection::ActiveRequest;
use crate::handler::budget::Reservation;
use crate::handler::max_in_flight::Seat;
use crate::handler::status_errors;
use crate::handler::watch_body::WatchBody;
use crate::limits::{BODY_BYTES_MAX, BODY_PAUSE_MAX, RESPONSE_PAUSE_MAX, RESPONSE_PIECE_BYTES};

/// Reads the whole body. Fails if it is longer than [`BODY_BYTES_MAX`], pauses too long, or exceeds
/// its share of `budget`.
pub(crate) async fn read(mut body: Incoming, budget: &mut Reservation) -> Result<Bytes, ApiError> {
    if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
        return Err(status_errors::too_large(BODY_BYTES_MAX));
    }
    let mut first = Bytes::new();
    let mut buffer = BytesMut::new();
    while !body.is_end_stream() {
        let frame = match tokio::time::timeout(BODY_PAUSE_MAX, body.frame()).await {
            Ok(None) => break,
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(_))) => {
                return Err(ApiError::bad_request("the request body ended too early"));
            }
            Err(_) => {
                return Err(status_errors::timeout("the request body did not arrive in time"));
            }
        };
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + buffer.len() + data.len() > BODY_BYTES_MAX {
            return Err(status_errors::too_large(BODY_BYTES_MAX));
        }
        if !budget.grow(data.len()) {
            return Err(status_errors::too_many_requests());
        }
        // Most bodies arrive in one piece, which is not copied.
        if first.is_empty() && buffer.is_empty() {
            first = data;
        } else {
            if buffer.is_empty() {
                buffer.extend_from_slice(&std::mem::take(&mut first));
            }
            buffer.extend_from_slice(&data);
        }
    }
    Ok(if buffer.is_empty() { first } else { buffer.freeze() })
}

/// Body of a response: bytes or a watch.
pub(crate) struct ResponseBody {
    content: Content,
    /// Keeps the connection from counting as idle.
    active_request: Option<ActiveRequest>,
    /// ID of the response within its connection.
    number: Option<u64>,
    /// Whether pieces are copied. The connection may keep a piece for a stalled client; without a
    /// copy it would keep the whole response in memory.
    copies: bool,
}

enum Content {
    /// Bytes, sent in pieces.
    Complete(Arc<Outgoing>),
    /// Events of a watch.
    Watch(Arc<OutgoingWatch>),
}

/// A response that the connection aborts if the client reads nothing.
pub(crate) trait Stallable: Send + Sync {
    /// Frees the memory of the response if the client has read nothing for [`RESPONSE_PAUSE_MAX`].
    /// Returns whether the response is aborted.
    fn end_if_stalled(&self) -> bool;
}

/// A complete response that is being sent.
pub(crate) struct Outgoing(Mutex<Remaining>);

struct Remaining {
    bytes: Bytes,
    /// Seat of the request, held until the response has been sent.
    seat: Option<Seat>,
    /// Time at which the last piece was taken.
    since: Instant,
    /// Whether the body is longer than one piece.
    is_long: bool,
    is_aborted: bool,
}

/// Why a response ends early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Aborted {
    /// The client did not read its response for too long.
    #[error("the client does not read the response")]
    Stalled,
    /// The upstream ended the response early.
    #[error("the upstream ended the response early: {0}")]
    Upstream(String),
    /// The upstream sent nothing for too long.
    #[error("the upstream sent nothing for too long")]
    UpstreamPause,
}

impl Outgoing {
    fn remaining(&self) -> MutexGuard<'_, Remaining> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self, copies: bool) -> Option<Result<Bytes, Aborted>> {
        let mut remaining = self.remaining();
        if remaining.is_aborted {
            return Some(Err(Aborted::Stalled));
        }
        if remaining.bytes.is_empty() {
            return None;
        }
        let len = remaining.bytes.len().min(RESPONSE_PIECE_BYTES);
        let mut piece = remaining.bytes.split_to(len);
        if copies && remaining.is_long {
            piece = Bytes::copy_from_slice(&piece);
        }
        if remaining.bytes.is_empty() {
            remaining.seat = None;
        } else {
            remaining.since = Instant::now();
        }
        Some(Ok(piece))
    }
}

impl Stallable for Outgoing {
    fn end_if_stalled(&self) -> bool {
        let mut remaining = self.remaining();
        if !remaining.is_aborted && remaining.since.elapsed() >= RESPONSE_PAUSE_MAX {
            remaining.is_aborted = true;
            remaining.bytes = Bytes::new();
            remaining.seat = None;
        }
        remaining.is_aborted
    }
}

/// A watch that is being sent.
pub(crate) struct OutgoingWatch(Mutex<WatchState>);

struct WatchState {
    /// `None` after the watch was aborted.
    watch: Option<Box<WatchBody>>,
    /// The part of an event that has not been taken.
    event: Bytes,
    /// The event was longer than a piece.
    is_long: bool,
    /// Time at which the last piece was taken; `None` while the connection waits for an event. A
    /// connection that can send takes the next piece immediately.
    since: Option<Instant>,
}

impl OutgoingWatch {
    fn state(&self) -> MutexGuard<'_, WatchState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next piece. A long event is sent in pieces, so that a slow client differs from a client
    /// that reads nothing. With `copies`, the piece is a copy and does not retain the whole event.
    fn poll_next(
        &self,
        context: &mut Context<'_>,
        copies: bool,
    ) -> Poll<Option<Result<Bytes, Aborted>>> {
        let mut state = self.state();
        state.since = None;
        if state.event.is_empty() {
            let Some(watch) = &mut state.watch else {
                return Poll::Ready(Some(Err(Aborted::Stalled)));
            };
            match std::task::ready!(watch.poll_bytes(context)) {
                Some(Err(aborted)) => return Poll::Ready(Some(Err(aborted))),
                Some(Ok(event)) => {
                    state.is_long = event.len() > RESPONSE_PIECE_BYTES;
                    state.event = event;
                }
                None => return Poll::Ready(None),
            }
        }
        let len = state.event.len().min(RESPONSE_PIECE_BYTES);
        let mut piece = state.event.split_to(len);
        if copies && state.is_long {
            piece = Bytes::copy_from_slice(&piece);
        }
        state.since = Some(Instant::now());
        Poll::Ready(Some(Ok(piece)))
    }
}

impl Stallable for OutgoingWatch {
    fn end_if_stalled(&self) -> bool {
        let mut state = self.state();
        if state.since.is_some_and(|since| since.elapsed() >= RESPONSE_PAUSE_MAX) {
            // Its end is recorded when it is dropped.
            state.watch = None;
            state.event = Bytes::new();
        }
        state.watch.is_none()
    }
}

impl ResponseBody {
    /// A complete body. `seat` is released when the last piece has been taken.
    pub(crate) fn complete(bytes: Bytes, seat: Option<Seat>) -> Self {
        let seat = seat.filter(|_| !bytes.is_empty());
        let is_long = bytes.len() > RESPONSE_PIECE_BYTES;
        let remaining =
            Remaining { bytes, seat, since: Instant::now(), is_long, is_aborted: false };
        Self::new(Content::Complete(Arc::new(Outgoing(Mutex::new(remaining)))))
    }

    pub(crate) fn watch(watch: WatchBody) -> Self {
        let watch = Some(Box::new(watch));
        let state = WatchState { watch, event: Bytes::new(), is_long: false, since: None };
        Self::new(Content::Watch(Arc::new(OutgoingWatch(Mutex::new(state)))))
    }

    fn new(content: Content) -> Self {
        Self { content, active_request: None, number: None, copies: false }
    }

    /// Holds `active_request` until the body has been sent.
    pub(crate) fn keeping(mut self, active_request: ActiveRequest) -> Self {
        self.number = match &self.content {
            Content::Complete(outgoing) if outgoing.remaining().bytes.is_empty() => None,
            Content::Complete(outgoing) => {
                let outgoing: Arc<dyn Stallable> = Arc::<Outgoing>::clone(outgoing);
                Some(active_request.register_response(outgoing))
            }
            Content::Watch(watch) => {
                let watch: Arc<dyn Stallable> = Arc::<OutgoingWatch>::clone(watch);
                Some(active_request.register_response(watch))
            }
        };
        self.copies = active_request.has_streams();
        self.active_request = Some(active_request);
        self
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        if let (Some(active_request), Some(number)) = (&self.active_request, self.number) {
            active_request.unregister_response(number);
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let copies = self.copies;
        match &mut self.get_mut().content {
            Content::Complete(outgoing) => {
                Poll::Ready(outgoing.next(copies).map(|piece| piece.map(Frame::data)))
            }
            Content::Watch(watch) => watch
                .poll_next(context, copies)
                .map(|next| next.map(|piece| piece.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Complete(outgoing) => {
                let remaining = outgoing.remaining();
                remaining.bytes.is_empty() && !remaining.is_aborted
            }
            Content::Watch(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Complete(outgoing) => {
                SizeHint::with_exact(outgoing.remaining().bytes.len() as u64)
            }
            Content::Watch(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of a response that report when they are freed.
    struct Watched {
        bytes: Vec<u8>,
        _alive: Arc<()>,
    }

    impl AsRef<[u8]> for Watched {
        fn as_ref(&self) -> &[u8] {
            &self.bytes
        }
    }

    /// Regression test: lists that were never read used memory as long as their connections lived.
    #[tokio::test(start_paused = true)]
    async fn an_unread_response_is_freed_despite_a_pending_chunk() {
        let check = async |copies: bool, is_freed: bool| {
            let alive = Arc::new(());
            let bytes =
                Bytes::from_owner(Watched { bytes: vec![1; 1 << 20], _alive: Arc::clone(&alive) });
            let mut body = ResponseBody::complete(bytes, None);
            body.copies = copies;
            let Content::Complete(outgoing) = &body.content else { panic!("it is whole") };
            let outgoing = Arc::clone(outgoing);
            let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(piece.len(), RESPONSE_PIECE_BYTES);
            assert!(!outgoing.end_if_stalled());
            tokio::time::advance(RESPONSE_PAUSE_MAX).await;
            assert!(outgoing.end_if_stalled());
            assert_eq!(Arc::strong_count(&alive) == 1, is_freed);
            assert!(body.frame().await.unwrap().is_err(), "it breaks off");
            drop(piece);
            assert_eq!(Arc::strong_count(&alive), 1);
        };
        check(true, true).await;
        check(false, false).await;
    }

    #[tokio::test]
    async fn a_response_is_sent_completely_in_chunks() {
        for (len, copies) in [(0, true), (1, false), (64 << 10, true), (200_000, true)] {
            let expected = vec![7; len];
            let mut body = ResponseBody::complete(Bytes::from(expected.clone()), None);
            body.copies = copies;
            let mut received = Vec::new();
            while let Some(piece) = body.frame().await {
                received.extend_from_slice(&piece.unwrap().into_data().unwrap());
            }
            assert_eq!(received, expected);
            assert!(body.is_end_stream());
        }
    }
}
