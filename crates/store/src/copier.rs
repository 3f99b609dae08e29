//! The checkpointer: a thread that copies the write-ahead log into the file while the writer
//! continues.
//!
//! A checkpoint flushes pages for many milliseconds and would delay all following requests if the
//! writer made it. SQLite lets another connection checkpoint while the log is appended to. The log
//! restarts only when no page of it is left to copy, so the writer itself copies the last few
//! pages, which were appended meanwhile.
//!
//! The thread opens the file for each checkpoint and closes it afterwards, so recovery need not
//! wait for it to release the file.

use std::io;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, SyncSender, TryRecvError};
use std::thread;

use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, ErrorCode};

use crate::file;
use crate::settings::{CHECKPOINT_PAGES, CHECKPOINT_PAGES_MAX, CHECKPOINT_REST};

/// The writer's handle to the checkpointer thread. The thread ends when the handle is dropped.
#[derive(Debug)]
pub(crate) struct Copier {
    orders: SyncSender<()>,
    results: Receiver<rusqlite::Result<()>>,
    at_work: bool,
    /// The length of the log, in pages, at which the writer checks it again.
    due: i32,
}

impl Copier {
    /// Start the checkpointer thread for the file at `path`.
    pub(crate) fn start(path: &Path) -> io::Result<Self> {
        let path = path.to_owned();
        let (orders, inbox) = mpsc::sync_channel(1);
        let (outbox, results) = mpsc::sync_channel(1);
        let run = move || copy_on_order(&path, &inbox, &outbox);
        thread::Builder::new().name("store-copier".into()).spawn(run)?;
        Ok(Self { orders, results, at_work: false, due: CHECKPOINT_PAGES })
    }

    /// Start a checkpoint if the log has grown long. The writer calls this after it has answered,
    /// so only the next requests can be delayed, and only briefly. An error is an error of the
    /// file, like any other.
    pub(crate) fn attend(&mut self, file: &Connection) -> rusqlite::Result<()> {
        if self.is_at_work()? && length(file)?.0 < CHECKPOINT_PAGES_MAX {
            return Ok(());
        }
        // The log must not grow beyond its limit, so the writer waits for the checkpoint.
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
        // A reader can prevent the log from restarting. Do not retry at every commit then.
        self.due = pages + CHECKPOINT_REST;
        copy(file)
    }

    /// Wait until no checkpoint is running.
    pub(crate) fn rest(&mut self) -> rusqlite::Result<()> {
        if !std::mem::take(&mut self.at_work) {
            return Ok(());
        }
        // The channel is closed only if the thread panicked, and then it copies nothing.
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

/// The number of pages in the log, and how many of them are already in the file.
fn length(file: &Connection) -> rusqlite::Result<(i32, i32)> {
    file.wal_checkpoint_v2(None::<&str>, CheckpointMode::NOOP)
}

/// Checkpoint the log as far as no reader still needs the old pages of the file.
fn copy(file: &Connection) -> rusqlite::Result<()> {
    match file.wal_checkpoint_v2(None::<&str>, CheckpointMode::PASSIVE) {
        // Another program that has the file open is running a checkpoint right now.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(()),
        result => result.map(drop),
    }
}
