//! The frame of a record: its version and the lengths of its parts, and the compression of bodies.
//!
//! See [`record`](super) for the format. Deliberately absent: the encoding of the fields
//! ([`field_codec`](crate::field_codec)).

use std::borrow::Cow;

/// The version of the format.
pub(super) const VERSION: u8 = 2;
/// The size of a length, in bytes.
pub(super) const LENGTH_LEN: usize = 4;
/// The minimum size of a body that is compressed; smaller ones gain little.
pub(super) const COMPRESS_MIN: usize = 4 << 10;
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
    /// The record is truncated, or its size does not match its lengths.
    #[error("not a journal record: {0}")]
    Shape(&'static str),
}

/// Append a body with its length, compressed if that is shorter.
pub(super) fn write_body(body: &[u8], record: &mut Vec<u8>) {
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
pub(super) fn length(len: usize) -> u32 {
    u32::try_from(len).map_or(!COMPRESSED, |len| len.min(!COMPRESSED))
}

/// The parts of a record.
pub(crate) struct Frame<'a> {
    pub(crate) fields: &'a [u8],
    pub(crate) request_object: Option<Cow<'a, [u8]>>,
    pub(crate) response_object: Option<Cow<'a, [u8]>>,
}

/// Split a record into its parts, without decoding the fields.
pub(crate) fn split(record: &[u8]) -> Result<Frame<'_>, ReadError> {
    let mut rest = record;
    match rest.split_off_first() {
        Some(&VERSION) => {}
        version => return Err(ReadError::Version(version.copied())),
    }
    let (fields, _) = part(&mut rest)?;
    let request_object = body(&mut rest)?;
    let response_object = body(&mut rest)?;
    if !rest.is_empty() {
        return Err(ReadError::Shape("bytes after its end"));
    }
    Ok(Frame { fields, request_object, response_object })
}

/// The encoded fields of a record, without a check of the bodies.
pub(crate) fn fields(record: &[u8]) -> Result<&[u8], ReadError> {
    let mut rest = record;
    match rest.split_off_first() {
        Some(&VERSION) => Ok(part(&mut rest)?.0),
        version => Err(ReadError::Version(version.copied())),
    }
}

const TRUNCATED: ReadError = ReadError::Shape("cut off");

/// The next part, and whether it is compressed.
fn part<'a>(rest: &mut &'a [u8]) -> Result<(&'a [u8], bool), ReadError> {
    let length = number(rest)?;
    let len = usize::try_from(length & !COMPRESSED).map_err(|_| TRUNCATED)?;
    let part = rest.split_off(..len).ok_or(TRUNCATED)?;
    Ok((part, length & COMPRESSED != 0))
}

fn number(rest: &mut &[u8]) -> Result<u32, ReadError> {
    let (number, remaining) = rest.split_first_chunk::<LENGTH_LEN>().ok_or(TRUNCATED)?;
    *rest = remaining;
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
