//! What is there when a watch begins, told a page at a time as the client takes it.
//!
//! All of it is as it was at one revision. A client so slow that the store has forgotten that revision
//! meanwhile is told so, and lists anew.

use std::collections::VecDeque;
use std::sync::Arc;

use store::{ListOptions, Object, Page, ReadError, Storage};

/// Objects that are at hand for one watch.
pub(super) const PAGE: usize = 100;

/// The objects that have not been told yet.
pub(super) struct Initial {
    prefix: String,
    revision: u64,
    page: VecDeque<Arc<Object>>,
    /// Where the next page begins.
    next: Option<String>,
}

impl Initial {
    /// What is there now.
    pub(super) async fn now(store: &dyn Storage, prefix: String) -> Result<Self, ReadError> {
        let page = page(store, &prefix, None, None).await?;
        Ok(Self { prefix, revision: page.revision, page: page.items.into(), next: page.next })
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
            && let Some(after) = self.next.take()
        {
            let page = page(store, &self.prefix, Some(self.revision), Some(after)).await?;
            self.page = page.items.into();
            self.next = page.next;
        }
        Ok(self.page.pop_front())
    }
}

async fn page(
    store: &dyn Storage,
    prefix: &str,
    at: Option<u64>,
    start_after: Option<String>,
) -> Result<Page, ReadError> {
    store.list(prefix, ListOptions { at, start_after, limit: PAGE, counts_rest: false }).await
}
