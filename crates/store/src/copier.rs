//! A second pair of hands at the write-ahead log: copies it into the file while the writer goes on.
//!
//! A checkpoint flushes pages for many milliseconds. Made by the writer it would hold up everybody who
//! comes next; SQLite lets another connection make it while the log is being appended to. The log only
//! begins anew when nothing of it is left to copy, so the last few pages, appended meanwhile, are the
//! writer's own to copy.
//!
//! It opens the file for each copy and lets go of it: whoever recovers the file need not ask for it.

use std::io;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, SyncSender, TryRecvError};
use std::thread;

use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, ErrorCode};

use crate::file;
use crate::settings::{CHECKPOINT_PAGES, CHECKPOINT_PAGES_MAX, CHECKPOINT_REST};

/// The thread that copies, as the writer sees it. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Copier {
    orders: SyncSender<()>,
    results: Receiver<rusqlite::Result<()>>,
    at_work: bool,
    /// Pages of log at which the writer looks again.
    due: i32,
}

impl Copier {
    /// Start the thread.
    pub(crate) fn start(path: &Path) -> io::Result<Self> {
        let path = path.to_owned();
        let (orders, inbox) = mpsc::sync_channel(1);
        let (outbox, results) = mpsc::sync_channel(1);
        let run = move || copy_on_order(&path, &inbox, &outbox);
        thread::Builder::new().name("store-copier".into()).spawn(run)?;
        Ok(Self { orders, results, at_work: false, due: CHECKPOINT_PAGES })
    }

    /// See to it that a log that has grown long is copied: behind the answers, so that nobody waits but
    /// who comes next, and that not for long. An error is an error of the file, as any other.
    pub(crate) fn attend(&mut self, file: &Connection) -> rusqlite::Result<()> {
        if self.is_at_work()? && length(file)?.0 < CHECKPOINT_PAGES_MAX {
            return Ok(());
        }
        // Longer than that it must not become, so now the writer waits.
        self.rest()?;
        let (pages, copied) = length(file)?;
        if pages < CHECKPOINT_PAGES {
            self.due = CHECKPOINT_PAGES;
        }
        if pages < self.due {
            return Ok(());
        }
        if pages - copied > CHECKPOINT_REST && pages < CHECKPOINT_PAGES_MAX {
            self.at_work = self.orders.try_send(()).is_ok();
            return Ok(());
        }
        // A reader can keep the log from beginning anew: then not at every commit.
        self.due = pages + CHECKPOINT_REST;
        copy(file)
    }

    /// Wait until nothing is being copied.
    pub(crate) fn rest(&mut self) -> rusqlite::Result<()> {
        if !std::mem::take(&mut self.at_work) {
            return Ok(());
        }
        // It is gone only if it panicked, and then it copies nothing.
        self.results.recv().unwrap_or(Ok(()))
    }

    fn is_at_work(&mut self) -> rusqlite::Result<bool> {
        if self.at_work {
            match self.results.try_recv() {
                Ok(result) => {
                    self.at_work = false;
                    result?;
                }
                Err(TryRecvError::Disconnected) => self.at_work = false,
                Err(TryRecvError::Empty) => {}
            }
        }
        Ok(self.at_work)
    }
}

fn copy_on_order(path: &Path, orders: &Receiver<()>, results: &SyncSender<rusqlite::Result<()>>) {
    while orders.recv().is_ok() {
        let result = file::connect(path).and_then(|file| copy(&file));
        if results.send(result).is_err() {
            return;
        }
    }
}

/// Pages in the log, and how many of them are in the file already.
fn length(file: &Connection) -> rusqlite::Result<(i32, i32)> {
    file.wal_checkpoint_v2(None::<&str>, CheckpointMode::NOOP)
}

/// Copy what is in the log, as far as no reader needs the file as it is.
fn copy(file: &Connection) -> rusqlite::Result<()> {
    match file.wal_checkpoint_v2(None::<&str>, CheckpointMode::PASSIVE) {
        // Another program that looks into the file is copying it right now.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(()),
        result => result.map(drop),
    }
}
