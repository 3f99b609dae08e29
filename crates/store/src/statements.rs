//! The SQL of the file: its tables, the statements that write rows, and the checksum of each row.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, Row, Statement, params};

use crate::cursors::{Cursor, CursorMove, CursorWrite};
use crate::index::Superseded;
use crate::sequence::HIGHEST;
use crate::settings::PAGE_SIZE;
use crate::{Change, ChangeKind, Object, ReadError, Record};

/// Identifies the file as a store of this program (`KWst` in ASCII).
pub(crate) const APPLICATION_ID: i32 = 0x4b57_7374;
/// The schema version. A file with a higher version is rejected; one with a lower version gets the
/// missing tables ([`MIGRATIONS`]) when it is opened for writing.
pub(crate) const SCHEMA_VERSION: i32 = 2;

/// The tables of schema version 1. Rows are only appended, and removed at the old end, so that
/// writes stay in neighbouring pages.
pub(crate) const SCHEMA: &str = "
    CREATE TABLE revisions (
        revision INTEGER PRIMARY KEY, key TEXT NOT NULL, prev INTEGER, deleted INTEGER NOT NULL,
        time INTEGER NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL) STRICT;
    CREATE TABLE journal (
        seq INTEGER PRIMARY KEY, time INTEGER NOT NULL, crc INTEGER NOT NULL,
        record BLOB NOT NULL) STRICT;
    CREATE TABLE cursors (
        reader TEXT PRIMARY KEY, seq INTEGER NOT NULL, crc INTEGER NOT NULL,
        state TEXT NOT NULL) STRICT;
    CREATE TABLE meta (
        key TEXT PRIMARY KEY, value INTEGER NOT NULL, crc INTEGER NOT NULL) STRICT;
    CREATE TABLE probe (id INTEGER PRIMARY KEY, filler BLOB NOT NULL) STRICT;
";

/// The migrations from schema version 1 to 2, and so on. Each of them only adds tables, so that it
/// cannot lose data.
pub(crate) const MIGRATIONS: [&str; 1] = ["
    CREATE TABLE checkpoints (
        reader TEXT NOT NULL, part INTEGER NOT NULL, parts INTEGER NOT NULL, seq INTEGER NOT NULL,
        crc INTEGER NOT NULL, chunk BLOB NOT NULL, PRIMARY KEY (reader, part)) STRICT;
"];

/// Sets a number in the table `meta`.
pub(crate) const PUT_META: &str = "INSERT OR REPLACE INTO meta VALUES (?, ?, ?)";

/// The mean size of the first records of a range. A record larger than half a page takes whole pages.
const RECORD_BYTES: &str = "
    SELECT avg(CASE WHEN bytes * 2 > ?1 THEN ((bytes + ?1 - 1) / ?1) * ?1 ELSE bytes + 32 END)
    FROM (SELECT length(record) AS bytes FROM journal WHERE seq > ?2 AND seq <= ?3
        ORDER BY seq LIMIT 4)";
/// The number of parts of a range whose first records are sampled.
const SAMPLED_PARTS: u64 = 16;

/// The writer's statements, prepared once per connection.
#[derive(Debug)]
pub(crate) struct Statements<'a> {
    begin: Statement<'a>,
    commit: Statement<'a>,
    rollback: Statement<'a>,
    revision: Statement<'a>,
    record: Statement<'a>,
    cursor: Statement<'a>,
    remove_cursor: Statement<'a>,
    checkpoint: Statement<'a>,
    remove_checkpoint: Statement<'a>,
    meta: Statement<'a>,
    delete_revision: Statement<'a>,
    delete_records: Statement<'a>,
    record_time: Statement<'a>,
    record_bytes: Statement<'a>,
    page_count: Statement<'a>,
    free_pages: Statement<'a>,
}

impl<'a> Statements<'a> {
    pub(crate) fn prepare(file: &'a Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            begin: file.prepare("BEGIN IMMEDIATE")?,
            commit: file.prepare("COMMIT")?,
            rollback: file.prepare("ROLLBACK")?,
            revision: file.prepare("INSERT INTO revisions VALUES (?, ?, ?, ?, ?, ?, ?)")?,
            record: file.prepare("INSERT INTO journal VALUES (?, ?, ?, ?)")?,
            cursor: file.prepare("INSERT OR REPLACE INTO cursors VALUES (?, ?, ?, ?)")?,
            remove_cursor: file.prepare("DELETE FROM cursors WHERE reader = ?")?,
            checkpoint: file.prepare("INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?, ?)")?,
            remove_checkpoint: file.prepare("DELETE FROM checkpoints WHERE reader = ?")?,
            meta: file.prepare(PUT_META)?,
            delete_revision: file.prepare("DELETE FROM revisions WHERE revision = ?")?,
            delete_records: file.prepare("DELETE FROM journal WHERE seq <= ?")?,
            record_time: file.prepare("SELECT time FROM journal WHERE seq >= ? LIMIT 1")?,
            record_bytes: file.prepare(RECORD_BYTES)?,
            page_count: file.prepare("PRAGMA page_count")?,
            free_pages: file.prepare("PRAGMA freelist_count")?,
        })
    }

    pub(crate) fn begin(&mut self) -> rusqlite::Result<()> {
        self.begin.execute([]).map(drop)
    }

    pub(crate) fn commit(&mut self) -> rusqlite::Result<()> {
        self.commit.execute([]).map(drop)
    }

    pub(crate) fn rollback(&mut self) -> rusqlite::Result<()> {
        self.rollback.execute([]).map(drop)
    }

    pub(crate) fn insert_revision(&mut self, change: &Change, time: i64) -> rusqlite::Result<()> {
        let Object { key, revision, body } = &*change.object;
        let deleted = change.kind == ChangeKind::Deleted;
        let prev = change.previous.as_ref().map(|previous| previous.revision.cast_signed());
        let crc = revision_crc(*revision, key, prev, deleted, time, body);
        let row = params![revision.cast_signed(), &**key, prev, deleted, time, crc, &**body];
        self.revision.execute(row).map(drop)
    }

    pub(crate) fn insert_record(&mut self, record: &Record) -> rusqlite::Result<()> {
        let Record { seq, time, bytes } = record;
        let crc = record_crc(*seq, *time, bytes);
        self.record.execute(params![seq.cast_signed(), time, crc, &**bytes]).map(drop)
    }

    /// Store the highest allocated sequence number.
    pub(crate) fn set_highest_seq(&mut self, seq: u64) -> rusqlite::Result<()> {
        let crc = named_crc(HIGHEST, seq, "");
        self.meta.execute(params![HIGHEST, seq.cast_signed(), crc]).map(drop)
    }

    pub(crate) fn write_cursors(&mut self, moved: &[CursorWrite]) -> rusqlite::Result<()> {
        for (reader, cursor) in moved {
            if let Some(cursor) = cursor {
                self.write_cursor(reader, cursor)?;
            } else {
                self.remove_cursor.execute([reader])?;
                self.remove_checkpoint.execute([reader])?;
            }
        }
        Ok(())
    }

    /// Write a cursor that a transaction moved, with its checkpoint.
    pub(crate) fn move_cursor(&mut self, moved: &CursorMove) -> rusqlite::Result<()> {
        let CursorMove { reader, cursor, checkpoint } = moved;
        self.write_cursor(reader, cursor)?;
        let Some(chunks) = checkpoint else { return Ok(()) };
        self.remove_checkpoint.execute([reader])?;
        let parts = u32::try_from(chunks.len()).unwrap_or(u32::MAX);
        let seq = cursor.seq.cast_signed();
        for (part, chunk) in (0..parts).zip(chunks) {
            let crc = checkpoint_crc(reader, part, parts, cursor.seq, chunk);
            self.checkpoint.execute(params![reader, part, parts, seq, crc, &**chunk])?;
        }
        Ok(())
    }

    fn write_cursor(&mut self, reader: &str, cursor: &Cursor) -> rusqlite::Result<()> {
        let Cursor { seq, state } = cursor;
        let crc = named_crc(reader, *seq, state);
        self.cursor.execute(params![reader, seq.cast_signed(), crc, state]).map(drop)
    }

    /// Delete superseded revisions and store the oldest revision that can still be read.
    pub(crate) fn compact(
        &mut self,
        rows: &[Superseded],
        compact_revision: u64,
    ) -> rusqlite::Result<()> {
        let Some(last) = rows.last() else { return Ok(()) };
        for row in rows {
            self.delete_revision.execute([row.revision.cast_signed()])?;
        }
        let compact_revision = compact_revision.max(last.by);
        let crc = named_crc("floor", compact_revision, "");
        self.meta.execute(params!["floor", compact_revision.cast_signed(), crc]).map(drop)
    }

    pub(crate) fn delete_records(&mut self, up_to: u64) -> rusqlite::Result<()> {
        self.delete_records.execute([up_to.cast_signed()]).map(drop)
    }

    /// The commit time of a record, or of the next existing one, in microseconds since the Unix
    /// epoch.
    pub(crate) fn record_time(&mut self, seq: u64) -> rusqlite::Result<i64> {
        let time = self.record_time.query_row([seq.cast_signed()], |row| row.get(0)).optional()?;
        Ok(time.unwrap_or(i64::MAX))
    }

    /// The size in the file of the records after `after` up to `last`, in bytes. An estimate from a
    /// few records of each part of the range, because the first records of a store are short.
    pub(crate) fn records_bytes(&mut self, after: u64, last: u64) -> rusqlite::Result<u64> {
        let page = i64::from(PAGE_SIZE);
        let all = last.saturating_sub(after);
        let (width, rest) = (all / SAMPLED_PARTS, all % SAMPLED_PARTS);
        let (mut total, mut start) = (0, after);
        for part in 0..SAMPLED_PARTS {
            let records = width + u64::from(part < rest);
            let end = start + records;
            let range = params![page, start.cast_signed(), end.cast_signed()];
            let mean = self.record_bytes.query_row(range, |row| row.get::<_, Option<f64>>(0))?;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "an estimate"
            )]
            let mean = mean.unwrap_or_default() as u64;
            total = mean.saturating_mul(records).saturating_add(total);
            start = end;
        }
        Ok(total)
    }

    /// The bytes of all pages that are in use.
    pub(crate) fn used_bytes(&mut self, page_size: u64) -> rusqlite::Result<u64> {
        let pages: i64 = self.page_count.query_row([], |row| row.get(0))?;
        let free: i64 = self.free_pages.query_row([], |row| row.get(0))?;
        Ok(pages.saturating_sub(free).cast_unsigned() * page_size)
    }
}

fn revision_crc(
    revision: u64,
    key: &str,
    prev: Option<i64>,
    deleted: bool,
    time: i64,
    body: &[u8],
) -> i64 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&revision.to_le_bytes());
    crc.update(&prev.unwrap_or(-1).to_le_bytes());
    crc.update(&[u8::from(deleted)]);
    crc.update(&time.to_le_bytes());
    crc.update(&(key.len() as u64).to_le_bytes());
    crc.update(key.as_bytes());
    crc.update(body);
    i64::from(crc.finalize())
}

/// The checksum of a cursor, or of a number in the table `meta`.
pub(crate) fn named_crc(name: &str, number: u64, state: &str) -> i64 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&(name.len() as u64).to_le_bytes());
    crc.update(name.as_bytes());
    crc.update(&number.to_le_bytes());
    crc.update(state.as_bytes());
    i64::from(crc.finalize())
}

/// The checksum covers the number of parts and the sequence number, so that parts of two
/// checkpoints cannot be mixed up.
fn checkpoint_crc(reader: &str, part: u32, parts: u32, seq: u64, chunk: &[u8]) -> i64 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&(reader.len() as u64).to_le_bytes());
    crc.update(reader.as_bytes());
    for number in [part.into(), parts.into(), seq] {
        crc.update(&number.to_le_bytes());
    }
    crc.update(chunk);
    i64::from(crc.finalize())
}

fn record_crc(seq: u64, time: i64, record: &[u8]) -> i64 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&seq.to_le_bytes());
    crc.update(&time.to_le_bytes());
    crc.update(record);
    i64::from(crc.finalize())
}

/// A row of `revisions` whose checksum is verified.
#[derive(Debug)]
pub(crate) struct Revision {
    pub(crate) object: Arc<Object>,
    pub(crate) prev: Option<u64>,
    pub(crate) deleted: bool,
    pub(crate) time: i64,
}

/// The columns that [`Revision::read`] expects.
pub(crate) const REVISION_COLUMNS: &str = "revision, key, prev, deleted, time, crc, body";
/// The columns that [`read_record`] expects.
pub(crate) const RECORD_COLUMNS: &str = "seq, time, crc, record";

impl Revision {
    pub(crate) fn read(row: &Row<'_>) -> Result<Self, ReadError> {
        let revision = row.get::<_, i64>(0).map_err(ReadError::from_sqlite)?.cast_unsigned();
        let damaged = || ReadError::missing_revision(revision);
        let key = row.get_ref(1).ok().and_then(|value| value.as_str().ok()).ok_or_else(damaged)?;
        let body = row.get_ref(6).ok().and_then(|value| value.as_blob().ok());
        let body = body.ok_or_else(damaged)?;
        let prev: Option<i64> = row.get(2).map_err(ReadError::from_sqlite)?;
        let deleted: bool = row.get(3).map_err(ReadError::from_sqlite)?;
        let time: i64 = row.get(4).map_err(ReadError::from_sqlite)?;
        let crc: i64 = row.get(5).map_err(ReadError::from_sqlite)?;
        if crc != revision_crc(revision, key, prev, deleted, time, body) {
            return Err(damaged());
        }
        let body = Bytes::copy_from_slice(body);
        let object = Arc::new(Object { key: Arc::from(key), revision, body });
        Ok(Self { object, prev: prev.map(i64::cast_unsigned), deleted, time })
    }
}

/// A row of `journal` that borrows from SQLite: sequence number, time and bytes.
pub(crate) type RecordRow<'r> = (u64, i64, &'r [u8]);

/// Read a row of `journal` and verify its checksum.
pub(crate) fn read_record<'r>(row: &'r Row<'_>) -> Result<RecordRow<'r>, ReadError> {
    let seq = row.get::<_, i64>(0).map_err(ReadError::from_sqlite)?.cast_unsigned();
    let damaged = || ReadError::Damaged { what: format!("journal record {seq}"), number: seq };
    let time: i64 = row.get(1).map_err(ReadError::from_sqlite)?;
    let crc: i64 = row.get(2).map_err(ReadError::from_sqlite)?;
    let record = row.get_ref(3).ok().and_then(|value| value.as_blob().ok()).ok_or_else(damaged)?;
    if crc != record_crc(seq, time, record) {
        return Err(damaged());
    }
    Ok((seq, time, record))
}

/// Read the chunks of a reader's checkpoint and verify each; `None` if the reader has none.
pub(crate) fn read_checkpoint(
    file: &Connection,
    reader: &str,
) -> Result<Option<Vec<Bytes>>, ReadError> {
    let query =
        "SELECT part, parts, seq, crc, chunk FROM checkpoints WHERE reader = ? ORDER BY part";
    let mut query = file.prepare(query).map_err(ReadError::from_sqlite)?;
    let mut rows = query.query([reader]).map_err(ReadError::from_sqlite)?;
    let (mut chunks, mut next) = (Vec::new(), 0_u32);
    let mut expected = None;
    while let Some(row) = rows.next().map_err(ReadError::from_sqlite)? {
        let part: u32 = row.get(0).map_err(ReadError::from_sqlite)?;
        let parts: u32 = row.get(1).map_err(ReadError::from_sqlite)?;
        let seq = row.get::<_, i64>(2).map_err(ReadError::from_sqlite)?.cast_unsigned();
        let crc: i64 = row.get(3).map_err(ReadError::from_sqlite)?;
        let chunk = row.get_ref(4).ok().and_then(|value| value.as_blob().ok());
        let is_next = part == next && *expected.get_or_insert((parts, seq)) == (parts, seq);
        let chunk = chunk
            .filter(|chunk| is_next && crc == checkpoint_crc(reader, part, parts, seq, chunk))
            .ok_or_else(|| damaged_checkpoint(reader, seq))?;
        chunks.push(Bytes::copy_from_slice(chunk));
        next += 1;
    }
    match expected {
        Some((parts, seq)) if parts != next => Err(damaged_checkpoint(reader, seq)),
        Some(_) => Ok(Some(chunks)),
        None => Ok(None),
    }
}

fn damaged_checkpoint(reader: &str, seq: u64) -> ReadError {
    ReadError::Damaged { what: format!("the checkpoint of {reader:?}"), number: seq }
}
