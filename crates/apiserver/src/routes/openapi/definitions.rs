//! Schemas by name: of the kinds, of their lists, and of shared types.

use serde_json::{Map, Value, json};

use super::V3_DEFINITIONS;
use crate::Resource;

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

/// The name of a kind's schema: the group with reversed domain parts, version, kind.
pub(super) fn name(resource: &Resource) -> String {
    let group = if resource.group.is_empty() {
        "io.k8s.api.core".to_owned()
    } else {
        resource.group.rsplit('.').collect::<Vec<_>>().join(".")
    };
    format!("{group}.{}.{}", resource.version, resource.kind)
}

/// A reference to a named schema.
pub(super) fn reference(name: &str) -> Value {
    json!({"$ref": format!("{V3_DEFINITIONS}{name}")})
}

/// Adds the schemas of a kind and of its list.
pub(super) fn add(schemas: &mut Map<String, Value>, resource: &Resource) {
    let name = name(resource);
    let mut schema = match resource.schema.tree() {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    schema.insert("type".to_owned(), "object".into());
    let mut properties = type_properties();
    properties.insert("metadata".to_owned(), described("ObjectMeta", "Standard object metadata."));
    if let Some(Value::Object(own)) = schema.shift_remove("properties") {
        for (key, value) in own {
            properties.entry(key).or_insert(value);
        }
    }
    schema.insert("properties".to_owned(), Value::Object(properties));
    schema.insert(GVK.to_owned(), json!([gvk(resource, "")]));
    schemas.insert(name.clone(), Value::Object(schema));
    schemas.insert(format!("{name}List"), list(resource, &name));
}

pub(super) const GVK: &str = "x-kubernetes-group-version-kind";

/// Group, version and kind; `suffix` is appended to the kind.
pub(super) fn gvk(resource: &Resource, suffix: &str) -> Value {
    json!({
        "group": resource.group, "version": resource.version,
        "kind": format!("{}{suffix}", resource.kind),
    })
}

fn list(resource: &Resource, name: &str) -> Value {
    let mut properties = type_properties();
    properties.insert(
        "items".to_owned(),
        json!({
            "description": format!("List of {}.", resource.plural),
            "type": "array", "items": {"allOf": [reference(name)]},
        }),
    );
    properties.insert("metadata".to_owned(), described("ListMeta", "Standard list metadata."));
    json!({
        "description": format!("{}List is a list of {}.", resource.kind, resource.kind),
        "type": "object", "required": ["items"], "properties": properties,
        GVK: [gvk(resource, "List")],
    })
}

fn type_properties() -> Map<String, Value> {
    let mut properties = Map::new();
    properties.insert(
        "apiVersion".to_owned(),
        json!({
            "type": "string",
            "description": "APIVersion defines the versioned schema of this representation of an object. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources",
        }),
    );
    properties.insert(
        "kind".to_owned(),
        json!({
            "type": "string",
            "description": "Kind is a string value representing the REST resource this object represents. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds",
        }),
    );
    properties
}

fn described(meta: &str, description: &str) -> Value {
    json!({"description": description, "allOf": [reference(&format!("{META}.{meta}"))]})
}

/// The schemas that all kinds share.
pub(super) fn common() -> Map<String, Value> {
    let schemas = [
        ("ObjectMeta", object_meta()),
        ("OwnerReference", owner_reference()),
        ("ListMeta", list_meta()),
        ("Status", status()),
        ("Patch", json!({"description": "Patch is a change of an object.", "type": "object"})),
    ];
    schemas.into_iter().map(|(name, schema)| (format!("{META}.{name}"), schema)).collect()
}

/// The name of the schema of a shared type, such as `Status` or `Patch`.
pub(super) fn meta(name: &str) -> String {
    format!("{META}.{name}")
}

fn text(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

fn time(description: &str) -> Value {
    json!({"type": "string", "format": "date-time", "description": description})
}

fn number(description: &str) -> Value {
    json!({"type": "integer", "format": "int64", "description": description})
}

fn texts(description: &str) -> Value {
    json!({
        "type": "object", "additionalProperties": {"type": "string"}, "description": description,
    })
}

fn object_meta() -> Value {
    json!({
        "description": "ObjectMeta is metadata that all persisted resources must have, which includes all objects users must create.",
        "type": "object",
        "properties": {
            "annotations": texts("Annotations is an unstructured key value map stored with a resource that may be set by external tools."),
            "creationTimestamp": time("CreationTimestamp is a timestamp representing the server time when this object was created. Read-only."),
            "deletionGracePeriodSeconds": number("Number of seconds allowed for this object to gracefully terminate. Read-only."),
            "deletionTimestamp": time("DeletionTimestamp is the time at which this resource will be deleted. Read-only."),
            "finalizers": {
                "type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set",
                "x-kubernetes-patch-strategy": "merge",
                "description": "Must be empty before the object is deleted from the registry.",
            },
            "generateName": text("GenerateName is an optional prefix, used by the server, to generate a unique name if the Name field has not been provided."),
            "generation": number("A sequence number representing a specific generation of the desired state. Read-only."),
            "labels": texts("Map of string keys and values that can be used to organize and categorize objects."),
            "managedFields": {
                "type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "atomic",
                "description": "Which manager set which fields.",
            },
            "name": text("Name must be unique within a namespace. Cannot be updated."),
            "namespace": text("Namespace defines the space within which each name must be unique. Cannot be updated."),
            "ownerReferences": {
                "type": "array", "items": {"allOf": [reference(&meta("OwnerReference"))]},
                "x-kubernetes-list-map-keys": ["uid"], "x-kubernetes-list-type": "map",
                "x-kubernetes-patch-merge-key": "uid", "x-kubernetes-patch-strategy": "merge",
                "description": "List of objects depended by this object.",
            },
            "resourceVersion": text("An opaque value that represents the internal version of this object. Read-only."),
            "selfLink": text("No longer populated."),
            "uid": text("UID is the unique in time and space value for this object. Read-only."),
        },
    })
}

fn owner_reference() -> Value {
    json!({
        "description": "OwnerReference identifies an owning object.",
        "type": "object",
        "required": ["apiVersion", "kind", "name", "uid"],
        "properties": {
            "apiVersion": text("API version of the referent."),
            "blockOwnerDeletion": {
                "type": "boolean",
                "description": "If true, and the owner has the foregroundDeletion finalizer, the owner cannot be deleted until this reference is removed.",
            },
            "controller": {
                "type": "boolean",
                "description": "If true, this reference points to the managing controller.",
            },
            "kind": text("Kind of the referent."),
            "name": text("Name of the referent."),
            "uid": text("UID of the referent."),
        },
        "x-kubernetes-map-type": "atomic",
    })
}

fn list_meta() -> Value {
    json!({
        "description": "ListMeta describes metadata that synthetic resources must have.",
        "type": "object",
        "properties": {
            "continue": text("Set if the user set a limit on the number of items returned, and there are more."),
            "remainingItemCount": number("The number of subsequent items in the list which are not included in this response."),
            "resourceVersion": text("The server's internal version of this list."),
            "selfLink": text("No longer populated."),
        },
    })
}

fn status() -> Value {
    json!({
        "description": "Status is a return value for calls that don't return other objects.",
        "type": "object",
        "properties": {
            "apiVersion": text("APIVersion of this object."),
            "code": {"type": "integer", "format": "int32", "description": "HTTP return code."},
            "details": {"type": "object", "description": "Extended data of the reason."},
            "kind": text("Kind of this object."),
            "message": text("A human-readable description of the status of this operation."),
            "metadata": {"allOf": [reference(&meta("ListMeta"))]},
            "reason": text("A machine-readable description of why this operation is in the \"Failure\" status."),
            "status": text("Status of the operation. One of: \"Success\" or \"Failure\"."),
        },
        GVK: [{"group": "", "version": "v1", "kind": "Status"}],
    })
}
