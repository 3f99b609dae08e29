//! The object that an action applies to: `spec.subject`, and the validation rules that kinds
//! select.

use apimachinery::{FieldError, fields};
use apiserver::Attributes;
use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use crate::names::{self, ResourceNames};
use crate::{Installation, rules};

/// The object that an action applies to.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
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

/// The fields of `spec.subject`; a missing field is an empty string.
pub(crate) struct SubjectFields<'a> {
    pub(crate) kind: &'a str,
    pub(crate) name: &'a str,
    pub(crate) namespace: &'a str,
}

/// The subject of an action.
pub(crate) fn parse(action: &Map<String, Value>) -> SubjectFields<'_> {
    SubjectFields {
        kind: fields::text(action, "spec.subject.kind"),
        name: fields::text(action, "spec.subject.name"),
        namespace: fields::text(action, "spec.subject.namespace"),
    }
}

/// Fills in the subject's namespace with the action's, if it is missing.
pub(crate) fn fill_namespace(action: &mut Map<String, Value>) {
    if fields::value(action, "spec.subject").is_some() && parse(action).namespace.is_empty() {
        let action_namespace = fields::namespace(action).to_owned();
        fields::set(action, "spec.subject.namespace", action_namespace);
    }
}

/// Checks that the subject has a name, and one of these kinds.
pub(crate) fn check(action: &Map<String, Value>, kinds: &[&str]) -> Vec<FieldError> {
    let subject = parse(action);
    let mut errors = Vec::new();
    if subject.kind.is_empty() {
        errors.push(FieldError::required("spec.subject.kind", &one_of(kinds)));
    } else if !kinds.contains(&subject.kind) {
        let value = json!(subject.kind);
        errors.push(FieldError::not_supported("spec.subject.kind", &value, kinds));
    }
    if subject.name.is_empty() {
        errors.push(FieldError::required("spec.subject.name", ""));
    }
    errors
}

/// Checks that the subject is in the action's namespace, so that a permission in one namespace does
/// not give access to another.
pub(crate) fn in_own_namespace(action: &Map<String, Value>) -> Vec<FieldError> {
    let (subject_namespace, action_namespace) =
        (parse(action).namespace, fields::namespace(action));
    if subject_namespace.is_empty() || subject_namespace == action_namespace {
        return Vec::new();
    }
    let detail = format!("must be the namespace of this object, {action_namespace:?}");
    vec![FieldError::invalid("spec.subject.namespace", &json!(subject_namespace), &detail)]
}

/// The attributes of a `get` of the subject.
pub(crate) fn get_access(
    installation: &Installation,
    action: &Map<String, Value>,
    names: ResourceNames,
) -> Vec<Attributes> {
    let subject = parse(action);
    vec![rules::get(installation, names, subject.namespace, subject.name)]
}

/// The attributes of a `get` of the policy, a custom resource that kube-apiserver serves.
pub(crate) fn policy_get_access(action: &Map<String, Value>) -> Vec<Attributes> {
    let subject = parse(action);
    vec![Attributes {
        verb: "get".to_owned(),
        group: names::CONFIG.to_owned(),
        version: names::VERSION.to_owned(),
        resource: "policies".to_owned(),
        namespace: subject.namespace.to_owned(),
        name: subject.name.to_owned(),
        ..Attributes::default()
    }]
}

fn one_of(kinds: &[&str]) -> String {
    match kinds {
        [kind] => format!("must be {kind}"),
        several => format!("must be one of {}", several.join(", ")),
    }
}
