//! The state of namespaces, checked before an object is created.
//!
//! Without this check, an object could be created after the namespace controller has emptied the
//! namespace, and remain forever.

mod cluster;

use apimachinery::ApiError;
use async_trait::async_trait;

pub use cluster::ClusterNamespaces;

/// State of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamespaceState {
    /// The namespace does not exist.
    Missing,
    /// Objects may be created in it.
    Active,
    /// The namespace is being deleted. Objects must not be created in it.
    Terminating,
}

/// Source of namespace states.
#[async_trait]
pub trait NamespaceSource: Send + Sync {
    /// Returns the state of a namespace. Implementations verify
    /// [`Missing`](NamespaceState::Missing) with a second read, because the first one may be stale.
    async fn state(&self, namespace: &str) -> Result<NamespaceState, ApiError>;
}
