//! Compares selectors: whether one leaves out something that another selects.
//!
//! A selector is a label selector of Kubernetes (`matchLabels`, `matchExpressions`), a mapping of
//! labels to values, a list of these, of which one is enough, or a list of names, in which `*` is
//! every name. An absent or empty one selects everything.
//!
//! Deliberately absent: patterns in names other than `*`, which are compared as texts.

use std::collections::BTreeSet;

use serde_json::Value;

/// Maximum number of requirements of a selector. Longer ones are compared as a whole.
const REQUIREMENTS_MAX: usize = 1000;

/// Maximum number of selectors of a list. Longer ones are compared as a whole.
const ALTERNATIVES_MAX: usize = 32;

/// What a label must be.
#[derive(Debug, PartialEq)]
enum Allowed<'v> {
    In(BTreeSet<&'v str>),
    NotIn(BTreeSet<&'v str>),
    Exists,
    Absent,
}

/// The names that a list selects.
enum Names<'v> {
    All,
    Of(BTreeSet<&'v str>),
}

/// Whether the first selector leaves out something that the second one selects; `None` if one of them
/// is no selector.
pub(crate) fn is_narrower(new: &Value, old: &Value) -> Option<bool> {
    if let (Some(new), Some(old)) = (names(new), names(old)) {
        return Some(match (new, old) {
            (Names::All, _) => false,
            (Names::Of(_), Names::All) => true,
            (Names::Of(new), Names::Of(old)) => !old.is_subset(&new),
        });
    }
    let (alternatives, known) = (alternatives(new), alternatives(old));
    if alternatives.len() > ALTERNATIVES_MAX || known.len() > ALTERNATIVES_MAX {
        return Some(new != old);
    }
    // Each former alternative needs one that selects as much.
    let mut is_narrower = false;
    for old in known {
        let mut is_covered = false;
        for new in &alternatives {
            is_covered |= !requires_more(new, old)?;
        }
        is_narrower |= !is_covered;
    }
    Some(is_narrower)
}

/// The selectors of a list of which one is enough; one that selects everything if it is empty.
fn alternatives(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) if items.is_empty() => vec![&Value::Null],
        Value::Array(items) => items.iter().collect(),
        value => vec![value],
    }
}

/// Whether the first selector leaves out something that the second one selects; `None` if one of them
/// is no selector of labels.
fn requires_more(new: &Value, old: &Value) -> Option<bool> {
    let (required, known) = (requirements(new)?, requirements(old)?);
    if required.len() > REQUIREMENTS_MAX || known.len() > REQUIREMENTS_MAX {
        return Some(new != old);
    }
    let is_implied = |(key, allowed): &(&str, Allowed<'_>)| {
        known.iter().any(|(other, before)| other == key && before.implies(allowed))
    };
    Some(!required.iter().all(is_implied))
}

/// The names of a list; `None` if it is no list of texts.
fn names(value: &Value) -> Option<Names<'_>> {
    let items = match value {
        Value::Null => return Some(Names::All),
        Value::Array(items) => items,
        _ => return None,
    };
    let names: BTreeSet<&str> = items.iter().map(Value::as_str).collect::<Option<_>>()?;
    Some(if names.is_empty() || names.contains("*") { Names::All } else { Names::Of(names) })
}

fn requirements(value: &Value) -> Option<Vec<(&str, Allowed<'_>)>> {
    let members = match value {
        Value::Null => return Some(Vec::new()),
        Value::Object(members) => members,
        _ => return None,
    };
    let mut required = Vec::new();
    for (key, value) in members {
        match (key.as_str(), value) {
            (_, Value::Null) => {}
            ("matchLabels", Value::Object(labels)) => {
                for (key, value) in labels {
                    required.push((key.as_str(), Allowed::In([value.as_str()?].into())));
                }
            }
            ("matchExpressions", Value::Array(expressions)) => {
                for expression in expressions {
                    required.push(of_expression(expression)?);
                }
            }
            (key, Value::String(value)) => {
                required.push((key, Allowed::In([value.as_str()].into())));
            }
            _ => return None,
        }
    }
    Some(required)
}

fn of_expression(expression: &Value) -> Option<(&str, Allowed<'_>)> {
    let values = || -> Option<BTreeSet<&str>> {
        expression.get("values")?.as_array()?.iter().map(Value::as_str).collect()
    };
    let allowed = match expression.get("operator")?.as_str()? {
        "In" => Allowed::In(values()?),
        "NotIn" => Allowed::NotIn(values()?),
        "Exists" => Allowed::Exists,
        "DoesNotExist" => Allowed::Absent,
        _ => return None,
    };
    Some((expression.get("key")?.as_str()?, allowed))
}

impl Allowed<'_> {
    /// Whether each label that meets this requirement meets the other one.
    fn implies(&self, other: &Allowed<'_>) -> bool {
        match (self, other) {
            (Self::In(known), Allowed::In(required)) => known.is_subset(required),
            (Self::In(known), Allowed::NotIn(excluded)) => known.is_disjoint(excluded),
            (Self::In(_) | Self::Exists, Allowed::Exists)
            | (Self::Absent, Allowed::Absent | Allowed::NotIn(_)) => true,
            (Self::NotIn(known), Allowed::NotIn(excluded)) => excluded.is_subset(known),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_selector_is_narrower_if_it_leaves_out_what_was_selected() {
        let expression = |operator: &str, values: &[&str]| json!({"matchExpressions": [{"key": "a", "operator": operator, "values": values}]});
        for (new, old, expected) in [
            (json!(null), json!(null), Some(false)),
            (json!(["a"]), json!(null), Some(true)),
            (json!(["a"]), json!(["*"]), Some(true)),
            (json!([]), json!(["a"]), Some(false)),
            (json!(["a"]), json!(["a", "b"]), Some(true)),
            (json!(["b", "a"]), json!(["a", "b"]), Some(false)),
            (json!(["a", "c"]), json!(["a", "b"]), Some(true)),
            (json!({"matchLabels": {"a": "b"}}), json!(null), Some(true)),
            (json!(null), json!({"matchLabels": {"a": "b"}}), Some(false)),
            (json!({"matchLabels": {"a": "b"}}), json!({"a": "b"}), Some(false)),
            (json!({"matchLabels": {"a": "c"}}), json!({"a": "b"}), Some(true)),
            (json!({"a": "b", "c": "d"}), json!({"a": "b"}), Some(true)),
            (json!({"a": "b"}), json!({"a": "b", "c": "d"}), Some(false)),
            (expression("In", &["b", "c"]), json!({"a": "b"}), Some(false)),
            (json!({"a": "b"}), expression("In", &["b", "c"]), Some(true)),
            (expression("NotIn", &["b"]), json!({}), Some(true)),
            (expression("NotIn", &["b"]), json!({"a": "b"}), Some(true)),
            (expression("NotIn", &["b"]), json!({"a": "c"}), Some(false)),
            (expression("NotIn", &["b"]), expression("NotIn", &["b", "c"]), Some(false)),
            (expression("NotIn", &["b", "c"]), expression("NotIn", &["b"]), Some(true)),
            (expression("Exists", &[]), json!({"a": "b"}), Some(false)),
            (expression("DoesNotExist", &[]), expression("DoesNotExist", &[]), Some(false)),
            (expression("NotIn", &["b"]), expression("DoesNotExist", &[]), Some(false)),
            (json!([{"a": "b"}, {"c": "d"}]), json!([{"a": "b"}]), Some(false)),
            (json!([{"a": "b"}]), json!([{"c": "d"}, {"a": "b"}]), Some(true)),
            (json!([{"a": "b"}]), json!(null), Some(true)),
            (json!([]), json!([{"a": "b"}]), Some(false)),
            (json!([{"a": "b"}]), json!([{"a": "b", "c": "d"}]), Some(false)),
            (json!("a"), json!(["a"]), None),
            (json!({"a": 1}), json!({}), None),
            (expression("Near", &[]), json!({}), None),
            (json!([1]), json!([]), None),
        ] {
            assert_eq!(is_narrower(&new, &old), expected, "{new}, before {old}");
        }
    }
}
