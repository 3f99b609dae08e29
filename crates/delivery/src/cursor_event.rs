//! The event that records a change of a reader's cursor, by an operator or by the configuration.
//!
//! The journal thereby explains why a destination did not receive some records.

use event::annotations::CURSOR;
use event::{Event, InternalEvent, Stage, Timestamp};

/// An event about a change of the cursor of `reader`. `text` begins with the reader's name.
pub fn cursor_event(change: InternalEvent, reader: &str, text: &str, time: Timestamp) -> Event {
    Event {
        audit_id: format!("keepwatch-cursor-{}", time.as_micros()),
        annotations: [(CURSOR.to_owned(), text.to_owned())].into(),
        ..change.event(Stage::ResponseComplete, reader, time)
    }
}
