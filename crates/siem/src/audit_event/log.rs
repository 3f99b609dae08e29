//! The journal, as far as reading events from it goes.

use std::ops::RangeInclusive;

use apiserver::ApiError;
use async_trait::async_trait;
use bytes::Bytes;
use event::Timestamp;

use super::{Conditions, Order};

/// Places that are looked at in one go without an index.
const BLOCK: u64 = 256;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// Its place.
    pub seq: u64,
    /// When it was committed.
    pub time: Timestamp,
    /// An audit event, or something else that is passed over.
    pub bytes: Bytes,
}

/// Where to look for events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Places, in the order in which events are listed. What is passed over has no event that meets
    /// the conditions.
    pub ranges: Vec<RangeInclusive<u64>>,
    /// Places that are still to be looked through, behind those.
    pub rest: Option<RangeInclusive<u64>>,
}

/// Records that were read together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogStretch {
    /// The records, in the order that was asked for.
    pub records: Vec<LogRecord>,
    /// There may be more behind the last of them: they have so many bytes.
    pub is_cut: bool,
}

/// A log of records with rising places, from which the oldest may go.
#[async_trait]
pub trait EventLog: Send + Sync {
    /// The place of the oldest record; 0 before the first.
    fn first_seq(&self) -> u64;

    /// The place of the newest record; 0 before the first.
    fn last_seq(&self) -> u64;

    /// Records after a place, oldest first, up to so many rows and bytes, but at least one if there is
    /// one.
    async fn read(
        &self,
        after: u64,
        rows_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<LogRecord>, ApiError>;

    /// The records at these places, range after range, each in this order, up to so many bytes, but at
    /// least one if there is one. What cannot be read is left out.
    async fn read_ranges(
        &self,
        ranges: Vec<RangeInclusive<u64>>,
        order: Order,
        bytes_max: usize,
    ) -> Result<LogStretch, ApiError>;

    /// Places among these whose records are known to be missing or damaged. What was forgotten by design
    /// is not missing.
    fn unreadable(&self, _within: &RangeInclusive<u64>) -> Vec<RangeInclusive<u64>> {
        Vec::new()
    }

    /// Waits until there is a record after `seq`.
    async fn wait_past(&self, seq: u64) -> Result<(), ApiError>;

    /// Where within some places an event may meet the conditions. Without an index that is anywhere.
    async fn select(
        &self,
        conditions: &Conditions,
        within: RangeInclusive<u64>,
    ) -> Result<Selection, ApiError> {
        Ok(everywhere(conditions.order, within))
    }
}

/// The next places to look at without an index.
pub fn everywhere(order: Order, within: RangeInclusive<u64>) -> Selection {
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
