//! The audit event of one request, from arrival to completion.
//!
//! A clone completes independently, so that a write can take its event into its transaction. At
//! level None the context is empty and every method returns at once. The crate `audit` decides what
//! is recorded; this module adds the clock and the journal's encoding.

use std::sync::Arc;

use audit::{EventBuilder, Layer};
use bytes::Bytes;
use event::{Event, Json, Level, Timestamp, UserInfo};

use crate::audit::write_claim::WriteClaim;
use crate::{Answer, Clock};

/// Audit event of one request under construction. A clone copies the event and completes
/// independently.
#[derive(Clone)]
pub struct AuditContext {
    builder: Option<Box<EventBuilder>>,
    clock: Arc<dyn Clock>,
    /// Shared by all clones, so that only one of them completes the event.
    claim: WriteClaim,
}

impl AuditContext {
    /// Context of a request that is not audited.
    pub fn disabled(clock: Arc<dyn Clock>) -> Self {
        Self::of(None, clock)
    }

    /// Context of a request. `None` disables it: the policy asks for no event.
    pub fn of(builder: Option<EventBuilder>, clock: Arc<dyn Clock>) -> Self {
        Self { builder: builder.map(Box::new), clock, claim: WriteClaim::default() }
    }

    /// Whether the request is not audited.
    pub fn is_disabled(&self) -> bool {
        self.builder.is_none()
    }

    /// Audit level of the request; [`Level::None`] if it is not audited.
    pub fn level(&self) -> Level {
        self.builder.as_ref().map_or(Level::None, |builder| builder.level())
    }

    /// Claim that decides whether the event is committed with a write of the request.
    pub(crate) fn claim(&self) -> &WriteClaim {
        &self.claim
    }

    /// Audit ID of the request; `None` if it is not audited.
    pub fn audit_id(&self) -> Option<&str> {
        self.builder.as_ref().map(|builder| builder.audit_id())
    }

    /// Sets the request object, if the level includes it, and fills the object reference from its
    /// metadata.
    pub fn request_object(&mut self, object: &Json) {
        if let Some(builder) = &mut self.builder {
            builder.request_object(object.clone());
        }
    }

    /// Sets the patch as the request object, if the level includes it.
    pub fn request_patch(&mut self, patch: &Json) {
        if let Some(builder) = &mut self.builder {
            builder.request_patch(patch.clone());
        }
    }

    /// Fills the fields of the object reference that the URL left empty.
    pub fn fill_object_ref(&mut self, name: &str, uid: &str, resource_version: &str) {
        if let Some(builder) = &mut self.builder {
            builder.fill_object_ref(name, uid, resource_version);
        }
    }

    /// Records only these fields of the bodies and the fields that identify the object, regardless
    /// of the policy, because the resource may contain secrets.
    pub fn omit_bodies(&mut self, recorded_fields: &'static [&'static str]) {
        if let Some(builder) = &mut self.builder {
            builder.omit_bodies(recorded_fields);
        }
    }

    /// Adds an annotation. If the key already exists, its first value is kept.
    pub fn annotate(&mut self, key: &str, value: &str) {
        if let Some(builder) = &mut self.builder {
            builder.annotate(key, value);
        }
    }

    /// Adds the latency of a layer, in microseconds.
    pub(crate) fn track_latency(&mut self, layer: Layer, micros: i64) {
        if let Some(builder) = &mut self.builder {
            builder.track_latency(layer, micros);
        }
    }

    /// Adds the latency of a layer that began at `then` and ends now. Reads the clock only if the
    /// request is audited.
    pub(crate) fn track_since(&mut self, layer: Layer, then: Timestamp) {
        if let Some(builder) = &mut self.builder {
            builder.track_latency(layer, self.clock.now().as_micros() - then.as_micros());
        }
    }

    /// Records the impersonated user.
    pub(crate) fn impersonated(&mut self, user: &UserInfo) {
        if let Some(builder) = &mut self.builder {
            builder.impersonated(user.clone());
        }
    }

    /// Record of the stage `RequestReceived`; `None` if the policy omits it.
    pub(crate) fn received(&self) -> Option<Bytes> {
        record(self.builder.as_ref()?.received())
    }

    /// Record of the stage `ResponseStarted` of a watch; `None` if the policy omits it.
    pub(crate) fn response_started(&mut self, code: u16) -> Option<Bytes> {
        let now = self.clock.now();
        record(self.builder.as_mut()?.response_started(code, now))
    }

    /// Record of the stage `ResponseStarted` of a rejected watch. `None` if the policy omits it and
    /// for requests that are not watches.
    pub(crate) fn response_started_with(&mut self, answer: &Answer) -> Option<Bytes> {
        let builder = self.builder.as_mut().filter(|builder| builder.is_long_running())?;
        record(builder.response_started_with(as_recorded(answer), self.clock.now()))
    }

    /// Record of a request that failed authentication; `None` if it is not audited.
    pub(crate) fn unauthorized(self, answer: &Answer) -> Option<Bytes> {
        let builder = *self.builder?;
        record(builder.unauthorized(as_recorded(answer), self.clock.now()))
    }

    /// Record of the stage `ResponseComplete`; `None` if the policy omits it.
    pub fn complete(self, answer: &Answer) -> Option<Bytes> {
        let builder = *self.builder?;
        record(builder.complete(as_recorded(answer), self.clock.now()))
    }

    /// Record of the stage `ResponseComplete` of a watch.
    pub(crate) fn watch_complete(self, code: u16) -> Option<Bytes> {
        let answer = audit::Response { code, ..audit::Response::default() };
        let builder = *self.builder?;
        record(builder.complete(answer, self.clock.now()))
    }

    /// Record of the stage `Panic`.
    pub(crate) fn panicked(self, message: &str) -> Option<Bytes> {
        let builder = *self.builder?;
        record(builder.panicked(message, self.clock.now()))
    }
}

fn as_recorded(answer: &Answer) -> audit::Response {
    audit::Response {
        code: answer.code.as_u16(),
        status: answer.status.clone(),
        object: answer.object.clone(),
    }
}

fn record(event: Option<Event>) -> Option<Bytes> {
    event.map(|event| event::record::write(&event))
}
