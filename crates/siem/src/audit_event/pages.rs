//! Reads events page by page. The page bounds the memory, and a maximum of scanned records bounds
//! the time of a request.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::Arc;

use apimachinery::ApiError;
use apiserver::{ReadBatch, ReadOnlyStorage, ReadPage, ReadQuery};
use async_trait::async_trait;
use bytes::Bytes;
use event::EventRef;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use http::StatusCode;

use super::{Conditions, EventLog, LogRecord, Order, body, seq_of_name};

/// Maximum number of events in a page, also if the client sets no limit.
pub const PAGE_MAX: usize = 500;
/// A page ends when it has this many bytes, or fewer if the query requests a lower limit.
pub const PAGE_BYTES: usize = 8 << 20;
/// Maximum number of records that one request scans; the page then ends, full or not.
pub const SCAN_MAX: u64 = 200_000;
/// Maximum rows and bytes of one read.
const READ_ROWS: usize = 512;
const READ_BYTES: usize = 4 << 20;
/// A batch of a watch, and a read for it, ends at this number of bytes. A record of a few kilobytes
/// may expand to an event of megabytes, so batches are bounded after they are expanded.
const BATCH_BYTES: usize = 64 << 10;
/// Minimum rows of the first read for a small page, when it is not known which records match.
const READ_ROWS_MIN: usize = 32;

/// Storage for the events of a log.
pub(super) struct Pages(pub(super) Arc<dyn EventLog>);

/// A page that is being filled.
struct Page {
    conditions: Conditions,
    limit: usize,
    bytes_max: usize,
    items: Vec<Bytes>,
    bytes: usize,
    scanned: u64,
}

impl Page {
    fn is_full(&self) -> bool {
        self.items.len() >= self.limit || self.bytes >= self.bytes_max || self.scanned >= SCAN_MAX
    }

    /// Adds the record to the page if it is a selected event.
    fn add(&mut self, record: &LogRecord) {
        if let Some(body) = admitted(&self.conditions, record) {
            self.bytes += body.len();
            self.items.push(body);
        }
    }
}

/// Whether a record is a selected event. Other records are skipped.
fn is_selected(conditions: &Conditions, record: &LogRecord) -> bool {
    conditions.seq.is_none_or(|seq| seq == record.seq)
        && EventRef::without_bodies(&record.bytes).is_ok_and(|event| conditions.matches(&event))
}

/// The API object of a record, if it is a selected event.
fn admitted(conditions: &Conditions, record: &LogRecord) -> Option<Bytes> {
    let is_selected = is_selected(conditions, record);
    is_selected
        .then(|| EventRef::parse(&record.bytes).ok())
        .flatten()
        .map(|event| body(record, &event))
}

#[async_trait]
impl ReadOnlyStorage for Pages {
    async fn get(&self, name: &str) -> Result<Option<Bytes>, ApiError> {
        let Some(seq) = seq_of_name(name).filter(|seq| *seq > 0) else { return Ok(None) };
        let batch = self.0.read_ranges(vec![seq..=seq], Order::Oldest, READ_BYTES).await?;
        let Some(record) = batch.records.first() else {
            return self
                .unreadable(&(seq..=seq))
                .map_or(Ok(None), |text| Err(ApiError::internal(&text)));
        };
        Ok(admitted(&Conditions::default(), record))
    }

    async fn list(&self, query: ReadQuery) -> Result<ReadPage, ApiError> {
        let limit = if query.limit == 0 { PAGE_MAX } else { query.limit.min(PAGE_MAX) };
        let conditions = Conditions::parse(&query.terms)?;
        let last = self.0.last_seq();
        let revision = query.at.map_or(last, |at| at.min(last));
        let after = query.after.as_deref().map(position).transpose()?;
        let bytes_max =
            if query.bytes_max == 0 { PAGE_BYTES } else { query.bytes_max.min(PAGE_BYTES) };
        let mut page =
            Page { conditions, limit, bytes_max, items: Vec::new(), bytes: 0, scanned: 0 };
        let first = self.0.first_seq().max(1);
        let within = match (page.conditions.seq, page.conditions.order) {
            (Some(seq), _) => seq.max(first)..=seq.min(revision),
            (None, Order::Oldest) => {
                after.unwrap_or_default().saturating_add(1).max(first)..=revision
            }
            (None, Order::Newest) => {
                first..=after.map_or(revision, |seq| seq.saturating_sub(1).min(revision))
            }
        };
        let next = self.fill(&mut page, within.clone()).await?;
        let scanned_range = match (next, page.conditions.order) {
            (None, _) => within,
            (Some(seq), Order::Oldest) => *within.start()..=seq,
            (Some(seq), Order::Newest) => seq..=*within.end(),
        };
        let warnings = self.unreadable(&scanned_range).into_iter().collect();
        let next = next.map(|seq| seq.to_string());
        Ok(ReadPage { items: page.items, revision, next, warnings })
    }

    async fn watch(
        &self,
        query: ReadQuery,
        after: Option<u64>,
    ) -> Result<BoxStream<'static, Result<ReadBatch, ApiError>>, ApiError> {
        let conditions = Conditions::parse(&query.terms)?;
        let last = self.0.last_seq();
        let after = after.unwrap_or(last);
        if after > last {
            return Err(apiserver::too_large_resource_version(after, last));
        }
        if after.saturating_add(1) < self.0.first_seq() {
            let message = format!("too old resource version: {after} ({})", self.0.first_seq());
            return Err(ApiError::new(StatusCode::GONE, "Expired", message));
        }
        let follower = Follower { log: Arc::clone(&self.0), conditions, after, is_over: false };
        Ok(stream::unfold(follower, Follower::next).boxed())
    }
}

impl Pages {
    /// A warning about unreadable records in the range, if there are any.
    fn unreadable(&self, within: &RangeInclusive<u64>) -> Option<String> {
        let unreadable = self.0.unreadable(within);
        let first = unreadable.first()?.start();
        let count: u64 = unreadable.iter().map(|range| range.end() - range.start() + 1).sum();
        Some(match count {
            1 => format!("record {first} of the journal is missing or damaged, and is not listed"),
            _ => format!(
                "{count} records of the journal are missing or damaged, and are not listed; the first \
                 is number {first}"
            ),
        })
    }

    /// Fills a page with events of the range. Returns the sequence number of the last scanned
    /// record if the range continues after it.
    async fn fill(
        &self,
        page: &mut Page,
        within: RangeInclusive<u64>,
    ) -> Result<Option<u64>, ApiError> {
        let order = page.conditions.order;
        let end = match order {
            Order::Oldest => *within.end(),
            Order::Newest => *within.start(),
        };
        let mut rows = page.limit.clamp(READ_ROWS_MIN, READ_ROWS);
        let mut rest = Some(within).filter(|within| !within.is_empty());
        while let Some(within) = rest {
            let selection = self.0.select(&page.conditions, within).await?;
            rest = selection.rest;
            let mut ranges = VecDeque::from(selection.ranges);
            while !ranges.is_empty() {
                let next_ranges = take_ranges(&mut ranges, rows, order);
                rows = (2 * rows).min(READ_ROWS);
                let batch = self.0.read_ranges(next_ranges.clone(), order, READ_BYTES).await?;
                for record in &batch.records {
                    page.scanned += 1;
                    page.add(record);
                    if page.is_full() {
                        return Ok((record.seq != end).then_some(record.seq));
                    }
                }
                if let Some(last) = batch.records.last().filter(|_| batch.is_truncated) {
                    return_ranges(next_ranges, last.seq, order, &mut ranges);
                }
            }
        }
        Ok(None)
    }
}

/// Removes up to `rows` sequence numbers from the front of the ranges.
fn take_ranges(
    ranges: &mut VecDeque<RangeInclusive<u64>>,
    rows: usize,
    order: Order,
) -> Vec<RangeInclusive<u64>> {
    let (mut next_ranges, mut rows_left) = (Vec::new(), rows as u64);
    while rows_left > 0 {
        let Some(range) = ranges.pop_front() else { break };
        let (start, end) = range.into_inner();
        let (removed, remaining) = match order {
            Order::Oldest => {
                let split = end.min(start.saturating_add(rows_left - 1));
                (start..=split, split + 1..=end)
            }
            Order::Newest => {
                let split = start.max(end.saturating_sub(rows_left - 1));
                (split..=end, start..=split - 1)
            }
        };
        rows_left -= removed.end() - removed.start() + 1;
        next_ranges.push(removed);
        if !remaining.is_empty() {
            ranges.push_front(remaining);
        }
    }
    next_ranges
}

/// Puts the part of the ranges after `seq` back at the front.
fn return_ranges(
    next_ranges: Vec<RangeInclusive<u64>>,
    seq: u64,
    order: Order,
    ranges: &mut VecDeque<RangeInclusive<u64>>,
) {
    let returned = next_ranges.into_iter().skip_while(|range| !range.contains(&seq)).enumerate();
    let returned = returned.map(|(at, range)| match (at, order) {
        (0, Order::Oldest) => seq + 1..=*range.end(),
        (0, Order::Newest) => *range.start()..=seq - 1,
        _ => range,
    });
    let returned: Vec<_> = returned.filter(|range| !range.is_empty()).collect();
    returned.into_iter().rev().for_each(|range| ranges.push_front(range));
}

fn position(after: &str) -> Result<u64, ApiError> {
    after
        .parse()
        .map_err(|_| ApiError::bad_request("continue key is not valid: it has no position"))
}

/// The state of a watch.
struct Follower {
    log: Arc<dyn EventLog>,
    conditions: Conditions,
    after: u64,
    is_over: bool,
}

impl Follower {
    async fn next(mut self) -> Option<(Result<ReadBatch, ApiError>, Self)> {
        if self.is_over {
            return None;
        }
        let batch = self.batch().await;
        self.is_over = batch.is_err();
        Some((batch, self))
    }

    /// The next events: a few small ones, or one large one. Records that do not fit are read again
    /// for the next batch, so that a client that does not read occupies no memory.
    async fn batch(&mut self) -> Result<ReadBatch, ApiError> {
        loop {
            let records = self.log.read(self.after, READ_ROWS, BATCH_BYTES).await?;
            if records.is_empty() {
                self.log.wait_past(self.after).await?;
                continue;
            }
            let (mut items, mut bytes) = (Vec::new(), 0);
            for record in &records {
                self.after = record.seq;
                if let Some(body) = admitted(&self.conditions, record) {
                    bytes += body.len();
                    items.push((record.seq, body));
                }
                if bytes >= BATCH_BYTES {
                    break;
                }
            }
            return Ok(ReadBatch { items, revision: self.after });
        }
    }
}
