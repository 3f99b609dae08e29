//! The encoding `kasten`: the line K10 writes, with a few keys for log tools in front.
//!
//! The event is Go's internal audit event: Go's field names as keys, except inside the user and the
//! response status. The marker `K10Event` comes first, because log agents cut long lines. There is
//! no reader: what has to be read again is kept as a [`record`](crate::record).

use crate::object::{self, Object};
use crate::{Event, Json, ObjectReference, Stage, Timestamp, escape};

/// What a line carries beside the event.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    /// The `service` key; `keepwatch` unless configured.
    pub service: String,
    /// The cluster's name, for `ddtags`; left out when empty.
    pub cluster_name: String,
    /// Words that may stand in `message`: the plural names of the resources we serve.
    pub resources: Vec<String>,
}

/// Verbs and HTTP methods that may stand in `message`.
const VERBS: [&str; 14] = [
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "post",
    "put",
    "head",
    "options",
    "connect",
    "proxy",
];

/// Subresources that may stand in `message`.
const SUBRESOURCES: [&str; 8] =
    ["status", "details", "scale", "finalize", "approval", "binding", "eviction", "token"];

/// Appends one event, without the newline.
pub fn write(event: &Event, labels: &Labels, line: &mut Vec<u8>) {
    let bodies = [&event.request_object, &event.response_object];
    line.reserve(1536 + bodies.into_iter().flatten().map(|b| b.as_bytes().len()).sum::<usize>());
    let mut object = Object::open(line);
    front(event, labels, &mut object);
    object.word("Level", event.level.as_str());
    object.text("AuditID", &event.audit_id);
    object.word("Stage", event.stage.as_str());
    object.text("RequestURI", &event.request_uri);
    object.text("Verb", &event.verb);
    object::user(&event.user, object.key("User"));
    or_null(&mut object, "ImpersonatedUser", event.impersonated_user.as_ref(), object::user);
    // K10's Go libraries are older than this field: its key is there only when it says something.
    if let Some(metadata) = &event.authentication_metadata {
        let mut inner = Object::open(object.key("AuthenticationMetadata"));
        inner.text("ImpersonationConstraint", &metadata.impersonation_constraint);
        inner.close();
    }
    let ips = some_unless(event.source_ips.is_empty(), event.source_ips.as_slice());
    or_null(&mut object, "SourceIPs", ips, object::texts);
    object.text("UserAgent", &event.user_agent);
    or_null(&mut object, "ObjectRef", event.object_ref.as_ref(), object_ref);
    or_null(&mut object, "ResponseStatus", event.response_status.as_ref(), object::status);
    or_null(&mut object, "RequestObject", event.request_object.as_ref(), raw);
    or_null(&mut object, "ResponseObject", event.response_object.as_ref(), raw);
    object.time("RequestReceivedTimestamp", event.request_received_timestamp);
    object.time("StageTimestamp", event.stage_timestamp);
    let annotations = some_unless(event.annotations.is_empty(), &event.annotations);
    or_null(&mut object, "Annotations", annotations, |annotations, line| {
        object::map(annotations, line, |value, line| escape::string(value, line));
    });
    object.close();
}

/// The keys that log tools look for.
fn front(event: &Event, labels: &Labels, object: &mut Object<'_>) {
    message(event, labels, object.key("message"));
    if event.request_received_timestamp != Timestamp::UNSET {
        object.time("timestamp", event.request_received_timestamp);
    }
    object.word("status", severity(event));
    object.text("service", &labels.service);
    if !labels.cluster_name.is_empty() {
        let tag = format!("cluster-name:{}", labels.cluster_name);
        object.text("ddtags", &tag);
    }
    if !event.source_ips.is_empty() {
        let mut network = Object::open(object.key("network"));
        let mut ip = Object::open(network.key("ip"));
        object::texts(&event.source_ips, ip.key("list"));
        ip.close();
        network.close();
    }
}

/// Never what a client sent: each word is one of a known few, else the whole is `other`.
fn message(event: &Event, labels: &Labels, line: &mut Vec<u8>) {
    line.extend_from_slice(b"\"K10Event ");
    match words(event, labels) {
        Some((verb, resource, subresource)) => {
            line.extend_from_slice(verb.as_bytes());
            line.push(b' ');
            line.extend_from_slice(resource.as_bytes());
            if let Some(subresource) = subresource {
                line.push(b'/');
                line.extend_from_slice(subresource.as_bytes());
            }
        }
        None => line.extend_from_slice(b"other"),
    }
    line.push(b'"');
}

fn words<'a>(
    event: &'a Event,
    labels: &'a Labels,
) -> Option<(&'static str, &'a str, Option<&'static str>)> {
    let reference = event.object_ref.as_ref()?;
    let known = |words: &[&'static str], word: &str| words.iter().copied().find(|it| *it == word);
    let verb = known(&VERBS, &event.verb)?;
    let resource = labels.resources.iter().find(|it| **it == reference.resource)?;
    let subresource = match reference.subresource.as_str() {
        "" => None,
        word => Some(known(&SUBRESOURCES, word)?),
    };
    Some((verb, resource, subresource))
}

fn severity(event: &Event) -> &'static str {
    let code = event.response_status.as_ref().map_or(0, |status| status.code);
    match (event.stage, code) {
        (Stage::Panic, _) | (_, 500..) => "error",
        (_, 400..500) => "warn",
        _ => "info",
    }
}

fn object_ref(reference: &ObjectReference, line: &mut Vec<u8>) {
    let mut object = Object::open(line);
    object.text("Resource", &reference.resource);
    object.text("Namespace", &reference.namespace);
    object.text("Name", &reference.name);
    object.text("UID", &reference.uid);
    object.text("APIGroup", &reference.api_group);
    object.text("APIVersion", &reference.api_version);
    object.text("ResourceVersion", &reference.resource_version);
    object.text("Subresource", &reference.subresource);
    object.close();
}

fn raw(body: &Json, line: &mut Vec<u8>) {
    line.extend_from_slice(body.as_bytes());
}

fn some_unless<T: ?Sized>(empty: bool, value: &T) -> Option<&T> {
    (!empty).then_some(value)
}

fn or_null<T: ?Sized>(
    object: &mut Object<'_>,
    name: &str,
    value: Option<&T>,
    write: impl FnOnce(&T, &mut Vec<u8>),
) {
    let line = object.key(name);
    match value {
        Some(value) => write(value, line),
        None => line.extend_from_slice(b"null"),
    }
}
