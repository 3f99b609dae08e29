//! The initial events of a watch, read from the store page by page as the client receives them.
//!
//! All pages show one revision. If a client is so slow that the store has compacted that revision,
//! the watch ends with an error and the client lists again.

use std::collections::VecDeque;
use std::sync::Arc;

use store::{ListOptions, Object, Page, ReadError, Storage};

/// Maximum number of objects in memory for one watch.
pub(super) const PAGE: usize = 100;
/// Number of objects of the first page, when their size is not known yet.
pub(super) const FIRST_PAGE: usize = 8;
/// Approximate maximum size of a page, in bytes.
const PAGE_BYTES: usize = 1 << 20;

/// The objects that have not been sent yet.
pub(super) struct InitialList {
    prefix: String,
    revision: u64,
    page: VecDeque<Arc<Object>>,
    /// Start key and maximum number of objects of the next page.
    next: Option<(String, usize)>,
}

impl InitialList {
    /// The objects at the current revision.
    pub(super) async fn now(store: &dyn Storage, prefix: String) -> Result<Self, ReadError> {
        let page = page(store, &prefix, None, None, FIRST_PAGE).await?;
        let next = following(&page);
        Ok(Self { prefix, revision: page.revision, page: page.items.into(), next })
    }

    /// The revision of all objects of the list.
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// The next object; `None` at the end.
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

/// Start key of the next page, and its maximum number of objects, computed from the average size in
/// this page.
fn following(page: &Page) -> Option<(String, usize)> {
    let bytes: usize = page.items.iter().map(|object| object.body.len()).sum();
    let each = bytes / page.items.len().max(1);
    let limit = (PAGE_BYTES / each.max(1)).clamp(1, PAGE);
    Some((page.next.clone()?, limit))
}
