//! `Signal`: the finding of a detection rule, and its triage by users.
//!
//! The detector writes spec and state with [`write()`], in the transaction that adds the signal's
//! record to the journal. Users read and delete signals. They set the triage through the
//! subresource `triage`, or through `status`, which kubectl supports.

pub mod retention;
mod spec;
mod triage;

use std::sync::Arc;

use apimachinery::{ApiError, fields, validation};
use apiserver::{Column, Objects, Resource, ResourceId, Scope, Subresource};
use event::{Level, Signal, SignalState, Timestamp};
use serde_json::{Map, Value, json};

use crate::{AGE, API_VERSION, GROUP, READ_AND_DELETE, VERSION, column, schema, wide};

/// The resource.
pub const SIGNALS: ResourceId = ResourceId { group: GROUP, plural: "signals" };
/// Label with the severity.
pub const SEVERITY_LABEL: &str = "siem.keepwatch.io/severity";
/// Label with the id of the rule, if the id is a valid label value.
pub const RULE_LABEL: &str = "siem.keepwatch.io/rule";

const KIND: &str = "Signal";

const COLUMNS: &[Column] = &[
    column("Severity", "string", "spec.severity", "Severity of the signal."),
    column("State", "string", "status.state", "State of the signal: open, updated or closed."),
    column("Triage", "string", "status.triage.state", "Triage state that a user has set."),
    column("Rule", "string", "spec.rule.id", "The rule that raised the signal."),
    column("User", "string", "spec.actor.username", "The user who sent the requests."),
    column("Count", "integer", "spec.count", "Number of events that contributed."),
    column("Last Seen", "date", "spec.lastSeen", "Time since the last event."),
    column("Title", "string", "spec.title", "Actor, action, count and target."),
    wide(column("Targets", "integer", "spec.targets.count", "Number of objects of the requests.")),
    wide(column("First Seen", "date", "spec.firstSeen", "Time since the first event.")),
    wide(AGE),
];

/// The resource for the API server.
pub fn resource() -> Resource {
    Resource {
        group: GROUP,
        version: VERSION,
        kind: KIND,
        plural: SIGNALS.plural,
        singular: "signal",
        short_names: &["sig"],
        categories: &[],
        scope: Scope::Cluster,
        verbs: READ_AND_DELETE,
        columns: COLUMNS,
        schema: schema::kind(
            "Signal is a detection: the events that match a rule, the user who caused them, and \
             the objects that they changed.",
            spec::schema(),
            triage::status_schema(),
        )
        .into(),
        subresources: &[
            Subresource::Status,
            Subresource::Field { name: "triage", path: "status.triage" },
        ],
        selectable_fields: &[
            "spec.severity",
            "spec.rule.id",
            "spec.actor.username",
            "spec.actor.impersonatedBy",
            "status.state",
            "status.triage.state",
        ],
        omit_bodies: false,
        audit_level_min: Level::RequestResponse,
        read_only: None,
        strategy: Arc::new(triage::Triage),
    }
}

/// Writes a signal from the detector. Fields of users (triage, labels, annotations) are preserved.
/// `changed` is the time of the change; for a closed signal, the time at which it was closed.
pub fn write(
    objects: &mut Objects<'_>,
    signal: &Signal,
    changed: Timestamp,
) -> Result<(), ApiError> {
    let object = object(signal, changed);
    match objects.get(SIGNALS, "", &signal.id) {
        Some(stored) => objects.update(SIGNALS, merged(stored, object)),
        None => objects.create(SIGNALS, object),
    }
}

/// The API object of a signal, without system fields in `metadata`.
pub fn object(signal: &Signal, changed: Timestamp) -> Map<String, Value> {
    let mut labels = Map::new();
    labels.insert(SEVERITY_LABEL.to_owned(), signal.spec.severity.as_str().into());
    let rule = signal.spec.rule.id.as_str();
    if validation::label_value(rule).is_empty() {
        labels.insert(RULE_LABEL.to_owned(), rule.into());
    }
    let mut status = json!({"state": signal.state.as_str()});
    if signal.state == SignalState::Closed {
        status["closedAt"] = changed.to_string().into();
    }
    status["triage"] = triage::untouched();
    let mut object = Map::new();
    fields::set(&mut object, "apiVersion", API_VERSION);
    fields::set(&mut object, "kind", KIND);
    fields::set(&mut object, "metadata.name", signal.id.as_str());
    fields::set(&mut object, "metadata.labels", labels);
    // The spec consists of strings, numbers and JSON, so serialization cannot fail.
    fields::set(&mut object, "spec", serde_json::to_value(&signal.spec).unwrap_or_default());
    fields::set(&mut object, "status", status);
    object
}

/// The stored object, updated with the detector's fields.
fn merged(stored: Map<String, Value>, new: Map<String, Value>) -> Map<String, Value> {
    let mut merged = stored;
    let triage = fields::value(&merged, "status.triage").cloned();
    let mut labels = match fields::value(&merged, "metadata.labels") {
        Some(Value::Object(labels)) => labels.clone(),
        _ => Map::new(),
    };
    if let Some(Value::Object(new_labels)) = fields::value(&new, "metadata.labels") {
        labels.extend(new_labels.clone());
    }
    for (key, value) in new {
        if key != "metadata" {
            merged.insert(key, value);
        }
    }
    fields::set(&mut merged, "metadata.labels", labels);
    if let Some(triage) = triage {
        fields::set(&mut merged, "status.triage", triage);
    }
    merged
}
