//! What is served, as OpenAPI describes it: for `kubectl explain`, and for clients that look there
//! whether dry runs and field validation are offered.
//!
//! Version 3 is written first; version 2, which kube-apiserver's aggregator still collects, is the
//! same with other frames.

mod definitions;
mod operations;

use serde_json::{Map, Value, json};

use crate::Resource;
use crate::discovery::group_versions;

/// Where definitions are in version 3 and in version 2.
const V3_DEFINITIONS: &str = "#/components/schemas/";
const V2_DEFINITIONS: &str = "#/definitions/";

/// The documents of version 3, one for each group and version, by path.
pub(crate) fn v3(resources: &[Resource]) -> Vec<(String, Value)> {
    let versions = group_versions(resources);
    versions
        .iter()
        .map(|version| {
            let mut paths = Map::new();
            let mut schemas = definitions::common();
            for resource in &version.resources {
                operations::add_v3(&mut paths, resource);
                definitions::add(&mut schemas, resource);
            }
            let page = json!({
                "openapi": "3.0.0", "info": info(), "paths": paths,
                "components": {"schemas": schemas},
            });
            (format!("/openapi/v3/{}", version.path()), page)
        })
        .collect()
}

/// The index of version 3: paths below `/openapi/v3/` with the hashes of what is there.
pub(crate) fn v3_index(hashes: &[(&str, &str)]) -> Value {
    let paths: Map<String, Value> = hashes
        .iter()
        .map(|(path, hash)| {
            let url = format!("/openapi/v3/{path}?hash={hash}");
            ((*path).to_owned(), json!({"serverRelativeURL": url}))
        })
        .collect();
    json!({"paths": paths})
}

/// The one document of version 2.
pub(crate) fn v2(resources: &[Resource]) -> Value {
    let mut paths = Map::new();
    let mut schemas = definitions::common();
    for resource in resources {
        operations::add_v2(&mut paths, resource);
        definitions::add(&mut schemas, resource);
    }
    let mut definitions = Value::Object(schemas);
    lower(&mut definitions);
    json!({"swagger": "2.0", "info": info(), "paths": paths, "definitions": definitions})
}

fn info() -> Value {
    json!({"title": "Keepwatch", "version": env!("CARGO_PKG_VERSION")})
}

/// Turns schemas of version 3 into those of version 2.
fn lower(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get_mut("$ref") {
                *reference = reference.replace(V3_DEFINITIONS, V2_DEFINITIONS);
            }
            // Version 2 puts a reference in the place of the whole schema.
            if let Some(Value::Array(all)) = map.get("allOf")
                && let [only] = all.as_slice()
                && only.get("$ref").is_some()
            {
                let only = only.clone();
                map.shift_remove("allOf");
                map.extend(only.as_object().cloned().unwrap_or_default());
                return lower(schema);
            }
            map.shift_remove("nullable");
            map.values_mut().for_each(lower);
        }
        Value::Array(items) => items.iter_mut().for_each(lower),
        _ => {}
    }
}
