//! The journal as the storage of the kind `AuditEvent`.

use std::ops::RangeInclusive;
use std::sync::Arc;

use apimachinery::ApiError;
use async_trait::async_trait;
use event::Timestamp;
use siem::audit_event::{Conditions, EventLog, LogBatch, LogRecord, Order, Selection};
use store::event_index::{EventIndex, IndexQuery};
use store::{Direction, Journal, ReadError, Record};
use tokio::task;

use crate::journal_gaps::JournalGaps;

/// The journal of the store, the index of its events, and its known gaps.
pub(crate) struct JournalLog {
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) index: Arc<EventIndex>,
    pub(crate) gaps: Arc<JournalGaps>,
}

#[async_trait]
impl EventLog for JournalLog {
    fn first_seq(&self) -> u64 {
        self.journal.first_seq()
    }

    fn last_seq(&self) -> u64 {
        self.journal.last_seq()
    }

    async fn read(
        &self,
        after: u64,
        rows_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<LogRecord>, ApiError> {
        let mut after = after;
        loop {
            match self.journal.read(after, rows_max, bytes_max).await {
                Ok(records) => return Ok(records.into_iter().map(record).collect()),
                // An unreadable record does not hide later ones; a separate event reports it.
                Err(ReadError::Damaged { number, .. }) if number > after => after = number,
                Err(ReadError::Missing { last, .. }) if last > after => after = last,
                Err(error) => return Err(unreadable(&error)),
            }
        }
    }

    async fn read_ranges(
        &self,
        ranges: Vec<RangeInclusive<u64>>,
        order: Order,
        bytes_max: usize,
    ) -> Result<LogBatch, ApiError> {
        let direction = match order {
            Order::Oldest => Direction::Forward,
            Order::Newest => Direction::Backward,
        };
        let read = self.journal.read_ranges(ranges, direction, bytes_max).await;
        let store::RecordBatch { records, is_truncated } =
            read.map_err(|error| unreadable(&error))?;
        Ok(LogBatch { records: records.into_iter().map(record).collect(), is_truncated })
    }

    async fn select(
        &self,
        conditions: &Conditions,
        within: RangeInclusive<u64>,
    ) -> Result<Selection, ApiError> {
        let Some(terms) = conditions.terms() else { return Ok(Selection::default()) };
        let query = IndexQuery {
            terms,
            since: conditions.since.map_or(i64::MIN, Timestamp::as_micros),
            until: conditions.until.map_or(i64::MAX, Timestamp::as_micros),
            newest_first: conditions.order == Order::Newest,
        };
        let index = Arc::clone(&self.index);
        let selected = task::spawn_blocking(move || index.select(&query, within)).await;
        let store::event_index::Selection { ranges, rest } =
            selected.map_err(|_panic| unreadable(&ReadError::Closed))?;
        Ok(Selection { ranges, rest })
    }

    fn unreadable(&self, within: &RangeInclusive<u64>) -> Vec<RangeInclusive<u64>> {
        self.gaps.within(within)
    }

    async fn wait_past(&self, seq: u64) -> Result<(), ApiError> {
        self.journal.wait_past(seq).await.map(drop).map_err(|error| unreadable(&error))
    }
}

fn record(record: Record) -> LogRecord {
    let time = Timestamp::from_micros(record.time);
    LogRecord { seq: record.seq, time, bytes: record.bytes }
}

fn unreadable(error: &ReadError) -> ApiError {
    match error {
        ReadError::Closed => ApiError::unavailable("the server is shutting down", 1),
        ReadError::Unavailable { .. } => ApiError::unavailable(error.to_string(), 5),
        _ => ApiError::internal(&error.to_string()),
    }
}
