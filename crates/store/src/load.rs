//! Loads the contents of a file into memory and verifies the checksum of each row.

use rusqlite::{Connection, OptionalExtension};

use crate::cursors::{Cursor, Cursors};
use crate::index::Index;
use crate::read_connection;
use crate::sequence::{self, HIGHEST, SequenceRange};
use crate::shared::LoadedState;
use crate::statements::{REVISION_COLUMNS, Revision, named_crc};
use crate::{Change, ReadError, Reader, ReaderList};

/// Load the state that is in memory, with at most `object_cache_bytes` bytes of objects. `highest`
/// is a sequence number that is known to be allocated.
pub(crate) fn load(
    file: &Connection,
    highest: u64,
    object_cache_bytes: usize,
) -> Result<LoadedState, ReadError> {
    let compact_revision = meta(file, "floor")?;
    let mut index = Index::new(meta(file, "first")?, compact_revision, object_cache_bytes);
    revisions(file, 0, |row| index.load(&row.object, row.deleted, row.time))?;
    let mut cursors = cursors(file)?;
    let SequenceRange { first, highest, gaps } = sequence::check_ends(file, highest, &mut cursors)?;
    Ok(LoadedState { index, cursors, first_seq: first, last_seq: highest, gaps, epoch: 0 })
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
        readers: cursors.registered().map(reader).collect(),
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
    let mut rows = Vec::new();
    revisions(file, revision, |row| rows.push(row))?;
    let changes = rows.into_iter().map(|row| {
        let time = row.time;
        Ok((read_connection::change(file, row)?, time))
    });
    changes.collect()
}

fn revisions(
    file: &Connection,
    after: u64,
    mut on_row: impl FnMut(Revision),
) -> Result<(), ReadError> {
    let query =
        format!("SELECT {REVISION_COLUMNS} FROM revisions WHERE revision > ? ORDER BY revision");
    let mut query = file.prepare(&query).map_err(ReadError::from_sqlite)?;
    let mut rows = query.query([after.cast_signed()]).map_err(ReadError::from_sqlite)?;
    while let Some(row) = rows.next().map_err(ReadError::from_sqlite)? {
        on_row(Revision::read(row)?);
    }
    Ok(())
}

/// The readers and their cursors.
pub(crate) fn cursors(file: &Connection) -> Result<Cursors, ReadError> {
    let mut cursors = Cursors::default();
    let query = "SELECT reader, seq, crc, state FROM cursors";
    let mut query = file.prepare(query).map_err(ReadError::from_sqlite)?;
    let mut rows = query.query([]).map_err(ReadError::from_sqlite)?;
    while let Some(row) = rows.next().map_err(ReadError::from_sqlite)? {
        let reader: String = row.get(0).map_err(ReadError::from_sqlite)?;
        let seq = row.get::<_, i64>(1).map_err(ReadError::from_sqlite)?.cast_unsigned();
        let state: String = row.get(3).map_err(ReadError::from_sqlite)?;
        if row.get::<_, i64>(2).map_err(ReadError::from_sqlite)? != named_crc(&reader, seq, &state)
        {
            let what = format!("the cursor of {reader:?}");
            return Err(ReadError::Damaged { what, number: seq });
        }
        cursors.load(reader, Cursor { seq, state });
    }
    Ok(cursors)
}

/// The highest allocated sequence number.
pub(crate) fn last_seq(file: &Connection) -> Result<u64, ReadError> {
    Ok(last_record(file)?.max(highest_seq(file)?.unwrap_or_default()))
}

/// Sequence number of the last record in the file; 0 if there is none.
pub(crate) fn last_record(file: &Connection) -> Result<u64, ReadError> {
    number(file, "SELECT max(seq) FROM journal")
}

/// The highest allocated sequence number as stored separately from the records, possibly out of
/// date; `None` in the file of an older program.
pub(crate) fn highest_seq(file: &Connection) -> Result<Option<u64>, ReadError> {
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
    Ok(number.map_err(ReadError::from_sqlite)?.unwrap_or_default().cast_unsigned())
}

/// A number in the table `meta`.
fn meta(file: &Connection, key: &str) -> Result<u64, ReadError> {
    let damaged = || ReadError::Damaged { what: format!("the number {key:?}"), number: 0 };
    optional_meta(file, key)?.ok_or_else(damaged)
}

fn optional_meta(file: &Connection, key: &str) -> Result<Option<u64>, ReadError> {
    let row = file.query_row("SELECT value, crc FROM meta WHERE key = ?", [key], |row| {
        Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, i64>(1)?))
    });
    let damaged = |number| ReadError::Damaged { what: format!("the number {key:?}"), number };
    match row.optional().map_err(ReadError::from_sqlite)? {
        Some((value, crc)) if crc == named_crc(key, value, "") => Ok(Some(value)),
        Some((value, _)) => Err(damaged(value)),
        None => Ok(None),
    }
}

/// The page size of the file, in bytes. A file of an older version may have a different one.
pub(crate) fn page_size(file: &Connection) -> Result<u64, ReadError> {
    let size = file.query_row("PRAGMA page_size", [], |row| row.get::<_, i64>(0));
    size.map(i64::cast_unsigned).map_err(ReadError::from_sqlite)
}
