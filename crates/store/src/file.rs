//! Opening the file: ours, whole, of a version we know, and nobody else's at the moment.
//!
//! Whatever is not as it should be is refused before anything is changed, with words for whoever has
//! to act. Nothing is ever repaired here.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, params};

use crate::lock_file::LockFile;
use crate::rows::{APPLICATION_ID, MIGRATIONS, PUT_META, SCHEMA, SCHEMA_VERSION, named_crc};
use crate::settings::{CHECK_WHOLE_BYTES_MAX, PAGE_SIZE};

/// Why a store was not opened. Nothing has been changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The operating system said no.
    #[error("cannot use {}: check that it exists and that this user may write to it", path.display())]
    Path {
        /// File or directory.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Something else lies there.
    #[error("{} is not a store of this program: choose another directory", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A later version of this program wrote it.
    #[error(
        "{} has layout {found}, this program knows layout {known}: use the newer program, or a backup",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its layout.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// It is not what was written.
    #[error("{} is damaged ({what}): keep a copy, then restore it from a backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Another server has it open.
    #[error("{} is in use by another server: stop that one, or choose another directory", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// SQLite could not do it.
    #[error("cannot open {}", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: rusqlite::Error,
    },
}

/// The length of SQLite's file header.
const HEADER_LEN: usize = 100;
/// How SQLite's header begins.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// How long to wait for somebody who looks into the file with another tool.
const BUSY: Duration = Duration::from_secs(2);

/// Make sure that a sound file is there and ours alone. The lock is held as long as what it returns.
pub(crate) fn claim(path: &Path, now: i64) -> Result<LockFile, OpenError> {
    let directory = directory(path);
    let at = |at: &Path| {
        let path = at.to_owned();
        move |source| OpenError::Path { path, source }
    };
    let builder = &mut DirBuilder::new();
    builder.recursive(true).mode(0o700).create(directory).map_err(at(directory))?;
    inspect(path)?;
    let lock_path = beside(path, ".lock");
    let mut options = OpenOptions::new();
    let options = options.create(true).truncate(false).read(true).write(true).mode(0o600);
    let lock = options.open(&lock_path).map_err(at(&lock_path))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(OpenError::Locked { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => return Err(at(&lock_path)(source)),
    }
    if !inspect(path)? {
        create(path, directory, now)?;
    }
    Ok(LockFile::of(lock))
}

/// Look at the header by hand, before SQLite may leave anything beside the file. Whether it is there.
pub(crate) fn inspect(path: &Path) -> Result<bool, OpenError> {
    let damaged = |what: &str| OpenError::Damaged { path: path.to_owned(), what: what.to_owned() };
    let failed = |source| OpenError::Path { path: path.to_owned(), source };
    let wal_len = fs::metadata(beside(path, "-wal")).map_or(0, |wal| wal.len());
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound && wal_len > 0 => {
            return Err(damaged("it is missing, but its write-ahead log is there"));
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
    // With a log beside it, the file may lag behind its header.
    if wal_len == 0 && len < number(28).cast_unsigned() * page_size {
        return Err(damaged("it is cut off"));
    }
    Ok(true)
}

/// Refuse a layout that this program does not know.
fn check_version(path: &Path, found: i64) -> Result<(), OpenError> {
    let known = i64::from(SCHEMA_VERSION);
    if (1..=known).contains(&found) {
        return Ok(());
    }
    Err(OpenError::Newer { path: path.to_owned(), found, known })
}

/// Make an empty store under another name, and give it its own when it is complete and on disk.
fn create(path: &Path, directory: &Path, now: i64) -> Result<(), OpenError> {
    let draft = beside(path, ".new");
    let failed = |source| OpenError::Path { path: draft.clone(), source };
    for leftover in [draft.clone(), beside(&draft, "-wal"), beside(&draft, "-shm")] {
        match fs::remove_file(&leftover) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            Ok(()) | Err(_) => {}
        }
    }
    let mut options = OpenOptions::new();
    options.create_new(true).write(true).mode(0o600).open(&draft).map_err(failed)?;
    lay_out(&draft, now).map_err(|source| OpenError::Sqlite { path: draft.clone(), source })?;
    File::open(&draft).and_then(|file| file.sync_all()).map_err(failed)?;
    fs::rename(&draft, path).map_err(failed)?;
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)
}

fn lay_out(path: &Path, now: i64) -> rusqlite::Result<()> {
    let file = Connection::open(path)?;
    file.pragma_update(None, "page_size", PAGE_SIZE)?;
    // Flushed once, as a whole, before it gets its name.
    file.pragma_update(None, "synchronous", "OFF")?;
    file.execute_batch("BEGIN")?;
    file.pragma_update(None, "application_id", APPLICATION_ID)?;
    file.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    file.execute_batch(SCHEMA)?;
    MIGRATIONS.iter().try_for_each(|migration| file.execute_batch(migration))?;
    // Revision 0 means "any" to Kubernetes: the first one readable is the hour of birth.
    let birth = now.max(1);
    for name in ["first", "floor"] {
        let crc = named_crc(name, birth.cast_unsigned(), "");
        file.execute(PUT_META, params![name, birth, crc])?;
    }
    file.execute_batch("COMMIT")?;
    file.pragma_update(None, "journal_mode", "wal")?;
    file.close().map_err(|(_file, error)| error)
}

/// Open the file for writing, durably. It must have been inspected.
pub(crate) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let file = Connection::open_with_flags(path, flags)?;
    file.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    file.busy_timeout(BUSY)?;
    file.pragma_update(None, "synchronous", "FULL")?;
    // Checkpoints are made by the writer, behind the answers and with its eyes open.
    file.pragma_update(None, "wal_autocheckpoint", 0)?;
    file.pragma_update(None, "temp_store", "MEMORY")?;
    file.pragma_update(None, "trusted_schema", false)?;
    Ok(file)
}

/// Open a claimed file and make sure that it is sound. A refusal leaves nothing behind.
pub(crate) fn open_checked(path: &Path) -> Result<Connection, OpenError> {
    let extras = [beside(path, "-wal"), beside(path, "-shm")];
    let new: Vec<PathBuf> = extras.into_iter().filter(|extra| !extra.exists()).collect();
    let opened = connect(path)
        .map_err(|source| OpenError::Sqlite { path: path.to_owned(), source })
        .and_then(|file| check(&file, path).and_then(|()| migrate(&file, path)).map(|()| file));
    if opened.is_err() {
        // They are empty: nothing has been written, and a log that was there is not among them.
        for extra in new {
            drop(fs::remove_file(extra));
        }
    }
    opened
}

/// Whether SQLite finds the file in order. Large files are only looked at where it matters most.
fn check(file: &Connection, path: &Path) -> Result<(), OpenError> {
    let len = fs::metadata(path).map_or(0, |found| found.len());
    let damaged = |what: String| OpenError::Damaged { path: path.to_owned(), what };
    if len <= CHECK_WHOLE_BYTES_MAX {
        let verdict = file.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
        let verdict = verdict.map_err(|error| damaged(error.to_string()))?;
        return if verdict == "ok" { Ok(()) } else { Err(damaged(verdict)) };
    }
    let corners = "SELECT (SELECT count(*) FROM sqlite_schema), (SELECT count(*) FROM meta),
        (SELECT min(seq) + max(seq) FROM journal), (SELECT min(revision) + max(revision) FROM revisions)";
    file.query_row(corners, [], |_row| Ok(())).map_err(|error| damaged(error.to_string()))
}

/// Add the tables that a file of an older layout lacks, all of them or none. What is in the file stays
/// as it is; an older program refuses it from then on.
fn migrate(file: &Connection, path: &Path) -> Result<(), OpenError> {
    let failed = |source| OpenError::Sqlite { path: path.to_owned(), source };
    // The log may know more than the file's header.
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

/// The directory that a file lies in.
fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A file beside another, named after it.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
