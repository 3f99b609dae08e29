//! Reads namespaces from kube-apiserver.
//!
//! The state "active" is cached briefly, so that a burst of creates causes one request. An object
//! that is created from a stale entry is not left behind, because the namespace controller retries
//! until a namespace is empty. The state "missing" is verified with a second request, because the
//! caches of kube-apiserver lag.

use std::time::Duration;

use apimachinery::ApiError;
use async_trait::async_trait;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};
use moka::sync::Cache;

use super::{NamespaceSource, NamespaceState};

/// Time for which the state of an active namespace is cached.
const ACTIVE_TIME: Duration = Duration::from_secs(2);
/// Maximum number of cached namespaces.
const CACHED_MAX: u64 = 10_000;
/// Pause before a missing namespace is looked up again.
const MISSING_PAUSE: Duration = Duration::from_millis(50);

/// A [`NamespaceSource`] that reads the namespaces of a cluster.
pub struct ClusterNamespaces {
    api: Api<Namespace>,
    active: Cache<String, ()>,
}

impl ClusterNamespaces {
    /// Creates a source that uses `client`. Its user must be allowed to get namespaces.
    pub fn new(client: Client) -> Self {
        let active = Cache::builder().max_capacity(CACHED_MAX).time_to_live(ACTIVE_TIME).build();
        Self { api: Api::all(client), active }
    }

    async fn look_up(&self, namespace: &str) -> Result<NamespaceState, ApiError> {
        let namespace_object = self.api.get_opt(namespace).await.map_err(|error| {
            tracing::warn!(namespace, %error, "cannot look up a namespace");
            ApiError::unavailable("the namespace cannot be looked up", 1)
        })?;
        Ok(namespace_object.as_ref().map_or(NamespaceState::Missing, state_of))
    }
}

#[async_trait]
impl NamespaceSource for ClusterNamespaces {
    async fn state(&self, namespace: &str) -> Result<NamespaceState, ApiError> {
        if self.active.contains_key(namespace) {
            return Ok(NamespaceState::Active);
        }
        let mut state = self.look_up(namespace).await?;
        if state == NamespaceState::Missing {
            tokio::time::sleep(MISSING_PAUSE).await;
            state = self.look_up(namespace).await?;
        }
        if state == NamespaceState::Active {
            self.active.insert(namespace.to_owned(), ());
        }
        Ok(state)
    }
}

/// The state of an existing namespace. It is terminating from its deletion timestamp on, even while
/// its phase is still `Active`.
fn state_of(namespace: &Namespace) -> NamespaceState {
    let phase = namespace.status.as_ref().and_then(|status| status.phase.as_deref());
    if namespace.metadata.deletion_timestamp.is_some() || phase == Some("Terminating") {
        NamespaceState::Terminating
    } else {
        NamespaceState::Active
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn check(object: Value, expected: NamespaceState) {
        let namespace: Namespace = serde_json::from_value(object).unwrap();
        assert_eq!(state_of(&namespace), expected);
    }

    #[test]
    fn a_deleted_namespace_is_terminating() {
        check(json!({"metadata": {"name": "a"}}), NamespaceState::Active);
        check(
            json!({"metadata": {"name": "a"}, "status": {"phase": "Active"}}),
            NamespaceState::Active,
        );
        check(
            json!({"metadata": {"name": "a"}, "status": {"phase": "Terminating"}}),
            NamespaceState::Terminating,
        );
        check(
            json!({"metadata": {"name": "a", "deletionTimestamp": "2026-11-24T21:00:00Z"}}),
            NamespaceState::Terminating,
        );
    }
}
