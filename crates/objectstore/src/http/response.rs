//! Extracts the status, the error code and the retry delay from a response.
//!
//! The text of a response is discarded: it can contain anything, and errors are written to logs and
//! statuses.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::http::{HeaderMap, HeaderValue, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use sink::error_chain;

/// Maximum number of bytes that are read from the body of an error, or of the response to an
/// upload.
const ERROR_BODY_BYTES_MAX: usize = 64 << 10;
/// Timeout for reading them.
const ERROR_BODY_TIME_MAX: Duration = Duration::from_secs(10);
/// Maximum length of a code, in bytes.
const CODE_BYTES_MAX: usize = 64;
/// The reason that is reported for every request without a response.
pub(crate) const NO_RESPONSE: &str = "no answer";
/// Header with the checksum of an upload, in the request and in its response.
pub(super) const CHECKSUM: &str = "x-amz-checksum-sha256";

/// Passes information about a response from the HTTP client to the caller of `object_store`.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResponseSlot(Arc<Mutex<ResponseInfo>>);

/// Information about a response.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResponseInfo {
    /// `None` if there was no response.
    pub(crate) status: Option<StatusCode>,
    /// The store's error code, such as `NoSuchBucket`: letters, digits, `-`, `_`, `.`.
    pub(crate) code: String,
    /// The value of `Retry-After`.
    pub(crate) retry_after: Option<Duration>,
    /// The region of the bucket, if the store names it.
    pub(crate) region: String,
    /// Why there was no response.
    pub(crate) failure: String,
    /// No connection was established.
    pub(crate) is_connect_error: bool,
}

/// The failure of a request without the text of the response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RequestError {
    /// The store responded.
    #[error("the store responded with {status}{}{code}", if code.is_empty() { "" } else { " " })]
    Response { status: u16, code: String },
    /// The store did not respond.
    #[error("{0}")]
    NoResponse(String),
}

impl ResponseInfo {
    /// Whether there was no response and the reason must not be shown.
    pub(crate) fn is_no_response(&self) -> bool {
        self.status.is_none() && self.failure == NO_RESPONSE
    }

    /// The failure as an error.
    pub(crate) fn to_error(&self) -> RequestError {
        match self.status {
            Some(status) => {
                RequestError::Response { status: status.as_u16(), code: self.code.clone() }
            }
            None => RequestError::NoResponse(self.failure.clone()),
        }
    }
}

impl ResponseSlot {
    pub(crate) fn info(&self) -> ResponseInfo {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, info: ResponseInfo) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = info;
    }
}

/// The extensions of a request, so that the client stores the response in `slot`.
pub(crate) fn extensions(slot: &ResponseSlot) -> object_store::Extensions {
    let mut extensions = object_store::Extensions::default();
    extensions.insert(slot.clone());
    extensions
}

/// Information about a failure. The text of `object_store` is used only if no request was sent.
pub(crate) fn response_info(slot: &ResponseSlot, error: &object_store::Error) -> ResponseInfo {
    let mut info = slot.info();
    if info.status.is_none() && info.failure.is_empty() {
        info.failure = error_chain(error);
    }
    info
}

/// The code of an error in a response that reports success; empty if there is none.
pub(super) fn integrity_error(
    checksum: Option<&HeaderValue>,
    headers: &HeaderMap,
    text: &[u8],
) -> String {
    let differs = checksum
        .zip(headers.get(CHECKSUM))
        .is_some_and(|(sent, stored)| sent.as_bytes() != stored.as_bytes());
    if differs { "BadDigest".to_owned() } else { error_code(text) }
}

/// The body of a response, or nothing if it is too long or too slow.
pub(super) async fn read_error_body(body: Incoming) -> Bytes {
    let read = Limited::new(body, ERROR_BODY_BYTES_MAX).collect();
    match tokio::time::timeout(ERROR_BODY_TIME_MAX, read).await {
        Ok(Ok(read)) => read.to_bytes(),
        Ok(Err(_)) | Err(_) => Bytes::new(),
    }
}

/// The `<Code>` of an error in XML, the reason of one in JSON, or nothing.
pub(super) fn error_code(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    if text.trim_start().starts_with('{') {
        return json_error_code(&text).unwrap_or_default();
    }
    let rest = text.split_once("<Code>").map_or("", |(_, rest)| rest);
    sanitize_code(rest.split_once("</Code>").map_or("", |(code, _)| code).as_bytes())
}

/// The code in an error of Google's or Azure's JSON APIs, or of a store that speaks S3 with JSON
/// errors.
fn json_error_code(text: &str) -> Option<String> {
    let document: serde_json::Value = serde_json::from_str(text).ok()?;
    let pointers =
        ["/error/errors/0/reason", "/error/code", "/error/status", "/Code", "/code", "/error"];
    let mut codes = pointers.iter().filter_map(|pointer| document.pointer(pointer)?.as_str());
    codes.next().map(|code| sanitize_code(code.as_bytes()))
}

/// The code, if it is short and has only letters, digits, `-`, `_` and `.`: it is written to logs
/// and statuses. Otherwise an empty text.
pub(super) fn sanitize_code(bytes: &[u8]) -> String {
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if bytes.len() > CODE_BYTES_MAX || !bytes.iter().all(is_allowed) {
        return String::new();
    }
    String::from_utf8_lossy(bytes).into_owned()
}
