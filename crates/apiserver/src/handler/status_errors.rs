//! Errors of the request handlers, in the wording of `k8s.io/apiserver`.

use apimachinery::ApiError;
use apimachinery::serializer::TREE_BYTES_MAX;
use event::{StatusCause, StatusDetails};
use http::{HeaderValue, StatusCode};

use crate::limits::BODY_BYTES_MAX;
use crate::{ApiResponse, Attributes};

/// 401: authentication failed.
pub(crate) fn unauthorized() -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized")
}

/// 403: the user is not allowed to do this. `reason` is the authorizer's.
pub(crate) fn denied(attributes: &Attributes, reason: &str) -> ApiError {
    let mut message = escape(&denial(attributes));
    if !reason.is_empty() {
        message = format!("{message}: {reason}");
    }
    if attributes.is_resource_request() {
        ApiError::forbidden(&attributes.group, &attributes.resource, &attributes.name, &message)
    } else {
        ApiError::new(StatusCode::FORBIDDEN, "Forbidden", format!("forbidden: {message}"))
            .about("", "", "")
    }
}

/// [`denied`] with a header that prevents content sniffing in browsers.
pub(crate) fn forbidden(attributes: &Attributes, reason: &str) -> ApiResponse {
    let mut response = ApiResponse::from(denied(attributes, reason));
    response.headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

fn denial(attributes: &Attributes) -> String {
    let (user, verb) = (&attributes.user.username, &attributes.verb);
    if !attributes.is_resource_request() {
        return format!("User {user:?} cannot {verb} path {:?}", attributes.path);
    }
    let mut resource = attributes.resource.clone();
    if !attributes.subresource.is_empty() {
        resource = format!("{resource}/{}", attributes.subresource);
    }
    let scope = match attributes.namespace.as_str() {
        "" => "at the cluster scope".to_owned(),
        namespace => format!("in the namespace {namespace:?}"),
    };
    let group = &attributes.group;
    format!("User {user:?} cannot {verb} resource {resource:?} in API group {group:?} {scope}")
}

/// Escapes a message, so that a browser does not interpret it as markup.
fn escape(message: &str) -> String {
    if !message.contains(['&', '<', '>']) {
        return message.to_owned();
    }
    message.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// 429: all seats are taken.
pub(crate) fn too_many_requests() -> ApiError {
    let message = "too many requests, please try again later";
    let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message);
    with_retry_after(error, 1)
}

/// 413: the request body is too long.
pub(crate) fn too_large(limit: usize) -> ApiError {
    entity_too_large(format!("Request entity too large: limit is {limit}"))
}

/// 413: a list has too many bytes for one response.
pub(crate) fn list_too_large(limit: usize) -> ApiError {
    entity_too_large(format!(
        "the list has more than {limit} bytes in this format: request it in pages, with the parameters limit and continue"
    ))
}

/// 413: the changed object is too long, or has too many values.
pub(crate) fn object_too_large() -> ApiError {
    entity_too_large(format!(
        "the object would be too large: limit is {BODY_BYTES_MAX} bytes of JSON and {TREE_BYTES_MAX} bytes of memory; remove something from it first"
    ))
}

fn entity_too_large(message: String) -> ApiError {
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message)
}

/// 504: the requested revision does not exist yet.
pub fn too_large_resource_version(revision: u64, current: u64) -> ApiError {
    let message = format!("Timeout: Too large resource version: {revision}, current: {current}");
    let mut error = ApiError::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", message);
    error.retry_after = Some(1);
    error.status.details = Some(StatusDetails {
        causes: vec![StatusCause {
            reason: "ResourceVersionTooLarge".to_owned(),
            message: "Too large resource version".to_owned(),
            field: String::new(),
        }],
        retry_after_seconds: 1,
        ..StatusDetails::default()
    });
    error
}

/// 414: the URI is too long.
pub(crate) fn uri_too_long(limit: usize) -> ApiError {
    let message = format!("Request URI too long: limit is {limit} bytes of path and query");
    ApiError::new(StatusCode::URI_TOO_LONG, "RequestURITooLong", message)
}

/// 400: a semicolon in the query. Go drops such a parameter, other parsers split it:
/// `?dryRun=All;x` would be a real write here and look like a dry run to readers of the audit log.
pub(crate) fn semicolon() -> ApiError {
    ApiError::bad_request("a semicolon is not a separator in the query: encode it as %3B")
}

/// Message to the client of a request that panicked; the panic's own message goes to the log only.
pub(crate) const PANICKED: &str =
    "This request caused apiserver to panic. Look in the logs for details.";

/// 500: the request panicked.
pub(crate) fn panicked() -> ApiError {
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", PANICKED)
}

/// 504: the request exceeded its time limit.
pub(crate) fn timeout(message: &str) -> ApiError {
    let message = format!("Timeout: {message}");
    ApiError::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", message)
}

/// 400: the requested upgrade is not supported. Only watches can be upgraded, to WebSocket.
pub(crate) fn no_upgrade() -> ApiError {
    ApiError::bad_request("a connection can be upgraded for a watch over WebSocket only")
}

fn with_retry_after(mut error: ApiError, seconds: u32) -> ApiError {
    error.retry_after = Some(seconds);
    let details = error.status.details.get_or_insert_with(StatusDetails::default);
    details.retry_after_seconds = seconds;
    error
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn check(attributes: &Attributes, reason: &str, expected: &str) {
        let response = forbidden(attributes, reason);
        assert_eq!(response.code, StatusCode::FORBIDDEN);
        assert_eq!(response.status.unwrap().message, expected);
    }

    #[test]
    fn denials_read_as_in_kubernetes() {
        let mut attributes = Attributes {
            verb: "delete".to_owned(),
            group: "a.io".to_owned(),
            resource: "things".to_owned(),
            namespace: "shop".to_owned(),
            name: "one".to_owned(),
            ..Attributes::default()
        };
        Arc::make_mut(&mut attributes.user).username = "al<ice".to_owned();
        check(
            &attributes,
            "",
            "things.a.io \"one\" is forbidden: User \"al&lt;ice\" cannot delete resource \"things\" in API group \"a.io\" in the namespace \"shop\"",
        );
        attributes.namespace.clear();
        attributes.name.clear();
        attributes.subresource = "status".to_owned();
        check(
            &attributes,
            "why",
            "things.a.io is forbidden: User \"al&lt;ice\" cannot delete resource \"things/status\" in API group \"a.io\" at the cluster scope: why",
        );
        let path = Attributes {
            verb: "get".to_owned(),
            path: "/metrics".to_owned(),
            user: Arc::clone(&attributes.user),
            ..Attributes::default()
        };
        check(&path, "", "forbidden: User \"al&lt;ice\" cannot get path \"/metrics\"");
    }
}
