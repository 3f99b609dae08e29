//! Is there such a namespace, and may objects still be made in it?
//!
//! Without this question an object could be made behind the namespace controller's back, and stay
//! for ever.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use store::Storage;

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

/// The namespaces of this server's own store, for a server that stands alone.
pub struct StoredNamespaces {
    store: Arc<dyn Storage>,
}

impl StoredNamespaces {
    /// Looks into `store`.
    pub fn new(store: Arc<dyn Storage>) -> Self {
        Self { store }
    }
}

#[async_trait]
impl NamespaceSource for StoredNamespaces {
    async fn state(&self, namespace: &str) -> Result<NamespaceState, ApiError> {
        let Some(stored) = self.store.get(&format!("core/namespaces/{namespace}")) else {
            return Ok(NamespaceState::Missing);
        };
        let object: Value = serde_json::from_slice(&stored.body).unwrap_or_default();
        Ok(state_of(&object))
    }
}

/// What a namespace's object says.
pub(crate) fn state_of(object: &Value) -> NamespaceState {
    let is_going =
        object.pointer("/metadata/deletionTimestamp").is_some_and(|time| !time.is_null())
            || object.pointer("/status/phase").is_some_and(|phase| phase == "Terminating");
    if is_going { NamespaceState::Terminating } else { NamespaceState::Active }
}
