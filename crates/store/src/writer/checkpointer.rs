//! The checkpointer: a thread that copies the write-ahead log into the file while the writer
//! continues.
//!
//! A checkpoint flushes pages for many milliseconds and would delay all following requests if the
//! writer made it. SQLite lets another connection checkpoint while the log is appended to. The log
//! restarts only when no page of it is left to copy, so the writer itself copies the last few
//! pages, which were appended in the meantime.
//!
//! The thread opens the file for each checkpoint and closes it afterwards, so recovery need not
//! wait for it to release the file.

use std::io;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, SyncSender, TryRecvError};
use std::thread;

use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, ErrorCode};

use crate::open;
use crate::settings::{CHECKPOINT_PAGES, CHECKPOINT_PAGES_MAX, CHECKPOINT_REMAINDER_PAGES};

/// The writer's handle to the checkpointer thread. The thread ends when the handle is dropped.
#[derive(Debug)]
pub(crate) struct Checkpointer {
    requests: SyncSender<()>,
    results: Receiver<rusqlite::Result<()>>,
    is_running: bool,
    /// The length of the log, in pages, at which the writer checks it again.
    next_check_pages: i32,
}

impl Checkpointer {
    /// Start the checkpointer thread for the file at `path`.
    pub(crate) fn start(path: &Path) -> io::Result<Self> {
        let path = path.to_owned();
        let (requests, inbox) = mpsc::sync_channel(1);
        let (outbox, results) = mpsc::sync_channel(1);
        let run = move || run_requested(&path, &inbox, &outbox);
        thread::Builder::new().name("checkpointer".into()).spawn(run)?;
        Ok(Self { requests, results, is_running: false, next_check_pages: CHECKPOINT_PAGES })
    }

    /// Start a checkpoint if the log has grown long. The writer calls this after it has answered,
    /// so only the next requests can be delayed, and only briefly. An error is an error of the
    /// file, like any other.
    pub(crate) fn checkpoint_if_due(&mut self, file: &Connection) -> rusqlite::Result<()> {
        if self.poll()? && log_pages(file)?.0 < CHECKPOINT_PAGES_MAX {
            return Ok(());
        }
        // The log must not grow beyond its limit, so the writer waits for the checkpoint.
        self.wait()?;
        let (pages, copied) = log_pages(file)?;
        if pages < CHECKPOINT_PAGES {
            self.next_check_pages = CHECKPOINT_PAGES;
        }
        if pages < self.next_check_pages {
            return Ok(());
        }
        if pages - copied > CHECKPOINT_REMAINDER_PAGES && pages < CHECKPOINT_PAGES_MAX {
            self.is_running = self.requests.try_send(()).is_ok();
            return Ok(());
        }
        // A reader can prevent the log from restarting. Do not retry at every commit then.
        self.next_check_pages = pages + CHECKPOINT_REMAINDER_PAGES;
        checkpoint(file)
    }

    /// Wait until no checkpoint is running.
    pub(crate) fn wait(&mut self) -> rusqlite::Result<()> {
        if !std::mem::take(&mut self.is_running) {
            return Ok(());
        }
        // The channel is closed only if the thread panicked, and then it copies nothing.
        self.results.recv().unwrap_or(Ok(()))
    }

    /// Take the result of a finished checkpoint. Returns whether one is still running.
    fn poll(&mut self) -> rusqlite::Result<bool> {
        if self.is_running {
            match self.results.try_recv() {
                Ok(result) => {
                    self.is_running = false;
                    result?;
                }
                Err(TryRecvError::Disconnected) => self.is_running = false,
                Err(TryRecvError::Empty) => {}
            }
        }
        Ok(self.is_running)
    }
}

/// The loop of the thread: makes one checkpoint for each request.
fn run_requested(path: &Path, requests: &Receiver<()>, results: &SyncSender<rusqlite::Result<()>>) {
    while requests.recv().is_ok() {
        let result = open::connect(path).and_then(|file| checkpoint(&file));
        if results.send(result).is_err() {
            return;
        }
    }
}

/// The number of pages in the log, and how many of them are already in the file.
fn log_pages(file: &Connection) -> rusqlite::Result<(i32, i32)> {
    file.wal_checkpoint_v2(None::<&str>, CheckpointMode::NOOP)
}

/// Checkpoint the log as far as no reader still needs the old pages of the file.
fn checkpoint(file: &Connection) -> rusqlite::Result<()> {
    match file.wal_checkpoint_v2(None::<&str>, CheckpointMode::PASSIVE) {
        // Another program that has the file open is running a checkpoint right now.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(()),
        result => result.map(drop),
    }
}
