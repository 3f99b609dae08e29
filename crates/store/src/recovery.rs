//! Recovery after a failed commit: close the file, and use it again only after a check.
//!
//! Linux reports a failed write-back once and then forgets it, so a connection that saw one is
//! never trusted again. The contents of the file after reopening are authoritative: a failed
//! transaction may have reached the disk after all, and is published then, with its record.

use std::time::Duration;

use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, ErrorCode, params};

use crate::handle::Request;
use crate::settings::REOPEN_PERIOD;
use crate::shared::Published;
use crate::upkeep::Upkeep;
use crate::writer::{Writer, monotonic, refuse};
use crate::{ReadError, StoreError, file, load};

/// The size of a trial write: large enough to prove that there is free space again.
const PROBE_BYTES: usize = 256 << 10;

/// The error that callers get when SQLite fails.
pub(crate) fn obstacle(error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::NoSpace,
        _ => StoreError::Unavailable { reason: error.to_string() },
    }
}

/// Why a file was not reopened.
#[derive(Debug, thiserror::Error)]
enum ReopenError {
    #[error("the file cannot be opened")]
    Open(#[source] file::OpenError),
    #[error("the file cannot be written")]
    Write(#[source] rusqlite::Error),
    #[error("the file cannot be read")]
    Read(#[source] ReadError),
    #[error("somebody holds the write-ahead log")]
    Held,
    #[error("acknowledged records are gone: revision {revision} and record {seq} are the last")]
    Lost { revision: u64, seq: u64 },
}

impl ReopenError {
    fn obstacle(&self) -> StoreError {
        match self {
            Self::Write(error) => obstacle(error),
            Self::Open(error) => StoreError::Unavailable { reason: error.to_string() },
            Self::Read(error) => StoreError::Unavailable { reason: error.to_string() },
            Self::Held | Self::Lost { .. } => StoreError::Unavailable { reason: self.to_string() },
        }
    }
}

impl Writer {
    /// Retry once a second until the file is sound; `None` if the store is closed before.
    pub(crate) fn recover(&mut self, error: &rusqlite::Error) -> Option<Connection> {
        let mut why = obstacle(error);
        self.shared.disk.close();
        loop {
            self.shared.pulse.set_obstacle(Some(why.clone()));
            if self.refuse_for(REOPEN_PERIOD, &why) == Wish::Close {
                return None;
            }
            match self.reopen() {
                Ok(file) => {
                    tracing::info!("the store's file is sound again");
                    self.shared.pulse.set_obstacle(None);
                    return Some(file);
                }
                Err(error) => {
                    tracing::warn!(%error, "the store's file cannot be used yet");
                    why = error.obstacle();
                }
            }
        }
    }

    /// Reject incoming requests for `period`.
    fn refuse_for(&mut self, period: Duration, why: &StoreError) -> Wish {
        let end = monotonic() + period;
        loop {
            let left = end.saturating_duration_since(monotonic());
            match self.inbox.recv_timeout(left) {
                Ok(Request::Close) => return Wish::Close,
                Ok(request) => {
                    if !matches!(request, Request::Nudge | Request::Attend(_)) {
                        self.shared.pulse.count_refused(1);
                    }
                    refuse(request, why);
                }
                Err(_) if left.is_zero() => return Wish::GoOn,
                Err(_) => {}
            }
        }
    }

    fn reopen(&mut self) -> Result<Connection, ReopenError> {
        if !file::inspect(&self.path).map_err(ReopenError::Open)? {
            return Err(ReopenError::Lost { revision: 0, seq: 0 });
        }
        let file = file::connect(&self.path).map_err(ReopenError::Write)?;
        let busy = checkpoint(&file).map_err(ReopenError::Write)?;
        if busy {
            return Err(ReopenError::Held);
        }
        let seq = load::last_seq(&file).map_err(ReopenError::Read)?;
        let revision = load::last_revision(&file).map_err(ReopenError::Read)?;
        if seq < self.shared.last_seq() || revision < self.shared.index().revision() {
            return Err(ReopenError::Lost { revision, seq });
        }
        probe(&file).map_err(ReopenError::Write)?;
        self.adopt(&file, seq).map_err(ReopenError::Read)?;
        Ok(file)
    }

    /// Publish changes and records of the file that were never acknowledged.
    fn adopt(&mut self, file: &Connection, last_seq: u64) -> Result<(), ReadError> {
        let known = self.shared.index().revision();
        let changes = load::changes_after(file, known)?;
        for (change, time) in changes {
            self.next_revision = self.next_revision.max(change.revision + 1);
            let changes = vec![change];
            self.shared.publish(Published { changes, time, ..Published::default() });
        }
        if last_seq > self.shared.last_seq() {
            self.shared.adopt_records(last_seq);
        }
        self.shared.cursors().adopt(load::cursors(file)?);
        self.next_seq = last_seq + 1;
        self.shared.set_first_seq(load::first_seq(file)?);
        self.upkeep = Upkeep::new(page_size(file)?);
        Ok(())
    }
}

/// Whether a request to close the store arrived during an outage.
#[derive(PartialEq, Eq)]
enum Wish {
    GoOn,
    Close,
}

/// Checkpoint the log and truncate it. Returns whether another connection prevented that.
fn checkpoint(file: &Connection) -> rusqlite::Result<bool> {
    match file.wal_checkpoint_v2(None::<&str>, CheckpointMode::TRUNCATE) {
        Ok(_) => Ok(false),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Write a row, checkpoint it into the file, and delete it again. Its pages stay in the file as a
/// reserve.
fn probe(file: &Connection) -> rusqlite::Result<()> {
    file.execute("INSERT OR REPLACE INTO probe VALUES (1, ?)", params![vec![0_u8; PROBE_BYTES]])?;
    file.wal_checkpoint_v2(None::<&str>, CheckpointMode::TRUNCATE)?;
    file.execute("DELETE FROM probe", [])?;
    file.wal_checkpoint_v2(None::<&str>, CheckpointMode::TRUNCATE).map(drop)
}

/// The page size of the file. A file of an older version may have a different one.
pub(crate) fn page_size(file: &Connection) -> Result<u64, ReadError> {
    let size = file.query_row("PRAGMA page_size", [], |row| row.get::<_, i64>(0));
    size.map(i64::cast_unsigned).map_err(load::unreadable)
}
