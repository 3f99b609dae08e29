//! How a notifier fares.

use apiserver::{ApiError, Objects};
use event::Timestamp;
use serde_json::{Value, json};

use super::NOTIFIERS;
use crate::fields;
use crate::schema::{count, object, text, time, words};

/// Whether signals are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NotifierState {
    /// It has not been taken up yet.
    #[default]
    Pending,
    /// The last attempt succeeded, or there was none yet.
    Active,
    /// The last attempt failed; it is tried again.
    Failing,
}

impl NotifierState {
    const ALL: [Self; 3] = [Self::Pending, Self::Active, Self::Failing];

    /// The word in the status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Failing => "failing",
        }
    }
}

/// How a notifier fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotifierStatus {
    /// Whether signals are sent.
    pub state: NotifierState,
    /// When the last notification was taken.
    pub last_sent: Option<Timestamp>,
    /// Why the last attempt failed, in words for people, without secrets.
    pub last_error: Option<String>,
    /// How far it has come among the changes of signals.
    pub cursor: Option<u64>,
    /// How many notifications wait.
    pub pending: u64,
}

/// The status of a new notifier.
pub(super) fn unsent() -> Value {
    json!({"state": NotifierState::Pending.as_str()})
}

/// The schema.
pub(super) fn schema() -> Value {
    object(
        "How it fares. Set by the server.",
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

/// Writes how a notifier fares. One that was deleted meanwhile is left alone, and nothing is written
/// if nothing has changed.
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
