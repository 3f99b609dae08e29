//! Reads data that is not cached in memory from the database file, over a read-only connection.
//!
//! Each read is bounded and ends its transaction, so that it never delays a checkpoint for long.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use crate::journal::{Direction, Record, RecordBatch};
use crate::settings::READ_OBJECTS_MAX;
use crate::statements::{RECORD_COLUMNS, REVISION_COLUMNS, RecordRow, Revision, read_record};
use crate::{Change, ChangeKind, Object, ReadError};

/// SQLite's busy timeout of a read, in milliseconds: the file is locked while it is recovered.
const BUSY_MS: u64 = 2_000;
/// Size of SQLite's page cache, in KiB. The journal is read sequentially, so pages are reused only
/// shortly after they are read. A cache of this size fits in the processor's cache; SQLite's default
/// of 2 MiB does not.
const CACHE_KIB: i64 = 256;

/// The read connection, opened on first use.
#[derive(Debug)]
pub(crate) struct ReadConnection {
    path: PathBuf,
    file: Mutex<Option<Connection>>,
}

impl ReadConnection {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, file: Mutex::new(None) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Closes the connection, because the file is being reopened or closed. The next read opens a new
    /// one.
    pub(crate) fn close(&self) {
        drop(self.file.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Runs `read` on the connection, and opens it first if it is not open.
    pub(crate) fn with<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let mut guard = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match guard.take() {
            Some(file) => file,
            None => self.open().map_err(ReadError::from_sqlite)?,
        };
        let result = read(&file);
        // The file may have been replaced: the next read opens it again.
        if !matches!(result, Err(ReadError::Unavailable { .. })) {
            *guard = Some(file);
        }
        result
    }

    fn open(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let file = Connection::open_with_flags(&self.path, flags)?;
        file.busy_timeout(std::time::Duration::from_millis(BUSY_MS))?;
        file.pragma_update(None, "query_only", true)?;
        // In SQLite, a negative number is a size in KiB.
        file.pragma_update(None, "cache_size", -CACHE_KIB)?;
        Ok(file)
    }

    /// The object states that these revisions wrote; `None` for a revision that is no longer in the
    /// file. The list ends early after the object whose body brings the total to `bytes_max`.
    pub(crate) fn objects(
        &self,
        revisions: &[u64],
        bytes_max: usize,
    ) -> Result<Vec<Option<Arc<Object>>>, ReadError> {
        let (mut states, mut bytes_left) = (Vec::new(), bytes_max);
        for chunk in revisions.chunks(READ_OBJECTS_MAX) {
            let mut read = self.with(|file| objects(file, chunk, bytes_left))?;
            let is_truncated = read.len() < chunk.len();
            let bytes: usize = read.iter().flatten().map(|object| object.body.len()).sum();
            states.append(&mut read);
            bytes_left = bytes_left.saturating_sub(bytes);
            if is_truncated || bytes_left == 0 {
                break;
            }
        }
        Ok(states)
    }

    /// The changes of keys with this prefix, oldest first, from `after` (exclusive) to `up_to`
    /// (inclusive), and the revision up to which the result is complete.
    pub(crate) fn changes(
        &self,
        prefix: &str,
        after: u64,
        up_to: u64,
        (changes_max, bytes_max): (usize, usize),
    ) -> Result<(Vec<Change>, u64), ReadError> {
        self.with(|file| {
            let mut query = file
                .prepare(&format!(
                    "SELECT {REVISION_COLUMNS} FROM revisions
                     WHERE revision > ?1 AND revision <= ?2 AND substr(key, 1, length(?3)) = ?3
                     ORDER BY revision LIMIT ?4"
                ))
                .map_err(ReadError::from_sqlite)?;
            let bounds = params![
                after.cast_signed(),
                up_to.cast_signed(),
                prefix,
                i64::try_from(changes_max).unwrap_or(i64::MAX)
            ];
            let mut rows = query.query(bounds).map_err(ReadError::from_sqlite)?;
            let (mut changes, mut bytes) = (Vec::new(), 0);
            while bytes < bytes_max
                && let Some(row) = rows.next().map_err(ReadError::from_sqlite)?
            {
                let change = change(file, Revision::read(row)?)?;
                bytes += change.bytes();
                changes.push(change);
            }
            let is_truncated = changes.len() == changes_max || bytes >= bytes_max;
            let cut = changes.last().filter(|_| is_truncated);
            let complete_up_to = cut.map_or(up_to, |last| last.revision);
            Ok((changes, complete_up_to))
        })
    }

    /// Consecutive records from `first` on. A damaged or missing record ends the batch, or is an
    /// error if it is the first. `last` is the highest allocated sequence number.
    pub(crate) fn records(
        &self,
        first: u64,
        last: u64,
        rows_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Record>, ReadError> {
        self.with(|file| {
            let mut query = file
                .prepare(&format!(
                    "SELECT {RECORD_COLUMNS} FROM journal WHERE seq >= ? ORDER BY seq LIMIT ?"
                ))
                .map_err(ReadError::from_sqlite)?;
            let limit = i64::try_from(rows_max).unwrap_or(i64::MAX);
            let mut rows =
                query.query(params![first.cast_signed(), limit]).map_err(ReadError::from_sqlite)?;
            let mut buffer = RecordBuffer { bytes_max, ..RecordBuffer::default() };
            loop {
                let expected = first + buffer.entries.len() as u64;
                let row = rows.next().map_err(ReadError::from_sqlite)?;
                let record = row.map(read_record).transpose();
                match record.and_then(|record| in_order(record, expected, last)) {
                    Ok(Some((_, time, bytes))) if buffer.fits(bytes) => buffer.add(time, bytes),
                    Err(damage) if buffer.entries.is_empty() => return Err(damage),
                    Ok(_) | Err(_) => return Ok(buffer.finish(first)),
                }
            }
        })
    }
}

/// The readable records with these sequence numbers. Calls `damaged` with the number of each record
/// that exists but is damaged. The first record is returned even if it exceeds `bytes_max`.
pub(crate) fn read_ranges(
    file: &Connection,
    ranges: &[RangeInclusive<u64>],
    direction: Direction,
    bytes_max: usize,
    mut damaged: impl FnMut(u64),
) -> Result<RecordBatch, ReadError> {
    let order = match direction {
        Direction::Forward => "ASC",
        Direction::Backward => "DESC",
    };
    let query = format!(
        "SELECT {RECORD_COLUMNS} FROM journal WHERE seq BETWEEN ? AND ? ORDER BY seq {order}"
    );
    let mut query = file.prepare(&query).map_err(ReadError::from_sqlite)?;
    let (mut batch, mut bytes) = (RecordBatch::default(), 0_usize);
    for range in ranges {
        let bounds = [range.start().cast_signed(), range.end().cast_signed()];
        let mut rows = query.query(bounds).map_err(ReadError::from_sqlite)?;
        while let Some(row) = rows.next().map_err(ReadError::from_sqlite)? {
            let (seq, time, record) = match read_record(row) {
                Ok(record) => record,
                // Skip a damaged record and return the others.
                Err(ReadError::Damaged { number, .. }) => {
                    damaged(number);
                    continue;
                }
                Err(error) => return Err(error),
            };
            bytes = bytes.saturating_add(record.len());
            if bytes > bytes_max && !batch.records.is_empty() {
                batch.is_truncated = true;
                return Ok(batch);
            }
            batch.records.push(Record { seq, time, bytes: Bytes::copy_from_slice(record) });
        }
    }
    Ok(batch)
}

/// From this number of records on, memory is reserved in advance, so that a large batch is not
/// copied repeatedly while it grows.
const RESERVE_RECORDS: usize = 32;
/// The maximum number of bytes reserved in advance, even if the reader's limit is higher.
const RESERVE_BYTES_MAX: usize = 1 << 20;

/// Consecutive records in one buffer, which the returned records share.
#[derive(Default)]
struct RecordBuffer {
    bytes: Vec<u8>,
    bytes_max: usize,
    /// The time of each record, and the end of its bytes in the buffer.
    entries: Vec<(i64, usize)>,
}

impl RecordBuffer {
    /// Whether the record fits into `bytes_max`. The first record always does.
    fn fits(&self, record: &[u8]) -> bool {
        self.entries.is_empty() || self.bytes.len().saturating_add(record.len()) <= self.bytes_max
    }

    fn add(&mut self, time: i64, record: &[u8]) {
        if self.entries.len() == RESERVE_RECORDS {
            let reserved = self.bytes_max.min(RESERVE_BYTES_MAX);
            self.bytes.reserve(reserved.saturating_sub(self.bytes.len()));
        }
        self.bytes.extend_from_slice(record);
        self.entries.push((time, self.bytes.len()));
    }

    fn finish(self, first: u64) -> Vec<Record> {
        let mut rest = Bytes::from(self.bytes);
        let mut start = 0;
        let record = |(seq, (time, end)): (u64, (i64, usize))| {
            let bytes = rest.split_to(end - start);
            start = end;
            Record { seq, time, bytes }
        };
        (first..).zip(self.entries).map(record).collect()
    }
}

/// Checks the sequence number: a gap is an error, not the end of the journal.
fn in_order(
    record: Option<RecordRow<'_>>,
    expected: u64,
    last: u64,
) -> Result<Option<RecordRow<'_>>, ReadError> {
    match record {
        Some((seq, _, _)) if seq != expected => {
            Err(ReadError::Missing { first: expected, last: seq - 1 })
        }
        None if expected <= last => Err(ReadError::Missing { first: expected, last }),
        record => Ok(record),
    }
}

/// Builds the change that a revision made, with the previous state of the object.
pub(crate) fn change(file: &Connection, row: Revision) -> Result<Change, ReadError> {
    let Revision { object, prev, deleted, .. } = row;
    let kind = match (prev, deleted) {
        (_, true) => ChangeKind::Deleted,
        (Some(_), false) => ChangeKind::Updated,
        (None, false) => ChangeKind::Created,
    };
    let previous = objects(file, prev.as_slice(), usize::MAX)?.pop().flatten();
    Ok(Change { kind, revision: object.revision, object, previous })
}

/// As [`ReadConnection::objects`], in a single read.
pub(crate) fn objects(
    file: &Connection,
    revisions: &[u64],
    bytes_max: usize,
) -> Result<Vec<Option<Arc<Object>>>, ReadError> {
    if revisions.is_empty() {
        return Ok(Vec::new());
    }
    let query = format!("SELECT {REVISION_COLUMNS} FROM revisions WHERE revision = ?");
    let mut query = file.prepare(&query).map_err(ReadError::from_sqlite)?;
    let (mut objects, mut bytes) = (Vec::new(), 0_usize);
    for revision in revisions {
        let row = query.query_row([revision.cast_signed()], |row| Ok(Revision::read(row)));
        let object =
            row.optional().map_err(ReadError::from_sqlite)?.transpose()?.map(|row| row.object);
        bytes = bytes.saturating_add(object.as_ref().map_or(0, |object| object.body.len()));
        objects.push(object);
        if bytes >= bytes_max {
            break;
        }
    }
    Ok(objects)
}
