//! The journal's interface for reading audit events.

use std::ops::RangeInclusive;

use apimachinery::ApiError;
use async_trait::async_trait;
use bytes::Bytes;
use event::Timestamp;

use super::{Conditions, Order};

/// Number of records that are read in one step without an index.
const BLOCK: u64 = 256;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// Its sequence number.
    pub seq: u64,
    /// Time of the commit.
    pub time: Timestamp,
    /// An audit event, or another record, which readers skip.
    pub bytes: Bytes,
}

/// The ranges of the log that may contain selected events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Ranges of sequence numbers, in the order of the list. Records between them do not match the
    /// conditions.
    pub ranges: Vec<RangeInclusive<u64>>,
    /// The range after `ranges` from which no records are selected yet.
    pub rest: Option<RangeInclusive<u64>>,
}

/// The result of one read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogBatch {
    /// The records, in the requested order.
    pub records: Vec<LogRecord>,
    /// Whether the read ended at its limit of bytes, so that more records may follow.
    pub is_truncated: bool,
}

/// A log of records with ascending sequence numbers, whose oldest records may be trimmed.
#[async_trait]
pub trait EventLog: Send + Sync {
    /// Sequence number of the oldest record; 0 if the log is empty.
    fn first_seq(&self) -> u64;

    /// Sequence number of the newest record; 0 if the log is empty.
    fn last_seq(&self) -> u64;

    /// Records after a sequence number, oldest first, up to `rows_max` and `bytes_max`, but at
    /// least one if there is one.
    async fn read(
        &self,
        after: u64,
        rows_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<LogRecord>, ApiError>;

    /// The records of these ranges in this order, up to `bytes_max`, but at least one if there is
    /// one. Unreadable records are omitted.
    async fn read_ranges(
        &self,
        ranges: Vec<RangeInclusive<u64>>,
        order: Order,
        bytes_max: usize,
    ) -> Result<LogBatch, ApiError>;

    /// Ranges whose records are known to be missing or damaged. Trimmed records do not count as
    /// missing.
    fn unreadable(&self, _within: &RangeInclusive<u64>) -> Vec<RangeInclusive<u64>> {
        Vec::new()
    }

    /// Waits until there is a record after `seq`.
    async fn wait_past(&self, seq: u64) -> Result<(), ApiError>;

    /// The ranges within `within` in which events may match the conditions. Without an index, any
    /// record may match.
    async fn select(
        &self,
        conditions: &Conditions,
        within: RangeInclusive<u64>,
    ) -> Result<Selection, ApiError> {
        Ok(without_index(conditions.order, within))
    }
}

/// The next ranges to read if there is no index: all records of `within`, in blocks.
pub fn without_index(order: Order, within: RangeInclusive<u64>) -> Selection {
    let (first, last) = within.into_inner();
    if first > last {
        return Selection::default();
    }
    let (range, rest) = match order {
        Order::Oldest => {
            let end = last.min(first.saturating_add(BLOCK - 1));
            (first..=end, end + 1..=last)
        }
        Order::Newest => {
            let start = first.max(last.saturating_sub(BLOCK - 1));
            (start..=last, first..=start - 1)
        }
    };
    Selection { ranges: vec![range], rest: Some(rest).filter(|rest| !rest.is_empty()) }
}
