//! The file that is locked while a store is open, and the highest sequence number that is kept in it.
//!
//! The number is written after each commit and before its answers. In the database it would cost two
//! pages of each commit; there it is written now and then only. This file is not flushed: after a
//! SIGKILL it has the number, after a power failure perhaps an older one. So it is a lower bound, as the
//! number in the database is, and the higher of the two counts.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use crate::numbers::HIGHEST;
use crate::rows::named_crc;

/// A sequence number and its checksum.
const LEN: usize = 16;

/// The locked file; the lock goes with it.
#[derive(Debug)]
pub(crate) struct LockFile {
    file: File,
    has_failed: bool,
}

impl LockFile {
    pub(crate) fn of(file: File) -> Self {
        Self { file, has_failed: false }
    }

    /// The highest sequence number given out, as far as this file knows; 0 if it does not.
    pub(crate) fn highest(&self) -> u64 {
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

    /// Keeps the highest sequence number given out.
    pub(crate) fn set_highest(&mut self, seq: u64) {
        let mut bytes = [0; LEN];
        let (number, crc) = bytes.split_at_mut(8);
        number.copy_from_slice(&seq.to_le_bytes());
        crc.copy_from_slice(&checksum(seq).to_le_bytes());
        let written = self.file.write_all_at(&bytes, 0);
        if let Err(error) = &written
            && !self.has_failed
        {
            // The database has the number as well, a second later.
            tracing::warn!(%error, "the highest sequence number cannot be written into the lock file");
        }
        self.has_failed = written.is_err();
    }
}

fn checksum(seq: u64) -> u64 {
    named_crc(HIGHEST, seq, "").cast_unsigned()
}
