//! Reads of resources whose objects are not in the store.
//!
//! Audit events of these reads omit the response body, because the objects are computed from data
//! that is stored elsewhere. Otherwise every read of the journal would append the same records to
//! the journal again.
//!
//! Responses and watch events count against the same budgets as those of stored objects.

use std::collections::VecDeque;
use std::sync::Arc;

use apimachinery::{ApiError, FieldError};
use bytes::Bytes;
use event::{Timestamp, UserInfo};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use http::StatusCode;
use serde::Deserialize;
use tokio::time::Instant;

use super::continue_token::ContinueToken;
use super::decoded;
use super::options::first;
use super::read::{SelectionPredicate, revision};
use super::render::{self, ListMeta};
use super::watch::{BOOKMARK_PERIOD, Framing};
use super::{ResourceRequest, Shared, response_cache};
use crate::handler::negotiate::Rendering;
use crate::handler::status_errors::too_large_resource_version;
use crate::handler::{encoding, status_errors};
use crate::limits::LIST_PAGE_BYTES_MAX;
use crate::{ApiResponse, Outcome, ReadBatch, ReadOnlyStorage, ReadPage, ReadQuery, WatchReply};

impl ResourceRequest<'_> {
    /// Handles `get`, `list` and `watch`; other verbs are rejected with 405.
    pub(super) async fn read_only(
        &self,
        storage: &dyn ReadOnlyStorage,
    ) -> Result<Outcome, ApiError> {
        match self.request.info.verb.as_str() {
            "get" => self.get_read_only(storage).await,
            "list" => self.list_read_only(storage).await,
            "watch" => self.watch_read_only(storage).await,
            verb => Err(self.kind.method_not_allowed(verb)),
        }
    }

    async fn get_read_only(&self, storage: &dyn ReadOnlyStorage) -> Result<Outcome, ApiError> {
        let rendering = Rendering::negotiate(self.request)?;
        let object = storage.get(self.name()).await?;
        let body = object.ok_or_else(|| self.kind.not_found(self.name()))?;
        let now = self.shared.clock.now();
        let key = response_cache::key(
            self.request,
            key_revision(stated_revision(&body), now),
            rendering,
            now,
        );
        let (bytes, kind) = (body.len(), Arc::clone(self.kind));
        let render = move || {
            let response = render::object(rendering, &kind, StatusCode::OK, &body, now);
            ApiResponse { object: None, ..encoding::finish(rendering, response) }
        };
        self.shared.response_cache.shared(key, bytes, None, render).await.map(Outcome::Unlogged)
    }

    async fn list_read_only(&self, storage: &dyn ReadOnlyStorage) -> Result<Outcome, ApiError> {
        let rendering = Rendering::negotiate(self.request)?;
        let filter = SelectionPredicate::new(self)?;
        let query = self.list_query()?;
        let at_least = query.at_least;
        let permits = self.shared.response_cache.computed_permits(&self.request.user).await;
        // These objects have no labels.
        let page = if filter.matches_unlabelled() {
            let query = ReadQuery {
                terms: filter.terms(),
                limit: query.limit,
                bytes_max: LIST_PAGE_BYTES_MAX / rendering.bytes_share(),
                after: query.after,
                at: query.at,
            };
            let newest_expected = query.at.unwrap_or_default().max(at_least);
            let page = storage.list(query).await?;
            if (1..newest_expected).contains(&page.revision) {
                return Err(too_large_resource_version(newest_expected, page.revision));
            }
            page
        } else {
            ReadPage::default()
        };
        let next =
            page.next.map(|after| ContinueToken { revision: Some(page.revision), after }.encode());
        let head = ListMeta {
            revision: page.revision,
            next: next.unwrap_or_default(),
            ..ListMeta::default()
        };
        let now = self.shared.clock.now();
        let key =
            response_cache::key(self.request, key_revision(page.revision, now), rendering, now);
        let bytes = page.items.iter().map(Bytes::len).sum();
        let kind = Arc::clone(self.kind);
        let render = move || {
            let parts: Vec<Bytes> =
                page.items.iter().map(|body| render::part(rendering, body)).collect();
            let mut response = render::list(rendering, &kind, &head, parts.iter(), now);
            decoded::warn(&mut response, &page.warnings);
            ApiResponse { object: None, ..encoding::finish(rendering, response) }
        };
        let response = self.shared.response_cache.shared(key, bytes, None, render).await?;
        drop(permits);
        Ok(Outcome::Unlogged(response))
    }

    async fn watch_read_only(&self, storage: &dyn ReadOnlyStorage) -> Result<Outcome, ApiError> {
        let rendering = Rendering::negotiate(self.request)?;
        let filter = SelectionPredicate::new(self)?;
        if self.check_watch()? == Some(true) {
            let detail = "these objects are not sent as initial events: list them first";
            let error = FieldError::forbidden("sendInitialEvents", detail);
            super::options::reject_invalid("ListOptions", &[error])?;
        }
        let duration = self.duration()?;
        let after = revision(self.request)?.filter(|revision| *revision > 0);
        let query = ReadQuery { terms: filter.terms(), ..ReadQuery::default() };
        let batches = if filter.matches_unlabelled() {
            storage.watch(query, after).await?
        } else {
            stream::pending().boxed()
        };
        let now = Instant::now();
        let watch = WatchStream {
            shared: Arc::clone(self.shared),
            user: Arc::clone(&self.request.user),
            prefix: self.kind.prefix(""),
            framing: Framing::new(self.kind, rendering.form),
            batches: Some(batches),
            frames: VecDeque::new(),
            sent_revision: None,
            bookmarks: first(self.request, "allowWatchBookmarks")
                .is_some_and(super::options::is_true),
            next_bookmark: now + BOOKMARK_PERIOD,
            end: now + duration,
        };
        Ok(Outcome::Watch(WatchReply {
            content_type: crate::handler::api_response::JSON,
            frames: Box::pin(stream::unfold(watch, WatchStream::next)),
        }))
    }
}

/// The revision by which clients share a response. A response without a revision is not shared,
/// because each one may differ.
fn key_revision(revision: u64, now: Timestamp) -> u64 {
    if revision == 0 { now.as_micros().cast_unsigned() } else { revision }
}

/// The revision in the metadata of an object, 0 if it has none. It builds no tree: the object may
/// be large.
fn stated_revision(body: &[u8]) -> u64 {
    #[derive(Deserialize)]
    struct Object {
        metadata: ObjectMeta,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct ObjectMeta {
        resource_version: String,
    }
    let object = serde_json::from_slice::<Object>(body).ok();
    object.and_then(|object| object.metadata.resource_version.parse().ok()).unwrap_or_default()
}

/// The state of a watch.
struct WatchStream {
    shared: Arc<Shared>,
    user: Arc<UserInfo>,
    /// Start of the keys under which events are shared between watches.
    prefix: String,
    framing: Framing,
    /// `None` after an error: the watch ends after the error's frame.
    batches: Option<BoxStream<'static, Result<ReadBatch, ApiError>>>,
    frames: VecDeque<Bytes>,
    /// The revision up to which all events have been sent.
    sent_revision: Option<u64>,
    bookmarks: bool,
    next_bookmark: Instant,
    end: Instant,
}

impl WatchStream {
    /// The next frame; `None` at the end of the watch.
    async fn next(mut self) -> Option<(Bytes, Self)> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Some((frame, self));
            }
            let now = Instant::now();
            if now >= self.end {
                return None;
            }
            if now >= self.next_bookmark {
                self.next_bookmark = now + BOOKMARK_PERIOD;
                if let Some(sent_revision) = self.sent_revision.filter(|_| self.bookmarks) {
                    self.frames
                        .push_back(self.framing.bookmark(sent_revision, self.shared.clock.now()));
                    continue;
                }
            }
            let wake = self.next_bookmark.min(self.end);
            let batches = self.batches.as_mut()?;
            let batch = tokio::select! {
                biased;
                batch = batches.next() => batch,
                () = tokio::time::sleep_until(wake) => continue,
            };
            match batch {
                Some(Ok(batch)) => self.push_frames(&batch),
                Some(Err(error)) => self.fail(error),
                None => return None,
            }
        }
    }

    /// Builds the frames of a batch. If the budget for events is used up, the watch ends with an
    /// error, and the client resumes from its last revision.
    fn push_frames(&mut self, batch: &ReadBatch) {
        let now = self.shared.clock.now();
        for (revision, body) in &batch.items {
            let key = format!("{}{revision}", self.prefix);
            let what = self.framing.what("ADDED", *revision, now);
            let make = || self.framing.frame("ADDED", body, now);
            match self.shared.response_cache.event(what, &key, &self.user, make, body.len()) {
                Some(frame) => {
                    self.framing.has_columns = true;
                    self.frames.push_back(frame);
                }
                None => return self.fail(status_errors::too_many_requests()),
            }
        }
        self.sent_revision = Some(batch.revision);
    }

    /// Sends an ERROR event and ends the watch.
    fn fail(&mut self, error: ApiError) {
        self.batches = None;
        self.frames.push_back(super::watch::frame("ERROR", &ApiResponse::from(error).body));
    }
}
