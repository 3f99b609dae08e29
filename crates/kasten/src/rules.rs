//! Validation that kinds of several groups share.

use apimachinery::{ApiError, FieldError, fields};
use apiserver::Attributes;
use event::UserInfo;
use serde_json::{Map, Value, json};

use crate::Installation;
use crate::names::{self, ResourceNames};

/// Allows creation only to K10's own service accounts, not even to administrators: these objects
/// represent data that only K10 can write.
pub(crate) fn require_k10_account(
    installation: &Installation,
    names: ResourceNames,
    object: &Map<String, Value>,
    user: &UserInfo,
) -> Result<(), ApiError> {
    if installation.is_k10(user) {
        return Ok(());
    }
    let (id, accounts) = (installation.id(names), installation.accounts());
    let detail = format!("only K10's own service accounts (group {accounts}) may create one");
    Err(ApiError::forbidden(id.group, id.plural, fields::name(object), &detail))
}

/// The attributes of a `get` of one object.
pub(crate) fn get(
    installation: &Installation,
    names: ResourceNames,
    namespace: &str,
    name: &str,
) -> Attributes {
    Attributes {
        verb: "get".to_owned(),
        group: installation.group(names.group).to_owned(),
        version: names::VERSION.to_owned(),
        resource: names.plural.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        ..Attributes::default()
    }
}

/// The error for a field that names an object that does not exist.
pub(crate) fn not_found(
    installation: &Installation,
    names: ResourceNames,
    object: &Map<String, Value>,
    field: &str,
    name: &str,
) -> ApiError {
    let error = FieldError {
        reason: "FieldValueNotFound",
        field: field.to_owned(),
        message: format!("Not found: {name:?}"),
    };
    let group = installation.group(names.group);
    ApiError::invalid(group, names.kind, fields::name(object), &[error])
}

/// Checks that the values at these paths are missing or RFC 3339 times.
pub(crate) fn times(object: &Map<String, Value>, paths: &[&str]) -> Vec<FieldError> {
    let is_invalid = |path: &&&str| {
        let time = fields::text(object, path);
        !time.is_empty() && time.parse::<jiff::Timestamp>().is_err()
    };
    let detail = "must be an RFC 3339 time, such as 2026-11-23T09:30:00Z";
    paths
        .iter()
        .filter(is_invalid)
        .map(|path| FieldError::invalid(*path, &json!(fields::text(object, path)), detail))
        .collect()
}

/// Checks that these paths have a value.
pub(crate) fn required(object: &Map<String, Value>, paths: &[&str]) -> Vec<FieldError> {
    paths
        .iter()
        .filter(|path| is_empty(object, path))
        .map(|path| FieldError::required(*path, ""))
        .collect()
}

/// Whether the value at a path is missing, null or an empty string.
pub(crate) fn is_empty(object: &Map<String, Value>, path: &str) -> bool {
    fields::value(object, path).is_none_or(|value| value.as_str() == Some(""))
}

/// Checks that the object is in K10's namespace.
pub(crate) fn in_k10_namespace(
    installation: &Installation,
    object: &Map<String, Value>,
) -> Vec<FieldError> {
    let k10 = installation.namespace();
    let namespace = fields::namespace(object);
    if namespace == k10 {
        return Vec::new();
    }
    let detail = format!("must be K10's namespace, {k10:?}");
    vec![FieldError::invalid("metadata.namespace", &json!(namespace), &detail)]
}
