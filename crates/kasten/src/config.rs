//! The group `config.kio.kasten.io`: custom resources that configure where events are delivered.
//!
//! In a cluster kube-apiserver serves them with the CRDs of [`definitions`]; a standalone server
//! serves them itself. The crate `controller` reconciles them.

pub mod audit_config;
mod definition;
pub mod profile;

use std::sync::Arc;

use apiserver::resource::DefaultStrategy;
use apiserver::{Column, Resource};
use serde_json::{Map, Value};

use crate::columns::AGE;
use crate::installation::Kind;
use crate::names::{CONFIG, ResourceNames};
use crate::verbs;

pub use definition::definitions;

/// The columns of both kinds.
const COLUMNS: &[Column] = &[
    Column {
        name: "Status",
        kind: "string",
        path: "status.validation",
        priority: 0,
        description: "Whether the configuration is active, and otherwise the reason.",
    },
    AGE,
];

/// The resource of a kind of the group. As in K10, there is no status subresource, and unknown
/// fields are kept.
fn resource(names: ResourceNames, schema: Value) -> Resource {
    let mut schema = schema;
    for property in ["spec", "status"] {
        if let Some(property) = schema["properties"].get_mut(property) {
            preserve_unknown_fields(property);
        }
    }
    let kind = Kind { group: CONFIG, names };
    crate::resource(kind, verbs::ALL, COLUMNS, &[], schema, Arc::new(DefaultStrategy))
}

/// Sets `x-kubernetes-preserve-unknown-fields` on every object in a schema.
fn preserve_unknown_fields(schema: &mut Value) {
    let Value::Object(map) = schema else { return };
    if map.get("type").is_some_and(|kind| kind == "object")
        && !map.contains_key("additionalProperties")
    {
        map.insert("x-kubernetes-preserve-unknown-fields".to_owned(), true.into());
    }
    subschemas(map).for_each(preserve_unknown_fields);
}

/// The schemas nested directly in a schema.
fn subschemas(schema: &mut Map<String, Value>) -> impl Iterator<Item = &mut Value> {
    schema.iter_mut().flat_map(|(keyword, value)| match (keyword.as_str(), value) {
        ("properties", Value::Object(fields)) => fields.values_mut().collect(),
        ("items", value) => vec![value],
        _ => Vec::new(),
    })
}
