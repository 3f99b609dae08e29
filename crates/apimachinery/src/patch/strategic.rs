//! Strategic merge patches, which clients send for kinds that are compiled into them.
//!
//! Fields are merged as in a JSON merge patch, except for lists with a merge strategy ([`LISTS`])
//! and for directives: `$patch`, `$retainKeys`, `$setElementOrder/…` and
//! `$deleteFromPrimitiveList/…`. Semantics are those of
//! `k8s.io/apimachinery/pkg/util/strategicpatch`. The patch may only have fields of core kinds.

use std::collections::HashSet;

use http::StatusCode;
use serde_json::{Map, Value};

use crate::ApiError;

/// Lists that are merged, by fields, with the key that identifies an item; an empty key for lists
/// of primitive values. All other lists are replaced.
const LISTS: [(&[&str], &str); 3] = [
    (&["metadata", "ownerReferences"], "uid"),
    (&["metadata", "finalizers"], ""),
    (&["status", "conditions"], "type"),
];
/// Maximum number of comparisons of items while a patch is merged. All writes wait while a patch is
/// applied.
const COMPARISONS_MAX: usize = 1_000_000;

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const ELEMENT_ORDER: &str = "$setElementOrder/";
const DELETE_FROM_LIST: &str = "$deleteFromPrimitiveList/";

/// The state of a merge.
#[derive(Default)]
struct Merge<'p> {
    /// The path of the current field.
    fields: Vec<&'p str>,
    /// The comparisons so far.
    comparisons: usize,
}

impl Merge<'_> {
    /// Counts the comparisons of two lists.
    fn compare(&mut self, list: &[Value], patch: &[Value]) -> Result<(), ApiError> {
        let all = list.len() + patch.len();
        self.comparisons = self.comparisons.saturating_add(all.saturating_mul(all));
        if self.comparisons <= COMPARISONS_MAX {
            return Ok(());
        }
        Err(super::not_applicable("its lists are too long to be merged"))
    }
}

/// Applies the patch to a document.
pub(super) fn merge(document: &mut Value, patch: &Value) -> Result<(), ApiError> {
    let (Some(original), Some(patch)) = (document.as_object_mut(), patch.as_object()) else {
        return Err(super::undecodable("a strategic merge patch is an object"));
    };
    merge_map(original, patch, &mut Merge::default())
}

fn merge_map<'p>(
    original: &mut Map<String, Value>,
    patch: &'p Map<String, Value>,
    merge: &mut Merge<'p>,
) -> Result<(), ApiError> {
    match patch.get(PATCH).map(|directive| directive.as_str().unwrap_or_default()) {
        None => {}
        Some("replace") => {
            original.clone_from(patch);
            original.shift_remove(PATCH);
            return Ok(());
        }
        Some("delete") => {
            original.clear();
            return Ok(());
        }
        Some(other) => return Err(unknown_directive(other)),
    }
    if let Some(retained) = patch.get(RETAIN_KEYS) {
        let retained = items(retained, RETAIN_KEYS)?;
        let retained: HashSet<&str> = retained.iter().filter_map(Value::as_str).collect();
        original.retain(|key, _| retained.contains(key.as_str()));
    }
    for (key, value) in patch {
        if let Some(field) = key.strip_prefix(DELETE_FROM_LIST) {
            let deleted = items(value, key)?;
            if let Some(Value::Array(list)) = original.get_mut(field) {
                merge.compare(list, deleted)?;
                list.retain(|item| !deleted.contains(item));
            }
        }
    }
    for (key, value) in patch {
        if !key.starts_with('$') {
            merge_field(original, patch, (key, value), merge)?;
        }
    }
    for (key, value) in patch {
        if let Some(field) = key.strip_prefix(ELEMENT_ORDER)
            && !patch.contains_key(field)
            && let Some(Value::Array(list)) = original.get_mut(field)
        {
            let order = items(value, key)?;
            merge.compare(list, order)?;
            merge.fields.push(field);
            let identity = merge_key(&merge.fields).unwrap_or_default();
            merge.fields.pop();
            let server_order = list.clone();
            *list = ordered(std::mem::take(list), order, &server_order, identity);
        }
    }
    Ok(())
}

fn merge_field<'p>(
    original: &mut Map<String, Value>,
    patch: &Map<String, Value>,
    (key, value): (&'p String, &'p Value),
    merge: &mut Merge<'p>,
) -> Result<(), ApiError> {
    merge.fields.push(key);
    let identity = merge_key(&merge.fields);
    match (original.get_mut(key), value) {
        (_, Value::Null) => drop(original.shift_remove(key)),
        (Some(Value::Object(original)), Value::Object(patch)) => {
            merge_map(original, patch, merge)?;
        }
        (Some(Value::Array(list)), Value::Array(patched)) if identity.is_some() => {
            let identity = identity.unwrap_or_default();
            let directive = format!("{ELEMENT_ORDER}{key}");
            let order = match patch.get(&directive) {
                Some(order) => items(order, &directive)?,
                None => patched,
            };
            merge.compare(list, order)?;
            let server_order = list.clone();
            let merged = merged_list(std::mem::take(list), patched, identity, merge)?;
            *list = ordered(merged, order, &server_order, identity);
        }
        (_, value) => drop(original.insert(key.clone(), without_directives(value))),
    }
    merge.fields.pop();
    Ok(())
}

/// The key that identifies the items of a list; `None` if the list is replaced.
fn merge_key(fields: &[&str]) -> Option<&'static str> {
    LISTS.iter().find(|(list, _)| *list == fields).map(|(_, key)| *key)
}

/// The list with the items of the patch merged into those of equal identity, or appended.
fn merged_list<'p>(
    mut list: Vec<Value>,
    patch: &'p [Value],
    identity: &str,
    merge: &mut Merge<'p>,
) -> Result<Vec<Value>, ApiError> {
    merge.compare(&list, patch)?;
    let directive = |item: &'p Value| item.get(PATCH).and_then(Value::as_str);
    if patch.iter().any(|item| directive(item) == Some("replace")) {
        list.clear();
    }
    for item in patch {
        let at = list.iter().position(|known| same(known, item, identity));
        match (directive(item), item.as_object(), at) {
            (Some("replace"), ..) => {}
            (Some("delete"), ..) => list.retain(|known| !same(known, item, identity)),
            (Some(other), ..) => return Err(unknown_directive(other)),
            (None, None, _) if !identity.is_empty() => {
                return Err(super::undecodable("an item of a list of objects is not an object"));
            }
            (None, Some(item), _) if !identity.is_empty() && !item.contains_key(identity) => {
                return Err(super::undecodable(&format!(
                    "an item does not contain its merge key {identity}"
                )));
            }
            (None, Some(item), Some(at)) => {
                if let Some(Value::Object(known)) = list.get_mut(at) {
                    merge_map(known, item, merge)?;
                }
            }
            (None, None, Some(_)) => {}
            (None, _, None) => list.push(without_directives(item)),
        }
    }
    Ok(list)
}

/// Sorts a merged list: the items of `order` in its order, and each other item before the first of
/// them that it preceded in the stored list.
fn ordered(
    list: Vec<Value>,
    order: &[Value],
    server_order: &[Value],
    identity: &str,
) -> Vec<Value> {
    let position =
        |list: &[Value], item: &Value| list.iter().position(|other| same(other, item, identity));
    let (mut of_patch, others): (Vec<Value>, Vec<Value>) =
        list.into_iter().partition(|item| position(order, item).is_some());
    of_patch.sort_by_cached_key(|item| position(order, item));
    let mut of_patch = of_patch.into_iter().peekable();
    let mut all = Vec::new();
    for item in others {
        let stored_position = position(server_order, &item);
        let follows = |next: &Value| match (position(server_order, next), stored_position) {
            (Some(next), Some(stored_position)) => next < stored_position,
            _ => true,
        };
        while let Some(next) = of_patch.next_if(follows) {
            all.push(next);
        }
        all.push(item);
    }
    all.extend(of_patch);
    all
}

/// Whether two items of a list have the same identity.
fn same(left: &Value, right: &Value, identity: &str) -> bool {
    if identity.is_empty() {
        return left == right;
    }
    match (left.get(identity), right.get(identity)) {
        (Some(left), Some(right)) => left == right,
        _ => false,
    }
}

/// The value of a field that the object does not have yet: nulls and directives are dropped.
fn without_directives(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let members =
                map.iter().filter(|(key, value)| !key.starts_with('$') && !value.is_null());
            Value::Object(
                members.map(|(key, value)| (key.clone(), without_directives(value))).collect(),
            )
        }
        Value::Array(items) => {
            let items = items.iter().filter(|item| item.get(PATCH).is_none());
            Value::Array(items.map(without_directives).collect())
        }
        other => other.clone(),
    }
}

fn items<'v>(value: &'v Value, directive: &str) -> Result<&'v [Value], ApiError> {
    let list = value.as_array().map(Vec::as_slice);
    list.ok_or_else(|| super::undecodable(&format!("the value of {directive} is not a list")))
}

fn unknown_directive(word: &str) -> ApiError {
    let message = format!("unknown patch type {word:?}: $patch is \"replace\" or \"delete\"");
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "the tables are easier to read")]
    fn check(before: &Value, patch: &Value, expected: Result<Value, u16>) {
        let mut document = before.clone();
        let merged = merge(&mut document, patch).map(|()| document);
        assert_eq!(merged.map_err(|error| error.status.code), expected, "{patch}");
    }

    #[test]
    fn fields_are_merged_and_lists_without_a_strategy_are_replaced() {
        let before = json!({"data": {"a": "1", "b": "2"}, "type": "Opaque", "list": [1, 2]});
        check(
            &before,
            &json!({"data": {"a": null, "c": "3"}, "list": [3], "immutable": true, "x": null}),
            Ok(json!({
                "data": {"b": "2", "c": "3"}, "type": "Opaque", "list": [3], "immutable": true
            })),
        );
        let data = |data: Value| Ok(json!({"data": data, "type": "Opaque", "list": [1, 2]}));
        check(&before, &json!({"data": {"$patch": "replace", "c": "3"}}), data(json!({"c": "3"})));
        check(&before, &json!({"data": {"$patch": "delete"}}), data(json!({})));
        check(
            &before,
            &json!({"data": {"$retainKeys": ["a", "c"], "c": "3"}}),
            data(json!({"a": "1", "c": "3"})),
        );
        check(
            &json!({}),
            &json!({"data": {"a": null, "b": "1", "$retainKeys": ["b"]}}),
            Ok(json!({"data": {"b": "1"}})),
        );
        check(&before, &json!({"data": {"$patch": "burn"}}), Err(422));
        check(&before, &json!({"data": {"$retainKeys": "a"}}), Err(400));
    }

    #[test]
    fn finalizers_are_merged_deleted_and_sorted() {
        let before = json!({"metadata": {"finalizers": ["a/a", "b/b", "c/c"]}});
        let finalizers = |list: Value| Ok(json!({"metadata": {"finalizers": list}}));
        for (patch, expected) in [
            (json!({"finalizers": ["d/d", "b/b"]}), json!(["d/d", "a/a", "b/b", "c/c"])),
            (json!({"$deleteFromPrimitiveList/finalizers": ["b/b"]}), json!(["a/a", "c/c"])),
            (
                json!({
                    "$setElementOrder/finalizers": ["d/d", "c/c", "a/a"],
                    "$deleteFromPrimitiveList/finalizers": ["b/b"],
                    "finalizers": ["d/d"],
                }),
                json!(["d/d", "c/c", "a/a"]),
            ),
            (json!({"$setElementOrder/finalizers": ["c/c", "b/b"]}), json!(["a/a", "c/c", "b/b"])),
        ] {
            check(&before, &json!({ "metadata": patch }), finalizers(expected));
        }
        let none = json!({"metadata": {}});
        let patch =
            json!({"metadata": {"finalizers": ["a/a"], "$setElementOrder/finalizers": ["a/a"]}});
        check(&none, &patch, finalizers(json!(["a/a"])));
        let patch = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a/a"]}});
        check(&none, &patch, Ok(none.clone()));
    }

    #[test]
    fn owners_are_identified_by_their_uid() {
        let before = json!({"metadata": {"ownerReferences": [
            {"uid": "1", "name": "one", "controller": true}, {"uid": "2", "name": "two"},
        ]}});
        let owners = |list: Value| json!({"metadata": {"ownerReferences": list}});
        for (patch, expected) in [
            (
                json!([{"uid": "2", "name": "other"}, {"uid": "3", "name": "three", "x": null}]),
                Ok(json!([
                    {"uid": "1", "name": "one", "controller": true},
                    {"uid": "2", "name": "other"},
                    {"uid": "3", "name": "three"},
                ])),
            ),
            (
                json!([{"uid": "1", "controller": null}, {"uid": "2", "$patch": "delete"}]),
                Ok(json!([{"uid": "1", "name": "one"}])),
            ),
            (
                json!([{"$patch": "replace"}, {"uid": "9", "name": "nine"}]),
                Ok(json!([{"uid": "9", "name": "nine"}])),
            ),
            (json!([{"name": "nameless"}]), Err(400)),
            (json!(["text"]), Err(400)),
            (json!([{"uid": "1", "$patch": "burn"}]), Err(422)),
        ] {
            check(&before, &owners(patch), expected.map(owners));
        }
        let many: Vec<Value> = (0..1500).map(|uid| json!({"uid": uid.to_string()})).collect();
        check(&before, &owners(many.into()), Err(422));
    }
}
