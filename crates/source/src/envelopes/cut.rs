//! Salvages an event whose text was cut: by Azure at 16 or 32 KiB, by Amazon CloudWatch at 256 KiB
//! or 1 MiB, or by a disk that was full.
//!
//! kube-apiserver writes the members of an event in a fixed order, so that a cut within a body
//! leaves who did what, and the result. The event has the members that are complete, the time of its
//! container, and a mark.

use event::annotations::TRUNCATED;
use event::{EventRef, Timestamp, v1};

/// The members without which an event says nothing.
const REQUIRED: [&str; 3] = ["stage", "verb", "user"];
/// The members with a time, which are near the end.
const TIMES: [&str; 2] = ["requestReceivedTimestamp", "stageTimestamp"];
/// The last member.
const ANNOTATIONS: &str = "annotations";

/// The event with its complete members; `None` if too many are missing.
pub(super) fn salvage(text: &str, time: Option<Timestamp>) -> Option<Vec<u8>> {
    let Complete { end, keys } = complete_members(text);
    let has = |key: &str| keys.contains(&key);
    if !REQUIRED.into_iter().all(has) {
        return None;
    }
    let mut event = text.get(..end)?.to_owned();
    for key in TIMES {
        if !has(key) {
            event.extend([",\"", key, "\":\"", &time?.to_string(), "\""]);
        }
    }
    let note = format!("cut by the log after {} bytes", text.len());
    if has(ANNOTATIONS) {
        event.push('}');
        return with_note(&event, note);
    }
    event.extend([",\"", ANNOTATIONS, "\":{\"", TRUNCATED, "\":\"", &note, "\"}}"]);
    Some(event.into_bytes())
}

/// An event with a note among its annotations. A program that sorts the members writes the
/// annotations first.
fn with_note(event: &str, note: String) -> Option<Vec<u8>> {
    let mut event = v1::read(event.as_bytes()).ok()?;
    event.annotations.insert(TRUNCATED.to_owned(), note);
    let mut text = Vec::new();
    v1::write(&EventRef::from(&event), &mut text);
    Some(text)
}

/// The members of an object that are complete.
struct Complete<'t> {
    /// Offset of the end of the last one.
    end: usize,
    keys: Vec<&'t str>,
}

/// Finds the members that a comma follows.
fn complete_members(text: &str) -> Complete<'_> {
    let bytes = text.as_bytes();
    let mut complete = Complete { end: 0, keys: Vec::new() };
    let (mut depth, mut at) = (0_u64, 0);
    // The key of the current member, and whether it is still to be read.
    let (mut key, mut is_key) = (None, true);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                let Some(end) = end_of_text(bytes, at + 1) else { break };
                if depth == 1 && is_key {
                    (key, is_key) = (text.get(at + 1..end), false);
                }
                at = end;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' if depth == 1 => {
                complete.end = at;
                complete.keys.extend(key.take());
                is_key = true;
            }
            _ => {}
        }
        at += 1;
    }
    complete
}

/// Offset of the quote that ends a text which begins here.
fn end_of_text(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"kind":"Event","level":"Request","auditID":"a","stage":"ResponseComplete","verb":"patch","user":{"username":"alice","groups":["a,b","c\"}"]},"objectRef":{"resource":"pods"},"requestObject":{"spec":{"a":[1,2]}},"requestReceivedTimestamp":"2026-11-29T16:07:36.000001Z","stageTimestamp":"2026-11-29T16:07:36.000002Z","annotations":{"a":"b"}}"#;

    #[test]
    fn an_event_that_is_cut_anywhere_keeps_its_complete_members() {
        let time = Some(Timestamp::from_micros(1_795_968_456_123_456));
        let after_user = EVENT.find(r#","objectRef"#).unwrap();
        for cut in 0..EVENT.len() {
            let salvaged = salvage(EVENT.get(..cut).unwrap(), time);
            assert_eq!(salvaged.is_some(), cut > after_user, "{cut}");
            let Some(salvaged) = salvaged else { continue };
            let event = event::v1::read(&salvaged).unwrap();
            assert_eq!((event.verb.as_str(), event.user.groups.len()), ("patch", 2), "{cut}");
            assert!(event.annotations.contains_key(TRUNCATED), "{cut}");
            let has_body = event.request_object.is_some();
            assert_eq!(has_body, cut > EVENT.find(r#","requestReceived"#).unwrap(), "{cut}");
        }
    }

    /// Regression: it looked like a complete event.
    #[test]
    fn a_cut_event_whose_members_are_sorted_is_marked_too() {
        let sorted = r#"{"annotations":{"a":"b"},"kind":"Event","level":"Request","stage":"ResponseComplete","stageTimestamp":"2026-11-29T16:07:36.000002Z","requestReceivedTimestamp":"2026-11-29T16:07:36.000001Z","user":{"username":"alice"},"verb":"patch","zz"#;
        let event = event::v1::read(&salvage(sorted, None).unwrap()).unwrap();
        let keys: Vec<&str> = event.annotations.keys().map(String::as_str).collect();
        assert_eq!((event.verb.as_str(), keys), ("patch", vec!["a", TRUNCATED]));
    }

    #[test]
    fn an_event_without_any_time_is_not_salvaged() {
        let cut = EVENT.find(r#""stageTimestamp"#).unwrap();
        assert_eq!(salvage(EVENT.get(..cut).unwrap(), None), None);
    }
}
