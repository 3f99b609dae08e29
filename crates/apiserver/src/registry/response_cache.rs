//! Lists and objects that are being sent to clients: their bytes are bounded, and equal responses
//! share memory.
//!
//! A list of many objects is long, and so is a large object; a client may read it slowly or never.
//! Clients that send the same request at the same revision share one response. It is freed when the
//! last client has received it.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use apimachinery::ApiError;
use bytes::Bytes;
use event::{Json, Timestamp, UserInfo};
use http::{HeaderMap, StatusCode};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::handler::api_response::JSON;
use crate::handler::budget::{Budget, Reservation};
use crate::handler::negotiate::{Form, Rendering};
use crate::handler::status_errors;
use crate::limits::{
    BYTES_SHARES, LISTS_MAX, RESPONSE_BYTES_FREE, RESPONSES_BYTES_MAX, WATCHES_BYTES_MAX,
};
use crate::{ApiResponse, Request};

/// Size of the response cache above which entries of sent responses are removed.
const KNOWN_MAX: usize = 256;

/// Number of different hashes of users. Few users list computed objects at the same time.
const USER_HASHES: usize = 64;
/// Number of lists of computed objects that one user may read at the same time.
const USER_LISTS_MAX: usize = LISTS_MAX / 2;

/// The responses that are being sent.
pub(super) struct ResponseCache {
    budget: Arc<Budget>,
    /// Budget for watch events. A slow client of a watch must not block the lists of other clients.
    of_watches: Arc<Budget>,
    turns: Semaphore,
    /// Permits for lists of computed objects, which may take long and must not block the lists of
    /// stored objects.
    computed_turns: Semaphore,
    /// Permits for lists of computed objects of one user, so that one user's lists do not block
    /// those of others. Users whose names have the same hash share them.
    computed_turns_of_user: [Semaphore; USER_HASHES],
    keys: RandomState,
    rendered: Mutex<HashMap<u64, Weak<Rendered>>>,
}

/// The parameters that determine the content of a response.
#[derive(Clone, Copy)]
pub(super) struct Key<'r> {
    request: &'r Request,
    revision: u64,
    rendering: Rendering,
    seconds: i64,
}

/// The key of a response. For a table it includes the time, because a table shows the age of
/// objects.
pub(super) fn key(
    request: &Request,
    revision: u64,
    rendering: Rendering,
    now: Timestamp,
) -> Key<'_> {
    Key { request, revision, rendering, seconds: now.as_micros() / 1_000_000 }
}

/// A rendered response, and its share of the budget.
struct Rendered {
    code: StatusCode,
    headers: HeaderMap,
    content_type: &'static str,
    body: Bytes,
    object: Option<Json>,
    /// Compared on lookup, because responses of two paths may have the same hash.
    path: String,
    _reservation: Reservation,
}

/// Keeps a rendered response alive as long as its bytes are in use.
struct Bound {
    rendered: Arc<Rendered>,
    is_body: bool,
}

impl AsRef<[u8]> for Bound {
    fn as_ref(&self) -> &[u8] {
        match &self.rendered.object {
            Some(object) if !self.is_body => object.as_bytes(),
            _ => &self.rendered.body,
        }
    }
}

impl Default for ResponseCache {
    fn default() -> Self {
        Self {
            budget: Budget::new(RESPONSES_BYTES_MAX, BYTES_SHARES),
            of_watches: Budget::new(WATCHES_BYTES_MAX, BYTES_SHARES),
            turns: Semaphore::new(LISTS_MAX),
            computed_turns: Semaphore::new(LISTS_MAX),
            computed_turns_of_user: std::array::from_fn(|_| Semaphore::new(USER_LISTS_MAX)),
            keys: RandomState::new(),
            rendered: Mutex::default(),
        }
    }
}

impl ResponseCache {
    /// Waits for a permit to render a list.
    pub(super) async fn render_permit(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.acquire().await.ok()
    }

    /// Waits for permits to read and render a list of objects that are not in the store.
    pub(super) async fn computed_permits(
        &self,
        user: &UserInfo,
    ) -> Option<[SemaphorePermit<'_>; 2]> {
        let hash = self.keys.hash_one(user.username.as_str()) % USER_HASHES as u64;
        let of_user = self.computed_turns_of_user.get(usize::try_from(hash).ok()?)?;
        Some([of_user.acquire().await.ok()?, self.computed_turns.acquire().await.ok()?])
    }

    /// The cached response, if another client is receiving it.
    pub(super) fn cached(&self, key: Key<'_>) -> Option<ApiResponse> {
        let known = self.find(self.hash(key), &key.request.info.path)?;
        Some(known.to_response())
    }

    /// Reserves `bytes` of the budget for a response. The error is 429 Too Many Requests when the
    /// budget is used up.
    pub(super) fn reserve(&self, user: &UserInfo, bytes: usize) -> Result<Reservation, ApiError> {
        self.budget.reserve(user, bytes).ok_or_else(status_errors::too_many_requests)
    }

    /// The cached response, or a new one if the budget allows it. `reservation` is a reservation
    /// that the caller has already made.
    pub(super) async fn shared(
        &self,
        key: Key<'_>,
        bytes: usize,
        reservation: Option<Reservation>,
        render: impl FnOnce() -> ApiResponse + Send + 'static,
    ) -> Result<ApiResponse, ApiError> {
        if bytes <= RESPONSE_BYTES_FREE {
            return Ok(render());
        }
        let path = &key.request.info.path;
        let hash = self.hash(key);
        if let Some(known) = self.find(hash, path) {
            return Ok(known.to_response());
        }
        let mut reservation = match reservation {
            Some(reservation) => reservation,
            None => self.reserve(&key.request.user, bytes)?,
        };
        let ApiResponse { code, headers, content_type, body, object, .. } =
            if bytes > key.rendering.inline_bytes_max() {
                // Rendering takes long, so it must not block other requests.
                let rendered = tokio::task::spawn_blocking(render).await;
                rendered.map_err(|_| ApiError::internal("the response could not be serialized"))?
            } else {
                render()
            };
        // Indented output is longer than its objects. The response already exists, so it is not
        // rejected.
        reservation.grow(body.len().saturating_sub(bytes));
        let path = path.clone();
        let rendered =
            Rendered { code, headers, content_type, body, object, path, _reservation: reservation };
        Ok(self.remember(hash, rendered).to_response())
    }

    /// The cached watch event, or a new one; `None` if the budget is used up. `what` and the
    /// object's key determine the content of the event.
    pub(super) fn event(
        &self,
        what: impl Hash,
        object_key: &str,
        user: &UserInfo,
        render: impl FnOnce() -> Bytes,
        bytes: usize,
    ) -> Option<Bytes> {
        if bytes <= RESPONSE_BYTES_FREE {
            return Some(render());
        }
        let hash = self.keys.hash_one((what, object_key));
        if let Some(known) = self.find(hash, object_key) {
            return Some(known.to_response().body);
        }
        let reservation = self.of_watches.reserve(user, bytes)?;
        let rendered = Rendered {
            code: StatusCode::OK,
            headers: HeaderMap::new(),
            content_type: JSON,
            body: render(),
            object: None,
            path: object_key.to_owned(),
            _reservation: reservation,
        };
        Some(self.remember(hash, rendered).to_response().body)
    }

    fn hash(&self, key: Key<'_>) -> u64 {
        let Key { request, revision, rendering, seconds } = key;
        let rendering_text = format!("{rendering:?}");
        let seconds = if matches!(rendering.form, Form::Table(..)) { seconds } else { 0 };
        let path = &request.info.path;
        self.keys.hash_one((path, &request.query, revision, rendering_text, seconds))
    }

    fn find(&self, hash: u64, path: &str) -> Option<Arc<Rendered>> {
        let known = self.rendered().get(&hash).and_then(Weak::upgrade);
        known.filter(|known| known.path == path)
    }

    fn remember(&self, hash: u64, rendered: Rendered) -> Arc<Rendered> {
        let rendered = Arc::new(rendered);
        let mut known = self.rendered();
        if known.len() >= KNOWN_MAX {
            known.retain(|_, rendered| rendered.strong_count() > 0);
        }
        known.insert(hash, Arc::downgrade(&rendered));
        rendered
    }

    fn rendered(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Weak<Rendered>>> {
        self.rendered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rendered {
    fn to_response(self: &Arc<Self>) -> ApiResponse {
        let bytes = |is_body| Bytes::from_owner(Bound { rendered: Arc::clone(self), is_body });
        ApiResponse {
            code: self.code,
            headers: self.headers.clone(),
            content_type: self.content_type,
            body: bytes(true),
            object: self.object.as_ref().map(|_| Json::from_normalized(bytes(false))),
            status: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use apimachinery::RequestInfo;
    use http::Method;

    use super::*;
    use crate::handler::negotiate::Rendering;

    fn request(path: &str) -> Request {
        Request {
            info: RequestInfo::parse(&Method::GET, path, &[]),
            method: Method::GET,
            query: Vec::new(),
            headers: HeaderMap::new(),
            user: Arc::new(UserInfo { username: "alice".to_owned(), ..UserInfo::default() }),
            body: Bytes::new(),
            received: Timestamp::default(),
        }
    }

    /// Regression: four lists of audit events by one user blocked those of everyone else.
    #[tokio::test]
    async fn one_users_lists_of_computed_objects_leave_turns_for_others() {
        let cache = ResponseCache::default();
        let permits = async |name: &str| {
            let user = UserInfo { username: name.to_owned(), ..UserInfo::default() };
            let permits = cache.computed_permits(&user);
            tokio::time::timeout(Duration::from_millis(10), permits).await.ok().flatten()
        };
        let mut mallory = Vec::new();
        for _ in 0..LISTS_MAX {
            mallory.extend(permits("mallory").await);
        }
        assert_eq!(mallory.len(), USER_LISTS_MAX);
        // A name of another hash.
        let mut names = (0..USER_HASHES).map(|number| format!("alice-{number}"));
        let hash = |name: &str| cache.keys.hash_one(name) % USER_HASHES as u64;
        let name = names.find(|name| hash(name) != hash("mallory")).unwrap();
        assert!(permits(&name).await.is_some());
        mallory.clear();
        assert!(permits("mallory").await.is_some());
    }

    /// Regression: forty lists that were never read took forty times their memory.
    #[tokio::test]
    async fn equal_lists_share_memory_and_others_are_rejected_beyond_the_limit() {
        let cache = ResponseCache::default();
        let len = 20 << 20;
        let list = async |path: &str, revision: u64| {
            let request = request(path);
            let rendering = Rendering::negotiate(&request).unwrap();
            let key = key(&request, revision, rendering, Timestamp::default());
            let text = format!("\"{}\"", "x".repeat(len - 2));
            let render =
                move || ApiResponse::json(StatusCode::OK, Json::from_normalized(Bytes::from(text)));
            cache.shared(key, len, None, render).await
        };
        let mut equal = Vec::new();
        for _ in 0..40 {
            equal.push(list("/apis/a.b/v1/things", 7).await.unwrap());
        }
        let first = equal[0].body.as_ptr();
        assert!(equal.iter().all(|response| response.body.as_ptr() == first));
        let events = equal.iter().map(|response| response.object.clone().unwrap().into_bytes());
        assert!(events.into_iter().all(|event| event.as_ptr() == first));
        assert!(list("/apis/a.b/v1/things", 8).await.is_err(), "beyond the user's share");
        drop(equal);
        let next = list("/apis/a.b/v1/things", 8).await.unwrap();
        assert!(list("/apis/a.b/v1/others", 8).await.is_err());
        drop(next);
        assert!(cache.rendered().values().all(|known| known.strong_count() == 0));
    }

    /// Regression: two thousand watches that were never read held two thousand copies of one event.
    #[test]
    fn equal_watch_events_share_memory_and_others_end_their_watch_beyond_the_limit() {
        let cache = ResponseCache::default();
        let len = 3 << 20;
        let push_event = |name: &str, revision: u64| {
            let user = UserInfo { username: name.to_owned(), ..UserInfo::default() };
            let render = || Bytes::from(vec![b'x'; len]);
            cache.event(("ADDED", revision), "g/r/shop/x", &user, render, len)
        };
        let equal: Vec<Bytes> = (0..2000).map(|_| push_event("alice", 7).unwrap()).collect();
        assert!(equal.iter().all(|event| event.as_ptr() == equal[0].as_ptr()));
        let others: Vec<Option<Bytes>> =
            (8..40).map(|revision| push_event("alice", revision)).collect();
        let share = WATCHES_BYTES_MAX / BYTES_SHARES;
        assert_eq!(others.iter().flatten().count() + 1, share / len);
        assert!(push_event("bob", 50).is_some(), "another user has a share of his own");
        drop((equal, others));
        assert!(push_event("alice", 51).is_some());
    }
}
