//! What the file leaves behind in the system's memory, and when it is asked to let go of it.
//!
//! A log that is only ever written would fill the page cache, which counts for the container and
//! pushes out what others need. Whoever follows the file reads near its end, so that stays.

use std::fs::File;
use std::num::NonZeroU64;

use rustix::fs::{Advice, fadvise};

/// Bytes at the end that stay in the page cache for whoever follows the file.
const KEPT: u64 = 16 << 20;
/// Bytes that are let go of at once.
const STEP: u64 = 4 << 20;

/// How far the file has been let go of.
#[derive(Debug)]
pub(super) struct Wake(u64);

impl Wake {
    /// A file that has `offset` bytes already.
    pub(super) fn new(offset: u64) -> Self {
        Self(offset)
    }

    /// All before `end` is on disk: what lies far behind may leave memory.
    pub(super) fn advance(&mut self, file: &File, end: u64) {
        if end < self.0 {
            // Others have cut the file.
            self.0 = 0;
        }
        let until = end.saturating_sub(KEPT);
        let length = until.saturating_sub(self.0);
        if length >= STEP {
            let_go(file, self.0, NonZeroU64::new(length));
            self.0 = until;
        }
    }

    /// The file is rotated away and nothing more comes.
    pub(super) fn end(self, file: &File) {
        let_go(file, self.0, None);
    }
}

/// Advice to the system: where a file system does not take it, nothing is lost.
fn let_go(file: &File, from: u64, length: Option<NonZeroU64>) {
    if let Err(error) = fadvise(file, from, length, Advice::DontNeed) {
        tracing::debug!(%error, "a part of the file stays in the page cache");
    }
}
