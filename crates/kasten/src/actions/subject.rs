//! What an action works on: `spec.subject`, and the rules about it that kinds choose from.

use apiserver::{Attributes, FieldError};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::domain::{self, Names};
use crate::{Installation, fields, rules};

/// What an action works on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// Name of the object.
    pub name: String,
    /// Namespace of the object; empty for cluster-scoped ones.
    pub namespace: Option<String>,
    /// Kind of the object.
    pub kind: Option<String>,
    /// Group and version of the object.
    pub api_version: Option<String>,
}

/// `spec.subject`, as far as it is there.
pub(crate) struct Named<'a> {
    pub(crate) kind: &'a str,
    pub(crate) name: &'a str,
    pub(crate) namespace: &'a str,
}

/// The subject of an action.
pub(crate) fn of(action: &Map<String, Value>) -> Named<'_> {
    Named {
        kind: fields::text(action, "spec.subject.kind"),
        name: fields::text(action, "spec.subject.name"),
        namespace: fields::text(action, "spec.subject.namespace"),
    }
}

/// A subject that leaves its namespace out is in that of the action.
pub(crate) fn fill_namespace(action: &mut Map<String, Value>) {
    if fields::value(action, "spec.subject").is_some() && of(action).namespace.is_empty() {
        let own = fields::namespace(action).to_owned();
        fields::set(action, "spec.subject.namespace", own);
    }
}

/// A name must be there, and the kind be one of these.
pub(crate) fn check(action: &Map<String, Value>, kinds: &[&str]) -> Vec<FieldError> {
    let subject = of(action);
    let mut errors = Vec::new();
    if subject.kind.is_empty() {
        errors.push(FieldError::required("spec.subject.kind", &one_of(kinds)));
    } else if !kinds.contains(&subject.kind) {
        let given = json!(subject.kind);
        errors.push(FieldError::not_supported("spec.subject.kind", &given, kinds));
    }
    if subject.name.is_empty() {
        errors.push(FieldError::required("spec.subject.name", ""));
    }
    errors
}

/// The subject must live where the action does: who may act in one namespace reaches no other.
pub(crate) fn in_own_namespace(action: &Map<String, Value>) -> Vec<FieldError> {
    let (named, own) = (of(action).namespace, fields::namespace(action));
    if named.is_empty() || named == own {
        return Vec::new();
    }
    let detail = format!("must be the namespace of this object, {own:?}");
    vec![FieldError::invalid("spec.subject.namespace", &json!(named), &detail)]
}

/// Reading the subject must be allowed.
pub(crate) fn readable(
    installation: &Installation,
    action: &Map<String, Value>,
    names: Names,
) -> Vec<Attributes> {
    let subject = of(action);
    vec![rules::get(installation, names, subject.namespace, subject.name)]
}

/// Reading the policy must be allowed; it is a custom resource, not served here.
pub(crate) fn policy_readable(action: &Map<String, Value>) -> Vec<Attributes> {
    let subject = of(action);
    vec![Attributes {
        verb: "get".to_owned(),
        group: domain::CONFIG.to_owned(),
        version: domain::VERSION.to_owned(),
        resource: "policies".to_owned(),
        namespace: subject.namespace.to_owned(),
        name: subject.name.to_owned(),
        ..Attributes::default()
    }]
}

fn one_of(kinds: &[&str]) -> String {
    match kinds {
        [one] => format!("must be {one}"),
        many => format!("must be one of {}", many.join(", ")),
    }
}
