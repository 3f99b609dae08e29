//! Classifies a line: an event in one of the encodings, a batch of events, a signal, or none of
//! them.

use std::borrow::Cow;

use event::{Event, line};
use serde::Deserialize;
use serde_json::value::RawValue;
use source::envelopes;

/// Maximum number of bytes of a reason in a message.
const REASON_BYTES_MAX: usize = 160;

/// A parsed line.
pub(super) enum Record {
    Event(Box<line::Line>),
    /// Several events, in the form that webhooks receive and the API lists, and the reasons why
    /// other items are not events.
    List(Vec<(Event, line::Encoding)>, Vec<String>),
    /// A signal of Keepwatch: a result of detection, not its input.
    Signal,
    /// The reason why the line is none of these.
    Other(String),
}

/// Reads one line.
pub(super) fn read(line: &[u8]) -> Record {
    match line::read(line) {
        Ok(line) => Record::Event(Box::new(line)),
        Err(error) => other(line, &format!("{:#}", anyhow::Error::new(error))),
    }
}

/// A line that is not an event may be another known object.
fn other(line: &[u8], reason: &str) -> Record {
    /// The first keys of a Kubernetes object.
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Object<'a> {
        #[serde(borrow, default)]
        kind: Cow<'a, str>,
        #[serde(borrow, default)]
        api_version: Cow<'a, str>,
        #[serde(borrow, default)]
        items: Vec<&'a RawValue>,
        /// The key in Keepwatch's own lines.
        #[serde(borrow)]
        signal: Option<&'a RawValue>,
    }
    if line == b"{" {
        return Record::Other(
            "a JSON document over several lines: write one event per line, as `jq -c .` does"
                .to_owned(),
        );
    }
    let Ok(object) = serde_json::from_slice::<Object<'_>>(line) else {
        return enveloped(line).unwrap_or_else(|| Record::Other(shortened(reason)));
    };
    match (&*object.kind, &*object.api_version) {
        ("Signal", _) => Record::Signal,
        ("", _) if object.signal.is_some() => Record::Signal,
        ("", _) if let Some(record) = enveloped(line) => record,
        ("EventList", "audit.k8s.io/v1") => {
            let (mut events, mut others) = (Vec::new(), Vec::new());
            for (index, item) in object.items.iter().enumerate() {
                match item_of_list(item.get().as_bytes()) {
                    Ok(event) => events.push(event),
                    Err(error) => others.push(shortened(&format!("items[{index}]: {error:#}"))),
                }
            }
            Record::List(events, others)
        }
        ("", _) | ("Event", "audit.k8s.io/v1") => Record::Other(shortened(reason)),
        ("Event" | "EventList", version) if version.starts_with("audit.k8s.io/") => Record::Other(
            shortened(&format!("{version} is not supported: audit.k8s.io/v1 is needed")),
        ),
        (kind, _) => Record::Other(shortened(&format!("it is a {kind}, not an audit event"))),
    }
}

/// The events in a container of a cloud provider or a log tool; `None` for other lines.
fn enveloped(line: &[u8]) -> Option<Record> {
    let (mut events, mut others) = (Vec::new(), Vec::new());
    for text in envelopes::events_of(line)? {
        let event = text.and_then(|text| item_of_list(&text).map_err(|error| format!("{error:#}")));
        match event {
            Ok(event) => events.push(event),
            Err(why) => others.push(shortened(&why)),
        }
    }
    Some(Record::List(events, others))
}

/// Items of a list need not have a kind.
fn item_of_list(item: &[u8]) -> anyhow::Result<(Event, line::Encoding)> {
    Ok(match line::encoding_of(item) {
        Some(encoding @ line::Encoding::Kasten) => (event::k10::read(item)?, encoding),
        _ => (event::v1::read(item)?, line::Encoding::V1),
    })
}

/// Reasons quote the input, so they are truncated and escaped for the terminal.
fn shortened(reason: &str) -> String {
    let mut plain = String::new();
    for c in reason.chars() {
        if plain.len() + c.len_utf8() > REASON_BYTES_MAX {
            plain.push('…');
            break;
        }
        plain.push(if c.is_control() { ' ' } else { c });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = concat!(
        r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"a","#,
        r#""stage":"ResponseComplete","requestURI":"/apis","verb":"get","user":{"username":"alice"},"#,
        r#""requestReceivedTimestamp":"2026-11-24T21:00:00.000000Z","#,
        r#""stageTimestamp":"2026-11-24T21:00:00.000001Z"}"#,
    );

    fn check(line: &str, expected: &str) {
        let actual = match read(line.as_bytes()) {
            Record::Event(line) => {
                let line::Line { event, cluster, .. } = *line;
                format!("{} {} {cluster:?}", event.user.username, event.verb)
            }
            Record::List(events, others) => format!("{} events {others:?}", events.len()),
            Record::Signal => "signal".to_owned(),
            Record::Other(reason) => reason,
        };
        assert!(actual.contains(expected), "{line}: {actual}");
    }

    #[test]
    fn the_type_of_a_line_is_detected() {
        check(V1, "alice get None");
        check(&format!("\u{feff}{V1}"), "alice get None");
        check(&format!("2026-11-24T21:00:00.1Z stdout F {V1}"), "alice get None");
        let list =
            format!(r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{V1},{V1}]}}"#);
        check(&list, "2 events");
        let list = list.replace(r#"items":["#, r#"items":[{"level":"Odd","stage":"Panic"},"#);
        check(&list, r#"2 events ["items[0]: "#);
        let invalid = V1.replace(r#""verb":"get""#, r#""verb":1"#);
        check(&invalid, "not an audit.k8s.io/v1 event");
        check(&V1.replace("io/v1", "io/v1beta1"), "audit.k8s.io/v1 is needed");
        let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../source/tests/it/data/");
        for (file, expected) in
            [("eks-firehose.json", "3 events []"), ("aks-event-hub.json", "2 events []")]
        {
            check(&std::fs::read_to_string(format!("{data}{file}")).unwrap(), expected);
        }
        let gke = std::fs::read_to_string(format!("{data}gke.json")).unwrap();
        let actual = [1, 1, 1, 1, 1, 1, 1, 0, 0];
        for (line, events) in gke.lines().zip(actual) {
            check(line, &format!("{events} events []"));
        }
        check(r#"{"apiVersion":"siem.keepwatch.io/v1alpha1","kind":"Signal","spec":{}}"#, "signal");
        check(r#"{"message":"Keepwatch signal opened","signal":{"kind":"Signal"}}"#, "signal");
        check(r#"{"apiVersion":"v1","kind":"Pod"}"#, "it is a Pod, not an audit event");
        check("nonsense", "not an audit event");
        check("{", "over several lines");
        check(r#"{"level":"Metadata"}"#, "missing field `stage`");
    }

    #[test]
    fn lines_of_k10_carry_their_cluster() {
        let event = event::v1::read(V1.as_bytes()).unwrap();
        let labels = event::k10::LineContext {
            service: "keepwatch".to_owned(),
            cluster_name: "prod-eu".to_owned(),
            ..event::k10::LineContext::default()
        };
        let mut line = Vec::new();
        event::k10::write(&event::EventRef::from(&event), &labels, &mut line);
        check(&String::from_utf8(line).unwrap(), r#"alice get Some("prod-eu")"#);
    }

    #[test]
    fn a_reason_is_short_and_printable() {
        assert_eq!(shortened("a\u{1b}[2Jb"), "a [2Jb");
        assert!(shortened(&"x".repeat(1000)).len() < 200);
    }
}
