//! Converts what a source sent to an event of the journal, or to a quarantine event.
//!
//! The event keeps what it says, with three exceptions: bodies that may contain keys are withheld
//! as those of the server's own events, very long fields are truncated, and annotations with the
//! names of Keepwatch's own get a prefix, so that a sender cannot set them.

use std::collections::BTreeMap;

use audit::{withhold_bodies, withhold_body as withhold_one};
use bytes::Bytes;
use event::annotations::{
    self, QUARANTINE, QUARANTINE_BYTES, SOURCE, SOURCE_CLUSTER, SOURCE_DIGEST, SOURCE_KIND,
    TRUNCATED,
};
use event::decoded::WordError;
use event::limit::{self, hex};
use event::{
    Event, EventRef, InternalEvent, Json, Level, ObjectReference, Stage, Timestamp, k10, line,
    record, v1,
};
use memchr::memmem;

use crate::limits::QUARANTINE_BYTES_MAX;
use crate::splitter::{DIGEST_LEN, Digest, Item};
use crate::status::SourceStatus;

/// The prefix of the names of Keepwatch's annotations.
const OWN_PREFIX: &str = "keepwatch.io/";
/// The prefix that such a name gets if a sender uses it.
const FOREIGN_PREFIX: &str = "foreign.";
/// The source of records that are forwarded as they are.
const RAW_SOURCE: &str = "raw";
/// The names of bodies: in both encodings of events, without their first letter, and in admission
/// reviews and logs of providers. Quotes are left out where the event may be a text in JSON, whose quotes are
/// escaped.
const BODY_KEYS: [&[u8]; 10] = [
    b"equestObject",
    b"esponseObject",
    b"\"object\"",
    b"\"oldObject\"",
    b"\\\"object\\\"",
    b"\\\"oldObject\\\"",
    b"\"request\":{\"@type\"",
    b"\"response\":{\"@type\"",
    b"requestBody",
    b"responseBody",
];

/// A resource whose bodies may contain keys.
struct Withheld {
    group: &'static str,
    resource: &'static str,
    /// `None` for all.
    subresource: Option<&'static str>,
    /// What is recorded beside the fields that identify the object.
    fields: &'static [&'static str],
}

/// The bodies that are withheld, whatever the policy of the server that recorded them.
const WITHHELD: [Withheld; 4] = [
    Withheld { group: "", resource: "secrets", subresource: None, fields: &["type"] },
    Withheld {
        group: "",
        resource: "serviceaccounts",
        subresource: Some("token"),
        fields: &["spec.audiences.*", "spec.expirationSeconds", "status.expirationTimestamp"],
    },
    Withheld {
        group: "authentication.k8s.io",
        resource: "tokenreviews",
        subresource: None,
        fields: &["spec.audiences.*", "status.authenticated", "status.user.username"],
    },
    Withheld {
        group: "vault.kio.kasten.io",
        resource: "passkeys",
        subresource: None,
        fields: &["spec.secret.name", "spec.secret.namespace"],
    },
];

/// Prefix of the annotations in which kube-apiserver records the patches of mutating webhooks
/// (`PatchAuditAnnotationPrefix` in k8s.io/apiserver/pkg/admission/plugin/webhook/mutating).
const PATCH_ANNOTATION: &str = "patch.webhook.admission.k8s.io/";

/// The event of an item; the error says why there is none, without a text of the sender.
pub(crate) fn convert(item: &Item, source: &SourceStatus) -> Result<Event, String> {
    if let Some(fault) = item.fault {
        return Err(fault.to_string());
    }
    let mut event = read(&item.text)?;
    if event.level == Level::None {
        return Err("its level is None".to_owned());
    }
    if event.internal_kind().is_some() {
        return Err("it has the form of an event of Keepwatch about itself".to_owned());
    }
    rename_own(&mut event.annotations);
    for (body, bytes) in &item.cut {
        let value = event.annotations.entry(TRUNCATED.to_owned()).or_default();
        let separator = if value.is_empty() { "" } else { ", " };
        value.extend([separator, body, ": ", &bytes.to_string(), " bytes"]);
    }
    finish(&mut event, source, item.digest);
    Ok(event)
}

/// Withholds bodies that may contain keys, truncates very long fields, and sets the annotations
/// that name the source.
pub(crate) fn finish(event: &mut Event, source: &SourceStatus, digest: Digest) {
    if let Some(withheld) = event.object_ref.as_ref().and_then(withheld) {
        withhold_bodies(event, withheld.fields);
        withhold_patches(event);
    }
    limit::limit(event);
    annotate(event, source, digest);
}

/// The part of another body of the event's object that is recorded; an annotation names what is
/// not.
pub(crate) fn withhold_body(event: &mut Event, name: &str, body: Json) -> Option<Json> {
    match event.object_ref.as_ref().and_then(withheld) {
        Some(withheld) => withhold_one(event, name, &body, withheld.fields),
        None => Some(body),
    }
}

/// Reads an event in the encoding of Kubernetes, or of K10.
fn read(text: &[u8]) -> Result<Event, String> {
    let error = match v1::read(text) {
        Ok(event) => return Ok(event),
        Err(error) => error,
    };
    match line::encoding_of(text) {
        Some(line::Encoding::Kasten) => {
            k10::read(text).map_err(|_| "not an event in the encoding of K10".to_owned())
        }
        _ => Err(reason(&error)),
    }
}

/// Removes the patches of mutating admission webhooks, which contain parts of the body.
fn withhold_patches(event: &mut Event) {
    let before = event.annotations.len();
    event.annotations.retain(|key, _| !key.starts_with(PATCH_ANNOTATION));
    if event.annotations.len() < before {
        let value = event.annotations.entry(annotations::WITHHELD.to_owned()).or_default();
        let separator = if value.is_empty() { "" } else { "; " };
        value.extend([separator, "annotations: patches of admission webhooks"]);
    }
}

/// The event about an item that is not an event.
pub(crate) fn quarantine(
    item: &Item,
    reason: &str,
    source: &SourceStatus,
    now: Timestamp,
) -> Event {
    let stage = Stage::ResponseComplete;
    let mut event = InternalEvent::Quarantine.event(stage, source.name(), now);
    event.level = Level::Request;
    event.request_object = Json::serialize(&BTreeMap::from([("text", beginning(&item.text))])).ok();
    event.annotations.insert(QUARANTINE.to_owned(), reason.to_owned());
    event.annotations.insert(QUARANTINE_BYTES.to_owned(), item.len.to_string());
    annotate(&mut event, source, item.digest);
    event
}

/// The source and the identity of a record; `None` for one that is not from a source.
pub(crate) fn identity_of(record: &Bytes) -> Option<(&str, Digest)> {
    if let Some(item) = record::raw_of(record) {
        return item.ok().map(|item| (RAW_SOURCE, item.digest));
    }
    let event = EventRef::without_bodies(record).ok()?;
    let source = event.annotation(SOURCE)?;
    let text = event.annotation(SOURCE_DIGEST)?;
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let mut digest = Digest::default();
    if pairs.len() != DIGEST_LEN {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(pairs) {
        *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some((source, digest))
}

fn annotate(event: &mut Event, source: &SourceStatus, digest: Digest) {
    name_source(event, source);
    event.annotations.insert(SOURCE_DIGEST.to_owned(), hex(&digest));
}

/// Sets the annotations that name the source.
pub(crate) fn name_source(event: &mut Event, source: &SourceStatus) {
    for (key, value) in
        [(SOURCE, source.name()), (SOURCE_KIND, source.kind()), (SOURCE_CLUSTER, source.cluster())]
    {
        event.annotations.insert(key.to_owned(), value.to_owned());
    }
}

fn withheld(about: &ObjectReference) -> Option<&'static Withheld> {
    WITHHELD.iter().find(|withheld| {
        withheld.group == about.api_group
            && withheld.resource == about.resource
            && withheld.subresource.is_none_or(|subresource| subresource == about.subresource)
    })
}

/// Renames annotations that only Keepwatch may set. The mark of a body that is nested too deeply is
/// its own.
fn rename_own(annotations: &mut BTreeMap<String, String>) {
    let own = annotations.extract_if(.., |key, _| key.starts_with(OWN_PREFIX) && key != TRUNCATED);
    let renamed: Vec<(String, String)> =
        own.map(|(key, value)| (format!("{FOREIGN_PREFIX}{key}"), value)).collect();
    annotations.extend(renamed);
}

/// The beginning of a text that is not an event, up to the first body: it may contain keys.
fn beginning(text: &[u8]) -> String {
    let body = BODY_KEYS.iter().filter_map(|key| memmem::find(text, key)).min();
    let end = body.unwrap_or(text.len()).min(QUARANTINE_BYTES_MAX);
    String::from_utf8_lossy(&text[..end]).into_owned()
}

/// Why a text is not an event. The messages of the JSON decoder quote the text, so they are not
/// used.
fn reason(error: &v1::ReadError) -> String {
    match error {
        v1::ReadError::Field(error) if error.is_data() => {
            format!(
                "not an audit.k8s.io/v1 event: wrong type of a field at byte {}",
                error.column()
            )
        }
        v1::ReadError::Field(error) => format!("not JSON at byte {}", error.column()),
        v1::ReadError::Kind { .. } => "kind or apiVersion is not that of an event".to_owned(),
        v1::ReadError::Word(WordError::Missing(field)) => format!("{field} is missing"),
        v1::ReadError::Word(WordError::Unknown { field, .. }) => format!("its {field} is unknown"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"a","stage":"ResponseComplete","requestURI":"/x","verb":"create","user":{"username":"u"},"objectRef":{"resource":"secrets","namespace":"n","apiVersion":"v1"},"requestObject":{"kind":"Secret","metadata":{"name":"s"},"data":{"key":"SFVTSA=="}},"stageTimestamp":"2026-11-29T16:07:36.123456Z","annotations":{"keepwatch.io/journal-seq":"7","keepwatch.io/source":"other","a":"b"}}"#;

    fn item(text: &str) -> Item {
        let len = text.len() as u64;
        Item { text: text.as_bytes().to_vec(), digest: [7; DIGEST_LEN], len, ..Item::default() }
    }

    fn source() -> SourceStatus {
        SourceStatus::new("audit-webhook-prod", "AuditWebhook", "prod")
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let actual = convert(&item(text), &source()).map(|event| event.audit_id);
        assert_eq!(actual, Err(expected.to_owned()), "{text}");
    }

    #[test]
    fn bodies_with_keys_are_withheld_and_names_of_annotations_cannot_be_taken() {
        let event = convert(&item(EVENT), &source()).unwrap();
        let body = event.request_object.as_ref().unwrap();
        assert_eq!(body.as_bytes(), br#"{"kind":"Secret","metadata":{"name":"s"}}"#);
        let expected = [
            ("a", "b"),
            ("foreign.keepwatch.io/journal-seq", "7"),
            ("foreign.keepwatch.io/source", "other"),
            (SOURCE_CLUSTER, "prod"),
            (SOURCE, "audit-webhook-prod"),
            (SOURCE_DIGEST, "07070707070707070707070707070707"),
            (SOURCE_KIND, "AuditWebhook"),
            (event::annotations::WITHHELD, "requestObject: data"),
        ];
        let actual: Vec<(&str, &str)> =
            event.annotations.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(actual, expected);
        let record = event::record::write(&event);
        assert_eq!(identity_of(&record), Some(("audit-webhook-prod", [7; DIGEST_LEN])));
    }

    #[test]
    fn what_is_not_an_event_is_named_without_its_text() {
        for (text, expected) in [
            ("{", "not JSON at byte 1"),
            ("{}", "stage is missing"),
            (r#"{"stage":"HUSH"}"#, "its stage is unknown"),
            (r#"{"stage":"Panic","level":"HUSH"}"#, "its level is unknown"),
            (r#"{"stage":"Panic","level":"None"}"#, "its level is None"),
            (r#"{"kind":"HUSH","stage":"Panic"}"#, "kind or apiVersion is not that of an event"),
            (
                r#"{"stage":"Panic","user":"HUSH"}"#,
                "not an audit.k8s.io/v1 event: wrong type of a field at byte 30",
            ),
            (
                r#"{"stage":"ResponseComplete","verb":"gap","user":{"username":"system:keepwatch"}}"#,
                "it has the form of an event of Keepwatch about itself",
            ),
        ] {
            check(text, expected);
        }
    }

    #[test]
    fn a_quarantine_event_has_the_text_up_to_the_first_body() {
        let cut = EVENT.get(..EVENT.len() - 1).unwrap();
        let now = Timestamp::from_micros(1);
        let event = quarantine(&item(cut), "not JSON", &source(), now);
        assert_eq!(EventRef::from(&event).internal(), Some(InternalEvent::Quarantine));
        let body = event.request_object.unwrap();
        let body: serde_json::Value = serde_json::from_slice(body.as_bytes()).unwrap();
        let text = body["text"].as_str().unwrap();
        assert!(text.starts_with(r#"{"kind":"Event""#) && text.ends_with(r#","r"#), "{text}");
        assert_eq!(event.annotations[QUARANTINE_BYTES], cut.len().to_string());
        let long = "é".repeat(QUARANTINE_BYTES_MAX);
        assert!(beginning(long.as_bytes()).len() <= QUARANTINE_BYTES_MAX);
    }
}
