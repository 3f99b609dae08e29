//! The columns and verbs that kinds share, as `kubectl get` and discovery show them.

use apiserver::{Column, Subresource, Verb};

/// Made and removed, never changed: most kinds.
pub(crate) const FIXED: &[Verb] = &[Verb::Create, Verb::Delete, Verb::Get, Verb::List, Verb::Watch];
/// Also changed after it was made.
pub(crate) const CHANGEABLE: &[Verb] =
    &[Verb::Create, Verb::Delete, Verb::Get, Verb::List, Verb::Patch, Verb::Update, Verb::Watch];
/// Read only.
pub(crate) const READ_ONLY: &[Verb] = &[Verb::Get, Verb::List, Verb::Watch];

/// Executors write `status`, people read `details`.
pub(crate) const STATUS_AND_DETAILS: &[Subresource] = &[Subresource::Status, Subresource::Details];
/// No details.
pub(crate) const STATUS: &[Subresource] = &[Subresource::Status];

/// Time since creation.
pub(crate) const AGE: Column = Column {
    name: "Age",
    kind: "date",
    path: "metadata.creationTimestamp",
    priority: 0,
    description: "Time since creation.",
};
/// Time of creation, in full, as K10 prints it for some kinds.
pub(crate) const CREATED_AT: Column = Column {
    name: "Created At",
    kind: "string",
    path: "metadata.creationTimestamp",
    priority: 0,
    description: "Time of creation.",
};
/// State.
pub(crate) const STATE: Column = Column {
    name: "State",
    kind: "string",
    path: "status.state",
    priority: 0,
    description: "How far it has come.",
};
/// State, with `-o wide`.
pub(crate) const STATE_WIDE: Column = Column { priority: 1, ..STATE };
/// Progress.
pub(crate) const PCT: Column = Column {
    name: "Pct",
    kind: "integer",
    path: "status.progress",
    priority: 0,
    description: "Progress in percent.",
};
/// Progress, with `-o wide`.
pub(crate) const PCT_WIDE: Column = Column { priority: 1, ..PCT };
