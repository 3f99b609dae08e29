//! The numbers of the journal's records: which were given out, and which of those are missing.
//!
//! The highest number is kept apart from the records: in the lock file after each commit, in the
//! database once a second. So a journal that lost its last records does not give their numbers out again,
//! below the cursors of readers that would then pass over what is new. Nothing is repaired: holes are told.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};

use crate::cursors::Cursors;
use crate::journal::Hole;
use crate::{Cursor, ReadError, load};

/// The file's own number that is the highest one given out.
pub(crate) const HIGHEST: &str = "seq";
/// A cursor that is further than this behind the last record was never written by a reader.
const CURSOR_AHEAD_MAX: u64 = 1 << 24;
/// Holes that one look tells at most; the next look begins behind the last one.
const HOLES_MAX: usize = 64;

/// What the file says of the journal's numbers.
#[derive(Debug)]
pub(crate) struct Numbers {
    /// The number of the oldest record that is there; 0 if there is none.
    pub(crate) first: u64,
    /// The highest number given out.
    pub(crate) highest: u64,
    /// What is missing at the ends.
    pub(crate) holes: Vec<Hole>,
}

/// Looks at the ends of the journal. `given_out` is a number that was given out, 0 if none is known.
/// Cursors that no reader can have written go to the end.
pub(crate) fn at_start(
    file: &Connection,
    given_out: u64,
    cursors: &mut Cursors,
) -> Result<Numbers, ReadError> {
    let (first, last) = (load::first_seq(file)?, load::last_record(file)?);
    let known = load::highest(file)?.unwrap_or_default().max(given_out);
    let ahead = |seq: &u64| *seq > last && *seq - last <= CURSOR_AHEAD_MAX;
    // A reader has read what its cursor says, also where the number is missing or an older one.
    let read = cursors.all().map(|(_, cursor)| cursor.seq).filter(ahead).max();
    let highest = last.max(known).max(read.unwrap_or_default());
    let mut holes = BTreeSet::new();
    if first > 0 {
        let nexts = cursors.all().map(|(_, cursor)| cursor.seq.saturating_add(1));
        let behind = nexts.filter(|next| *next < first);
        holes.extend(behind.min().map(|next| Hole { first: next, last: first - 1 }));
    }
    if highest > last {
        let unread = cursors.all().map(|(_, cursor)| cursor.seq.saturating_add(1)).min();
        let gone = if first > 0 { last + 1 } else { unread.unwrap_or(1).min(highest) };
        holes.insert(Hole { first: gone, last: highest });
    }
    let wrong = cursors.all().filter(|(_, cursor)| cursor.seq > highest);
    for reader in wrong.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
        tracing::error!(
            reader,
            last,
            "the cursor is behind the journal's end: it goes to the end, and records before it may \
             not have been delivered"
        );
        holes.insert(Hole { first: highest.max(1), last: highest.max(1) });
        cursors.set(&reader, Cursor { seq: highest, state: String::new() });
    }
    Ok(Numbers { first, highest, holes: holes.into_iter().collect() })
}

/// Numbers from `first` to `last` that have no row, and up to where was looked.
pub(crate) fn holes(
    file: &Connection,
    first: u64,
    last: u64,
    rows_max: usize,
) -> Result<(Vec<Hole>, u64), ReadError> {
    let query = "SELECT seq FROM journal WHERE seq >= ? AND seq <= ? ORDER BY seq LIMIT ?";
    let mut query = file.prepare(query).map_err(load::unreadable)?;
    let limit = i64::try_from(rows_max).unwrap_or(i64::MAX);
    let bounds = params![first.cast_signed(), last.cast_signed(), limit];
    let mut rows = query.query(bounds).map_err(load::unreadable)?;
    let (mut holes, mut next, mut seen) = (Vec::new(), first, 0);
    while let Some(row) = rows.next().map_err(load::unreadable)? {
        let seq = row.get::<_, i64>(0).map_err(load::unreadable)?.cast_unsigned();
        if seq > next {
            holes.push(Hole { first: next, last: seq - 1 });
        }
        next = seq.saturating_add(1);
        seen += 1;
        if holes.len() >= HOLES_MAX {
            return Ok((holes, seq));
        }
    }
    if seen < rows_max && next <= last {
        holes.push(Hole { first: next, last });
        next = last + 1;
    }
    Ok((holes, next.saturating_sub(1)))
}
