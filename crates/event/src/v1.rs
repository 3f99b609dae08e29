//! The encoding `v1`: exactly the line that kube-apiserver's log backend writes.
//!
//! One difference, on purpose: control characters and bidirectional marks that Go leaves as they
//! are come escaped. The meaning is the same.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::object::{self, Object};
use crate::view::Reference;
use crate::{
    AuthenticationMetadata, Event, Json, JsonError, Level, ObjectReference, Stage, Status,
    Timestamp, UserInfo, View,
};

const KIND: &str = "Event";
const API_VERSION: &str = "audit.k8s.io/v1";

/// Why a line is not an `audit.k8s.io/v1` event.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Not JSON, a field of the wrong type, or a level or stage that does not exist.
    #[error("not an audit.k8s.io/v1 event")]
    Field(#[source] serde_json::Error),
    /// A document of another kind or version.
    #[error("kind {kind:?} of apiVersion {api_version:?} is not an audit.k8s.io/v1 event")]
    Kind {
        /// As found.
        kind: String,
        /// As found.
        api_version: String,
    },
    /// A body that is not JSON as we take it.
    #[error("{field} of an audit.k8s.io/v1 event cannot be kept")]
    Body {
        /// Its key.
        field: &'static str,
        /// What is wrong.
        source: JsonError,
    },
}

/// Appends one event, without the newline.
pub fn write(event: &View<'_>, line: &mut Vec<u8>) {
    let View { head, request_object, response_object, seq } = event;
    line.reserve(1024 + event.body_bytes());
    let mut object = Object::open(line);
    object.word(br#","kind":"#, KIND);
    object.word(br#","apiVersion":"#, API_VERSION);
    object.word(br#","level":"#, head.level.as_str());
    object.text(br#","auditID":"#, head.audit_id);
    object.word(br#","stage":"#, head.stage.as_str());
    object.text(br#","requestURI":"#, head.request_uri);
    object.text(br#","verb":"#, head.verb);
    object::user(&head.user, object.key(br#","user":"#));
    if let Some(user) = &head.impersonated_user {
        object::user(user, object.key(br#","impersonatedUser":"#));
    }
    if let Some(metadata) = &head.authentication_metadata {
        let mut inner = Object::open(object.key(br#","authenticationMetadata":"#));
        inner.text_unless_empty(
            br#","impersonationConstraint":"#,
            metadata.impersonation_constraint,
        );
        inner.close();
    }
    if !head.source_ips.is_empty() {
        object::texts(&head.source_ips, object.key(br#","sourceIPs":"#));
    }
    object.text_unless_empty(br#","userAgent":"#, head.user_agent);
    if let Some(reference) = &head.object_ref {
        object_ref(reference, object.key(br#","objectRef":"#));
    }
    if let Some(status) = &head.response_status {
        object::status(status, object.key(br#","responseStatus":"#));
    }
    if let Some(body) = request_object {
        object.raw(br#","requestObject":"#, body);
    }
    if let Some(body) = response_object {
        object.raw(br#","responseObject":"#, body);
    }
    object.time(
        br#","requestReceivedTimestamp":"#,
        head.request_received_timestamp.quoted().as_ref(),
    );
    object.time(br#","stageTimestamp":"#, head.stage_timestamp.quoted().as_ref());
    if !head.annotations.is_empty() || seq.is_some() {
        object::annotations(&head.annotations, *seq, object.key(br#","annotations":"#));
    }
    object.close();
}

fn object_ref(reference: &Reference<'_>, line: &mut Vec<u8>) {
    let mut object = Object::open(line);
    object.text_unless_empty(br#","resource":"#, reference.resource);
    object.text_unless_empty(br#","namespace":"#, reference.namespace);
    object.text_unless_empty(br#","name":"#, reference.name);
    object.text_unless_empty(br#","uid":"#, reference.uid);
    object.text_unless_empty(br#","apiGroup":"#, reference.api_group);
    object.text_unless_empty(br#","apiVersion":"#, reference.api_version);
    object.text_unless_empty(br#","resourceVersion":"#, reference.resource_version);
    object.text_unless_empty(br#","subresource":"#, reference.subresource);
    object.close();
}

/// Reads one line. Unknown fields are passed over. As in Go's decoder, a field that is missing or
/// null is empty; but `level` and `stage` must be there, because an event without them says nothing.
pub fn read(line: &[u8]) -> Result<Event, ReadError> {
    let found: Line<'_> = serde_json::from_slice(line).map_err(ReadError::Field)?;
    let fits = |found: &str, expected: &str| found.is_empty() || found == expected;
    if !fits(&found.kind, KIND) || !fits(&found.api_version, API_VERSION) {
        let (kind, api_version) = (found.kind.into_owned(), found.api_version.into_owned());
        return Err(ReadError::Kind { kind, api_version });
    }
    let body = |field: &'static str, raw: Option<&RawValue>| {
        raw.map(|raw| Json::parse(Bytes::copy_from_slice(raw.get().as_bytes())))
            .transpose()
            .map_err(|source| ReadError::Body { field, source })
    };
    Ok(Event {
        request_object: body("requestObject", found.request_object)?,
        response_object: body("responseObject", found.response_object)?,
        level: found.level,
        audit_id: found.audit_id,
        stage: found.stage,
        request_uri: found.request_uri,
        verb: found.verb,
        user: found.user,
        impersonated_user: found.impersonated_user,
        authentication_metadata: found.authentication_metadata,
        source_ips: found.source_ips,
        user_agent: found.user_agent,
        object_ref: found.object_ref,
        response_status: found.response_status,
        request_received_timestamp: found.request_received_timestamp.unwrap_or(Timestamp::UNSET),
        stage_timestamp: found.stage_timestamp.unwrap_or(Timestamp::UNSET),
        annotations: found.annotations,
    })
}

/// A line as it is read, bodies still raw.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    kind: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    api_version: Cow<'a, str>,
    level: Level,
    #[serde(rename = "auditID", default, deserialize_with = "or_default")]
    audit_id: String,
    stage: Stage,
    #[serde(rename = "requestURI", default, deserialize_with = "or_default")]
    request_uri: String,
    #[serde(default, deserialize_with = "or_default")]
    verb: String,
    #[serde(default, deserialize_with = "or_default")]
    user: UserInfo,
    impersonated_user: Option<UserInfo>,
    authentication_metadata: Option<AuthenticationMetadata>,
    #[serde(rename = "sourceIPs", default, deserialize_with = "or_default")]
    source_ips: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    user_agent: String,
    object_ref: Option<ObjectReference>,
    response_status: Option<Status>,
    #[serde(borrow)]
    request_object: Option<&'a RawValue>,
    #[serde(borrow)]
    response_object: Option<&'a RawValue>,
    request_received_timestamp: Option<Timestamp>,
    stage_timestamp: Option<Timestamp>,
    #[serde(default, deserialize_with = "or_default")]
    annotations: BTreeMap<String, String>,
}

/// Takes null for the empty value, as Go's decoder does.
pub(crate) fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}
