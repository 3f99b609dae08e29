//! Collects the objects of a list, a few megabytes at a time.
//!
//! The objects count against the budget for responses while they are collected: a list that exceeds
//! the budget is rejected before it is in memory. Objects in the store's cache count too, because
//! the response contains a copy of them.

use std::sync::Arc;

use apimachinery::ApiError;
use audit::Layer;
use event::Timestamp;
use store::{ListOptions, Object, ReadError};

use super::continue_token::ContinueToken;
use super::read::{ListQuery, SelectionPredicate};
use super::render::ListMeta;
use super::{ResourceRequest, render, response_cache};
use crate::handler::budget::Reservation;
use crate::handler::negotiate::{Form, Rendering};
use crate::handler::status_errors;
use crate::limits::{LIST_BYTES_MAX, LIST_PAGE_BYTES_MAX, RESPONSE_BYTES_FREE};
use crate::{ApiResponse, AuditContext};

/// Maximum number of objects of one read from the store.
const PAGE_OBJECTS: usize = 4096;
/// Approximate maximum bytes of one read from the store.
pub(super) const PAGE_BYTES: usize = 4 << 20;
/// Maximum number of objects of one read for a list with a selector that skips most objects. These
/// are parsed on the request's task.
const SCAN_OBJECTS: usize = 500;
/// See [`SCAN_OBJECTS`].
const SCAN_BYTES: usize = 1 << 20;

/// The parameters and the format of a list.
pub(super) struct Listing<'l> {
    pub(super) prefix: &'l str,
    pub(super) filter: &'l SelectionPredicate,
    pub(super) query: &'l ListQuery,
    pub(super) rendering: Rendering,
    pub(super) now: Timestamp,
}

/// The collected objects of a list.
#[derive(Default)]
pub(super) struct CollectedList {
    pub(super) items: Vec<Arc<Object>>,
    pub(super) head: ListMeta,
    /// Total size of the bodies, in bytes.
    pub(super) bytes: usize,
    /// Their reservation in the budget, if they are counted.
    pub(super) reservation: Option<Reservation>,
}

/// The content of a list response.
pub(super) enum ListContent {
    New(CollectedList),
    /// An equal response that is already being sent to another client.
    Cached(Box<ApiResponse>),
}

/// Why a list fails.
pub(super) enum ListError {
    Read(ReadError),
    Rejected(ApiError),
}

impl Listing<'_> {
    /// The part of an object that the list retains. A list of metadata retains only metadata, so
    /// that all objects fit: the namespace controller lists the metadata of all objects in one
    /// page.
    fn part_of(&self, object: Arc<Object>) -> Arc<Object> {
        if !matches!(self.rendering.form, Form::Partial(_)) {
            return object;
        }
        let body = render::part(self.rendering, &object.body);
        Arc::new(Object { key: Arc::clone(&object.key), revision: object.revision, body })
    }

    /// Whether a page has reached its maximum size. A list that was not requested in pages fails if
    /// it is too long, because the client would mistake a part for the whole list.
    fn is_full(&self, bytes: usize) -> Result<bool, ListError> {
        let share = self.rendering.bytes_share();
        if self.query.limit > 0 {
            return Ok(bytes >= LIST_PAGE_BYTES_MAX / share);
        }
        let bytes_max = LIST_BYTES_MAX / share;
        if bytes <= bytes_max {
            return Ok(false);
        }
        Err(ListError::Rejected(status_errors::list_too_large(bytes_max)))
    }
}

impl ResourceRequest<'_> {
    /// Reads from the store until a page of the list is full or there are no more objects.
    pub(super) async fn gather(
        &self,
        listing: &Listing<'_>,
        audit: &mut AuditContext,
    ) -> Result<ListContent, ListError> {
        let Listing { prefix, filter, query, .. } = listing;
        let selects_all = filter.selects_all();
        let mut collected = CollectedList::default();
        let mut start_after = query.after.as_ref().map(|after| format!("{prefix}{after}"));
        let mut at = query.at;
        // Number of objects of the whole list, from the first page.
        let mut count = None;
        loop {
            let limit_left = match query.limit {
                0 => usize::MAX,
                limit => limit - collected.items.len(),
            };
            let (limit, bytes_max) = if selects_all {
                (limit_left.min(PAGE_OBJECTS), PAGE_BYTES)
            } else {
                (SCAN_OBJECTS, SCAN_BYTES)
            };
            let counts_rest = selects_all && query.limit > 0 && count.is_none();
            let options = ListOptions { at, start_after, limit, bytes_max, counts_rest };
            let start = self.shared.clock.now();
            let page = self.shared.store.list(prefix, options).await.map_err(ListError::Read)?;
            audit.track_since(Layer::Storage, start);
            count = count.or(page.remaining.map(|remaining| page.items.len() + remaining));
            let before = collected.items.len();
            let mut admitted = page.items.into_iter().filter(|object| filter.matches(&object.body));
            let new_items = admitted.by_ref().take(limit_left);
            collected.items.extend(new_items.map(|object| listing.part_of(object)));
            let new = collected.items.iter().skip(before).map(|object| object.body.len()).sum();
            if let Some(response) = self.count(listing, &mut collected, new, page.revision)? {
                return Ok(ListContent::Cached(Box::new(response)));
            }
            let is_at_limit = query.limit > 0 && collected.items.len() == query.limit;
            let more = page.next.is_some() || (is_at_limit && admitted.next().is_some());
            let is_full = is_at_limit || listing.is_full(collected.bytes)?;
            if !more || is_full {
                collected.head.revision = page.revision;
                if let Some(last) = collected.items.last().filter(|_| more) {
                    let after = last.key.strip_prefix(prefix).unwrap_or(&last.key).to_owned();
                    collected.head.next =
                        ContinueToken { revision: Some(page.revision), after }.encode();
                    let rest = count.map(|count| count.saturating_sub(collected.items.len()));
                    collected.head.remaining = rest;
                }
                return Ok(ListContent::New(collected));
            }
            at = Some(page.revision);
            start_after = page.next;
        }
    }

    /// Adds `bytes` to the reservation, or returns an equal response that is already being sent.
    fn count(
        &self,
        listing: &Listing<'_>,
        collected: &mut CollectedList,
        new: usize,
        revision: u64,
    ) -> Result<Option<ApiResponse>, ListError> {
        collected.bytes += new;
        if collected.bytes <= RESPONSE_BYTES_FREE {
            return Ok(None);
        }
        let responses = &self.shared.response_cache;
        if let Some(reservation) = &mut collected.reservation {
            let is_reserved = reservation.grow(new);
            let rejected = || ListError::Rejected(status_errors::too_many_requests());
            return if is_reserved { Ok(None) } else { Err(rejected()) };
        }
        let key = response_cache::key(self.request, revision, listing.rendering, listing.now);
        if let Some(response) = responses.cached(key) {
            return Ok(Some(response));
        }
        let reservation = responses.reserve(&self.request.user, collected.bytes);
        collected.reservation = Some(reservation.map_err(ListError::Rejected)?);
        Ok(None)
    }
}
