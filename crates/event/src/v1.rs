//! The encoding `v1`: exactly the line that kube-apiserver's log backend writes.
//!
//! There is one intended difference: control characters and bidirectional marks that Go leaves
//! unchanged are escaped. The meaning is the same.

use serde::{Deserialize, Deserializer};

use crate::decoded::{Notes, WordError, decode, utf8};
use crate::event_ref::ObjectRef;
use crate::json_writer::{self, ObjectWriter};
use crate::line::Encoding;
use crate::normalize::Surrogates;
use crate::{Event, EventRef};

const KIND: &str = "Event";
const API_VERSION: &str = "audit.k8s.io/v1";

/// Why a line cannot be read as an `audit.k8s.io/v1` event.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The line is not JSON, a field has the wrong type, or a body is invalid.
    #[error("not an audit.k8s.io/v1 event")]
    Field(#[source] serde_json::Error),
    /// The document has another kind or version.
    #[error("kind {kind:?} of apiVersion {api_version:?} is not an audit.k8s.io/v1 event")]
    Kind {
        /// The kind in the document.
        kind: String,
        /// The version in the document.
        api_version: String,
    },
    /// The level or stage is unknown, or the stage is missing.
    #[error("not an audit.k8s.io/v1 event")]
    Word(#[source] WordError),
}

/// Append the line of an event, without the newline.
pub fn write(event: &EventRef<'_>, line: &mut Vec<u8>) {
    let EventRef { fields, request_object, response_object, seq } = event;
    line.reserve(1024 + event.body_bytes());
    let mut object = ObjectWriter::open(line);
    object.word(br#","kind":"#, KIND);
    object.word(br#","apiVersion":"#, API_VERSION);
    object.word(br#","level":"#, fields.level.as_str());
    object.text(br#","auditID":"#, fields.audit_id);
    object.word(br#","stage":"#, fields.stage.as_str());
    object.text(br#","requestURI":"#, fields.request_uri);
    object.text(br#","verb":"#, fields.verb);
    json_writer::user(&fields.user, object.key(br#","user":"#));
    if let Some(user) = &fields.impersonated_user {
        json_writer::user(user, object.key(br#","impersonatedUser":"#));
    }
    if let Some(metadata) = &fields.authentication_metadata {
        let mut inner = ObjectWriter::open(object.key(br#","authenticationMetadata":"#));
        inner.text_unless_empty(
            br#","impersonationConstraint":"#,
            metadata.impersonation_constraint,
        );
        inner.close();
    }
    if !fields.source_ips.is_empty() {
        json_writer::texts(&fields.source_ips, object.key(br#","sourceIPs":"#));
    }
    object.text_unless_empty(br#","userAgent":"#, fields.user_agent);
    if let Some(reference) = &fields.object_ref {
        object_ref(reference, object.key(br#","objectRef":"#));
    }
    if let Some(status) = &fields.response_status {
        json_writer::status(status, object.key(br#","responseStatus":"#));
    }
    if let Some(body) = request_object {
        object.raw(br#","requestObject":"#, body);
    }
    if let Some(body) = response_object {
        object.raw(br#","responseObject":"#, body);
    }
    object.time(
        br#","requestReceivedTimestamp":"#,
        fields.request_received_timestamp.quoted().as_ref(),
    );
    object.time(br#","stageTimestamp":"#, fields.stage_timestamp.quoted().as_ref());
    if !fields.annotations.is_empty() || seq.is_some() {
        json_writer::annotations(&fields.annotations, *seq, object.key(br#","annotations":"#));
    }
    object.close();
}

fn object_ref(reference: &ObjectRef<'_>, line: &mut Vec<u8>) {
    let mut object = ObjectWriter::open(line);
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

/// Read one line. Everything that Kubernetes' decoder accepts is accepted, except that `stage` is
/// required. `kind` and `apiVersion` may be missing.
pub fn read(line: &[u8]) -> Result<Event, ReadError> {
    let notes = &mut Notes::default();
    let text = utf8(line, notes);
    let decoded =
        decode(&text, Encoding::V1, Surrogates::Replace, notes).map_err(ReadError::Field)?;
    let fits = |actual: &str, expected: &str| actual.is_empty() || actual == expected;
    if !fits(&decoded.kind, KIND) || !fits(&decoded.api_version, API_VERSION) {
        let (kind, api_version) = (decoded.kind, decoded.api_version);
        return Err(ReadError::Kind { kind, api_version });
    }
    let mut event = decoded.into_event().map_err(ReadError::Word)?;
    notes.annotate(&mut event);
    Ok(event)
}

/// Deserialize null as the default value, as Go's decoder does.
pub(crate) fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}
