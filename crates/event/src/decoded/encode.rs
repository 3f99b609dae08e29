//! Encodes a decoded event as Kubernetes' own encoders would, in both encodings.
//!
//! [`v1`](crate::v1) and [`kasten`] encode the events of the journal; a test compares their output
//! with this module's. Text is escaped in the same way.

use std::collections::BTreeMap;

use super::{Cause, Decoded, Details, ListMeta, Outcome, Reference, User};
use crate::event_ref::EventRef;
use crate::field_codec::Text;
use crate::json_writer::ObjectWriter;
use crate::k10::{self, LineContext};
use crate::{Event, Json, Stage, Timestamp, UserInfo, escape};

impl Decoded {
    /// Append the line in the encoding `audit.k8s.io/v1`, without the newline.
    pub fn write_v1(&self, line: &mut Vec<u8>) {
        let mut object = ObjectWriter::open(line);
        object.word(br#","kind":"#, "Event");
        object.word(br#","apiVersion":"#, "audit.k8s.io/v1");
        object.text(br#","level":"#, text(&self.level));
        object.text(br#","auditID":"#, text(&self.audit_id));
        object.text(br#","stage":"#, text(&self.stage));
        object.text(br#","requestURI":"#, text(&self.request_uri));
        object.text(br#","verb":"#, text(&self.verb));
        user(&self.user, object.key(br#","user":"#));
        if let Some(impersonated) = &self.impersonated_user {
            user(impersonated, object.key(br#","impersonatedUser":"#));
        }
        if let Some(metadata) = &self.authentication_metadata {
            let mut inner = ObjectWriter::open(object.key(br#","authenticationMetadata":"#));
            let constraint = text(&metadata.impersonation_constraint);
            inner.text_unless_empty(br#","impersonationConstraint":"#, constraint);
            inner.close();
        }
        if let Some(ips) = self.source_ips.as_ref().filter(|ips| !ips.is_empty()) {
            texts(ips, object.key(br#","sourceIPs":"#));
        }
        object.text_unless_empty(br#","userAgent":"#, text(&self.user_agent));
        if let Some(reference) = &self.object_ref {
            object_ref(reference, object.key(br#","objectRef":"#));
        }
        if let Some(status) = &self.response_status {
            outcome(status, object.key(br#","responseStatus":"#));
        }
        if let Some(body) = &self.request_object.0 {
            object.raw(br#","requestObject":"#, body.as_bytes());
        }
        if let Some(body) = &self.response_object.0 {
            object.raw(br#","responseObject":"#, body.as_bytes());
        }
        let (received, staged) = (self.request_received_timestamp.0, self.stage_timestamp.0);
        object.time(br#","requestReceivedTimestamp":"#, received.quoted().as_ref());
        object.time(br#","stageTimestamp":"#, staged.quoted().as_ref());
        if let Some(annotations) =
            self.annotations.as_ref().filter(|annotations| !annotations.is_empty())
        {
            map(annotations, object.key(br#","annotations":"#), |value, line| string(value, line));
        }
        object.close();
    }

    /// Append the line in the encoding of K10, with the keys for log tools at the start, without
    /// the newline. The cluster is that of `context`, or if that is empty, that of the
    /// event itself.
    pub fn write_k10(&self, context: &LineContext, line: &mut Vec<u8>) {
        let named;
        let context = match self.cluster() {
            Some(cluster) if context.cluster_name.is_empty() => {
                named = LineContext { cluster_name: cluster.to_owned(), ..context.clone() };
                &named
            }
            _ => context,
        };
        let (received, staged) = (self.request_received_timestamp.0, self.stage_timestamp.0);
        let mut object = ObjectWriter::open(line);
        k10::log_tool_keys(&EventRef::from(&self.summary()).fields, context, &mut object);
        object.text(br#","Level":"#, text(&self.level));
        object.text(br#","AuditID":"#, text(&self.audit_id));
        object.text(br#","Stage":"#, text(&self.stage));
        object.text(br#","RequestURI":"#, text(&self.request_uri));
        object.text(br#","Verb":"#, text(&self.verb));
        user(&self.user, object.key(br#","User":"#));
        let impersonated = self.impersonated_user.as_ref();
        or_null(impersonated, object.key(br#","ImpersonatedUser":"#), user);
        // K10's Go libraries are older than this field, so its key is written only if it has a
        // value.
        if let Some(metadata) = &self.authentication_metadata {
            let mut inner = ObjectWriter::open(object.key(br#","AuthenticationMetadata":"#));
            let constraint = text(&metadata.impersonation_constraint);
            inner.text(br#","ImpersonationConstraint":"#, constraint);
            inner.close();
        }
        or_null(self.source_ips.as_deref(), object.key(br#","SourceIPs":"#), texts);
        object.text(br#","UserAgent":"#, text(&self.user_agent));
        let reference = self.object_ref.as_ref();
        or_null(reference, object.key(br#","ObjectRef":"#), internal_object_ref);
        let status = self.response_status.as_ref();
        or_null(status, object.key(br#","ResponseStatus":"#), outcome);
        or_null(self.request_object.0.as_ref(), object.key(br#","RequestObject":"#), raw);
        or_null(self.response_object.0.as_ref(), object.key(br#","ResponseObject":"#), raw);
        object.time(br#","RequestReceivedTimestamp":"#, received.quoted().as_ref());
        object.time(br#","StageTimestamp":"#, staged.quoted().as_ref());
        let annotations = self.annotations.as_ref();
        or_null(annotations, object.key(br#","Annotations":"#), |annotations, line| {
            map(annotations, line, |value, line| string(value, line));
        });
        object.close();
    }

    /// The data for the keys for log tools.
    fn summary(&self) -> Event {
        let stage = self.stage.parse().unwrap_or(Stage::ResponseComplete);
        let received = self.request_received_timestamp.0;
        let code = self
            .response_status
            .as_ref()
            .map(|status| Outcome { code: status.code, ..Outcome::default() });
        Event {
            source_ips: self.source_ips.clone().unwrap_or_default(),
            object_ref: self.object_ref.clone().map(Reference::into_reference),
            response_status: code.map(Outcome::into_status),
            request_uri: self.request_uri.clone(),
            user: UserInfo { username: self.user.username.clone(), ..UserInfo::default() },
            stage_timestamp: Timestamp::UNSET,
            ..Event::internal(stage, &self.verb, received)
        }
    }
}

fn text(text: &str) -> Text<'_> {
    Text::from(text)
}

fn string(value: &str, line: &mut Vec<u8>) {
    escape::string(text(value), line);
}

fn raw(body: &Json, line: &mut Vec<u8>) {
    line.extend_from_slice(body.as_bytes());
}

fn texts(values: &[String], line: &mut Vec<u8>) {
    array(values, line, |value, line| string(value, line));
}

fn or_null<T: ?Sized>(value: Option<&T>, line: &mut Vec<u8>, write: impl FnOnce(&T, &mut Vec<u8>)) {
    match value {
        Some(value) => write(value, line),
        None => line.extend_from_slice(b"null"),
    }
}

fn array<T>(values: &[T], line: &mut Vec<u8>, write: impl Fn(&T, &mut Vec<u8>)) {
    line.push(b'[');
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            line.push(b',');
        }
        write(value, line);
    }
    line.push(b']');
}

fn map<T>(map: &BTreeMap<String, T>, line: &mut Vec<u8>, write: impl Fn(&T, &mut Vec<u8>)) {
    line.push(b'{');
    for (index, (key, value)) in map.iter().enumerate() {
        if index > 0 {
            line.push(b',');
        }
        string(key, line);
        line.push(b':');
        write(value, line);
    }
    line.push(b'}');
}

fn number<const N: usize>(object: &mut ObjectWriter<'_>, key: &[u8; N], number: i64) {
    object.raw(key, itoa::Buffer::new().format(number).as_bytes());
}

fn user(user: &User, line: &mut Vec<u8>) {
    let mut object = ObjectWriter::open(line);
    object.text_unless_empty(br#","username":"#, text(&user.username));
    object.text_unless_empty(br#","uid":"#, text(&user.uid));
    if !user.groups.is_empty() {
        texts(&user.groups, object.key(br#","groups":"#));
    }
    if !user.extra.is_empty() {
        map(&user.extra, object.key(br#","extra":"#), |values, line| {
            or_null(values.as_deref(), line, texts);
        });
    }
    object.close();
}

fn object_ref(reference: &Reference, line: &mut Vec<u8>) {
    let mut object = ObjectWriter::open(line);
    object.text_unless_empty(br#","resource":"#, text(&reference.resource));
    object.text_unless_empty(br#","namespace":"#, text(&reference.namespace));
    object.text_unless_empty(br#","name":"#, text(&reference.name));
    object.text_unless_empty(br#","uid":"#, text(&reference.uid));
    object.text_unless_empty(br#","apiGroup":"#, text(&reference.api_group));
    object.text_unless_empty(br#","apiVersion":"#, text(&reference.api_version));
    object.text_unless_empty(br#","resourceVersion":"#, text(&reference.resource_version));
    object.text_unless_empty(br#","subresource":"#, text(&reference.subresource));
    object.close();
}

/// Encode the type without JSON names. All of its fields are written, even empty ones.
fn internal_object_ref(reference: &Reference, line: &mut Vec<u8>) {
    let mut object = ObjectWriter::open(line);
    object.text(br#","Resource":"#, text(&reference.resource));
    object.text(br#","Namespace":"#, text(&reference.namespace));
    object.text(br#","Name":"#, text(&reference.name));
    object.text(br#","UID":"#, text(&reference.uid));
    object.text(br#","APIGroup":"#, text(&reference.api_group));
    object.text(br#","APIVersion":"#, text(&reference.api_version));
    object.text(br#","ResourceVersion":"#, text(&reference.resource_version));
    object.text(br#","Subresource":"#, text(&reference.subresource));
    object.close();
}

fn outcome(status: &Outcome, line: &mut Vec<u8>) {
    let mut object = ObjectWriter::open(line);
    object.text_unless_empty(br#","kind":"#, text(&status.kind));
    object.text_unless_empty(br#","apiVersion":"#, text(&status.api_version));
    list_meta(&status.metadata, object.key(br#","metadata":"#));
    object.text_unless_empty(br#","status":"#, text(&status.status));
    object.text_unless_empty(br#","message":"#, text(&status.message));
    object.text_unless_empty(br#","reason":"#, text(&status.reason));
    if let Some(status_details) = &status.details {
        details(status_details, object.key(br#","details":"#));
    }
    if status.code != 0 {
        number(&mut object, br#","code":"#, status.code.into());
    }
    object.close();
}

fn list_meta(metadata: &ListMeta, line: &mut Vec<u8>) {
    let mut object = ObjectWriter::open(line);
    object.text_unless_empty(br#","selfLink":"#, text(&metadata.self_link));
    object.text_unless_empty(br#","resourceVersion":"#, text(&metadata.resource_version));
    object.text_unless_empty(br#","continue":"#, text(&metadata.continue_token));
    if let Some(count) = metadata.remaining_item_count {
        number(&mut object, br#","remainingItemCount":"#, count);
    }
    if let Some(shard) = &metadata.shard_info {
        let mut inner = ObjectWriter::open(object.key(br#","shardInfo":"#));
        inner.text(br#","selector":"#, text(&shard.selector));
        inner.close();
    }
    object.close();
}

fn details(details: &Details, line: &mut Vec<u8>) {
    let mut object = ObjectWriter::open(line);
    object.text_unless_empty(br#","name":"#, text(&details.name));
    object.text_unless_empty(br#","group":"#, text(&details.group));
    object.text_unless_empty(br#","kind":"#, text(&details.kind));
    object.text_unless_empty(br#","uid":"#, text(&details.uid));
    if !details.causes.is_empty() {
        array(&details.causes, object.key(br#","causes":"#), cause);
    }
    if details.retry_after_seconds != 0 {
        number(&mut object, br#","retryAfterSeconds":"#, details.retry_after_seconds.into());
    }
    object.close();
}

fn cause(cause: &Cause, line: &mut Vec<u8>) {
    let mut object = ObjectWriter::open(line);
    object.text_unless_empty(br#","reason":"#, text(&cause.reason));
    object.text_unless_empty(br#","message":"#, text(&cause.message));
    object.text_unless_empty(br#","field":"#, text(&cause.field));
    object.close();
}
