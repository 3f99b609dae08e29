//! Reading events a page at a time: memory is bounded by the page, and time by what one request may
//! look at.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::Arc;

use apiserver::{ApiError, ReadBatch, ReadOnlyStorage, ReadPage, ReadQuery};
use async_trait::async_trait;
use bytes::Bytes;
use event::{Timestamp, View};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use http::StatusCode;

use super::{Conditions, EventLog, LogRecord, Order, body, place};

/// Events of a page, also if the client sets no limit.
pub const PAGE_MAX: usize = 500;
/// Bytes of a page at which it ends.
pub const PAGE_BYTES: usize = 8 << 20;
/// Records that one request looks at; the page ends then, full or not.
pub const SCAN_MAX: u64 = 200_000;
/// Records that are read in one go, and their bytes.
const READ_ROWS: usize = 512;
const READ_BYTES: usize = 4 << 20;
/// Bytes of records that wait while a stretch is read whose end comes first.
const HELD_BYTES: usize = 16 << 20;
/// How far the time of an event may be after that of its record, in microseconds: clocks differ.
const SKEW_MAX: i64 = 60_000_000;

/// The events of a log.
pub(super) struct Pages(pub(super) Arc<dyn EventLog>);

/// A page that is being filled.
struct Page {
    conditions: Conditions,
    limit: usize,
    items: Vec<Bytes>,
    bytes: usize,
    looked_at: u64,
}

impl Page {
    fn is_full(&self) -> bool {
        self.items.len() >= self.limit || self.bytes >= PAGE_BYTES || self.looked_at >= SCAN_MAX
    }

    /// Takes the record if it is an event that is asked for.
    fn take(&mut self, record: &LogRecord) {
        if let Some(body) = admitted(&self.conditions, record) {
            self.bytes += body.len();
            self.items.push(body);
        }
    }
}

/// The object of a record, if it is an event that is asked for.
fn admitted(conditions: &Conditions, record: &LogRecord) -> Option<Bytes> {
    if conditions.seq.is_some_and(|seq| seq != record.seq) {
        return None;
    }
    // What is not an event is passed over.
    let event = View::of(&record.bytes).ok()?;
    conditions.admit(&event).then(|| body(record, &event))
}

#[async_trait]
impl ReadOnlyStorage for Pages {
    async fn get(&self, name: &str) -> Result<Option<Bytes>, ApiError> {
        let Some(seq) = place(name).filter(|seq| *seq > 0) else { return Ok(None) };
        let records = self.0.read(seq - 1, 1, READ_BYTES).await?;
        let record = records.first().filter(|record| record.seq == seq);
        Ok(record.and_then(|record| admitted(&Conditions::default(), record)))
    }

    async fn list(&self, query: ReadQuery) -> Result<ReadPage, ApiError> {
        let limit = if query.limit == 0 { PAGE_MAX } else { query.limit.min(PAGE_MAX) };
        let conditions = Conditions::of(&query.terms)?;
        let last = self.0.last_seq();
        let revision = query.at.map_or(last, |at| at.min(last));
        let after = query.after.as_deref().map(position).transpose()?;
        let mut page = Page { conditions, limit, items: Vec::new(), bytes: 0, looked_at: 0 };
        let next = match page.conditions.seq {
            Some(seq) => {
                self.fill_oldest(&mut page, seq.saturating_sub(1), seq.min(revision)).await?
            }
            None => match page.conditions.order {
                Order::Oldest => {
                    let start = match (after, page.conditions.since) {
                        (Some(after), _) => after,
                        (None, Some(since)) => self.place_before(since, revision).await?,
                        (None, None) => 0,
                    };
                    self.fill_oldest(&mut page, start, revision).await?
                }
                Order::Newest => {
                    let end = after.unwrap_or(revision.saturating_add(1));
                    self.fill_newest(&mut page, end).await?
                }
            },
        };
        let next = next.map(|seq| seq.to_string());
        Ok(ReadPage { items: page.items, revision, next })
    }

    async fn watch(
        &self,
        query: ReadQuery,
        after: Option<u64>,
    ) -> Result<BoxStream<'static, Result<ReadBatch, ApiError>>, ApiError> {
        let conditions = Conditions::of(&query.terms)?;
        let after = after.unwrap_or_else(|| self.0.last_seq());
        if after.saturating_add(1) < self.0.first_seq() {
            let message = format!("too old resource version: {after} ({})", self.0.first_seq());
            return Err(ApiError::new(StatusCode::GONE, "Expired", message));
        }
        let follower = Follower { log: Arc::clone(&self.0), conditions, after, is_over: false };
        Ok(stream::unfold(follower, Follower::next).boxed())
    }
}

impl Pages {
    /// Fills a page with events after a place; gives back where the next page begins.
    async fn fill_oldest(
        &self,
        page: &mut Page,
        after: u64,
        last: u64,
    ) -> Result<Option<u64>, ApiError> {
        let mut after = after.max(self.0.first_seq().saturating_sub(1));
        while after < last {
            let within = after + 1..=last;
            let Some(range) = self.0.next_range(&page.conditions, within).await? else { break };
            after = range.start().saturating_sub(1);
            while after < *range.end() {
                let records = self.0.read(after, READ_ROWS, READ_BYTES).await?;
                if records.is_empty() {
                    return Ok(None);
                }
                for record in &records {
                    if record.seq > *range.end() {
                        after = *range.end();
                        break;
                    }
                    after = record.seq;
                    page.looked_at += 1;
                    page.take(record);
                    if page.is_full() {
                        return Ok((after < last).then_some(after));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Fills a page with events before a place, the newest first; gives back where the next page
    /// begins.
    async fn fill_newest(&self, page: &mut Page, end: u64) -> Result<Option<u64>, ApiError> {
        let first = self.0.first_seq().max(1);
        let mut end = end;
        while end > first {
            let within = first..=end - 1;
            let Some(range) = self.0.next_range(&page.conditions, within).await? else { break };
            let (held, begin, newest) = self.hold(page, &range).await?;
            for record in held.iter().rev() {
                page.take(record);
                if page.is_full() {
                    return Ok((record.seq > first).then_some(record.seq));
                }
            }
            let since = page.conditions.since;
            if since.is_some_and(|since| newest.is_some_and(|newest| is_before(newest, since))) {
                break;
            }
            end = begin;
            if page.is_full() {
                return Ok((end > first).then_some(end));
            }
        }
        Ok(None)
    }

    /// The records of a stretch that may be asked for, as far as there is room: the first place that
    /// they cover, and the time of the newest record.
    async fn hold(
        &self,
        page: &mut Page,
        range: &RangeInclusive<u64>,
    ) -> Result<(VecDeque<LogRecord>, u64, Option<Timestamp>), ApiError> {
        let (mut held, mut bytes) = (VecDeque::new(), 0);
        let mut begin = *range.start();
        let mut newest = None;
        let mut after = range.start().saturating_sub(1);
        while after < *range.end() {
            let records = self.0.read(after, READ_ROWS, READ_BYTES).await?;
            if records.is_empty() {
                break;
            }
            for record in records {
                if record.seq > *range.end() {
                    return Ok((held, begin, newest));
                }
                after = record.seq;
                newest = Some(record.time);
                page.looked_at += 1;
                let is_asked_for =
                    View::of(&record.bytes).is_ok_and(|event| page.conditions.admit(&event));
                if is_asked_for {
                    bytes += record.bytes.len();
                    held.push_back(record);
                }
                while bytes > HELD_BYTES && held.len() > 1 {
                    if let Some(oldest) = held.pop_front() {
                        bytes -= oldest.bytes.len();
                        begin = oldest.seq + 1;
                    }
                }
            }
        }
        Ok((held, begin, newest))
    }

    /// A place before which no event can be as late as `since`, found by halving.
    async fn place_before(&self, since: Timestamp, last: u64) -> Result<u64, ApiError> {
        let mut low = self.0.first_seq().saturating_sub(1);
        let mut high = last;
        while low < high {
            let middle = low + (high - low) / 2;
            let records = self.0.read(middle, 1, 1).await?;
            match records.first() {
                Some(record) if is_before(record.time, since) => low = record.seq.max(middle + 1),
                _ => high = middle,
            }
        }
        Ok(low.min(last))
    }
}

/// Whether an event of a record of that time must be before `since`.
fn is_before(recorded: Timestamp, since: Timestamp) -> bool {
    recorded.as_micros().saturating_add(SKEW_MAX) < since.as_micros()
}

fn position(after: &str) -> Result<u64, ApiError> {
    after.parse().map_err(|_| ApiError::bad_request("continue key is not valid: no place in it"))
}

/// A watch under way.
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

    async fn batch(&mut self) -> Result<ReadBatch, ApiError> {
        loop {
            let records = self.log.read(self.after, READ_ROWS, READ_BYTES).await?;
            let Some(last) = records.last() else {
                self.log.wait_past(self.after).await?;
                continue;
            };
            self.after = last.seq;
            let admitted = |record: &LogRecord| admitted(&self.conditions, record);
            let items: Vec<Bytes> = records.iter().filter_map(admitted).collect();
            return Ok(ReadBatch { items, revision: self.after });
        }
    }
}
