//! Names of rules in other objects. A misspelt name would have no effect, so it is an error.

use apimachinery::{ApiError, FieldError, fields};
use detect::engine::ENGINE_RULES;
use detect::nearest;
use serde_json::{Map, Value};

use crate::GROUP;
use crate::detection_rule::rule_ids;

/// Maximum number of errors that are reported for an object.
const ERRORS_MAX: usize = 10;

/// The texts in a list of an object.
pub(crate) fn texts_of<'r>(object: &'r Map<String, Value>, field: &str) -> Vec<&'r str> {
    let texts = fields::value(object, field).and_then(Value::as_array);
    texts.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The ids of the rules of these objects and of the engine itself.
pub(crate) fn ids(rules: &[Map<String, Value>]) -> Vec<&str> {
    let engine_rules = ENGINE_RULES.into_iter().map(|(id, _)| id);
    engine_rules.chain(rules.iter().flat_map(rule_ids)).collect()
}

/// The titles of the rules of these objects and of the engine itself.
pub(crate) fn titles(rules: &[Map<String, Value>]) -> Vec<&str> {
    let engine_rules = ENGINE_RULES.into_iter().map(|(_, title)| title);
    engine_rules.chain(rules.iter().flat_map(|rule| texts_of(rule, "status.titles"))).collect()
}

/// Rejects unknown names. `field` returns the path of a name by its index; `what` is the error
/// message.
pub(crate) fn check(
    (kind, object): (&str, &Map<String, Value>),
    names: &[&str],
    known: &[&str],
    (field, what): (&dyn Fn(usize) -> String, &str),
) -> Result<(), ApiError> {
    let unknown = names.iter().enumerate().filter(|(_, name)| !known.contains(name));
    let errors: Vec<FieldError> = unknown
        .map(|(index, name)| {
            let help = match nearest(name, known.iter().copied()) {
                Some(similar) => format!("did you mean {similar:?}?"),
                None => "status.rules of each detectionrule lists its ids".to_owned(),
            };
            FieldError::invalid(field(index), &(*name).into(), &format!("{what} ({help})"))
        })
        .take(ERRORS_MAX)
        .collect();
    if errors.is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid(GROUP, kind, fields::text(object, "metadata.name"), &errors))
}
