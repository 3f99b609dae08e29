//! The kinds of `siem.keepwatch.io`: what the detector found, and what people tell it.
//!
//! Each kind is one file with its names, columns, schema and rules of its own; [`resources`] is the
//! list that the binary hands to the API server. Objects that the server itself writes (signals, the
//! statistics of rules) have a function that writes them through [`apiserver::Objects`], so that it
//! works in the transaction of whichever reader of the journal calls it.
//!
//! Nothing here reads a clock, opens a connection or detects anything.

pub mod audit_event;
pub mod detection_rule;
pub mod notifier;
mod roles;
mod schema;
pub mod signal;
pub mod suppression;
mod unavailable;

use std::sync::Arc;

use apiserver::{Column, Resource, Verb, fields};
use detect::LoadOptions;

use audit_event::EventLog;
use notifier::NotifierTester;
use unavailable::Unavailable;

pub use roles::ROLES;

/// The API group.
pub const GROUP: &str = "siem.keepwatch.io";
/// Its version.
pub const VERSION: &str = "v1alpha1";
/// Group and version, as objects name them.
pub const API_VERSION: &str = "siem.keepwatch.io/v1alpha1";

/// What the kinds need of the rest of the program.
#[derive(Clone)]
pub struct Services {
    /// What placeholders in rules stand for.
    pub rules: LoadOptions,
    /// Where audit events are read from.
    pub log: Arc<dyn EventLog>,
    /// Who sends samples.
    pub tester: Arc<dyn NotifierTester>,
}

impl Default for Services {
    /// An empty log, and a refusal to send anything.
    fn default() -> Self {
        Self {
            rules: LoadOptions::default(),
            log: Arc::new(Unavailable),
            tester: Arc::new(Unavailable),
        }
    }
}

/// Every kind, ready to be served.
pub fn resources(services: &Services) -> Vec<Resource> {
    vec![
        signal::resource(),
        detection_rule::resource(&services.rules),
        suppression::resource(&services.rules),
        notifier::resource(Arc::clone(&services.tester)),
        audit_event::resource(Arc::clone(&services.log)),
    ]
}

/// The plurals of all kinds: the words that log labels may be made of.
pub fn resource_names() -> Vec<&'static str> {
    resources(&Services::default()).iter().map(|resource| resource.plural).collect()
}

/// The part of the reference page on kinds that is about these.
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

/// Read by people, written by the server, and deleted by people.
const READ_AND_DELETE: &[Verb] = &[Verb::Delete, Verb::Get, Verb::List, Verb::Watch];

/// Made, changed and removed by people.
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

/// The same, shown with `-o wide` only.
const fn wide(column: Column) -> Column {
    Column { priority: 1, ..column }
}
