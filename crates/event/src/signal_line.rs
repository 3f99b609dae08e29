//! The line of a signal, for sinks that carry events and signals in one stream.
//!
//! In the encoding `kasten` it starts with the keys that log tools expect, like the line of an
//! event. In the encoding `v1` it is an object of a different kind and group than an event, so that
//! a consumer of kube-apiserver's log can distinguish them. Log agents that collect K10's audit
//! events select lines by the text `K10Event`, ignoring case. A signal's line matches that filter
//! only if [`LineContext::signals_match_filter`] is set; otherwise it cannot match, whatever text
//! clients put into names.

use crate::escape;
use crate::field_codec::Text;
use crate::json_writer::ObjectWriter;
use crate::k10::{self, LineContext};
use crate::record::SignalRecord;
use crate::signal::Severity;

/// The text by which log agents select lines, in lower case.
const MARKER: &[u8] = b"k10event";
/// The Kelvin sign, which filters that ignore case treat as a `k`.
const KELVIN: &[u8] = "\u{212a}".as_bytes();

/// Append the line in the encoding `kasten`, without the newline. `truncated` lists the omitted
/// fields.
pub fn k10(record: &SignalRecord, context: &LineContext, truncated: &str, line: &mut Vec<u8>) {
    let start = line.len();
    let mut object = ObjectWriter::open(line);
    let prefix = if context.signals_match_filter { "K10Event" } else { "Keepwatch" };
    message(record, prefix, &mut object);
    write_start(record, &mut object);
    // Its events may be those of another cluster.
    let cluster = record.signal().map(|signal| signal.spec.cluster).unwrap_or_default();
    let cluster = if cluster.is_empty() { &context.cluster_name } else { &cluster };
    k10::service(context, Text::from(cluster.as_str()), &mut object);
    body(record, truncated, object);
    if !context.signals_match_filter {
        hide_marker(line, start);
    }
}

/// Append the line in the encoding `v1`, without the newline. `truncated` lists the omitted fields.
pub fn v1(record: &SignalRecord, truncated: &str, line: &mut Vec<u8>) {
    let start = line.len();
    let mut object = ObjectWriter::open(line);
    object.word(br#","kind":"#, "Signal");
    object.word(br#","apiVersion":"#, "siem.keepwatch.io/v1alpha1");
    message(record, "Keepwatch", &mut object);
    write_start(record, &mut object);
    body(record, truncated, object);
    hide_marker(line, start);
}

fn message(record: &SignalRecord, prefix: &str, object: &mut ObjectWriter<'_>) {
    let line = object.key(br#","message":"#);
    line.push(b'"');
    for word in [prefix, " signal ", record.change.as_str()] {
        line.extend_from_slice(word.as_bytes());
    }
    line.push(b'"');
}

fn write_start(record: &SignalRecord, object: &mut ObjectWriter<'_>) {
    object.time(br#","timestamp":"#, record.time.quoted().as_ref());
    let status = match record.severity {
        Severity::Critical => "critical",
        Severity::High => "error",
        Severity::Medium => "warn",
        Severity::Low | Severity::Informational => "info",
    };
    object.word(br#","status":"#, status);
}

fn body(record: &SignalRecord, truncated: &str, mut object: ObjectWriter<'_>) {
    if !truncated.is_empty() {
        object.text(br#","truncated":"#, Text::from(truncated));
    }
    if let Some(seq) = record.seq {
        object.raw(br#","journalSeq":"#, itoa::Buffer::new().format(seq).as_bytes());
    }
    object.raw(br#","signal":"#, record.object.as_bytes());
    object.close();
}

/// Escape the first letter of each marker. A marker can only occur in a JSON string, where the
/// escape sequence has the same meaning.
fn hide_marker(line: &mut Vec<u8>, start: usize) {
    let text = line.get(start..).unwrap_or_default();
    let Some(first) = (0..text.len()).find(|at| marker_at(text, *at).is_some()) else { return };
    let text = line.split_off(start + first);
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        if let Some((code, len)) = marker_at(&text, at) {
            escape::unicode(code, line);
            at += len;
        } else {
            line.push(*byte);
            at += 1;
        }
    }
}

/// The code unit and length of the first letter, if a marker begins at offset `at`.
fn marker_at(text: &[u8], at: usize) -> Option<(u16, usize)> {
    let rest = text.get(at..)?;
    let (code, len) = match rest.first()? {
        letter @ (b'k' | b'K') => (u16::from(*letter), 1),
        _ if rest.starts_with(KELVIN) => (0x212a, KELVIN.len()),
        _ => return None,
    };
    let remaining = rest.get(len..len + MARKER.len() - 1)?;
    remaining.eq_ignore_ascii_case(MARKER.get(1..)?).then_some((code, len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;
    use crate::record::{signal_of, write_signal};
    use crate::signal::{ChangeKind, Signal, SignalSpec, SignalState};

    fn record(title: &str, severity: Severity) -> SignalRecord {
        let spec = SignalSpec { severity, title: title.to_owned(), ..SignalSpec::default() };
        let signal = Signal { id: "id-1".to_owned(), spec, state: SignalState::Open };
        let time = Timestamp::from_micros(1_795_566_600_000_000);
        signal_of(&write_signal(ChangeKind::Opened, time, &signal)).unwrap().unwrap()
    }

    fn context(signals_match_filter: bool) -> LineContext {
        LineContext {
            service: "keepwatch".to_owned(),
            cluster_name: "prod".to_owned(),
            signals_match_filter,
            ..LineContext::default()
        }
    }

    fn line(title: &str, context: Option<&LineContext>) -> String {
        let record = record(title, Severity::High);
        let mut line = b"before: ".to_vec();
        match context {
            Some(context) => k10(&record, context, "", &mut line),
            None => v1(&record, "", &mut line),
        }
        String::from_utf8(line).unwrap().strip_prefix("before: ").unwrap().to_owned()
    }

    #[test]
    fn a_signal_line_begins_with_the_keys_of_an_event() {
        let line = line("t", Some(&context(false)));
        let start = r#"{"message":"Keepwatch signal opened","timestamp":"2026-11-25T00:30:00.000000Z","status":"error","service":"keepwatch","ddtags":"cluster-name:prod","signal":{"apiVersion":"siem.keepwatch.io/v1alpha1","kind":"Signal","metadata":{"name":"id-1"},"spec":{"#;
        assert!(line.starts_with(start), "{line}");
    }

    #[test]
    fn a_signal_in_the_journal_has_its_sequence_number() {
        let record = record("t", Severity::Low).with_seq(u64::MAX);
        for encoding in ["kasten", "v1"] {
            let mut line = Vec::new();
            match encoding {
                "kasten" => k10(&record, &context(false), "evidence.events", &mut line),
                _ => v1(&record, "evidence.events", &mut line),
            }
            let line = String::from_utf8(line).unwrap();
            let part =
                r#","truncated":"evidence.events","journalSeq":18446744073709551615,"signal":{"#;
            assert!(line.contains(part), "{line}");
        }
    }

    #[test]
    fn with_the_setting_a_signal_passes_the_filter_of_the_agent() {
        let line = line("t", Some(&context(true)));
        assert!(line.starts_with(r#"{"message":"K10Event signal opened","#), "{line}");
    }

    #[test]
    fn in_the_encoding_v1_a_signal_has_another_kind() {
        let start = r#"{"kind":"Signal","apiVersion":"siem.keepwatch.io/v1alpha1","message":"Keepwatch signal opened","timestamp":"2026-11-25T00:30:00.000000Z","status":"error","signal":{"#;
        let line = line("t", None);
        assert!(line.starts_with(start), "{line}");
    }

    #[test]
    fn without_the_setting_no_client_text_passes_the_filter() {
        let titles = [
            "K10Event",
            "k10eVENt K10EVENT",
            "\\K10Event",
            "\"k10event\"",
            "K10EvenK10Event",
            "kK10Event",
            "\u{212a}10Event",
            "k10event",
        ];
        for title in titles {
            for context in [Some(&context(false)), None] {
                let line = line(title, context);
                let folded = line.replace('\u{212a}', "k").to_lowercase();
                assert!(!folded.contains("k10event"), "{line}");
                let object: serde_json::Value = serde_json::from_str(&line).unwrap();
                assert_eq!(object["signal"]["spec"]["title"], title, "{line}");
            }
        }
    }

    #[test]
    fn each_severity_has_a_status() {
        let statuses = Severity::ALL.map(|severity| {
            let mut line = Vec::new();
            k10(&record("t", severity), &context(false), "evidence.events", &mut line);
            let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
            assert_eq!(line["truncated"], "evidence.events");
            line["status"].as_str().unwrap().to_owned()
        });
        assert_eq!(statuses, ["info", "info", "warn", "error", "critical"]);
    }
}
