//! The sequence numbers of the journal: the allocated numbers, and the allocated numbers without a
//! record.
//!
//! The highest number is stored apart from the records: in the lock file after each commit, in the
//! database once a second. A journal that lost its last records therefore does not allocate their
//! numbers again, below the cursors of readers, which would skip the new records. Nothing is
//! repaired: gaps are reported.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};

use crate::cursors::Cursors;
use crate::journal::Gap;
use crate::{Cursor, ReadError, load};

/// The key in the table `meta` of the highest allocated sequence number.
pub(crate) const HIGHEST: &str = "seq";
/// A cursor further than this past the last record cannot have been written by a reader.
const CURSOR_AHEAD_MAX: u64 = 1 << 24;
/// The maximum number of gaps that one scan returns; the next scan starts after the last one.
const GAPS_MAX: usize = 64;

/// The range of the journal's sequence numbers.
#[derive(Debug)]
pub(crate) struct SequenceRange {
    /// Sequence number of the oldest record; 0 if there is none.
    pub(crate) first: u64,
    /// The highest allocated sequence number.
    pub(crate) highest: u64,
    /// The gaps at the ends of the journal.
    pub(crate) gaps: Vec<Gap>,
}

/// Examine the ends of the journal. `known_seq` is a number known to be allocated, or 0. Cursors
/// that no reader can have written are moved to the end.
pub(crate) fn check_ends(
    file: &Connection,
    known_seq: u64,
    cursors: &mut Cursors,
) -> Result<SequenceRange, ReadError> {
    let (first, last) = (load::first_seq(file)?, load::last_record(file)?);
    let known = load::highest_seq(file)?.unwrap_or_default().max(known_seq);
    let ahead = |seq: &u64| *seq > last && *seq - last <= CURSOR_AHEAD_MAX;
    // A reader has read up to its cursor, even if the stored number is missing or older.
    let read = cursors.registered().map(|(_, cursor)| cursor.seq).filter(ahead).max();
    let highest = last.max(known).max(read.unwrap_or_default());
    let mut gaps = BTreeSet::new();
    if first > 0 {
        let nexts = cursors.registered().map(|(_, cursor)| cursor.seq.saturating_add(1));
        let behind = nexts.filter(|next| *next < first);
        gaps.extend(behind.min().map(|next| Gap { first: next, last: first - 1 }));
    }
    if highest > last {
        let unread = cursors.registered().map(|(_, cursor)| cursor.seq.saturating_add(1)).min();
        let first_lost = if first > 0 { last + 1 } else { unread.unwrap_or(1).min(highest) };
        gaps.insert(Gap { first: first_lost, last: highest });
    }
    let beyond_end = cursors.registered().filter(|(_, cursor)| cursor.seq > highest);
    for reader in beyond_end.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
        tracing::error!(
            reader,
            last,
            "the cursor is past the end of the journal and is moved to the end: records before it may \
             not have been delivered"
        );
        gaps.insert(Gap { first: highest.max(1), last: highest.max(1) });
        cursors.set(&reader, Cursor { seq: highest, state: String::new() });
    }
    Ok(SequenceRange { first, highest, gaps: gaps.into_iter().collect() })
}

/// The sequence numbers from `first` to `last` that have no row, and the last number that was
/// examined.
pub(crate) fn find_gaps(
    file: &Connection,
    first: u64,
    last: u64,
    rows_max: usize,
) -> Result<(Vec<Gap>, u64), ReadError> {
    let query = "SELECT seq FROM journal WHERE seq >= ? AND seq <= ? ORDER BY seq LIMIT ?";
    let mut query = file.prepare(query).map_err(ReadError::from_sqlite)?;
    let limit = i64::try_from(rows_max).unwrap_or(i64::MAX);
    let bounds = params![first.cast_signed(), last.cast_signed(), limit];
    let mut rows = query.query(bounds).map_err(ReadError::from_sqlite)?;
    let (mut gaps, mut next, mut examined) = (Vec::new(), first, 0);
    while let Some(row) = rows.next().map_err(ReadError::from_sqlite)? {
        let seq = row.get::<_, i64>(0).map_err(ReadError::from_sqlite)?.cast_unsigned();
        if seq > next {
            gaps.push(Gap { first: next, last: seq - 1 });
        }
        next = seq.saturating_add(1);
        examined += 1;
        if gaps.len() >= GAPS_MAX {
            return Ok((gaps, seq));
        }
    }
    if examined < rows_max && next <= last {
        gaps.push(Gap { first: next, last });
        next = last + 1;
    }
    Ok((gaps, next.saturating_sub(1)))
}
