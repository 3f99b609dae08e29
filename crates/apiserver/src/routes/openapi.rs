//! The OpenAPI documents of the served resources: for `kubectl explain`, and for clients that
//! detect support of dry runs and field validation.
//!
//! Version 3 is written first; version 2, which kube-apiserver's aggregator still collects, has the
//! same content in another structure.

mod definitions;
mod operations;
mod protobuf;

use serde_json::{Map, Value, json};

use crate::Resource;
use crate::routes::discovery::group_versions;

pub(crate) use protobuf::{encode_v2, encode_v3};

/// Prefix of references to definitions in version 3, and below in version 2.
const V3_DEFINITIONS: &str = "#/components/schemas/";
const V2_DEFINITIONS: &str = "#/definitions/";

/// The documents of version 3, one for each group and version, by path.
pub(crate) fn v3(resources: &[Resource]) -> impl Iterator<Item = (String, String)> {
    group_versions(resources).into_iter().map(|version| {
        let resources = version.resources.iter().copied();
        let (paths, schemas) = members(resources, operations::add_v3, |schemas| schemas);
        let info = info();
        let page = format!(
            r#"{{"openapi":"3.0.0","info":{info},"paths":{{{paths}}},"components":{{"schemas":{{{schemas}}}}}}}"#
        );
        (format!("/openapi/v3/{}", version.path()), page)
    })
}

/// The index of version 3: paths below `/openapi/v3/` with the hashes of their documents.
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
pub(crate) fn v2(resources: &[Resource]) -> String {
    let (paths, definitions) = members(resources.iter(), operations::add_v2, lowered);
    let info = info();
    format!(
        r#"{{"swagger":"2.0","info":{info},"paths":{{{paths}}},"definitions":{{{definitions}}}}}"#
    )
}

/// Paths and schemas of kinds as the members of two objects. Written kind by kind, because as a
/// tree a document takes many times its length.
fn members<'a>(
    resources: impl Iterator<Item = &'a Resource>,
    add_paths: fn(&mut Map<String, Value>, &Resource),
    framed: fn(Map<String, Value>) -> Map<String, Value>,
) -> (String, String) {
    let (mut paths, mut schemas) = (Members::default(), Members::default());
    schemas.add(framed(definitions::common()));
    for resource in resources {
        let (mut own_paths, mut own_schemas) = (Map::new(), Map::new());
        add_paths(&mut own_paths, resource);
        definitions::add(&mut own_schemas, resource);
        paths.add(own_paths);
        schemas.add(framed(own_schemas));
    }
    (paths.0, schemas.0)
}

/// The members of an object as text, without its brackets.
#[derive(Default)]
struct Members(String);

impl Members {
    fn add(&mut self, members: Map<String, Value>) {
        let text = Value::Object(members).to_string();
        let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
        if let Some(inner) = inner.filter(|inner| !inner.is_empty()) {
            if !self.0.is_empty() {
                self.0.push(',');
            }
            self.0.push_str(inner);
        }
    }
}

fn lowered(mut schemas: Map<String, Value>) -> Map<String, Value> {
    schemas.values_mut().for_each(lower);
    schemas
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
            // Version 2 replaces the whole schema by a reference.
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
