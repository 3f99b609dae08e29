//! Withholds bodies that may contain keys from an event, and names the removed fields in it.
//!
//! The event is being built, or was recorded by another server. The caller decides which bodies are
//! withheld; [`redact`] decides which fields remain.

use event::annotations::WITHHELD;
use event::{Event, Json};

use crate::redact::{self, Redacted};

/// The field of an event with the body of the request.
pub(crate) const REQUEST: &str = "requestObject";

/// Reduces both bodies of an event to the fields that identify the object, and `fields`. A path
/// that ends in `.*` means all scalars one level below.
pub fn withhold_bodies(event: &mut Event, fields: &[&str]) {
    if let Some(body) = event.request_object.take() {
        event.request_object = withhold_body(event, REQUEST, &body, fields);
    }
    if let Some(body) = event.response_object.take() {
        event.response_object = withhold_body(event, "responseObject", &body, fields);
    }
}

/// Redacts one body of an event and adds an annotation with the removed fields, in which `name` is
/// the body's name. Returns the body to record.
pub fn withhold_body(event: &mut Event, name: &str, body: &Json, fields: &[&str]) -> Option<Json> {
    let is_deletion =
        name == REQUEST && matches!(event.verb.as_str(), "delete" | "deletecollection");
    let Redacted { body, removed } = redact::redact(body, fields, is_deletion);
    if !removed.is_empty() {
        let value = event.annotations.entry(WITHHELD.to_owned()).or_default();
        let separator = if value.is_empty() { "" } else { "; " };
        value.extend([separator, name, ": ", &removed]);
    }
    body
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use event::{Stage, Timestamp};

    use super::*;

    #[test]
    fn both_bodies_keep_references_only() {
        let mut event = Event::internal(Stage::ResponseComplete, "create", Timestamp::default());
        let secret = r#"{"kind":"Secret","metadata":{"name":"s"},"data":{"key":"SFVTSA=="}}"#;
        event.request_object = Json::parse(Bytes::from(secret)).ok();
        event.response_object = event.request_object.clone();
        withhold_bodies(&mut event, &[]);
        let expected = r#"{"kind":"Secret","metadata":{"name":"s"}}"#;
        for body in [&event.request_object, &event.response_object] {
            assert_eq!(body.as_ref().unwrap().as_bytes(), expected.as_bytes());
        }
        assert_eq!(event.annotations[WITHHELD], "requestObject: data; responseObject: data");
    }

    #[test]
    fn the_options_of_deletions_without_a_kind_were_withheld() {
        for verb in ["delete", "deletecollection"] {
            let mut event = Event::internal(Stage::ResponseComplete, verb, Timestamp::default());
            let options = r#"{"dryRun":["All"],"preconditions":{"resourceVersion":"7"}}"#;
            event.request_object = Json::parse(Bytes::from(options)).ok();
            event.response_object = event.request_object.clone();
            withhold_bodies(&mut event, &[]);
            assert_eq!(event.request_object.unwrap().as_bytes(), options.as_bytes());
            assert_eq!(event.response_object.unwrap().as_bytes(), b"{}");
        }
    }
}
