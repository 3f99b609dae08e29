//! The columns and subresources that several kinds share.

use apiserver::{Column, Subresource};

/// Executors write `status`, and users read `details`.
pub(crate) const STATUS_AND_DETAILS: &[Subresource] = &[Subresource::Status, Subresource::Details];
/// `status` alone.
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
    description: "State of the object.",
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
