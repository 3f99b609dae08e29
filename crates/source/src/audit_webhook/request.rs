//! One request of a sender: checks it, splits its body into events, records them, and responds.
//!
//! A refusal before the source is known is counted by its reason
//! ([`Refusal`](crate::listener::Refusal)), a later one in the state of the source.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderValue, RETRY_AFTER};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use sha2::{Digest as _, Sha256};
use store::StoreError;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::PATH;
use crate::limits::{
    BODY_BYTES_MAX, BODY_TIME_MAX, LONG_EVENT_BYTES, QUARANTINE_BYTES_MAX, RETRY_AFTER_MAX,
    WAIT_MAX,
};
use crate::listener::{
    BodyError, Endpoint, Gate, Grant, HeadError, Refused, check_head, next_frame, text_response,
};
use crate::splitter::{DIGEST_LEN, Digest, Item, Splitter};
use crate::{Recorder, Recording, SourceStatus, Transfer};

/// What is shared by all requests.
pub(super) struct Receiver {
    pub(super) gate: Arc<Gate>,
    pub(super) statuses: Vec<Arc<SourceStatus>>,
    pub(super) recorder: Arc<Recorder>,
    /// The bodies that may be received at a time.
    pub(super) bodies: Semaphore,
    /// The long events that may be held at a time.
    pub(super) long_events: Semaphore,
}

/// Why a request is rejected.
#[derive(Debug, thiserror::Error)]
enum Rejection {
    #[error(transparent)]
    Head(#[from] HeadError),
    #[error("the body is longer than {BODY_BYTES_MAX} bytes: send fewer events at a time")]
    TooLarge,
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error("its events were not recorded within {} seconds", BODY_TIME_MAX.as_secs())]
    Late,
    #[error("too many events are received at a time")]
    Busy,
    #[error("the events cannot be recorded: {0}")]
    Store(#[from] StoreError),
}

impl Endpoint for Receiver {
    fn gate(&self) -> &Gate {
        &self.gate
    }

    async fn respond(
        &self,
        request: Request<Incoming>,
        admitted: Result<Grant, Refused>,
        from: SocketAddr,
    ) -> Response<Full<Bytes>> {
        let cluster = request.uri().path().strip_prefix(PATH).unwrap_or_default();
        let source = match self.gate.source(&self.statuses, admitted, (PATH, cluster), from) {
            Ok(source) => source,
            Err(response) => return *response,
        };
        let received = tokio::time::timeout(BODY_TIME_MAX, self.receive(request, source)).await;
        match received.unwrap_or(Err(Rejection::Late)) {
            Ok(transfer) => {
                self.recorder.note_transfer(source, &transfer);
                Response::new(Full::default())
            }
            Err(rejection) => {
                if rejection.is_unavailability() {
                    self.recorder.note_unavailability(source);
                }
                let error = rejection.to_string();
                tracing::warn!(source = source.name(), error, "audit events are rejected");
                source.failed(&error);
                rejection.response()
            }
        }
    }
}

impl Receiver {
    /// Records the events of a request. Returns when they are durable.
    async fn receive(
        &self,
        request: Request<Incoming>,
        source: &SourceStatus,
    ) -> Result<Transfer, Rejection> {
        check_head(&request)?;
        self.recorder.check_space()?;
        let _body = permit(&self.bodies).await?;
        let mut body = request.into_body();
        let mut seed = source.cluster().as_bytes().to_vec();
        seed.push(0);
        let mut start = BodyStart::new(&seed);
        let mut events = Events {
            receiver: self,
            splitter: Splitter::new(&seed),
            recording: self.recorder.begin(source),
            long_event: None,
        };
        // The sender drops a body that is too long after its last attempt, so what is known of it is
        // recorded.
        let announced = body.size_hint().lower();
        if announced > BODY_BYTES_MAX {
            while !start.is_full()
                && let Ok(Some(frame)) = next_frame(&mut body).await
            {
                start.add(&frame);
            }
            return events.reject(start.item(announced)).await;
        }
        let mut received = 0;
        while let Some(frame) = next_frame(&mut body).await? {
            received += frame.len() as u64;
            start.add(&frame);
            if received > BODY_BYTES_MAX {
                return events.reject(start.item(received)).await;
            }
            events.add(&frame).await?;
        }
        events.finish().await
    }
}

/// The first bytes of a body. They begin with its first event, so they tell two bodies apart.
struct BodyStart {
    seed: Sha256,
    text: Vec<u8>,
}

impl BodyStart {
    fn new(seed: &[u8]) -> Self {
        // No event begins with these words.
        let seed = Sha256::new_with_prefix(seed).chain_update("start of a long body");
        Self { seed, text: Vec::new() }
    }

    fn is_full(&self) -> bool {
        self.text.len() >= QUARANTINE_BYTES_MAX
    }

    fn add(&mut self, frame: &[u8]) {
        let free = QUARANTINE_BYTES_MAX.saturating_sub(self.text.len());
        self.text.extend_from_slice(&frame[..frame.len().min(free)]);
    }

    /// The item that is recorded instead of a body of this length.
    fn item(self, len: u64) -> Item {
        let identity = self.seed.chain_update(&self.text).finalize();
        let mut digest = Digest::default();
        digest.copy_from_slice(&identity[..DIGEST_LEN]);
        Item { text: self.text, digest, len, ..Item::default() }
    }
}

/// The events of one request.
struct Events<'r> {
    receiver: &'r Receiver,
    splitter: Splitter,
    recording: Recording<'r>,
    /// Held while an event is long.
    long_event: Option<SemaphorePermit<'r>>,
}

impl Events<'_> {
    async fn add(&mut self, mut bytes: &[u8]) -> Result<(), Rejection> {
        while let Some(item) = self.splitter.next(&mut bytes) {
            self.hold(item.text.len()).await?;
            self.recording.add(item).await?;
            if self.long_event.is_some() {
                // Its record needs memory until it is durable.
                self.recording.commit().await?;
                self.long_event = None;
            }
        }
        self.hold(self.splitter.buffered_bytes()).await
    }

    /// Waits for a permit if an event of this length is long.
    async fn hold(&mut self, len: usize) -> Result<(), Rejection> {
        if len > LONG_EVENT_BYTES && self.long_event.is_none() {
            self.long_event = Some(permit(&self.receiver.long_events).await?);
        }
        Ok(())
    }

    /// Records a body that is too long, and the events of it that were received.
    async fn reject(mut self, item: Item) -> Result<Transfer, Rejection> {
        let rejection = Rejection::TooLarge;
        self.recording.add_rejected(item, &rejection.to_string()).await?;
        self.recording.finish().await?;
        Err(rejection)
    }

    async fn finish(mut self) -> Result<Transfer, Rejection> {
        if let Some(item) = self.splitter.finish() {
            self.recording.add(item).await?;
        }
        Ok(self.recording.finish().await?)
    }
}

async fn permit(semaphore: &Semaphore) -> Result<SemaphorePermit<'_>, Rejection> {
    match tokio::time::timeout(WAIT_MAX, semaphore.acquire()).await {
        Ok(Ok(permit)) => Ok(permit),
        Ok(Err(_)) | Err(_) => Err(Rejection::Busy),
    }
}

impl Rejection {
    /// Whether the events could not be recorded although the sender did what it should.
    const fn is_unavailability(&self) -> bool {
        matches!(self, Self::Late | Self::Busy | Self::Store(_))
    }

    fn response(&self) -> Response<Full<Bytes>> {
        let (code, header) = match self {
            Self::Head(error) => return error.response(),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, None),
            Self::Body(_) | Self::Late | Self::Busy => {
                (StatusCode::SERVICE_UNAVAILABLE, Some(retry_after(None)))
            }
            Self::Store(error) => {
                (StatusCode::SERVICE_UNAVAILABLE, Some(retry_after(error.retry_after())))
            }
        };
        text_response(code, header, &self.to_string())
    }
}

/// The time after which the sender shall send again.
fn retry_after(time: Option<Duration>) -> (http::HeaderName, HeaderValue) {
    let seconds = time.unwrap_or(RETRY_AFTER_MAX).min(RETRY_AFTER_MAX).as_secs().max(1);
    (RETRY_AFTER, HeaderValue::from(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rejection: &Rejection, is_unavailability: bool, text: &str) {
        assert_eq!(rejection.is_unavailability(), is_unavailability, "{rejection}");
        assert_eq!(rejection.response().status(), StatusCode::SERVICE_UNAVAILABLE, "{rejection}");
        assert!(rejection.to_string().contains(text), "{rejection}");
    }

    /// Regression: a request that took longer than its limit counted as one whose body was not sent
    /// completely, so that no gap was recorded for it.
    #[test]
    fn a_request_that_is_not_recorded_in_time_is_no_incomplete_body() {
        check(&Rejection::Late, true, "not recorded within 35 seconds");
        check(&Rejection::Body(BodyError), false, "not received completely");
        check(&Rejection::Busy, true, "too many events");
        check(&Rejection::Store(StoreError::Busy), true, "cannot be recorded");
    }
}
