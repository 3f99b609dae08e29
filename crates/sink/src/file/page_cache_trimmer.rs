//! Drops written data of a growing file from the page cache.
//!
//! The end of the file stays cached for programs that follow it.

use std::fs::File;
use std::num::NonZeroU64;

use crate::drop_page_cache;

/// Bytes at the end of the file that stay in the page cache.
const CACHED_BYTES: u64 = 16 << 20;
/// Bytes that are dropped at once.
const STEP_BYTES: u64 = 4 << 20;

/// Tracks the offset up to which a file has been dropped.
#[derive(Debug)]
pub(super) struct PageCacheTrimmer(u64);

impl PageCacheTrimmer {
    /// For a file whose first `offset` bytes were written before.
    pub(super) fn new(offset: u64) -> Self {
        Self(offset)
    }

    /// Drops data far before `end`, up to which the file is on disk.
    pub(super) fn advance(&mut self, file: &File, end: u64) {
        if end < self.0 {
            // Another program has truncated the file.
            self.0 = 0;
        }
        let end_of_dropped = end.saturating_sub(CACHED_BYTES);
        let length = end_of_dropped.saturating_sub(self.0);
        if length >= STEP_BYTES {
            drop_page_cache(file, self.0, NonZeroU64::new(length));
            self.0 = end_of_dropped;
        }
    }

    /// Drops the rest of a file that is rotated and no longer written.
    pub(super) fn finish(self, file: &File) {
        drop_page_cache(file, self.0, None);
    }
}
