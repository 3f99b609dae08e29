//! Limits the length of lines to what their consumers accept.
//!
//! The Datadog Forwarder drops a log that exceeds its limit *in the form in which it is sent*: the
//! line is encoded again as ASCII JSON and escaped once more in an envelope. [`datadog_bytes`] is
//! that size. A longer line is truncated in steps, each only if the one before was not enough: the
//! response body, the request body, long fields, and everything that a client can make long.
//! Annotations name what was truncated, and the length of the full line. A truncated body is
//! replaced by its length and SHA-256; the SHA-256 of the full line is added if fields were
//! truncated, and to every truncated line for the Forwarder. The journal keeps the full event.

use aws_lc_rs::digest::{SHA256, digest};
use event::annotations::{FULL_BYTES, FULL_SHA256, TRUNCATED};
use event::record::{SignalRecord, signal_of, write_signal};
use event::signal::{Actor, SignalSpec};
use event::{Event, EventRef, UserInfo};

use crate::Encoding;
use crate::hex;

/// Bytes that the Forwarder adds around a line, approximately.
const ENVELOPE_BYTES: usize = 1024;
/// The maximum growth of a byte by the Forwarder's encoding, in halves of a byte.
const ENCODED_HALVES_MAX: usize = 7;
/// The limit of the step `longFields`, the first one that truncates fields.
const LONG_FIELDS: FieldLimit = FieldLimit { chars: 1024, entries: 64 };
/// The limit of the step `fields`.
const FIELDS: FieldLimit = FieldLimit { chars: 128, entries: 8 };
/// Number of steps that truncate bodies. They are the first ones.
const BODY_STEPS: usize = 2;
/// The limit of the step `shortFields`: short enough for every line, even if every character is
/// escaped.
const SHORT_FIELDS: FieldLimit = FieldLimit { chars: 32, entries: 4 };

/// Writes events and signals as lines of a bounded length.
#[derive(Clone, Debug)]
pub struct LineLimiter {
    encoding: Encoding,
    line_bytes: usize,
    measure: Measure,
}

/// How the length of a line is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measure {
    /// As the Datadog Forwarder counts it.
    Forwarder,
    /// Its bytes, with the newline.
    Bytes,
}

/// The maximum length of a field: characters of a text, entries of a list.
#[derive(Clone, Copy)]
struct FieldLimit {
    chars: usize,
    entries: usize,
}

/// The name of a step, and the function that truncates an event.
type EventStep = (&'static str, fn(&mut Event));

/// The name of a step, and the function that truncates a signal.
type SignalStep = (&'static str, fn(&mut SignalSpec));

const SIGNAL_STEPS: [SignalStep; 3] = [
    ("evidence.events", |spec| spec.evidence.events.clear()),
    ("targets,message", |spec| {
        spec.targets.items.clear();
        spec.message.clear();
        spec.remaining.clear();
    }),
    ("fields", |spec| {
        let Actor { username, .. } = std::mem::take(&mut spec.actor);
        spec.actor = Actor { username: truncated(username, FIELDS), ..Actor::default() };
        for group in &mut spec.group_by {
            truncate_text(&mut group.value, FIELDS);
        }
        spec.group_by.truncate(FIELDS.entries);
        spec.evidence.audit_ids.truncate(FIELDS.entries);
        spec.counts.clear();
        spec.references.clear();
        spec.blind_spots.clear();
        truncate_text(&mut spec.title, FIELDS);
        truncate_text(&mut spec.rule.title, FIELDS);
    }),
];

impl LineLimiter {
    /// Lines in `encoding` of at most `line_bytes`, as the Datadog Forwarder counts them.
    pub fn for_datadog(encoding: Encoding, line_bytes: usize) -> Self {
        Self { encoding, line_bytes, measure: Measure::Forwarder }
    }

    /// Lines in `encoding` of at most `line_bytes`, the newline included: for log shippers that
    /// read standard output and files, and cut or drop longer lines.
    pub fn by_bytes(encoding: Encoding, line_bytes: usize) -> Self {
        Self { encoding, line_bytes, measure: Measure::Bytes }
    }

    /// Appends one event without the newline.
    pub fn write(&self, event: &EventRef<'_>, lines: &mut Vec<u8>) {
        let start = lines.len();
        self.encoding.write(event, lines);
        if !self.is_too_long(&lines[start..]) {
            return;
        }
        let full_bytes = lines.len() - start;
        let mut shortened = event::limit::with_cut_response(event);
        let mut truncated = Vec::new();
        let steps: [EventStep; 5] = [
            // A long response was not copied into `shortened`.
            ("responseObject", |_| {}),
            ("requestObject", |event| truncate_body(&mut event.request_object)),
            ("longFields", |event| truncate_event(event, LONG_FIELDS)),
            ("fields", |event| {
                event.annotations.clear();
                event.user.extra.clear();
                event.impersonated_user.iter_mut().for_each(|user| user.extra.clear());
                event.authentication_metadata = None;
                truncate_event(event, FIELDS);
            }),
            ("shortFields", |event| truncate_event(event, SHORT_FIELDS)),
        ];
        let mut full_sha256 = None;
        for (index, (name, step)) in steps.into_iter().enumerate() {
            step(&mut shortened);
            truncated.push(name);
            shortened.annotations.insert(TRUNCATED.to_owned(), truncated.join(","));
            shortened.annotations.insert(FULL_BYTES.to_owned(), full_bytes.to_string());
            // A truncated body contains its own digest. A digest of every long line would double
            // the cost of the line.
            if self.measure == Measure::Forwarder || index >= BODY_STEPS {
                let hash = full_sha256.get_or_insert_with(|| self.full_sha256(event));
                shortened.annotations.insert(FULL_SHA256.to_owned(), hash.clone());
            }
            lines.truncate(start);
            self.encoding.write(&event.copy_seq_to(EventRef::from(&shortened)), lines);
            if !self.is_too_long(&lines[start..]) {
                return;
            }
        }
    }

    /// Appends a change of a signal without the newline. The full signal is available from the API.
    pub fn write_signal(&self, signal: &SignalRecord, lines: &mut Vec<u8>) {
        let start = lines.len();
        self.encoding.write_signal(signal, "", lines);
        if !self.is_too_long(&lines[start..]) {
            return;
        }
        let Ok(mut shortened) = signal.signal() else { return };
        let mut truncated = Vec::new();
        for (name, step) in SIGNAL_STEPS {
            step(&mut shortened.spec);
            truncated.push(name);
            let record = write_signal(signal.change, signal.time, &shortened);
            // This cannot fail: the record was just encoded.
            let Some(Ok(record)) = signal_of(&record) else { return };
            let record = SignalRecord { seq: signal.seq, ..record };
            lines.truncate(start);
            self.encoding.write_signal(&record, &truncated.join(","), lines);
            if !self.is_too_long(&lines[start..]) {
                return;
            }
        }
    }

    /// The SHA-256 of the full line of an event, in hexadecimal digits.
    fn full_sha256(&self, event: &EventRef<'_>) -> String {
        let mut line = Vec::new();
        self.encoding.write(event, &mut line);
        hex(digest(&SHA256, &line).as_ref())
    }

    fn is_too_long(&self, line: &[u8]) -> bool {
        if self.measure == Measure::Bytes {
            return line.len() >= self.line_bytes;
        }
        // Most lines are far below the limit, so they need not be counted.
        line.len() * ENCODED_HALVES_MAX / 2 + ENVELOPE_BYTES > self.line_bytes
            && datadog_bytes(line) > self.line_bytes
    }
}

/// An upper bound of the length in bytes of a line that the Datadog Forwarder sends.
pub(super) fn datadog_bytes(line: &[u8]) -> usize {
    let mut count = ENVELOPE_BYTES;
    let mut is_in_string = false;
    let mut bytes = line.iter().copied();
    while let Some(byte) = bytes.next() {
        count += match byte {
            b'"' => {
                is_in_string = !is_in_string;
                2
            }
            b'\\' => match bytes.next() {
                // `\"` and `\\` are escaped once more, each of their characters.
                Some(b'"' | b'\\') => 4,
                _ => 3,
            },
            // Python writes a space after these characters.
            b',' | b':' if !is_in_string => 2,
            0x00..0x80 => 1,
            // The first byte of a character counts for all: `\\u00e9`, or two of them.
            0xf0.. => 14,
            0xc0..0xf0 => 7,
            0x80..0xc0 => 0,
        };
    }
    count
}

/// Replaces a body by its length and digest.
fn truncate_body(body: &mut Option<event::Json>) {
    if let Some(body) = body {
        *body = event::limit::cut_body(body.as_bytes());
    }
}

fn truncate_event(event: &mut Event, limit: FieldLimit) {
    let texts =
        [&mut event.audit_id, &mut event.request_uri, &mut event.verb, &mut event.user_agent];
    for value in texts {
        truncate_text(value, limit);
    }
    truncate_user(&mut event.user, limit);
    if let Some(user) = &mut event.impersonated_user {
        truncate_user(user, limit);
    }
    truncate_list(&mut event.source_ips, limit);
    if let Some(object_ref) = &mut event.object_ref {
        for value in object_ref.texts_mut() {
            truncate_text(value, limit);
        }
    }
    if let Some(status) = &mut event.response_status {
        status.details = None;
        for value in [&mut status.status, &mut status.message, &mut status.reason] {
            truncate_text(value, limit);
        }
    }
    let annotations = std::mem::take(&mut event.annotations);
    event.annotations = annotations
        .into_iter()
        .take(limit.entries)
        .map(|(key, value)| (truncated(key, limit), truncated(value, limit)))
        .collect();
}

fn truncate_user(user: &mut UserInfo, limit: FieldLimit) {
    truncate_text(&mut user.username, limit);
    truncate_text(&mut user.uid, limit);
    truncate_list(&mut user.groups, limit);
    let extra = std::mem::take(&mut user.extra);
    let extra = extra.into_iter().take(limit.entries).map(|(key, mut values)| {
        truncate_list(&mut values, FieldLimit { entries: 4, ..limit });
        (truncated(key, limit), values)
    });
    user.extra = extra.collect();
}

fn truncate_list(list: &mut Vec<String>, limit: FieldLimit) {
    list.truncate(limit.entries);
    for value in list {
        truncate_text(value, limit);
    }
}

fn truncated(mut text: String, limit: FieldLimit) -> String {
    truncate_text(&mut text, limit);
    text
}

fn truncate_text(text: &mut String, limit: FieldLimit) {
    if let Some((end, _)) = text.char_indices().nth(limit.chars) {
        text.truncate(end);
        text.push('…');
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;
    use event::signal::{ChangeKind, Signal, SignalState, Target};
    use event::{Json, Level, Stage, Timestamp};

    use super::*;

    fn event(request: &str, response: &str, uri: &str) -> Event {
        let body = |text: &str| Json::parse(Bytes::from(format!("{text:?}"))).ok();
        Event {
            level: Level::RequestResponse,
            audit_id: "id-1".to_owned(),
            stage: Stage::ResponseComplete,
            request_uri: uri.to_owned(),
            verb: "get".to_owned(),
            user: UserInfo::default(),
            impersonated_user: None,
            authentication_metadata: None,
            source_ips: Vec::new(),
            user_agent: String::new(),
            object_ref: None,
            response_status: None,
            request_object: body(request),
            response_object: body(response),
            request_received_timestamp: Timestamp::default(),
            stage_timestamp: Timestamp::default(),
            annotations: BTreeMap::new(),
        }
    }

    /// Checks which steps truncate an event.
    fn check(event: &Event, truncated: Option<&str>) {
        let mut line = Vec::new();
        LineLimiter::for_datadog(Encoding::V1, 20_000).write(&EventRef::from(event), &mut line);
        assert!(datadog_bytes(&line) <= 20_000, "{}", datadog_bytes(&line));
        let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
        let annotation =
            |name: &str| line["annotations"].get(name).and_then(|annotation| annotation.as_str());
        assert_eq!(annotation(TRUNCATED), truncated);
        assert_eq!(line["auditID"], "id-1");
        if truncated.is_some() {
            let mut full = Vec::new();
            Encoding::V1.write(&EventRef::from(event), &mut full);
            assert_eq!(annotation(FULL_BYTES).unwrap(), full.len().to_string());
            let hash = hex(digest(&SHA256, &full).as_ref());
            assert_eq!(annotation(FULL_SHA256).unwrap(), hash);
        }
    }

    /// Regression: the digest of the line took half of the time for a long list, although the
    /// digest of the body suffices.
    #[test]
    fn a_line_limited_by_bytes_has_a_digest_of_the_whole_only_if_fields_are_cut() {
        let long = "x".repeat(30_000);
        for (event, digests) in [
            (event("a", &long, "/"), [true, false]),
            (event(&long, &long, "/"), [true, false]),
            (event("a", &long, &long), [true, true]),
        ] {
            let mut line = Vec::new();
            LineLimiter::by_bytes(Encoding::V1, 20_000).write(&EventRef::from(&event), &mut line);
            let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
            let of_body = line["responseObject"].get("keepwatch.io/cut").is_some();
            let of_line = line["annotations"].get(FULL_SHA256).is_some();
            assert_eq!([of_body, of_line], digests);
            assert!(line["annotations"].get(FULL_BYTES).is_some());
        }
    }

    #[test]
    fn a_line_is_truncated_step_by_step_and_no_further_than_needed() {
        let long = "x".repeat(30_000);
        check(&event("a", "b", "/"), None);
        check(&event("a", &long, "/"), Some("responseObject"));
        check(&event(&long, &long, "/"), Some("responseObject,requestObject"));
        check(&event(&long, "b", &long), Some("responseObject,requestObject,longFields"));
        let mut wide = event("a", "b", "/");
        let values = (0..500)
            .map(|number| (format!("key-{number}-{}", "k".repeat(200)), vec!["v".repeat(500)]));
        wide.user.extra = values.collect();
        check(&wide, Some("responseObject,requestObject,longFields,fields"));
    }

    #[test]
    fn a_signal_that_is_too_long_loses_its_evidence_first() {
        let line = |events: usize, items: usize, name: usize| {
            let mut spec = SignalSpec { title: "t".to_owned(), ..SignalSpec::default() };
            spec.actor.username = "u".repeat(name);
            let event = serde_json::value::RawValue::from_string(format!("{:?}", "e".repeat(1000)));
            spec.evidence.events = vec![event.unwrap(); events];
            let target = Target { name: "n".repeat(200), ..Target::default() };
            spec.targets.items = vec![target; items];
            let signal = Signal { id: "id-1".to_owned(), spec, state: SignalState::Open };
            let record = write_signal(ChangeKind::Opened, Timestamp::default(), &signal);
            let record = signal_of(&record).unwrap().unwrap();
            let mut line = Vec::new();
            LineLimiter::for_datadog(Encoding::V1, 20_000).write_signal(&record, &mut line);
            assert!(datadog_bytes(&line) <= 20_000, "{}", datadog_bytes(&line));
            let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
            assert_eq!(line["signal"]["metadata"]["name"], "id-1");
            line["truncated"].as_str().unwrap_or_default().to_owned()
        };
        assert_eq!(line(2, 2, 5), "");
        assert_eq!(line(100, 2, 5), "evidence.events");
        assert_eq!(line(100, 200, 5), "evidence.events,targets,message");
        assert_eq!(line(100, 200, 30_000), "evidence.events,targets,message,fields");
    }

    #[test]
    fn a_truncated_line_on_standard_output_keeps_user_object_and_time() {
        let long = "x".repeat(3_000_000);
        for (request, response, uri) in
            [(&*long, "b", "/"), ("a", &*long, "/"), (&*long, &*long, &*long)]
        {
            let mut event = event(request, response, uri);
            event.user.username = "alice".to_owned();
            for encoding in [Encoding::V1, Encoding::Kasten(event::k10::LineContext::default())] {
                let mut line = Vec::new();
                let limiter = LineLimiter::by_bytes(encoding, 32_000);
                limiter.write(&EventRef::from(&event).with_seq(77), &mut line);
                assert!(line.len() < 32_000, "{}", line.len());
                let text = String::from_utf8(line).unwrap();
                let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
                let annotations = parsed.get("annotations").or(parsed.get("Annotations")).unwrap();
                assert_eq!(annotations["keepwatch.io/journal-seq"], "77");
                assert!(text.find("alice").unwrap() < 12_000);
                assert!(text.contains(r#""keepwatch.io/cut":{"bytes":3000002,"sha256":""#));
            }
        }
    }

    #[test]
    fn the_length_of_a_line_is_counted_as_by_python() {
        // Each pair: a line, and the length of `json.dumps(json.dumps(json.loads(line)))` less
        // quotes.
        for (line, expected) in [
            (r#"{"a":"b","c":1}"#, 24),
            ("{\"a\":\"\u{e9}\"}", 20),
            ("{\"a\":\"\u{1f600}\"}", 27),
            (r#"{"a":"\\"}"#, 17),
            (r#"{"a":"\""}"#, 17),
            (r#"{"a":"\n"}"#, 16),
        ] {
            let actual = datadog_bytes(line.as_bytes()) - ENVELOPE_BYTES;
            assert!(actual == expected, "{line}: {actual}, {expected}");
        }
    }
}
