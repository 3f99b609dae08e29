//! Compares the settings by which backup tools keep backups: durations, cron expressions, selectors
//! and any other value, before and after a change.
//!
//! The functions are pure, and each bounds the text that it reads. Of two different texts, of which one
//! is not understood, the new one counts as a change for the worse.
//!
//! Deliberately absent: where the two values come from (module `matcher::change`).

mod cron;
mod duration;
mod selector;

use serde_json::Value;

pub(crate) use cron::is_rarer;
pub(crate) use duration::{is_shorter, is_shorter_in_months};
pub(crate) use selector::is_narrower;

/// The value without the members and items that are empty: Kubernetes omits them or not, depending
/// on the client.
pub(crate) fn without_empty(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let retained = members
                .into_iter()
                .map(|(key, value)| (key, without_empty(value)))
                .filter(|(_, value)| !is_empty(value));
            Value::Object(retained.collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_empty).collect()),
        other => other,
    }
}

/// Whether a value says no more than its absence.
pub(crate) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn empty_members_do_not_count() {
        for (value, expected) in [
            (json!({"a": "", "b": {"c": null}, "d": [], "e": 0}), json!({"e": 0})),
            (json!([{}, "", 1]), json!([{}, "", 1])),
            (json!(false), json!(false)),
        ] {
            assert_eq!(without_empty(value), expected);
        }
    }
}
