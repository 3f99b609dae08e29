//! The writer thread: it collects waiting requests, runs them, commits them in one transaction,
//! publishes the result, and only then completes the requests.
//!
//! It never delays a commit to collect more requests; while one group is committed, the next one
//! queues up. After a failed commit it acknowledges nothing more on that connection (see
//! [`recovery`]).

pub(crate) mod checkpointer;
pub(crate) mod commit_group;
pub(crate) mod recovery;
pub(crate) mod retention;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::wal::CheckpointMode;

use crate::StoreError;
use crate::cursors::{CursorMove, CursorWrite};
use crate::handle::Command;
use crate::journal::Record;
use crate::lock_file::LockFile;
use crate::settings::{CURSOR_DELAY, GROUP_BYTES_MAX, GROUP_MAX, RETENTION_PERIOD};
use crate::shared::{CommittedBatch, Shared};
use crate::statements::Statements;
use crate::storage::Completion;
use crate::writer::checkpointer::Checkpointer;
use crate::writer::commit_group::CommitGroup;
use crate::writer::retention::{Retention, TrimPlan};

/// The state private to the writer. State that others may read is in [`Shared`].
pub(crate) struct Writer {
    pub(crate) path: PathBuf,
    pub(crate) shared: Arc<Shared>,
    pub(crate) inbox: Receiver<Command>,
    pub(crate) next_seq: u64,
    pub(crate) next_revision: u64,
    pub(crate) retention: Retention,
    pub(crate) checkpointer: Checkpointer,
    /// The lock on the file, held while the writer runs.
    pub(crate) lock: LockFile,
    /// The highest sequence number stored in the database outside the records.
    pub(crate) persisted_seq: u64,
}

/// Why the writer gave up a connection.
enum Stopped {
    Closed,
    Failed(rusqlite::Error),
}

/// The commands that the writer received while it collected a group.
#[derive(Default)]
struct Collected {
    /// No request arrived during the whole wait.
    is_idle: bool,
    is_closing: bool,
    /// A caller waits for cursors to be durable.
    must_flush_cursors: bool,
}

impl Writer {
    /// Run the writer until the store is closed.
    pub(crate) fn run(mut self, file: Connection) {
        let mut open = Some(file);
        while let Some(file) = open.take() {
            let stopped = self.run_on(&file);
            // Ignore the checkpointer's result: the writer's own error, or the next commit, tells
            // whether the file is sound.
            drop(self.checkpointer.wait());
            match stopped {
                Stopped::Closed => {
                    // Pages that this checkpoint does not copy stay in the log, and are copied by
                    // the next one.
                    drop(file.wal_checkpoint_v2(None::<&str>, CheckpointMode::TRUNCATE));
                    self.shared.read_connection.close();
                }
                Stopped::Failed(error) => {
                    self.shared.health.set_rejection(Some(StoreError::from_sqlite(&error)));
                    drop(file);
                    open = self.recover(&error);
                }
            }
        }
        self.shared.health.set_rejection(Some(StoreError::Closed));
        self.shared.close();
        for command in self.inbox.try_iter() {
            reject(command, &StoreError::Closed);
        }
    }

    /// Commit groups on one connection until the store is closed or the connection fails.
    fn run_on(&mut self, file: &Connection) -> Stopped {
        let mut statements = match Statements::prepare(file) {
            Ok(statements) => statements,
            Err(error) => return Stopped::Failed(error),
        };
        let mut wait = Duration::ZERO;
        loop {
            let shared = Arc::clone(&self.shared);
            let (index, cursors) = (&shared.index, &shared.cursors);
            let mut group =
                CommitGroup::new(index, cursors, file, self.next_seq, self.next_revision);
            let collected = self.collect(&mut group, wait);
            let written = self.commit(&mut statements, &mut group, &collected);
            if let Err(error) = written {
                return self.fail_group(group, error);
            }
            group.complete(None);
            if let Err(error) = self.checkpointer.checkpoint_if_due(file) {
                return Stopped::Failed(error);
            }
            if collected.is_closing {
                return Stopped::Closed;
            }
            wait = if self.retention.has_more() {
                Duration::ZERO
            } else if self.shared.cursors().is_announced {
                CURSOR_DELAY
            } else {
                RETENTION_PERIOD
            };
        }
    }

    /// Report the failure to all requests of the group, and reject later requests with the same
    /// reason.
    fn fail_group(&mut self, group: CommitGroup<'_>, error: rusqlite::Error) -> Stopped {
        let reason = StoreError::from_sqlite(&error);
        tracing::error!(%error, "a commit failed; nothing is acknowledged until the file is checked");
        self.shared.health.set_rejection(Some(reason.clone()));
        self.shared.health.count_rejected(group.completions.len() as u64);
        group.complete(Some(&reason));
        Stopped::Failed(error)
    }

    /// Receive the waiting commands and run their transactions.
    fn collect(&mut self, group: &mut CommitGroup<'_>, wait: Duration) -> Collected {
        let mut collected = Collected::default();
        let mut next = match self.inbox.recv_timeout(wait) {
            Ok(command) => Some(command),
            Err(RecvTimeoutError::Timeout) => {
                collected.is_idle = true;
                None
            }
            Err(RecvTimeoutError::Disconnected) => Some(Command::Close),
        };
        let rejection = self.shared.health.rejection();
        while let Some(command) = next.take() {
            match (command, &rejection) {
                (Command::Close, _) => {
                    collected.is_closing = true;
                    break;
                }
                (Command::Wake, _) => {}
                (Command::FlushCursors(completion), _) => {
                    collected.must_flush_cursors = true;
                    group.add_waiter(completion);
                }
                (
                    Command::TransactForReader(owner, function, completion),
                    None | Some(StoreError::Full { .. }),
                ) => group.run(Some(owner), function, completion),
                (Command::Transact(function, completion), None) => {
                    group.run(None, function, completion);
                }
                (command, Some(reason)) => {
                    self.shared.health.count_rejected(1);
                    reject(command, reason);
                }
                (Command::Append(record, completion), None) => group.append(record, completion),
            }
            if group.completions.len() < GROUP_MAX && group.bytes < GROUP_BYTES_MAX {
                next = self.inbox.try_recv().ok();
            }
        }
        collected
    }

    /// Commit and publish a group, together with moved cursors and due removals.
    fn commit(
        &mut self,
        statements: &mut Statements<'_>,
        group: &mut CommitGroup<'_>,
        collected: &Collected,
    ) -> rusqlite::Result<()> {
        let time = (self.shared.clock)();
        let mut cursor_moves = std::mem::take(&mut group.cursor_moves);
        let has_work =
            !group.changes.is_empty() || !group.records.is_empty() || !cursor_moves.is_empty();
        let plan = self.retention.plan(&self.shared, statements, time, group.records.len())?;
        // A moved cursor alone waits a short time, so that another commit can include it.
        let is_due =
            has_work || collected.is_idle || collected.must_flush_cursors || collected.is_closing;
        let mut moved = if is_due { self.shared.cursors().take_dirty() } else { Vec::new() };
        prefer_transaction_moves(&mut cursor_moves, &mut moved);
        let records = number_records(&group.records, self.next_seq, time);
        let last_seq = records.last().map_or(self.next_seq - 1, |last| last.seq);
        let has_time = plan.is_checked || collected.is_idle || collected.is_closing;
        let persists_seq = has_time && last_seq > self.persisted_seq;
        if !has_work && moved.is_empty() && plan.is_empty() && !persists_seq {
            return Ok(());
        }
        let written = statements.begin().and_then(|()| {
            group.changes.iter().try_for_each(|change| statements.insert_revision(change, time))?;
            records.iter().try_for_each(|record| statements.insert_record(record))?;
            if persists_seq {
                statements.set_highest_seq(last_seq)?;
            }
            statements.write_cursors(&moved)?;
            cursor_moves.iter().try_for_each(|moved| statements.move_cursor(moved))?;
            plan.write(statements)?;
            statements.commit()
        });
        if let Err(error) = written {
            // Return the first error and ignore that of the rollback: the connection is closed
            // anyway.
            drop(statements.rollback());
            return Err(error);
        }
        if last_seq >= self.next_seq {
            self.lock.set_highest_seq(last_seq);
        }
        if persists_seq {
            self.persisted_seq = last_seq;
        }
        self.shared.cursors().mark_durable(moved);
        for moved in cursor_moves {
            self.shared.cursors().commit_move(moved);
        }
        self.next_seq += records.len() as u64;
        self.next_revision = group.next_revision();
        self.shared.health.count_commit(records.len() as u64);
        if let Some(first) = records.first().filter(|_| self.shared.first_seq() == 0) {
            self.shared.set_first_seq(first.seq);
        }
        self.retention.after_commit(&plan, &self.shared, group.bytes);
        let TrimPlan { compacted, .. } = plan;
        let changes = std::mem::take(&mut group.changes);
        self.shared.publish(CommittedBatch { changes, records, compacted, time });
        Ok(())
    }
}

/// For each reader, keep the cursor that a transaction moved and drop the one moved outside of it.
/// A reader that is being removed gets no cursor.
fn prefer_transaction_moves(cursor_moves: &mut Vec<CursorMove>, moved: &mut Vec<CursorWrite>) {
    if cursor_moves.is_empty() {
        return;
    }
    let is_removed =
        |reader: &str| moved.iter().any(|(name, cursor)| name == reader && cursor.is_none());
    cursor_moves.retain(|moved| !is_removed(&moved.reader));
    moved.retain(|(name, _)| !cursor_moves.iter().any(|moved| moved.reader == *name));
}

/// Assign sequence numbers to records.
fn number_records(records: &[bytes::Bytes], first_seq: u64, time: i64) -> Vec<Record> {
    let numbered = (first_seq..).zip(records);
    numbered.map(|(seq, bytes)| Record { seq, time, bytes: bytes.clone() }).collect()
}

/// Complete a command with an error without running it.
pub(crate) fn reject(command: Command, reason: &StoreError) {
    let completion: Completion = match command {
        Command::Transact(_, completion)
        | Command::TransactForReader(_, _, completion)
        | Command::Append(_, completion)
        | Command::FlushCursors(completion) => completion,
        Command::Wake | Command::Close => return,
    };
    // Ignore a dropped receiver: the caller no longer waits.
    drop(completion.send(Err(reason.clone())));
}
