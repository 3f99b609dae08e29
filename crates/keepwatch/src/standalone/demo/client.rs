//! A user of the demo, who sends requests one at a time.

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use kasten::names::ResourceNames;
use kube::api::{
    Api, DeleteParams, DynamicObject, ListParams, PostParams, WatchEvent, WatchParams,
};
use serde_json::{Value, json};

use crate::standalone::client::{api, kind, kind_of, retry, text};
use crate::standalone::namespaces;

/// Time between two polls; each poll is an audit event.
const POLL_PERIOD: Duration = Duration::from_millis(50);
/// Maximum waiting time.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A user with a client certificate.
pub(super) struct DemoUser(pub(super) kube::Client);

impl DemoUser {
    /// Creates an object. The server completes a name that ends in `-`.
    pub(super) async fn create(
        &self,
        kind: ResourceNames,
        namespace: &str,
        name: &str,
        labels: &Value,
        spec: &Value,
    ) -> Option<DynamicObject> {
        let mut object = DynamicObject::new(name, &kind_of(kind));
        if name.ends_with('-') {
            object.metadata.generate_name = object.metadata.name.take();
        }
        if !namespace.is_empty() {
            object.metadata.namespace = Some(namespace.to_owned());
        }
        object.metadata.labels = serde_json::from_value(labels.clone()).ok();
        object.data = json!({"spec": spec});
        let api = api(&self.0, kind, namespace);
        retry(|| async { api.create(&PostParams::default(), &object).await }).await
    }

    /// Reads one object.
    pub(super) async fn get(&self, kind: ResourceNames, namespace: &str, name: &str) -> bool {
        let api = api(&self.0, kind, namespace);
        retry(|| async { api.get(name).await }).await.is_some()
    }

    /// Lists objects, in a namespace or, if it is empty, in all.
    pub(super) async fn list(&self, kind: ResourceNames, namespace: &str) -> Vec<DynamicObject> {
        let api: Api<DynamicObject> = if namespace.is_empty() {
            Api::all_with(self.0.clone(), &kind_of(kind))
        } else {
            api(&self.0, kind, namespace)
        };
        retry(|| async { api.list(&ListParams::default()).await })
            .await
            .map_or_else(Vec::new, |list| list.items)
    }

    /// Deletes one object. Returns whether it was allowed.
    pub(super) async fn delete(&self, kind: ResourceNames, namespace: &str, name: &str) -> bool {
        let api = api(&self.0, kind, namespace);
        retry(|| async { api.delete(name, &DeleteParams::default()).await }).await.is_some()
    }

    /// Deletes a namespace and waits until it is gone. Returns whether it was allowed.
    pub(super) async fn delete_namespace(&self, name: &str) -> bool {
        let kind = kind(&namespaces::resource());
        let api: Api<DynamicObject> = Api::all_with(self.0.clone(), &kind);
        if retry(|| async { api.delete(name, &DeleteParams::default()).await }).await.is_none() {
            return false;
        }
        let deleted = async {
            while retry(|| async { api.get_opt(name).await }).await.flatten().is_some() {
                tokio::time::sleep(POLL_PERIOD).await;
            }
        };
        tokio::time::timeout(TIMEOUT, deleted).await.is_ok()
    }

    /// Waits until an action is in this state, or has finished otherwise.
    pub(super) async fn wait_for_state(
        &self,
        kind: ResourceNames,
        action: &DynamicObject,
        state: &str,
    ) -> Option<DynamicObject> {
        let namespace = action.metadata.namespace.as_deref().unwrap_or_default();
        let api = api(&self.0, kind, namespace);
        tokio::time::timeout(TIMEOUT, watch_until(&api, action, state)).await.ok().flatten()
    }
}

/// Watches an action from its known version, so that no state of it is missed; a watcher would list
/// the newest one first. A watch that ends is restarted.
async fn watch_until(
    api: &Api<DynamicObject>,
    action: &DynamicObject,
    state: &str,
) -> Option<DynamicObject> {
    let by_name = WatchParams::default().fields(&format!("metadata.name={}", name_of(action)));
    let mut version = action.metadata.resource_version.clone().unwrap_or_default();
    loop {
        let mut changes = retry(|| async { api.watch(&by_name, &version).await }).await?.boxed();
        while let Ok(Some(change)) = changes.try_next().await {
            let (WatchEvent::Added(action) | WatchEvent::Modified(action)) = change else {
                return None;
            };
            match text(&action, &["status", "state"]) {
                actual if actual == state => return Some(action),
                "Complete" | "Failed" | "Cancelled" | "Skipped" => return None,
                _ => version = action.metadata.resource_version.unwrap_or_default(),
            }
        }
        tokio::time::sleep(POLL_PERIOD).await;
    }
}

/// The name of an object.
pub(super) fn name_of(object: &DynamicObject) -> &str {
    object.metadata.name.as_deref().unwrap_or_default()
}
