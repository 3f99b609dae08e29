//! Objects as table rows with the columns of their kind, as `kubectl get` prints them.

use apimachinery::duration::human_duration;
use apimachinery::fields::lookup;
use bytes::Bytes;
use event::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::handler::negotiate::{Include, MetaVersion};
use crate::{Column, Resource};

/// The columns of a kind without its own columns.
const DEFAULT_COLUMNS: [Column; 1] = [Column {
    name: "Age",
    kind: "date",
    path: "metadata.creationTimestamp",
    priority: 0,
    description: "CreationTimestamp is a timestamp representing the server time when this object was created.",
}];

/// The definitions of a kind's columns, the name first.
pub(crate) fn column_definitions(resource: &Resource) -> Value {
    let name = json!({
        "name": "Name", "type": "string", "format": "name",
        "description": "Name must be unique within a namespace.", "priority": 0,
    });
    let own = columns(resource).iter().map(|column| {
        json!({
            "name": column.name, "type": column.kind, "format": "",
            "description": column.description, "priority": column.priority,
        })
    });
    Value::Array(std::iter::once(name).chain(own).collect())
}

/// One row, as JSON text.
pub(crate) fn row(
    resource: &Resource,
    body: &Bytes,
    (include, version): (Include, MetaVersion),
    now: Timestamp,
) -> Vec<u8> {
    let object: Value = serde_json::from_slice(body).unwrap_or_default();
    let name = lookup(&object, "metadata.name").cloned().unwrap_or_default();
    let own = columns(resource).iter().map(|column| cell(column, &object, now));
    let cells = Value::Array(std::iter::once(name).chain(own).collect());
    let mut out = format!("{{\"cells\":{cells},\"object\":").into_bytes();
    match include {
        Include::None => out.extend_from_slice(b"null"),
        Include::Metadata => out.extend_from_slice(&partial(body, version)),
        Include::Object => out.extend_from_slice(body),
    }
    out.push(b'}');
    out
}

/// `PartialObjectMetadata` of an object, as JSON text.
pub(crate) fn partial(body: &[u8], version: MetaVersion) -> Vec<u8> {
    #[derive(Deserialize)]
    struct Head<'a> {
        #[serde(borrow)]
        metadata: &'a RawValue,
    }
    let head: Option<Head<'_>> = serde_json::from_slice(body).ok();
    let metadata = head.map_or("{}", |head| head.metadata.get());
    let version = version.api_version();
    let start = format!(r#"{{"kind":"PartialObjectMetadata","apiVersion":"{version}","metadata":"#);
    [start.as_bytes(), metadata.as_bytes(), b"}"].concat()
}

fn columns(resource: &Resource) -> &[Column] {
    if resource.columns.is_empty() { &DEFAULT_COLUMNS } else { resource.columns }
}

fn cell(column: &Column, object: &Value, now: Timestamp) -> Value {
    let value = lookup(object, column.path).unwrap_or(&Value::Null);
    match (column.kind, value) {
        (_, Value::Null) => Value::Null,
        ("date", value) => {
            let time = value.as_str().and_then(|text| Timestamp::parse(text).ok());
            let seconds = time.map(|time| (now.as_micros() - time.as_micros()) / 1_000_000);
            seconds.map_or_else(|| "<invalid>".into(), |seconds| human_duration(seconds).into())
        }
        ("string", Value::String(_)) => value.clone(),
        ("string", value) => value.to_string().into(),
        ("integer" | "number", value) if value.is_number() => value.clone(),
        // The number of members, as for the keys of a Secret.
        ("integer", Value::Object(map)) => map.len().into(),
        ("boolean", value) if value.is_boolean() => value.clone(),
        _ => Value::Null,
    }
}
