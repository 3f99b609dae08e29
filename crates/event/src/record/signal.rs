//! The encoding of a signal in the journal, where signals are stored among the events.
//!
//! ```text
//! kind (1 byte) │ change (1 byte) │ severity (1 byte) │ time (8 bytes, big-endian) │ API object (JSON)
//! ```
//!
//! No record of an event starts with the first byte, so that a reader of events skips signals
//! without decoding the rest ([`is_signal`]). The fields by which readers select (change, severity,
//! time) come first; the object is parsed only on request.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::ReadError;
use crate::signal::{ChangeKind, Evidence};
use crate::{Json, JsonError, Severity, Signal, SignalSpec, SignalState, Timestamp};

/// The first byte of a signal's record: `S`.
const SIGNAL: u8 = 0x53;
const HEAD_LEN: usize = 11;
const API_VERSION: &str = "siem.keepwatch.io/v1alpha1";
const KIND: &str = "Signal";

/// The record of a signal's change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignalRecord {
    /// The kind of the change.
    pub change: ChangeKind,
    /// The severity after the change.
    pub severity: Severity,
    /// The time of the change.
    pub time: Timestamp,
    /// The API object after the change.
    pub object: Json,
    /// The sequence number in the journal, if the lines should contain it.
    pub seq: Option<u64>,
}

impl SignalRecord {
    /// Set the sequence number in the journal.
    #[must_use]
    pub fn with_seq(self, seq: u64) -> Self {
        Self { seq: Some(seq), ..self }
    }

    /// Decode the signal after the change.
    pub fn signal(&self) -> Result<Signal, ReadError> {
        let object: OwnedObject = serde_json::from_slice(self.object.as_bytes())
            .map_err(|_| ReadError::Shape("its signal is not an API object"))?;
        let OwnedObject { metadata, spec, status } = object;
        Ok(Signal { id: metadata.name, spec, state: status.state })
    }
}

/// Whether the record is one of a signal.
pub fn is_signal(record: &[u8]) -> bool {
    record.first() == Some(&SIGNAL)
}

/// Encode a signal's change as a record of the journal. Events in its evidence that exceed the
/// maximum nesting of a line are omitted; their audit IDs are kept.
pub fn write_signal(change: ChangeKind, time: Timestamp, signal: &Signal) -> Bytes {
    let object = api_object(signal, &signal.spec).or_else(|_too_deep| {
        let audit_ids = signal.spec.evidence.audit_ids.clone();
        let evidence = Evidence { audit_ids, events: Vec::new() };
        api_object(signal, &SignalSpec { evidence, ..signal.spec.clone() })
    });
    // Without these events, it consists of texts, numbers and lists of them, whose encoding cannot
    // fail.
    let object = object.map(Json::into_bytes).unwrap_or_default();
    let mut record = Vec::with_capacity(HEAD_LEN + object.len());
    record.extend_from_slice(&[SIGNAL, index_of(&ChangeKind::ALL, &change)]);
    record.push(index_of(&Severity::ALL, &signal.spec.severity));
    record.extend_from_slice(&time.as_micros().to_be_bytes());
    record.extend_from_slice(&object);
    Bytes::from(record)
}

fn api_object(signal: &Signal, spec: &SignalSpec) -> Result<Json, JsonError> {
    Json::serialize(&Object {
        api_version: API_VERSION,
        kind: KIND,
        metadata: Metadata { name: &signal.id },
        spec,
        status: State { state: signal.state },
    })
}

/// Decode the record of a signal; `None` if the record is not one of a signal.
pub fn signal_of(record: &[u8]) -> Option<Result<SignalRecord, ReadError>> {
    is_signal(record).then(|| read(record))
}

fn read(record: &[u8]) -> Result<SignalRecord, ReadError> {
    const DAMAGED: ReadError = ReadError::Shape("a signal that is damaged");
    let (head, object) = record.split_first_chunk::<HEAD_LEN>().ok_or(DAMAGED)?;
    let [_, change, severity, time @ ..] = *head;
    if object.first() != Some(&b'{') {
        return Err(DAMAGED);
    }
    let object = Json::parse(Bytes::copy_from_slice(object)).map_err(|_| DAMAGED)?;
    Ok(SignalRecord {
        change: *ChangeKind::ALL.get(usize::from(change)).ok_or(DAMAGED)?,
        severity: *Severity::ALL.get(usize::from(severity)).ok_or(DAMAGED)?,
        time: Timestamp::from_micros(i64::from_be_bytes(time)),
        object,
        seq: None,
    })
}

/// The index of a value in the list of all values.
fn index_of<T: PartialEq>(all: &[T], value: &T) -> u8 {
    let index = all.iter().position(|known| known == value);
    index.and_then(|index| u8::try_from(index).ok()).unwrap_or_default()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Object<'a> {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata<&'a str>,
    spec: &'a SignalSpec,
    status: State,
}

#[derive(Deserialize)]
struct OwnedObject {
    metadata: Metadata<String>,
    spec: SignalSpec,
    status: State,
}

#[derive(Serialize, Deserialize)]
struct Metadata<T> {
    name: T,
}

#[derive(Serialize, Deserialize)]
struct State {
    state: SignalState,
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    fn signal() -> Signal {
        let spec = SignalSpec {
            severity: Severity::High,
            title: "alice deleted 7 \u{1}\u{7f}restore points\nof shop".to_owned(),
            count: 7,
            first_seen: Timestamp::from_micros(1_795_566_600_000_000),
            ..SignalSpec::default()
        };
        Signal { id: "kasten-1".to_owned(), spec, state: SignalState::Updated }
    }

    #[test]
    fn signals_round_trip() {
        for change in ChangeKind::ALL {
            let record = write_signal(change, Timestamp::from_micros(5), &signal());
            let record = signal_of(&record).unwrap().unwrap();
            let expected = (change, Severity::High, Timestamp::from_micros(5));
            assert_eq!((record.change, record.severity, record.time), expected);
            assert_eq!(record.signal().unwrap(), signal());
        }
    }

    #[test]
    fn events_and_signals_are_not_confused() {
        let event = crate::Event::internal(crate::Stage::Panic, "get", Timestamp::default());
        assert!(signal_of(&super::super::write(&event)).is_none());
        let record = write_signal(ChangeKind::Opened, Timestamp::default(), &signal());
        assert!(is_signal(&record));
        assert!(matches!(crate::EventRef::parse(&record), Err(ReadError::Version(Some(SIGNAL)))));
    }

    #[test]
    fn evidence_that_is_nested_too_deeply_keeps_its_audit_id() {
        let mut signal = signal();
        let depth = usize::try_from(crate::DEPTH_MAX).unwrap();
        let event = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        signal.spec.evidence.events = vec![RawValue::from_string(event).unwrap()];
        signal.spec.evidence.audit_ids = vec!["id-1".to_owned()];
        let record = write_signal(ChangeKind::Opened, Timestamp::default(), &signal);
        let record = signal_of(&record).unwrap().unwrap().signal().unwrap();
        assert_eq!(record.spec.evidence.audit_ids, ["id-1"]);
        assert!(record.spec.evidence.events.is_empty());
    }

    #[test]
    fn a_damaged_signal_is_an_error() {
        let record = write_signal(ChangeKind::Closed, Timestamp::default(), &signal());
        for len in 1..record.len() {
            assert!(signal_of(&record[..len]).unwrap().is_err(), "{len}");
        }
        for (at, byte) in [(1, 3), (2, 5), (HEAD_LEN, b'['), (HEAD_LEN + 1, b'\0')] {
            let mut record = record.to_vec();
            record[at] = byte;
            assert!(signal_of(&record).unwrap().is_err(), "{at}");
        }
    }
}
