//! Deletes the contents of namespaces that are being deleted, object by object, as in any cluster.
//!
//! Each deletion is a request of `system:serviceaccount:kube-system:namespace-controller`, so that
//! each is audited. When no object is left, it removes the namespace's finalizer.
//!
//! A namespace whose contents cannot be deleted is retried after a growing delay, regardless of the
//! error: a missing permission may be granted, and a conflict or an expired list is transient. Only
//! the error 404 is not retried, because the object is already deleted.

mod retries;
#[cfg(test)]
mod tests;

use apiserver::{Resource, Scope, Verb};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{PartialObjectMeta, Status};
use serde_json::json;
use tokio::sync::mpsc;

use super::client::{follow, kind, retry_transient};
use super::namespaces::{self, FINALIZER};
use retries::Retries;

/// Number of objects in one page of a list.
const PAGE_OBJECTS: u32 = 500;

/// Watches the namespaces and deletes the contents of those that are being deleted.
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
        let (sender, mut terminating) = mpsc::unbounded_channel::<String>();
        let watch = follow(&self.client, &self.kind, |namespace| {
            if namespace.metadata.deletion_timestamp.is_some() {
                // It cannot fail: the receiver lives as long as this function.
                sender.send(namespace.metadata.name.unwrap_or_default()).ok();
            }
        });
        let delete = async {
            let mut retries = Retries::default();
            loop {
                let name = tokio::select! {
                    Some(name) = terminating.recv() => name,
                    name = retries.next() => name,
                };
                match self.finalize(&name).await {
                    Ok(()) => retries.remove(&name),
                    Err(status) => retries.add(name, &status),
                }
            }
        };
        tokio::join!(watch, delete);
    }

    /// Deletes the objects in a namespace, then removes its finalizer. Does nothing if the
    /// namespace is not being deleted, or has only finalizers of other clients.
    async fn finalize(&self, name: &str) -> Result<(), Box<Status>> {
        let namespace = retry_transient(|| async { self.namespaces.get_opt(name).await }).await?;
        let is_due = |namespace: DynamicObject| {
            let finalizers = namespace.metadata.finalizers.unwrap_or_default();
            namespace.metadata.deletion_timestamp.is_some()
                && finalizers.iter().any(|finalizer| finalizer == FINALIZER)
        };
        if !namespace.is_some_and(is_due) {
            return Ok(());
        }
        tracing::info!(namespace = name, "deleting the objects in the namespace");
        let parameters = PatchParams::default();
        let terminating = Patch::Merge(json!({"status": {"phase": "Terminating"}}));
        let patch =
            || async { self.namespaces.patch_status(name, &parameters, &terminating).await };
        ignore_not_found(retry_transient(patch).await)?;
        for kind in &self.contents {
            self.delete_objects(name, kind).await?;
        }
        // Finalizers of other clients remain.
        let finalized = Patch::Strategic(json!({
            "metadata": {"$deleteFromPrimitiveList/finalizers": [FINALIZER]},
            "spec": {"finalizers": []},
        }));
        let patch = || async { self.namespaces.patch(name, &parameters, &finalized).await };
        ignore_not_found(retry_transient(patch).await)
    }

    /// Deletes the objects of one kind in a namespace.
    async fn delete_objects(&self, name: &str, kind: &ApiResource) -> Result<(), Box<Status>> {
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), name, kind);
        let mut parameters = ListParams::default().limit(PAGE_OBJECTS);
        loop {
            let list = retry_transient(|| async { api.list_metadata(&parameters).await }).await?;
            Self::delete_all(&api, list.items).await?;
            match list.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters = parameters.continue_token(&token),
                None => return Ok(()),
            }
        }
    }

    /// Tries to delete every object. Returns one of the errors.
    async fn delete_all(
        api: &Api<DynamicObject>,
        items: Vec<PartialObjectMeta<DynamicObject>>,
    ) -> Result<(), Box<Status>> {
        let deletions: FuturesUnordered<_> = items
            .into_iter()
            .filter_map(|object| object.metadata.name)
            .map(|object| async move {
                let delete = || async { api.delete(&object, &DeleteParams::default()).await };
                ignore_not_found(retry_transient(delete).await)
            })
            .collect();
        let results: Vec<_> = deletions.collect().await;
        results.into_iter().collect()
    }
}

/// Success if the object is deleted.
fn ignore_not_found<T>(result: Result<T, Box<Status>>) -> Result<(), Box<Status>> {
    match result {
        Err(status) if status.code != 404 => Err(status),
        _ => Ok(()),
    }
}
