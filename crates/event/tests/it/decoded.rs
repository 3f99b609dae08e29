//! Events of other servers, decoded and encoded again, compared with the output of Kubernetes' own
//! code.

use std::fmt::Write as _;

use event::decoded::{self, Decoded, Document, NAMES_MAX, Notes};
use event::k10::LineContext;
use event::{InternalEvent, Stage, Timestamp};

const ODD: &str = include_str!("../data/odd.ndjson");

fn labels() -> LineContext {
    LineContext { service: "keepwatch".to_owned(), ..LineContext::default() }
}

fn event(line: &str) -> Decoded {
    let Document::Event(event) = decoded::read(line.as_bytes(), &mut Notes::default()).unwrap()
    else {
        unreachable!("{line}")
    };
    *event
}

fn v1(event: &Decoded) -> String {
    let mut line = Vec::new();
    event.write_v1(&mut line);
    String::from_utf8(line).unwrap()
}

fn kasten(event: &Decoded) -> String {
    let mut line = Vec::new();
    event.write_k10(&labels(), &mut line);
    String::from_utf8(line).unwrap()
}

/// The part of a line that Go writes too.
fn internal(line: &str) -> String {
    let (_, event) = line.split_once(r#""Level":"#).unwrap();
    format!(r#"{{"Level":{event}"#).replacen(r#","AuthenticationMetadata":null"#, "", 1)
}

#[test]
fn decoded_events_are_written_as_by_kubernetes() {
    let expected_v1 = include_str!("../data/odd-v1.ndjson").lines();
    for ((line, v1_line), kasten_line) in
        ODD.lines().zip(expected_v1).zip(include_str!("../data/odd-kasten.ndjson").lines())
    {
        let event = event(line);
        assert_eq!(v1(&event), v1_line, "{line}");
        assert_eq!(internal(&kasten(&event)), internal(kasten_line), "{line}");
    }
    assert_eq!(ODD.lines().count(), 36);
}

#[test]
fn decoded_events_of_the_journal_are_written_as_by_its_encoders() {
    for line in include_str!("../data/events.ndjson").lines() {
        let of_journal = ::event::v1::read(line.as_bytes()).unwrap();
        let (mut v1_line, mut kasten_line) = (Vec::new(), Vec::new());
        ::event::v1::write(&(&of_journal).into(), &mut v1_line);
        ::event::k10::write(&(&of_journal).into(), &labels(), &mut kasten_line);
        let event = event(line);
        assert_eq!(v1(&event), String::from_utf8(v1_line).unwrap());
        assert_eq!(kasten(&event), String::from_utf8(kasten_line).unwrap());
    }
}

/// Regression: heartbeats and gaps of an archive became `K10Event other`.
#[test]
fn converted_lines_of_the_servers_own_events_say_what_they_are() {
    for kind in InternalEvent::ALL {
        let own = kind.event(Stage::ResponseComplete, "name", Timestamp::from_micros(1));
        let mut line = Vec::new();
        ::event::v1::write(&(&own).into(), &mut line);
        let converted = kasten(&event(&String::from_utf8(line).unwrap()));
        let message = format!(r#"{{"message":"K10Event {} {}","#, kind.verb(), kind.resource());
        assert!(converted.starts_with(&message), "{converted}");
    }
}

#[test]
fn k10_lines_convert_back_to_kubernetes_lines() {
    for line in ODD.lines() {
        let (from, to) = (event(line), event(&kasten(&event(line))));
        assert_eq!(v1(&to), v1(&from), "{line}");
    }
    let tagged = LineContext { cluster_name: "prod-eu".to_owned(), ..labels() };
    let mut line = Vec::new();
    event(ODD.lines().next().unwrap()).write_k10(&tagged, &mut line);
    let converted = event(&String::from_utf8(line).unwrap());
    assert_eq!(converted.cluster(), Some("prod-eu"));
    assert!(kasten(&converted).contains(r#""ddtags":"cluster-name:prod-eu""#));
}

/// Read a line and check its description: `event`, `list` with its items, `signal`, or the reason
/// why it is invalid; then the data that was dropped.
fn check(line: &[u8], expected: &str) {
    let mut notes = Notes::default();
    let reason = |error: decoded::ReadError| {
        let source = std::error::Error::source(&error).map(ToString::to_string);
        format!("{error} {}", source.unwrap_or_default())
    };
    let mut actual = match decoded::read(line, &mut notes) {
        Ok(Document::Event(event)) => format!("event {}", v1(&event)),
        Ok(Document::List(items)) => {
            let items = items.into_iter().map(|item| item.map_or_else(reason, |event| v1(&event)));
            format!("list {}", items.collect::<Vec<_>>().join(" | "))
        }
        Ok(Document::Signal) => "signal".to_owned(),
        Err(error) => reason(error),
    };
    for (path, count) in notes.unknown() {
        write!(actual, " -{path}:{count}").unwrap();
    }
    if notes.replaced() > 0 {
        write!(actual, " replaced:{}", notes.replaced()).unwrap();
    }
    let line = String::from_utf8_lossy(line);
    assert!(expected.split('*').all(|part| actual.contains(part)), "{line}\n{actual}\n{expected}");
    let is_plain = !expected.contains(" -");
    assert!(!is_plain || !actual.contains(" -"), "{line}\n{actual}");
}

const TYPE: &str = r#""kind":"Event","apiVersion":"audit.k8s.io/v1""#;

#[test]
fn unknown_fields_are_named_and_counted() {
    for (fields, expected) in [
        (r#""metadata":{},"timestamp":"t""#, " -metadata:1 -timestamp:1"),
        (r#""user":{"name":"a","name":"b"}"#, " -user.name:2"),
        (
            r#""impersonatedUser":{"x":1},"objectRef":{"kind":"x"}"#,
            " -impersonatedUser.x:1 -objectRef.kind:1",
        ),
        (r#""responseStatus":{"metadata":{"name":"n"}}"#, " -responseStatus.metadata.name:1"),
        (
            r#""responseStatus":{"details":{"causes":[{"x":1},{"x":2}],"retry":1}}"#,
            " -responseStatus.details.causes.x:2 -responseStatus.details.retry:1",
        ),
        (r#""Level":"Metadata","ddtags":"a","message":"b""#, " -Level:1 -ddtags:1 -message:1"),
        (
            r#""authenticationMetadata":{"ImpersonationConstraint":"x"}"#,
            " -authenticationMetadata.ImpersonationConstraint:1",
        ),
        (
            r#""requestObject":{"anything":1},"annotations":{"x":"y"},"user":{"extra":{"z":[]}}"#,
            "event",
        ),
    ] {
        check(format!("{{{TYPE},{fields}}}").as_bytes(), expected);
    }
    check(
        br#"{"Level":"Metadata","message":"a","service":"b","network":{},"status":"info","x":1}"#,
        " -x:1",
    );
    check(
        br#"{"Level":"Metadata","User":{"Username":"a"},"verb":"get"}"#,
        " -User.Username:1 -verb:1",
    );
    let mut notes = Notes::default();
    let unknown_fields =
        (0..100).map(|at| format!(",\"field-{at}\":1")).collect::<Vec<_>>().concat();
    decoded::read(format!("{{{TYPE}{unknown_fields}}}").as_bytes(), &mut notes).unwrap();
    assert_eq!((notes.unknown().count(), notes.further_unknown()), (NAMES_MAX, 36));
}

#[test]
fn a_line_is_an_event_or_a_list_or_has_an_error() {
    let k10 = r#"{"Level":"Metadata","Verb":"get","Stage":"Panic"}"#;
    let list = |items: &str| {
        format!(
            r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{{}},"items":{items}}}"#
        )
    };
    for (line, expected) in [
        (format!("{{{TYPE}}}"), "event *\"level\":\"\""),
        (k10.to_owned(), "event *\"verb\":\"get\""),
        (format!("\u{feff}{{{TYPE}}}"), "event"),
        (format!("2026-11-23T09:30:00.1Z stdout F {k10}"), "event"),
        (list("[]"), "list "),
        (list("null"), "list "),
        (
            list(r#"[{"verb":"a"},{"verb":"b","kind":"Pod"},null]"#),
            "\"verb\":\"a\"* | *\"verb\":\"b\"* | *\"verb\":\"\"",
        ),
        (
            list(&format!("[{k10},{{{TYPE},\"verb\":\"list\"}}]")),
            "\"verb\":\"get\"* | *\"verb\":\"list\"",
        ),
        (list(r#"[{"verb":7},{"verb":"b"}]"#), "not an audit event invalid type*\"verb\":\"b\""),
        (list("[],\"more\":1"), " -more:1"),
        (
            format!(r#"{{"resourceVersion":"1","Items":[{k10},{k10}]}}"#),
            "\"verb\":\"get\"* | *\"verb\":\"get\"",
        ),
        (r#"{"message":"Keepwatch signal opened","signal":{}}"#.to_owned(), "signal"),
        (r#"{"kind":"Signal","apiVersion":"siem.keepwatch.io/v1alpha1"}"#.to_owned(), "signal"),
        (r#"{"level":"Metadata","auditID":"a"}"#.to_owned(), "kind is missing"),
        (r#"{"kind":"","apiVersion":"audit.k8s.io/v1"}"#.to_owned(), "kind is missing"),
        (r#"{"kind":"Event"}"#.to_owned(), "apiVersion is missing"),
        (r#"{"kind":"Event","apiVersion":""}"#.to_owned(), "apiVersion is missing"),
        (r#"{"kind":"Event","apiVersion":"v1"}"#.to_owned(), "is not an audit.k8s.io/v1 event"),
        (r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1beta1"}"#.to_owned(), "v1beta1"),
        (format!("{{{TYPE},\"kind\":\"Pod\"}}"), "\"Pod\""),
        (format!("x{{{TYPE}}}"), "not an audit event"),
        (format!("{{{TYPE}}}}}"), "trailing characters"),
        (format!("{{{TYPE},}}"), "trailing comma"),
        ("{".to_owned(), "jq -c"),
        ("[]".to_owned(), "not an audit event invalid type"),
        ("nonsense".to_owned(), "not an audit event"),
    ] {
        check(line.as_bytes(), expected);
    }
}

#[test]
fn documents_that_kubernetes_rejects_are_errors() {
    for (fields, expected) in [
        (r#""verb":7"#, "expected a string"),
        (r#""user":"alice""#, "expected an object"),
        (r#""user":{"groups":"a"}"#, "expected an array"),
        (r#""sourceIPs":[1]"#, "expected a string"),
        (r#""annotations":{"a":1}"#, "expected a string"),
        (r#""annotations":[]"#, "expected an object"),
        (r#""responseStatus":{"code":2147483648}"#, "32 bits"),
        (r#""responseStatus":{"code":1.0}"#, "whole number"),
        (r#""responseStatus":{"code":1e2}"#, "whole number"),
        (r#""responseStatus":{"code":"1"}"#, "whole number"),
        (
            r#""responseStatus":{"metadata":{"remainingItemCount":9223372036854775808}}"#,
            "too large",
        ),
        (r#""stageTimestamp":"now""#, "RFC 3339"),
        (r#""stageTimestamp":"9999-12-31T23:59:59.000000-01:00""#, "RFC 3339"),
        (r#""stageTimestamp":7"#, "expected a string"),
    ] {
        check(format!("{{{TYPE},{fields}}}").as_bytes(), expected);
    }
    let deep = format!("{{{TYPE},\"requestObject\":{}{}}}", "[".repeat(200), "]".repeat(200));
    check(deep.as_bytes(), "requestObject cannot be kept*nested too deeply");
}

/// Regression: one body that is nested too deeply made the whole event unreadable.
#[test]
fn an_event_is_read_without_a_body_that_is_nested_too_deeply() {
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let line = format!(
        r#"{{{TYPE},"stage":"Panic","verb":"delete","requestObject":{deep},"responseObject":{{"a":1}}}}"#
    );
    let event = event::v1::read(line.as_bytes()).unwrap();
    assert_eq!((event.verb.as_str(), &event.request_object), ("delete", &None));
    assert!(event.response_object.is_some());
    let text = &event.annotations[event::annotations::TRUNCATED];
    assert_eq!(text, "requestObject: nested too deeply");
}

/// Regression test: these lines were rejected, although Kubernetes accepts them.
#[test]
fn invalid_utf8_is_replaced_as_in_go_and_counted() {
    check(format!(r#"{{{TYPE},"verb":"\ud800"}}"#).as_bytes(), "\"verb\":\"\u{fffd}\"* replaced:1");
    check(
        &[format!("{{{TYPE},\"verb\":\"").as_bytes(), b"a\xffb\xe2\x80", b"\"}"].concat(),
        "\"verb\":\"a\u{fffd}b\u{fffd}\u{fffd}\"* replaced:1",
    );
    check(
        format!(r#"{{{TYPE},"requestObject":"\ud800"}}"#).as_bytes(),
        r#""requestObject":"\ud800""#,
    );
}

/// An event for the detector and the journal needs a known level and stage, and a valid HTTP status
/// code.
#[test]
fn the_detector_reads_the_set_fields_of_decoded_events() {
    for (fields, expected) in [
        (r#""stage":"Panic""#, Ok("Metadata 0")),
        (r#""stage":"Panic","requestObject":{}"#, Ok("Request 0")),
        (r#""stage":"Panic","requestObject":{},"responseObject":{}"#, Ok("RequestResponse 0")),
        (r#""stage":"Panic","level":"None","responseStatus":{"code":-1}"#, Ok("None 0")),
        (r#""stage":"Panic","responseStatus":{"code":2147483647}"#, Ok("Metadata 65535")),
        (r#""level":"Metadata""#, Err("missing field `stage`")),
        (r#""stage":"Done""#, Err("unknown stage \"Done\"")),
        (r#""stage":"Panic","level":"Loud""#, Err("unknown level \"Loud\"")),
    ] {
        let read = ::event::v1::read(format!("{{{fields}}}").as_bytes());
        let actual = read.map(|event| {
            format!("{} {}", event.level, event.response_status.map_or(0, |status| status.code))
        });
        let actual = actual.map_err(|error| std::error::Error::source(&error).unwrap().to_string());
        assert_eq!(actual.as_deref().map_err(String::as_str), expected, "{fields}");
    }
}
