//! Reads and writes fields of an object by dotted path, as in error messages.
//!
//! Paths contain object members only, except for [`lookup`], which also knows list items. Label
//! keys, which contain dots, have their own functions.

use serde_json::{Map, Value};

type Object = Map<String, Value>;

/// Returns the value at a path; `null` counts as absent.
pub fn value<'a>(object: &'a Object, path: &str) -> Option<&'a Value> {
    let mut segments = path.split('.');
    let first = object.get(segments.next()?)?;
    let value = segments.try_fold(first, |value, segment| value.get(segment))?;
    (!value.is_null()).then_some(value)
}

/// Returns the value at a path such as `status.state`, which may be `null`. A number selects the
/// item of a list.
pub fn lookup<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, key| match value {
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        object => object.get(key),
    })
}

/// [`lookup`] in an object.
pub fn lookup_in<'a>(object: &'a Object, path: &str) -> Option<&'a Value> {
    match path.split_once('.') {
        None => object.get(path),
        Some((first, rest)) => lookup(object.get(first)?, rest),
    }
}

/// Returns the string at a path; empty if there is none.
pub fn text<'a>(object: &'a Object, path: &str) -> &'a str {
    value(object, path).and_then(Value::as_str).unwrap_or_default()
}

/// Returns the items of the list at a path; empty if there is none.
pub fn items<'a>(object: &'a Object, path: &str) -> &'a [Value] {
    value(object, path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Sets the value at a path and creates the objects above it.
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

/// Removes the value at a path.
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

/// Resets the values at these paths to those of `old`.
pub fn restore(object: &mut Object, old: &Object, paths: &[&str]) {
    for path in paths {
        match value(old, path) {
            Some(old_value) => set(object, path, old_value.clone()),
            None => remove(object, path),
        }
    }
}

/// Returns `metadata.name`; empty if it is absent.
pub fn name(object: &Object) -> &str {
    text(object, "metadata.name")
}

/// Returns `metadata.namespace`; empty for cluster-scoped objects.
pub fn namespace(object: &Object) -> &str {
    text(object, "metadata.namespace")
}

/// Returns the value of a label; empty if it is absent.
pub fn label<'a>(object: &'a Object, key: &str) -> &'a str {
    value(object, "metadata.labels")
        .and_then(|labels| labels.get(key))
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Sets a label that is absent. An empty value is ignored.
pub fn fill_label(object: &mut Object, key: &str, value: &str) {
    if label(object, key).is_empty() {
        set_label(object, key, value);
    }
}

/// Sets a label. An empty value is ignored.
pub fn set_label(object: &mut Object, key: &str, value: &str) {
    if value.is_empty() {
        return;
    }
    let labels = member(object, "metadata").and_then(|metadata| member(metadata, "labels"));
    if let Some(labels) = labels {
        labels.insert(key.to_owned(), value.into());
    }
}

/// Copies labels that exist in `from` and are absent in `object`.
pub fn copy_labels(object: &mut Object, from: &Object, keys: &[&str]) {
    for key in keys {
        fill_label(object, key, label(from, key));
    }
}

/// Returns the object in a member. Creates it if the member is absent or not an object.
fn member<'a>(object: &'a mut Object, name: &str) -> Option<&'a mut Object> {
    let value = object.entry(name.to_owned()).or_insert(Value::Null);
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut()
}
