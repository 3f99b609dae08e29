//! Limits for the fields of an event that a client can make long: texts, lists, and the body of an
//! error response that quotes them.
//!
//! A client must not control the size of a record, because the user, verb and time follow some of
//! these fields, and unauthenticated clients can send them. A truncated value contains its original
//! length and digest.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::field_codec::Field as _;
use crate::{Event, EventRef, Json, UserInfo};

/// The maximum bytes of a name: of a user, a group, an object, a verb.
pub const NAME_BYTES_MAX: usize = 1024;
/// The maximum bytes of a request's path and query.
pub const URI_BYTES_MAX: usize = 8192;
/// The maximum bytes of a message, and of an annotation's value.
pub const MESSAGE_BYTES_MAX: usize = 4096;
/// The maximum bytes of an audit ID.
pub const AUDIT_ID_BYTES_MAX: usize = 64;
/// The maximum entries of a list: groups, addresses, extra values, causes.
pub const ENTRIES_MAX: usize = 128;
/// The maximum bytes of all groups of a user, and of all its extra values.
pub const USER_BYTES_MAX: usize = 16 << 10;
/// The maximum bytes of the body of an error response.
pub const ERROR_BODY_BYTES_MAX: usize = 16 << 10;

/// Truncate all fields that are too long. If none is, this costs only a few comparisons.
pub fn limit(event: &mut Event) {
    text(&mut event.audit_id, AUDIT_ID_BYTES_MAX);
    text(&mut event.request_uri, URI_BYTES_MAX);
    text(&mut event.verb, NAME_BYTES_MAX);
    text(&mut event.user_agent, 2 * NAME_BYTES_MAX);
    user(&mut event.user);
    event.impersonated_user.iter_mut().for_each(user);
    texts(&mut event.source_ips, NAME_BYTES_MAX);
    if let Some(object_ref) = &mut event.object_ref {
        for name in object_ref.texts_mut() {
            text(name, NAME_BYTES_MAX);
        }
    }
    for value in event.annotations.values_mut() {
        text(value, MESSAGE_BYTES_MAX);
    }
    if let Some(status) = &mut event.response_status {
        let code = status.code;
        text(&mut status.message, MESSAGE_BYTES_MAX);
        text(&mut status.reason, NAME_BYTES_MAX);
        if let Some(details) = &mut status.details {
            let names =
                [&mut details.name, &mut details.group, &mut details.kind, &mut details.uid];
            for name in names {
                text(name, NAME_BYTES_MAX);
            }
            details.causes.truncate(ENTRIES_MAX);
            let mut bytes_left = ERROR_BODY_BYTES_MAX;
            details.causes.retain_mut(|cause| {
                text(&mut cause.reason, NAME_BYTES_MAX);
                text(&mut cause.message, MESSAGE_BYTES_MAX);
                text(&mut cause.field, NAME_BYTES_MAX);
                let bytes = cause.reason.len() + cause.message.len() + cause.field.len();
                let fits = bytes <= bytes_left;
                bytes_left = bytes_left.saturating_sub(bytes);
                fits
            });
        }
        if code >= 400
            && let Some(body) = &mut event.response_object
            && body.as_bytes().len() > ERROR_BODY_BYTES_MAX
        {
            *body = cut_body(body.as_bytes());
        }
    }
}

/// The beginning of the replacement of a truncated body.
const CUT_START: &str = r#"{"keepwatch.io/cut":"#;

/// The replacement of a truncated body: an object with its length and its digest.
pub fn cut_body(body: &[u8]) -> Json {
    cut_mark(body.len() as u64, &digest(body))
}

/// The replacement of a body that is not JSON: its length, its digest in hexadecimal, and its media
/// type.
pub fn opaque_mark(bytes: u64, digest: &str, media_type: &str) -> Json {
    let mut media_type = media_type.to_owned();
    text(&mut media_type, NAME_BYTES_MAX);
    let media_type = Json::serialize(&media_type).map(Json::into_bytes).unwrap_or_default();
    let media_type = String::from_utf8_lossy(&media_type);
    let text = format!(
        r#"{CUT_START}{{"bytes":{bytes},"sha256":"{digest}","contentType":{media_type}}}}}"#
    );
    Json::from_normalized(Bytes::from(text))
}

/// Whether a body is the replacement of a truncated one.
pub fn is_cut(body: &[u8]) -> bool {
    body.starts_with(CUT_START.as_bytes())
}

/// The replacement of a truncated body of this length, with the digest in hexadecimal.
pub fn cut_mark(bytes: u64, digest: &str) -> Json {
    let text = format!(r#"{CUT_START}{{"bytes":{bytes},"sha256":"{digest}"}}}}"#);
    Json::from_normalized(Bytes::from(text))
}

/// Convert an event to an owned one with a truncated response body. The body itself, which may be long,
/// is not copied.
pub fn with_cut_response(view: &EventRef<'_>) -> Event {
    let EventRef { fields, request_object, response_object, .. } = view;
    let sent = request_object.as_deref().map(Bytes::copy_from_slice);
    Event {
        request_object: sent.map(Json::from_normalized),
        response_object: response_object.as_deref().map(cut_body),
        ..fields.to_owned_form()
    }
}

/// The SHA-256 digest of bytes, in hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        for nibble in [byte >> 4, byte & 0xf] {
            text.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
        }
    }
    text
}

/// Truncate a text so that, with the mark, it has at most `bytes_max` bytes.
pub fn text(text: &mut String, bytes_max: usize) {
    if text.len() <= bytes_max {
        return;
    }
    let digest = digest(text.as_bytes());
    let short = digest.get(..16).unwrap_or_default();
    let mark = format!("…[cut: {} bytes, sha256 {short}]", text.len());
    let end = text.floor_char_boundary(bytes_max.saturating_sub(mark.len()));
    text.truncate(end);
    text.push_str(&mark);
}

fn texts(list: &mut Vec<String>, bytes_max: usize) {
    let count = list.len();
    if count > ENTRIES_MAX {
        list.truncate(ENTRIES_MAX - 1);
        list.push(format!("…[cut: {count} entries]"));
    }
    for entry in list.iter_mut() {
        text(entry, bytes_max);
    }
    let mut bytes_left = USER_BYTES_MAX;
    let fits = list.iter().take_while(|entry| {
        let fits = entry.len() <= bytes_left;
        bytes_left = bytes_left.saturating_sub(entry.len());
        fits
    });
    let fits = fits.count();
    if fits < list.len() {
        list.truncate(fits);
        list.push(format!("…[cut: {count} entries]"));
    }
}

fn user(user: &mut UserInfo) {
    text(&mut user.username, NAME_BYTES_MAX);
    text(&mut user.uid, NAME_BYTES_MAX);
    texts(&mut user.groups, NAME_BYTES_MAX);
    let size = |(key, values): (&String, &Vec<String>)| {
        key.len() + values.iter().map(|value| value.len() + 4).sum::<usize>() + 8
    };
    let bytes: usize = user.extra.iter().map(size).sum();
    if bytes <= USER_BYTES_MAX && user.extra.len() <= ENTRIES_MAX {
        return;
    }
    let count = user.extra.len();
    let mut bytes_left = USER_BYTES_MAX;
    let extra = std::mem::take(&mut user.extra);
    for (mut key, mut values) in extra.into_iter().take(ENTRIES_MAX) {
        text(&mut key, NAME_BYTES_MAX);
        texts(&mut values, NAME_BYTES_MAX);
        let bytes = size((&key, &values));
        if bytes > bytes_left {
            break;
        }
        bytes_left -= bytes;
        user.extra.insert(key, values);
    }
    user.extra.insert("keepwatch.io/cut".to_owned(), vec![format!("{count} keys, {bytes} bytes")]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ObjectReference, Stage, Status, StatusCause, StatusDetails, Timestamp};

    /// Regression test: an unauthenticated client could create an event of five megabytes with the
    /// headers of one request.
    #[test]
    fn long_client_fields_are_truncated_and_marked() {
        let long = "ü".repeat(500_000);
        let mut event = Event::internal(Stage::ResponseComplete, &long, Timestamp::default());
        event.audit_id.clone_from(&long);
        event.request_uri.clone_from(&long);
        event.user_agent.clone_from(&long);
        event.source_ips = vec![long.clone(); 9];
        event.user = UserInfo {
            username: long.clone(),
            uid: long.clone(),
            groups: vec!["g".repeat(900); 4000],
            extra: (0..4000).map(|at| (format!("k{at}"), vec![long.clone(); 2])).collect(),
        };
        event.impersonated_user = Some(event.user.clone());
        let name = || long.clone();
        event.object_ref =
            Some(ObjectReference { name: name(), namespace: name(), ..ObjectReference::default() });
        let cause = StatusCause { message: name(), field: name(), reason: name() };
        let causes = vec![cause; 1000];
        let details = Some(StatusDetails { name: name(), causes, ..StatusDetails::default() });
        event.response_status =
            Some(Status { code: 404, message: name(), details, ..Status::default() });
        event.response_object = Json::serialize(&long).ok();
        event.annotations.insert("authorization.k8s.io/reason".to_owned(), name());
        limit(&mut event);
        let record = crate::record::write(&event);
        assert!(record.len() < 130_000, "{}", record.len());
        let full_digest = digest(long.as_bytes());
        let mark = format!("[cut: 1000000 bytes, sha256 {}]", full_digest.get(..16).unwrap());
        for text in [&event.request_uri, &event.user.username, &event.verb] {
            assert!(text.starts_with("üü") && text.ends_with(&mark), "{text}");
        }
        assert!(event.audit_id.len() <= AUDIT_ID_BYTES_MAX);
        assert!(event.user.groups.last().unwrap().contains("4000 entries"));
        assert!(event.user.extra.contains_key("keepwatch.io/cut"));
        let body = event.response_object.unwrap();
        assert!(String::from_utf8_lossy(body.as_bytes()).contains(r#""bytes":1000002"#));
    }

    #[test]
    fn a_body_that_is_not_json_is_replaced_by_valid_json() {
        for media_type in ["application/vnd.kubernetes.protobuf", "a\"b\\", &"x".repeat(5000)] {
            let mark = opaque_mark(7, "00ff", media_type);
            assert!(is_cut(mark.as_bytes()));
            let parsed: serde_json::Value = serde_json::from_slice(mark.as_bytes()).unwrap();
            assert_eq!(parsed["keepwatch.io/cut"]["bytes"], 7, "{media_type:.20}");
        }
    }

    #[test]
    fn short_fields_are_unchanged() {
        let mut event = Event::internal(Stage::Panic, "get", Timestamp::default());
        event.user.groups = vec!["a".to_owned(); 100];
        event.request_uri = "x".repeat(URI_BYTES_MAX);
        let before = event.clone();
        limit(&mut event);
        assert_eq!(event, before);
    }
}
