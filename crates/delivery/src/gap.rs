//! The event that stands for a record nobody can read: a loss is on record itself.

use event::{Event, Level, Stage, Timestamp, UserInfo};

/// The annotation that says why.
const GAP: &str = "keepwatch.io/gap";
/// The annotation that says which.
const SEQ: &str = "keepwatch.io/seq";

pub(crate) fn event(seq: u64, reason: &str, time: Timestamp) -> Event {
    let annotations = [(GAP, reason), (SEQ, &seq.to_string())];
    Event {
        level: Level::Metadata,
        audit_id: String::new(),
        stage: Stage::Panic,
        request_uri: String::new(),
        verb: "gap".to_owned(),
        user: UserInfo::default(),
        impersonated_user: None,
        authentication_metadata: None,
        source_ips: Vec::new(),
        user_agent: String::new(),
        object_ref: None,
        response_status: None,
        request_object: None,
        response_object: None,
        request_received_timestamp: time,
        stage_timestamp: time,
        annotations: annotations.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
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
