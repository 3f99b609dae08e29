//! The journal: an append-only log of records that each reader follows at its own pace.
//!
//! Reading does not remove records. A record is removed once all registered readers have passed it
//! and the retention time is over; for an unregistered reader, the oldest records may be missing.
//! The journal does not interpret records. [`conformance`](crate::conformance) has the tests that
//! every implementation must pass.

use std::ops::RangeInclusive;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Cursor, Health, PendingCommit, ReadError, StoreError, TransactionFn};

/// One record of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its sequence number: one more than that of the previous record.
    pub seq: u64,
    /// Time of the commit, in microseconds since the Unix epoch.
    pub time: i64,
    /// The bytes as they were appended.
    pub bytes: Bytes,
}

/// A range of consecutive records that were written and are missing or damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gap {
    /// Sequence number of the first missing record.
    pub first: u64,
    /// Sequence number of the last missing record.
    pub last: u64,
}

impl Gap {
    /// The number of missing records.
    pub fn records(&self) -> u64 {
        self.last.saturating_sub(self.first).saturating_add(1)
    }
}

/// The order in which records are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Ascending sequence numbers.
    Forward,
    /// Descending sequence numbers.
    Backward,
}

/// The result of one read of ranges.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordBatch {
    /// The records, in the requested direction.
    pub records: Vec<Record>,
    /// Whether the read ended at the limit of bytes, so that more records may follow the last one.
    pub is_truncated: bool,
}

/// A reader and its progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader {
    /// The name of the reader.
    pub name: String,
    /// Its current position.
    pub cursor: Cursor,
    /// The number of records after its cursor.
    pub lag: u64,
}

/// The readers of a journal as stored in the file, and the range of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReaderList {
    /// Registered readers, for which records are retained, sorted by name.
    pub readers: Vec<Reader>,
    /// Parked readers and their cursors, sorted by name.
    pub parked: Vec<(String, Cursor)>,
    /// Sequence number of the oldest retained record; 0 before the first record.
    pub first_seq: u64,
    /// Sequence number of the last record; 0 before the first record.
    pub last_seq: u64,
}

/// The maximum number of damaged records that are listed. Beyond it, those with the highest
/// sequence numbers are left out.
pub const DAMAGED_MAX: usize = 1024;

/// The journal of a store.
///
/// A value of this type is a handle; several handles, possibly in several processes, can share one
/// journal. A cursor belongs to the handle that registered its reader last, and only that handle
/// may move it: the previous owner gets [`StoreError::NotOwner`]. A cursor that no handle
/// has registered since the store was opened has no owner, and every handle may move it.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Read records after `after`, oldest first: at most `rows_max` rows and `bytes_max` bytes, but
    /// at least one record if there is one. A damaged record is an error once it is the next one;
    /// pass its sequence number as `after` to skip it. Missing records are reported in the same
    /// way: a range of consecutive ones is a single error ([`ReadError::Missing`]).
    async fn read(
        &self,
        after: u64,
        rows_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Record>, ReadError>;

    /// Find missing records, beginning at `first`, among those that retention has not removed. At
    /// most `rows_max` rows are examined. The second value is the sequence number of the last one
    /// examined.
    async fn find_gaps(&self, first: u64, rows_max: usize) -> Result<(Vec<Gap>, u64), ReadError>;

    /// The gaps that were found at the ends of the journal when the store was opened: after its
    /// last record, and between a reader's cursor and the first record. Also the records that reads
    /// have found damaged since then, up to [`DAMAGED_MAX`].
    fn known_gaps(&self) -> Vec<Gap>;

    /// Read the records with these sequence numbers: at most `bytes_max` bytes, but at least one
    /// record if there is one. Ranges are read one after the other, each in `direction`. Removed
    /// and damaged records are left out; a damaged one is listed in [`Journal::known_gaps`] from
    /// then on.
    async fn read_ranges(
        &self,
        ranges: Vec<RangeInclusive<u64>>,
        direction: Direction,
        bytes_max: usize,
    ) -> Result<RecordBatch, ReadError>;

    /// Wait until there is a record after `seq`, and return the sequence number of the last one. An
    /// error means that the store is closed and no record will follow.
    async fn wait_past(&self, seq: u64) -> Result<u64, ReadError>;

    /// Identifies this opening of the store. Sequence numbers repeat after an older copy of the
    /// file is restored; the epoch does not, because it is never lower than the current time in
    /// microseconds since the Unix epoch.
    fn epoch(&self) -> u64;

    /// The state of the store, with the used share of its size limit.
    fn health(&self) -> Health;

    /// Sequence number of the oldest retained record that this handle knows of; 0 before the first
    /// record.
    fn first_seq(&self) -> u64;

    /// Sequence number of the last committed record that this handle has observed; 0 before the
    /// first record. [`wait_past`](Self::wait_past) waits for records of other handles.
    fn last_seq(&self) -> u64;

    /// The cursor of a registered reader; `None` if it is not registered.
    fn cursor(&self, reader: &str) -> Option<Cursor>;

    /// Register a reader, so that records are retained for it: after `after` if the reader is new,
    /// otherwise from its stored cursor on, which is returned. The cursor belongs to this handle
    /// from then on; moves by its previous owner fail, or are included in the returned cursor.
    async fn register(&self, reader: &str, after: u64) -> Result<Cursor, StoreError>;

    /// Move a reader's cursor. It is durable with the next commit, or after a tenth of a second.
    /// The errors are [`StoreError::Unregistered`] and [`StoreError::NotOwner`].
    fn advance(&self, reader: &str, seq: u64, state: &str) -> Result<(), StoreError>;

    /// Move a reader's cursor, and wait until it is durable.
    async fn advance_durably(&self, reader: &str, seq: u64, state: &str) -> Result<(), StoreError>;

    /// Enqueue a transaction that writes a reader's output and moves its cursor
    /// ([`Transaction::advance`]). Unlike other transactions it is accepted when the journal is
    /// full, because moving cursors is what frees space; a reader writes little compared to what it
    /// has read.
    ///
    /// [`Transaction::advance`]: crate::Transaction::advance
    fn submit(&self, work: TransactionFn) -> PendingCommit;

    /// Load the reader's last checkpoint ([`Transaction::save_checkpoint`]); `None` if it has none.
    /// A damaged checkpoint is an error: the reader decides whether to start without it.
    ///
    /// [`Transaction::save_checkpoint`]: crate::Transaction::save_checkpoint
    async fn checkpoint(&self, reader: &str) -> Result<Option<Vec<Bytes>>, ReadError>;

    /// Park a reader, registered or not: stop retaining records for it, store `cursor` as its
    /// position, and delete its checkpoint. It no longer has an owner.
    async fn park(&self, reader: &str, cursor: Cursor) -> Result<(), StoreError>;

    /// Parked readers and their cursors, sorted by name.
    fn parked(&self) -> Vec<(String, Cursor)>;

    /// Register a parked reader again and retain records after `cursor` for it.
    async fn resume(&self, reader: &str, cursor: Cursor) -> Result<(), StoreError>;

    /// Remove a reader, parked or not, with its checkpoint. Records are no longer retained
    /// for it, and it has no owner.
    async fn remove(&self, reader: &str) -> Result<(), StoreError>;

    /// Registered readers, for which records are retained, sorted by name.
    fn readers(&self) -> Vec<Reader>;
}
