//! The reader of the journal that fills the index of events.
//!
//! It has no cursor: the index is made again from the journal when it is lost, so the journal keeps
//! nothing for it, and what is trimmed goes from the index too. A segment is written when it is
//! complete; after a restart the one that was in the making is read again.
//!
//! Deliberately absent: what the index looks like and how it is searched ([`store::event_index`]).

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

/// Names the reader in logs and metrics.
pub const EVENT_INDEX: &str = "event-index";
/// How long records gather, at most, once all of them have been read: each wait costs as much as some
/// dozens of records. Records that are not in the index yet are found without it.
pub const INDEX_GATHER_TIME: Duration = Duration::from_millis(100);
/// How long they gather at least.
const GATHER_TIME_MIN: Duration = Duration::from_millis(3);
/// Between so many and so many should gather: far fewer than the store keeps in memory for readers.
const GATHERED_MIN: u64 = 500;
const GATHERED_MAX: u64 = 2_000;

/// The reader that fills an index.
pub struct EventIndexer {
    reader: JournalReader,
    index: Arc<EventIndex>,
    /// How long records gather at present.
    gather_time: Duration,
}

impl Delivery {
    /// Fills `index` from the journal. To be run by the caller.
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
    /// Indexes until the store is closed. It may be dropped at any time: what is in memory then is
    /// read again at the next start.
    pub async fn run(mut self) {
        self.index().await.ok();
    }

    async fn index(&mut self) -> Result<(), Stopped> {
        self.check_stored().await?;
        loop {
            let first = self.first_seq();
            let segment = self.index.next_missing(first);
            if self.build(segment).await? {
                self.forget_trimmed().await?;
            }
        }
    }

    /// Uses the segments in the file that are of this journal, and deletes the others.
    async fn check_stored(&mut self) -> Result<(), Stopped> {
        let stored = self.attempt(EventIndex::stored).await?;
        for segment in stored {
            let last = segment.last_seq();
            let is_kept = (self.first_seq()..=self.reader.journal().last_seq()).contains(&last);
            if is_kept && self.is_of_journal(&segment).await? {
                self.index.accept(&segment);
                self.reader.status().set_seq(last);
            } else {
                self.attempt(move |index| index.reject(&segment)).await?;
            }
        }
        Ok(())
    }

    async fn is_of_journal(&self, segment: &StoredSegment) -> Result<bool, Stopped> {
        let mut backoff = Backoff::default();
        loop {
            match self.reader.journal().read(segment.last_seq() - 1, 1, 1).await {
                Ok(records) => {
                    let record = records.first().filter(|it| it.seq == segment.last_seq());
                    return Ok(segment.is_of(record));
                }
                Err(ReadError::Damaged { .. } | ReadError::Missing { .. }) => {
                    return Ok(segment.is_of(None));
                }
                Err(ReadError::Closed) => return Err(Stopped),
                Err(error) => self.reader.back_off(&mut backoff, &error, None).await,
            }
        }
    }

    /// Makes a segment, however long it takes until it is complete. Whether it was written: the journal
    /// may have been trimmed meanwhile.
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
                self.gather(after).await;
            }
            for mut entry in entries {
                if !entry.end_at(last) {
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

    /// Lets records gather behind `after`.
    async fn gather(&mut self, after: u64) {
        tokio::time::sleep(self.gather_time).await;
        let gathered = self.reader.journal().last_seq().saturating_sub(after);
        self.gather_time = match gathered {
            0..GATHERED_MIN => (self.gather_time * 2).min(INDEX_GATHER_TIME),
            GATHERED_MIN..=GATHERED_MAX => self.gather_time,
            _ => (self.gather_time / 2).max(GATHER_TIME_MIN),
        };
    }

    fn add(builder: &mut SegmentBuilder, entry: &Entry) {
        // What cannot be read is no event for a selector either; other readers report it.
        if let Some(record) = entry.record() {
            builder.add(entry.seq, &record.bytes);
        }
    }

    async fn put(&self, builder: SegmentBuilder, last: Option<&Record>) -> Result<(), Stopped> {
        let segment = Arc::new(builder.finish(last));
        self.attempt(move |index| index.put(&segment)).await
    }

    async fn forget_trimmed(&self) -> Result<(), Stopped> {
        let first = self.first_seq();
        self.attempt(move |index| index.forget_before(first)).await
    }

    /// Does something with the index's file, again and again until it succeeds.
    async fn attempt<T: Send + 'static>(
        &self,
        work: impl Fn(&EventIndex) -> Result<T, IndexError> + Clone + Send + 'static,
    ) -> Result<T, Stopped> {
        let mut backoff = Backoff::default();
        loop {
            let (index, work) = (Arc::clone(&self.index), work.clone());
            match task::spawn_blocking(move || work(&index)).await.map_err(|_gone| Stopped)? {
                Ok(done) => return Ok(done),
                Err(error) => self.reader.back_off(&mut backoff, &error, None).await,
            }
        }
    }

    fn first_seq(&self) -> u64 {
        self.reader.journal().first_seq().max(1)
    }
}
