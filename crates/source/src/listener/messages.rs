//! Parts of HTTP requests and responses that the listeners share.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;

use crate::limits::BODY_PAUSE_MAX;

/// A body was not received completely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body was not received completely")]
pub(crate) struct BodyError;

/// Why a request cannot have events, by its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeadError {
    #[error("the method is POST")]
    Method,
    #[error("the Content-Type is application/json, without Content-Encoding")]
    MediaType,
}

impl HeadError {
    pub(crate) fn response(self) -> Response<Full<Bytes>> {
        let (code, header) = match self {
            Self::Method => {
                (StatusCode::METHOD_NOT_ALLOWED, Some((ALLOW, HeaderValue::from_static("POST"))))
            }
            Self::MediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, None),
        };
        text_response(code, header, &self.to_string())
    }
}

/// Checks that a request is a POST of JSON.
pub(crate) fn check_head<B>(request: &Request<B>) -> Result<(), HeadError> {
    if request.method() != Method::POST {
        return Err(HeadError::Method);
    }
    if !is_plain_json(request.headers()) {
        return Err(HeadError::MediaType);
    }
    Ok(())
}

/// The next part of a body; `None` at its end. Trailers are ignored.
pub(crate) async fn next_frame(body: &mut Incoming) -> Result<Option<Bytes>, BodyError> {
    loop {
        let frame = tokio::time::timeout(BODY_PAUSE_MAX, body.frame()).await;
        let Some(frame) = frame.map_err(|_| BodyError)? else { return Ok(None) };
        if let Ok(bytes) = frame.map_err(|_| BodyError)?.into_data() {
            return Ok(Some(bytes));
        }
    }
}

/// Whether a body is JSON and not compressed, as kube-apiserver sends it.
fn is_plain_json(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or("?"));
    let media_type = text(CONTENT_TYPE).unwrap_or_default().split(';').next().unwrap_or_default();
    let encoding = text(CONTENT_ENCODING).unwrap_or("identity");
    media_type.trim().eq_ignore_ascii_case("application/json")
        && encoding.trim().eq_ignore_ascii_case("identity")
}

/// A response with one line of text.
pub(crate) fn text_response(
    code: StatusCode,
    header: Option<(HeaderName, HeaderValue)>,
    text: &str,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("{text}\n")));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.extend(header);
    response
}
