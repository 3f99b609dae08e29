//! One request of a sender: checks it, splits its body into events, records them, and responds.
//!
//! A sender that is not authenticated learns nothing but that. Every rejection of a sender that is
//! authenticated is counted, with its reason, in the state of the source.

use std::sync::Arc;
use std::time::Duration;

use apiserver::Clock;
use bytes::Bytes;
use http::header::{
    ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use rustls::pki_types::CertificateDer;
use store::StoreError;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::PATH;
use super::access::Access;
use crate::limits::{
    BODY_BYTES_MAX, BODY_PAUSE_MAX, BODY_TIME_MAX, LONG_EVENT_BYTES, RETRY_AFTER_MAX, WAIT_MAX,
};
use crate::splitter::Splitter;
use crate::{Recorder, Recording, SourceStatus};

/// What is shared by all requests.
pub(super) struct Receiver {
    pub(super) access: Arc<Access>,
    pub(super) statuses: Vec<Arc<SourceStatus>>,
    pub(super) recorder: Arc<Recorder>,
    pub(super) clock: Arc<dyn Clock>,
    /// The bodies that may be received at a time.
    pub(super) bodies: Semaphore,
    /// The long events that may be held at a time.
    pub(super) long_events: Semaphore,
}

/// Why a request is rejected.
#[derive(Debug, thiserror::Error)]
enum Rejection {
    #[error("Unauthorized")]
    Unauthorized,
    #[error("the path is {PATH} and the name of a configured cluster")]
    Path,
    #[error("the method is POST")]
    Method,
    #[error("the Content-Type is application/json, without Content-Encoding")]
    MediaType,
    #[error("the body is longer than {BODY_BYTES_MAX} bytes: send fewer events at a time")]
    TooLarge,
    #[error("the body was not received completely")]
    Body,
    #[error("too many events are received at a time")]
    Busy,
    #[error("the events cannot be recorded: {0}")]
    Store(#[from] StoreError),
}

impl Receiver {
    /// Whether a request has valid credentials. `chain` is the client's certificate chain, leaf
    /// first.
    pub(super) fn allows(&self, request: &Request<Incoming>, chain: &[CertificateDer<'_>]) -> bool {
        self.access.allows(request.headers(), chain, self.clock.now())
    }

    /// Handles a request.
    pub(super) async fn respond(
        &self,
        request: Request<Incoming>,
        is_allowed: bool,
    ) -> Response<Full<Bytes>> {
        if !is_allowed {
            return Rejection::Unauthorized.response();
        }
        let cluster = request.uri().path().strip_prefix(PATH);
        let source = self.statuses.iter().find(|source| Some(source.cluster()) == cluster);
        let Some(source) = source else { return Rejection::Path.response() };
        let received = tokio::time::timeout(BODY_TIME_MAX, self.receive(request, source)).await;
        match received.unwrap_or(Err(Rejection::Body)) {
            Ok(()) => Response::new(Full::default()),
            Err(rejection) => {
                let error = rejection.to_string();
                tracing::warn!(source = source.name(), error, "audit events are rejected");
                source.failed(&error);
                rejection.response()
            }
        }
    }

    /// Records the events of a request. Returns when they are durable.
    async fn receive(
        &self,
        request: Request<Incoming>,
        source: &SourceStatus,
    ) -> Result<(), Rejection> {
        check_head(&request)?;
        self.recorder.check_space()?;
        let _body = permit(&self.bodies).await?;
        let mut body = request.into_body();
        let mut seed = source.cluster().as_bytes().to_vec();
        seed.push(0);
        let mut events = Events {
            receiver: self,
            splitter: Splitter::new(&seed),
            recording: self.recorder.begin(source),
            long_event: None,
        };
        let mut received = 0;
        while let Some(frame) = next_frame(&mut body).await? {
            received += frame.len() as u64;
            if received > BODY_BYTES_MAX {
                return Err(Rejection::TooLarge);
            }
            events.add(&frame).await?;
        }
        events.finish().await
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
            self.recording.add(item).await?;
            self.long_event = None;
        }
        if self.splitter.held() > LONG_EVENT_BYTES && self.long_event.is_none() {
            self.long_event = Some(permit(&self.receiver.long_events).await?);
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<(), Rejection> {
        if let Some(item) = self.splitter.finish() {
            self.recording.add(item).await?;
        }
        self.recording.finish().await?;
        Ok(())
    }
}

async fn permit(semaphore: &Semaphore) -> Result<SemaphorePermit<'_>, Rejection> {
    match tokio::time::timeout(WAIT_MAX, semaphore.acquire()).await {
        Ok(Ok(permit)) => Ok(permit),
        Ok(Err(_)) | Err(_) => Err(Rejection::Busy),
    }
}

/// The next part of a body; `None` at its end. Trailers are ignored.
async fn next_frame(body: &mut Incoming) -> Result<Option<Bytes>, Rejection> {
    loop {
        let frame = tokio::time::timeout(BODY_PAUSE_MAX, body.frame()).await;
        let Some(frame) = frame.map_err(|_| Rejection::Body)? else { return Ok(None) };
        if let Ok(bytes) = frame.map_err(|_| Rejection::Body)?.into_data() {
            return Ok(Some(bytes));
        }
    }
}

fn check_head(request: &Request<Incoming>) -> Result<(), Rejection> {
    if request.method() != Method::POST {
        return Err(Rejection::Method);
    }
    if !is_plain_json(request.headers()) {
        return Err(Rejection::MediaType);
    }
    if request.body().size_hint().lower() > BODY_BYTES_MAX {
        return Err(Rejection::TooLarge);
    }
    Ok(())
}

fn is_plain_json(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or("?"));
    let media_type = text(CONTENT_TYPE).unwrap_or_default().split(';').next().unwrap_or_default();
    let encoding = text(CONTENT_ENCODING).unwrap_or("identity");
    media_type.trim().eq_ignore_ascii_case("application/json")
        && encoding.trim().eq_ignore_ascii_case("identity")
}

impl Rejection {
    fn response(&self) -> Response<Full<Bytes>> {
        let (code, header) = match self {
            Self::Unauthorized => (
                StatusCode::UNAUTHORIZED,
                Some((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            ),
            Self::Path => (StatusCode::NOT_FOUND, None),
            Self::Method => {
                (StatusCode::METHOD_NOT_ALLOWED, Some((ALLOW, HeaderValue::from_static("POST"))))
            }
            Self::MediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, None),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, None),
            Self::Body | Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, Some(retry_after(None))),
            Self::Store(error) => {
                (StatusCode::SERVICE_UNAVAILABLE, Some(retry_after(error.retry_after())))
            }
        };
        let mut response = Response::new(Full::from(format!("{self}\n")));
        *response.status_mut() = code;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.extend(header);
        response
    }
}

/// The time after which the sender shall send again.
fn retry_after(time: Option<Duration>) -> (http::HeaderName, HeaderValue) {
    let seconds = time.unwrap_or(RETRY_AFTER_MAX).min(RETRY_AFTER_MAX).as_secs().max(1);
    (RETRY_AFTER, HeaderValue::from(seconds))
}
