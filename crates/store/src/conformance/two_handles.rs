//! Two handles on one store, as if they were one, for the conformance suites.
//!
//! Consecutive calls go to different handles, and the newest revision is observed late, as by a
//! handle in another process: a suite that passes relies on nothing but the contract.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;

use crate::{
    Cursor, Direction, Gap, Health, Journal, ListOptions, Object, Page, PendingCommit, ReadError,
    Reader, Record, RecordBatch, Storage, StoreError, TransactionFn, Watch,
};

/// Two handles on one store.
pub(super) struct TwoHandles<S> {
    handles: [S; 2],
    calls: AtomicUsize,
    observed: AtomicU64,
}

impl<S: Storage> TwoHandles<S> {
    pub(super) fn new(handles: [S; 2]) -> Self {
        Self { handles, calls: AtomicUsize::new(0), observed: AtomicU64::new(0) }
    }

    /// The handle that the previous call did not use.
    fn next(&self) -> &S {
        let [first, second] = &self.handles;
        if self.calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) { first } else { second }
    }
}

#[async_trait]
impl<S: Storage> Storage for TwoHandles<S> {
    async fn get(&self, key: &str) -> Result<Option<Arc<Object>>, ReadError> {
        self.next().get(key).await
    }

    async fn newest_revision(&self) -> Result<u64, ReadError> {
        self.next().newest_revision().await
    }

    fn observed_revision(&self) -> u64 {
        self.observed.load(Ordering::Relaxed)
    }

    async fn wait_for_revision(&self, revision: u64) -> Result<(), ReadError> {
        self.next().wait_for_revision(revision).await?;
        self.observed.fetch_max(revision, Ordering::Relaxed);
        Ok(())
    }

    fn oldest_revision(&self) -> u64 {
        self.next().oldest_revision()
    }

    async fn list(&self, prefix: &str, options: ListOptions) -> Result<Page, ReadError> {
        self.next().list(prefix, options).await
    }

    async fn watch(&self, prefix: &str, after: u64) -> Result<Watch, ReadError> {
        self.next().watch(prefix, after).await
    }

    fn submit(&self, function: TransactionFn) -> PendingCommit {
        self.next().submit(function)
    }

    fn append(&self, record: Bytes) -> PendingCommit {
        self.next().append(record)
    }

    fn health(&self) -> Health {
        self.next().health()
    }

    fn take_rejected(&self) -> u64 {
        self.next().take_rejected()
    }
}

/// Two handles on one journal: one changes cursors, the other reads.
pub(super) struct TwoJournals {
    pub(super) owner: Arc<dyn Journal>,
    pub(super) other: Arc<dyn Journal>,
}

#[async_trait]
impl Journal for TwoJournals {
    async fn read(
        &self,
        after: u64,
        rows_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Record>, ReadError> {
        self.other.read(after, rows_max, bytes_max).await
    }

    async fn find_gaps(&self, first: u64, rows_max: usize) -> Result<(Vec<Gap>, u64), ReadError> {
        self.other.find_gaps(first, rows_max).await
    }

    fn known_gaps(&self) -> Vec<Gap> {
        self.other.known_gaps()
    }

    async fn read_ranges(
        &self,
        ranges: Vec<RangeInclusive<u64>>,
        direction: Direction,
        bytes_max: usize,
    ) -> Result<RecordBatch, ReadError> {
        self.other.read_ranges(ranges, direction, bytes_max).await
    }

    async fn wait_past(&self, seq: u64) -> Result<u64, ReadError> {
        self.other.wait_past(seq).await
    }

    fn epoch(&self) -> u64 {
        self.other.epoch()
    }

    fn health(&self) -> Health {
        self.other.health()
    }

    fn first_seq(&self) -> u64 {
        self.other.first_seq()
    }

    fn last_seq(&self) -> u64 {
        self.other.last_seq()
    }

    fn cursor(&self, reader: &str) -> Option<Cursor> {
        self.other.cursor(reader)
    }

    async fn register(&self, reader: &str, after: u64) -> Result<Cursor, StoreError> {
        self.owner.register(reader, after).await
    }

    fn advance(&self, reader: &str, seq: u64, state: &str) -> Result<(), StoreError> {
        self.owner.advance(reader, seq, state)
    }

    async fn advance_durably(&self, reader: &str, seq: u64, state: &str) -> Result<(), StoreError> {
        self.owner.advance_durably(reader, seq, state).await
    }

    fn submit(&self, function: TransactionFn) -> PendingCommit {
        self.owner.submit(function)
    }

    async fn checkpoint(&self, reader: &str) -> Result<Option<Vec<Bytes>>, ReadError> {
        self.other.checkpoint(reader).await
    }

    async fn park(&self, reader: &str, cursor: Cursor) -> Result<(), StoreError> {
        self.owner.park(reader, cursor).await
    }

    fn parked(&self) -> Vec<(String, Cursor)> {
        self.other.parked()
    }

    async fn resume(&self, reader: &str, cursor: Cursor) -> Result<(), StoreError> {
        self.owner.resume(reader, cursor).await
    }

    async fn remove(&self, reader: &str) -> Result<(), StoreError> {
        self.owner.remove(reader).await
    }

    fn readers(&self) -> Vec<Reader> {
        self.other.readers()
    }
}
