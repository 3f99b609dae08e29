//! How an event lies in the journal: its head as JSON, its bodies beside it as they are.
//!
//! ```text
//! version (1 byte) │ length, head │ length, request body │ length, response body
//! ```
//!
//! A length is four bytes, big-endian; a body that is not there has length 0, which no JSON text
//! has. Bodies are neither parsed nor copied when a record is read. There is no checksum: the
//! journal's pages are its business.

use bytes::{Buf, Bytes};

use crate::{Event, Json, v1};

const VERSION: u8 = 1;
const LENGTH_LEN: usize = 4;

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
    /// The head is damaged.
    #[error("not a journal record: its head cannot be read")]
    Head(#[source] v1::ReadError),
}

/// The bytes the journal keeps.
pub fn write(event: &Event) -> Bytes {
    let bodies = [&event.request_object, &event.response_object];
    let bodies = bodies.map(|body| body.as_ref().map_or(&[][..], Json::as_bytes));
    let bodies_len: usize = bodies.iter().map(|body| body.len()).sum();
    let mut record = Vec::with_capacity(1024 + bodies_len);
    record.push(VERSION);
    record.extend_from_slice(&[0; LENGTH_LEN]);
    let head_start = record.len();
    v1::write_head(event, &mut record);
    let head_len = length(record.len() - head_start);
    record[head_start - LENGTH_LEN..head_start].copy_from_slice(&head_len);
    for body in bodies {
        record.extend_from_slice(&length(body.len()));
        record.extend_from_slice(body);
    }
    Bytes::from(record)
}

/// Requests are limited far below 4 GiB; a longer part could not be kept and would be refused when
/// it is read.
fn length(len: usize) -> [u8; LENGTH_LEN] {
    u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes()
}

/// The event in a record. Bodies share the record's memory.
pub fn read(record: Bytes) -> Result<Event, ReadError> {
    let mut rest = record;
    match rest.first() {
        Some(&VERSION) => rest.advance(1),
        found => return Err(ReadError::Version(found.copied())),
    }
    let head = part(&mut rest)?;
    let mut event = v1::read(&head).map_err(ReadError::Head)?;
    event.request_object = body(part(&mut rest)?);
    event.response_object = body(part(&mut rest)?);
    if rest.is_empty() { Ok(event) } else { Err(ReadError::Shape("bytes after its end")) }
}

fn part(rest: &mut Bytes) -> Result<Bytes, ReadError> {
    const CUT: ReadError = ReadError::Shape("cut off");
    let length: [u8; LENGTH_LEN] = *rest.first_chunk().ok_or(CUT)?;
    rest.advance(LENGTH_LEN);
    let len = usize::try_from(u32::from_be_bytes(length)).map_err(|_| CUT)?;
    if len > rest.len() { Err(CUT) } else { Ok(rest.split_to(len)) }
}

fn body(bytes: Bytes) -> Option<Json> {
    (!bytes.is_empty()).then(|| Json::of_clean(bytes))
}
