//! Removes written file data from the page cache.
//!
//! Files that are written and not read back would fill the page cache, which counts as memory of
//! the container and displaces data that is needed.

use std::fs::File;
use std::num::NonZeroU64;

use rustix::fs::{Advice, fadvise};

/// Advises the kernel to drop `length` bytes of a file from `from` on, or to the end of the file if
/// `None`.
///
/// This is `posix_fadvise(2)` with `POSIX_FADV_DONTNEED`. Bytes that are not on disk yet stay
/// cached. A file system that does not support the advice loses no data; the failure is logged.
pub fn drop_page_cache(file: &File, from: u64, length: Option<NonZeroU64>) {
    if let Err(error) = fadvise(file, from, length, Advice::DontNeed) {
        tracing::debug!(%error, "cannot drop a part of a file from the page cache");
    }
}
