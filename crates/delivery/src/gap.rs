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

/// An error with all that is behind it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut behind = error.source();
    while let Some(source) = behind {
        text = format!("{text}: {source}");
        behind = source.source();
    }
    text
}
