//! Rules that kinds of several groups choose from.

use apiserver::{ApiError, Attributes, FieldError};
use event::UserInfo;
use serde_json::{Map, Value, json};

use crate::domain::{self, Names};
use crate::{Installation, fields};

/// Refuses everybody but K10's own service accounts, administrators included: these objects stand
/// for data that only K10 can have made.
pub(crate) fn made_by_k10(
    installation: &Installation,
    names: Names,
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

/// The right to read one object.
pub(crate) fn get(
    installation: &Installation,
    names: Names,
    namespace: &str,
    name: &str,
) -> Attributes {
    Attributes {
        verb: "get".to_owned(),
        group: installation.group(names.group).to_owned(),
        version: domain::VERSION.to_owned(),
        resource: names.plural.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        ..Attributes::default()
    }
}

/// A field names an object that is not there.
pub(crate) fn dangling(
    installation: &Installation,
    names: Names,
    object: &Map<String, Value>,
    field: &str,
    missing: &str,
) -> ApiError {
    let error = FieldError {
        reason: "FieldValueNotFound",
        field: field.to_owned(),
        message: format!("Not found: {missing:?}"),
    };
    let group = installation.group(names.group);
    ApiError::invalid(group, names.kind, fields::name(object), &[error])
}

/// What stands at these paths must be a time, if anything does.
pub(crate) fn times(object: &Map<String, Value>, paths: &[&str]) -> Vec<FieldError> {
    let wrong = |path: &&&str| {
        let time = fields::text(object, path);
        !time.is_empty() && time.parse::<jiff::Timestamp>().is_err()
    };
    let detail = "must be a time as RFC 3339 writes it, such as 2026-11-23T09:30:00Z";
    paths
        .iter()
        .filter(wrong)
        .map(|path| FieldError::invalid(*path, &json!(fields::text(object, path)), detail))
        .collect()
}

/// Something must stand at these paths.
pub(crate) fn required(object: &Map<String, Value>, paths: &[&str]) -> Vec<FieldError> {
    paths
        .iter()
        .filter(|path| is_empty(object, path))
        .map(|path| FieldError::required(*path, ""))
        .collect()
}

/// Whether nothing, null or an empty text stands at a path.
pub(crate) fn is_empty(object: &Map<String, Value>, path: &str) -> bool {
    fields::value(object, path).is_none_or(|value| value.as_str() == Some(""))
}

/// The object must live in K10's namespace.
pub(crate) fn in_k10_namespace(
    installation: &Installation,
    object: &Map<String, Value>,
) -> Vec<FieldError> {
    let k10 = installation.namespace();
    let own = fields::namespace(object);
    if own == k10 {
        return Vec::new();
    }
    let detail = format!("must be K10's namespace, {k10:?}");
    vec![FieldError::invalid("metadata.namespace", &json!(own), &detail)]
}
