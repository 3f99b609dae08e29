//! The event that says that a reader's place in the journal was changed: by an operator, or because
//! the configuration did.
//!
//! So that what a destination did not get has its explanation in the record itself.

use event::annotations::CURSOR;
use event::{Event, OwnEvent, Stage, Timestamp};

/// The event that says what became of the place of `reader`, in words that begin with its name.
pub fn cursor_event(change: OwnEvent, reader: &str, text: &str, time: Timestamp) -> Event {
    Event {
        audit_id: format!("keepwatch-cursor-{}", time.as_micros()),
        annotations: [(CURSOR.to_owned(), text.to_owned())].into(),
        ..change.event(Stage::ResponseComplete, reader, time)
    }
}
