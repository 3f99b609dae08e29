//! The response to a request: an object, a list, or a `Status`.

use apimachinery::ApiError;
use bytes::Bytes;
use event::{Json, Status};
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;

/// A complete response, as the client receives it and as the audit event records it.
#[derive(Clone, Debug)]
pub struct ApiResponse {
    /// HTTP status code.
    pub code: StatusCode,
    /// Headers in addition to `Content-Type`, `Content-Length`, `Date`, `Audit-Id` and
    /// `Cache-Control`, which `serve` sets.
    pub headers: HeaderMap,
    /// `Content-Type` of the body; empty if the response has no body.
    pub content_type: &'static str,
    /// Response body.
    pub body: Bytes,
    /// Response object of the audit event. `None` where Kubernetes records none (raw responses,
    /// non-resource requests). Shares its memory with `body` if the response is JSON.
    pub object: Option<Json>,
    /// Set if the body is a `Status`. Becomes `responseStatus` of the audit event.
    pub status: Option<Status>,
}

/// `Content-Type` of JSON objects.
pub(crate) const JSON: &str = "application/json";

impl ApiResponse {
    /// A response with a JSON object, which is also the response object of the audit event.
    pub fn json(code: StatusCode, object: Json) -> Self {
        Self {
            code,
            headers: HeaderMap::new(),
            content_type: JSON,
            body: object.clone().into_bytes(),
            object: Some(object),
            status: None,
        }
    }

    /// A response with a `Status`, for success or failure. The status code is 500 if `status.code`
    /// is not valid.
    pub fn status(status: Status) -> Self {
        let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let document = StatusDocument {
            kind: "Status",
            api_version: "v1",
            metadata: serde_json::Map::new(),
            status: &status,
        };
        let object =
            Json::serialize(&document).unwrap_or_else(|_| Json::from_normalized(Bytes::from("{}")));
        Self { status: Some(status), ..Self::json(code, object) }
    }
}

impl From<ApiError> for ApiResponse {
    fn from(error: ApiError) -> Self {
        let mut response = Self::status(error.status);
        if let Some(seconds) = error.retry_after {
            response.headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusDocument<'a> {
    kind: &'static str,
    api_version: &'static str,
    metadata: serde_json::Map<String, serde_json::Value>,
    #[serde(flatten)]
    status: &'a Status,
}
