//! Reads lines in K10's encoding: our own and K10's, with or without the keys in front.
//!
//! The keys are Go's field names, except inside the user and the response status. What Kubernetes'
//! decoder takes is taken; but `Stage` must be there, because an event without it says nothing.

use crate::Event;
use crate::decoded::{Notes, WordError, decode, utf8};
use crate::line::Encoding;
use crate::scan::Halves;

/// Why a line is not an event in K10's encoding.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Not JSON, a field of the wrong type, or a body that cannot be kept.
    #[error("not an event in K10's encoding")]
    Field(#[source] serde_json::Error),
    /// A level or stage that does not exist, or no stage.
    #[error("not an event in K10's encoding")]
    Word(#[source] WordError),
}

/// Reads one line.
pub fn read(line: &[u8]) -> Result<Event, ReadError> {
    read_with_cluster(line).map(|(event, _)| event)
}

/// Reads one line, and the cluster's name in its `ddtags`; `None` for a line that names none.
pub fn read_with_cluster(line: &[u8]) -> Result<(Event, Option<String>), ReadError> {
    let notes = &mut Notes::default();
    let text = utf8(line, notes);
    let found = decode(&text, Encoding::Kasten, Halves::Replace, notes);
    let found = found.map_err(ReadError::Field)?;
    let cluster = found.cluster().map(str::to_owned);
    Ok((found.into_event().map_err(ReadError::Word)?, cluster))
}
