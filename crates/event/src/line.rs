//! Lines of audit logs from elsewhere: finds out which encoding a line has, and reads it.
//!
//! What a log shipper wrote before the JSON text is passed over, as the container runtime's
//! `2026-11-23T09:30:00Z stdout F `. Deliberately absent: files, compression, and lists of events as
//! webhooks send them.

use std::cell::Cell;
use std::fmt;

use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use crate::{Event, kasten, v1};

/// Longest line that is read, in bytes.
pub const LINE_LEN_MAX: usize = 16 << 20;
/// Longest text before the JSON text, in bytes.
pub const PREFIX_LEN_MAX: usize = 256;

/// How an event is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// As kube-apiserver's log backend writes it.
    V1,
    /// As K10 writes it.
    Kasten,
}

/// A line that has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The event.
    pub event: Event,
    /// How it was written.
    pub encoding: Encoding,
    /// The cluster that the line names beside the event.
    pub cluster: Option<String>,
}

/// Why a line is not an audit event.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Longer than [`LINE_LEN_MAX`].
    #[error("the line has {0} bytes, more than {LINE_LEN_MAX}")]
    TooLong(usize),
    /// JSON or not, it has neither the keys of the one encoding nor of the other.
    #[error("the line is not an audit event: it has neither `level` nor `Level`")]
    Unknown,
    /// An event of Kubernetes with something wrong.
    #[error(transparent)]
    V1(v1::ReadError),
    /// An event of K10 with something wrong.
    #[error(transparent)]
    Kasten(kasten::ReadError),
}

/// Reads one line in either encoding.
pub fn read(line: &[u8]) -> Result<Line, ReadError> {
    if line.len() > LINE_LEN_MAX {
        return Err(ReadError::TooLong(line.len()));
    }
    let json = without_prefix(line);
    match encoding_of(json) {
        Some(encoding @ Encoding::V1) => {
            let event = v1::read(json).map_err(ReadError::V1)?;
            Ok(Line { event, encoding, cluster: None })
        }
        Some(encoding @ Encoding::Kasten) => {
            let (event, cluster) = kasten::read_with_cluster(json).map_err(ReadError::Kasten)?;
            Ok(Line { event, encoding, cluster })
        }
        None => Err(ReadError::Unknown),
    }
}

/// The encoding of a line that is JSON, as far as its keys tell. The line is read up to the first key
/// that only one of them has.
pub fn encoding_of(line: &[u8]) -> Option<Encoding> {
    let found = Cell::new(None);
    let mut reader = serde_json::Deserializer::from_slice(line);
    // It ends with an error on purpose, so that the rest need not be read.
    drop(reader.deserialize_map(Keys { found: &found }));
    found.get()
}

fn without_prefix(line: &[u8]) -> &[u8] {
    let start = line.iter().take(PREFIX_LEN_MAX).position(|byte| *byte == b'{');
    start.and_then(|start| line.get(start..)).unwrap_or(line)
}

struct Keys<'f> {
    found: &'f Cell<Option<Encoding>>,
}

impl<'de> Visitor<'de> for Keys<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an audit event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(key) = members.next_key::<std::borrow::Cow<'_, str>>()? {
            let encoding = match &*key {
                "level" | "auditID" | "stage" => Encoding::V1,
                "Level" | "AuditID" | "Stage" => Encoding::Kasten,
                _ => {
                    members.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            self.found.set(Some(encoding));
            return Err(A::Error::custom("found"));
        }
        Ok(())
    }
}
