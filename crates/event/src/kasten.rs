//! The encoding `kasten`: the line that K10 writes, with a few keys for log tools at the start.
//!
//! The event is Go's internal audit event, with Go's field names as keys, except inside the user
//! and the response status. The marker `K10Event` comes first, because log agents truncate long
//! lines. Keepwatch's own events are stored in the encoding [`record`](crate::record); [`read`] is
//! for lines from other sources.

mod read;

pub use read::{ReadError, read, read_with_cluster};

use crate::head::Text;
use crate::object::{self, Object};
use crate::view::{Head, Reference};
use crate::{OwnEvent, Stage, View, escape};

/// The content of a line in addition to the event.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    /// The value of the key `service`; `keepwatch` by default.
    pub service: String,
    /// The name of the cluster, for `ddtags`; omitted if empty.
    pub cluster_name: String,
    /// The resources that may occur in `message`: the plural names of the served resources.
    pub resources: Vec<String>,
    /// Whether the line of a signal matches a filter for the text `K10Event`, like the line of an
    /// event.
    pub signals_match_filter: bool,
}

/// The verbs and HTTP methods that may occur in `message`.
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

/// The subresources that may occur in `message`.
const SUBRESOURCES: [&str; 8] =
    ["status", "details", "scale", "finalize", "approval", "binding", "eviction", "token"];

/// Append the line of an event, without the newline.
pub fn write(event: &View<'_>, labels: &Labels, line: &mut Vec<u8>) {
    let View { head, request_object, response_object, seq } = event;
    line.reserve(1536 + event.body_bytes());
    let received = head.request_received_timestamp.quoted();
    let mut object = Object::open(line);
    front(head, labels, &mut object);
    object.word(br#","Level":"#, head.level.as_str());
    object.text(br#","AuditID":"#, head.audit_id);
    object.word(br#","Stage":"#, head.stage.as_str());
    object.text(br#","RequestURI":"#, head.request_uri);
    object.text(br#","Verb":"#, head.verb);
    object::user(&head.user, object.key(br#","User":"#));
    or_null(&mut object, br#","ImpersonatedUser":"#, head.impersonated_user.as_ref(), object::user);
    // K10's Go libraries are older than this field, so its key is written only if it has a value.
    if let Some(metadata) = &head.authentication_metadata {
        let mut inner = Object::open(object.key(br#","AuthenticationMetadata":"#));
        inner.text(br#","ImpersonationConstraint":"#, metadata.impersonation_constraint);
        inner.close();
    }
    let ips = some_unless(head.source_ips.is_empty(), &head.source_ips);
    or_null(&mut object, br#","SourceIPs":"#, ips, object::texts);
    object.text(br#","UserAgent":"#, head.user_agent);
    or_null(&mut object, br#","ObjectRef":"#, head.object_ref.as_ref(), object_ref);
    or_null(&mut object, br#","ResponseStatus":"#, head.response_status.as_ref(), object::status);
    or_null(&mut object, br#","RequestObject":"#, request_object.as_deref(), raw);
    or_null(&mut object, br#","ResponseObject":"#, response_object.as_deref(), raw);
    object.time(br#","RequestReceivedTimestamp":"#, received.as_ref());
    object.time(br#","StageTimestamp":"#, head.stage_timestamp.quoted().as_ref());
    let has_none = head.annotations.is_empty() && seq.is_none();
    let annotations = some_unless(has_none, &head.annotations);
    or_null(&mut object, br#","Annotations":"#, annotations, |annotations, line| {
        object::annotations(annotations, *seq, line);
    });
    object.close();
}

/// Write the keys that log tools expect.
pub(crate) fn front(head: &Head<'_>, labels: &Labels, object: &mut Object<'_>) {
    message(head, labels, object.key(br#","message":"#));
    if let Some(received) = head.request_received_timestamp.quoted() {
        object.time(br#","timestamp":"#, Some(&received));
    }
    object.word(br#","status":"#, severity(head));
    service(labels, object);
    if !head.source_ips.is_empty() {
        let mut network = Object::open(object.key(br#","network":"#));
        let mut ip = Object::open(network.key(br#","ip":"#));
        object::texts(&head.source_ips, ip.key(br#","list":"#));
        ip.close();
        network.close();
    }
}

/// Write the source of the line.
pub(crate) fn service(labels: &Labels, object: &mut Object<'_>) {
    object.text(br#","service":"#, Text::from(&*labels.service));
    if !labels.cluster_name.is_empty() {
        let line = object.key(br#","ddtags":"#);
        line.extend_from_slice(b"\"cluster-name:");
        escape::inside(Text::from(&*labels.cluster_name), line);
        line.push(b'"');
    }
}

/// Write the message. It never contains client input: each word is from a fixed list, otherwise the
/// message is `other`.
fn message(head: &Head<'_>, labels: &Labels, line: &mut Vec<u8>) {
    line.extend_from_slice(b"\"K10Event ");
    match own_words(head).or_else(|| words(head, labels)) {
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

/// The verb and resource of one of Keepwatch's own events.
fn own_words(head: &Head<'_>) -> Option<(&'static str, &'static str, Option<&'static str>)> {
    OwnEvent::of(head).map(|own| (own.verb(), own.resource(), None))
}

fn words<'a>(
    head: &Head<'_>,
    labels: &'a Labels,
) -> Option<(&'static str, &'a str, Option<&'static str>)> {
    let reference = head.object_ref.as_ref()?;
    let known =
        |words: &[&'static str], word: Text<'_>| words.iter().copied().find(|it| word.is(it));
    let verb = known(&VERBS, head.verb)?;
    let resource = labels.resources.iter().find(|it| reference.resource.is(it))?;
    let subresource = match reference.subresource {
        word if word.is_empty() => None,
        word => Some(known(&SUBRESOURCES, word)?),
    };
    Some((verb, resource, subresource))
}

fn severity(head: &Head<'_>) -> &'static str {
    let code = head.response_status.as_ref().map_or(0, |status| status.code);
    match (head.stage, code) {
        (Stage::Panic, _) | (_, 500..) => "error",
        (_, 400..500) => "warn",
        _ => "info",
    }
}

fn object_ref(reference: &Reference<'_>, line: &mut Vec<u8>) {
    let mut object = Object::open(line);
    object.text(br#","Resource":"#, reference.resource);
    object.text(br#","Namespace":"#, reference.namespace);
    object.text(br#","Name":"#, reference.name);
    object.text(br#","UID":"#, reference.uid);
    object.text(br#","APIGroup":"#, reference.api_group);
    object.text(br#","APIVersion":"#, reference.api_version);
    object.text(br#","ResourceVersion":"#, reference.resource_version);
    object.text(br#","Subresource":"#, reference.subresource);
    object.close();
}

fn raw(body: &[u8], line: &mut Vec<u8>) {
    line.extend_from_slice(body);
}

fn some_unless<T: ?Sized>(empty: bool, value: &T) -> Option<&T> {
    (!empty).then_some(value)
}

fn or_null<T: ?Sized, const N: usize>(
    object: &mut Object<'_>,
    name: &[u8; N],
    value: Option<&T>,
    write: impl FnOnce(&T, &mut Vec<u8>),
) {
    let line = object.key(name);
    match value {
        Some(value) => write(value, line),
        None => line.extend_from_slice(b"null"),
    }
}
