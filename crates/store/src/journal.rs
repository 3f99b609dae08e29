//! The journal as its readers see it: every record once, in order, each reader at its own pace.
//!
//! A reader never takes a record away. Records go when every registered reader has passed them and
//! retention is over; a reader that is not registered may find the oldest ones gone. What a record means
//! is unknown here. What every implementation must do is in [`conformance`](crate::conformance).

use std::ops::RangeInclusive;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Cursor, Health, Pending, ReadError, StoreError, Work};

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

/// Records in a row that were written and are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hole {
    /// The first of them.
    pub first: u64,
    /// The last of them.
    pub last: u64,
}

impl Hole {
    /// How many records are missing.
    pub fn records(&self) -> u64 {
        self.last.saturating_sub(self.first).saturating_add(1)
    }
}

/// Which record comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The one with the lowest number.
    Forward,
    /// The one with the highest number.
    Backward,
}

/// Records that were read together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stretch {
    /// The records, in the order that was asked for.
    pub records: Vec<Record>,
    /// There may be more behind the last of them: they have so many bytes.
    pub is_cut: bool,
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

/// The readers of a journal as the file has them, and its range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReaderList {
    /// Readers for which records are held, by name.
    pub readers: Vec<Reader>,
    /// Parked readers and their places, by name.
    pub parked: Vec<(String, Cursor)>,
    /// The number of the oldest record that is kept; 0 before the first.
    pub first_seq: u64,
    /// The number of the last record; 0 before the first.
    pub last_seq: u64,
}

/// Damaged records that are told apart; of more, those with the highest numbers are not told.
pub const DAMAGED_MAX: usize = 1024;

/// The journal of a store.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Records after `after`, oldest first, up to so many rows and bytes, but at least one if there is
    /// one. A damaged record is an error once it is the next one: reading after it goes on behind it.
    /// So are records that are missing, all in a row as one ([`ReadError::Missing`]).
    async fn read(
        &self,
        after: u64,
        rows_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Record>, ReadError>;

    /// Records that were written and are missing, among those from `first` on that are not forgotten;
    /// so many rows are looked at. With them the number of the last one looked at.
    async fn holes(&self, first: u64, rows_max: usize) -> Result<(Vec<Hole>, u64), ReadError>;

    /// Holes that were found when the store was opened, at the ends of the journal: behind its last
    /// record, and between a reader's cursor and its first one. And records that a read has found damaged
    /// since then, up to [`DAMAGED_MAX`].
    fn known_holes(&self) -> Vec<Hole>;

    /// The records with these numbers, up to so many bytes, but at least one if there is one. Ranges are
    /// read one after the other, each in this direction. What is gone or damaged is left out; what is
    /// damaged is in [`Journal::known_holes`] from then on.
    async fn read_ranges(
        &self,
        ranges: Vec<RangeInclusive<u64>>,
        direction: Direction,
        bytes_max: usize,
    ) -> Result<Stretch, ReadError>;

    /// Wait until there is a record after `seq`; the number of the last one. An error means that the
    /// store is closed and there will be none.
    async fn wait_past(&self, seq: u64) -> Result<u64, ReadError>;

    /// Tells the numbers of this opening of the store from those of any other. They repeat when an
    /// older copy of the file is restored; the epoch does not, since it is never before the present
    /// time in microseconds.
    fn epoch(&self) -> u64;

    /// How the store fares, and how much of its bound is used.
    fn health(&self) -> Health;

    /// The number of the oldest record that is kept; 0 before the first.
    fn first_seq(&self) -> u64;

    /// The number of the last committed record; 0 before the first.
    fn last_seq(&self) -> u64;

    /// Where a reader is.
    fn cursor(&self, reader: &str) -> Option<Cursor>;

    /// Begin to hold records for a reader: from behind `after` if it is new, else from where it was.
    async fn register(&self, reader: &str, after: u64) -> Result<Cursor, StoreError>;

    /// Move a reader's cursor. It is on disk with the next commit, or a tenth of a second later.
    fn advance(&self, reader: &str, seq: u64, state: &str);

    /// Move a reader's cursor, and wait until it is on disk.
    async fn advance_durably(&self, reader: &str, seq: u64, state: &str) -> Result<(), StoreError>;

    /// Hand in work by which a reader moves its cursor ([`Transaction::advance`]) together with what it
    /// writes. Unlike other work it is done in a full journal too, because that is how the journal
    /// gets room; a reader writes little for much that it has read.
    ///
    /// [`Transaction::advance`]: crate::Transaction::advance
    fn submit(&self, work: Work) -> Pending;

    /// The checkpoint that a reader saved last ([`Transaction::save_checkpoint`]); `None` if there is
    /// none. One that is damaged is an error: the reader decides whether to begin without it.
    ///
    /// [`Transaction::save_checkpoint`]: crate::Transaction::save_checkpoint
    async fn checkpoint(&self, reader: &str) -> Result<Option<Vec<Bytes>>, ReadError>;

    /// Hold nothing more for a reader, and remember its place as this cursor; its checkpoint is
    /// forgotten. Known or not before, it is parked afterwards.
    async fn park(&self, reader: &str, cursor: Cursor) -> Result<(), StoreError>;

    /// Parked readers and their places, by name.
    fn parked(&self) -> Vec<(String, Cursor)>;

    /// Hold records for a reader from behind this cursor on; it is not parked any more.
    async fn resume(&self, reader: &str, cursor: Cursor) -> Result<(), StoreError>;

    /// Forget a reader, parked or not, and its checkpoint: nothing is held for it any more.
    async fn remove(&self, reader: &str) -> Result<(), StoreError>;

    /// All readers for which records are held, by name.
    fn readers(&self) -> Vec<Reader>;
}
