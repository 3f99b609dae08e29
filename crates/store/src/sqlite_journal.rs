//! The implementation of [`Journal`] on a SQLite file: the newest records come from memory, older
//! ones from the file.
//!
//! Cursors are updated in memory immediately, and on disk with a later commit of the writer.

use std::ops::RangeInclusive;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::task;

use crate::cursors::Owner;
use crate::handle::{Command, Handle};
use crate::{
    Cursor, Direction, Gap, Health, Journal, PendingCommit, ReadError, Reader, Record, RecordBatch,
    StoreError, TransactionFn, read_connection, sequence, statements,
};

/// The journal of a [`Sqlite`](crate::Sqlite): one handle, which owns the cursors that it registers.
pub(crate) struct SqliteJournal {
    handle: Arc<Handle>,
    owner: Owner,
}

#[async_trait]
impl Journal for SqliteJournal {
    async fn read(
        &self,
        after: u64,
        rows_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Record>, ReadError> {
        if let Some(records) = self.read_cached(after, rows_max, bytes_max) {
            return Ok(records);
        }
        let handle = Arc::clone(&self.handle);
        let read = task::spawn_blocking(move || {
            let first = (after + 1).max(handle.shared.first_seq());
            let last = handle.shared.last_seq();
            let read = handle.shared.read_connection.records(first, last, rows_max, bytes_max);
            if let Err(ReadError::Damaged { number, .. }) = &read {
                handle.shared.record_damage(*number);
            }
            read
        });
        read.await.map_err(|_join_error| ReadError::Closed)?
    }

    async fn find_gaps(&self, first: u64, rows_max: usize) -> Result<(Vec<Gap>, u64), ReadError> {
        let handle = Arc::clone(&self.handle);
        let scan = task::spawn_blocking(move || {
            let shared = &handle.shared;
            // Taken before the scan: records that are removed during the scan are not missing.
            let last = shared.last_seq();
            let (mut gaps, last_examined) = shared.read_connection.with(|file| {
                sequence::find_gaps(file, first.max(shared.first_seq()).max(1), last, rows_max)
            })?;
            gaps.retain(|gap| gap.last >= shared.first_seq());
            Ok((gaps, last_examined))
        });
        scan.await.map_err(|_join_error| ReadError::Closed)?
    }

    fn known_gaps(&self) -> Vec<Gap> {
        self.handle.shared.known_gaps()
    }

    async fn read_ranges(
        &self,
        ranges: Vec<RangeInclusive<u64>>,
        direction: Direction,
        bytes_max: usize,
    ) -> Result<RecordBatch, ReadError> {
        let handle = Arc::clone(&self.handle);
        let read = task::spawn_blocking(move || {
            let damaged = |seq| handle.shared.record_damage(seq);
            let read = |file: &_| {
                read_connection::read_ranges(file, &ranges, direction, bytes_max, damaged)
            };
            handle.shared.read_connection.with(read)
        });
        read.await.map_err(|_join_error| ReadError::Closed)?
    }

    async fn wait_past(&self, seq: u64) -> Result<u64, ReadError> {
        let mut last_seq = self.handle.shared.subscribe_seq().ok_or(ReadError::Closed)?;
        let last =
            last_seq.wait_for(|last| *last > seq).await.map_err(|_closed| ReadError::Closed)?;
        Ok(*last)
    }

    fn epoch(&self) -> u64 {
        self.handle.shared.epoch
    }

    fn health(&self) -> Health {
        self.handle.shared.health.snapshot()
    }

    fn first_seq(&self) -> u64 {
        self.handle.shared.first_seq()
    }

    fn last_seq(&self) -> u64 {
        self.handle.shared.last_seq()
    }

    fn cursor(&self, reader: &str) -> Option<Cursor> {
        self.handle.shared.cursors().get(reader)
    }

    fn submit(&self, function: TransactionFn) -> PendingCommit {
        self.handle
            .request(|completion| Command::TransactForReader(self.owner, function, completion))
    }

    async fn checkpoint(&self, reader: &str) -> Result<Option<Vec<Bytes>>, ReadError> {
        if self.cursor(reader).is_none() {
            return Ok(None);
        }
        let (handle, reader) = (Arc::clone(&self.handle), reader.to_owned());
        let read = task::spawn_blocking(move || {
            handle.shared.read_connection.with(|file| statements::read_checkpoint(file, &reader))
        });
        read.await.map_err(|_join_error| ReadError::Closed)?
    }

    async fn register(&self, reader: &str, after: u64) -> Result<Cursor, StoreError> {
        {
            let mut cursors = self.handle.shared.cursors();
            let known = cursors.get(reader);
            if known.is_none() {
                // Records that were removed earlier are not missing for this reader.
                let removed = self.handle.shared.first_seq().saturating_sub(1);
                cursors.set(reader, Cursor { seq: after.max(removed), state: String::new() });
            }
            let must_wait = cursors.claim(reader, self.owner, known.is_none());
            if let Some(cursor) = known.filter(|_| !must_wait) {
                return Ok(cursor);
            }
        }
        // Wait for a transaction of the previous owner that may be about to commit.
        self.flush_cursors().await?;
        let mut cursors = self.handle.shared.cursors();
        cursors.confirm_claim(reader, self.owner);
        cursors.get(reader).ok_or_else(|| StoreError::Unregistered { reader: reader.to_owned() })
    }

    fn advance(&self, reader: &str, seq: u64, state: &str) -> Result<(), StoreError> {
        let mut cursors = self.handle.shared.cursors();
        cursors.check_move(reader, Some(self.owner))?;
        cursors.set(reader, Cursor { seq, state: state.to_owned() });
        let is_announced = std::mem::replace(&mut cursors.is_announced, true);
        drop(cursors);
        // A full queue means that a commit will follow soon anyway.
        if !is_announced && self.handle.wake().is_err() {
            self.handle.shared.cursors().is_announced = false;
        }
        Ok(())
    }

    async fn advance_durably(&self, reader: &str, seq: u64, state: &str) -> Result<(), StoreError> {
        {
            let mut cursors = self.handle.shared.cursors();
            cursors.check_move(reader, Some(self.owner))?;
            cursors.set(reader, Cursor { seq, state: state.to_owned() });
        }
        self.flush_cursors().await
    }

    async fn park(&self, reader: &str, cursor: Cursor) -> Result<(), StoreError> {
        self.handle.shared.cursors().park(reader, cursor);
        self.flush_cursors().await
    }

    fn parked(&self) -> Vec<(String, Cursor)> {
        let cursors = self.handle.shared.cursors();
        cursors.parked().map(|(name, cursor)| (name.to_owned(), cursor.clone())).collect()
    }

    async fn resume(&self, reader: &str, cursor: Cursor) -> Result<(), StoreError> {
        self.handle.shared.cursors().resume(reader, cursor);
        self.flush_cursors().await
    }

    async fn remove(&self, reader: &str) -> Result<(), StoreError> {
        self.handle.shared.cursors().remove(reader);
        self.flush_cursors().await
    }

    fn readers(&self) -> Vec<Reader> {
        let last = self.last_seq();
        let cursors = self.handle.shared.cursors();
        let reader = |(name, cursor): (&String, &Cursor)| Reader {
            name: name.clone(),
            cursor: cursor.clone(),
            lag: last.saturating_sub(cursor.seq),
        };
        cursors.registered().map(reader).collect()
    }
}

impl SqliteJournal {
    pub(crate) fn new(handle: Arc<Handle>) -> Self {
        let owner = handle.next_owner();
        Self { handle, owner }
    }

    /// The records after `after` from memory; `None` if they must be read from disk.
    fn read_cached(&self, after: u64, rows_max: usize, bytes_max: usize) -> Option<Vec<Record>> {
        let tail = self.handle.shared.records();
        let (mut records, mut bytes) = (Vec::new(), 0_usize);
        for (_, _, record) in tail.after(after)?.take(rows_max) {
            bytes = bytes.saturating_add(record.bytes.len());
            if bytes > bytes_max && !records.is_empty() {
                break;
            }
            records.push(record.clone());
        }
        Some(records)
    }

    /// Wait until the current cursors are durable.
    async fn flush_cursors(&self) -> Result<(), StoreError> {
        self.handle.request(Command::FlushCursors).await.map(drop)
    }
}
