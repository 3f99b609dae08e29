//! The implementation of [`Journal`] on a SQLite file: the newest records come from memory, older
//! ones from the file.
//!
//! Cursors are updated in memory immediately, and on disk with a later commit of the writer.

use std::ops::RangeInclusive;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::task;

use crate::handle::{Handle, Request};
use crate::{
    Cursor, Direction, Health, Hole, Journal, Pending, ReadError, Reader, Record, StoreError,
    Stretch, Work, disk, numbers, rows,
};

/// The journal of a [`Sqlite`](crate::Sqlite).
pub(crate) struct SqliteJournal(Arc<Handle>);

#[async_trait]
impl Journal for SqliteJournal {
    async fn read(
        &self,
        after: u64,
        rows_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Record>, ReadError> {
        if let Some(records) = self.recent(after, rows_max, bytes_max) {
            return Ok(records);
        }
        let handle = Arc::clone(&self.0);
        let read = task::spawn_blocking(move || {
            let first = (after + 1).max(handle.shared.first_seq());
            let last = handle.shared.last_seq();
            let read = handle.shared.disk.records(first, last, rows_max, bytes_max);
            if let Err(ReadError::Damaged { number, .. }) = &read {
                handle.shared.note_damaged(*number);
            }
            read
        });
        read.await.map_err(|_gone| ReadError::Closed)?
    }

    async fn holes(&self, first: u64, rows_max: usize) -> Result<(Vec<Hole>, u64), ReadError> {
        let handle = Arc::clone(&self.0);
        let look = task::spawn_blocking(move || {
            let shared = &handle.shared;
            // Taken before the scan: records that are removed during the scan are not missing.
            let last = shared.last_seq();
            let (mut holes, seen) = shared.disk.with(|file| {
                numbers::holes(file, first.max(shared.first_seq()).max(1), last, rows_max)
            })?;
            holes.retain(|hole| hole.last >= shared.first_seq());
            Ok((holes, seen))
        });
        look.await.map_err(|_gone| ReadError::Closed)?
    }

    fn known_holes(&self) -> Vec<Hole> {
        self.0.shared.known_holes()
    }

    async fn read_ranges(
        &self,
        ranges: Vec<RangeInclusive<u64>>,
        direction: Direction,
        bytes_max: usize,
    ) -> Result<Stretch, ReadError> {
        let handle = Arc::clone(&self.0);
        let read = task::spawn_blocking(move || {
            let damaged = |seq| handle.shared.note_damaged(seq);
            let read = |file: &_| disk::stretch(file, &ranges, direction, bytes_max, damaged);
            handle.shared.disk.with(read)
        });
        read.await.map_err(|_gone| ReadError::Closed)?
    }

    async fn wait_past(&self, seq: u64) -> Result<u64, ReadError> {
        let mut news = self.0.shared.follow_seq().ok_or(ReadError::Closed)?;
        let last = news.wait_for(|last| *last > seq).await.map_err(|_closed| ReadError::Closed)?;
        Ok(*last)
    }

    fn epoch(&self) -> u64 {
        self.0.shared.epoch
    }

    fn health(&self) -> Health {
        self.0.shared.pulse.health()
    }

    fn first_seq(&self) -> u64 {
        self.0.shared.first_seq()
    }

    fn last_seq(&self) -> u64 {
        self.0.shared.last_seq()
    }

    fn cursor(&self, reader: &str) -> Option<Cursor> {
        self.0.shared.cursors().of(reader)
    }

    fn submit(&self, work: Work) -> Pending {
        self.0.request(|answer| Request::ReaderWork(work, answer))
    }

    async fn checkpoint(&self, reader: &str) -> Result<Option<Vec<Bytes>>, ReadError> {
        if self.cursor(reader).is_none() {
            return Ok(None);
        }
        let (handle, reader) = (Arc::clone(&self.0), reader.to_owned());
        let read = task::spawn_blocking(move || {
            handle.shared.disk.with(|file| rows::checkpoint(file, &reader))
        });
        read.await.map_err(|_gone| ReadError::Closed)?
    }

    async fn register(&self, reader: &str, after: u64) -> Result<Cursor, StoreError> {
        let cursor = {
            let mut cursors = self.0.shared.cursors();
            if let Some(cursor) = cursors.of(reader) {
                return Ok(cursor);
            }
            // Records that were removed earlier are not missing for this reader.
            let forgotten = self.0.shared.first_seq().saturating_sub(1);
            let cursor = Cursor { seq: after.max(forgotten), state: String::new() };
            cursors.set(reader, cursor.clone());
            cursor
        };
        self.settled().await?;
        Ok(cursor)
    }

    fn advance(&self, reader: &str, seq: u64, state: &str) {
        let mut cursors = self.0.shared.cursors();
        cursors.set(reader, Cursor { seq, state: state.to_owned() });
        let announced = std::mem::replace(&mut cursors.announced, true);
        drop(cursors);
        // A full queue means that a commit will follow soon anyway.
        if !announced && self.0.nudge().is_err() {
            self.0.shared.cursors().announced = false;
        }
    }

    async fn advance_durably(&self, reader: &str, seq: u64, state: &str) -> Result<(), StoreError> {
        self.0.shared.cursors().set(reader, Cursor { seq, state: state.to_owned() });
        self.settled().await
    }

    async fn park(&self, reader: &str, cursor: Cursor) -> Result<(), StoreError> {
        self.0.shared.cursors().park(reader, cursor);
        self.settled().await
    }

    fn parked(&self) -> Vec<(String, Cursor)> {
        let cursors = self.0.shared.cursors();
        cursors.parked().map(|(name, cursor)| (name.to_owned(), cursor.clone())).collect()
    }

    async fn resume(&self, reader: &str, cursor: Cursor) -> Result<(), StoreError> {
        self.0.shared.cursors().resume(reader, cursor);
        self.settled().await
    }

    async fn remove(&self, reader: &str) -> Result<(), StoreError> {
        self.0.shared.cursors().remove(reader);
        self.settled().await
    }

    fn readers(&self) -> Vec<Reader> {
        let last = self.last_seq();
        let cursors = self.0.shared.cursors();
        let reader = |(name, cursor): (&String, &Cursor)| Reader {
            name: name.clone(),
            cursor: cursor.clone(),
            lag: last.saturating_sub(cursor.seq),
        };
        cursors.all().map(reader).collect()
    }
}

impl SqliteJournal {
    pub(crate) fn new(handle: Arc<Handle>) -> Self {
        Self(handle)
    }

    fn recent(&self, after: u64, rows_max: usize, bytes_max: usize) -> Option<Vec<Record>> {
        let recent = self.0.shared.records();
        let (mut records, mut bytes) = (Vec::new(), 0_usize);
        for (_, _, record) in recent.after(after)?.take(rows_max) {
            bytes = bytes.saturating_add(record.bytes.len());
            if bytes > bytes_max && !records.is_empty() {
                break;
            }
            records.push(record.clone());
        }
        Some(records)
    }

    /// Wait until the current cursors are durable.
    async fn settled(&self) -> Result<(), StoreError> {
        self.0.request(Request::Attend).await.map(drop)
    }
}
