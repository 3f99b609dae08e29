//! The audit event of one request, from arrival to completion.
//!
//! Clones share the event, so that a write can complete it inside its transaction while the request
//! can still complete it if the transaction does not run; the [`WriteClaim`] decides which of them
//! does. At level None the context is empty and every method returns immediately. The crate `audit`
//! decides what is recorded; this module adds the clock and the journal's encoding.

use std::sync::{Arc, Mutex, PoisonError};

use audit::{EventBuilder, Layer};
use bytes::Bytes;
use event::{Event, Json, Level, Status, Timestamp, UserInfo};

use crate::audit::write_claim::WriteClaim;
use crate::{ApiResponse, Clock};

/// Audit event of one request under construction. Clones share it.
#[derive(Clone)]
pub struct AuditContext {
    builder: Option<Arc<Mutex<EventBuilder>>>,
    clock: Arc<dyn Clock>,
    /// Shared by all clones, so that only one of them completes the event.
    claim: WriteClaim,
}

impl AuditContext {
    /// Context of a request that is not audited.
    pub fn disabled(clock: Arc<dyn Clock>) -> Self {
        Self::new(None, clock)
    }

    /// Context of a request. `None` disables it: the policy level is None.
    pub fn new(builder: Option<EventBuilder>, clock: Arc<dyn Clock>) -> Self {
        Self {
            builder: builder.map(|builder| Arc::new(Mutex::new(builder))),
            clock,
            claim: WriteClaim::default(),
        }
    }

    /// Whether the request is not audited.
    pub fn is_disabled(&self) -> bool {
        self.builder.is_none()
    }

    /// Audit level of the request; [`Level::None`] if it is not audited.
    pub fn level(&self) -> Level {
        self.with(|builder| builder.level()).unwrap_or(Level::None)
    }

    /// Claim that decides whether the event is committed with a write of the request.
    pub(crate) fn claim(&self) -> &WriteClaim {
        &self.claim
    }

    /// Audit ID of the request; `None` if it is not audited.
    pub fn audit_id(&self) -> Option<String> {
        self.with(|builder| builder.audit_id().to_owned())
    }

    /// Sets the request object, if the level includes it, and fills the object reference from its
    /// metadata.
    pub fn request_object(&mut self, object: &Json) {
        self.with(|builder| builder.request_object(object.clone()));
    }

    /// Sets the request object, if the level includes it. The caller fills the object reference.
    pub fn request_body(&mut self, object: Json) {
        self.with(|builder| builder.request_body(object));
    }

    /// Sets the patch as the request object, if the level includes it.
    pub fn request_patch(&mut self, patch: &Json) {
        self.with(|builder| builder.request_patch(patch.clone()));
    }

    /// Fills the fields of the object reference that the URL left empty.
    pub fn fill_object_ref(
        &mut self,
        namespace: &str,
        name: &str,
        uid: &str,
        resource_version: &str,
    ) {
        self.with(|builder| builder.fill_object_ref(namespace, name, uid, resource_version));
    }

    /// Records only these fields of the bodies and the fields that identify the object, regardless
    /// of the policy, because the resource may contain secrets.
    pub fn omit_bodies(&mut self, recorded_fields: &'static [&'static str]) {
        self.with(|builder| builder.omit_bodies(recorded_fields));
    }

    /// Adds an annotation. If the key already exists, its first value is kept.
    pub fn annotate(&mut self, key: &str, value: &str) {
        self.with(|builder| builder.annotate(key, value));
    }

    /// Adds the latency of a layer, in microseconds.
    pub(crate) fn track_latency(&mut self, layer: Layer, micros: i64) {
        self.with(|builder| builder.track_latency(layer, micros));
    }

    /// Adds the latency of a layer that began at `then` and ends now. Reads the clock only if the
    /// request is audited.
    pub(crate) fn track_since(&mut self, layer: Layer, then: Timestamp) {
        self.with(|builder| {
            builder.track_latency(layer, self.clock.now().as_micros() - then.as_micros());
        });
    }

    /// Records the impersonated user.
    pub(crate) fn impersonated(&mut self, user: &UserInfo) {
        self.with(|builder| builder.impersonated(user.clone()));
    }

    /// Record of the stage `RequestReceived`; `None` if the policy omits it.
    pub(crate) fn received(&self) -> Option<Bytes> {
        self.record(|builder| builder.received().as_ref().map(encode))
    }

    /// Record of a request that is not finished, for the case that its end is never recorded.
    /// `None` if the policy omits the last stage.
    pub(crate) fn unfinished(&self, status: Status, annotation: (&str, &str)) -> Option<Bytes> {
        let now = self.clock.now();
        self.record(|builder| builder.unfinished(status, annotation, now).as_ref().map(encode))
    }

    /// Marks the request as long-running, because its response is streamed.
    pub(crate) fn begin_streaming(&mut self) {
        self.with(EventBuilder::begin_streaming);
    }

    /// Record of the stage `ResponseStarted` of a watch; `None` if the policy omits it.
    pub(crate) fn response_started(&mut self, code: u16) -> Option<Bytes> {
        let now = self.clock.now();
        self.record(|builder| builder.response_started(code, now).as_ref().map(encode))
    }

    /// Record of the stage `ResponseStarted` of a rejected watch. `None` if the policy omits it and
    /// for requests that are not watches.
    pub(crate) fn response_started_with(&mut self, answer: &ApiResponse) -> Option<Bytes> {
        let now = self.clock.now();
        self.record(|builder| {
            let is_watch = builder.is_long_running();
            let started = is_watch.then(|| builder.response_started_with(as_recorded(answer), now));
            started.flatten().as_ref().map(encode)
        })
    }

    /// Record of a request that failed authentication; `None` if it is not audited.
    pub(crate) fn unauthorized(self, answer: &ApiResponse) -> Option<Bytes> {
        let now = self.clock.now();
        self.record(|builder| builder.unauthorized(as_recorded(answer), now).map(encode))
    }

    /// Record of the stage `ResponseComplete`; `None` if the policy omits it.
    pub fn complete(self, answer: &ApiResponse) -> Option<Bytes> {
        self.complete_with(as_recorded(answer))
    }

    /// Record of the stage `ResponseComplete` of a response that was streamed. `object` is the
    /// recorded part of its body.
    pub(crate) fn stream_complete(self, code: u16, object: Option<Json>) -> Option<Bytes> {
        self.complete_with(audit::Response { code, object, ..audit::Response::default() })
    }

    /// Record of the stage `ResponseComplete`; `None` if the policy omits it.
    pub(crate) fn complete_with(self, response: audit::Response) -> Option<Bytes> {
        let now = self.clock.now();
        self.record(|builder| builder.complete(response, now).map(encode))
    }

    /// Record of the stage `Panic`.
    pub(crate) fn panicked(self, message: &str) -> Option<Bytes> {
        let now = self.clock.now();
        self.record(|builder| builder.panicked(message, now).map(encode))
    }

    fn record(&self, work: impl FnOnce(&mut EventBuilder) -> Option<Bytes>) -> Option<Bytes> {
        self.with(work).flatten()
    }

    /// Runs `work` with the event under construction; `None` if the request is not audited.
    fn with<T>(&self, work: impl FnOnce(&mut EventBuilder) -> T) -> Option<T> {
        let builder = self.builder.as_ref()?;
        Some(work(&mut builder.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn encode(event: &Event) -> Bytes {
    event::record::write(event)
}

fn as_recorded(answer: &ApiResponse) -> audit::Response {
    audit::Response {
        code: answer.code.as_u16(),
        status: answer.status.clone(),
        object: answer.object.clone(),
    }
}
