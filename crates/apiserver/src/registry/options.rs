//! Query parameters of writes and reads, validated as in
//! `k8s.io/apimachinery/pkg/apis/meta/v1/validation`.

use apimachinery::{ApiError, FieldError};
use event::Json;
use serde_json::{Map, Value};

use super::metadata;
use crate::Request;

/// Maximum length of `fieldManager`.
const FIELD_MANAGER_MAX: usize = 128;

/// Options of create, update and patch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WriteOptions {
    /// Validate and respond without a change.
    pub(crate) dry_run: bool,
    /// How unknown and duplicate fields are handled.
    pub(crate) validation: FieldValidation,
}

/// How unknown and duplicate fields are handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    Ignore,
    Warn,
    Strict,
}

impl WriteOptions {
    /// Reads the options from the query. `kind` is the kind of the options in errors, such as
    /// `CreateOptions`.
    pub(crate) fn parse(request: &Request, kind: &str) -> Result<Self, ApiError> {
        let mut errors = Vec::new();
        let dry_run = dry_run(&all(request, "dryRun"), &mut errors);
        let manager = first(request, "fieldManager").unwrap_or_default();
        if manager.len() > FIELD_MANAGER_MAX {
            errors.push(FieldError {
                reason: "FieldValueTooLong",
                field: "fieldManager".to_owned(),
                message: format!("Too long: may not be more than {FIELD_MANAGER_MAX} bytes"),
            });
        }
        if manager.chars().any(|c| c.is_control() || (c.is_whitespace() && c != ' ')) {
            let detail = "should only contain printable characters";
            errors.push(FieldError::invalid("fieldManager", &manager.into(), detail));
        }
        if first(request, "force").is_some() && kind == "PatchOptions" {
            errors.push(FieldError::forbidden("force", "may not be specified for non-apply patch"));
        }
        let validation = match first(request, "fieldValidation").unwrap_or_default() {
            "" | "Warn" => FieldValidation::Warn,
            "Ignore" => FieldValidation::Ignore,
            "Strict" => FieldValidation::Strict,
            other => {
                let supported = ["Ignore", "Strict", "Warn"];
                errors.push(FieldError::not_supported(
                    "fieldValidation",
                    &other.into(),
                    &supported,
                ));
                FieldValidation::Warn
            }
        };
        reject_invalid(kind, &errors)?;
        Ok(Self { dry_run, validation })
    }
}

/// Options of a delete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DeleteOptions {
    pub(crate) dry_run: bool,
    pub(crate) uid: Option<String>,
    pub(crate) resource_version: Option<String>,
    pub(crate) propagation: Option<Propagation>,
}

/// The deletion propagation policy for dependents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Propagation {
    Orphan,
    Background,
    Foreground,
}

impl DeleteOptions {
    /// Reads the options from a decoded `DeleteOptions`, or from the query if there is no body.
    pub(crate) fn parse(request: &Request, body: Option<&Value>) -> Result<Self, ApiError> {
        if body.is_none() {
            check_grace_period(request)?;
        }
        let (dry, policy, orphan, preconditions) = match body {
            Some(body) => {
                check_kind(body)?;
                check_types(body)?;
                let list = body.get("dryRun").and_then(Value::as_array);
                let dry = list.map(Vec::as_slice).unwrap_or_default();
                check_query(request, !dry.is_empty())?;
                (
                    dry.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
                    body.get("propagationPolicy").and_then(Value::as_str).map(str::to_owned),
                    body.get("orphanDependents").and_then(Value::as_bool),
                    body.get("preconditions").cloned().unwrap_or_default(),
                )
            }
            None => (
                all(request, "dryRun").into_iter().map(str::to_owned).collect::<Vec<_>>(),
                first(request, "propagationPolicy").map(str::to_owned),
                first(request, "orphanDependents").map(is_true),
                Value::Null,
            ),
        };
        let mut errors = Vec::new();
        let dry: Vec<&str> = dry.iter().map(String::as_str).collect();
        let dry_run = dry_run(&dry, &mut errors);
        let propagation = propagation(policy.as_deref(), orphan, &mut errors);
        reject_invalid("DeleteOptions", &errors)?;
        let text = |key: &str| preconditions.get(key).and_then(Value::as_str).map(str::to_owned);
        Ok(Self {
            dry_run,
            uid: text("uid"),
            resource_version: text("resourceVersion"),
            propagation,
        })
    }
}

/// The body has precedence over the query. With `dryRun` only in the query, upstream deletes the
/// object, although the audit event's URI shows a dry run. Here the request is rejected.
fn check_query(request: &Request, is_dry_run: bool) -> Result<(), ApiError> {
    let is_in_query = all(request, "dryRun").iter().any(|value| !value.is_empty());
    if is_in_query && !is_dry_run {
        let message = "dryRun is in the query but not in the DeleteOptions of the body, which take \
                       precedence: set it in the body, or omit the body";
        return Err(ApiError::bad_request(message));
    }
    Ok(())
}

/// The known fields of `DeleteOptions`.
const DELETE_FIELDS: [&str; 8] = [
    "kind",
    "apiVersion",
    "gracePeriodSeconds",
    "preconditions",
    "orphanDependents",
    "propagationPolicy",
    "dryRun",
    "ignoreStoreReadErrorWithClusterBreakingPotential",
];

/// The `DeleteOptions` for the audit event: each known field once. Unknown fields have no effect
/// and would only make the event longer.
pub(crate) fn recorded(body: &Value) -> Option<Json> {
    let body = body.as_object()?;
    let mut known = Map::new();
    for field in DELETE_FIELDS {
        let Some(value) = body.get(field) else { continue };
        let value = match value {
            Value::Object(inner) => {
                let texts = ["uid", "resourceVersion"].into_iter();
                let texts = texts.filter_map(|key| Some((key.to_owned(), inner.get(key)?.clone())));
                Value::Object(texts.collect())
            }
            other => other.clone(),
        };
        known.insert(field.to_owned(), value);
    }
    Json::serialize(&known).ok()
}

fn check_grace_period(request: &Request) -> Result<(), ApiError> {
    let period = first(request, "gracePeriodSeconds").unwrap_or_default();
    if period.is_empty() || period.parse::<i64>().is_ok() {
        return Ok(());
    }
    Err(ApiError::bad_request(format!("strconv.ParseInt: parsing {period:?}: invalid syntax")))
}

fn check_kind(body: &Value) -> Result<(), ApiError> {
    let kind = body.get("kind").and_then(Value::as_str).unwrap_or("DeleteOptions");
    if body.is_object() && kind == "DeleteOptions" {
        return Ok(());
    }
    Err(ApiError::bad_request(format!("expect object of kind DeleteOptions, got {kind}")))
}

/// Rejects fields of a wrong type: an invalid precondition or dry run must not lead to a deletion.
fn check_types(body: &Value) -> Result<(), ApiError> {
    let of = |key: &str| body.get(key).unwrap_or(&Value::Null);
    let preconditions = of("preconditions");
    let text = |value: &Value| value.is_string();
    let texts = |value: &Value| value.as_array().is_some_and(|list| list.iter().all(text));
    let in_preconditions = |key: &str| preconditions.get(key).unwrap_or(&Value::Null);
    for (field, value, is_valid, expected) in [
        ("dryRun", of("dryRun"), texts(of("dryRun")), "[]string"),
        ("propagationPolicy", of("propagationPolicy"), text(of("propagationPolicy")), "string"),
        ("orphanDependents", of("orphanDependents"), of("orphanDependents").is_boolean(), "bool"),
        (
            "gracePeriodSeconds",
            of("gracePeriodSeconds"),
            of("gracePeriodSeconds").is_i64(),
            "int64",
        ),
        ("preconditions", preconditions, preconditions.is_object(), "v1.Preconditions"),
        ("preconditions.uid", in_preconditions("uid"), text(in_preconditions("uid")), "types.UID"),
        (
            "preconditions.resourceVersion",
            in_preconditions("resourceVersion"),
            text(in_preconditions("resourceVersion")),
            "string",
        ),
    ] {
        if !is_valid && !value.is_null() {
            return Err(ApiError::bad_request(format!(
                "DeleteOptions in version \"v1\" cannot be handled as a DeleteOptions: json: cannot unmarshal {} into Go struct field DeleteOptions.{field} of type {expected}",
                metadata::type_of(value)
            )));
        }
    }
    Ok(())
}

fn propagation(
    policy: Option<&str>,
    orphan: Option<bool>,
    errors: &mut Vec<FieldError>,
) -> Option<Propagation> {
    let Some(policy) = policy else {
        return orphan
            .map(|orphan| if orphan { Propagation::Orphan } else { Propagation::Background });
    };
    if orphan.is_some() {
        let detail = "orphanDependents and deletionPropagation cannot be both set";
        errors.push(FieldError::invalid("propagationPolicy", &policy.into(), detail));
    }
    match policy {
        "Orphan" => Some(Propagation::Orphan),
        "Background" => Some(Propagation::Background),
        "Foreground" => Some(Propagation::Foreground),
        other => {
            let supported = ["Foreground", "Background", "Orphan", "nil"];
            errors.push(FieldError::not_supported("propagationPolicy", &other.into(), &supported));
            None
        }
    }
}

fn dry_run(values: &[&str], errors: &mut Vec<FieldError>) -> bool {
    for value in values.iter().filter(|value| **value != "All") {
        errors.push(FieldError::not_supported("dryRun", &(*value).into(), &["All"]));
    }
    !values.is_empty()
}

/// Returns 422 Invalid with these field errors; `Ok` if there are none.
pub(crate) fn reject_invalid(kind: &str, errors: &[FieldError]) -> Result<(), ApiError> {
    if errors.is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid("meta.k8s.io", kind, "", errors))
}

/// The first value of a query parameter.
pub(crate) fn first<'a>(request: &'a Request, key: &str) -> Option<&'a str> {
    request.query.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
}

/// All values of a query parameter.
pub(crate) fn all<'a>(request: &'a Request, key: &str) -> Vec<&'a str> {
    let matching = request.query.iter().filter(|(name, _)| name == key);
    matching.map(|(_, value)| value.as_str()).collect()
}

/// Converts a query parameter to a boolean as upstream does: every value except `0` and `false` is
/// true.
pub(crate) fn is_true(value: &str) -> bool {
    !matches!(value.to_ascii_lowercase().as_str(), "0" | "false")
}
