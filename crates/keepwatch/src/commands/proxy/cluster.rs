//! The objects that an installation reads and writes, as JSON.

use anyhow::{Context as _, Result};
use kube::Client;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams,
};
use kube::core::GroupVersionKind;
use proxy::registration::is_installed_object;
use serde_json::Value;

/// The field manager of all writes.
const FIELD_MANAGER: &str = "keepwatch";

/// A kind of object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    group: &'static str,
    version: &'static str,
    name: &'static str,
}

pub(super) const API_SERVICE: Kind =
    Kind { group: "apiregistration.k8s.io", version: "v1", name: "APIService" };
pub(super) const SERVICE: Kind = Kind { group: "", version: "v1", name: "Service" };
pub(super) const NETWORK_POLICY: Kind =
    Kind { group: "networking.k8s.io", version: "v1", name: "NetworkPolicy" };
pub(super) const CLUSTER_ROLE: Kind =
    Kind { group: "rbac.authorization.k8s.io", version: "v1", name: "ClusterRole" };
pub(super) const CLUSTER_ROLE_BINDING: Kind =
    Kind { group: "rbac.authorization.k8s.io", version: "v1", name: "ClusterRoleBinding" };

/// The objects of one kind, in a namespace if the kind is namespaced.
pub(super) struct Objects {
    api: Api<DynamicObject>,
    kind: Kind,
}

impl Objects {
    pub(super) fn new(client: &Client, kind: Kind, namespace: Option<&str>) -> Self {
        let Kind { group, version, name } = kind;
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, name));
        let api = match namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        };
        Self { api, kind }
    }

    /// An object; an error if there is none.
    pub(super) async fn get(&self, name: &str) -> Result<Value> {
        let object = self.api.get(name).await.with_context(|| self.failure("read", name))?;
        Ok(serde_json::to_value(object)?)
    }

    pub(super) async fn list(&self) -> Result<Vec<Value>> {
        let list = self.api.list(&ListParams::default()).await;
        let list = list.with_context(|| self.failure("list", "all"))?;
        list.items.into_iter().map(|object| Ok(serde_json::to_value(object)?)).collect()
    }

    /// Creates an object, or changes it.
    pub(super) async fn apply(&self, object: &Value) -> Result<()> {
        let name = name_of(object);
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let applied = self.api.patch(name, &parameters, &Patch::Apply(object)).await;
        applied.with_context(|| self.failure("write", name)).map(drop)
    }

    /// Replaces an object that was read as `before`. Fails if it has changed.
    pub(super) async fn replace(&self, before: &Value, mut object: Value) -> Result<()> {
        let name = name_of(before);
        if let (Some(metadata), Some(version)) = (
            object.get_mut("metadata").and_then(Value::as_object_mut),
            before.pointer("/metadata/resourceVersion"),
        ) {
            metadata.insert("resourceVersion".to_owned(), version.clone());
        }
        let object: DynamicObject = serde_json::from_value(object)?;
        let parameters =
            PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let replaced = self.api.replace(name, &parameters, &object).await;
        replaced.with_context(|| self.failure("write", name)).map(drop)
    }

    /// Deletes an object if the installation created it.
    pub(super) async fn delete_installed(&self, name: &str) -> Result<()> {
        let object = self.api.get_opt(name).await.with_context(|| self.failure("read", name))?;
        let Some(object) = object else { return Ok(()) };
        if !is_installed_object(&serde_json::to_value(object)?) {
            return Ok(());
        }
        let deleted = self.api.delete(name, &DeleteParams::default()).await;
        deleted.with_context(|| self.failure("delete", name)).map(drop)
    }

    fn failure(&self, act: &str, name: &str) -> String {
        format!("cannot {act} {} {name}", self.kind.name)
    }
}

fn name_of(object: &Value) -> &str {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}
