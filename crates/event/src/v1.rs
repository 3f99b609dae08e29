//! The encoding `v1`: exactly the line that kube-apiserver's log backend writes.
//!
//! There is one intended difference: control characters and bidirectional marks that Go leaves
//! unchanged are escaped. The meaning is the same.

use serde::{Deserialize, Deserializer};

use crate::decoded::{Notes, WordError, decode, utf8};
use crate::line::Encoding;
use crate::object::{self, Object};
use crate::scan::Halves;
use crate::view::Reference;
use crate::{Event, View};

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
        /// The kind as found.
        kind: String,
        /// The version as found.
        api_version: String,
    },
    /// The level or stage is unknown, or the stage is missing.
    #[error("not an audit.k8s.io/v1 event")]
    Word(#[source] WordError),
}

/// Append the line of an event, without the newline.
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

/// Read one line. Everything that Kubernetes' decoder accepts is accepted, except that `stage` is
/// required. `kind` and `apiVersion` may be missing.
pub fn read(line: &[u8]) -> Result<Event, ReadError> {
    let notes = &mut Notes::default();
    let text = utf8(line, notes);
    let found = decode(&text, Encoding::V1, Halves::Replace, notes).map_err(ReadError::Field)?;
    let fits = |found: &str, expected: &str| found.is_empty() || found == expected;
    if !fits(&found.kind, KIND) || !fits(&found.api_version, API_VERSION) {
        let (kind, api_version) = (found.kind, found.api_version);
        return Err(ReadError::Kind { kind, api_version });
    }
    let mut event = found.into_event().map_err(ReadError::Word)?;
    notes.annotate(&mut event);
    Ok(event)
}

/// Deserialize null as the default value, as Go's decoder does.
pub(crate) fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}
