//! Reading and setting fields of an object by their dotted path, as error messages name them.
//!
//! Paths name object members only; list items and label keys (which contain dots) have their own
//! functions.

use serde_json::{Map, Value};

type Object = Map<String, Value>;

/// The value at a path; `null` counts as absent.
pub fn value<'a>(object: &'a Object, path: &str) -> Option<&'a Value> {
    let mut segments = path.split('.');
    let first = object.get(segments.next()?)?;
    let found = segments.try_fold(first, |value, segment| value.get(segment))?;
    (!found.is_null()).then_some(found)
}

/// The text at a path; empty when there is none.
pub fn text<'a>(object: &'a Object, path: &str) -> &'a str {
    value(object, path).and_then(Value::as_str).unwrap_or_default()
}

/// The items of the list at a path.
pub fn items<'a>(object: &'a Object, path: &str) -> &'a [Value] {
    value(object, path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Puts a value at a path, making the objects on the way.
pub fn set(object: &mut Object, path: &str, value: impl Into<Value>) {
    match path.split_once('.') {
        None => {
            object.insert(path.to_owned(), value.into());
        }
        Some((first, rest)) => {
            if let Some(inner) = member(object, first) {
                set(inner, rest, value);
            }
        }
    }
}

/// Takes the value at a path away.
pub fn remove(object: &mut Object, path: &str) {
    match path.split_once('.') {
        None => {
            object.shift_remove(path);
        }
        Some((first, rest)) => {
            if let Some(Value::Object(inner)) = object.get_mut(first) {
                remove(inner, rest);
            }
        }
    }
}

/// Makes the values at these paths what they were.
pub fn restore(object: &mut Object, old: &Object, paths: &[&str]) {
    for path in paths {
        match value(old, path) {
            Some(was) => set(object, path, was.clone()),
            None => remove(object, path),
        }
    }
}

/// `metadata.name`.
pub fn name(object: &Object) -> &str {
    text(object, "metadata.name")
}

/// `metadata.namespace`; empty for cluster scope.
pub fn namespace(object: &Object) -> &str {
    text(object, "metadata.namespace")
}

/// The value of a label; empty when there is none.
pub fn label<'a>(object: &'a Object, key: &str) -> &'a str {
    value(object, "metadata.labels")
        .and_then(|labels| labels.get(key))
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Sets a label that is not there yet. Nothing is done for an empty value.
pub fn fill_label(object: &mut Object, key: &str, value: &str) {
    if value.is_empty() || !label(object, key).is_empty() {
        return;
    }
    let labels = member(object, "metadata").and_then(|metadata| member(metadata, "labels"));
    if let Some(labels) = labels {
        labels.insert(key.to_owned(), value.into());
    }
}

/// Copies labels that are there in `from` and not in `object`.
pub fn copy_labels(object: &mut Object, from: &Object, keys: &[&str]) {
    for key in keys {
        fill_label(object, key, label(from, key));
    }
}

/// The object below a name, made if it is not there or something else is.
fn member<'a>(object: &'a mut Object, name: &str) -> Option<&'a mut Object> {
    let value = object.entry(name.to_owned()).or_insert(Value::Null);
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut()
}
