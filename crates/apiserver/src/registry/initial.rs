//! What is there when a watch begins, told a page at a time as the client takes it.
//!
//! All of it is as it was at one revision. A client so slow that the store has forgotten that revision
//! meanwhile is told so, and lists anew.

use std::collections::VecDeque;
use std::sync::Arc;

use store::{ListOptions, Object, Page, ReadError, Storage};

/// Objects that are at hand for one watch at most.
pub(super) const PAGE: usize = 100;
/// Objects of the first page, before it is known how long they are.
pub(super) const FIRST_PAGE: usize = 8;
/// Bytes of a page, about.
const PAGE_BYTES: usize = 1 << 20;

/// The objects that have not been told yet.
pub(super) struct InitialList {
    prefix: String,
    revision: u64,
    page: VecDeque<Arc<Object>>,
    /// Where the next page begins, and how many objects it may have.
    next: Option<(String, usize)>,
}

impl InitialList {
    /// What is there now.
    pub(super) async fn now(store: &dyn Storage, prefix: String) -> Result<Self, ReadError> {
        let page = page(store, &prefix, None, None, FIRST_PAGE).await?;
        let next = following(&page);
        Ok(Self { prefix, revision: page.revision, page: page.items.into(), next })
    }

    /// The revision that it shows.
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// The next object, until there are no more.
    pub(super) async fn next(
        &mut self,
        store: &dyn Storage,
    ) -> Result<Option<Arc<Object>>, ReadError> {
        if self.page.is_empty()
            && let Some((after, limit)) = self.next.take()
        {
            let page = page(store, &self.prefix, Some(self.revision), Some(after), limit).await?;
            self.next = following(&page);
            self.page = page.items.into();
        }
        Ok(self.page.pop_front())
    }
}

async fn page(
    store: &dyn Storage,
    prefix: &str,
    at: Option<u64>,
    start_after: Option<String>,
    limit: usize,
) -> Result<Page, ReadError> {
    let bytes_max = PAGE_BYTES;
    store.list(prefix, ListOptions { at, start_after, limit, bytes_max, counts_rest: false }).await
}

/// Where the page after this one begins, and how many objects it may have if they are as long.
fn following(page: &Page) -> Option<(String, usize)> {
    let bytes: usize = page.items.iter().map(|object| object.body.len()).sum();
    let each = bytes / page.items.len().max(1);
    let limit = (PAGE_BYTES / each.max(1)).clamp(1, PAGE);
    Some((page.next.clone()?, limit))
}
