//! The writer thread: it collects waiting requests, runs them, commits them in one transaction,
//! publishes the result, and only then answers.
//!
//! It never delays a commit to collect more requests; while one group is committed, the next one
//! queues up. After a failed commit it acknowledges nothing more on that connection (see
//! `recovery`).

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::wal::CheckpointMode;

use crate::copier::Copier;
use crate::cursors::{CursorMove, Moved};
use crate::group::Group;
use crate::handle::Request;
use crate::journal::Record;
use crate::lock_file::LockFile;
use crate::rows::Rows;
use crate::settings::{CURSOR_DELAY, GROUP_BYTES_MAX, GROUP_MAX, UPKEEP_PERIOD};
use crate::shared::{Published, Shared};
use crate::storage::Answer;
use crate::upkeep::{Chores, Upkeep};
use crate::{StoreError, recovery};

/// The state private to the writer. State that others may read is in [`Shared`].
pub(crate) struct Writer {
    pub(crate) path: PathBuf,
    pub(crate) shared: Arc<Shared>,
    pub(crate) inbox: Receiver<Request>,
    pub(crate) next_seq: u64,
    pub(crate) next_revision: u64,
    pub(crate) upkeep: Upkeep,
    pub(crate) copier: Copier,
    /// The lock on the file, held while the writer runs.
    pub(crate) lock: LockFile,
    /// The highest sequence number stored in the database outside the records.
    pub(crate) kept_seq: u64,
}

/// Why the writer gave up a connection.
enum Ended {
    Closed,
    Failed(rusqlite::Error),
}

/// What the writer received while it collected a group.
#[derive(Default)]
struct Gathered {
    /// No request arrived during the whole wait.
    idle: bool,
    closing: bool,
    /// A caller waits for cursors to be durable.
    attended: bool,
}

impl Writer {
    /// Run the writer until the store is closed.
    pub(crate) fn run(mut self, file: Connection) {
        let mut open = Some(file);
        while let Some(file) = open.take() {
            let ended = self.serve(&file);
            // Ignore the checkpointer's result: the writer's own error, or the next commit, tells
            // whether the file is sound.
            drop(self.copier.rest());
            match ended {
                Ended::Closed => {
                    // Pages that this checkpoint does not copy stay in the log, and are copied by
                    // the next one.
                    drop(file.wal_checkpoint_v2(None::<&str>, CheckpointMode::TRUNCATE));
                    self.shared.disk.close();
                }
                Ended::Failed(error) => {
                    self.shared.pulse.set_obstacle(Some(recovery::obstacle(&error)));
                    drop(file);
                    open = self.recover(&error);
                }
            }
        }
        self.shared.pulse.set_obstacle(Some(StoreError::Closed));
        self.shared.close();
        for request in self.inbox.try_iter() {
            refuse(request, &StoreError::Closed);
        }
    }

    fn serve(&mut self, file: &Connection) -> Ended {
        let mut rows = match Rows::prepare(file) {
            Ok(rows) => rows,
            Err(error) => return Ended::Failed(error),
        };
        let mut wait = Duration::ZERO;
        loop {
            let shared = Arc::clone(&self.shared);
            let (index, cursors) = (&shared.index, &shared.cursors);
            let mut group = Group::new(index, cursors, file, self.next_seq, self.next_revision);
            let gathered = self.gather(&mut group, wait);
            let written = self.commit(&mut rows, &mut group, &gathered);
            if let Err(error) = written {
                return self.fail(group, error);
            }
            group.answer(None);
            if let Err(error) = self.copier.attend(file) {
                return Ended::Failed(error);
            }
            if gathered.closing {
                return Ended::Closed;
            }
            wait = if self.upkeep.has_more() {
                Duration::ZERO
            } else if self.shared.cursors().announced {
                CURSOR_DELAY
            } else {
                UPKEEP_PERIOD
            };
        }
    }

    /// Report the failure to all requests of the group, and reject later requests with the same
    /// reason.
    fn fail(&mut self, group: Group<'_>, error: rusqlite::Error) -> Ended {
        let why = recovery::obstacle(&error);
        tracing::error!(%error, "a commit failed; nothing is acknowledged until the file is checked");
        self.shared.pulse.set_obstacle(Some(why.clone()));
        self.shared.pulse.count_refused(group.waiting.len() as u64);
        group.answer(Some(&why));
        Ended::Failed(error)
    }

    /// Collect the waiting requests, and run them.
    fn gather(&mut self, group: &mut Group<'_>, wait: Duration) -> Gathered {
        let mut gathered = Gathered::default();
        let mut next = match self.inbox.recv_timeout(wait) {
            Ok(request) => Some(request),
            Err(RecvTimeoutError::Timeout) => {
                gathered.idle = true;
                None
            }
            Err(RecvTimeoutError::Disconnected) => Some(Request::Close),
        };
        let refusal = self.shared.pulse.obstacle();
        while let Some(request) = next.take() {
            match (request, &refusal) {
                (Request::Close, _) => {
                    gathered.closing = true;
                    break;
                }
                (Request::Nudge, _) => {}
                (Request::Attend(answer), _) => {
                    gathered.attended = true;
                    group.attend(answer);
                }
                (Request::ReaderWork(work, answer), None | Some(StoreError::Full { .. }))
                | (Request::Work(work, answer), None) => group.run(work, answer),
                (request, Some(why)) => {
                    self.shared.pulse.count_refused(1);
                    refuse(request, why);
                }
                (Request::Append(record, answer), None) => group.append(record, answer),
            }
            if group.waiting.len() < GROUP_MAX && group.bytes < GROUP_BYTES_MAX {
                next = self.inbox.try_recv().ok();
            }
        }
        gathered
    }

    /// Commit and publish a group, together with moved cursors and due removals.
    fn commit(
        &mut self,
        rows: &mut Rows<'_>,
        group: &mut Group<'_>,
        gathered: &Gathered,
    ) -> rusqlite::Result<()> {
        let time = (self.shared.clock)();
        let mut by_work = std::mem::take(&mut group.by_work);
        let fresh = !group.changes.is_empty() || !group.records.is_empty() || !by_work.is_empty();
        let chores = self.upkeep.plan(&self.shared, rows, time, group.records.len())?;
        // A moved cursor alone waits a short time, so that another commit can include it.
        let due = fresh || gathered.idle || gathered.attended || gathered.closing;
        let mut moved = if due { self.shared.cursors().moved() } else { Vec::new() };
        keep_last(&mut by_work, &mut moved);
        let records = stamp(&group.records, self.next_seq, time);
        let last_seq = records.last().map_or(self.next_seq - 1, |last| last.seq);
        let has_time = chores.looked || gathered.idle || gathered.closing;
        let keeps_seq = has_time && last_seq > self.kept_seq;
        if !fresh && moved.is_empty() && chores.is_none() && !keeps_seq {
            return Ok(());
        }
        let written = rows.begin().and_then(|()| {
            group.changes.iter().try_for_each(|change| rows.change(change, time))?;
            records.iter().try_for_each(|one| rows.record(one.seq, one.time, &one.bytes))?;
            if keeps_seq {
                rows.highest(last_seq)?;
            }
            rows.cursors(&moved)?;
            by_work.iter().try_for_each(|one| rows.cursor_move(one))?;
            chores.write(rows)?;
            rows.commit()
        });
        if let Err(error) = written {
            // Return the first error and ignore that of the rollback: the connection is closed
            // anyway.
            drop(rows.rollback());
            return Err(error);
        }
        if last_seq >= self.next_seq {
            self.lock.set_highest(last_seq);
        }
        if keeps_seq {
            self.kept_seq = last_seq;
        }
        self.shared.cursors().settle(moved);
        for moved in by_work {
            self.shared.cursors().commit(moved);
        }
        self.next_seq += records.len() as u64;
        self.next_revision = group.next_revision();
        self.shared.pulse.count_commit(records.len() as u64);
        if let Some(first) = records.first().filter(|_| self.shared.first_seq() == 0) {
            self.shared.set_first_seq(first.seq);
        }
        self.upkeep.done(&chores, &self.shared, group.bytes);
        let Chores { compacted, .. } = chores;
        let changes = std::mem::take(&mut group.changes);
        self.shared.publish(Published { changes, records, compacted, time });
        Ok(())
    }
}

/// For each reader, keep the cursor that a transaction moved and drop the one moved outside of it.
/// A reader that is being removed gets no cursor.
fn keep_last(by_work: &mut Vec<CursorMove>, moved: &mut Vec<Moved>) {
    if by_work.is_empty() {
        return;
    }
    let is_removed =
        |reader: &str| moved.iter().any(|(name, cursor)| name == reader && cursor.is_none());
    by_work.retain(|one| !is_removed(&one.reader));
    moved.retain(|(name, _)| !by_work.iter().any(|one| one.reader == *name));
}

/// Assign sequence numbers to records.
fn stamp(records: &[bytes::Bytes], first_seq: u64, time: i64) -> Vec<Record> {
    let numbered = (first_seq..).zip(records);
    numbered.map(|(seq, bytes)| Record { seq, time, bytes: bytes.clone() }).collect()
}

/// Answer a request with an error without running it.
pub(crate) fn refuse(request: Request, why: &StoreError) {
    let answer: Answer = match request {
        Request::Work(_, answer)
        | Request::ReaderWork(_, answer)
        | Request::Append(_, answer)
        | Request::Attend(answer) => answer,
        Request::Nudge | Request::Close => return,
    };
    // Ignore a dropped receiver: its caller is gone.
    drop(answer.send(Err(why.clone())));
}

/// A monotonic clock, to measure periods.
#[expect(clippy::disallowed_methods, reason = "periods are counted on the machine's own clock")]
pub(crate) fn monotonic() -> Instant {
    Instant::now()
}
