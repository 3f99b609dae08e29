//! The API group `siem.keepwatch.io`: detection rules, signals, suppressions, notifiers, audit
//! events and their sources.
//!
//! Each kind is one module with its names, columns, schema and strategy; [`resources`] lists them
//! for the API server. Kinds whose objects or status the server writes have a function that writes
//! through [`apiserver::Objects`], in the transaction of its caller.
//!
//! This crate reads no clock, opens no connection and evaluates no rule.

pub mod audit_event;
pub mod detection_rule;
pub mod event_source;
pub mod notifier;
mod roles;
mod rule_names;
mod schema;
pub mod signal;
pub mod suppression;
mod unavailable;

use std::sync::Arc;

use apiserver::{Column, Resource, Verb};
use detect::LoadOptions;

use audit_event::EventLog;
use event_source::EventSources;
use notifier::NotifierTester;
use unavailable::Unavailable;

pub use roles::ROLES;

/// The API group.
pub const GROUP: &str = "siem.keepwatch.io";
/// The version of the API group.
pub const VERSION: &str = "v1alpha1";
/// Group and version, as in `apiVersion` of objects.
pub const API_VERSION: &str = "siem.keepwatch.io/v1alpha1";

/// The services that the kinds depend on.
#[derive(Clone)]
pub struct Services {
    /// Values of placeholders in rules.
    pub rules: LoadOptions,
    /// The log that audit events are read from.
    pub log: Arc<dyn EventLog>,
    /// Sends test notifications.
    pub tester: Arc<dyn NotifierTester>,
    /// The running sources of events.
    pub sources: Arc<dyn EventSources>,
}

impl Default for Services {
    /// An empty log, no sources, and a tester that fails.
    fn default() -> Self {
        Self {
            rules: LoadOptions::default(),
            log: Arc::new(Unavailable),
            tester: Arc::new(Unavailable),
            sources: Arc::new(Unavailable),
        }
    }
}

/// All resources of the group.
pub fn resources(services: &Services) -> Vec<Resource> {
    vec![
        signal::resource(),
        detection_rule::resource(&services.rules),
        suppression::resource(&services.rules),
        notifier::resource(Arc::clone(&services.tester)),
        audit_event::resource(Arc::clone(&services.log)),
        event_source::resource(Arc::clone(&services.sources)),
    ]
}

/// The plurals of all resources, which are the allowed values of log labels.
pub fn resource_names() -> Vec<&'static str> {
    resources(&Services::default()).iter().map(|resource| resource.plural).collect()
}

/// The section of the reference page about this API group.
pub fn reference() -> String {
    let kinds = resources(&Services::default());
    let mut page = String::from(REFERENCE_HEAD);
    apiserver::reference::overview(&mut page, &kinds);
    for kind in &kinds {
        apiserver::reference::section(&mut page, kind);
    }
    page
}

const REFERENCE_HEAD: &str = "
## siem.keepwatch.io/v1alpha1

Keepwatch serves these kinds in a cluster and in `keepwatch up`. All are cluster-scoped. Writes are recorded
whatever the audit policy says.

";

/// Written by the server only; users read and delete.
const READ_AND_DELETE: &[Verb] = &[Verb::Delete, Verb::Get, Verb::List, Verb::Watch];

/// Created, changed and deleted by users.
const CHANGEABLE: &[Verb] =
    &[Verb::Create, Verb::Delete, Verb::Get, Verb::List, Verb::Patch, Verb::Update, Verb::Watch];

/// Time since creation.
const AGE: Column = Column {
    name: "Age",
    kind: "date",
    path: "metadata.creationTimestamp",
    priority: 0,
    description: "Time since creation.",
};

/// A column that is always shown.
const fn column(
    name: &'static str,
    kind: &'static str,
    path: &'static str,
    description: &'static str,
) -> Column {
    Column { name, kind, path, priority: 0, description }
}

/// A column that is shown with `-o wide` only.
const fn wide(column: Column) -> Column {
    Column { priority: 1, ..column }
}
