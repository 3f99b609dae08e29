//! Reads lines in K10's encoding, written by Keepwatch or K10, with or without the keys for log
//! tools.
//!
//! The keys are Go's field names, except inside the user and the response status. Everything that
//! Kubernetes' decoder accepts is accepted, except that `Stage` is required.

use crate::Event;
use crate::decoded::{Notes, WordError, decode, utf8};
use crate::line::Encoding;
use crate::normalize::Surrogates;

/// Why a line cannot be read as an event in K10's encoding.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The line is not JSON, a field has the wrong type, or a body is invalid.
    #[error("not an event in K10's encoding")]
    Field(#[source] serde_json::Error),
    /// The level or stage is unknown, or the stage is missing.
    #[error("not an event in K10's encoding")]
    Word(#[source] WordError),
}

/// Read one line.
pub fn read(line: &[u8]) -> Result<Event, ReadError> {
    read_with_cluster(line).map(|(event, _)| event)
}

/// Read one line, and the name of the cluster in its `ddtags`; `None` if it has none.
pub fn read_with_cluster(line: &[u8]) -> Result<(Event, Option<String>), ReadError> {
    let notes = &mut Notes::default();
    let text = utf8(line, notes);
    let decoded = decode(&text, Encoding::Kasten, Surrogates::Replace, notes);
    let decoded = decoded.map_err(ReadError::Field)?;
    let cluster = decoded.cluster().map(str::to_owned);
    let mut event = decoded.into_event().map_err(ReadError::Word)?;
    notes.annotate(&mut event);
    Ok((event, cluster))
}
