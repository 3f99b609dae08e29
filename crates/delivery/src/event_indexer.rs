//! The journal reader that builds the index of events.
//!
//! It has no cursor: a lost index is built again from the journal, so the journal retains no
//! records for it, and trimmed records are removed from the index too. A segment is written when it
//! is complete; after a restart an incomplete segment is built again.
//!
//! Deliberately absent: the format and the search of the index ([`store::event_index`]).

use std::sync::Arc;
use std::time::Duration;

use store::event_index::{
    EventIndex, IndexError, SegmentBuilder, StoredSegment, first_of, last_of,
};
use store::{Cursor, ReadError, Record};
use tokio::task;

use crate::Delivery;
use crate::backoff::Backoff;
use crate::health::SinkStatus;
use crate::reader::{Entry, JournalReader, Stopped};
use sink::DeliveryHealth;

/// Name of the reader in logs and metrics.
pub const EVENT_INDEX: &str = "event-index";
/// The longest delay before the next read after all records have been read. A wake-up costs as much
/// as dozens of records, so reads are batched. A search scans the records that are not in the index
/// yet.
pub const INDEX_GATHER_TIME: Duration = Duration::from_millis(100);
/// The shortest delay.
const GATHER_TIME_MIN: Duration = Duration::from_millis(3);
/// The delay is adjusted so that the number of new records is in this range, which is far below the
/// number that the store caches for readers.
const GATHERED_MIN: u64 = 500;
const GATHERED_MAX: u64 = 2_000;

/// The reader that builds an index.
pub struct EventIndexer {
    reader: JournalReader,
    index: Arc<EventIndex>,
    /// The current delay.
    gather_time: Duration,
}

impl Delivery {
    /// Creates a reader that builds `index` from the journal. The caller runs it.
    pub fn event_indexer(&mut self, index: Arc<EventIndex>) -> EventIndexer {
        let status = Arc::new(SinkStatus::new(EVENT_INDEX));
        self.metrics.follow_index(Arc::clone(&status), Arc::clone(&index));
        self.event_index = Some(Arc::clone(&status));
        let (journal, metrics) = (Arc::clone(&self.journal), self.metrics.clone());
        let reader = JournalReader::new(EVENT_INDEX, journal, metrics, status, Cursor::default());
        EventIndexer { reader, index, gather_time: INDEX_GATHER_TIME }
    }
}

impl EventIndexer {
    /// Indexes until the store is closed. The future may be dropped at any time: the incomplete
    /// segment is built again at the next start.
    pub async fn run(mut self) {
        // The loop ends only when the store is closed, which is not an error.
        _ = self.index().await;
    }

    async fn index(&mut self) -> Result<(), Stopped> {
        self.check_stored().await?;
        loop {
            let first = self.first_seq();
            let segment = self.index.next_missing(first);
            if self.build(segment).await? {
                self.remove_trimmed().await?;
            }
        }
    }

    /// Accepts the segments in the file that belong to this journal, and deletes the others.
    async fn check_stored(&mut self) -> Result<(), Stopped> {
        let stored = self.retry_until_done(EventIndex::stored).await?;
        for segment in stored {
            let last = segment.last_seq();
            let is_in_journal =
                (self.first_seq()..=self.reader.journal().last_seq()).contains(&last);
            if is_in_journal && self.belongs_to_journal(&segment).await? {
                self.index.accept(&segment);
                self.reader.status().set_seq(last);
            } else {
                self.retry_until_done(move |index| index.reject(&segment)).await?;
            }
        }
        Ok(())
    }

    async fn belongs_to_journal(&self, segment: &StoredSegment) -> Result<bool, Stopped> {
        let mut backoff = Backoff::default();
        loop {
            match self.reader.journal().read(segment.last_seq() - 1, 1, 1).await {
                Ok(records) => {
                    let record = records.first().filter(|record| record.seq == segment.last_seq());
                    return Ok(segment.belongs_to(record));
                }
                Err(ReadError::Damaged { .. } | ReadError::Missing { .. }) => {
                    return Ok(segment.belongs_to(None));
                }
                Err(ReadError::Closed) => return Err(Stopped),
                Err(error) => self.reader.back_off(&mut backoff, &error, None).await,
            }
        }
    }

    /// Waits until a segment is complete and builds it. Returns whether it was written: the journal
    /// may have been trimmed in the meantime.
    async fn build(&mut self, segment: u64) -> Result<bool, Stopped> {
        let mut builder = SegmentBuilder::new(segment);
        let last = last_of(segment);
        let mut after = first_of(segment).max(self.first_seq()) - 1;
        loop {
            self.reader.status().set_seq(after);
            let entries = self.reader.next(after).await?;
            if entries.is_empty() {
                self.reader.status().set_condition(DeliveryHealth::Delivering);
                self.reader.wait_past(after).await?;
                self.wait_for_more(after).await;
            }
            for mut entry in entries {
                if !entry.truncate_after(last) {
                    // The rest of the segment was trimmed before it was read.
                    return Ok(false);
                }
                after = entry.seq;
                Self::add(&mut builder, &entry);
                if after == last {
                    self.put(builder, entry.record()).await?;
                    self.reader.status().set_seq(after);
                    return Ok(true);
                }
            }
        }
    }

    /// Waits for more records after `after`, and adjusts the delay.
    async fn wait_for_more(&mut self, after: u64) {
        tokio::time::sleep(self.gather_time).await;
        let new_records = self.reader.journal().last_seq().saturating_sub(after);
        self.gather_time = match new_records {
            0..GATHERED_MIN => (self.gather_time * 2).min(INDEX_GATHER_TIME),
            GATHERED_MIN..=GATHERED_MAX => self.gather_time,
            _ => (self.gather_time / 2).max(GATHER_TIME_MIN),
        };
    }

    fn add(builder: &mut SegmentBuilder, entry: &Entry) {
        // A record that cannot be read matches no selector; other readers report it.
        if let Some(record) = entry.record() {
            builder.add(entry.seq, &record.bytes);
        }
    }

    async fn put(&self, builder: SegmentBuilder, last: Option<&Record>) -> Result<(), Stopped> {
        let segment = Arc::new(builder.finish(last));
        self.retry_until_done(move |index| index.put(&segment)).await
    }

    async fn remove_trimmed(&self) -> Result<(), Stopped> {
        let first = self.first_seq();
        self.retry_until_done(move |index| index.forget_before(first)).await
    }

    /// Runs an operation on the index's file and retries it until it succeeds.
    async fn retry_until_done<T: Send + 'static>(
        &self,
        operation: impl Fn(&EventIndex) -> Result<T, IndexError> + Clone + Send + 'static,
    ) -> Result<T, Stopped> {
        let mut backoff = Backoff::default();
        loop {
            let (index, operation) = (Arc::clone(&self.index), operation.clone());
            match task::spawn_blocking(move || operation(&index)).await.map_err(|_gone| Stopped)? {
                Ok(result) => return Ok(result),
                Err(error) => self.reader.back_off(&mut backoff, &error, None).await,
            }
        }
    }

    fn first_seq(&self) -> u64 {
        self.reader.journal().first_seq().max(1)
    }
}
