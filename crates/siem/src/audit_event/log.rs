//! The journal, as far as reading events from it goes.

use std::ops::RangeInclusive;

use apiserver::ApiError;
use async_trait::async_trait;
use bytes::Bytes;
use event::Timestamp;

use super::{Conditions, Order};

/// Places that are looked at in one go without an index.
const BLOCK: u64 = 1024;

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

    /// Waits until there is a record after `seq`.
    async fn wait_past(&self, seq: u64) -> Result<(), ApiError>;

    /// The places within `within` that are to be looked at next: the first ones, or with
    /// [`Order::Newest`] the last ones, between which an event may meet the conditions. What is passed
    /// over has none that does. `None`: there is none in all of `within`.
    async fn next_range(
        &self,
        conditions: &Conditions,
        within: RangeInclusive<u64>,
    ) -> Result<Option<RangeInclusive<u64>>, ApiError> {
        let (first, last) = within.into_inner();
        if first > last {
            return Ok(None);
        }
        Ok(Some(match conditions.order {
            Order::Oldest => first..=last.min(first.saturating_add(BLOCK - 1)),
            Order::Newest => first.max(last.saturating_sub(BLOCK - 1))..=last,
        }))
    }
}
