//! Reads lines of audit logs from other sources in either encoding.
//!
//! A prefix that a log shipper wrote before the JSON text is skipped, for example the container
//! runtime's `2026-11-23T09:30:00Z stdout F `. Deliberately absent: files, compression, and event
//! lists as webhooks send them.

use std::cell::Cell;
use std::fmt;

use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use crate::{Event, k10, v1};

/// The maximum length of a line, in bytes.
pub const LINE_LEN_MAX: usize = 16 << 20;
/// The maximum length of a prefix before the JSON text, in bytes.
pub const PREFIX_LEN_MAX: usize = 256;

/// The encoding of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// The encoding of kube-apiserver's log backend.
    V1,
    /// The encoding of K10.
    Kasten,
}

/// A decoded line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The event that the line contains.
    pub event: Event,
    /// The encoding of the line.
    pub encoding: Encoding,
    /// The name of the cluster, if the line contains one.
    pub cluster: Option<String>,
}

/// Why a line cannot be read as an audit event.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The line is longer than [`LINE_LEN_MAX`].
    #[error("the line has {0} bytes, more than {LINE_LEN_MAX}")]
    TooLong(usize),
    /// The line has the keys of neither encoding, whether it is JSON or not.
    #[error("the line is not an audit event: it has neither `level` nor `Level`")]
    Unknown,
    /// The line is an invalid event of Kubernetes.
    #[error(transparent)]
    V1(v1::ReadError),
    /// The line is an invalid event of K10.
    #[error(transparent)]
    Kasten(k10::ReadError),
}

/// Read one line in either encoding.
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
            let (event, cluster) = k10::read_with_cluster(json).map_err(ReadError::Kasten)?;
            Ok(Line { event, encoding, cluster })
        }
        None => Err(ReadError::Unknown),
    }
}

/// Detect the encoding of a line of JSON by its keys. The line is read up to the first key that
/// only one encoding has.
pub fn encoding_of(line: &[u8]) -> Option<Encoding> {
    let encoding = Cell::new(None);
    let mut reader = serde_json::Deserializer::from_slice(line);
    // The visitor ends with an error on purpose, so that the rest of the line is not read.
    drop(reader.deserialize_map(Keys { encoding: &encoding }));
    encoding.get()
}

fn without_prefix(line: &[u8]) -> &[u8] {
    let start = line.iter().take(PREFIX_LEN_MAX).position(|byte| *byte == b'{');
    start.and_then(|start| line.get(start..)).unwrap_or(line)
}

struct Keys<'f> {
    encoding: &'f Cell<Option<Encoding>>,
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
            self.encoding.set(Some(encoding));
            return Err(A::Error::custom("found"));
        }
        Ok(())
    }
}
