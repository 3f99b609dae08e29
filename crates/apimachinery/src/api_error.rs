//! Error responses of the API, and the validation errors of fields.
//!
//! Reasons and messages follow `k8s.io/apimachinery/pkg/api/errors` and `pkg/util/validation/field`.

use event::{Status, StatusCause, StatusDetails};
use http::StatusCode;

/// Maximum number of field errors reported for one object.
pub const FIELD_ERRORS_MAX: usize = 64;

/// An error response, as `metav1.Status`. Messages follow `k8s.io/apimachinery/pkg/api/errors`,
/// because users and clients match on them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// The status that the client receives.
    pub status: Status,
    /// Value of the HTTP header `Retry-After`, in seconds; `None` omits the header.
    pub retry_after: Option<u32>,
}

/// A validation error of one field, as in `k8s.io/apimachinery/pkg/util/validation/field`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Cause type, for example `FieldValueInvalid`, `FieldValueRequired`, `FieldValueNotSupported`,
    /// `FieldValueForbidden`, `FieldValueTypeInvalid`, `FieldValueTooLong`.
    pub reason: &'static str,
    /// Field path, for example `spec.subject.name`.
    pub field: String,
    /// Message without the field path, for example `Invalid value: "x": must be …`.
    pub message: String,
}

impl FieldError {
    /// Error of a required field without a value. An empty `detail` is left out.
    pub fn required(field: impl Into<String>, detail: &str) -> Self {
        let message = if detail.is_empty() {
            "Required value".to_owned()
        } else {
            format!("Required value: {detail}")
        };
        Self { reason: "FieldValueRequired", field: field.into(), message }
    }

    /// Error of a field with an invalid value.
    pub fn invalid(field: impl Into<String>, value: &serde_json::Value, detail: &str) -> Self {
        let message = format!("Invalid value: {value}: {detail}");
        Self { reason: "FieldValueInvalid", field: field.into(), message }
    }

    /// Error of a field that must not be set or changed.
    pub fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        let message = format!("Forbidden: {detail}");
        Self { reason: "FieldValueForbidden", field: field.into(), message }
    }

    /// Error of a value that is not in the list of supported values.
    pub fn not_supported(
        field: impl Into<String>,
        value: &serde_json::Value,
        supported: &[&str],
    ) -> Self {
        let list: Vec<String> = supported.iter().map(|word| format!("{word:?}")).collect();
        let message = format!("Unsupported value: {value}: supported values: {}", list.join(", "));
        Self { reason: "FieldValueNotSupported", field: field.into(), message }
    }
}

impl ApiError {
    /// A failure with this code and reason, without details.
    pub fn new(code: StatusCode, reason: &str, message: impl Into<String>) -> Self {
        let status = Status {
            status: "Failure".to_owned(),
            message: message.into(),
            reason: reason.to_owned(),
            details: None,
            code: code.as_u16(),
        };
        Self { status, retry_after: None }
    }

    /// 400: the request is malformed.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// 404: the object does not exist. `resource` is the plural name; the message appends the
    /// group.
    pub fn not_found(group: &str, resource: &str, name: &str) -> Self {
        let message = format!("{} {name:?} not found", qualified(group, resource));
        Self::new(StatusCode::NOT_FOUND, "NotFound", message).about(group, resource, name)
    }

    /// 409: an object with this name already exists.
    pub fn already_exists(group: &str, resource: &str, name: &str) -> Self {
        let message = format!("{} {name:?} already exists", qualified(group, resource));
        Self::new(StatusCode::CONFLICT, "AlreadyExists", message).about(group, resource, name)
    }

    /// 409: the write conflicts with the current state of the object.
    pub fn conflict(group: &str, resource: &str, name: &str, detail: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} {name:?}: {detail}",
            qualified(group, resource)
        );
        Self::new(StatusCode::CONFLICT, "Conflict", message).about(group, resource, name)
    }

    /// 403: the user is not allowed to do this. `name` may be empty.
    pub fn forbidden(group: &str, resource: &str, name: &str, detail: &str) -> Self {
        let what = qualified(group, resource);
        let message = if name.is_empty() {
            format!("{what} is forbidden: {detail}")
        } else {
            format!("{what} {name:?} is forbidden: {detail}")
        };
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message).about(group, resource, name)
    }

    /// 422: the object is invalid. The message lists the field errors as Kubernetes does. Errors
    /// beyond [`FIELD_ERRORS_MAX`] are left out.
    pub fn invalid(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Self {
        let errors = errors.get(..FIELD_ERRORS_MAX).unwrap_or(errors);
        let list: Vec<String> =
            errors.iter().map(|error| format!("{}: {}", error.field, error.message)).collect();
        let list = match list.as_slice() {
            [error] => error.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let message = format!("{} {name:?} is invalid: {list}", qualified(group, kind));
        let mut error = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message)
            .about(group, kind, name);
        if let Some(details) = &mut error.status.details {
            details.causes = errors
                .iter()
                .map(|error| StatusCause {
                    reason: error.reason.to_owned(),
                    message: error.message.clone(),
                    field: error.field.clone(),
                })
                .collect();
        }
        error
    }

    /// 405: the resource does not support the verb.
    pub fn method_not_allowed(group: &str, resource: &str, verb: &str) -> Self {
        let message = format!(
            "{verb} is not supported on resources of kind {:?}",
            qualified(group, resource)
        );
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
            .about(group, resource, "")
    }

    /// 500: an internal error. `message` is visible to the client.
    pub fn internal(message: &str) -> Self {
        let message = format!("Internal error occurred: {message}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
    }

    /// 503: temporarily unavailable. The client may retry after `retry_after` seconds.
    pub fn unavailable(message: impl Into<String>, retry_after: u32) -> Self {
        let mut error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message);
        error.retry_after = Some(retry_after);
        error.status.details =
            Some(StatusDetails { retry_after_seconds: retry_after, ..StatusDetails::default() });
        error
    }

    /// Sets group, kind and name of the object in the details.
    #[must_use]
    pub fn about(mut self, group: &str, kind: &str, name: &str) -> Self {
        let details = self.status.details.get_or_insert_with(StatusDetails::default);
        group.clone_into(&mut details.group);
        kind.clone_into(&mut details.kind);
        name.clone_into(&mut details.name);
        self
    }
}

/// `resource.group`; only `resource` in the core group.
fn qualified(group: &str, resource: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}
