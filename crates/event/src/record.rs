//! The encoding of an event in the journal: its encoded head, followed by its bodies as JSON text.
//!
//! ```text
//! version (1 byte) │ length, head │ length, request body │ length, response body
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
//! The journal also contains signals: see [`SignalRecord`].

mod signal;

use std::borrow::Cow;

use bytes::Bytes;

use crate::head::Part as _;
use crate::view::Head;
use crate::{Event, Json, View};

pub use signal::{SignalRecord, is_signal, signal_of, write_signal};

const VERSION: u8 = 2;
const LENGTH_LEN: usize = 4;
/// The minimum size of a body that is compressed; smaller ones gain little.
const COMPRESS_MIN: usize = 4 << 10;
/// The bit of a length that marks a compressed part.
const COMPRESSED: u32 = 1 << 31;
/// The maximum number of bytes that one byte of an LZ4 block expands to. A larger claim means a
/// damaged record.
const RATIO_MAX: usize = 255;

/// Why bytes cannot be read as an event.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The record was written by a newer version or by another program, or it is a signal.
    #[error("not a journal record: version {0:?}")]
    Version(Option<u8>),
    /// The record is truncated, or longer than its lengths say.
    #[error("not a journal record: {0}")]
    Shape(&'static str),
}

/// Encode an event as a record of the journal.
pub fn write(event: &Event) -> Bytes {
    let bodies = [&event.request_object, &event.response_object];
    let bodies = bodies.map(|body| body.as_ref().map_or(&[][..], Json::as_bytes));
    let short = bodies.map(|body| if body.len() < COMPRESS_MIN { body.len() } else { 0 });
    let mut record = Vec::with_capacity(512 + short.iter().sum::<usize>());
    record.push(VERSION);
    record.extend_from_slice(&[0; LENGTH_LEN]);
    let head_start = record.len();
    Head::write(event, &mut record);
    let head_len = length(record.len() - head_start);
    record[head_start - LENGTH_LEN..head_start].copy_from_slice(&head_len.to_be_bytes());
    for body in bodies {
        write_body(body, &mut record);
    }
    Bytes::from(record)
}

fn write_body(body: &[u8], record: &mut Vec<u8>) {
    if body.len() >= COMPRESS_MIN {
        let block = lz4_flex::block::compress(body);
        if block.len() + LENGTH_LEN < body.len() {
            let part_len = length(LENGTH_LEN + block.len());
            record.extend_from_slice(&(part_len | COMPRESSED).to_be_bytes());
            record.extend_from_slice(&length(body.len()).to_be_bytes());
            record.extend_from_slice(&block);
            return;
        }
    }
    record.extend_from_slice(&length(body.len()).to_be_bytes());
    record.extend_from_slice(body);
}

/// Requests are limited far below 2 GiB. A longer part could not be encoded, and its record would
/// be rejected by a read.
fn length(len: usize) -> u32 {
    u32::try_from(len).map_or(!COMPRESSED, |len| len.min(!COMPRESSED))
}

/// Decode the event of a record. Uncompressed bodies share the record's memory.
#[expect(clippy::needless_pass_by_value, reason = "the event takes over the record's memory")]
pub fn read(record: Bytes) -> Result<Event, ReadError> {
    let View { head, request_object, response_object, .. } = View::of(&record)?;
    let body = |body| match body {
        Cow::Borrowed(text) => Json::of_clean(record.slice_ref(text)),
        Cow::Owned(text) => Json::of_clean(Bytes::from(text)),
    };
    Ok(Event {
        request_object: request_object.map(body),
        response_object: response_object.map(body),
        ..head.keep()
    })
}

/// The parts of a record.
pub(crate) struct Parts<'a> {
    pub(crate) head: &'a [u8],
    pub(crate) request_object: Option<Cow<'a, [u8]>>,
    pub(crate) response_object: Option<Cow<'a, [u8]>>,
}

/// Split a record into its parts, without decoding the head.
pub(crate) fn parts(record: &[u8]) -> Result<Parts<'_>, ReadError> {
    let mut rest = record;
    match rest.split_off_first() {
        Some(&VERSION) => {}
        found => return Err(ReadError::Version(found.copied())),
    }
    let (head, _) = part(&mut rest)?;
    let request_object = body(&mut rest)?;
    let response_object = body(&mut rest)?;
    if !rest.is_empty() {
        return Err(ReadError::Shape("bytes after its end"));
    }
    Ok(Parts { head, request_object, response_object })
}

/// The head of a record, without a check of the bodies.
pub(crate) fn head(record: &[u8]) -> Result<&[u8], ReadError> {
    let mut rest = record;
    match rest.split_off_first() {
        Some(&VERSION) => Ok(part(&mut rest)?.0),
        found => Err(ReadError::Version(found.copied())),
    }
}

const CUT: ReadError = ReadError::Shape("cut off");

/// The next part, and whether it is compressed.
fn part<'a>(rest: &mut &'a [u8]) -> Result<(&'a [u8], bool), ReadError> {
    let length = number(rest)?;
    let len = usize::try_from(length & !COMPRESSED).map_err(|_| CUT)?;
    let part = rest.split_off(..len).ok_or(CUT)?;
    Ok((part, length & COMPRESSED != 0))
}

fn number(rest: &mut &[u8]) -> Result<u32, ReadError> {
    let (number, behind) = rest.split_first_chunk::<LENGTH_LEN>().ok_or(CUT)?;
    *rest = behind;
    Ok(u32::from_be_bytes(*number))
}

fn body<'a>(rest: &mut &'a [u8]) -> Result<Option<Cow<'a, [u8]>>, ReadError> {
    const DAMAGED: ReadError = ReadError::Shape("a compressed body is damaged");
    let (mut bytes, is_compressed) = part(rest)?;
    if !is_compressed {
        return Ok((!bytes.is_empty()).then_some(Cow::Borrowed(bytes)));
    }
    let len = usize::try_from(number(&mut bytes)?).map_err(|_| DAMAGED)?;
    if len > bytes.len().saturating_mul(RATIO_MAX) {
        return Err(DAMAGED);
    }
    let text = lz4_flex::block::decompress(bytes, len).map_err(|_| DAMAGED)?;
    if text.len() != len {
        return Err(DAMAGED);
    }
    Ok((!text.is_empty()).then_some(Cow::Owned(text)))
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
    fn long_bodies_are_compressed_and_come_back() {
        let alike = format!("[{}1]", r#"{"kind":"RestorePoint"},"#.repeat(4096));
        let record = write(&with_body(alike.clone()));
        assert!(record.len() < alike.len() / 10, "{}", record.len());
        assert_eq!(read(record).unwrap(), with_body(alike));
        let mixed: Vec<u64> =
            (1..2000_u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
        let mixed = serde_json::to_string(&mixed).unwrap();
        assert_eq!(read(write(&with_body(mixed.clone()))).unwrap(), with_body(mixed));
    }

    #[test]
    fn a_body_that_claims_too_much_is_damaged() {
        let alike = format!("[{}1]", "1,".repeat(4096));
        let record = write(&with_body(alike.clone()));
        let len = u32::try_from(alike.len()).unwrap();
        let claim = len.to_be_bytes();
        let at = record.windows(4).position(|window| window == claim).unwrap();
        for claimed in [u32::MAX, len + 1, 1 << 24] {
            let mut damaged = record.to_vec();
            damaged[at..at + 4].copy_from_slice(&claimed.to_be_bytes());
            assert!(matches!(read(Bytes::from(damaged)), Err(ReadError::Shape(_))), "{claimed}");
        }
    }
}
