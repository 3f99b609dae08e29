//! `AuditEvent`: the audit events of the journal, readable with kubectl.
//!
//! The objects are not stored: they are computed from the journal's records on each read. The name
//! is the sequence number in the journal, so names ascend in the order of the records. The resource
//! is read-only.

mod conditions;
mod log;
mod pages;

use std::sync::Arc;

use apiserver::resource::DefaultStrategy;
use apiserver::{Column, Resource, ResourceId, Scope, Verb};
use bytes::Bytes;
use event::annotations::SOURCE;
use event::{EventRef, Level, v1};
use serde_json::{Value, json};

use crate::schema::{object, text, texts, time};
use crate::{API_VERSION, GROUP, VERSION, column, wide};

pub use conditions::{Condition, Conditions, EventField, Order};
pub use log::{EventLog, LogBatch, LogRecord, Selection, without_index};
pub use pages::{PAGE_BYTES, PAGE_MAX, SCAN_MAX};

/// The resource.
pub const AUDIT_EVENTS: ResourceId = ResourceId { group: GROUP, plural: "auditevents" };

const KIND: &str = "AuditEvent";
const READ_ONLY: &[Verb] = &[Verb::Get, Verb::List, Verb::Watch];
/// The source of events that this server recorded itself. No event source has this name.
const OWN_SOURCE: &str = "keepwatch";
/// Number of digits of a name: enough for the largest sequence number.
const NAME_LEN: usize = 20;

const COLUMNS: &[Column] = &[
    column(
        "Time",
        "string",
        "event.stageTimestamp",
        "Time at which the request reached its stage.",
    ),
    column("User", "string", "event.user.username", "User of the request."),
    column("Verb", "string", "event.verb", "Verb of the request."),
    column(
        "Resource",
        "string",
        "event.objectRef.resource",
        "Plural name of the object's resource.",
    ),
    column("Namespace", "string", "event.objectRef.namespace", "Namespace of the object."),
    column("Object", "string", "event.objectRef.name", "Name of the object."),
    column("Code", "integer", "event.responseStatus.code", "HTTP status code of the response."),
    column("IP", "string", "event.sourceIPs.0", "Address from which the request came."),
    wide(column("Source", "string", "source", "Source that recorded the event.")),
    wide(column(
        "Subresource",
        "string",
        "event.objectRef.subresource",
        "Subresource of the object.",
    )),
    wide(column("As", "string", "event.impersonatedUser.username", "The impersonated user.")),
    wide(column("Agent", "string", "event.userAgent", "User agent of the client.")),
    wide(column("Audit ID", "string", "event.auditID", "Audit ID of the request.")),
];

/// The resource for the API server; its objects are read from `log`.
pub fn resource(log: Arc<dyn EventLog>) -> Resource {
    Resource {
        group: GROUP,
        version: VERSION,
        kind: KIND,
        plural: AUDIT_EVENTS.plural,
        singular: "auditevent",
        short_names: &["ae"],
        categories: &[],
        scope: Scope::Cluster,
        verbs: READ_ONLY,
        columns: COLUMNS,
        schema: schema().into(),
        subresources: &[],
        selectable_fields: conditions::SELECTABLE,
        omit_bodies: false,
        audit_level_min: Level::None,
        read_only: Some(Arc::new(pages::Pages(log))),
        strategy: Arc::new(DefaultStrategy),
    }
}

fn schema() -> Value {
    let mut user = object(
        "User of the request.",
        &[("username", text("Name.")), ("groups", texts("Groups."))],
    );
    user["x-kubernetes-preserve-unknown-fields"] = true.into();
    let mut event = object(
        "The event, as audit.k8s.io/v1.",
        &[
            ("auditID", text("ID of the request, the same at each stage.")),
            ("level", text("Audit level of the event.")),
            ("stage", text("Stage of the request at which the event was generated.")),
            ("stageTimestamp", time("Time at which the request reached that stage.")),
            ("verb", text("Verb of the request.")),
            ("requestURI", text("Path and query.")),
            ("user", user),
            ("sourceIPs", texts("Where the request came from; the last is the peer.")),
        ],
    );
    event["x-kubernetes-preserve-unknown-fields"] = true.into();
    let head = |description| json!({"type": "string", "description": description});
    object(
        "AuditEvent is an event in the journal. Field selectors also support since=TIME and \
         until=TIME (RFC 3339), and order=newest.",
        &[
            ("apiVersion", head("Group and version of this object.")),
            ("kind", head("Kind of the object.")),
            ("event", event),
            (
                "source",
                text(
                    "The event source that sent the event; keepwatch for an event of this server.",
                ),
            ),
        ],
    )
}

/// The name of the event with a sequence number.
fn name(seq: u64) -> String {
    format!("{seq:0NAME_LEN$}")
}

/// The sequence number of an event; `None` if the name is invalid.
fn seq_of_name(name: &str) -> Option<u64> {
    let is_digits = name.len() == NAME_LEN && name.bytes().all(|byte| byte.is_ascii_digit());
    name.parse().ok().filter(|_| is_digits)
}

/// The name of the source of an event. Clients cannot choose it.
fn source<'a>(event: &EventRef<'a>) -> &'a str {
    event.annotation(SOURCE).unwrap_or(OWN_SOURCE)
}

/// The API object of a record.
fn body(record: &LogRecord, event: &EventRef<'_>) -> Bytes {
    let (name, seq) = (name(record.seq), record.seq);
    let recorded = record.time.to_rfc3339_seconds();
    let mut body = format!(
        r#"{{"kind":"{KIND}","apiVersion":"{API_VERSION}","metadata":{{"name":"{name}","resourceVersion":"{seq}","creationTimestamp":"{recorded}"}},"event":"#
    )
    .into_bytes();
    v1::write(event, &mut body);
    body.extend_from_slice(br#","source":"#);
    body.extend_from_slice(Value::from(source(event)).to_string().as_bytes());
    body.push(b'}');
    Bytes::from(body)
}
