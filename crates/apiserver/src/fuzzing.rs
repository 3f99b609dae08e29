//! Access to private functions for the fuzz targets. Compiled only with `--cfg fuzzing`.
//!
//! Each function calls the code that requests use, without logic of its own.

use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

use crate::patch::Patch;
use crate::registry::read_body;
use crate::resource::DefaultStrategy;
use crate::selector::fields::FieldSelector;
use crate::{Resource, Scope};

/// Parses the parameters of a query.
pub fn query_pairs(query: Option<&str>) -> Vec<(String, String)> {
    crate::request_info::query_pairs(query)
}

/// Parses a field selector and applies it to an object. Returns whether it matches or is empty.
pub fn field_selector(text: &str) -> bool {
    let object = json!({"metadata": {"name": "x"}, "status": {"state": "Running"}});
    match (FieldSelector::parse(text, &resource()), object.as_object()) {
        (Ok(selector), Some(object)) => selector.matches(object) || selector.is_empty(),
        _ => false,
    }
}

/// Decodes a body by its content type.
pub fn document(content_type: &str, body: &[u8]) -> Option<Value> {
    let kinds = [("fuzz.example.com/v1", "Thing"), ("v1", "Secret"), ("v1", "Event")];
    let headers = headers(content_type)?;
    let read = kinds.map(|(version, kind)| read_body(&headers, body, version, kind).ok());
    read.into_iter().flatten().next().map(|document| document.value)
}

/// Applies a patch to a document.
pub fn patch(content_type: &str, patch: &[u8], document: &Value) -> Option<Value> {
    Patch::read(&headers(content_type)?, patch, true).ok()?.patch.apply(document).ok()
}

fn headers(content_type: &str) -> Option<HeaderMap> {
    let value = HeaderValue::from_str(content_type).ok()?;
    Some(HeaderMap::from_iter([(CONTENT_TYPE, value)]))
}

fn resource() -> Resource {
    Resource {
        group: "fuzz.example.com",
        version: "v1",
        kind: "Thing",
        plural: "things",
        singular: "thing",
        short_names: &[],
        categories: &[],
        scope: Scope::Namespaced,
        verbs: &[],
        columns: &[],
        schema: Value::Null.into(),
        subresources: &[],
        selectable_fields: &["status.state"],
        omit_bodies: false,
        audit_level_min: event::Level::None,
        read_only: None,
        strategy: Arc::new(DefaultStrategy),
    }
}
