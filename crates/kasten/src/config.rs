//! The group `config.kio.kasten.io`: where events go, as custom resources.
//!
//! In a cluster kube-apiserver serves them by the definitions that [`definitions`] prints; a
//! standalone server serves them itself. What they mean is carried out by the crate `controller`.

pub mod audit_config;
mod definition;
pub mod profile;

use std::sync::Arc;

use apiserver::resource::Plain;
use apiserver::{Column, Resource};
use serde_json::{Map, Value};

use crate::columns::{AGE, CHANGEABLE};
use crate::domain::{CONFIG, Names};
use crate::installation::Kind;

pub use definition::definitions;

/// The kinds, ready to be served.
pub fn resources() -> Vec<Resource> {
    vec![audit_config::resource(), profile::resource()]
}

/// What `kubectl get` shows of both.
const COLUMNS: &[Column] = &[
    Column {
        name: "Status",
        kind: "string",
        path: "status.validation",
        priority: 0,
        description: "Whether it is in use, and if not, what it waits for.",
    },
    AGE,
];

/// A kind of the group. As K10 has it, there is no subresource: status is written with plain
/// updates; and fields that are not known are kept.
fn resource(names: Names, schema: Value) -> Resource {
    let mut schema = schema;
    for part in ["spec", "status"] {
        if let Some(part) = schema["properties"].get_mut(part) {
            keep_unknown(part);
        }
    }
    let kind = Kind { group: CONFIG, names };
    crate::resource(kind, CHANGEABLE, COLUMNS, &[], schema, Arc::new(Plain))
}

/// Opens every object in a schema for fields that it does not name.
fn keep_unknown(schema: &mut Value) {
    let Value::Object(map) = schema else { return };
    if map.get("type").is_some_and(|kind| kind == "object")
        && !map.contains_key("additionalProperties")
    {
        map.insert("x-kubernetes-preserve-unknown-fields".to_owned(), true.into());
    }
    below(map).for_each(keep_unknown);
}

/// The schemas inside a schema.
fn below(schema: &mut Map<String, Value>) -> impl Iterator<Item = &mut Value> {
    schema.iter_mut().flat_map(|(word, value)| match (word.as_str(), value) {
        ("properties", Value::Object(fields)) => fields.values_mut().collect(),
        ("items", value) => vec![value],
        _ => Vec::new(),
    })
}
