//! The event of one request, from its beginning to its end.
//!
//! A [`EventBuilder`] begins only if something may be recorded, so a request at level None costs nothing.
//! It is told what happens and returns the event of each stage; omitted stages return none. It keeps
//! only what the level asks for. Which body belongs to a request (none for a watch, none for plain
//! paths) is the server's business.

use std::collections::BTreeMap;

use event::annotations::WITHHELD;
use event::{
    AuthenticationMetadata, Event, Json, Level, ObjectReference, Stage, Status, Timestamp,
    UserInfo, truncate_user_agent,
};

use crate::withheld::{self, Withheld};
use crate::{Decision, Layer, Stages, bodies, latency};

/// What is known when a request arrives.
#[derive(Clone, Debug, Default)]
pub struct RequestMetadata {
    /// From the header `Audit-Id`, or made by the server.
    pub audit_id: String,
    /// Path and query as sent.
    pub request_uri: String,
    /// As in [`Attributes`](crate::Attributes).
    pub verb: String,
    /// Who asks, before impersonation; empty when authentication failed.
    pub user: UserInfo,
    /// How the user was authenticated.
    pub authentication_metadata: Option<AuthenticationMetadata>,
    /// Where from; the last is the peer.
    pub source_ips: Vec<String>,
    /// As sent; it is cut here.
    pub user_agent: String,
    /// For resource requests, from the URL.
    pub object_ref: Option<ObjectReference>,
    /// When the server first saw it.
    pub received: Timestamp,
    /// Whether it is a watch or another request that gets two events.
    pub long_running: bool,
    /// The only fields that are recorded of bodies whatever the level, because they may hold secrets;
    /// all if `None`.
    pub recorded_fields: Option<&'static [&'static str]>,
}

/// How a request was answered.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// HTTP status.
    pub code: u16,
    /// The body, if it is a Status. Its fields are recorded at every level.
    pub status: Option<Status>,
    /// The body as JSON, as the client got it.
    pub object: Option<Json>,
}

/// An event that is not complete.
#[derive(Clone, Debug)]
pub struct EventBuilder {
    event: Event,
    omit_stages: Stages,
    long_running: bool,
    bodies: Bodies,
    /// Microseconds of each layer.
    track_latency: [i64; Layer::ALL.len()],
}

/// What is kept of bodies, where the level asks for them.
#[derive(Clone, Copy, Debug)]
enum Bodies {
    Whole,
    WithoutManagedFields,
    /// What names the object, and these fields.
    Fields(&'static [&'static str]),
}

impl EventBuilder {
    /// Begins, unless the level is None; then the facts are not asked for.
    pub fn begin(decision: &Decision, metadata: impl FnOnce() -> RequestMetadata) -> Option<Self> {
        if decision.level == Level::None {
            return None;
        }
        let metadata = metadata();
        let event = Event {
            level: decision.level,
            audit_id: metadata.audit_id,
            stage: Stage::RequestReceived,
            request_uri: metadata.request_uri,
            verb: metadata.verb,
            user: metadata.user,
            impersonated_user: None,
            authentication_metadata: metadata.authentication_metadata,
            source_ips: metadata.source_ips,
            user_agent: truncate_user_agent(&metadata.user_agent),
            object_ref: metadata.object_ref,
            response_status: None,
            request_object: None,
            response_object: None,
            request_received_timestamp: metadata.received,
            stage_timestamp: metadata.received,
            annotations: BTreeMap::new(),
        };
        Some(Self {
            event,
            omit_stages: decision.omit_stages,
            long_running: metadata.long_running,
            track_latency: [0; Layer::ALL.len()],
            bodies: match (metadata.recorded_fields, decision.omit_managed_fields) {
                (Some(fields), _) => Bodies::Fields(fields),
                (None, true) => Bodies::WithoutManagedFields,
                (None, false) => Bodies::Whole,
            },
        })
    }

    /// How much is recorded: a server need not encode a body that nobody keeps.
    pub const fn level(&self) -> Level {
        self.event.level
    }

    /// Adds a fact. The first value of a key stays; false says that another one was there.
    pub fn annotate(&mut self, key: &str, value: impl Into<String>) -> bool {
        let value = value.into();
        match self.event.annotations.get(key) {
            Some(first) => *first == value,
            None => self.event.annotations.insert(key.to_owned(), value).is_none(),
        }
    }

    /// A part of the way took so long. It is told only if the whole was slow.
    pub fn track_latency(&mut self, layer: Layer, micros: i64) {
        let known = Layer::ALL.into_iter().zip(&mut self.track_latency);
        for (_, sum) in known.filter(|(known, _)| *known == layer) {
            *sum = sum.saturating_add(micros.max(0));
        }
    }

    /// The user asked to be taken for another and may.
    pub fn impersonated(&mut self, user: UserInfo) {
        self.event.impersonated_user = Some(user);
    }

    /// The object a client sent. At every level it tells what the URL leaves open: namespace, name,
    /// UID and resource version. A name that the server makes (`generateName`) is in neither: as in
    /// Kubernetes it stands in the response only.
    pub fn request_object(&mut self, object: Json) {
        if let Some(reference) = &mut self.event.object_ref {
            bodies::complete(reference, &object);
        }
        if self.event.level >= Level::Request {
            self.event.request_object = self.redact("requestObject", object);
        }
    }

    /// Fills what neither URL nor body told about the object; empty values tell nothing.
    pub fn fill_object_ref(&mut self, name: &str, uid: &str, resource_version: &str) {
        let Some(reference) = &mut self.event.object_ref else { return };
        for (field, value) in [
            (&mut reference.name, name),
            (&mut reference.uid, uid),
            (&mut reference.resource_version, resource_version),
        ] {
            if field.is_empty() {
                value.clone_into(field);
            }
        }
    }

    /// Of bodies that come from now on, only what names the object and these fields are recorded.
    pub const fn omit_bodies(&mut self, recorded_fields: &'static [&'static str]) {
        self.bodies = Bodies::Fields(recorded_fields);
    }

    /// From the header `Audit-Id`, or made by the server.
    pub fn audit_id(&self) -> &str {
        &self.event.audit_id
    }

    /// The patch a client sent, as it is. It names no object.
    pub fn request_patch(&mut self, patch: Json) {
        if self.event.level >= Level::Request {
            self.event.request_object = match self.bodies {
                Bodies::Fields(_) => self.redact("requestObject", patch),
                Bodies::Whole | Bodies::WithoutManagedFields => Some(patch),
            };
        }
    }

    /// The event of the arrival.
    pub fn received(&self) -> Option<Event> {
        self.snapshot(Stage::RequestReceived, self.event.request_received_timestamp)
    }

    /// A long-running request is about to send its first byte.
    pub fn response_started(&mut self, code: u16, now: Timestamp) -> Option<Event> {
        self.event.response_status.get_or_insert_default().code = code;
        if self.long_running { self.snapshot(Stage::ResponseStarted, now) } else { None }
    }

    /// Whether it is a watch or another request that gets two events.
    pub const fn is_long_running(&self) -> bool {
        self.long_running
    }

    /// A long-running request is refused: its answer begins, and is over at once.
    pub fn response_started_with(&mut self, response: Response, now: Timestamp) -> Option<Event> {
        if !self.long_running {
            return None;
        }
        self.set_response(response);
        self.snapshot(Stage::ResponseStarted, now)
    }

    /// The request is answered.
    pub fn complete(mut self, response: Response, now: Timestamp) -> Option<Event> {
        self.set_response(response);
        self.annotate_latency(now);
        self.finish(Stage::ResponseComplete, now)
    }

    /// The request ended, and nothing was answered. A long-running one gets two events.
    pub fn closed_early(mut self, now: Timestamp) -> impl Iterator<Item = Event> {
        let mut response_started = None;
        if self.event.response_status.is_none() {
            self.event.response_status = Some(Status {
                status: "Success".to_owned(),
                message: "Connection closed early".to_owned(),
                code: 200,
                ..Status::default()
            });
            if self.long_running {
                response_started = self.snapshot(Stage::ResponseStarted, now);
            }
        }
        response_started.into_iter().chain(self.finish(Stage::ResponseComplete, now))
    }

    /// The server failed in the middle.
    pub fn panicked(mut self, message: &str, now: Timestamp) -> Option<Event> {
        self.event.response_status = Some(Status {
            status: "Failure".to_owned(),
            message: format!("APIServer panic'd: {message}"),
            reason: "InternalError".to_owned(),
            code: 500,
            ..Status::default()
        });
        self.finish(Stage::Panic, now)
    }

    /// The request was refused before it was known who asks (authentication failed, or its timeout
    /// cannot be read): one event, at the stage at which Kubernetes makes it.
    pub fn unauthorized(mut self, response: Response, now: Timestamp) -> Option<Event> {
        self.set_response(response);
        self.finish(Stage::ResponseStarted, now)
    }

    fn set_response(&mut self, response: Response) {
        let is_status = response.status.is_some();
        let mut status = response.status.unwrap_or_default();
        status.code = response.code;
        self.event.response_status = Some(status);
        if self.event.level >= Level::RequestResponse
            && let Some(object) = response.object
        {
            // All of a Status is recorded at every level.
            let redact =
                if is_status { Some(object) } else { self.redact("responseObject", object) };
            self.event.response_object = redact;
        }
    }

    /// What took long is told, as upstream: only of requests that took long in all.
    fn annotate_latency(&mut self, now: Timestamp) {
        let received = self.event.request_received_timestamp;
        let micros = now.as_micros().saturating_sub(received.as_micros());
        if micros > latency::THRESHOLD_MICROS {
            self.annotate(latency::TOTAL, latency::text(micros));
            for (layer, micros) in Layer::ALL.into_iter().zip(self.track_latency) {
                if micros > 0 {
                    self.annotate(layer.annotation(), latency::text(micros));
                }
            }
        }
    }

    /// What is recorded of a body; `name` is that of its field.
    fn redact(&mut self, name: &str, body: Json) -> Option<Json> {
        match self.bodies {
            Bodies::Whole => Some(body),
            Bodies::WithoutManagedFields => Some(bodies::without_managed_fields(body)),
            Bodies::Fields(fields) => {
                let Withheld { body, cut } = withheld::withhold(&body, fields);
                if !cut.is_empty() {
                    let told = self.event.annotations.entry(WITHHELD.to_owned()).or_default();
                    let pause = if told.is_empty() { "" } else { "; " };
                    told.extend([pause, name, ": ", &cut]);
                }
                body
            }
        }
    }

    fn snapshot(&self, stage: Stage, now: Timestamp) -> Option<Event> {
        if self.omit_stages.contains(stage) {
            return None;
        }
        Some(limited(Event { stage, stage_timestamp: now, ..self.event.clone() }))
    }

    fn finish(self, stage: Stage, now: Timestamp) -> Option<Event> {
        if self.omit_stages.contains(stage) {
            return None;
        }
        Some(limited(Event { stage, stage_timestamp: now, ..self.event }))
    }
}

fn limited(mut event: Event) -> Event {
    event::limit::limit(&mut event);
    event
}
