//! The event that stands for a record nobody can read: a loss is on record itself.

use event::{Event, Stage, Timestamp};

/// The annotation that says why.
const GAP: &str = "keepwatch.io/gap";
/// The annotation that says which.
const SEQ: &str = "keepwatch.io/seq";

pub(crate) fn event(seq: u64, reason: &str, time: Timestamp) -> Event {
    let annotations = [(GAP, reason), (SEQ, &seq.to_string())];
    Event {
        annotations: annotations.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        ..Event::without_request(Stage::Panic, "gap", time)
    }
}
