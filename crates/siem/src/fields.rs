//! Reading and setting fields of an object by their dotted path.

use serde_json::{Map, Value};

/// The value at a path; `null` counts as absent.
pub(crate) fn value<'a>(object: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let mut segments = path.split('.');
    let first = object.get(segments.next()?)?;
    let found = segments.try_fold(first, |value, segment| value.get(segment))?;
    (!found.is_null()).then_some(found)
}

/// The text at a path; empty when there is none.
pub(crate) fn text<'a>(object: &'a Map<String, Value>, path: &str) -> &'a str {
    value(object, path).and_then(Value::as_str).unwrap_or_default()
}

/// Sets the value at a path and makes the objects on the way.
pub(crate) fn set(object: &mut Map<String, Value>, path: &str, value: impl Into<Value>) {
    match path.split_once('.') {
        None => {
            object.insert(path.to_owned(), value.into());
        }
        Some((head, rest)) => {
            if let Some(below) = below(object, head) {
                set(below, rest, value);
            }
        }
    }
}

/// Takes the value at a path away.
pub(crate) fn remove(object: &mut Map<String, Value>, path: &str) {
    match path.split_once('.') {
        None => {
            object.shift_remove(path);
        }
        Some((head, rest)) => {
            if let Some(Value::Object(below)) = object.get_mut(head) {
                remove(below, rest);
            }
        }
    }
}

/// Makes the value at a path what it was.
pub(crate) fn restore(object: &mut Map<String, Value>, old: &Map<String, Value>, path: &str) {
    match value(old, path) {
        Some(was) => set(object, path, was.clone()),
        None => remove(object, path),
    }
}

/// The object under a key, which it becomes if it is something else.
fn below<'a>(object: &'a mut Map<String, Value>, key: &str) -> Option<&'a mut Map<String, Value>> {
    let value = object.entry(key).or_insert(Value::Null);
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut()
}
