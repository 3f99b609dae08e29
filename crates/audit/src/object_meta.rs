//! Checks `metadata` of a policy as upstream's decoder does: the types of all fields of
//! `ObjectMeta`, also inside owner references and managed fields.
//!
//! The values have no meaning in a policy, so they are not returned.

use event::Timestamp;

use crate::decode::{check_names, joined, wrong_type};
use crate::yaml::{Node, Value};
use crate::{FieldError, LoadError};

/// The type of a field in Go. Null is valid for each of them.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Integer,
    Boolean,
    /// A text in RFC 3339.
    Time,
    Texts,
    TextMap,
    /// A list of structs.
    List(&'static [(&'static str, Self)]),
    /// A value of any type.
    Any,
}

const METADATA: &[(&str, Kind)] = &[
    ("name", Kind::Text),
    ("generateName", Kind::Text),
    ("namespace", Kind::Text),
    ("selfLink", Kind::Text),
    ("uid", Kind::Text),
    ("resourceVersion", Kind::Text),
    ("generation", Kind::Integer),
    ("creationTimestamp", Kind::Time),
    ("deletionTimestamp", Kind::Time),
    ("deletionGracePeriodSeconds", Kind::Integer),
    ("labels", Kind::TextMap),
    ("annotations", Kind::TextMap),
    ("ownerReferences", Kind::List(OWNER_REFERENCE)),
    ("finalizers", Kind::Texts),
    ("managedFields", Kind::List(MANAGED_FIELDS)),
];
const OWNER_REFERENCE: &[(&str, Kind)] = &[
    ("apiVersion", Kind::Text),
    ("kind", Kind::Text),
    ("name", Kind::Text),
    ("uid", Kind::Text),
    ("controller", Kind::Boolean),
    ("blockOwnerDeletion", Kind::Boolean),
];
const MANAGED_FIELDS: &[(&str, Kind)] = &[
    ("manager", Kind::Text),
    ("operation", Kind::Text),
    ("apiVersion", Kind::Text),
    ("time", Kind::Time),
    ("fieldsType", Kind::Text),
    ("fieldsV1", Kind::Any),
    ("subresource", Kind::Text),
];

/// Checks the metadata, and adds a warning for each unknown and each duplicate field.
pub(crate) fn check(metadata: &Node, warnings: &mut Vec<FieldError>) -> Result<(), LoadError> {
    check_struct(metadata, "metadata", METADATA, warnings)
}

fn check_struct(
    node: &Node,
    path: &str,
    fields: &[(&str, Kind)],
    warnings: &mut Vec<FieldError>,
) -> Result<(), LoadError> {
    let members = match &node.value {
        Value::Null => return Ok(()),
        Value::Map(members) => members,
        _ => return Err(wrong_type(node, path, "a mapping")),
    };
    let kind_of = |name: &str| fields.iter().find(|(known, _)| *known == name).map(|field| field.1);
    check_names(members, path, |name| kind_of(name).is_some(), warnings);
    for (key, node) in members {
        let kind = kind_of(&key.text).unwrap_or(Kind::Any);
        check_value(node, &joined(path, &key.text), kind, warnings)?;
    }
    Ok(())
}

fn check_value(
    node: &Node,
    path: &str,
    kind: Kind,
    warnings: &mut Vec<FieldError>,
) -> Result<(), LoadError> {
    let expected = match (kind, &node.value) {
        (_, Value::Null)
        | (Kind::Text, Value::Text(_))
        | (Kind::Integer, Value::Number { is_int64: true })
        | (Kind::Boolean, Value::Bool(_)) => return Ok(()),
        (Kind::Time, Value::Text(text)) if Timestamp::parse(text).is_ok() => return Ok(()),
        (Kind::Any, _) => {
            check_duplicates(node, path, warnings);
            return Ok(());
        }
        (Kind::Texts, Value::List(items)) => {
            return check_each(items, path, |item, path| {
                check_value(item, path, Kind::Text, warnings)
            });
        }
        (Kind::List(fields), Value::List(items)) => {
            return check_each(items, path, |item, path| {
                check_struct(item, path, fields, warnings)
            });
        }
        (Kind::TextMap, Value::Map(members)) => {
            check_names(members, path, |_| true, warnings);
            return members.iter().try_for_each(|(key, node)| {
                check_value(node, &joined(path, &key.text), Kind::Text, warnings)
            });
        }
        (Kind::Text, _) => "a string",
        (Kind::Integer, _) => "a 64-bit integer",
        (Kind::Boolean, _) => "a boolean",
        (Kind::Time, _) => "a time in RFC 3339",
        (Kind::Texts | Kind::List(_), _) => "a list",
        (Kind::TextMap, _) => "a mapping",
    };
    Err(wrong_type(node, path, expected))
}

fn check_each(
    items: &[Node],
    path: &str,
    mut check: impl FnMut(&Node, &str) -> Result<(), LoadError>,
) -> Result<(), LoadError> {
    items.iter().enumerate().try_for_each(|(index, item)| check(item, &format!("{path}[{index}]")))
}

/// Adds a warning for each duplicate key in a value of any type.
fn check_duplicates(node: &Node, path: &str, warnings: &mut Vec<FieldError>) {
    match &node.value {
        Value::Map(members) => {
            check_names(members, path, |_| true, warnings);
            for (key, node) in members {
                check_duplicates(node, &joined(path, &key.text), warnings);
            }
        }
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                check_duplicates(item, &format!("{path}[{index}]"), warnings);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number { .. } | Value::Text(_) => {}
    }
}
