//! Items that are not recorded as events but forwarded as they are to another Keepwatch.
//!
//! The receiver decides what an item is, with the same code. It cannot see two things: that bodies
//! of a very long event were replaced here, and a text that would break the list in which it is
//! sent. The first is noted in the event's annotations; the second is sent as a [`QuarantinedText`],
//! which the receiver records as if it had read the text itself.

use bytes::Bytes;
use event::annotations::TRUNCATED;
use event::record::{RawItem, write_raw};
use event::{EventRef, Timestamp, v1};
use memchr::memmem;
use serde::{Deserialize, Serialize};

use crate::limits::QUARANTINE_BYTES_MAX;
use crate::splitter::{Fault, Item};

const KIND: &str = "QuarantinedText";
const API_VERSION: &str = "siem.keepwatch.io/v1alpha1";
/// How such an item begins, by which it is told from events.
const START: &[u8] = br#"{"kind":"QuarantinedText","apiVersion":"siem.keepwatch.io/v1alpha1","#;
/// The key of the time of an event, as kube-apiserver writes it.
const TIME_KEY: &[u8] = br#""stageTimestamp":""#;
/// The longest text of a time.
const TIME_BYTES_MAX: usize = 40;

/// An item that is not an event and cannot be sent as it is.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct QuarantinedText {
    kind: String,
    api_version: String,
    fault: Fault,
    /// Its length in bytes.
    len: u64,
    /// Its beginning.
    text: String,
}

/// The record of an item that will be forwarded.
pub(crate) fn record(item: &Item) -> Bytes {
    let rewritten = match item.fault {
        Some(fault) => quarantined(item, fault),
        None if item.cut.is_empty() => None,
        None => marked(item),
    };
    let text = rewritten.as_deref().unwrap_or(&item.text);
    write_raw(RawItem { digest: item.digest, text })
}

/// The time of an event, without parsing it: the last one in its text, because bodies come before.
pub(crate) fn time(item: &Item) -> Option<Timestamp> {
    let start = memmem::rfind(&item.text, TIME_KEY)? + TIME_KEY.len();
    let rest = item.text.get(start..)?;
    let rest = &rest[..rest.len().min(TIME_BYTES_MAX)];
    let end = memchr::memchr(b'"', rest)?;
    Timestamp::parse(str::from_utf8(&rest[..end]).ok()?).ok()
}

/// The item that another Keepwatch could not send as it is; other items as they are.
pub(crate) fn unwrap(item: Item) -> Item {
    if !item.text.starts_with(START) {
        return item;
    }
    match serde_json::from_slice(&item.text) {
        Ok(QuarantinedText { fault, len, text, .. }) => {
            let digest = item.digest;
            Item { text: text.into_bytes(), digest, len, cut: Vec::new(), fault: Some(fault) }
        }
        Err(_) => item,
    }
}

fn quarantined(item: &Item, fault: Fault) -> Option<Vec<u8>> {
    let end = item.text.len().min(QUARANTINE_BYTES_MAX);
    let text = QuarantinedText {
        kind: KIND.to_owned(),
        api_version: API_VERSION.to_owned(),
        fault,
        len: item.len,
        text: String::from_utf8_lossy(&item.text[..end]).into_owned(),
    };
    serde_json::to_vec(&text).ok()
}

/// The event with a note about its replaced bodies. `None` if it is no event.
fn marked(item: &Item) -> Option<Vec<u8>> {
    let mut event = v1::read(&item.text).ok()?;
    let cut = item.cut.iter().map(|(body, bytes)| format!("{body}: {bytes} bytes"));
    let known = event.annotations.remove(TRUNCATED);
    let note = known.into_iter().chain(cut).collect::<Vec<String>>().join(", ");
    event.annotations.insert(TRUNCATED.to_owned(), note);
    let mut text = Vec::with_capacity(item.text.len());
    v1::write(&EventRef::from(&event), &mut text);
    Some(text)
}

#[cfg(test)]
mod tests {
    use event::record::raw_of;

    use super::*;

    const EVENT: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Request","auditID":"a","stage":"ResponseComplete","requestURI":"/x","verb":"create","user":{"username":"u"},"requestObject":{"stageTimestamp":"2020-01-01T00:00:00Z"},"requestReceivedTimestamp":"2026-11-29T16:07:36.000000Z","stageTimestamp":"2026-11-29T16:07:36.123456Z","future":{"a":1}}"#;

    fn item(text: &str) -> Item {
        Item { text: text.as_bytes().to_vec(), len: text.len() as u64, ..Item::default() }
    }

    fn text_of(item: &Item) -> String {
        let record = record(item);
        String::from_utf8(raw_of(&record).unwrap().unwrap().text.to_vec()).unwrap()
    }

    #[test]
    fn an_event_is_forwarded_as_it_is_with_fields_that_are_unknown_here() {
        assert_eq!(text_of(&item(EVENT)), EVENT);
        let expected = Timestamp::parse("2026-11-29T16:07:36.123456Z").unwrap();
        assert_eq!(time(&item(EVENT)), Some(expected));
        assert_eq!(time(&item("{}")), None);
    }

    #[test]
    fn a_text_that_is_no_event_comes_out_as_it_went_in() {
        for (text, fault) in [
            ("{\"verb\":\"get", Fault::LineEnds),
            ("\u{1}\"quote\\ and ]}", Fault::NotAnObject),
            ("", Fault::Damaged),
        ] {
            let sent = Item { fault: Some(fault), len: 9000, ..item(text) };
            let received = item(&text_of(&sent));
            assert_eq!(unwrap(received), sent, "{text}");
        }
        let other = item("{\"kind\":\"QuarantinedText\"}");
        assert_eq!(unwrap(other.clone()), other);
    }

    #[test]
    fn replaced_bodies_are_named_in_the_event() {
        let sent = Item { cut: vec![("requestObject", 5_000_000)], ..item(EVENT) };
        let event = v1::read(text_of(&sent).as_bytes()).unwrap();
        assert_eq!(event.annotations[TRUNCATED], "requestObject: 5000000 bytes");
        assert_eq!(event.audit_id, "a");
    }
}
