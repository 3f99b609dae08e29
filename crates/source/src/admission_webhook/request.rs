//! One admission review: checks it, records its event, and answers that it is allowed.
//!
//! The answer comes within [`REVIEW_TIME_MAX`] whatever happens, because a user waits for it. Only a
//! request whose UID cannot be found has no answer, and so has an unknown version of reviews.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use event::annotations::ADMISSION_RECORD;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use store::StoreError;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::PATH;
use super::convert::convert;
use super::review::{self, ReviewError};
use crate::limits::{QUARANTINE_BYTES_MAX, REVIEW_BYTES_MAX, REVIEW_TIME_MAX};
use crate::listener::{
    BodyError, Endpoint, Gate, Grant, LogLine, Refused, check_head, next_frame, text_response,
};
use crate::redaction::redact;
use crate::splitter::{DIGEST_LEN, Digest, Item};
use crate::{Recorder, SourceStatus, Transfer};

/// What is shared by all requests.
pub(super) struct Receiver {
    pub(super) gate: Arc<Gate>,
    pub(super) statuses: Vec<Arc<SourceStatus>>,
    pub(super) recorder: Arc<Recorder>,
    /// The bytes of bodies that may be received at a time.
    pub(super) bytes: Semaphore,
    /// The line about reviews that are not recorded.
    pub(super) log: Mutex<LogLine>,
}

/// Why the event of a review is not recorded. Contains no text of the sender.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Review(ReviewError),
    #[error("the review is longer than {REVIEW_BYTES_MAX} bytes")]
    TooLarge,
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error("the review could not be recorded within {} ms", REVIEW_TIME_MAX.as_millis())]
    Late,
    #[error("the review cannot be recorded: {0}")]
    Store(#[from] StoreError),
}

impl Failure {
    /// Whether a quarantine event has the beginning of the review.
    const fn is_quarantined(&self) -> bool {
        matches!(self, Self::Review(_) | Self::TooLarge)
    }
}

/// A review that is being received.
#[derive(Default)]
struct Received {
    /// Its beginning, or all of it.
    text: Vec<u8>,
    /// Its UID, once that is known.
    uid: Option<String>,
}

impl Endpoint for Receiver {
    fn gate(&self) -> &Gate {
        &self.gate
    }

    fn admit(
        &self,
        request: &Request<Incoming>,
        chain: &[CertificateDer<'_>],
    ) -> Result<Grant, Refused> {
        match target(request).1 {
            Some(token) => self.gate.check_token(token),
            None => self.gate.check(request, chain),
        }
    }

    async fn respond(
        &self,
        request: Request<Incoming>,
        admitted: Result<Grant, Refused>,
        from: SocketAddr,
    ) -> Response<Full<Bytes>> {
        let endpoint = (PATH, target(&request).0);
        let source = match self.gate.source(&self.statuses, admitted, endpoint, from) {
            Ok(source) => source,
            Err(response) => return *response,
        };
        if let Err(error) = check_head(&request) {
            return error.response();
        }
        self.review(request, source).await
    }
}

impl Receiver {
    /// Records a review, and answers it.
    async fn review(
        &self,
        request: Request<Incoming>,
        source: &SourceStatus,
    ) -> Response<Full<Bytes>> {
        let mut received = Received::default();
        let recorded = self.record(request.into_body(), source, &mut received);
        let recorded = tokio::time::timeout(REVIEW_TIME_MAX, recorded).await;
        let failure = match recorded.unwrap_or(Err(Failure::Late)) {
            Ok(transfer) => {
                self.recorder.note_transfer(source, &transfer);
                None
            }
            Err(failure) => {
                self.note(&failure, source);
                Some(failure)
            }
        };
        let is_unknown = matches!(
            failure,
            Some(Failure::Review(ReviewError::Kind | ReviewError::Beta | ReviewError::Version))
        );
        match (received.uid, failure) {
            (Some(uid), failure) if !is_unknown => allowed(&uid, failure.is_none()),
            (_, failure) => {
                let text = failure.map(|failure| failure.to_string()).unwrap_or_default();
                text_response(StatusCode::BAD_REQUEST, None, &text)
            }
        }
    }

    /// Returns when the event of a review is durable.
    async fn record(
        &self,
        mut body: Incoming,
        source: &SourceStatus,
        received: &mut Received,
    ) -> Result<Transfer, Failure> {
        let hint = body.size_hint();
        let announced = hint.upper().unwrap_or(hint.lower().max(REVIEW_BYTES_MAX as u64));
        // Its beginning has the UID, without which there is no answer.
        while received.uid.is_none()
            && received.text.len() < QUARANTINE_BYTES_MAX
            && let Some(frame) = next_frame(&mut body).await?
        {
            received.text.extend_from_slice(&frame);
            received.uid = review::find_uid(&received.text).map(str::to_owned);
        }
        let is_too_large = announced > REVIEW_BYTES_MAX as u64;
        let _permit = self.permit(announced).await;
        while !is_too_large
            && received.text.len() <= REVIEW_BYTES_MAX
            && let Some(frame) = next_frame(&mut body).await?
        {
            received.text.extend_from_slice(&frame);
        }
        if is_too_large || received.text.len() > REVIEW_BYTES_MAX {
            let len = announced.max(received.text.len() as u64);
            return self.quarantine(Failure::TooLarge, received, len, source).await;
        }
        // Only now, because kube-apiserver takes an answer before the end of its body for an error.
        self.recorder.check_space()?;
        redact(&mut received.text);
        self.record_complete(received, source).await
    }

    /// Records the event of a review that was received completely.
    async fn record_complete(
        &self,
        received: &mut Received,
        source: &SourceStatus,
    ) -> Result<Transfer, Failure> {
        let request = match review::read(&received.text) {
            Ok(request) => request,
            Err(error) => {
                let len = received.text.len() as u64;
                return self.quarantine(Failure::Review(error), received, len, source).await;
            }
        };
        let operation = request.operation().map_err(Failure::Review)?;
        let digest = digest(source, &received.text);
        let event = convert(&request, operation, (source, digest), self.gate.clock.now());
        received.uid = Some(request.uid.into_owned());
        let mut recording = self.recorder.begin(source);
        recording.add_event(digest, &event).await?;
        Ok(recording.finish().await?)
    }

    /// Records the beginning of a review that has no event. Fails with the reason once that is
    /// durable.
    async fn quarantine(
        &self,
        failure: Failure,
        received: &Received,
        len: u64,
        source: &SourceStatus,
    ) -> Result<Transfer, Failure> {
        let text = received.text.get(..QUARANTINE_BYTES_MAX).unwrap_or(&received.text).to_vec();
        let digest = digest(source, &received.text);
        let item = Item { text, digest, len, ..Item::default() };
        let mut recording = self.recorder.begin(source);
        recording.add_rejected(item, &failure.to_string()).await?;
        recording.finish().await?;
        Err(failure)
    }

    /// Counts and logs a review whose event is not recorded, and notes that a gap has to be.
    fn note(&self, failure: &Failure, source: &SourceStatus) {
        let now = self.gate.clock.now();
        if !failure.is_quarantined() {
            self.recorder.note_unavailability(source);
        }
        let error = failure.to_string();
        source.failed(&error);
        let line = self.log.lock().unwrap_or_else(PoisonError::into_inner).take(now);
        if let Some(left_out) = line {
            let source = source.name();
            tracing::warn!(source, error, left_out, "an admission review is not recorded");
        }
    }

    /// Waits until a body of this length may be held.
    async fn permit(&self, bytes: u64) -> Option<SemaphorePermit<'_>> {
        let bytes = u32::try_from(bytes.clamp(1, REVIEW_BYTES_MAX as u64)).unwrap_or(u32::MAX);
        // The semaphore is never closed, and has more permits than this.
        self.bytes.acquire_many(bytes).await.ok()
    }
}

/// The name of the cluster in the path, and the token that may follow it.
fn target(request: &Request<Incoming>) -> (&str, Option<&str>) {
    let target = request.uri().path().strip_prefix(PATH).unwrap_or_default();
    match target.split_once('/') {
        Some((cluster, token)) => (cluster, Some(token)),
        None => (target, None),
    }
}

/// The identity of a review: a copy that kube-apiserver sends again has the same, because it has
/// the same UID.
fn digest(source: &SourceStatus, text: &[u8]) -> Digest {
    let identity = Sha256::new()
        .chain_update(source.cluster())
        .chain_update([0])
        .chain_update(text)
        .finalize();
    let mut digest = Digest::default();
    digest.copy_from_slice(&identity[..DIGEST_LEN]);
    digest
}

/// The answer that allows a review. If it is recorded, kube-apiserver adds the UID to its own audit
/// event of the request, by which the two are recognized as one.
fn allowed(uid: &str, is_recorded: bool) -> Response<Full<Bytes>> {
    let key = ADMISSION_RECORD.rsplit('/').next().unwrap_or_default();
    // Neither has a character that JSON escapes.
    let annotations = if is_recorded {
        format!(r#","auditAnnotations":{{"{key}":"{uid}"}}"#)
    } else {
        String::new()
    };
    let text = format!(
        r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{{"uid":"{uid}","allowed":true{annotations}}}}}"#
    );
    let mut response = Response::new(Full::from(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
