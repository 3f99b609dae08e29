//! The types that `serve` (authentication, authorization, audit) exchanges with the registry (reads
//! and writes of objects).

use std::pin::Pin;
use std::sync::Arc;

use apimachinery::RequestInfo;
use bytes::Bytes;
use event::{Timestamp, UserInfo};
use futures::Stream;
use http::{HeaderMap, Method};
use store::StoreError;

use crate::ApiResponse;
use crate::handler::forward::ForwardedResponse;

/// An API request. The registry gets it after its body has been read and the user has been
/// authenticated and authorized.
#[derive(Clone, Debug)]
pub struct Request {
    /// HTTP method.
    pub method: Method,
    /// Result of parsing the method and the URL.
    pub info: RequestInfo,
    /// Query parameters, decoded, in the order sent.
    pub query: Vec<(String, String)>,
    /// Headers, without credentials.
    pub headers: HeaderMap,
    /// The authenticated user, or the impersonated user.
    pub user: Arc<UserInfo>,
    /// The body as sent; empty if there is none.
    pub body: Bytes,
    /// Arrival time of the request.
    pub received: Timestamp,
}

/// Result of a request in the registry.
pub enum Outcome {
    /// The event is not logged yet. The caller completes and logs it before it sends the response.
    Unlogged(ApiResponse),
    /// The event was committed in the same transaction as the write.
    Committed(ApiResponse),
    /// The store failed during the commit. Recovery may still find the write and its event, so the
    /// caller must not log another event.
    InDoubt(StoreError),
    /// A watch. Its event is logged before the first byte and at the end.
    Watch(WatchReply),
    /// The response of an upstream. Its event is not logged yet.
    Forwarded(Box<ForwardedResponse>),
}

/// A watch that has passed all checks and can start.
pub struct WatchReply {
    /// `Content-Type` of the response.
    pub content_type: &'static str,
    /// Complete frames, each ending in a newline. The response ends when the stream ends.
    pub frames: Pin<Box<dyn Stream<Item = Bytes> + Send>>,
}

/// Source of the current time.
pub trait Clock: Send + Sync {
    /// Current wall-clock time.
    fn now(&self) -> Timestamp;
}
