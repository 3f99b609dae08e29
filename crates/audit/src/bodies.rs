//! Removes managed fields from request and response bodies, and reads object references from them.
//!
//! The remaining parts are copied byte for byte, never decoded: numbers and the order of keys do
//! not change.

use std::fmt;

use bytes::Bytes;
use event::{Json, ObjectReference};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

const MANAGED_FIELDS: &str = "managedFields";

/// Removes `metadata.managedFields` from the object, from the items of a list and from the objects
/// in the rows of a table. Returns the body unchanged if it is not an object.
pub fn without_managed_fields(body: Json) -> Json {
    if memchr::memmem::find(body.as_bytes(), MANAGED_FIELDS.as_bytes()).is_none() {
        return body;
    }
    let mut out = Vec::with_capacity(body.as_bytes().len());
    match strip_object(body.as_bytes(), true, &mut out) {
        Some(()) => Json::parse(Bytes::from(out)).unwrap_or(body),
        None => body,
    }
}

/// Copies an object without its managed fields; `None` if the value is not an object.
fn strip_object(object: &[u8], may_be_list: bool, out: &mut Vec<u8>) -> Option<()> {
    let members: Members<'_> = serde_json::from_slice(object).ok()?;
    write_members(&members, out, |key, value, out| match key {
        "metadata" => strip_metadata(value, out),
        "items" if may_be_list => {
            strip_each(value, out, |item, out| strip_object(item, false, out))
        }
        "rows" if may_be_list => strip_each(value, out, strip_row),
        _ => None,
    })
}

fn strip_metadata(metadata: &RawValue, out: &mut Vec<u8>) -> Option<()> {
    let mut members: Members<'_> = serde_json::from_str(metadata.get()).ok()?;
    members.0.retain(|(key, _)| key != MANAGED_FIELDS);
    write_members(&members, out, |_, _, _| None)
}

/// Strips the member `object` of a table row; the cells are copied unchanged.
fn strip_row(row: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let members: Members<'_> = serde_json::from_slice(row).ok()?;
    write_members(&members, out, |key, value, out| match key {
        "object" => strip_object(value.get().as_bytes(), false, out),
        _ => None,
    })
}

fn strip_each(
    items: &RawValue,
    out: &mut Vec<u8>,
    strip: impl Fn(&[u8], &mut Vec<u8>) -> Option<()>,
) -> Option<()> {
    let items: Vec<&RawValue> = serde_json::from_str(items.get()).ok()?;
    out.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        copy_unless_changed(item, out, |out| strip(item.get().as_bytes(), out));
    }
    out.push(b']');
    Some(())
}

/// Writes an object with these members. `change` writes the new value of a member, or returns
/// `None` to copy the old value.
fn write_members(
    members: &Members<'_>,
    out: &mut Vec<u8>,
    change: impl Fn(&str, &RawValue, &mut Vec<u8>) -> Option<()>,
) -> Option<()> {
    out.push(b'{');
    for (index, (key, value)) in members.0.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&serde_json::to_vec(key).ok()?);
        out.push(b':');
        copy_unless_changed(value, out, |out| change(key, value, out));
    }
    out.push(b'}');
    Some(())
}

/// Writes the new value of a member, or copies the old one if `change` returns `None`.
fn copy_unless_changed(
    value: &RawValue,
    out: &mut Vec<u8>,
    change: impl FnOnce(&mut Vec<u8>) -> Option<()>,
) {
    let start = out.len();
    if change(out).is_none() {
        out.truncate(start);
        out.extend_from_slice(value.get().as_bytes());
    }
}

/// Fills the empty fields of the reference from `metadata` of the body, as `LogRequestObject` of
/// Kubernetes does.
pub(crate) fn fill_object_ref(reference: &mut ObjectReference, body: &Json) {
    #[derive(serde::Deserialize)]
    struct Object {
        metadata: Option<Metadata>,
    }
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Metadata {
        namespace: Option<String>,
        name: Option<String>,
        uid: Option<String>,
        resource_version: Option<String>,
    }
    let object: Option<Object> = serde_json::from_slice(body.as_bytes()).ok();
    let Some(metadata) = object.and_then(|object| object.metadata) else {
        return;
    };
    let fill = |field: &mut String, value: Option<String>| {
        if field.is_empty() {
            *field = value.unwrap_or_default();
        }
    };
    fill(&mut reference.namespace, metadata.namespace);
    fill(&mut reference.name, metadata.name);
    fill(&mut reference.uid, metadata.uid);
    fill(&mut reference.resource_version, metadata.resource_version);
}

/// The members of a JSON object in their order, with undecoded values.
#[derive(Default)]
pub(crate) struct Members<'a>(pub(crate) Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, &'de RawValue>()? {
                    members.push((key, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}
