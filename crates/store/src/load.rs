//! Loads the contents of a file into memory and verifies the checksum of each row.

use rusqlite::{Connection, OptionalExtension};

use crate::cursors::{Cursor, Cursors};
use crate::disk;
use crate::index::Index;
use crate::numbers::{self, HIGHEST, Numbers};
pub(crate) use crate::rows::unreadable;
use crate::rows::{REVISION_COLUMNS, Revision, named_crc};
use crate::shared::Contents;
use crate::{Change, ReadError, Reader, ReaderList};

/// Load everything that is kept in memory, with at most `objects_bytes` bytes of objects. `highest`
/// is a sequence number that is known to be allocated.
pub(crate) fn load(
    file: &Connection,
    highest: u64,
    objects_bytes: usize,
) -> Result<Contents, ReadError> {
    let floor = meta(file, "floor")?;
    let mut index = Index::new(meta(file, "first")?, floor, objects_bytes);
    revisions(file, 0, |row| index.load(&row.object, row.deleted, row.time))?;
    let mut cursors = cursors(file)?;
    let Numbers { first, highest, holes } = numbers::at_start(file, highest, &mut cursors)?;
    Ok(Contents { index, cursors, first_seq: first, last_seq: highest, holes, epoch: 0 })
}

/// The readers, and the sequence numbers of the journal's first and last record.
pub(crate) fn readers(file: &Connection) -> Result<ReaderList, ReadError> {
    let (first_seq, last_seq) = (first_seq(file)?, last_seq(file)?);
    let cursors = cursors(file)?;
    let reader = |(name, cursor): (&String, &Cursor)| Reader {
        name: name.clone(),
        cursor: cursor.clone(),
        lag: last_seq.saturating_sub(cursor.seq),
    };
    let parked = cursors.parked().map(|(name, cursor)| (name.to_owned(), cursor.clone()));
    Ok(ReaderList {
        readers: cursors.all().map(reader).collect(),
        parked: parked.collect(),
        first_seq,
        last_seq,
    })
}

/// The changes after `revision`, whose commit had an unknown outcome, each with its commit time in
/// microseconds since the Unix epoch.
pub(crate) fn changes_after(
    file: &Connection,
    revision: u64,
) -> Result<Vec<(Change, i64)>, ReadError> {
    let mut found = Vec::new();
    revisions(file, revision, |row| found.push(row))?;
    let timed = found.into_iter().map(|row| {
        let time = row.time;
        Ok((disk::change(file, row)?, time))
    });
    timed.collect()
}

fn revisions(
    file: &Connection,
    after: u64,
    mut each: impl FnMut(Revision),
) -> Result<(), ReadError> {
    let query =
        format!("SELECT {REVISION_COLUMNS} FROM revisions WHERE revision > ? ORDER BY revision");
    let mut query = file.prepare(&query).map_err(unreadable)?;
    let mut rows = query.query([after.cast_signed()]).map_err(unreadable)?;
    while let Some(row) = rows.next().map_err(unreadable)? {
        each(Revision::read(row)?);
    }
    Ok(())
}

/// The readers and their cursors.
pub(crate) fn cursors(file: &Connection) -> Result<Cursors, ReadError> {
    let mut cursors = Cursors::default();
    let query = "SELECT reader, seq, crc, state FROM cursors";
    let mut query = file.prepare(query).map_err(unreadable)?;
    let mut rows = query.query([]).map_err(unreadable)?;
    while let Some(row) = rows.next().map_err(unreadable)? {
        let reader: String = row.get(0).map_err(unreadable)?;
        let seq = row.get::<_, i64>(1).map_err(unreadable)?.cast_unsigned();
        let state: String = row.get(3).map_err(unreadable)?;
        if row.get::<_, i64>(2).map_err(unreadable)? != named_crc(&reader, seq, &state) {
            let what = format!("the cursor of {reader:?}");
            return Err(ReadError::Damaged { what, number: seq });
        }
        cursors.load(reader, Cursor { seq, state });
    }
    Ok(cursors)
}

/// The highest allocated sequence number.
pub(crate) fn last_seq(file: &Connection) -> Result<u64, ReadError> {
    Ok(last_record(file)?.max(highest(file)?.unwrap_or_default()))
}

/// Sequence number of the last record in the file; 0 if there is none.
pub(crate) fn last_record(file: &Connection) -> Result<u64, ReadError> {
    number(file, "SELECT max(seq) FROM journal")
}

/// The highest allocated sequence number as stored apart from the records, possibly a little out of
/// date; `None` in the file of an older program.
pub(crate) fn highest(file: &Connection) -> Result<Option<u64>, ReadError> {
    optional_meta(file, HIGHEST)
}

/// Sequence number of the oldest record; 0 if there is none.
pub(crate) fn first_seq(file: &Connection) -> Result<u64, ReadError> {
    number(file, "SELECT min(seq) FROM journal")
}

/// The highest revision in the file.
pub(crate) fn last_revision(file: &Connection) -> Result<u64, ReadError> {
    Ok(number(file, "SELECT max(revision) FROM revisions")?.max(meta(file, "first")?))
}

fn number(file: &Connection, query: &str) -> Result<u64, ReadError> {
    let number = file.query_row(query, [], |row| row.get::<_, Option<i64>>(0));
    Ok(number.map_err(unreadable)?.unwrap_or_default().cast_unsigned())
}

/// A number in the table `meta`.
fn meta(file: &Connection, key: &str) -> Result<u64, ReadError> {
    let damaged = || ReadError::Damaged { what: format!("the number {key:?}"), number: 0 };
    optional_meta(file, key)?.ok_or_else(damaged)
}

fn optional_meta(file: &Connection, key: &str) -> Result<Option<u64>, ReadError> {
    let found = file.query_row("SELECT value, crc FROM meta WHERE key = ?", [key], |row| {
        Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, i64>(1)?))
    });
    let damaged = |number| ReadError::Damaged { what: format!("the number {key:?}"), number };
    match found.optional().map_err(unreadable)? {
        Some((value, crc)) if crc == named_crc(key, value, "") => Ok(Some(value)),
        Some((value, _)) => Err(damaged(value)),
        None => Ok(None),
    }
}
