//! Empties namespaces that are being deleted, object by object, as in any cluster.
//!
//! Each deletion is a request of `system:serviceaccount:kube-system:namespace-controller`, so that
//! each is audited. When no object is left, it removes the namespace's finalizer.

use apiserver::{Resource, Scope, Verb};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::PartialObjectMeta;
use serde_json::json;
use tokio::sync::mpsc;

use super::client::{follow, kind, retry};
use super::namespaces;

/// Number of objects in one page of a list.
const PAGE_OBJECTS: u32 = 500;

/// Watches the namespaces and empties those that are being deleted.
pub(crate) struct NamespaceController {
    client: kube::Client,
    kind: ApiResource,
    namespaces: Api<DynamicObject>,
    /// The namespaced kinds whose objects can be deleted.
    contents: Vec<ApiResource>,
}

impl NamespaceController {
    /// A controller for the given kinds.
    pub(crate) fn new(client: kube::Client, resources: &[Resource]) -> Self {
        let contents = resources
            .iter()
            .filter(|resource| {
                resource.scope == Scope::Namespaced && resource.verbs.contains(&Verb::Delete)
            })
            .map(kind)
            .collect();
        let kind = kind(&namespaces::resource());
        let namespaces = Api::all_with(client.clone(), &kind);
        Self { client, kind, namespaces, contents }
    }

    /// Runs forever.
    pub(crate) async fn run(self) {
        let (going, mut work) = mpsc::unbounded_channel::<String>();
        let watching = follow(&self.client, &self.kind, |namespace| {
            if namespace.metadata.deletion_timestamp.is_some() {
                // It cannot fail: the receiver lives as long as this function.
                going.send(namespace.metadata.name.unwrap_or_default()).ok();
            }
        });
        let emptying = async {
            while let Some(name) = work.recv().await {
                self.empty(&name).await;
            }
        };
        tokio::join!(watching, emptying);
    }

    /// Deletes the objects in a namespace, then removes its finalizer.
    async fn empty(&self, name: &str) {
        let Some(Some(found)) = retry(|| async { self.namespaces.get_opt(name).await }).await
        else {
            return;
        };
        if found.metadata.deletion_timestamp.is_none() {
            return;
        }
        tracing::info!(namespace = name, "deleting what is in the namespace");
        let parameters = PatchParams::default();
        let terminating = Patch::Merge(json!({"status": {"phase": "Terminating"}}));
        retry(|| async { self.namespaces.patch_status(name, &parameters, &terminating).await })
            .await;
        for kind in &self.contents {
            if self.empty_of(name, kind).await.is_none() {
                tracing::warn!(
                    namespace = name,
                    resource = kind.plural,
                    "the objects in the namespace cannot be listed; it is kept"
                );
                return;
            }
        }
        let finalized =
            Patch::Merge(json!({"metadata": {"finalizers": null}, "spec": {"finalizers": []}}));
        retry(|| async { self.namespaces.patch(name, &parameters, &finalized).await }).await;
    }

    /// Deletes the objects of one kind in a namespace; `None` if they cannot be listed.
    async fn empty_of(&self, name: &str, kind: &ApiResource) -> Option<()> {
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), name, kind);
        let mut parameters = ListParams::default().limit(PAGE_OBJECTS);
        loop {
            let list = retry(|| async { api.list_metadata(&parameters).await }).await?;
            Self::delete_all(&api, list.items).await;
            match list.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters = parameters.continue_token(&token),
                None => return Some(()),
            }
        }
    }

    async fn delete_all(api: &Api<DynamicObject>, items: Vec<PartialObjectMeta<DynamicObject>>) {
        let deletions: FuturesUnordered<_> = items
            .into_iter()
            .filter_map(|object| object.metadata.name)
            .map(|object| async move {
                retry(|| async { api.delete(&object, &DeleteParams::default()).await }).await
            })
            .collect();
        deletions.for_each(|_| async {}).await;
    }
}
