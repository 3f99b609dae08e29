//! The journal as its readers see it: every record once, in order, each reader at its own pace.
//!
//! A reader never takes a record away. Records go when every registered reader has passed them and
//! retention is over; somebody who reads without registering may find the oldest ones gone.

use std::sync::Arc;

use bytes::Bytes;
use tokio::task;

use crate::cursors::Cursor;
use crate::handle::{Handle, Request};
use crate::{Health, Pending, ReadError, StoreError, Work, rows};

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place in the journal: one more than the record before it.
    pub seq: u64,
    /// When it was committed, in microseconds since 1970.
    pub time: i64,
    /// What was handed in.
    pub bytes: Bytes,
}

/// A reader and how it fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader {
    /// Its name.
    pub name: String,
    /// Its place.
    pub cursor: Cursor,
    /// How many records it has before it.
    pub lag: u64,
}

/// The journal of a store.
#[derive(Clone)]
pub struct Journal(Arc<Handle>);

impl Journal {
    pub(crate) fn new(handle: Arc<Handle>) -> Self {
        Self(handle)
    }

    /// Records after `after`, oldest first, up to so many rows and bytes, but at least one if there is
    /// one. A damaged record is an error once it is the next one: reading after it goes on behind it.
    pub async fn read(
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
            handle.shared.disk.records(first, rows_max, bytes_max)
        });
        read.await.map_err(|_gone| ReadError::Closed)?
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

    /// Wait until there is a record after `seq`; the number of the last one. An error means that the
    /// store is closed and there will be none.
    pub async fn wait_past(&self, seq: u64) -> Result<u64, ReadError> {
        let mut news = self.0.shared.follow_seq().ok_or(ReadError::Closed)?;
        let last = news.wait_for(|last| *last > seq).await.map_err(|_closed| ReadError::Closed)?;
        Ok(*last)
    }

    /// Tells the numbers of this opening of the store from those of any other. They repeat when an
    /// older copy of the file is restored; the epoch does not, since it is never before the present
    /// time in microseconds.
    pub fn epoch(&self) -> u64 {
        self.0.shared.epoch
    }

    /// How the store fares, and how much of its bound is used.
    pub fn health(&self) -> Health {
        self.0.shared.pulse.health()
    }

    /// The number of the oldest record that is kept; 0 before the first.
    pub fn first_seq(&self) -> u64 {
        self.0.shared.first_seq()
    }

    /// The number of the last committed record; 0 before the first.
    pub fn last_seq(&self) -> u64 {
        self.0.shared.last_seq()
    }

    /// Where a reader is.
    pub fn cursor(&self, reader: &str) -> Option<Cursor> {
        self.0.shared.cursors().of(reader)
    }

    /// Hand in work by which a reader moves its cursor ([`Transaction::advance`]) together with what it
    /// writes. Unlike other work it is done in a full journal too, because that is how the journal
    /// gets room; a reader writes little for much that it has read.
    ///
    /// [`Transaction::advance`]: crate::Transaction::advance
    pub fn submit(&self, work: Work) -> Pending {
        self.0.request(|answer| Request::ReaderWork(work, answer))
    }

    /// The checkpoint that a reader saved last ([`Transaction::save_checkpoint`]); `None` if there is
    /// none. One that is damaged is an error: the reader decides whether to begin without it.
    ///
    /// [`Transaction::save_checkpoint`]: crate::Transaction::save_checkpoint
    pub async fn checkpoint(&self, reader: &str) -> Result<Option<Vec<Bytes>>, ReadError> {
        if self.cursor(reader).is_none() {
            return Ok(None);
        }
        let (handle, reader) = (Arc::clone(&self.0), reader.to_owned());
        let read = task::spawn_blocking(move || {
            handle.shared.disk.with(|file| rows::checkpoint(file, &reader))
        });
        read.await.map_err(|_gone| ReadError::Closed)?
    }

    /// Begin to hold records for a reader: from behind `after` if it is new, else from where it was.
    pub async fn register(&self, reader: &str, after: u64) -> Result<Cursor, StoreError> {
        let cursor = {
            let mut cursors = self.0.shared.cursors();
            if let Some(cursor) = cursors.of(reader) {
                return Ok(cursor);
            }
            let cursor = Cursor { seq: after, state: String::new() };
            cursors.set(reader, cursor.clone());
            cursor
        };
        self.settled().await?;
        Ok(cursor)
    }

    /// Move a reader's cursor. It is on disk with the next commit, or a tenth of a second later.
    pub fn advance(&self, reader: &str, seq: u64, state: &str) {
        let mut cursors = self.0.shared.cursors();
        cursors.set(reader, Cursor { seq, state: state.to_owned() });
        let announced = std::mem::replace(&mut cursors.announced, true);
        drop(cursors);
        // A full channel means that a commit is near anyway.
        if !announced && self.0.nudge().is_err() {
            self.0.shared.cursors().announced = false;
        }
    }

    /// Move a reader's cursor, and wait until it is on disk.
    pub async fn advance_durably(
        &self,
        reader: &str,
        seq: u64,
        state: &str,
    ) -> Result<(), StoreError> {
        self.0.shared.cursors().set(reader, Cursor { seq, state: state.to_owned() });
        self.settled().await
    }

    /// Forget a reader and its checkpoint: nothing is held for it any more.
    pub async fn remove(&self, reader: &str) -> Result<(), StoreError> {
        self.0.shared.cursors().remove(reader);
        self.settled().await
    }

    /// All readers, by name.
    pub fn readers(&self) -> Vec<Reader> {
        let last = self.last_seq();
        let cursors = self.0.shared.cursors();
        let reader = |(name, cursor): (&String, &Cursor)| Reader {
            name: name.clone(),
            cursor: cursor.clone(),
            lag: last.saturating_sub(cursor.seq),
        };
        cursors.all().map(reader).collect()
    }

    /// Wait until the cursors as they are now are on disk.
    async fn settled(&self) -> Result<(), StoreError> {
        self.0.request(Request::Attend).await.map(drop)
    }
}
