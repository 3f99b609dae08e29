//! A record with an item of an event list as it was received, for a journal that is only forwarded.
//!
//! ```text
//! R (1 byte) │ identity (16 bytes) │ item
//! ```
//!
//! The item is not parsed: its receiver decides whether it is an event.

use bytes::Bytes;

use super::ReadError;

/// The first byte of such a record: `R`.
const RAW: u8 = 0x52;
/// The bytes of an identity.
const DIGEST_LEN: usize = 16;
const HEAD_LEN: usize = 1 + DIGEST_LEN;

/// An item as it was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawItem<'a> {
    /// Its identity.
    pub digest: [u8; DIGEST_LEN],
    /// Its text.
    pub text: &'a [u8],
}

/// Encode an item as a record of the journal.
pub fn write_raw(item: RawItem<'_>) -> Bytes {
    let mut record = Vec::with_capacity(HEAD_LEN + item.text.len());
    record.push(RAW);
    record.extend_from_slice(&item.digest);
    record.extend_from_slice(item.text);
    Bytes::from(record)
}

/// The item of a record; `None` if it is an event or a signal.
pub fn raw_of(record: &[u8]) -> Option<Result<RawItem<'_>, ReadError>> {
    let rest = record.strip_prefix(&[RAW])?;
    let item = rest.split_first_chunk::<DIGEST_LEN>();
    let item = item.map(|(digest, text)| RawItem { digest: *digest, text });
    Some(item.ok_or(ReadError::Shape("an item that is damaged")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{is_signal, read};

    #[test]
    fn an_item_is_read_as_it_was_written_and_is_no_event() {
        for text in ["", "{}", "S{\"kind\":\"Event\"}"] {
            let item = RawItem { digest: [7; DIGEST_LEN], text: text.as_bytes() };
            let record = write_raw(item);
            assert_eq!(raw_of(&record).unwrap().unwrap(), item);
            assert!(!is_signal(&record) && read(record).is_err());
        }
        assert!(raw_of(b"R short").unwrap().is_err());
        assert!(raw_of(b"").is_none() && raw_of(&[2; 40]).is_none());
    }
}
