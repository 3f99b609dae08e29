//! Audit lines: parsing lines and bodies, and writing events with texts from clients.
//!
//! The input is used twice: as a text (a body, or a line for `events convert`), and split at NULs
//! as the texts of an event.

#![no_main]

use bytes::Bytes;
use event::k10::LineContext;
use event::{Event, EventRef, Json, JsonError, k10, line, record, v1};
use fuzz::{assert_line, piece, text};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|input: &[u8]| {
    body(input);
    if let Ok(event) = v1::read(input) {
        written(&event);
    }
    if let Ok(line) = line::read(input) {
        written(&line.event);
    }
    if let Some(event) = made_of(input) {
        written(&event);
    }
    if let Ok(view) = EventRef::parse(input) {
        let event = record::read(Bytes::copy_from_slice(input)).expect("what is seen is read");
        seen(&view, &event);
    }
});

/// A body keeps its meaning in normalized form, which is valid in a line, or is rejected with a
/// reason.
fn body(input: &[u8]) {
    let theirs = serde_json::from_slice::<Value>(input);
    match (Json::parse(Bytes::copy_from_slice(input)), theirs) {
        (Ok(ours), theirs) => {
            assert_line(ours.as_bytes());
            let again = Json::parse(ours.clone().into_bytes()).expect("what is in form is JSON");
            assert_eq!(again, ours, "what is in form stays as it is");
            if let Ok(theirs) = theirs {
                let meant: Value = serde_json::from_slice(ours.as_bytes()).expect("still a value");
                assert_eq!(meant, theirs, "the meaning changed");
            }
        }
        (Err(JsonError::Syntax { what, .. }), Ok(_)) => assert_eq!(what, "nested too deeply"),
        (Err(_), _) => {}
    }
}

/// An event whose texts are all from the input.
fn made_of(mut input: &[u8]) -> Option<Event> {
    let skeleton = br#"{"level":"RequestResponse","stage":"ResponseComplete","user":{},
        "objectRef":{},"responseStatus":{"details":{"causes":[{}]}}}"#;
    let mut event = v1::read(skeleton).ok()?;
    let rest = &mut input;
    event.audit_id = text(rest);
    event.request_uri = text(rest);
    event.verb = text(rest);
    event.user_agent = text(rest);
    event.user.username = text(rest);
    event.user.groups = vec![text(rest)];
    event.user.extra.insert(text(rest), vec![text(rest)]);
    event.source_ips = vec![text(rest)];
    event.annotations.insert(text(rest), text(rest));
    if let Some(reference) = &mut event.object_ref {
        reference.resource = text(rest);
        reference.name = text(rest);
        reference.subresource = text(rest);
    }
    if let Some(status) = &mut event.response_status {
        status.message = text(rest);
    }
    event.request_object = body_of(piece(rest));
    event.response_object = body_of(piece(rest));
    Some(event)
}

/// A body, if the bytes are JSON. `null` counts as no body: like Kubernetes, v1 does not
/// distinguish them.
fn body_of(bytes: &[u8]) -> Option<Json> {
    Json::parse(Bytes::copy_from_slice(bytes)).ok().filter(|body| body.as_bytes() != b"null")
}

/// Each encoding is one valid line, and parsing it gives an equal event.
fn written(event: &Event) {
    let line = v1_line(&EventRef::from(event));
    assert_line(&line);
    let again = v1::read(&line).expect("our own line is read");
    assert_eq!(&again, event, "v1 says something else");

    let record = record::write(event);
    let kept = record::read(record.clone()).expect("our own record is read");
    assert_eq!(&kept, event, "the journal keeps something else");
    seen(&EventRef::parse(&record).expect("our own record is seen"), event);

    let line = kasten_line(&EventRef::from(event), &event.user.username);
    assert_line(&line);
    assert!(line.starts_with(br#"{"message":"K10Event "#), "the marker comes first");
    let again = k10::read(&line).expect("our own line is read");
    assert_eq!(&again, event, "kasten says something else");
    let read = line::read(&line).expect("its encoding is found");
    assert_eq!(read.encoding, line::Encoding::Kasten);
}

/// A view of an event is encoded like the owned event.
fn seen(view: &EventRef<'_>, event: &Event) {
    let owned = EventRef::from(event);
    assert_eq!(v1_line(view), v1_line(&owned), "v1 depends on where the event is");
    let name = &event.user.username;
    assert_eq!(kasten_line(view, name), kasten_line(&owned, name), "so does kasten");
}

fn v1_line(event: &EventRef<'_>) -> Vec<u8> {
    let mut line = Vec::new();
    v1::write(event, &mut line);
    line
}

fn kasten_line(event: &EventRef<'_>, cluster_name: &str) -> Vec<u8> {
    let labels = LineContext {
        service: "keepwatch".to_owned(),
        cluster_name: cluster_name.to_owned(),
        resources: vec!["restorepoints".to_owned()],
        signals_match_filter: false,
    };
    let mut line = Vec::new();
    k10::write(event, &labels, &mut line);
    line
}
