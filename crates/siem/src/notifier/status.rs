//! The status of a notifier: its type, its schema, and how it is written.

use apimachinery::{ApiError, fields};
use apiserver::Objects;
use event::Timestamp;
use serde_json::{Value, json};

use super::NOTIFIERS;

use crate::schema::{count, object, text, time, words};

/// Whether a notifier delivers its notifications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NotifierState {
    /// The notifier has not started yet.
    #[default]
    Pending,
    /// The last attempt succeeded, or there was no attempt yet.
    Active,
    /// The last attempt failed and is retried.
    Failing,
}

impl NotifierState {
    const ALL: [Self; 3] = [Self::Pending, Self::Active, Self::Failing];

    /// The value of `status.state`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Failing => "failing",
        }
    }
}

/// The value of `status`, as the server reports it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotifierStatus {
    /// The delivery state.
    pub state: NotifierState,
    /// Time of the last notification that the receiver accepted.
    pub last_sent: Option<Timestamp>,
    /// Error of the last failed attempt, as a readable message without secrets.
    pub last_error: Option<String>,
    /// Store revision up to which every signal was handled.
    pub cursor: Option<u64>,
    /// Number of notifications that are not sent yet.
    pub pending: u64,
}

/// The status of a notifier that was just created.
pub(super) fn unsent() -> Value {
    json!({"state": NotifierState::Pending.as_str()})
}

/// The OpenAPI schema of `status`.
pub(super) fn schema() -> Value {
    object(
        "State of the notifier. Set by the server.",
        &[
            (
                "state",
                words(
                    &NotifierState::ALL.map(NotifierState::as_str),
                    "Whether signals are sent. In the state failing, the server keeps retrying.",
                ),
            ),
            ("lastSent", time("Time of the last successful notification.")),
            ("lastError", text("Why the last attempt failed.")),
            ("cursor", text("Position of the notifier in the changes of signals.")),
            ("pending", count("Number of pending notifications.")),
        ],
    )
}

/// Writes the status of a notifier. Does nothing if the notifier is deleted or the status is
/// unchanged.
pub fn record_status(
    objects: &mut Objects<'_>,
    name: &str,
    status: &NotifierStatus,
) -> Result<(), ApiError> {
    let Some(mut stored) = objects.get(NOTIFIERS, "", name) else { return Ok(()) };
    let mut written = json!({"state": status.state.as_str(), "pending": status.pending});
    if let Some(last_sent) = status.last_sent {
        written["lastSent"] = last_sent.to_string().into();
    }
    if let Some(error) = &status.last_error {
        written["lastError"] = error.as_str().into();
    }
    if let Some(cursor) = status.cursor {
        written["cursor"] = cursor.to_string().into();
    }
    fields::set(&mut stored, "status", written);
    objects.update(NOTIFIERS, stored)
}
