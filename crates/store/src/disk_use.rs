//! Finds what uses most of a file that fills up, for error messages and health reports.
//!
//! The result is an estimate from a few records. Nothing is read in full, because the answer is
//! needed when the store is under pressure.

use std::fmt;

use crate::shared::Shared;
use crate::statements::Statements;

/// The largest use of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiskUse {
    /// A reader of the journal that has not passed the records.
    Reader {
        /// The name of the reader.
        name: String,
        /// The number of records after its cursor.
        records: u64,
    },
    /// The newest states of objects.
    Objects,
    /// Records and revisions that retention is about to remove.
    Removable,
    /// The part of the limit that is reserved for requests of authenticated users.
    Reserved,
}

impl fmt::Display for DiskUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reader { name, records } => {
                write!(f, "reader `{name}` has not read {records} records yet")
            }
            Self::Objects => {
                f.write_str("objects use most of it: delete some, or raise --journal-limit")
            }
            Self::Removable => f.write_str("older records and revisions are being removed"),
            Self::Reserved => f.write_str("the rest is reserved for authenticated users"),
        }
    }
}

impl DiskUse {
    /// Estimate what uses most of the `used` bytes of the file.
    pub(crate) fn estimate(
        shared: &Shared,
        statements: &mut Statements<'_>,
        used: u64,
    ) -> rusqlite::Result<Self> {
        let (first, last) = (shared.first_seq(), shared.last_seq());
        let slowest = shared.cursors().slowest().map(|(name, seq)| (name.to_owned(), seq));
        let slowest_seq = slowest.as_ref().map_or(last, |(_, seq)| *seq);
        if let Some((name, _)) = slowest {
            let records = last.saturating_sub(slowest_seq);
            if statements.records_bytes(slowest_seq, last)? >= used / 2 {
                return Ok(Self::Reader { name, records });
            }
        }
        // The last record is never removed.
        let is_removable = first > 0 && first < slowest_seq.min(last);
        let is_removable = is_removable || shared.index().has_superseded();
        Ok(if is_removable { Self::Removable } else { Self::Objects })
    }
}
