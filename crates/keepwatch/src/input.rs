//! Audit lines from any source, as one stream of events in order of time.
//!
//! Inputs are files, folders, prefixes of buckets and standard input, plain or gzip, in any of the
//! encodings. Several inputs are merged by time, so that the logs of several API servers read like
//! one. A line that is not an event is counted, reported on stderr and skipped. An input that cannot be
//! read is reported too, and counted by [`Inputs::failures`].
//!
//! Memory is bounded: one event for each open input, two lines whose parts are joined, and the names of
//! the inputs.

mod bytes;
mod lines;
mod locations;
mod merge;
mod objects;
mod progress;
mod record;
mod runtime_log;

use std::io;

pub(crate) use lines::{Line, Lines};
pub(crate) use merge::{Inputs, Next};
pub(crate) use progress::Progress;

/// Longest line: bodies have at most 3 MiB each, and a batch of events 10 MiB.
pub(crate) const LINE_BYTES_MAX: usize = 16 << 20;

/// The lines of standard input, plain or gzip.
pub(crate) fn standard_input() -> io::Result<Lines> {
    Ok(Lines::new(bytes::stdin(&bytes::Meter::default())?))
}
