//! The built-in rules, as objects.

use apimachinery::{ApiError, fields};
use apiserver::Objects;
use detect::LoadOptions;
use serde_json::{Map, Value};

use super::{BUILTIN, DETECTION_RULES, describe, is_builtin};
use crate::API_VERSION;

/// A built-in rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltinRule {
    /// Name of the object.
    pub name: String,
    /// Its Sigma rules, as YAML.
    pub sigma: String,
}

/// Synchronizes the objects with the built-in rules of this release: creates new ones, updates
/// changed ones, and deletes those that only an earlier release had. Disabled rules stay disabled,
/// and statistics are preserved. Returns the names that rules of users already have; these objects
/// are not changed.
pub fn install(
    objects: &mut Objects<'_>,
    rules: &[BuiltinRule],
    options: &LoadOptions,
) -> Result<Vec<String>, ApiError> {
    let mut names_of_user_rules = Vec::new();
    for rule in rules {
        match objects.get(DETECTION_RULES, "", &rule.name) {
            None => objects.create(DETECTION_RULES, object(rule, options))?,
            Some(stored) if is_builtin(&stored) => {
                let mut renewed = stored;
                fields::set(&mut renewed, "spec.sigma", rule.sigma.as_str());
                describe(&mut renewed, options);
                objects.update(DETECTION_RULES, renewed)?;
            }
            Some(_) => names_of_user_rules.push(rule.name.clone()),
        }
    }
    for stored in objects.list(DETECTION_RULES, None) {
        let name = fields::text(&stored, "metadata.name");
        if is_builtin(&stored) && !rules.iter().any(|rule| rule.name == name) {
            objects.delete(DETECTION_RULES, "", name)?;
        }
    }
    Ok(names_of_user_rules)
}

fn object(rule: &BuiltinRule, options: &LoadOptions) -> Map<String, Value> {
    let mut object = Map::new();
    fields::set(&mut object, "apiVersion", API_VERSION);
    fields::set(&mut object, "kind", super::KIND);
    fields::set(&mut object, "metadata.name", rule.name.as_str());
    fields::set(&mut object, "spec.sigma", rule.sigma.as_str());
    fields::set(&mut object, "spec.enabled", true);
    fields::set(&mut object, "status.source", BUILTIN);
    describe(&mut object, options);
    object
}
