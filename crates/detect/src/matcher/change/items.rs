//! Which values of two bodies are compared: those at the same path, in the items of lists that have the
//! same name.
//!
//! The order of a list has no meaning, so its items are matched by the member that identifies them.
//! Of items with the same identity or none, equal values are matched first, and the others in order.
//!
//! Deliberately absent: how the values compare.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;

use crate::fields::body;

/// Maximum number of values of a body that are compared; the others do not count.
const VALUES_MAX: usize = 1000;
/// Members that identify an item of a list, in order: Kubernetes' convention, those of schedules of
/// `KubeBlocks`, and those of actions of K10.
const IDENTITIES: [&str; 3] = ["name", "backupMethod", "action"];

/// A value and the one before it, if there are both.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) after: Option<String>,
    pub(super) before: Option<String>,
    /// Whether the object that has or had the value is still there.
    pub(super) has_parent: bool,
}

/// The values of a body at a path, by the identities of the items on the way.
#[derive(Default)]
struct Values {
    by_item: BTreeMap<String, Vec<String>>,
    /// The items whose object at the end of the path is there.
    parents: BTreeSet<String>,
    len: usize,
}

/// The pairs of values in both bodies, which are texts of JSON with a path each.
pub(super) fn pairs(after: (&[u8], &[String]), before: (&[u8], &[String])) -> Vec<Pair> {
    let (after, before) = (Values::of(after), Values::of(before));
    let mut pairs = Vec::new();
    for (item, former) in before.by_item {
        let has_parent = after.parents.contains(&item);
        let current = after.by_item.get(&item).map_or(&[][..], Vec::as_slice);
        let (new, gone) = (without(current, &former), without(&former, current));
        for equal in without(&former, &gone) {
            pairs.push(Pair { after: Some(equal.clone()), before: Some(equal), has_parent });
        }
        for at in 0..new.len().max(gone.len()) {
            let value = |values: &[String]| values.get(at).cloned();
            pairs.push(Pair { after: value(&new), before: value(&gone), has_parent });
        }
    }
    pairs
}

/// The values without those that the others have too, each as often as they have it.
fn without(values: &[String], others: &[String]) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for other in others {
        *counts.entry(other).or_default() += 1;
    }
    let mut remaining = values.to_vec();
    remaining.retain(|value| match counts.get_mut(value.as_str()) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    });
    remaining
}

impl Values {
    fn of((bytes, keys): (&[u8], &[String])) -> Self {
        let mut values = Self::default();
        if let Ok(text) = serde_json::from_slice::<&RawValue>(bytes) {
            values.add(text, keys, "");
        }
        values
    }

    /// Adds the values below a part of the body. `item` is the identity of the items on the way.
    fn add(&mut self, part: &RawValue, keys: &[String], item: &str) {
        if self.len >= VALUES_MAX {
            return;
        }
        let text = part.get();
        if text.starts_with('[') {
            for part in serde_json::from_str::<Vec<&RawValue>>(text).unwrap_or_default() {
                let identity = identity(part);
                self.add(part, keys, &format!("{item}/{identity}"));
            }
            return;
        }
        let Some((first, rest)) = keys.split_first() else {
            self.add_value(text, item);
            return;
        };
        if rest.is_empty() && text.starts_with('{') {
            self.parents.insert(item.to_owned());
        }
        for part in body::texts(text.as_bytes(), std::slice::from_ref(first)) {
            self.add(part, rest, item);
        }
    }

    /// Adds a scalar. An empty text is no value.
    fn add_value(&mut self, text: &str, item: &str) {
        let value = match serde_json::from_str(text) {
            Ok(serde_json::Value::String(text)) if !text.is_empty() => text,
            Ok(serde_json::Value::Bool(_) | serde_json::Value::Number(_)) => text.to_owned(),
            _ => return,
        };
        self.len += 1;
        self.by_item.entry(item.to_owned()).or_default().push(value);
    }
}

/// The text that identifies an item of a list; empty without one.
fn identity(item: &RawValue) -> String {
    if !item.get().starts_with('{') {
        return String::new();
    }
    let text = |key: &&str| {
        let texts = body::texts(item.get().as_bytes(), &[(*key).to_owned()]);
        texts.first().and_then(|text| serde_json::from_str::<String>(text.get()).ok())
    };
    IDENTITIES.iter().find_map(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Checks the pairs at `s.v`, as values after and before.
    fn check(after: &Value, before: &Value, expected: &[(Option<&str>, Option<&str>)]) {
        let keys = ["s".to_owned(), "v".to_owned()];
        let (after, before) = (json!({"s": after}).to_string(), json!({"s": before}).to_string());
        let actual = pairs((after.as_bytes(), &keys), (before.as_bytes(), &keys));
        let actual: Vec<_> =
            actual.iter().map(|pair| (pair.after.as_deref(), pair.before.as_deref())).collect();
        assert_eq!(actual, expected, "{after}, before {before}");
    }

    #[test]
    fn items_of_lists_are_matched_by_their_names_and_not_by_position() {
        let named = |name: &str, value: i32| json!({"name": name, "v": value});
        check(&json!({"v": 1}), &json!({"v": 2}), &[(Some("1"), Some("2"))]);
        check(&json!({"v": 1}), &json!({}), &[]);
        check(&json!({}), &json!({"v": "a"}), &[(None, Some("a"))]);
        check(&json!({"v": ""}), &json!({"v": "a"}), &[(None, Some("a"))]);
        check(
            &json!([named("b", 3), named("a", 1)]),
            &json!([named("a", 2), named("b", 3)]),
            &[(Some("1"), Some("2")), (Some("3"), Some("3"))],
        );
        check(&json!([named("b", 2)]), &json!([named("a", 2)]), &[(None, Some("2"))]);
        let (two, three) = ((Some("2"), Some("2")), (Some("3"), Some("3")));
        let before = json!([{"v": 2}, {"v": 3}]);
        check(&json!([{"v": 3}, {"v": 2}]), &before, &[two, three]);
        check(&json!([{"v": 2}, {"v": 1}]), &before, &[two, (Some("1"), Some("3"))]);
        check(&json!([{"v": 2}]), &before, &[two, (None, Some("3"))]);
    }
}
