//! The encoding of an event in the journal: its encoded fields, followed by its bodies as JSON text.
//!
//! ```text
//! version (1 byte) │ length, fields │ length, request body │ length, response body
//! ```
//!
//! A length is four bytes, big-endian. An absent body has length 0, which no JSON text has. Bodies
//! are not parsed when a record is read. There is no checksum, because the journal has one for each
//! row.
//!
//! A long body is compressed as one LZ4 block, which follows the uncompressed length: most recorded
//! data are lists of similar items, and every byte is written to disk twice. The highest bit of the
//! part's length marks a compressed body.
//!
//! The journal also contains signals: see [`SignalRecord`]. That of a forwarder contains items as they
//! were received: see [`RawItem`].

pub(crate) mod frame;
mod raw;
mod signal;

use std::borrow::Cow;

use bytes::Bytes;

use self::frame::{COMPRESS_MIN, LENGTH_LEN, VERSION, length, write_body};
use crate::event_ref::EventFields;
use crate::field_codec::Field as _;
use crate::{Event, EventRef, Json};

pub use frame::ReadError;
pub use raw::{RawItem, raw_of, write_raw};
pub use signal::{SignalRecord, is_signal, signal_of, write_signal};

/// Initial capacity for the fields of a record: the size of most.
const FIELDS_BYTES: usize = 1024;

/// Encode an event as a record of the journal.
pub fn write(event: &Event) -> Bytes {
    let bodies = [&event.request_object, &event.response_object];
    let bodies = bodies.map(|body| body.as_ref().map_or(&[][..], Json::as_bytes));
    let short = bodies.map(|body| if body.len() < COMPRESS_MIN { body.len() } else { 0 });
    let mut record = Vec::with_capacity(FIELDS_BYTES + short.iter().sum::<usize>());
    record.push(VERSION);
    record.extend_from_slice(&[0; LENGTH_LEN]);
    let fields_start = record.len();
    EventFields::write(event, &mut record);
    let fields_len = length(record.len() - fields_start);
    record[fields_start - LENGTH_LEN..fields_start].copy_from_slice(&fields_len.to_be_bytes());
    for body in bodies {
        write_body(body, &mut record);
    }
    // Many records wait in memory.
    record.shrink_to_fit();
    Bytes::from(record)
}

/// Decode the event of a record. Uncompressed bodies share the record's memory.
#[expect(clippy::needless_pass_by_value, reason = "the event takes over the record's memory")]
pub fn read(record: Bytes) -> Result<Event, ReadError> {
    let EventRef { fields, request_object, response_object, .. } = EventRef::parse(&record)?;
    let body = |body| match body {
        Cow::Borrowed(text) => Json::from_normalized(record.slice_ref(text)),
        Cow::Owned(text) => Json::from_normalized(Bytes::from(text)),
    };
    Ok(Event {
        request_object: request_object.map(body),
        response_object: response_object.map(body),
        ..fields.to_owned_form()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1;

    fn with_body(text: String) -> Event {
        let line = include_str!("../tests/data/events.ndjson").lines().next().unwrap();
        let mut event = v1::read(line.as_bytes()).unwrap();
        event.response_object = Some(Json::parse(Bytes::from(text)).unwrap());
        event
    }

    #[test]
    fn long_bodies_are_compressed_and_round_trip() {
        let compressible = format!("[{}1]", r#"{"kind":"RestorePoint"},"#.repeat(4096));
        let record = write(&with_body(compressible.clone()));
        assert!(record.len() < compressible.len() / 10, "{}", record.len());
        assert_eq!(read(record).unwrap(), with_body(compressible));
        let incompressible: Vec<u64> =
            (1..2000_u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
        let incompressible = serde_json::to_string(&incompressible).unwrap();
        assert_eq!(
            read(write(&with_body(incompressible.clone()))).unwrap(),
            with_body(incompressible)
        );
    }

    #[test]
    fn a_body_with_a_false_length_is_damaged() {
        let compressible = format!("[{}1]", "1,".repeat(4096));
        let record = write(&with_body(compressible.clone()));
        let len = u32::try_from(compressible.len()).unwrap();
        let claim = len.to_be_bytes();
        let at = record.windows(4).position(|window| window == claim).unwrap();
        for claimed in [u32::MAX, len + 1, 1 << 24] {
            let mut damaged = record.to_vec();
            damaged[at..at + 4].copy_from_slice(&claimed.to_be_bytes());
            assert!(matches!(read(Bytes::from(damaged)), Err(ReadError::Shape(_))), "{claimed}");
        }
    }
}
