//! Paths that are not resources: version, index, health, metrics, and what the registry offers.

use bytes::Bytes;
use event::Json;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::Serialize;

use crate::authn::ANONYMOUS;
use crate::state::ServerState;
use crate::{Answer, ApiError, Request};

/// `Content-Type` of plain text, as Go writes it.
const TEXT: &str = "text/plain; charset=utf-8";

/// What `/version` says, as `k8s.io/apimachinery/pkg/version` `Info`.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VersionInfo {
    /// Such as `1`.
    pub major: String,
    /// Such as `37`.
    pub minor: String,
    /// Such as `v1.37.0`.
    pub git_version: String,
    /// Commit, if known.
    pub git_commit: String,
    /// `clean` or `dirty`.
    pub git_tree_state: String,
    /// RFC 3339.
    pub build_date: String,
    /// Of the language: kubectl prints it.
    pub go_version: String,
    /// Of the language.
    pub compiler: String,
    /// Such as `linux/amd64`.
    pub platform: String,
}

/// Answers a request that is not for a resource.
pub(crate) fn answer(state: &ServerState, request: &Request) -> Answer {
    let path = request.info.path.as_str();
    if let Some(answer) = state.registry.route_non_resource(request) {
        return answer;
    }
    let is_read = matches!(request.method, Method::GET | Method::HEAD);
    match path {
        "/metrics" if is_read => state.metrics.answer(),
        "/version" | "/version/" if is_read => document(&state.version),
        "/" | "/index.html" if is_read => document(&Index { paths: &state.paths }),
        _ => {
            let is_known = request.user.username != ANONYMOUS;
            let health = state.health.answer(path, &request.query, is_known);
            health.unwrap_or_else(not_found)
        }
    }
}

/// The answer for a path at which nothing is served.
pub(crate) fn not_found() -> Answer {
    text(StatusCode::NOT_FOUND, "404 page not found\n")
}

#[derive(Serialize)]
struct Index<'p> {
    paths: &'p [String],
}

/// Plain text that a browser takes for nothing else.
pub(crate) fn text(code: StatusCode, text: impl Into<String>) -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    let body = Bytes::from(text.into());
    Answer { code, headers, content_type: TEXT, body, object: None, status: None }
}

fn document<T: Serialize>(value: &T) -> Answer {
    match Json::of(value) {
        Ok(json) => Answer { object: None, ..Answer::json(StatusCode::OK, json) },
        Err(error) => Answer::from(ApiError::internal(&error.to_string())),
    }
}
