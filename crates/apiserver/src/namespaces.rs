//! Is there such a namespace, and may objects still be made in it?
//!
//! Without this question an object could be made behind the namespace controller's back, and stay
//! for ever.

mod cluster;

use async_trait::async_trait;

pub use cluster::ClusterNamespaces;

use crate::ApiError;

/// How a namespace is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamespaceState {
    /// There is none of that name.
    Missing,
    /// Objects may be made in it.
    Active,
    /// It is being deleted.
    Terminating,
}

/// Somebody who knows the namespaces.
#[async_trait]
pub trait NamespaceSource: Send + Sync {
    /// The state of a namespace. [`Missing`](NamespaceState::Missing) only after looking closely.
    async fn state(&self, namespace: &str) -> Result<NamespaceState, ApiError>;
}
