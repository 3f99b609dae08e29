//! What a server in a cluster follows there: the namespaces.
//!
//! Whether objects may be made in a namespace is answered from memory when it is known there, and by
//! kube-apiserver otherwise. K10's applications follow the namespaces.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use apiserver::{ApiError, NamespaceSource, NamespaceState, Registry};
use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Namespace;
use kasten::apps::applications;
use kube::api::{Api, ListParams, WatchEvent, WatchParams};

/// Pause after a failure.
const RETRY_PAUSE: Duration = Duration::from_secs(2);
/// How long one watch lasts; after it, everything is read again.
const WATCH_SECONDS: u32 = 290;
/// When a client that could not be answered is told to come again, in seconds.
const RETRY_AFTER: u32 = 1;

/// The namespaces of a cluster.
pub(crate) struct ClusterNamespaces {
    api: Api<Namespace>,
    known: RwLock<BTreeMap<String, NamespaceState>>,
}

impl ClusterNamespaces {
    /// Asks through `client`; knows nothing yet.
    pub(crate) fn new(client: kube::Client) -> Arc<Self> {
        Arc::new(Self { api: Api::all(client), known: RwLock::default() })
    }

    /// Follows the namespaces for ever, and makes the applications follow.
    pub(crate) async fn run(self: Arc<Self>, registry: Registry) {
        loop {
            if let Err(error) = self.round(&registry).await {
                tracing::warn!(error = %error, "cannot follow the namespaces");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }

    async fn round(&self, registry: &Registry) -> Result<(), kube::Error> {
        let list = self.api.list(&ListParams::default()).await?;
        let version = list.metadata.resource_version.unwrap_or_default();
        let found = list.items.iter().map(|one| (name_of(one), state_of(one))).collect();
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = found;
        self.reconcile(registry).await;
        let parameters = WatchParams::default().timeout(WATCH_SECONDS);
        let mut events = self.api.watch(&parameters, &version).await?.boxed();
        while let Some(event) = events.try_next().await? {
            match event {
                WatchEvent::Added(one) | WatchEvent::Modified(one) => {
                    if self.learn(&one, Some(state_of(&one))) {
                        self.reconcile(registry).await;
                    }
                }
                WatchEvent::Deleted(one) => {
                    if self.learn(&one, None) {
                        self.reconcile(registry).await;
                    }
                }
                WatchEvent::Bookmark(_) => {}
                WatchEvent::Error(status) => return Err(kube::Error::Api(status)),
            }
        }
        Ok(())
    }

    /// Whether a namespace has come or gone with it.
    fn learn(&self, namespace: &Namespace, state: Option<NamespaceState>) -> bool {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        match state {
            Some(state) => known.insert(name_of(namespace), state).is_none(),
            None => known.remove(&name_of(namespace)).is_some(),
        }
    }

    async fn reconcile(&self, registry: &Registry) {
        let names: Vec<String> = {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            known.keys().cloned().collect()
        };
        let done = registry.act(move |objects| applications::reconcile(&names, objects)).await;
        if let Err(error) = done {
            // The next round, or the next namespace, does it.
            tracing::warn!(reason = error.status.message, "applications do not follow namespaces");
        }
    }
}

#[async_trait]
impl NamespaceSource for ClusterNamespaces {
    async fn state(&self, namespace: &str) -> Result<NamespaceState, ApiError> {
        let known = {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            known.get(namespace).copied()
        };
        if let Some(state) = known {
            return Ok(state);
        }
        match self.api.get_opt(namespace).await {
            Ok(Some(found)) => Ok(state_of(&found)),
            Ok(None) => Ok(NamespaceState::Missing),
            Err(error) => {
                tracing::warn!(error = %error, "cannot ask for a namespace");
                let message = format!("cannot find out about namespace {namespace:?}");
                Err(ApiError::unavailable(message, RETRY_AFTER))
            }
        }
    }
}

fn name_of(namespace: &Namespace) -> String {
    namespace.metadata.name.clone().unwrap_or_default()
}

fn state_of(namespace: &Namespace) -> NamespaceState {
    if namespace.metadata.deletion_timestamp.is_some() {
        NamespaceState::Terminating
    } else {
        NamespaceState::Active
    }
}
