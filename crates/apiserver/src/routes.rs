//! Non-resource paths: version, index, health, metrics, and the documents of the registry.

pub(crate) mod discovery;
pub(crate) mod openapi;
pub(crate) mod static_documents;

use apimachinery::ApiError;
use bytes::Bytes;
use event::Json;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::Serialize;

use crate::authn::ANONYMOUS;
use crate::state::ServerState;
use crate::{ApiResponse, Request};

/// `Content-Type` of plain text, as Go writes it.
const TEXT: &str = "text/plain; charset=utf-8";

/// Response to `/version`, as `Info` of `k8s.io/apimachinery/pkg/version`.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VersionInfo {
    /// Major version, for example `1`.
    pub major: String,
    /// Minor version, for example `37`.
    pub minor: String,
    /// Full version, for example `v1.37.0`.
    pub git_version: String,
    /// Git commit; empty if unknown.
    pub git_commit: String,
    /// State of the Git work tree: `clean` or `dirty`.
    pub git_tree_state: String,
    /// Build time in RFC 3339.
    pub build_date: String,
    /// Version of the programming language; kubectl prints it.
    pub go_version: String,
    /// Compiler.
    pub compiler: String,
    /// Operating system and architecture, for example `linux/amd64`.
    pub platform: String,
}

/// Responds to a non-resource request.
pub(crate) fn response(state: &ServerState, request: &Request) -> ApiResponse {
    let path = request.info.path.as_str();
    if let Some(response) = state.registry.route_non_resource(request) {
        return response;
    }
    let is_read = matches!(request.method, Method::GET | Method::HEAD);
    match path {
        "/metrics" if is_read => state.metrics.response(&request.headers),
        "/version" | "/version/" if is_read => document(&state.version),
        "/" | "/index.html" if is_read => document(&Index { paths: &state.paths }),
        _ => {
            let is_known = request.user.username != ANONYMOUS;
            let health = state.health.response(path, &request.query, is_known);
            health.unwrap_or_else(not_found)
        }
    }
}

/// Response for an unknown path.
pub(crate) fn not_found() -> ApiResponse {
    text(StatusCode::NOT_FOUND, "404 page not found\n")
}

#[derive(Serialize)]
struct Index<'p> {
    paths: &'p [String],
}

/// Plain text response with headers that prevent content sniffing in browsers.
pub(crate) fn text(code: StatusCode, text: impl Into<String>) -> ApiResponse {
    let mut headers = HeaderMap::new();
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    let body = Bytes::from(text.into());
    ApiResponse { code, headers, content_type: TEXT, body, object: None, status: None }
}

fn document<T: Serialize>(value: &T) -> ApiResponse {
    match Json::serialize(value) {
        Ok(json) => ApiResponse { object: None, ..ApiResponse::json(StatusCode::OK, json) },
        Err(error) => ApiResponse::from(ApiError::internal(&error.to_string())),
    }
}
