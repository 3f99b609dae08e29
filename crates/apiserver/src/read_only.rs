//! Kinds whose objects are not in the store: they are made when they are read, of something else.
//!
//! Selectors, pages, tables, watches and their parameters are the registry's business; a kind says
//! what there is. These objects cannot be written.

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::ApiError;

/// Where the objects of a kind come from that is read only.
#[async_trait]
pub trait ReadOnlyStorage: Send + Sync {
    /// The object of that name, as JSON, or nothing.
    async fn get(&self, name: &str) -> Result<Option<Bytes>, ApiError>;

    /// One page of what is asked for. It has a bound of its own, also if the query has none.
    async fn list(&self, query: ReadQuery) -> Result<ReadPage, ApiError>;

    /// What comes after a revision, as it comes.
    async fn watch(
        &self,
        query: ReadQuery,
        after: Option<u64>,
    ) -> Result<BoxStream<'static, Result<ReadBatch, ApiError>>, ApiError>;
}

/// Which objects are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadQuery {
    /// Conditions on fields that the kind allows to select by; all must hold.
    pub terms: Vec<FieldTerm>,
    /// At most so many; 0 is no limit.
    pub limit: usize,
    /// What [`ReadPage::next`] of the page before was.
    pub after: Option<String>,
    /// The revision of the first page.
    pub at: Option<u64>,
}

/// One condition of a field selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldTerm {
    /// The field.
    pub path: String,
    /// What it is compared with.
    pub value: String,
    /// Whether it must be equal, or must not be.
    pub is_equal: bool,
}

/// A part of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadPage {
    /// Objects as JSON.
    pub items: Vec<Bytes>,
    /// The revision that the whole list shows; a watch goes on after it.
    pub revision: u64,
    /// Where the next page begins, if there is one.
    pub next: Option<String>,
    /// What a client should know about the answer.
    pub warnings: Vec<String>,
}

/// New objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadBatch {
    /// Objects as JSON.
    pub items: Vec<Bytes>,
    /// Everything up to this revision has been handed out.
    pub revision: u64,
}
