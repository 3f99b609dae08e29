//! Recovery after a failed commit: close the file, and use it again only after a check.
//!
//! Linux reports a failed write-back once and then forgets it, so a connection that saw one is
//! never trusted again. The contents of the file after reopening are authoritative: a failed
//! transaction may have reached the disk after all, and is published then, with its record.

use std::time::Duration;

use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, ErrorCode, params};

use crate::clock::monotonic;
use crate::handle::Command;
use crate::settings::REOPEN_PERIOD;
use crate::shared::CommittedBatch;
use crate::writer::retention::Retention;
use crate::writer::{Writer, reject};
use crate::{OpenError, ReadError, StoreError, load, open};

/// The size of a trial write: large enough to prove that there is free space again.
const PROBE_BYTES: usize = 256 << 10;

/// Why a file was not reopened.
#[derive(Debug, thiserror::Error)]
enum ReopenError {
    #[error("the file cannot be opened")]
    Open(#[source] OpenError),
    #[error("the file cannot be written")]
    Write(#[source] rusqlite::Error),
    #[error("the file cannot be read")]
    Read(#[source] ReadError),
    #[error("another program has the write-ahead log open")]
    InUse,
    #[error("acknowledged records are gone: revision {revision} and record {seq} are the last")]
    Truncated { revision: u64, seq: u64 },
}

impl ReopenError {
    fn to_store_error(&self) -> StoreError {
        match self {
            Self::Write(error) => StoreError::from_sqlite(error),
            Self::Open(error) => StoreError::Unavailable { reason: error.to_string() },
            Self::Read(error) => StoreError::Unavailable { reason: error.to_string() },
            Self::InUse | Self::Truncated { .. } => {
                StoreError::Unavailable { reason: self.to_string() }
            }
        }
    }
}

impl Writer {
    /// Retry once a second until the file is sound; `None` if the store is closed in the meantime.
    pub(crate) fn recover(&mut self, error: &rusqlite::Error) -> Option<Connection> {
        let mut reason = StoreError::from_sqlite(error);
        self.shared.read_connection.close();
        loop {
            self.shared.health.set_rejection(Some(reason.clone()));
            if self.reject_for(REOPEN_PERIOD, &reason) == Interrupt::Close {
                return None;
            }
            match self.reopen() {
                Ok(file) => {
                    tracing::info!("the store's file is sound again");
                    self.shared.health.set_rejection(None);
                    return Some(file);
                }
                Err(error) => {
                    tracing::warn!(%error, "the store's file cannot be used yet");
                    reason = error.to_store_error();
                }
            }
        }
    }

    /// Reject incoming requests for `period`.
    fn reject_for(&mut self, period: Duration, reason: &StoreError) -> Interrupt {
        let end = monotonic() + period;
        loop {
            let left = end.saturating_duration_since(monotonic());
            match self.inbox.recv_timeout(left) {
                Ok(Command::Close) => return Interrupt::Close,
                Ok(command) => {
                    if !matches!(command, Command::Wake | Command::FlushCursors(_)) {
                        self.shared.health.count_rejected(1);
                    }
                    reject(command, reason);
                }
                Err(_) if left.is_zero() => return Interrupt::TimedOut,
                Err(_) => {}
            }
        }
    }

    fn reopen(&mut self) -> Result<Connection, ReopenError> {
        if !open::inspect(&self.path).map_err(ReopenError::Open)? {
            return Err(ReopenError::Truncated { revision: 0, seq: 0 });
        }
        let file = open::connect(&self.path).map_err(ReopenError::Write)?;
        let busy = checkpoint(&file).map_err(ReopenError::Write)?;
        if busy {
            return Err(ReopenError::InUse);
        }
        let seq = load::last_seq(&file).map_err(ReopenError::Read)?;
        let revision = load::last_revision(&file).map_err(ReopenError::Read)?;
        if seq < self.shared.last_seq() || revision < self.shared.index().revision() {
            return Err(ReopenError::Truncated { revision, seq });
        }
        probe(&file).map_err(ReopenError::Write)?;
        self.publish_recovered(&file, seq).map_err(ReopenError::Read)?;
        Ok(file)
    }

    /// Publish changes and records of the file that were never acknowledged.
    fn publish_recovered(&mut self, file: &Connection, last_seq: u64) -> Result<(), ReadError> {
        let known = self.shared.index().revision();
        let changes = load::changes_after(file, known)?;
        for (change, time) in changes {
            self.next_revision = self.next_revision.max(change.revision + 1);
            let changes = vec![change];
            self.shared.publish(CommittedBatch { changes, time, ..CommittedBatch::default() });
        }
        if last_seq > self.shared.last_seq() {
            self.shared.announce_recovered(last_seq);
        }
        self.shared.cursors().reload(load::cursors(file)?);
        self.next_seq = last_seq + 1;
        self.shared.set_first_seq(load::first_seq(file)?);
        self.retention = Retention::new(load::page_size(file)?);
        Ok(())
    }
}

/// Why the writer stopped rejecting commands during an outage.
#[derive(PartialEq, Eq)]
enum Interrupt {
    TimedOut,
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
