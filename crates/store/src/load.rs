//! Reading a file's contents into memory, each row checked against its checksum.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension};

use crate::cursors::{Cursor, Cursors};
use crate::index::Index;
pub(crate) use crate::rows::unreadable;
use crate::rows::{REVISION_COLUMNS, Revision};
use crate::shared::Contents;
use crate::{Change, ChangeKind, ReadError};

/// Everything that is kept in memory.
pub(crate) fn load(file: &Connection) -> Result<Contents, ReadError> {
    let floor = meta(file, "floor")?;
    let mut index = Index::new(meta(file, "first")?, floor);
    let after = 0;
    revisions(file, after, |row| index.load(row.object, row.deleted, row.time))?;
    Ok(Contents { index, cursors: cursors(file)?, last_seq: last_seq(file)? })
}

/// Changes that are in the file and not in memory, because nobody knew what became of them.
pub(crate) fn changes_after(
    file: &Connection,
    index: &Index,
) -> Result<Vec<(Change, i64)>, ReadError> {
    let mut changes: Vec<(Change, i64)> = Vec::new();
    revisions(file, index.revision(), |row| {
        let Revision { object, prev, deleted, time } = row;
        let earlier = changes.iter().rev().find(|(change, _)| change.object.key == object.key);
        let previous = match earlier {
            Some((change, _)) => Some(Arc::clone(&change.object)),
            None => index.get(&object.key),
        };
        let kind = match (prev, deleted) {
            (_, true) => ChangeKind::Deleted,
            (Some(_), false) => ChangeKind::Updated,
            (None, false) => ChangeKind::Created,
        };
        let previous = previous.filter(|_| kind != ChangeKind::Created);
        changes.push((Change { kind, revision: object.revision, object, previous }, time));
    })?;
    Ok(changes)
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

fn cursors(file: &Connection) -> Result<Cursors, ReadError> {
    let mut cursors = Cursors::default();
    let mut query = file.prepare("SELECT reader, seq, state FROM cursors").map_err(unreadable)?;
    let mut rows = query.query([]).map_err(unreadable)?;
    while let Some(row) = rows.next().map_err(unreadable)? {
        let seq = row.get::<_, i64>(1).map_err(unreadable)?.cast_unsigned();
        let cursor = Cursor { seq, state: row.get(2).map_err(unreadable)? };
        cursors.load(row.get(0).map_err(unreadable)?, cursor);
    }
    Ok(cursors)
}

/// The number of the last record.
pub(crate) fn last_seq(file: &Connection) -> Result<u64, ReadError> {
    number(file, "SELECT max(seq) FROM journal")
}

/// The number of the oldest record; 0 if there is none.
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

fn meta(file: &Connection, key: &str) -> Result<u64, ReadError> {
    let value =
        file.query_row("SELECT value FROM meta WHERE key = ?", [key], |row| row.get::<_, i64>(0));
    let value = value.optional().map_err(unreadable)?;
    let missing = || ReadError::Unavailable { reason: format!("the file does not say its {key}") };
    value.map(i64::cast_unsigned).ok_or_else(missing)
}
