//! The encodings of an event, compared with those of Kubernetes and with each other.
//!
//! The README in `data` describes its files.

#![expect(clippy::unwrap_used, reason = "a test may stop where it fails")]

mod decoded;

use std::collections::BTreeMap;

use bytes::Bytes;
use event::k10::{self, LineContext};
use event::line::{self, Encoding, Line};
use event::{
    AuthenticationMetadata, Event, EventRef, InternalEvent, Json, Level, ObjectReference, Stage,
    Status, StatusCause, StatusDetails, Timestamp, UserInfo, record, v1,
};
use proptest::prelude::*;

const EVENTS: &str = include_str!("../data/events.ndjson");

fn v1_line(event: &Event) -> String {
    v1_line_of(&EventRef::from(event))
}

fn v1_line_of(event: &EventRef<'_>) -> String {
    let mut line = Vec::new();
    v1::write(event, &mut line);
    String::from_utf8(line).unwrap()
}

fn kasten_line(event: &Event) -> String {
    kasten_line_of(&EventRef::from(event))
}

fn kasten_line_of(event: &EventRef<'_>) -> String {
    let labels = LineContext {
        service: "keepwatch".to_owned(),
        cluster_name: "prod-eu".to_owned(),
        signals_match_filter: false,
        resources: vec!["restorepoints".to_owned(), "passkeys".to_owned()],
    };
    let mut line = Vec::new();
    k10::write(event, &labels, &mut line);
    String::from_utf8(line).unwrap()
}

#[test]
fn v1_lines_equal_those_of_kubernetes() {
    for (input, expected) in EVENTS.lines().zip(include_str!("../data/v1.ndjson").lines()) {
        assert_eq!(v1_line(&v1::read(input.as_bytes()).unwrap()), expected);
    }
}

#[test]
fn lines_of_both_encodings_survive_a_round_trip() {
    for input in EVENTS.lines() {
        let event = v1::read(input.as_bytes()).unwrap();
        let (v1_line, kasten_line) = (v1_line(&event), kasten_line(&event));
        let read = |line: &str| line::read(line.as_bytes()).unwrap();
        let of = |encoding, cluster: Option<&str>| Line {
            event: event.clone(),
            encoding,
            cluster: cluster.map(str::to_owned),
        };
        assert_eq!(read(&v1_line), of(Encoding::V1, None));
        assert_eq!(read(&kasten_line), of(Encoding::Kasten, Some("prod-eu")));
        let without_log_keys = kasten_line.split_once("\"Level\"").unwrap().1;
        assert_eq!(read(&format!("{{\"Level\"{without_log_keys}")), of(Encoding::Kasten, None));
        let logged = format!("2026-11-23T09:30:00.1Z stdout F {kasten_line}");
        assert_eq!(read(&logged), of(Encoding::Kasten, Some("prod-eu")));
    }
}

#[test]
fn other_documents_are_rejected() {
    let deep =
        format!("{{\"Level\":\"Metadata\",\"Stage\":\"Panic\",\"x\":{}", "[".repeat(1 << 20));
    let long = " ".repeat(line::LINE_LEN_MAX + 1);
    for (text, expected) in [
        ("", "neither"),
        ("plain text", "neither"),
        ("[]", "neither"),
        (r#"{"spec":{"level":"Metadata"}}"#, "neither"),
        (r#"{"Level":"Metadata"}"#, "K10's encoding"),
        (r#"{"Level":"Loud","Stage":"Panic"}"#, "K10's encoding"),
        (r#"{"Level":"Metadata","Stage":"Panic","Verb":7}"#, "K10's encoding"),
        (r#"{"Level":"Metadata","Stage":"Panic","ObjectRef":7}"#, "K10's encoding"),
        (r#"{"level":"Metadata"}"#, "audit.k8s.io/v1"),
        (&deep, "K10's encoding"),
        (&long, "more than"),
    ] {
        let error = line::read(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error} has {expected}");
    }
}

#[test]
fn k10_lines_end_with_the_internal_event_of_kubernetes() {
    for (input, expected) in EVENTS.lines().zip(include_str!("../data/kasten.ndjson").lines()) {
        let line = kasten_line(&v1::read(input.as_bytes()).unwrap());
        let expected = expected.replace("\"AuthenticationMetadata\":null,", "");
        assert!(line.ends_with(expected.strip_prefix('{').unwrap()), "{line}\n{expected}");
        serde_json::from_str::<serde_json::Value>(&line).unwrap();
    }
}

#[test]
fn k10_lines_begin_with_the_keys_for_log_tools() {
    let start = |index: usize| {
        let line = kasten_line(&v1::read(EVENTS.lines().nth(index).unwrap().as_bytes()).unwrap());
        line.split("\"Level\"").next().unwrap().to_owned()
    };
    let times = r#""timestamp":"2026-11-23T09:30:00.123456Z""#;
    let labels = r#""service":"keepwatch","ddtags":"cluster-name:prod-eu","#;
    for (index, expected) in [
        (0, format!(r#"{{"message":"K10Event other",{times},"status":"info",{labels}"#)),
        (
            1,
            format!(
                r#"{{"message":"K10Event delete restorepoints",{times},"status":"info",{labels}"network":{{"ip":{{"list":["192.0.2.7","10.0.0.5"]}}}},"#
            ),
        ),
        (2, format!(r#"{{"message":"K10Event other",{times},"status":"warn",{labels}"#)),
        (3, format!(r#"{{"message":"K10Event other",{times},"status":"error",{labels}"#)),
        (
            6,
            format!(
                r#"{{"message":"K10Event get passkeys/status",{times},"status":"warn",{labels}"#
            ),
        ),
        (7, format!(r#"{{"message":"K10Event other","status":"info",{labels}"#)),
    ] {
        assert_eq!(start(index), expected);
    }
}

/// Regression test: every internal event had the message `K10Event other`, gaps as well as heartbeats.
#[test]
fn internal_events_are_recognized_and_cannot_be_forged() {
    let message = |event: &Event| {
        let line = kasten_line(event);
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        line["message"].as_str().unwrap().to_owned()
    };
    let time = Timestamp::from_micros(1);
    let mut messages = Vec::new();
    for kind in InternalEvent::ALL {
        let event = kind.event(Stage::ResponseComplete, "", time);
        assert_eq!(EventRef::from(&event).internal(), Some(kind));
        messages.push(message(&event));
        // An HTTP method may have any name, and so may a user behind another front proxy.
        let other = Event { user: UserInfo::default(), ..event.clone() };
        assert_eq!(message(&other), "K10Event other");
        let other = Event { request_uri: "/".to_owned(), ..event };
        assert_eq!(message(&other), "K10Event other");
        assert_eq!(EventRef::from(&other).internal(), None);
    }
    let expected = [
        "K10Event heartbeat journal",
        "K10Event gap journal",
        "K10Event skip cursors",
        "K10Event rewind cursors",
        "K10Event release cursors",
        "K10Event resume cursors",
        "K10Event quarantine eventsources",
        "K10Event receive eventsources",
    ];
    assert_eq!(messages, expected);
}

#[test]
fn lines_that_are_no_events_are_rejected() {
    for line in [
        "",
        "[]",
        "{}",
        r#"{"level":"metadata","stage":"Panic"}"#,
        r#"{"level":"Metadata","stage":"Done"}"#,
        r#"{"level":"Metadata","stage":"Panic","kind":"Policy"}"#,
        r#"{"level":"Metadata","stage":"Panic","apiVersion":"audit.k8s.io/v1beta1"}"#,
        r#"{"level":"Metadata","stage":"Panic","user":"alice"}"#,
        r#"{"level":"Metadata","stage":"Panic","stageTimestamp":"now"}"#,
    ] {
        assert!(v1::read(line.as_bytes()).is_err(), "{line}");
    }
}

/// Text with everything that could break a line or mislead a terminal.
fn text() -> impl Strategy<Value = String> {
    let special = prop::sample::select(
        "\0\u{1}\u{7}\u{8}\t\n\u{b}\u{c}\r\u{1b}\u{1f}\"\\/<>&'\u{7f}\u{80}\u{85}\u{9b}\u{9f}\u{61c}\
         \u{200b}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202e}\u{2066}\u{2069}\u{feff}\u{fffd}💾é"
            .chars()
            .collect::<Vec<_>>(),
    );
    prop::collection::vec(prop_oneof![special, any::<char>(), prop::char::range('a', 'z')], 0..12)
        .prop_map(|chars| chars.into_iter().collect())
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(text(), 0..3)
}

fn user() -> impl Strategy<Value = UserInfo> {
    (text(), text(), texts(), prop::collection::btree_map(text(), texts(), 0..3))
        .prop_map(|(username, uid, groups, extra)| UserInfo { username, uid, groups, extra })
}

fn status() -> impl Strategy<Value = Status> {
    (text(), text(), any::<bool>(), any::<u16>(), 0..=i32::MAX.unsigned_abs()).prop_map(
        |(message, name, detailed, code, retry_after_seconds)| Status {
            status: name.clone(),
            reason: message.clone(),
            code,
            details: detailed.then(|| StatusDetails {
                name: name.clone(),
                group: message.clone(),
                causes: vec![StatusCause { field: name, ..StatusCause::default() }],
                retry_after_seconds,
                ..StatusDetails::default()
            }),
            message,
        },
    )
}

fn object_ref() -> impl Strategy<Value = ObjectReference> {
    prop::array::uniform8(text()).prop_map(|fields| {
        let [resource, namespace, name, uid, api_group, api_version, resource_version, subresource] =
            fields;
        ObjectReference {
            resource,
            namespace,
            name,
            uid,
            api_group,
            api_version,
            resource_version,
            subresource,
        }
    })
}

fn body() -> impl Strategy<Value = Json> {
    prop::collection::btree_map(text(), texts(), 0..3)
        .prop_map(|body| Json::serialize(&body).unwrap())
}

fn time() -> impl Strategy<Value = Timestamp> {
    (-62_135_596_800_000_000..253_402_207_200_000_000i64).prop_map(Timestamp::from_micros)
}

prop_compose! {
    fn event()(
        (level, stage) in (prop::sample::select(&Level::ALL[..]), prop::sample::select(&Stage::ALL[..])),
        [audit_id, request_uri, verb, user_agent] in prop::array::uniform4(text()),
        (user, impersonated_user) in (user(), prop::option::of(user())),
        constraint in prop::option::of(text()),
        source_ips in texts(),
        (object_ref, response_status) in (prop::option::of(object_ref()), prop::option::of(status())),
        (request_object, response_object) in (prop::option::of(body()), prop::option::of(body())),
        (request_received_timestamp, stage_timestamp) in (time(), time()),
        annotations in prop::collection::btree_map(text(), text(), 0..3),
    ) -> Event {
        let annotations: BTreeMap<String, String> = annotations;
        Event {
            level, audit_id, stage, request_uri, verb, user, impersonated_user,
            authentication_metadata: constraint
                .map(|impersonation_constraint| AuthenticationMetadata { impersonation_constraint }),
            source_ips, user_agent, object_ref, response_status, request_object, response_object,
            request_received_timestamp, stage_timestamp, annotations,
        }
    }
}

/// Whether a line has no character that ends it early or controls a terminal.
fn is_harmless(line: &str) -> bool {
    line.chars().all(|c| {
        let direction = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        !c.is_control() && !direction && !"<>&".contains(c)
    })
}

proptest! {
    #[test]
    fn an_event_survives_its_encodings(event in event()) {
        prop_assert_eq!(&v1::read(v1_line(&event).as_bytes()).unwrap(), &event);
        prop_assert_eq!(&record::read(record::write(&event)).unwrap(), &event);
    }

    #[test]
    fn a_line_has_the_content_of_its_record(event in event()) {
        let record = record::write(&event);
        let view = EventRef::parse(&record).unwrap();
        prop_assert_eq!(v1_line_of(&view), v1_line(&event));
        prop_assert_eq!(kasten_line_of(&view), kasten_line(&event));
        prop_assert_eq!(&Event::from(&view), &event);
    }

    #[test]
    fn a_damaged_record_is_rejected_or_encoded_as_harmless_lines(
        event in event(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)
    ) {
        let mut record = record::write(&event).to_vec();
        // Only in the head: bodies are not validated.
        let head_len = u32::from_be_bytes(*record[1..].first_chunk().unwrap()) as usize;
        for (position, byte) in changes {
            record[5 + position.index(head_len)] = byte;
        }
        if let Ok(view) = EventRef::parse(&record) {
            let decoded = Event::from(&view);
            prop_assert_eq!(v1_line_of(&view), v1_line(&decoded));
            let line = kasten_line_of(&view);
            prop_assert!(is_harmless(&line), "{}", line);
            prop_assert_eq!(line, kasten_line(&decoded));
        }
    }

    #[test]
    fn a_truncated_record_is_rejected(event in event(), len in any::<prop::sample::Index>()) {
        let record = record::write(&event);
        prop_assert!(EventRef::parse(&record[..len.index(record.len())]).is_err());
        prop_assert!(EventRef::parse(&[&record[..], b"0"].concat()).is_err());
    }

    #[test]
    fn a_line_is_one_harmless_line(event in event()) {
        for line in [v1_line(&event), kasten_line(&event)] {
            prop_assert!(is_harmless(&line), "{}", line);
            prop_assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok(), "{}", line);
        }
    }

    #[test]
    fn json_is_accepted_as_serde_json_does(text in "[\\[\\]{}\",:0-9eE.+\\-\\\\utrfalsn /\u{2028}<é\n]{0,24}") {
        let parsed = Json::parse(Bytes::from(text.clone()));
        let reference = serde_json::from_str::<&serde_json::value::RawValue>(&text);
        prop_assert_eq!(parsed.is_ok(), reference.is_ok(), "{:?}", text);
        if let Ok(json) = parsed {
            let decoded = Json::parse(json.clone().into_bytes()).unwrap();
            prop_assert_eq!(decoded.as_bytes().as_ptr(), json.as_bytes().as_ptr());
        }
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), cut in 0usize..200) {
        drop(Json::parse(Bytes::from(bytes.clone())));
        drop(v1::read(&bytes));
        drop(k10::read(&bytes));
        drop(line::read(&bytes));
        drop(event::decoded::read(&bytes, &mut event::decoded::Notes::default()));
        drop(EventRef::parse(&bytes).map(|view| Event::from(&view)));
        drop(record::read(Bytes::from(bytes)));
        let event = v1::read(EVENTS.lines().nth(1).unwrap().as_bytes()).unwrap();
        let record = record::write(&event);
        prop_assert!(record::read(record.slice(..record.len() - 1 - cut)).is_err());
    }
}
