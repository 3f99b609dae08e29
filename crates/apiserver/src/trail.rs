//! The event of one request as it grows from its arrival to its end.
//!
//! A clone completes on its own, so that a change can carry its event into its transaction. At
//! level None there is nothing here, and every method returns at once. What is kept of it is
//! `audit`'s decision; this adds the clock and the form in which the journal keeps it.

use std::sync::Arc;

use audit::{Growth, Layer};
use bytes::Bytes;
use event::{Event, Json, Level, Timestamp, UserInfo};

use crate::handover::Handover;
use crate::{Answer, Clock};

/// The event of one request as it grows. Cheap to clone; a clone completes on its own.
#[derive(Clone)]
pub struct Trail {
    growth: Option<Box<Growth>>,
    clock: Arc<dyn Clock>,
    /// Shared with all clones: one of them completes the event.
    handover: Handover,
}

impl Trail {
    /// A trail of a request of which nothing is recorded.
    pub fn silent(clock: Arc<dyn Clock>) -> Self {
        Self::of(None, clock)
    }

    /// A trail that begins with what is known at arrival; silent when nothing is to be kept.
    pub fn of(growth: Option<Growth>, clock: Arc<dyn Clock>) -> Self {
        Self { growth: growth.map(Box::new), clock, handover: Handover::default() }
    }

    /// Whether nothing is recorded of this request.
    pub fn is_silent(&self) -> bool {
        self.growth.is_none()
    }

    /// How much is recorded.
    pub fn level(&self) -> Level {
        self.growth.as_ref().map_or(Level::None, |growth| growth.level())
    }

    /// Whether the event goes with a write that the store has begun.
    pub(crate) fn handover(&self) -> &Handover {
        &self.handover
    }

    /// The identity of the request, if anything is recorded of it.
    pub fn audit_id(&self) -> Option<&str> {
        self.growth.as_ref().map(|growth| growth.audit_id())
    }

    /// Keeps the object a client sent, if the level asks for it, and what it says about itself.
    pub fn request_object(&mut self, object: &Json) {
        if let Some(growth) = &mut self.growth {
            growth.request_object(object.clone());
        }
    }

    /// Keeps the patch a client sent, if the level asks for it.
    pub fn request_patch(&mut self, patch: &Json) {
        if let Some(growth) = &mut self.growth {
            growth.request_patch(patch.clone());
        }
    }

    /// Fills what the URL did not tell about the object, from its metadata.
    pub fn refer(&mut self, name: &str, uid: &str, resource_version: &str) {
        if let Some(growth) = &mut self.growth {
            growth.refer(name, uid, resource_version);
        }
    }

    /// Keeps only these fields of the bodies and what names the object, whatever the policy says: the
    /// kind may hold secrets.
    pub fn withhold_bodies(&mut self, recorded_fields: &'static [&'static str]) {
        if let Some(growth) = &mut self.growth {
            growth.withhold_bodies(recorded_fields);
        }
    }

    /// Adds a fact. The first value of a key stays.
    pub fn annotate(&mut self, key: &str, value: &str) {
        if let Some(growth) = &mut self.growth {
            growth.annotate(key, value);
        }
    }

    /// A part of the way took so long.
    pub(crate) fn took(&mut self, layer: Layer, micros: i64) {
        if let Some(growth) = &mut self.growth {
            growth.took(layer, micros);
        }
    }

    /// A part of the way began then and is over now. The clock is only looked at if somebody will know.
    pub(crate) fn took_since(&mut self, layer: Layer, then: Timestamp) {
        if let Some(growth) = &mut self.growth {
            growth.took(layer, self.clock.now().as_micros() - then.as_micros());
        }
    }

    /// Whom the user wants to be taken for.
    pub(crate) fn impersonated(&mut self, user: &UserInfo) {
        if let Some(growth) = &mut self.growth {
            growth.impersonated(user.clone());
        }
    }

    /// The record of the arrival, if one is wanted.
    pub(crate) fn received(&self) -> Option<Bytes> {
        record(self.growth.as_ref()?.received())
    }

    /// The record of a watch whose answer begins now, if one is wanted.
    pub(crate) fn started(&mut self, code: u16) -> Option<Bytes> {
        let now = self.clock.now();
        record(self.growth.as_mut()?.started(code, now))
    }

    /// The record of a watch that is refused and whose answer begins now, if one is wanted. For other
    /// requests there is none.
    pub(crate) fn started_with(&mut self, answer: &Answer) -> Option<Bytes> {
        let growth = self.growth.as_mut().filter(|growth| growth.is_long_running())?;
        record(growth.started_with(as_recorded(answer), self.clock.now()))
    }

    /// The record of a request that nobody was recognised in, if one is wanted.
    pub(crate) fn turned_away(self, answer: &Answer) -> Option<Bytes> {
        let growth = *self.growth?;
        record(growth.refused(as_recorded(answer), self.clock.now()))
    }

    /// The record of the finished request, for the journal; `None` when nothing is to be kept.
    pub fn complete(self, answer: &Answer) -> Option<Bytes> {
        let growth = *self.growth?;
        record(growth.complete(as_recorded(answer), self.clock.now()))
    }

    /// The record of a watch that has ended.
    pub(crate) fn watched(self, code: u16) -> Option<Bytes> {
        let answer = audit::Answer { code, ..audit::Answer::default() };
        let growth = *self.growth?;
        record(growth.complete(answer, self.clock.now()))
    }

    /// The record of a request in whose middle the server failed.
    pub(crate) fn panicked(self, message: &str) -> Option<Bytes> {
        let growth = *self.growth?;
        record(growth.panicked(message, self.clock.now()))
    }
}

fn as_recorded(answer: &Answer) -> audit::Answer {
    audit::Answer {
        code: answer.code.as_u16(),
        status: answer.status.clone(),
        object: answer.object.clone(),
    }
}

fn record(event: Option<Event>) -> Option<Bytes> {
    event.map(|event| event::record::write(&event))
}
