//! How an event lies in the journal: its head field by field, its bodies beside it as they are.
//!
//! ```text
//! version (1 byte) │ length, head │ length, request body │ length, response body
//! ```
//!
//! A length is four bytes, big-endian; a body that is not there has length 0, which no JSON text
//! has. Bodies are not parsed when a record is read. There is no checksum: the journal's pages are
//! its business.
//!
//! A long body is compressed as one LZ4 block, behind its own length: what is recorded most are
//! lists, whose items resemble each other, and the disk takes every byte twice. The highest bit of
//! its length says so.

use bytes::{Buf, Bytes};

use crate::{Event, Json, Stage, Timestamp, head};

const VERSION: u8 = 2;
const LENGTH_LEN: usize = 4;
/// Bodies from this size on are compressed; below it there is little to gain.
const COMPRESS_MIN: usize = 4 << 10;
/// In a length: the part is compressed.
const COMPRESSED: u32 = 1 << 31;
/// What a byte of an LZ4 block stands for at most; a longer claim is a damaged record.
const RATIO_MAX: usize = 255;

/// Why bytes are not a record.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Written by a newer version, or not by us.
    #[error("not a journal record: version {0:?}")]
    Version(Option<u8>),
    /// Cut off, or longer than it says.
    #[error("not a journal record: {0}")]
    Shape(&'static str),
}

/// The bytes the journal keeps.
pub fn write(event: &Event) -> Bytes {
    let bodies = [&event.request_object, &event.response_object];
    let bodies = bodies.map(|body| body.as_ref().map_or(&[][..], Json::as_bytes));
    let short = bodies.map(|body| if body.len() < COMPRESS_MIN { body.len() } else { 0 });
    let mut record = Vec::with_capacity(512 + short.iter().sum::<usize>());
    record.push(VERSION);
    record.extend_from_slice(&[0; LENGTH_LEN]);
    let head_start = record.len();
    head::write(event, &mut record);
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

/// Requests are limited far below 2 GiB; a longer part could not be kept and would be refused when
/// it is read.
fn length(len: usize) -> u32 {
    u32::try_from(len).map_or(!COMPRESSED, |len| len.min(!COMPRESSED))
}

/// The event in a record. Short bodies share the record's memory.
pub fn read(record: Bytes) -> Result<Event, ReadError> {
    let mut event = blank();
    read_over(record, &mut event)?;
    Ok(event)
}

/// An event to read over.
pub fn blank() -> Event {
    Event::without_request(Stage::RequestReceived, "", Timestamp::UNSET)
}

/// Reads the event in a record over another one, whose memory it takes: for whoever reads many. After
/// an error nothing can be said of the event.
pub fn read_over(record: Bytes, event: &mut Event) -> Result<(), ReadError> {
    let mut rest = record;
    match rest.first() {
        Some(&VERSION) => rest.advance(1),
        found => return Err(ReadError::Version(found.copied())),
    }
    let (head, _) = part(&mut rest)?;
    head::read(&head, event).ok_or(ReadError::Shape("its head cannot be read"))?;
    event.request_object = body(&mut rest)?;
    event.response_object = body(&mut rest)?;
    if rest.is_empty() { Ok(()) } else { Err(ReadError::Shape("bytes after its end")) }
}

const CUT: ReadError = ReadError::Shape("cut off");

/// The next part, and whether it is compressed.
fn part(rest: &mut Bytes) -> Result<(Bytes, bool), ReadError> {
    let length = number(rest)?;
    let len = usize::try_from(length & !COMPRESSED).map_err(|_| CUT)?;
    if len > rest.len() {
        return Err(CUT);
    }
    Ok((rest.split_to(len), length & COMPRESSED != 0))
}

fn number(rest: &mut Bytes) -> Result<u32, ReadError> {
    let number: [u8; LENGTH_LEN] = *rest.first_chunk().ok_or(CUT)?;
    rest.advance(LENGTH_LEN);
    Ok(u32::from_be_bytes(number))
}

fn body(rest: &mut Bytes) -> Result<Option<Json>, ReadError> {
    const DAMAGED: ReadError = ReadError::Shape("a compressed body is damaged");
    let (mut bytes, is_compressed) = part(rest)?;
    if is_compressed {
        let len = usize::try_from(number(&mut bytes)?).map_err(|_| DAMAGED)?;
        if len > bytes.len().saturating_mul(RATIO_MAX) {
            return Err(DAMAGED);
        }
        let text = lz4_flex::block::decompress(&bytes, len).map_err(|_| DAMAGED)?;
        if text.len() != len {
            return Err(DAMAGED);
        }
        bytes = Bytes::from(text);
    }
    Ok((!bytes.is_empty()).then(|| Json::of_clean(bytes)))
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
