//! Reads an `AdmissionReview` of `admission.k8s.io/v1`.
//!
//! Objects stay JSON text. What a review lacks is empty, except the UID, without which there is no
//! answer.

use std::borrow::Cow;

use event::UserInfo;
use memchr::memmem;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The version that is supported.
const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";
/// Maximum length of a UID, in bytes. kube-apiserver's UUIDs have 36.
const UID_BYTES_MAX: usize = 64;
/// Bytes of a body in which its UID is looked for if the body cannot be parsed. kube-apiserver
/// writes it first.
const UID_WITHIN: usize = 1024;

/// Why a body is not a review. Contains no text of the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ReviewError {
    #[error("the body is not an AdmissionReview with a request: invalid JSON or a wrong type")]
    Json,
    #[error("the kind is not AdmissionReview")]
    Kind,
    #[error(
        "admission.k8s.io/v1beta1 is not supported: list only v1 in admissionReviewVersions of the \
         webhook"
    )]
    Beta,
    #[error("the apiVersion is not admission.k8s.io/v1")]
    Version,
    #[error("the review has no request")]
    NoRequest,
    #[error("the uid of the request is not a text of 1 to 64 letters, digits and hyphens")]
    Uid,
    #[error("the operation is not CREATE, UPDATE, DELETE or CONNECT")]
    Operation,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review<'a> {
    #[serde(borrow, default)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    api_version: Cow<'a, str>,
    #[serde(borrow, default)]
    request: Option<AdmissionRequest<'a>>,
}

/// What is asked about.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AdmissionRequest<'a> {
    #[serde(borrow, default)]
    pub(super) uid: Cow<'a, str>,
    /// The resource as the webhook's rule names it.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) resource: GroupVersionResource<'a>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) sub_resource: Cow<'a, str>,
    /// The resource as the client named it; another version or group if the webhook's rule matched
    /// an equivalent one.
    #[serde(borrow, default)]
    pub(super) request_resource: Option<GroupVersionResource<'a>>,
    #[serde(borrow, default)]
    pub(super) request_sub_resource: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) name: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) namespace: Cow<'a, str>,
    #[serde(borrow, default)]
    operation: Cow<'a, str>,
    #[serde(default)]
    pub(super) user_info: UserInfo,
    #[serde(borrow, default)]
    pub(super) object: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) old_object: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) options: Option<&'a RawValue>,
    #[serde(default)]
    pub(super) dry_run: Option<bool>,
}

/// The name of a resource.
#[derive(Default, Deserialize)]
pub(super) struct GroupVersionResource<'a> {
    #[serde(borrow, default)]
    pub(super) group: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) version: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) resource: Cow<'a, str>,
}

/// What the client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Create,
    Update,
    Delete,
    Connect,
}

impl Operation {
    /// The verb of the event. A patch and an update look alike in a review.
    pub(super) const fn verb(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Connect => "connect",
        }
    }
}

impl AdmissionRequest<'_> {
    pub(super) fn operation(&self) -> Result<Operation, ReviewError> {
        Ok(match &*self.operation {
            "CREATE" => Operation::Create,
            "UPDATE" => Operation::Update,
            "DELETE" => Operation::Delete,
            "CONNECT" => Operation::Connect,
            _ => return Err(ReviewError::Operation),
        })
    }
}

/// The request of a review.
pub(super) fn read(body: &[u8]) -> Result<AdmissionRequest<'_>, ReviewError> {
    let review: Review<'_> = serde_json::from_slice(body).map_err(|_| ReviewError::Json)?;
    if review.kind != KIND {
        return Err(ReviewError::Kind);
    }
    match &*review.api_version {
        API_VERSION => {}
        "admission.k8s.io/v1beta1" => return Err(ReviewError::Beta),
        _ => return Err(ReviewError::Version),
    }
    let request = review.request.ok_or(ReviewError::NoRequest)?;
    request.operation()?;
    if is_uid(&request.uid) { Ok(request) } else { Err(ReviewError::Uid) }
}

/// The UID in the beginning of a body that may be incomplete or no JSON, for the answer only.
pub(super) fn find_uid(body: &[u8]) -> Option<&str> {
    const KEY: &[u8] = b"\"uid\":";
    let body = body.get(..body.len().min(UID_WITHIN))?;
    let value = body.get(memmem::find(body, KEY)? + KEY.len()..)?.trim_ascii_start();
    let value = value.strip_prefix(b"\"")?;
    let end = memchr::memchr(b'"', value)?;
    str::from_utf8(value.get(..end)?).ok().filter(|uid| is_uid(uid))
}

fn is_uid(uid: &str) -> bool {
    (1..=UID_BYTES_MAX).contains(&uid.len())
        && uid.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// A missing value and null are the default.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_review_of_the_version_v1_with_a_uid_is_read() {
        let review = |version: &str, request: &str| {
            format!(
                r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/{version}"{request}}}"#
            )
        };
        let request = r#","request":{"uid":"u-1","operation":"DELETE"}"#;
        for (body, expected) in [
            (review("v1", request), None),
            (review("v1beta1", request), Some(ReviewError::Beta)),
            (review("v2", request), Some(ReviewError::Version)),
            (review("v1", ""), Some(ReviewError::NoRequest)),
            (review("v1", r#","request":{"operation":"DELETE"}"#), Some(ReviewError::Uid)),
            (
                review("v1", r#","request":{"uid":"a b","operation":"DELETE"}"#),
                Some(ReviewError::Uid),
            ),
            (
                review("v1", r#","request":{"uid":"u","operation":"READ"}"#),
                Some(ReviewError::Operation),
            ),
            (review("v1", r#","request":{"uid":7}"#), Some(ReviewError::Json)),
            (
                r#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1"}"#.into(),
                Some(ReviewError::Kind),
            ),
            ("{".into(), Some(ReviewError::Json)),
            (String::new(), Some(ReviewError::Json)),
        ] {
            assert_eq!(read(body.as_bytes()).err(), expected, "{body}");
        }
    }

    #[test]
    fn the_uid_of_a_body_that_is_cut_off_is_found() {
        for (body, expected) in [
            (r#"{"kind":"AdmissionReview","request":{"uid":"u-1","object":{"#, Some("u-1")),
            (r#"{"request": {"uid": "u-1""#, Some("u-1")),
            (r#"{"request":{"uid":"u-1"#, None),
            (r#"{"request":{"uid":"a\"b"}}"#, None),
            (r#"{"request":{"uid":7}}"#, None),
            ("", None),
        ] {
            assert_eq!(find_uid(body.as_bytes()), expected, "{body}");
        }
        let late = format!("{}\"uid\":\"u\"", " ".repeat(UID_WITHIN));
        assert_eq!(find_uid(late.as_bytes()), None);
    }
}
