//! The encoding `kasten`: the line that K10 writes, with a few keys for log tools at the start.
//!
//! The event is Go's internal audit event, with Go's field names as keys, except inside the user
//! and the response status. The marker `K10Event` comes first, because log agents truncate long
//! lines. Keepwatch's events are stored in the encoding [`record`](crate::record); [`read`] is
//! for lines from other sources.

mod read;

pub use read::{ReadError, read, read_with_cluster};

use crate::annotations::SOURCE_CLUSTER;
use crate::event_ref::{EventFields, ObjectRef};
use crate::field_codec::Text;
use crate::fields::find;
use crate::json_writer::{self, ObjectWriter};
use crate::{EventRef, InternalEvent, Stage, escape};

/// The content of a line in addition to the event.
#[derive(Clone, Debug, Default)]
pub struct LineContext {
    /// The value of the key `service`; `keepwatch` by default.
    pub service: String,
    /// The name of this server's cluster, for `ddtags`; omitted if empty. An event from a source has
    /// the name of its own cluster.
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
pub fn write(event: &EventRef<'_>, context: &LineContext, line: &mut Vec<u8>) {
    let EventRef { fields, request_object, response_object, seq } = event;
    line.reserve(1536 + event.body_bytes());
    let received = fields.request_received_timestamp.quoted();
    let mut object = ObjectWriter::open(line);
    log_tool_keys(fields, context, &mut object);
    object.word(br#","Level":"#, fields.level.as_str());
    object.text(br#","AuditID":"#, fields.audit_id);
    object.word(br#","Stage":"#, fields.stage.as_str());
    object.text(br#","RequestURI":"#, fields.request_uri);
    object.text(br#","Verb":"#, fields.verb);
    json_writer::user(&fields.user, object.key(br#","User":"#));
    or_null(
        &mut object,
        br#","ImpersonatedUser":"#,
        fields.impersonated_user.as_ref(),
        json_writer::user,
    );
    // K10's Go libraries are older than this field, so its key is written only if it has a value.
    if let Some(metadata) = &fields.authentication_metadata {
        let mut inner = ObjectWriter::open(object.key(br#","AuthenticationMetadata":"#));
        inner.text(br#","ImpersonationConstraint":"#, metadata.impersonation_constraint);
        inner.close();
    }
    let ips = some_unless(fields.source_ips.is_empty(), &fields.source_ips);
    or_null(&mut object, br#","SourceIPs":"#, ips, json_writer::texts);
    object.text(br#","UserAgent":"#, fields.user_agent);
    or_null(&mut object, br#","ObjectRef":"#, fields.object_ref.as_ref(), object_ref);
    or_null(
        &mut object,
        br#","ResponseStatus":"#,
        fields.response_status.as_ref(),
        json_writer::status,
    );
    or_null(&mut object, br#","RequestObject":"#, request_object.as_deref(), raw);
    or_null(&mut object, br#","ResponseObject":"#, response_object.as_deref(), raw);
    object.time(br#","RequestReceivedTimestamp":"#, received.as_ref());
    object.time(br#","StageTimestamp":"#, fields.stage_timestamp.quoted().as_ref());
    let is_null = fields.annotations.is_empty() && seq.is_none();
    let annotations = some_unless(is_null, &fields.annotations);
    or_null(&mut object, br#","Annotations":"#, annotations, |annotations, line| {
        json_writer::annotations(annotations, *seq, line);
    });
    object.close();
}

/// Write the keys that log tools expect.
pub(crate) fn log_tool_keys(
    fields: &EventFields<'_>,
    context: &LineContext,
    object: &mut ObjectWriter<'_>,
) {
    message(fields, context, object.key(br#","message":"#));
    if let Some(received) = fields.request_received_timestamp.quoted() {
        object.time(br#","timestamp":"#, Some(&received));
    }
    object.word(br#","status":"#, severity(fields));
    let cluster = find(&fields.annotations, SOURCE_CLUSTER);
    service(context, cluster.unwrap_or_else(|| Text::from(&*context.cluster_name)), object);
    if !fields.source_ips.is_empty() {
        let mut network = ObjectWriter::open(object.key(br#","network":"#));
        let mut ip = ObjectWriter::open(network.key(br#","ip":"#));
        json_writer::texts(&fields.source_ips, ip.key(br#","list":"#));
        ip.close();
        network.close();
    }
}

/// Write the source of the line. `cluster` is the cluster in which the request was made.
pub(crate) fn service(context: &LineContext, cluster: Text<'_>, object: &mut ObjectWriter<'_>) {
    object.text(br#","service":"#, Text::from(&*context.service));
    if !cluster.is_empty() {
        let line = object.key(br#","ddtags":"#);
        line.extend_from_slice(b"\"cluster-name:");
        escape::write_escaped(cluster, line);
        line.push(b'"');
    }
}

/// Write the message. It never contains client input: each word is from a fixed list, otherwise the
/// message is `other`.
fn message(fields: &EventFields<'_>, context: &LineContext, line: &mut Vec<u8>) {
    line.extend_from_slice(b"\"K10Event ");
    match internal_words(fields).or_else(|| message_words(fields, context)) {
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

/// The verb and resource of an internal event.
fn internal_words(
    fields: &EventFields<'_>,
) -> Option<(&'static str, &'static str, Option<&'static str>)> {
    InternalEvent::from_fields(fields).map(|event| (event.verb(), event.resource(), None))
}

fn message_words<'a>(
    fields: &EventFields<'_>,
    context: &'a LineContext,
) -> Option<(&'static str, &'a str, Option<&'static str>)> {
    let reference = fields.object_ref.as_ref()?;
    let known = |words: &[&'static str], word: Text<'_>| {
        words.iter().copied().find(|known| word.equals(known))
    };
    let verb = known(&VERBS, fields.verb)?;
    let resource = context.resources.iter().find(|known| reference.resource.equals(known))?;
    let subresource = match reference.subresource {
        word if word.is_empty() => None,
        word => Some(known(&SUBRESOURCES, word)?),
    };
    Some((verb, resource, subresource))
}

fn severity(fields: &EventFields<'_>) -> &'static str {
    let code = fields.response_status.as_ref().map_or(0, |status| status.code);
    match (fields.stage, code) {
        (Stage::Panic, _) | (_, 500..) => "error",
        (_, 400..500) => "warn",
        _ => "info",
    }
}

fn object_ref(reference: &ObjectRef<'_>, line: &mut Vec<u8>) {
    let mut object = ObjectWriter::open(line);
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
    object: &mut ObjectWriter<'_>,
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
