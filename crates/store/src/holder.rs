//! What takes most of a file that fills up: who is to be blamed when there is no room.
//!
//! An estimate from a few records: nothing is read in full, because it is asked for when there is least
//! time.

use std::fmt;

use crate::rows::Rows;
use crate::shared::Shared;

/// What takes most of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A reader of the journal that has not passed the records.
    Reader {
        /// Its name.
        name: String,
        /// How many records it has before it.
        records: u64,
    },
    /// The objects as they are now.
    Objects,
    /// Records and revisions that are about to be removed.
    Upkeep,
    /// Nothing: the rest is kept for requests of recognised users.
    Reserve,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reader { name, records } => {
                write!(f, "reader `{name}` holds it, {records} records wait for it")
            }
            Self::Objects => {
                f.write_str("the API's objects fill it, delete some or raise --journal-limit")
            }
            Self::Upkeep => f.write_str("older records and revisions are being removed"),
            Self::Reserve => f.write_str("the rest of it is kept for recognised users"),
        }
    }
}

impl Holder {
    /// What takes most of the file, of which so many bytes are used.
    pub(crate) fn of(shared: &Shared, rows: &mut Rows<'_>, used: u64) -> rusqlite::Result<Self> {
        let (first, last) = (shared.first_seq(), shared.last_seq());
        let slowest = shared.cursors().slowest().map(|(name, seq)| (name.to_owned(), seq));
        let passed = slowest.as_ref().map_or(last, |(_, seq)| *seq);
        if let Some((name, _)) = slowest {
            let records = last.saturating_sub(passed);
            if rows.record_bytes(passed)?.saturating_mul(records) >= used / 2 {
                return Ok(Self::Reader { name, records });
            }
        }
        // The last record stays in any case.
        let is_passed = first > 0 && first < passed.min(last);
        let can_go = is_passed || shared.index().has_superseded();
        Ok(if can_go { Self::Upkeep } else { Self::Objects })
    }
}
