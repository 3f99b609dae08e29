//! What an event contains of the bodies of a forwarded request.
//!
//! JSON and YAML are recorded as they are, within the limits of other bodies. Of everything else,
//! the event has the media type, the length and the digest. A long body of a request is decoded only
//! after the upstream has authorized the request.

use std::io::Read as _;
use std::sync::Arc;

use apimachinery::RequestInfo;
use apimachinery::serializer::{self, decode_yaml};
use bytes::Bytes;
use event::limit::{digest, opaque_mark};
use event::{Json, Level, Status};
use flate2::read::GzDecoder;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use crate::limits::{
    FORWARDED_EARLY_BYTES_MAX, FORWARDED_RECORDED_BYTES_MAX, JSON_INLINE_BYTES_MAX,
    OTHER_INLINE_BYTES_MAX,
};
use crate::state::ServerState;
use crate::{AuditContext, Request};

const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
const APPLY_YAML: &str = "application/apply-patch+yaml";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// Records the body of a request that is not authorized yet: a short one completely, of a longer one
/// the length and the digest. Of a longer one `is_withheld` records nothing.
pub(super) fn before(request: &Request, audit: &mut AuditContext, is_withheld: bool) {
    if !has_recorded_body(request, audit) {
        return;
    }
    if !is_long(request) {
        let decoded = decoded(&media_type(&request.headers), &request.body, &request.info.verb);
        record(request, audit, decoded);
    } else if !is_withheld {
        audit.request_body(mark(&media_type(&request.headers), &request.body));
    }
}

/// Records a long body completely, after the upstream has authorized the request. A few are decoded
/// at a time.
pub(super) async fn after(state: &ServerState, request: &Request, audit: &mut AuditContext) {
    if !has_recorded_body(request, audit) || !is_long(request) || audit.level() < Level::Request {
        return;
    }
    let media_type = media_type(&request.headers);
    let inline = if is_json(&media_type) { JSON_INLINE_BYTES_MAX } else { OTHER_INLINE_BYTES_MAX };
    let (body, verb) = (request.body.clone(), request.info.verb.clone());
    let decoded = if body.len() <= inline {
        decoded(&media_type, &body, &verb)
    } else {
        // It takes milliseconds, in which the thread would serve no other request.
        let permit = Arc::clone(&state.in_flight.readers).acquire_owned().await;
        let decoding = tokio::task::spawn_blocking(move || {
            let decoded = decoded(&media_type, &body, &verb);
            drop(permit);
            decoded
        });
        let Ok(decoded) = decoding.await else { return };
        decoded
    };
    record(request, audit, decoded);
}

fn has_recorded_body(request: &Request, audit: &AuditContext) -> bool {
    !audit.is_disabled() && !request.body.is_empty() && request.info.is_resource_request
}

fn is_long(request: &Request) -> bool {
    request.body.len() > FORWARDED_EARLY_BYTES_MAX
}

fn record(request: &Request, audit: &mut AuditContext, decoded: Result<Json, Json>) {
    match decoded {
        Ok(object) if request.info.verb == "patch" => audit.request_patch(&object),
        Ok(object) => audit.request_object(&object),
        Err(mark) => audit.request_body(mark),
    }
}

/// The body as JSON. The error is what is recorded of one that cannot be decoded.
fn decoded(media_type: &str, body: &Bytes, verb: &str) -> Result<Json, Json> {
    decode_request(media_type, body, verb).ok_or_else(|| mark(media_type, body))
}

/// Media type, length and digest.
fn mark(media_type: &str, body: &Bytes) -> Json {
    opaque_mark(body.len() as u64, &digest(body), media_type)
}

/// The body as JSON; `None` if it cannot be decoded.
fn decode_request(media_type: &str, body: &Bytes, verb: &str) -> Option<Json> {
    match media_type {
        media_type if is_json(media_type) => Json::parse(body.clone()).ok(),
        YAML | APPLY_YAML => {
            let document = decode_yaml(body).ok()?;
            Json::serialize(&document.value).ok()
        }
        PROTOBUF if matches!(verb, "delete" | "deletecollection") => {
            let options = serializer::decode(PROTOBUF, body, "v1", "DeleteOptions").ok()?;
            Json::serialize(&options.value).ok()
        }
        _ => None,
    }
}

/// What the event has of a complete response.
pub(super) fn response(
    info: &RequestInfo,
    level: Level,
    (code, headers): (StatusCode, &HeaderMap),
    body: &Bytes,
) -> audit::Response {
    let code = code.as_u16();
    if body.is_empty() || level == Level::None {
        return audit::Response { code, ..audit::Response::default() };
    }
    let media_type = media_type(headers);
    let plain = plain(headers, body);
    let json = plain.filter(|_| is_json(&media_type)).and_then(|plain| Json::parse(plain).ok());
    let status = json.as_ref().and_then(|json| status(json.as_bytes()));
    // As upstream, only requests for resources have a response object.
    let records_object = info.is_resource_request && level >= Level::RequestResponse;
    let object = records_object.then(|| {
        json.unwrap_or_else(|| opaque_mark(body.len() as u64, &digest(body), &media_type))
    });
    audit::Response { code, status, object }
}

/// The body without compression; `None` if its encoding is unknown or it is too long.
fn plain(headers: &HeaderMap, body: &Bytes) -> Option<Bytes> {
    match headers.get(CONTENT_ENCODING).map(http::HeaderValue::as_bytes) {
        None | Some(b"identity") => Some(body.clone()),
        Some(b"gzip") => {
            let mut plain = Vec::new();
            let max = FORWARDED_RECORDED_BYTES_MAX as u64 + 1;
            GzDecoder::new(body.as_ref()).take(max).read_to_end(&mut plain).ok()?;
            (plain.len() <= FORWARDED_RECORDED_BYTES_MAX).then(|| Bytes::from(plain))
        }
        Some(_) => None,
    }
}

/// The status, if the object is one.
fn status(object: &[u8]) -> Option<Status> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct TypeMeta {
        kind: Option<String>,
        api_version: Option<String>,
    }
    // Most objects do not contain the word.
    memchr::memmem::find(object, b"\"Status\"")?;
    let meta: TypeMeta = serde_json::from_slice(object).ok()?;
    let is_status =
        meta.kind.as_deref() == Some("Status") && meta.api_version.as_deref() == Some("v1");
    if is_status { serde_json::from_slice(object).ok() } else { None }
}

/// The media type without parameters, in lower case. Without a content type, JSON is assumed, as in
/// Kubernetes.
pub(super) fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or(JSON);
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether the media type is JSON, such as that of a patch.
pub(super) fn is_json(media_type: &str) -> bool {
    media_type.is_empty() || media_type == JSON || media_type.ends_with("+json")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))
            })
            .collect()
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[track_caller]
    fn check(pairs: &[(&'static str, &'static str)], body: &[u8], expected: (&str, &str)) {
        let info = RequestInfo { is_resource_request: true, ..RequestInfo::default() };
        let head = (StatusCode::OK, &headers(pairs));
        let body = Bytes::copy_from_slice(body);
        let response = response(&info, Level::RequestResponse, head, &body);
        let object = response.object.unwrap();
        let object = String::from_utf8_lossy(object.as_bytes()).into_owned();
        assert!(object.starts_with(expected.0), "{object}");
        assert_eq!(response.status.unwrap_or_default().reason, expected.1);
    }

    #[test]
    fn what_is_recorded_of_a_response_depends_on_its_encoding() {
        let json = ("content-type", "application/json; charset=utf-8");
        check(&[json], br#"{"kind":"Flunder"}"#, (r#"{"kind":"Flunder"}"#, ""));
        let status = br#"{"kind":"Status","apiVersion":"v1","reason":"NotFound","code":404}"#;
        check(&[json], status, (r#"{"kind":"Status""#, "NotFound"));
        let other = br#"{"kind":"Flunder","spec":{"kind":"Status"},"reason":"NotFound"}"#;
        check(&[json], other, (r#"{"kind":"Flunder""#, ""));
        let zipped = ("content-encoding", "gzip");
        check(&[json, zipped], &gzip(status), (r#"{"kind":"Status""#, "NotFound"));
        let cut = r#"{"keepwatch.io/cut":{"bytes":"#;
        check(&[json, zipped], &gzip(&vec![b' '; 2 << 20]), (cut, ""));
        check(&[json, ("content-encoding", "br")], status, (cut, ""));
        check(&[("content-type", PROTOBUF)], b"k8s\0...", (cut, ""));
        check(&[json], b"not JSON", (cut, ""));
    }

    #[test]
    fn a_request_body_is_recorded_in_json_if_it_can_be_decoded() {
        let decoded = |media_type: &str, body: &'static str, verb: &str| {
            let body = Bytes::from_static(body.as_bytes());
            decode_request(media_type, &body, verb)
                .map(|json| String::from_utf8_lossy(json.as_bytes()).into_owned())
        };
        let object = Some(r#"{"a":1}"#.to_owned());
        assert_eq!(decoded("application/json", r#"{"a": 1}"#, "create"), object);
        assert_eq!(decoded("application/merge-patch+json", r#"{"a": 1}"#, "patch"), object);
        assert_eq!(decoded(APPLY_YAML, "a: 1", "patch"), object);
        assert_eq!(decoded(PROTOBUF, "k8s\0", "create"), None);
        assert_eq!(decoded("application/json", "{", "create"), None);
    }
}
