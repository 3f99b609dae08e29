//! What passes between the front (`serve`: who asks, may they, is it on record) and the registry
//! (what is there, what changes).

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use event::{Event, Json, Timestamp, UserInfo};
use futures::Stream;
use http::{HeaderMap, Method};

use crate::Answer;

/// A request that has been read in full, authenticated and authorized.
#[derive(Clone, Debug)]
pub struct Request {
    /// HTTP method.
    pub method: Method,
    /// What the URL says.
    pub info: RequestInfo,
    /// Query parameters, decoded, in the order sent.
    pub query: Vec<(String, String)>,
    /// Headers, without credentials.
    pub headers: HeaderMap,
    /// Who asks.
    pub user: UserInfo,
    /// The body as sent; empty when there is none.
    pub body: Bytes,
    /// When the server first saw it.
    pub received: Timestamp,
}

/// What a URL and method mean, as `k8s.io/apiserver/pkg/endpoints/request` `RequestInfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestInfo {
    /// Whether the path names a resource.
    pub is_resource_request: bool,
    /// The path without the query.
    pub path: String,
    /// Kubernetes verb, or HTTP method in lower case for a path.
    pub verb: String,
    /// `api` or `apis`.
    pub api_prefix: String,
    /// Empty for the core group.
    pub api_group: String,
    /// Version without the group.
    pub api_version: String,
    /// Empty for cluster scope and all namespaces.
    pub namespace: String,
    /// Plural name.
    pub resource: String,
    /// Such as `status`.
    pub subresource: String,
    /// From the path, or from a field selector on `metadata.name`.
    pub name: String,
    /// Path segments from the resource on.
    pub parts: Vec<String>,
}

/// What the registry gives back.
pub enum Reply {
    /// The event is still to be completed and recorded, then the answer goes out.
    Plain(Answer),
    /// The event was committed together with the change.
    Recorded(Answer),
    /// A watch: recorded before its first byte and at its end.
    Watch(WatchReply),
}

/// A watch that has passed all checks and may begin.
pub struct WatchReply {
    /// `Content-Type`.
    pub content_type: &'static str,
    /// Whole frames, each ending in a newline; an end of the stream ends the answer.
    pub frames: Pin<Box<dyn Stream<Item = Bytes> + Send>>,
}

/// The event of one request as it grows. Cheap to clone; a clone completes on its own.
///
/// At level None it holds nothing and every method returns at once.
#[derive(Clone)]
pub struct Trail {
    growth: Option<Box<Event>>,
    clock: Arc<dyn Clock>,
    /// Bodies are cut to references.
    withheld: bool,
}

/// Where the server gets its time from.
pub trait Clock: Send + Sync {
    /// The time of day.
    fn now(&self) -> Timestamp;
}

impl Trail {
    /// Whether nothing is recorded of this request.
    pub fn is_silent(&self) -> bool {
        self.growth.is_none()
    }

    /// The clock the event is stamped by.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Keeps the body of the request, if the level asks for it.
    pub fn request_object(&mut self, object: &Json) {
        if let Some(event) = &mut self.growth {
            event.request_object = Some(object.clone());
        }
    }

    /// The identity of the request, if anything is recorded of it.
    pub fn audit_id(&self) -> Option<&str> {
        self.growth.as_ref().map(|event| event.audit_id.as_str())
    }

    /// Fills what the URL did not tell about the object, from its metadata.
    pub fn refer(&mut self, name: &str, uid: &str, resource_version: &str) {
        let Some(reference) = self.growth.as_mut().and_then(|event| event.object_ref.as_mut())
        else {
            return;
        };
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

    /// Keeps only references of the bodies, whatever the policy says: the kind holds secrets.
    pub fn withhold_bodies(&mut self) {
        self.withheld = true;
    }

    /// Adds a fact. The first value of a key stays.
    pub fn annotate(&mut self, key: &str, value: &str) {
        if let Some(event) = &mut self.growth {
            event.annotations.entry(key.to_owned()).or_insert_with(|| value.to_owned());
        }
    }

    /// The record of the finished request, for the journal; `None` when nothing is to be kept.
    pub fn complete(self, answer: &Answer) -> Option<Bytes> {
        let mut event = *self.growth?;
        event.stage_timestamp = self.clock.now();
        event.response_object.clone_from(&answer.object);
        event.response_status.clone_from(&answer.status);
        Some(event::record::write(&event))
    }
}
