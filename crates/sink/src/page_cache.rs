//! What is on disk leaves the system's memory.
//!
//! Files that are only ever written would fill the page cache, which counts for the container and
//! pushes out what others need.

use std::fs::File;
use std::num::NonZeroU64;

use rustix::fs::{Advice, fadvise};

/// Lets go of so many bytes of a file, or of all the rest. Bytes that are not on disk yet stay.
///
/// Advice to the system: where a file system does not take it, nothing is lost.
pub(crate) fn let_go(file: &File, from: u64, length: Option<NonZeroU64>) {
    if let Err(error) = fadvise(file, from, length, Advice::DontNeed) {
        tracing::debug!(%error, "a part of a file stays in the page cache");
    }
}
