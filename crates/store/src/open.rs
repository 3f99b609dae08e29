//! Opens the file, which must be a store of this program, undamaged, of a known schema version,
//! and locked by no other process.
//!
//! All other files are rejected before anything is changed, with an error that names the remedy.
//! Nothing is repaired here.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, params};

use crate::OpenError;
use crate::lock_file::LockFile;
use crate::settings::{CHECK_WHOLE_BYTES_MAX, PAGE_SIZE};
use crate::statements::{APPLICATION_ID, MIGRATIONS, PUT_META, SCHEMA, SCHEMA_VERSION, named_crc};

/// The length of SQLite's file header, in bytes.
const HEADER_LEN: usize = 100;
/// The first bytes of SQLite's header.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// Timeout for another program that has locked the file.
const BUSY: Duration = Duration::from_secs(2);

/// Lock the file for this process, and create it if it does not exist. The lock is held as long as
/// the returned value.
pub(crate) fn lock_or_create(path: &Path, now: i64) -> Result<LockFile, OpenError> {
    let directory = directory(path);
    let io_error = |path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Path { path, source }
    };
    let builder = &mut DirBuilder::new();
    builder.recursive(true).mode(0o700).create(directory).map_err(io_error(directory))?;
    inspect(path)?;
    let lock_path = sibling(path, ".lock");
    let mut options = OpenOptions::new();
    let options = options.create(true).truncate(false).read(true).write(true).mode(0o600);
    let lock = options.open(&lock_path).map_err(io_error(&lock_path))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(OpenError::Locked { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => return Err(io_error(&lock_path)(source)),
    }
    if !inspect(path)? {
        create(path, directory, now)?;
    }
    Ok(LockFile::new(lock))
}

/// Check the header without SQLite, which would create files next to the database. Returns whether
/// the file exists.
pub(crate) fn inspect(path: &Path) -> Result<bool, OpenError> {
    let damaged = |what: &str| OpenError::Damaged { path: path.to_owned(), what: what.to_owned() };
    let failed = |source| OpenError::Path { path: path.to_owned(), source };
    let wal_len = fs::metadata(sibling(path, "-wal")).map_or(0, |wal| wal.len());
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound && wal_len > 0 => {
            return Err(damaged("it is missing, but its write-ahead log exists"));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed(error)),
    };
    let len = file.metadata().map_err(failed)?.len();
    let mut header = [0; HEADER_LEN];
    match file.read_exact(&mut header) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(damaged(if len == 0 { "it is empty" } else { "it is cut off" }));
        }
        Err(error) => return Err(failed(error)),
    }
    let number = |at: usize| {
        let bytes = header.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        i64::from(u32::from_be_bytes(bytes.unwrap_or_default()))
    };
    if !header.starts_with(MAGIC) || number(68) != i64::from(APPLICATION_ID) {
        return Err(OpenError::Foreign { path: path.to_owned() });
    }
    check_version(path, number(60))?;
    let page_size = match number(16) >> 16 {
        1 => 65_536,
        size => size.cast_unsigned(),
    };
    // With a write-ahead log, the file may be shorter than its header says.
    if wal_len == 0 && len < number(28).cast_unsigned() * page_size {
        return Err(damaged("it is cut off"));
    }
    Ok(true)
}

/// Reject a schema version that this program does not know.
fn check_version(path: &Path, version: i64) -> Result<(), OpenError> {
    let known = i64::from(SCHEMA_VERSION);
    if (1..=known).contains(&version) {
        return Ok(());
    }
    Err(OpenError::Newer { path: path.to_owned(), version, known })
}

/// Create an empty store under a temporary name, and rename it once it is complete and on disk.
fn create(path: &Path, directory: &Path, now: i64) -> Result<(), OpenError> {
    let temporary = sibling(path, ".new");
    let failed = |source| OpenError::Path { path: temporary.clone(), source };
    for leftover in [temporary.clone(), sibling(&temporary, "-wal"), sibling(&temporary, "-shm")] {
        match fs::remove_file(&leftover) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            Ok(()) | Err(_) => {}
        }
    }
    let mut options = OpenOptions::new();
    options.create_new(true).write(true).mode(0o600).open(&temporary).map_err(failed)?;
    create_schema(&temporary, now)
        .map_err(|source| OpenError::Sqlite { path: temporary.clone(), source })?;
    File::open(&temporary).and_then(|file| file.sync_all()).map_err(failed)?;
    fs::rename(&temporary, path).map_err(failed)?;
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)
}

/// Create the tables of an empty file.
fn create_schema(path: &Path, now: i64) -> rusqlite::Result<()> {
    let file = Connection::open(path)?;
    file.pragma_update(None, "page_size", PAGE_SIZE)?;
    // The whole file is flushed once, before it is renamed.
    file.pragma_update(None, "synchronous", "OFF")?;
    file.execute_batch("BEGIN")?;
    file.pragma_update(None, "application_id", APPLICATION_ID)?;
    file.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    file.execute_batch(SCHEMA)?;
    MIGRATIONS.iter().try_for_each(|migration| file.execute_batch(migration))?;
    // Kubernetes reads revision 0 as "any", so the first readable revision is the time of creation.
    let first_revision = now.max(1);
    for name in ["first", "floor"] {
        let crc = named_crc(name, first_revision.cast_unsigned(), "");
        file.execute(PUT_META, params![name, first_revision, crc])?;
    }
    file.execute_batch("COMMIT")?;
    file.pragma_update(None, "journal_mode", "wal")?;
    file.close().map_err(|(_file, error)| error)
}

/// Open the file for durable writes. It must have been checked by [`inspect`].
pub(crate) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let file = Connection::open_with_flags(path, flags)?;
    file.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    file.busy_timeout(BUSY)?;
    file.pragma_update(None, "synchronous", "FULL")?;
    // The writer makes checkpoints, after it has answered the requests.
    file.pragma_update(None, "wal_autocheckpoint", 0)?;
    file.pragma_update(None, "temp_store", "MEMORY")?;
    file.pragma_update(None, "trusted_schema", false)?;
    Ok(file)
}

/// Open a locked file and check it. On an error, no new files are left behind.
pub(crate) fn open_checked(path: &Path) -> Result<Connection, OpenError> {
    let sidecar = [sibling(path, "-wal"), sibling(path, "-shm")];
    let new: Vec<PathBuf> = sidecar.into_iter().filter(|sidecar| !sidecar.exists()).collect();
    let opened = connect(path)
        .map_err(|source| OpenError::Sqlite { path: path.to_owned(), source })
        .and_then(|file| check(&file, path).and_then(|()| migrate(&file, path)).map(|()| file));
    if opened.is_err() {
        // They are empty: nothing was written, and a log that existed before is not among them.
        for sidecar in new {
            drop(fs::remove_file(sidecar));
        }
    }
    opened
}

/// Check the file with SQLite. Of large files, only the ends of the tables are checked.
fn check(file: &Connection, path: &Path) -> Result<(), OpenError> {
    let len = fs::metadata(path).map_or(0, |metadata| metadata.len());
    let damaged = |what: String| OpenError::Damaged { path: path.to_owned(), what };
    if len <= CHECK_WHOLE_BYTES_MAX {
        let verdict = file.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
        let verdict = verdict.map_err(|error| damaged(error.to_string()))?;
        return if verdict == "ok" { Ok(()) } else { Err(damaged(verdict)) };
    }
    let ends = "SELECT (SELECT count(*) FROM sqlite_schema), (SELECT count(*) FROM meta),
        (SELECT min(seq) + max(seq) FROM journal), (SELECT min(revision) + max(revision) FROM revisions)";
    file.query_row(ends, [], |_row| Ok(())).map_err(|error| damaged(error.to_string()))
}

/// Add the tables that a file of an older schema version lacks, in one transaction. Existing rows
/// do not change. Older programs reject the file from then on.
fn migrate(file: &Connection, path: &Path) -> Result<(), OpenError> {
    let failed = |source| OpenError::Sqlite { path: path.to_owned(), source };
    // The log may have a newer version than the file's header.
    let version = file.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0));
    let version = version.map_err(failed)?;
    check_version(path, version)?;
    let applied = usize::try_from(version - 1).unwrap_or_default();
    let missing = MIGRATIONS.get(applied..).unwrap_or_default();
    if missing.is_empty() {
        return Ok(());
    }
    let batch = format!(
        "BEGIN IMMEDIATE; {} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;",
        missing.concat()
    );
    file.execute_batch(&batch).map_err(failed)?;
    tracing::info!(from = version, to = SCHEMA_VERSION, "the store's file has a new layout");
    Ok(())
}

/// The directory of a file.
fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The path of a file in the same directory: the name of `path` with a suffix.
pub(crate) fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
