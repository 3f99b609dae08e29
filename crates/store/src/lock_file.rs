//! The file that is locked while a store is open. It also contains the highest allocated sequence
//! number.
//!
//! The number is written after each commit, before the requests are answered. In the database it
//! would add two pages to each commit, so it is written there only from time to time. This file is
//! not flushed: after a SIGKILL it has the current number, after a power failure possibly an older
//! one. Both numbers are therefore lower bounds, and the higher one is used.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use crate::sequence::HIGHEST;
use crate::statements::named_crc;

/// The size of a sequence number and its checksum, in bytes.
const LEN: usize = 16;

/// The locked file. Dropping it releases the lock.
#[derive(Debug)]
pub(crate) struct LockFile {
    file: File,
    has_failed: bool,
}

impl LockFile {
    pub(crate) fn new(file: File) -> Self {
        Self { file, has_failed: false }
    }

    /// The highest allocated sequence number that this file contains; 0 if it has no valid one.
    pub(crate) fn highest_seq(&self) -> u64 {
        let mut bytes = [0; LEN];
        if self.file.read_exact_at(&mut bytes, 0).is_err() {
            return 0;
        }
        let [seq, crc] = [0, 8].map(|at| {
            let part = bytes.get(at..at + 8).and_then(|part| part.try_into().ok());
            u64::from_le_bytes(part.unwrap_or_default())
        });
        if crc == checksum(seq) { seq } else { 0 }
    }

    /// Store the highest allocated sequence number.
    pub(crate) fn set_highest_seq(&mut self, seq: u64) {
        let mut bytes = [0; LEN];
        let (number, crc) = bytes.split_at_mut(8);
        number.copy_from_slice(&seq.to_le_bytes());
        crc.copy_from_slice(&checksum(seq).to_le_bytes());
        let written = self.file.write_all_at(&bytes, 0);
        if let Err(error) = &written
            && !self.has_failed
        {
            // The database gets the number too, a second later.
            tracing::warn!(%error, "the highest sequence number cannot be written into the lock file");
        }
        self.has_failed = written.is_err();
    }
}

fn checksum(seq: u64) -> u64 {
    named_crc(HIGHEST, seq, "").cast_unsigned()
}
