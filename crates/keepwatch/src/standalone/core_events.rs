//! Core `events` of a standalone server: reports of controllers to users.
//!
//! `kubectl describe` and `kubectl get events` show them. They expire after an hour, as in any
//! cluster, or earlier when there are too many. They are not audit events.

use std::sync::Arc;

use apimachinery::ApiError;
use apiserver::{Column, Objects, Resource, ResourceId, Scope, Strategy, Verb, WriteContext};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

/// Retention of Events.
const RETENTION: SignedDuration = SignedDuration::from_hours(1);
/// Maximum number of stored Events in a namespace.
pub(crate) const EVENTS_MAX: usize = 500;

const EVENTS: ResourceId = ResourceId { group: "", plural: "events" };

const fn column(name: &'static str, kind: &'static str, path: &'static str) -> Column {
    Column { name, kind, path, priority: 0, description: name }
}

const COLUMNS: &[Column] = &[
    column("Last Seen", "date", "lastTimestamp"),
    column("Type", "string", "type"),
    column("Reason", "string", "reason"),
    column("Kind", "string", "involvedObject.kind"),
    column("Object", "string", "involvedObject.name"),
    column("Message", "string", "message"),
];

/// The resource that serves the kind.
pub(crate) fn resource() -> Resource {
    Resource {
        group: "",
        version: "v1",
        kind: "Event",
        plural: "events",
        singular: "event",
        short_names: &["ev"],
        categories: &[],
        scope: Scope::Namespaced,
        verbs: &[
            Verb::Create,
            Verb::Delete,
            Verb::Get,
            Verb::List,
            Verb::Patch,
            Verb::Update,
            Verb::Watch,
        ],
        columns: COLUMNS,
        schema: schema().into(),
        subresources: &[],
        selectable_fields: &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "reason",
            "type",
        ],
        omit_bodies: false,
        audit_level_min: event::Level::None,
        read_only: None,
        strategy: Arc::new(CoreEvents),
    }
}

fn schema() -> Value {
    let texts = |names: &[&str]| -> Map<String, Value> {
        let text =
            |name: &&str| ((*name).to_owned(), json!({"type": "string", "description": name}));
        names.iter().map(text).collect()
    };
    let mut properties = texts(&[
        "apiVersion",
        "kind",
        "action",
        "eventTime",
        "firstTimestamp",
        "lastTimestamp",
        "message",
        "reason",
        "reportingComponent",
        "reportingInstance",
        "type",
    ]);
    let reference =
        ["apiVersion", "fieldPath", "kind", "name", "namespace", "resourceVersion", "uid"];
    for (name, fields) in [
        ("involvedObject", &reference[..]),
        ("related", &reference[..]),
        ("source", &["component", "host"][..]),
    ] {
        let field = json!({"type": "object", "description": name, "properties": texts(fields)});
        properties.insert(name.to_owned(), field);
    }
    let count =
        json!({"type": "integer", "format": "int32", "description": "How often it happened."});
    properties.insert("count".to_owned(), count);
    properties.insert("metadata".to_owned(), json!({"type": "object", "description": "Metadata."}));
    json!({
        "type": "object",
        "description": "Event reports something that happened to an object.",
        "properties": properties,
    })
}

struct CoreEvents;

impl Strategy for CoreEvents {
    fn updates_unconditionally(&self) -> bool {
        true
    }

    /// Deletes the oldest events of the namespace before another is created.
    fn on_create(
        &self,
        event: &mut Map<String, Value>,
        objects: &mut Objects<'_>,
        ctx: &WriteContext,
    ) -> Result<(), ApiError> {
        let namespace = text(event, "/metadata/namespace").to_owned();
        let mut stored: Vec<(String, String)> = objects
            .list(EVENTS, Some(&namespace))
            .iter()
            .map(|event| (last_seen(event).to_owned(), text(event, "/metadata/name").to_owned()))
            .collect();
        stored.sort();
        let now: Timestamp = ctx.now.parse().unwrap_or_default();
        let is_old =
            |time: &str| time.parse::<Timestamp>().is_ok_and(|time| now - RETENTION > time);
        let excess = (stored.len() + 1).saturating_sub(EVENTS_MAX);
        for (index, (time, name)) in stored.iter().enumerate() {
            if index < excess || is_old(time) {
                objects.delete(EVENTS, &namespace, name)?;
            }
        }
        Ok(())
    }
}

fn last_seen(event: &Map<String, Value>) -> &str {
    match text(event, "/lastTimestamp") {
        "" => text(event, "/metadata/creationTimestamp"),
        time => time,
    }
}

fn text<'o>(event: &'o Map<String, Value>, pointer: &str) -> &'o str {
    let mut segments = pointer.split('/').skip(1);
    let first = segments.next().and_then(|first| event.get(first));
    let value =
        segments.fold(first, |parent, segment| parent.and_then(|parent| parent.get(segment)));
    value.and_then(Value::as_str).unwrap_or_default()
}
