//! Resources whose objects are not in the store, but computed when they are read.
//!
//! The registry implements selectors, pages, tables, watches and their parameters; a storage only
//! provides objects. These objects cannot be written.

use apimachinery::ApiError;
use apimachinery::selector::field_selector::FieldTerm;
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

/// Source of the objects of a read-only resource.
#[async_trait]
pub trait ReadOnlyStorage: Send + Sync {
    /// Returns the object of this name as JSON, or `None` if it does not exist.
    async fn get(&self, name: &str) -> Result<Option<Bytes>, ApiError>;

    /// Returns one page of a query. The implementation limits its size even if the query has no
    /// limit.
    async fn list(&self, query: ReadQuery) -> Result<ReadPage, ApiError>;

    /// Streams the objects after a revision. The implementation limits the size of a batch: a few
    /// small objects, or one large one.
    async fn watch(
        &self,
        query: ReadQuery,
        after: Option<u64>,
    ) -> Result<BoxStream<'static, Result<ReadBatch, ApiError>>, ApiError>;
}

/// Selection of objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadQuery {
    /// Terms on the resource's selectable fields. All must match.
    pub terms: Vec<FieldTerm>,
    /// Maximum number of objects; 0 means no limit.
    pub limit: usize,
    /// Size of its objects in bytes at which a page ends; 0 means no limit.
    pub bytes_max: usize,
    /// [`ReadPage::next`] of the previous page.
    pub after: Option<String>,
    /// Revision of the first page.
    pub at: Option<u64>,
}

/// One page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadPage {
    /// Objects as JSON.
    pub items: Vec<Bytes>,
    /// Revision of the whole list. A watch continues after it.
    pub revision: u64,
    /// Start of the next page, if there is one.
    pub next: Option<String>,
    /// Warnings for the client.
    pub warnings: Vec<String>,
}

/// A batch of new objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadBatch {
    /// The revision of each object, and the object as JSON.
    pub items: Vec<(u64, Bytes)>,
    /// All objects up to this revision have been delivered.
    pub revision: u64,
}
