//! What passes between the front (`serve`: who asks, may they, is it on record) and the registry
//! (what is there, what changes).

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use event::{Timestamp, UserInfo};
use futures::Stream;
use http::{HeaderMap, Method};
use store::StoreError;

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
    pub user: Arc<UserInfo>,
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
pub enum Outcome {
    /// The event is still to be completed and recorded, then the answer goes out.
    Unlogged(Answer),
    /// The event was committed together with the change.
    Committed(Answer),
    /// The store failed in the middle of the change. It may come to light, with its event, when the
    /// store has checked itself; so there must be no other event.
    InDoubt(StoreError),
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

/// Where the server gets its time from.
pub trait Clock: Send + Sync {
    /// The time of day.
    fn now(&self) -> Timestamp;
}
