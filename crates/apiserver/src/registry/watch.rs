//! The verb `watch`: streams the changes of the objects of a kind.
//!
//! Each client has one cursor in the store's history. A frame is built when the connection can send
//! it, so a slow client costs one batch of changes and one frame, and no queue grows. Watches share
//! long frames with equal content, and one budget bounds them all.

use std::collections::VecDeque;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use apimachinery::{ApiError, FieldError, name_generator};
use bytes::Bytes;
use event::{Json, Timestamp, UserInfo};
use futures::stream;
use serde_json::{Map, Value};
use store::{Change, ChangeKind, Watch};
use tokio::time::Instant;

use super::initial::InitialList;
use super::options::{first, is_true};
use super::read::{SelectionPredicate, read_error, revision};
use super::render::{ListMeta, revision_of, table_start};
use super::served_resource::ServedResource;
use super::{ResourceRequest, Shared, metadata, options};
use crate::handler::negotiate::{Form, Rendering};
use crate::handler::status_errors;
use crate::{ApiResponse, AuditContext, Outcome, WatchReply, table};

/// Minimum duration of a watch without `timeoutSeconds`. The maximum is twice as long.
const TIMEOUT_MIN: Duration = Duration::from_mins(30);
/// Interval of bookmarks.
pub(super) const BOOKMARK_PERIOD: Duration = Duration::from_mins(1);
/// A watch sends its last bookmark this long before its end.
const BOOKMARK_BEFORE_END: Duration = Duration::from_secs(2);
/// Maximum of `timeoutSeconds`.
const TIMEOUT_MAX_SECONDS: u64 = 7 * 24 * 3600;

/// The state of a watch.
struct WatchStream {
    shared: Arc<Shared>,
    user: Arc<UserInfo>,
    filter: SelectionPredicate,
    framing: Framing,
    /// Initial events that have not been sent yet.
    initial: Option<InitialList>,
    /// The revision of the initial list, until the bookmark at its end is sent.
    marks_end_at: Option<u64>,
    frames: VecDeque<Bytes>,
    /// Changes that have not been sent yet.
    batch: VecDeque<Change>,
    /// `None` after an error.
    changes: Option<Watch>,
    bookmarks: bool,
    next_bookmark: Instant,
    end: Instant,
}

/// The start of a watch.
struct Start {
    /// The watch sends every change after this revision.
    after: u64,
    /// The objects at this revision, sent as ADDED.
    initial: Option<InitialList>,
    /// Whether a bookmark marks the end of the initial events.
    marks_end: bool,
}

impl ResourceRequest<'_> {
    /// Starts a watch.
    pub(super) async fn watch(&self, _audit: &mut AuditContext) -> Result<Outcome, ApiError> {
        let rendering = Rendering::negotiate(self.request)?;
        let filter = SelectionPredicate::new(self)?;
        let send_initial_events = self.check_watch()?;
        let duration = self.duration()?;
        let start = self.start(send_initial_events).await?;
        let prefix = self.kind.prefix(self.namespace());
        let changes = self.shared.store.watch(&prefix, start.after).await;
        let changes = changes.map_err(|error| read_error(&error))?;
        let now = Instant::now();
        let bookmarks = first(self.request, "allowWatchBookmarks").is_some_and(is_true);
        let watch_stream = WatchStream {
            shared: Arc::clone(self.shared),
            user: Arc::clone(&self.request.user),
            filter,
            framing: Framing::new(self.kind, rendering.form),
            initial: start.initial,
            marks_end_at: (start.marks_end && bookmarks).then_some(start.after),
            frames: VecDeque::new(),
            batch: VecDeque::new(),
            changes: Some(changes),
            bookmarks,
            next_bookmark: now + BOOKMARK_PERIOD.min(duration.saturating_sub(BOOKMARK_BEFORE_END)),
            end: now + duration,
        };
        Ok(Outcome::Watch(WatchReply {
            content_type: crate::handler::api_response::JSON,
            frames: Box::pin(stream::unfold(watch_stream, WatchStream::next)),
        }))
    }

    /// Checks the parameters of a watch, and returns `sendInitialEvents` if it is set.
    pub(super) fn check_watch(&self) -> Result<Option<bool>, ApiError> {
        let parameter = |key: &str| first(self.request, key).unwrap_or_default();
        let matching = parameter("resourceVersionMatch");
        let send_initial_events = first(self.request, "sendInitialEvents").map(is_true);
        let mut errors = Vec::new();
        if send_initial_events.is_some() {
            if matching != "NotOlderThan" {
                let detail =
                    "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
                errors.push(FieldError::forbidden("resourceVersionMatch", detail));
            }
        } else if !matching.is_empty() {
            let detail =
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            errors.push(FieldError::forbidden("resourceVersionMatch", detail));
        }
        if !parameter("continue").is_empty() {
            errors.push(FieldError::forbidden("continue", "continue is forbidden for watch"));
        }
        options::reject_invalid("ListOptions", &errors)?;
        Ok(send_initial_events)
    }

    pub(super) fn duration(&self) -> Result<Duration, ApiError> {
        match first(self.request, "timeoutSeconds").unwrap_or_default() {
            "" | "0" => {
                // Randomized, so that watches that started together do not end together.
                let spread = name_generator::random()
                    .bytes()
                    .fold(0u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
                Ok(TIMEOUT_MIN + TIMEOUT_MIN * (spread % 1000) / 1000)
            }
            text => {
                let seconds: u64 = text.parse().map_err(|_| {
                    ApiError::bad_request(format!(
                        "timeoutSeconds: Invalid value: {text:?}: must be a number"
                    ))
                })?;
                Ok(Duration::from_secs(seconds.min(TIMEOUT_MAX_SECONDS)))
            }
        }
    }

    async fn start(&self, send_initial_events: Option<bool>) -> Result<Start, ApiError> {
        let since = revision(self.request)?.unwrap_or(0);
        if send_initial_events == Some(false) || (send_initial_events.is_none() && since != 0) {
            let newest = self.shared.store.newest_revision().await;
            let newest = newest.map_err(|error| read_error(&error))?;
            let after = if since == 0 { newest } else { since };
            return Ok(Start { after, initial: None, marks_end: false });
        }
        self.wait_for(since).await?;
        let prefix = self.kind.prefix(self.namespace());
        let initial = InitialList::now(&*self.shared.store, prefix).await;
        let initial = initial.map_err(|error| read_error(&error))?;
        let marks_end = send_initial_events == Some(true);
        Ok(Start { after: initial.revision(), initial: Some(initial), marks_end })
    }
}

impl WatchStream {
    /// The next frame; `None` at the end of the watch.
    async fn next(mut self) -> Option<(Bytes, Self)> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Some((frame, self));
            }
            if let Some(initial) = &mut self.initial {
                match initial.next(&*self.shared.store).await {
                    Ok(Some(object)) if self.filter.matches(&object.body) => {
                        self.push_event("ADDED", &object.key, object.revision, &object.body);
                    }
                    Ok(Some(_)) => {}
                    Ok(None) => self.initial = None,
                    Err(error) => self.fail(read_error(&error)),
                }
                continue;
            }
            if let Some(revision) = self.marks_end_at.take() {
                self.bookmark(revision, true);
                continue;
            }
            if let Some(change) = self.batch.pop_front() {
                self.take(&change);
                continue;
            }
            if Instant::now() >= self.end {
                return None;
            }
            let wake = self.next_bookmark.min(self.end);
            let changes = self.changes.as_mut()?;
            let batch = tokio::select! {
                biased;
                batch = changes.next() => Some(batch),
                () = tokio::time::sleep_until(wake) => None,
            };
            match batch {
                Some(Ok(batch)) => self.batch = batch.into(),
                Some(Err(error)) => self.fail(read_error(&error)),
                None => self.wake(),
            }
        }
    }

    /// Sends the event of one change, if it concerns the selection.
    fn take(&mut self, change: &Change) {
        let (body, key) = (&change.object.body, &change.object.key);
        let revision = change.revision;
        let before = change.previous.as_ref();
        let was_in = before.is_some_and(|before| self.filter.matches(&before.body));
        match change.kind {
            ChangeKind::Deleted => {
                // The previous state decides whether the selection included the object.
                if was_in || (before.is_none() && self.filter.matches(body)) {
                    self.push_event("DELETED", key, revision, body);
                }
            }
            ChangeKind::Created | ChangeKind::Updated => {
                match (was_in, self.filter.matches(body), before) {
                    (true, true, _) => self.push_event("MODIFIED", key, revision, body),
                    (false, true, _) => self.push_event("ADDED", key, revision, body),
                    (true, false, Some(before)) => {
                        let last = at_revision(&before.body, revision);
                        self.push_event("DELETED", key, revision, &last);
                    }
                    _ => {}
                }
            }
        }
    }

    /// Sends an ERROR event and ends the watch.
    fn fail(&mut self, error: ApiError) {
        self.initial = None;
        self.marks_end_at = None;
        self.batch = VecDeque::new();
        self.changes = None;
        self.frames.push_back(frame("ERROR", &ApiResponse::from(error).body));
    }

    fn wake(&mut self) {
        let now = Instant::now();
        if now < self.next_bookmark {
            return;
        }
        let last = self.end.checked_sub(BOOKMARK_BEFORE_END).unwrap_or(self.end);
        self.next_bookmark =
            if now < last { (now + BOOKMARK_PERIOD).min(last) } else { self.end + BOOKMARK_PERIOD };
        if self.bookmarks
            && let Some(changes) = &mut self.changes
        {
            let progress = changes.progress();
            self.bookmark(progress, false);
        }
    }

    fn bookmark(&mut self, revision: u64, ends_initial: bool) {
        let body = self.framing.bookmark_body(revision, ends_initial);
        let now = self.shared.clock.now();
        self.frames.push_back(self.framing.frame("BOOKMARK", &body, now));
    }

    /// Sends an event of one object. If the budget for events is used up, the watch ends with an
    /// error, and the client resumes from its last revision.
    fn push_event(&mut self, kind: &'static str, key: &str, revision: u64, body: &Bytes) {
        let now = self.shared.clock.now();
        let (shared, user) = (Arc::clone(&self.shared), Arc::clone(&self.user));
        let what = self.framing.what(kind, revision, now);
        let make = || self.framing.frame(kind, body, now);
        match shared.response_cache.event(what, key, &user, make, body.len()) {
            Some(frame) => {
                self.framing.has_columns = true;
                self.frames.push_back(frame);
            }
            None => self.fail(status_errors::too_many_requests()),
        }
    }
}

/// Builds the frames of one watch, in the format that the client accepts.
pub(super) struct Framing {
    kind: Arc<ServedResource>,
    form: Form,
    /// Whether the column definitions of a table have been sent.
    pub(super) has_columns: bool,
}

impl Framing {
    pub(super) fn new(kind: &Arc<ServedResource>, form: Form) -> Self {
        Self { kind: Arc::clone(kind), form, has_columns: false }
    }

    /// A bookmark: the revision up to which the watch has sent all events.
    pub(super) fn bookmark(&mut self, revision: u64, now: Timestamp) -> Bytes {
        let body = self.bookmark_body(revision, false);
        self.frame("BOOKMARK", &body, now)
    }

    fn bookmark_body(&self, revision: u64, ends_initial: bool) -> Bytes {
        let annotations = if ends_initial {
            r#","annotations":{"k8s.io/initial-events-end":"true"}"#
        } else {
            ""
        };
        let body = format!(
            r#"{{"kind":"{}","apiVersion":"{}","metadata":{{"resourceVersion":"{revision}"{annotations}}}}}"#,
            self.kind.resource.kind, self.kind.api_version,
        );
        Bytes::from(body)
    }

    /// The parameters that determine the content of a frame, for one object.
    pub(super) fn what(
        &self,
        kind: &'static str,
        revision: u64,
        now: Timestamp,
    ) -> impl Hash + use<> {
        // A table shows the age of objects.
        let seconds = match self.form {
            Form::Table(..) => now.as_micros() / 1_000_000,
            Form::Plain | Form::Partial(_) => 0,
        };
        (kind, revision, self.form, self.has_columns, seconds)
    }

    /// A frame with an object.
    pub(super) fn frame(&mut self, kind: &str, body: &Bytes, now: Timestamp) -> Bytes {
        let object = match self.form {
            Form::Plain => body.clone(),
            Form::Partial(version) => Bytes::from(table::partial(body, version)),
            Form::Table(include, version) => {
                let head = ListMeta { revision: revision_of(body), ..ListMeta::default() };
                let mut out = table_start(&self.kind, &head, version, !self.has_columns);
                self.has_columns = true;
                out.extend_from_slice(&table::row(
                    &self.kind.resource,
                    body,
                    (include, version),
                    now,
                ));
                out.extend_from_slice(b"]}");
                Bytes::from(out)
            }
        };
        frame(kind, &object)
    }
}

pub(super) fn frame(kind: &str, object: &[u8]) -> Bytes {
    let start = format!(r#"{{"type":"{kind}","object":"#);
    Bytes::from([start.as_bytes(), object, b"}\n"].concat())
}

/// The previous state of an object that left the selection, with the revision of the change.
fn at_revision(body: &Bytes, revision: u64) -> Bytes {
    let Ok(mut object) = serde_json::from_slice::<Map<String, Value>>(body) else {
        return body.clone();
    };
    metadata::set(&mut object, "resourceVersion", revision.to_string());
    Json::serialize(&object).map_or_else(|_| body.clone(), Json::into_bytes)
}
