//! When the system's memory is to let go of what lies behind the end of the file.
//!
//! Whoever follows the file reads near its end, so that stays.

use std::fs::File;
use std::num::NonZeroU64;

use crate::page_cache::let_go;

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
