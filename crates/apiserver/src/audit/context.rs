//! The audit event of one request, from its arrival to its end.
//!
//! A clone completes on its own, so that a change can carry its event into its transaction. At
//! level None there is nothing here, and every method returns at once. What is kept of it is
//! `audit`'s decision; this adds the clock and the form in which the journal keeps it.

use std::sync::Arc;

use audit::{EventBuilder, Layer};
use bytes::Bytes;
use event::{Event, Json, Level, Timestamp, UserInfo};

use crate::audit::write_claim::WriteClaim;
use crate::{Answer, Clock};

/// The event of one request as it grows. Cheap to clone; a clone completes on its own.
#[derive(Clone)]
pub struct AuditContext {
    builder: Option<Box<EventBuilder>>,
    clock: Arc<dyn Clock>,
    /// Shared with all clones: one of them completes the event.
    claim: WriteClaim,
}

impl AuditContext {
    /// The context of a request that is not audited.
    pub fn disabled(clock: Arc<dyn Clock>) -> Self {
        Self::of(None, clock)
    }

    /// The context of a request; disabled if the policy asks for no event.
    pub fn of(builder: Option<EventBuilder>, clock: Arc<dyn Clock>) -> Self {
        Self { builder: builder.map(Box::new), clock, claim: WriteClaim::default() }
    }

    /// Whether nothing is recorded of this request.
    pub fn is_disabled(&self) -> bool {
        self.builder.is_none()
    }

    /// How much is recorded.
    pub fn level(&self) -> Level {
        self.builder.as_ref().map_or(Level::None, |builder| builder.level())
    }

    /// Whether the event goes with a write that the store has begun.
    pub(crate) fn claim(&self) -> &WriteClaim {
        &self.claim
    }

    /// The identity of the request, if anything is recorded of it.
    pub fn audit_id(&self) -> Option<&str> {
        self.builder.as_ref().map(|builder| builder.audit_id())
    }

    /// Keeps the object a client sent, if the level asks for it, and what it says about itself.
    pub fn request_object(&mut self, object: &Json) {
        if let Some(builder) = &mut self.builder {
            builder.request_object(object.clone());
        }
    }

    /// Keeps the patch a client sent, if the level asks for it.
    pub fn request_patch(&mut self, patch: &Json) {
        if let Some(builder) = &mut self.builder {
            builder.request_patch(patch.clone());
        }
    }

    /// Fills what the URL did not tell about the object, from its metadata.
    pub fn fill_object_ref(&mut self, name: &str, uid: &str, resource_version: &str) {
        if let Some(builder) = &mut self.builder {
            builder.fill_object_ref(name, uid, resource_version);
        }
    }

    /// Keeps only these fields of the bodies and what names the object, whatever the policy says: the
    /// kind may hold secrets.
    pub fn omit_bodies(&mut self, recorded_fields: &'static [&'static str]) {
        if let Some(builder) = &mut self.builder {
            builder.omit_bodies(recorded_fields);
        }
    }

    /// Adds an annotation. The first value of a key is kept.
    pub fn annotate(&mut self, key: &str, value: &str) {
        if let Some(builder) = &mut self.builder {
            builder.annotate(key, value);
        }
    }

    /// Adds the latency of a layer in microseconds.
    pub(crate) fn track_latency(&mut self, layer: Layer, micros: i64) {
        if let Some(builder) = &mut self.builder {
            builder.track_latency(layer, micros);
        }
    }

    /// Adds the latency of a layer that began at `then` and ends now. Reads the clock only if the request is
    /// audited.
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

    /// The record of the arrival, if one is wanted.
    pub(crate) fn received(&self) -> Option<Bytes> {
        record(self.builder.as_ref()?.received())
    }

    /// The record of a watch whose answer begins now, if one is wanted.
    pub(crate) fn response_started(&mut self, code: u16) -> Option<Bytes> {
        let now = self.clock.now();
        record(self.builder.as_mut()?.response_started(code, now))
    }

    /// The record of a watch that is refused and whose answer begins now, if one is wanted. For other
    /// requests there is none.
    pub(crate) fn response_started_with(&mut self, answer: &Answer) -> Option<Bytes> {
        let builder = self.builder.as_mut().filter(|builder| builder.is_long_running())?;
        record(builder.response_started_with(as_recorded(answer), self.clock.now()))
    }

    /// The record of a request that could not be authenticated, if it is audited.
    pub(crate) fn unauthorized(self, answer: &Answer) -> Option<Bytes> {
        let builder = *self.builder?;
        record(builder.unauthorized(as_recorded(answer), self.clock.now()))
    }

    /// The record of the finished request, for the journal; `None` when nothing is to be kept.
    pub fn complete(self, answer: &Answer) -> Option<Bytes> {
        let builder = *self.builder?;
        record(builder.complete(as_recorded(answer), self.clock.now()))
    }

    /// The record of a watch that has ended.
    pub(crate) fn watch_complete(self, code: u16) -> Option<Bytes> {
        let answer = audit::Response { code, ..audit::Response::default() };
        let builder = *self.builder?;
        record(builder.complete(answer, self.clock.now()))
    }

    /// The record of a request in whose middle the server failed.
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
