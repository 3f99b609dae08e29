//! Core `namespaces` of a standalone server.
//!
//! A deleted namespace stays, terminating, until the namespace controller has emptied it and
//! removes the finalizer `kubernetes`; no other client can. In Kubernetes this finalizer is only in
//! `spec`; here it is also in `metadata`, after those of clients. K10's applications follow the
//! namespaces in the same transaction.

use std::sync::Arc;

use apimachinery::{ApiError, FieldError};
use apiserver::{
    Column, NamespaceSource, NamespaceState, Objects, Resource, ResourceId, Scope, Strategy,
    Subresource, Verb, WriteContext,
};
use async_trait::async_trait;
use kasten::apps::applications;
use kube::ResourceExt as _;
use kube::api::{Api, DynamicObject, ListParams, PostParams};
use serde_json::{Map, Value, json};
use store::{Sqlite, Storage as _};

use super::{INSTALLATION, NAMESPACE_CONTROLLER, client};

/// Namespaces of a new server. [`LAST`] is created last: if it exists, all were created.
const INITIAL: [&str; 6] = ["shop", "blog", "crm", "kasten-io", "kube-system", LAST];
const LAST: &str = "default";

/// Namespaces that cannot be deleted, as in any cluster.
const UNDELETABLE: [&str; 3] = ["default", "kube-system", "kube-public"];

/// The finalizer that keeps a namespace until it is empty.
pub(crate) const FINALIZER: &str = "kubernetes";

const NAMESPACES: ResourceId = ResourceId { group: "", plural: "namespaces" };

const COLUMNS: &[Column] = &[
    Column {
        name: "Status",
        kind: "string",
        path: "status.phase",
        priority: 0,
        description: "Active, or Terminating while it is being deleted.",
    },
    Column {
        name: "Age",
        kind: "date",
        path: "metadata.creationTimestamp",
        priority: 0,
        description: "Time since it was created.",
    },
];

/// The resource that serves the kind.
pub(crate) fn resource() -> Resource {
    Resource {
        group: "",
        version: "v1",
        kind: "Namespace",
        plural: "namespaces",
        singular: "namespace",
        short_names: &["ns"],
        categories: &[],
        scope: Scope::Cluster,
        verbs: &[
            Verb::Create,
            Verb::Delete,
            Verb::Get,
            Verb::List,
            Verb::Patch,
            Verb::Update,
            Verb::Watch,
        ],
        columns: COLUMNS,
        schema: schema().into(),
        subresources: &[Subresource::Status],
        selectable_fields: &["status.phase"],
        omit_bodies: false,
        audit_level_min: event::Level::None,
        read_only: None,
        strategy: Arc::new(Namespaces),
    }
}

fn schema() -> Value {
    json!({
        "type": "object",
        "description": "Namespace provides a scope for names.",
        "properties": {
            "apiVersion": {"type": "string", "description": "Version of the schema."},
            "kind": {"type": "string", "description": "Kind of the object."},
            "metadata": {"type": "object", "description": "Standard metadata."},
            "spec": {
                "type": "object",
                "description": "Settings of the namespace.",
                "properties": {
                    "finalizers": {
                        "type": "array",
                        "description": "What must be done before the namespace can be removed.",
                        "items": {"type": "string"},
                    },
                },
            },
            "status": {
                "type": "object",
                "description": "State of the namespace.",
                "properties": {
                    "phase": {"type": "string", "description": "Active or Terminating."},
                },
            },
        },
    })
}

struct Namespaces;

impl Strategy for Namespaces {
    fn updates_unconditionally(&self) -> bool {
        true
    }

    fn prepare_create(&self, namespace: &mut Map<String, Value>, _ctx: &WriteContext) {
        let name = text(namespace, "name").to_owned();
        if let Some(metadata) = namespace.get_mut("metadata").and_then(Value::as_object_mut) {
            set_own_finalizer(metadata, true);
            let labels = metadata.entry("labels").or_insert_with(|| json!({}));
            if let Some(labels) = labels.as_object_mut() {
                labels.insert("kubernetes.io/metadata.name".to_owned(), name.into());
            }
        }
        namespace.insert("spec".to_owned(), json!({"finalizers": [FINALIZER]}));
        namespace.insert("status".to_owned(), json!({"phase": "Active"}));
    }

    fn prepare_update(
        &self,
        namespace: &mut Map<String, Value>,
        old: &Map<String, Value>,
        ctx: &WriteContext,
    ) {
        if ctx.user.username == NAMESPACE_CONTROLLER.common_name {
            return;
        }
        let finalizers = old.get("metadata").and_then(|metadata| metadata.get("finalizers"));
        let finalizers = finalizers.and_then(Value::as_array);
        let is_present = finalizers.is_some_and(|list| list.iter().any(is_own));
        if let Some(metadata) = namespace.get_mut("metadata").and_then(Value::as_object_mut) {
            set_own_finalizer(metadata, is_present);
        }
        for field in ["spec", "status"] {
            if let Some(value) = old.get(field) {
                namespace.insert(field.to_owned(), value.clone());
            }
        }
    }

    fn validate(
        &self,
        namespace: &Map<String, Value>,
        _old: Option<&Map<String, Value>>,
        _ctx: &WriteContext,
    ) -> Vec<FieldError> {
        let name = text(namespace, "name");
        if name.len() <= 63 && !name.contains('.') {
            return Vec::new();
        }
        let detail = "a lowercase RFC 1123 label must consist of lower case alphanumeric \
                      characters or '-', and be no more than 63 characters";
        vec![FieldError::invalid("metadata.name", &json!(name), detail)]
    }

    fn on_create(
        &self,
        namespace: &mut Map<String, Value>,
        objects: &mut Objects<'_>,
        _ctx: &WriteContext,
    ) -> Result<(), ApiError> {
        let mut names = names(objects);
        names.push(text(namespace, "name").to_owned());
        applications::reconcile(&INSTALLATION, &names, objects)
    }

    fn admit_delete(&self, name: &str, _ctx: &WriteContext) -> Result<(), ApiError> {
        if !UNDELETABLE.contains(&name) {
            return Ok(());
        }
        Err(ApiError::forbidden("", "namespaces", name, "this namespace may not be deleted"))
    }

    fn on_delete(
        &self,
        namespace: &Map<String, Value>,
        objects: &mut Objects<'_>,
        _ctx: &WriteContext,
    ) -> Result<(), ApiError> {
        let mut names = names(objects);
        names.retain(|name| name != text(namespace, "name"));
        applications::reconcile(&INSTALLATION, &names, objects)
    }
}

fn is_own(finalizer: &Value) -> bool {
    finalizer.as_str() == Some(FINALIZER)
}

/// Adds or removes [`FINALIZER`], and keeps those of clients.
fn set_own_finalizer(metadata: &mut Map<String, Value>, is_present: bool) {
    let mut finalizers = match metadata.remove("finalizers") {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    };
    finalizers.retain(|finalizer| !is_own(finalizer));
    if is_present {
        finalizers.push(FINALIZER.into());
    }
    if !finalizers.is_empty() {
        metadata.insert("finalizers".to_owned(), finalizers.into());
    }
}

fn names(objects: &Objects<'_>) -> Vec<String> {
    let all = objects.list(NAMESPACES, None);
    all.iter().map(|namespace| text(namespace, "name").to_owned()).collect()
}

fn text<'o>(object: &'o Map<String, Value>, key: &str) -> &'o str {
    let value = object.get("metadata").and_then(|metadata| metadata.get(key));
    value.and_then(Value::as_str).unwrap_or_default()
}

/// Creates the namespaces of a new server. Later starts do not change them.
pub(crate) async fn create_initial(client: &kube::Client) {
    let namespaces: Api<DynamicObject> = Api::all_with(client.clone(), &client::kind(&resource()));
    let last = client::retry(|| async { namespaces.get_opt(LAST).await }).await;
    if last.flatten().is_none() {
        create(client, &INITIAL).await;
    }
}

/// Creates namespaces, as an ordinary client. Existing ones do not change.
pub(crate) async fn create(client: &kube::Client, names: &[&str]) {
    let kind = client::kind(&resource());
    let namespaces: Api<DynamicObject> = Api::all_with(client.clone(), &kind);
    let existing = client::retry(|| async { namespaces.list(&ListParams::default()).await }).await;
    let existing: Vec<String> =
        existing.into_iter().flatten().map(|namespace| namespace.name_any()).collect();
    for name in names.iter().filter(|name| !existing.iter().any(|existing| existing == *name)) {
        let namespace = DynamicObject::new(name, &kind);
        client::retry(|| async { namespaces.create(&PostParams::default(), &namespace).await })
            .await;
    }
}

/// Finds namespaces in this server's own store.
pub(crate) struct StoredNamespaces(pub(crate) Sqlite);

#[async_trait]
impl NamespaceSource for StoredNamespaces {
    async fn state(&self, namespace: &str) -> Result<NamespaceState, ApiError> {
        let object = self.0.get(&format!("core/namespaces/{namespace}")).await;
        let object = object.map_err(|error| ApiError::unavailable(error.to_string(), 5))?;
        let Some(object) = object else {
            return Ok(NamespaceState::Missing);
        };
        let object: Map<String, Value> = serde_json::from_slice(&object.body)
            .map_err(|_| ApiError::internal("a namespace is damaged in the store"))?;
        let is_deleted = !text(&object, "deletionTimestamp").is_empty();
        Ok(if is_deleted { NamespaceState::Terminating } else { NamespaceState::Active })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(finalizers: Value, is_present: bool, expected: &Value) {
        let mut metadata = Map::from_iter([("finalizers".to_owned(), finalizers)]);
        set_own_finalizer(&mut metadata, is_present);
        assert_eq!(metadata.get("finalizers").unwrap_or(&Value::Null), expected);
    }

    #[test]
    fn finalizers_of_clients_were_dropped() {
        check(json!(["a.io/b"]), true, &json!(["a.io/b", "kubernetes"]));
        check(json!(["kubernetes", "a.io/b"]), true, &json!(["a.io/b", "kubernetes"]));
        check(Value::Null, true, &json!(["kubernetes"]));
        check(json!(["kubernetes", "a.io/b"]), false, &json!(["a.io/b"]));
        check(json!(["kubernetes"]), false, &Value::Null);
    }
}
