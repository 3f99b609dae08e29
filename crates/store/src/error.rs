//! The errors of the store: why a store was not opened, a read failed, or a transaction was not
//! committed.
//!
//! If an operator can fix the cause, the message says how. It does not repeat the message of the
//! source error.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use rusqlite::ErrorCode;

use crate::DiskUse;

/// Why a store was not opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The operating system denied an operation.
    #[error("cannot use {}: check that it exists and that this user may write to it", path.display())]
    Path {
        /// The file or directory.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file is not a store of this program.
    #[error("{} is not a store of this program: choose another directory", path.display())]
    Foreign {
        /// The path of the file.
        path: PathBuf,
    },
    /// A later version of this program wrote the file.
    #[error(
        "{} has layout {version}, this program knows layout {known}: use the newer program, or a backup",
        path.display()
    )]
    Newer {
        /// The path of the file.
        path: PathBuf,
        /// The schema version of the file.
        version: i64,
        /// The latest schema version that this program knows.
        known: i64,
    },
    /// The contents of the file differ from what was written.
    #[error("{} is damaged ({what}): keep a copy, then restore it from a backup", path.display())]
    Damaged {
        /// The path of the file.
        path: PathBuf,
        /// The damaged part of the file.
        what: String,
    },
    /// Another process has the file open.
    #[error("{} is in use by another server: stop that one, or choose another directory", path.display())]
    Locked {
        /// The path of the file.
        path: PathBuf,
    },
    /// SQLite failed to open the file.
    #[error("cannot open {}", path.display())]
    Sqlite {
        /// The path of the file.
        path: PathBuf,
        /// The error of SQLite.
        source: rusqlite::Error,
    },
}

/// Why a list, a watch or a read of the journal failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The revision was compacted, or was lost when an older copy of the file was restored.
    #[error("revision {revision} was compacted, the oldest is {oldest}")]
    Compacted {
        /// The requested revision.
        revision: u64,
        /// The oldest revision that can be read.
        oldest: u64,
    },
    /// The revision does not exist yet.
    #[error("revision {revision} is ahead of the newest, {current}")]
    TooLarge {
        /// The requested revision.
        revision: u64,
        /// The newest revision.
        current: u64,
    },
    /// The bytes on disk differ from those that were written.
    #[error("{what} is damaged on disk")]
    Damaged {
        /// The revision or record, in readable form.
        what: String,
        /// The number of the revision, or the sequence number of the record.
        number: u64,
    },
    /// Records that were written to the journal are no longer in it.
    #[error("the journal's records {first} to {last} are missing")]
    Missing {
        /// Sequence number of the first missing record.
        first: u64,
        /// Sequence number of the last missing record.
        last: u64,
    },
    /// The file cannot be read.
    #[error("cannot read the store: {reason}")]
    Unavailable {
        /// The text of the I/O or database error.
        reason: String,
    },
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
}

impl ReadError {
    /// The error for a revision whose row is missing or damaged.
    pub(crate) fn missing_revision(revision: u64) -> Self {
        Self::Damaged { what: format!("revision {revision}"), number: revision }
    }

    /// The error that callers get when SQLite fails to read.
    #[expect(clippy::needless_pass_by_value, reason = "map_err passes the error by value")]
    pub(crate) fn from_sqlite(error: rusqlite::Error) -> Self {
        Self::Unavailable { reason: error.to_string() }
    }
}

/// Why a transaction failed. Its changes were not published. After `NoSpace` and `Unavailable` the
/// transaction is in doubt: the check of the file can find that it was committed, with its record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file has reached its size limit, although retention removes what it may. With
    /// [`DiskUse::Removable`], retention has not caught up yet.
    #[error("the journal is full at {used} of {limit} bytes: {largest_use}")]
    Full {
        /// The largest use of the file.
        largest_use: DiskUse,
        /// The used bytes of the file.
        used: u64,
        /// The size limit in bytes.
        limit: u64,
    },
    /// The disk has no free space.
    #[error("no space is left on the disk of the store")]
    NoSpace,
    /// The disk failed. The file is reopened and checked before anything else is acknowledged.
    #[error("the store is unavailable: {reason}")]
    Unavailable {
        /// The text of the I/O or database error.
        reason: String,
    },
    /// The closure panicked. Its transaction is rolled back; others are not affected.
    #[error("the transaction panicked: {message}")]
    Panicked {
        /// The panic message.
        message: String,
    },
    /// The transaction used a revision that it did not allocate, or used one twice. It is rolled
    /// back.
    #[error("the transaction misused revision {revision}")]
    Misused {
        /// The misused revision.
        revision: u64,
    },
    /// The transaction moved the cursor of a reader that is not registered. It is rolled back.
    #[error("reader `{reader}` is not registered: register it before its cursor is moved")]
    Unregistered {
        /// The name of the reader.
        reader: String,
    },
    /// Another journal handle has registered the same reader in the meantime. The transaction is
    /// rolled back, and the caller must stop reading.
    #[error("reader `{reader}` was taken over by another task")]
    NotOwner {
        /// The name of the reader.
        reader: String,
    },
    /// The queue of the writer is full.
    #[error("too many requests wait for the store")]
    Busy,
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// The error that callers get when SQLite fails to write.
    pub(crate) fn from_sqlite(error: &rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::NoSpace,
            _ => Self::Unavailable { reason: error.to_string() },
        }
    }

    /// The time after which a retry can succeed; `None` if a retry cannot succeed.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy | Self::Full { largest_use: DiskUse::Removable, .. } => {
                Some(Duration::from_secs(1))
            }
            Self::NoSpace | Self::Unavailable { .. } => Some(Duration::from_secs(5)),
            Self::Full { .. } => Some(Duration::from_secs(30)),
            Self::Panicked { .. }
            | Self::Misused { .. }
            | Self::Unregistered { .. }
            | Self::NotOwner { .. }
            | Self::Closed => None,
        }
    }
}
