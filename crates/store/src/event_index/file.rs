//! The file of the index: rows that are written once, each with a checksum.
//!
//! An invalid file is neither repaired nor reported as an error. It is deleted, because all of it
//! can be rebuilt from the journal.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

use super::builder::{BLOCKS, COLUMNS};
use super::{IndexError, LastRecord, Segment, Times};
use crate::open::sibling;

/// Identifies the file as an index of events (`KWix` in ASCII).
const APPLICATION_ID: i32 = 0x4b57_6978;
/// The layout of the tables, the columns and the hashes of terms. A file with another layout is
/// deleted.
const LAYOUT: i32 = 2;
/// SQLite's page cache, in KiB.
const CACHE_KIB: i64 = 256;

const SCHEMA: &str = "
    CREATE TABLE segments (
        segment INTEGER PRIMARY KEY, seq INTEGER NOT NULL, time INTEGER NOT NULL,
        record INTEGER NOT NULL, times BLOB NOT NULL, crc INTEGER NOT NULL) STRICT;
    CREATE TABLE columns (
        id INTEGER PRIMARY KEY, crc INTEGER NOT NULL, column BLOB NOT NULL) STRICT;
";

/// Open the index, or create an empty one if there is no usable file.
pub(super) fn open(path: &Path) -> Result<Connection, IndexError> {
    match connect(path) {
        Ok(Some(file)) => return Ok(file),
        Ok(None) => tracing::info!("the index of events has another layout; it is created again"),
        Err(error) if is_unusable(&error) => {
            tracing::warn!(%error, "the index of events is damaged; it is created again");
        }
        Err(error) => return Err(error.into()),
    }
    remove(path)?;
    connect(path)?.ok_or(IndexError::Layout)
}

/// Whether an error of SQLite means that the contents of the file are unusable.
pub(super) fn is_unusable(error: &rusqlite::Error) -> bool {
    use ErrorCode::{ApiMisuse, DatabaseCorrupt, NotADatabase, SchemaChanged, Unknown};
    matches!(
        error.sqlite_error_code(),
        None | Some(DatabaseCorrupt | NotADatabase | SchemaChanged | ApiMisuse | Unknown)
    )
}

/// Delete the file and its rollback journal.
pub(super) fn remove(path: &Path) -> Result<(), IndexError> {
    for path in [path.to_owned(), sibling(path, "-journal")] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(IndexError::Path { path, source: error });
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Open the file; `None` if it has another layout.
fn connect(path: &Path) -> rusqlite::Result<Option<Connection>> {
    // Only the owner may read the file: it contains data about users and objects, as the store
    // does.
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true).mode(0o600).open(path).ok();
    let file = Connection::open(path)?;
    // No other process uses the file, so it need not be shared.
    file.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    // New rows go to new pages, which this journal mode does not write twice.
    file.pragma_update(None, "journal_mode", "TRUNCATE")?;
    // What is lost in a power failure is detected and rebuilt.
    file.pragma_update(None, "synchronous", "OFF")?;
    // In SQLite, a negative number is a size in KiB.
    file.pragma_update(None, "cache_size", -CACHE_KIB)?;
    file.pragma_update(None, "trusted_schema", false)?;
    let number = |pragma: &str| file.query_row(pragma, [], |row| row.get::<_, i32>(0));
    match (number("PRAGMA application_id")?, number("PRAGMA user_version")?) {
        (APPLICATION_ID, LAYOUT) => {
            file.query_row("SELECT count(*) FROM columns WHERE id < 0", [], |_row| Ok(()))?;
            return Ok(Some(file));
        }
        (0, 0) => {}
        _ => return Ok(None),
    }
    let tables: i64 = file.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables > 0 {
        return Ok(None);
    }
    let mark_file =
        format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {LAYOUT};");
    file.execute_batch(&format!("BEGIN IMMEDIATE; {SCHEMA} {mark_file} COMMIT;"))?;
    Ok(Some(file))
}

/// Write a segment, replacing an existing one.
pub(super) fn put(file: &mut Connection, segment: &Segment) -> rusqlite::Result<()> {
    let Segment { number, last, times, columns } = segment;
    let transaction = file.transaction()?;
    {
        let mut insert = transaction.prepare("INSERT OR REPLACE INTO columns VALUES (?, ?, ?)")?;
        for (at, column) in columns.iter().enumerate() {
            let id = column_id(*number, at);
            insert.execute(params![id, column_crc(id, column), column])?;
        }
    }
    let times = times_bytes(times);
    let crc = segment_crc(*number, last, &times);
    let LastRecord { seq, time, crc: record } = *last;
    transaction.execute(
        "INSERT OR REPLACE INTO segments VALUES (?, ?, ?, ?, ?, ?)",
        params![number.cast_signed(), seq.cast_signed(), time, record, times, crc],
    )?;
    transaction.commit()
}

/// Delete the segments from `first` up to, but not including, `end`.
pub(super) fn delete(file: &mut Connection, first: u64, end: u64) -> rusqlite::Result<()> {
    let transaction = file.transaction()?;
    transaction.execute(
        "DELETE FROM segments WHERE segment >= ? AND segment < ?",
        [first.cast_signed(), end.cast_signed()],
    )?;
    transaction.execute(
        "DELETE FROM columns WHERE id >= ? AND id < ?",
        [column_id(first, 0), column_id(end, 0)],
    )?;
    transaction.commit()
}

/// The segments in the file whose checksums are valid.
pub(super) fn segments(file: &Connection) -> rusqlite::Result<Vec<(u64, LastRecord, Times)>> {
    let mut query = file.prepare("SELECT * FROM segments ORDER BY segment")?;
    let mut rows = query.query([])?;
    let mut segments = Vec::new();
    while let Some(row) = rows.next()? {
        let number = row.get::<_, i64>(0)?.cast_unsigned();
        let seq = row.get::<_, i64>(1)?.cast_unsigned();
        let last = LastRecord { seq, time: row.get(2)?, crc: row.get(3)? };
        let bytes: Vec<u8> = row.get(4)?;
        if row.get::<_, i64>(5)? != segment_crc(number, &last, &bytes) {
            continue;
        }
        if let Some(times) = times_of(&bytes) {
            let all = times
                .iter()
                .flatten()
                .copied()
                .reduce(|a, b| Times { first: a.first.min(b.first), last: a.last.max(b.last) });
            segments.push((number, last, all.unwrap_or(Times::NONE)));
        }
    }
    Ok(segments)
}

/// The times of a segment's blocks; `None` if they are missing or damaged.
pub(super) fn times(
    file: &Connection,
    segment: u64,
) -> rusqlite::Result<Option<[Option<Times>; BLOCKS]>> {
    let query = "SELECT seq, time, record, times, crc FROM segments WHERE segment = ?";
    let row = file.query_row(query, [segment.cast_signed()], |row| {
        let seq = row.get::<_, i64>(0)?.cast_unsigned();
        let last = LastRecord { seq, time: row.get(1)?, crc: row.get(2)? };
        Ok((last, row.get::<_, Vec<u8>>(3)?, row.get::<_, i64>(4)?))
    });
    let row = row.optional()?;
    let verified = row.filter(|(last, times, crc)| *crc == segment_crc(segment, last, times));
    Ok(verified.and_then(|(_, times, _)| times_of(&times)))
}

/// Apply `read` to a column; `None` if the column is missing or damaged.
pub(super) fn column<T>(
    file: &Connection,
    segment: u64,
    at: usize,
    read: impl FnOnce(&[u8]) -> Option<T>,
) -> rusqlite::Result<Option<T>> {
    let id = column_id(segment, at);
    let mut query = file.prepare("SELECT crc, column FROM columns WHERE id = ?")?;
    let mut rows = query.query([id])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let crc: i64 = row.get(0)?;
    let column = row.get_ref(1)?.as_blob().unwrap_or_default();
    Ok(if crc == column_crc(id, column) { read(column) } else { None })
}

fn column_id(segment: u64, at: usize) -> i64 {
    let columns = COLUMNS as u64;
    segment.saturating_mul(columns).saturating_add(at as u64).cast_signed()
}

fn times_bytes(times: &[Option<Times>; BLOCKS]) -> Vec<u8> {
    let times = times.iter().map(|times| times.unwrap_or(Times::NONE));
    times.flat_map(|Times { first, last }| [first, last]).flat_map(i64::to_le_bytes).collect()
}

fn times_of(bytes: &[u8]) -> Option<[Option<Times>; BLOCKS]> {
    let (numbers, _) = bytes.as_chunks::<8>();
    let mut times = [None; BLOCKS];
    for (at, block) in times.iter_mut().enumerate() {
        let [first, last] = [numbers.get(2 * at)?, numbers.get(2 * at + 1)?]
            .map(|bytes| i64::from_le_bytes(*bytes));
        *block = Some(Times { first, last }).filter(|times| *times != Times::NONE);
    }
    Some(times)
}

fn column_crc(id: i64, column: &[u8]) -> i64 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&id.to_le_bytes());
    crc.update(column);
    i64::from(crc.finalize())
}

fn segment_crc(number: u64, last: &LastRecord, times: &[u8]) -> i64 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&number.to_le_bytes());
    crc.update(&last.seq.to_le_bytes());
    crc.update(&last.time.to_le_bytes());
    crc.update(&last.crc.to_le_bytes());
    crc.update(times);
    i64::from(crc.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: Times = Times { first: 10, last: 20 };

    fn segment(number: u64) -> Segment {
        let mut times = [None; BLOCKS];
        times[3] = Some(TIMES);
        let last = LastRecord { seq: super::super::last_of(number), time: 5, crc: 7 };
        Segment { number, last, times, columns: vec![vec![b'x'; 5_000]; COLUMNS] }
    }

    fn is_there(file: &Connection, number: u64, at: usize) -> bool {
        column(file, number, at, |column| Some(column == vec![b'x'; 5_000])).unwrap() == Some(true)
    }

    #[test]
    fn damaged_rows_are_treated_as_missing() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = open(&folder.path().join("index")).unwrap();
        for number in 0..4 {
            put(&mut file, &segment(number)).unwrap();
        }
        assert_eq!(times(&file, 1).unwrap().unwrap()[3], Some(TIMES));
        assert!(is_there(&file, 1, 0));
        let damage = "UPDATE columns SET column = zeroblob(5000) WHERE id = 6;
            UPDATE columns SET id = 100 WHERE id = 7;
            UPDATE segments SET record = 8 WHERE segment = 2;
            UPDATE segments SET segment = 9 WHERE segment = 3;";
        file.execute_batch(damage).unwrap();
        assert_eq!([0, 1, 2].map(|at| is_there(&file, 1, at)), [false, false, true]);
        assert!(!is_there(&file, 16, 4), "a row under the ID of another one");
        assert_eq!(times(&file, 2).unwrap(), None);
        let stored = segments(&file).unwrap();
        assert_eq!(stored.iter().map(|(number, ..)| *number).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(stored[0].2, TIMES);
    }

    #[test]
    fn segments_are_deleted_with_their_columns() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = open(&folder.path().join("index")).unwrap();
        for number in 0..4 {
            put(&mut file, &segment(number)).unwrap();
        }
        delete(&mut file, 1, 3).unwrap();
        assert_eq!(
            [0, 1, 2, 3].map(|number| is_there(&file, number, 5)),
            [true, false, false, true]
        );
        assert_eq!(segments(&file).unwrap().len(), 2);
    }

    #[test]
    fn a_file_with_another_layout_or_content_is_created_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index");
        for mark in ["PRAGMA user_version = 99", "PRAGMA application_id = 1", "DROP TABLE columns"]
        {
            let mut file = open(&path).unwrap();
            put(&mut file, &segment(0)).unwrap();
            file.execute_batch(mark).unwrap();
            drop(file);
            assert!(segments(&open(&path).unwrap()).unwrap().is_empty(), "{mark}");
        }
    }
}
