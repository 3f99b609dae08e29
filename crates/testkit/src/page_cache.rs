//! Queries the operating system's page cache.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::path::Path;

use rustix::io::{Errno, ReadWriteFlags, preadv2};

/// Whether a byte of a file is in the page cache. Not for files in /tmp, which may be a memory file
/// system.
pub fn is_cached(path: &Path, offset: u64) -> io::Result<bool> {
    let file = File::open(path)?;
    let mut byte = [0];
    match preadv2(&file, &mut [IoSliceMut::new(&mut byte)], offset, ReadWriteFlags::NOWAIT) {
        Ok(read) => Ok(read == 1),
        Err(Errno::AGAIN) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
