//! Reading events a page at a time: memory is bounded by the page, and time by what one request may
//! look at.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::Arc;

use apiserver::{ApiError, ReadBatch, ReadOnlyStorage, ReadPage, ReadQuery};
use async_trait::async_trait;
use bytes::Bytes;
use event::View;
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

/// Whether a record is an event that is asked for. What is not an event is passed over.
fn is_asked_for(conditions: &Conditions, record: &LogRecord) -> bool {
    conditions.seq.is_none_or(|seq| seq == record.seq)
        && View::without_bodies(&record.bytes).is_ok_and(|event| conditions.admit(&event))
}

/// The object of a record, if it is an event that is asked for.
fn admitted(conditions: &Conditions, record: &LogRecord) -> Option<Bytes> {
    let is_asked_for = is_asked_for(conditions, record);
    is_asked_for.then(|| View::of(&record.bytes).ok()).flatten().map(|event| body(record, &event))
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
                    self.fill_oldest(&mut page, after.unwrap_or_default(), revision).await?
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
        let mut rest = Some(after.max(self.0.first_seq().saturating_sub(1)) + 1..=last);
        while let Some(within) = rest {
            let selection = self.0.select(&page.conditions, within).await?;
            rest = selection.rest;
            for range in selection.ranges {
                let mut after = range.start().saturating_sub(1);
                while after < *range.end() {
                    let records = self.read_within(after, *range.end()).await?;
                    for record in &records {
                        page.looked_at += 1;
                        page.take(record);
                        if page.is_full() {
                            return Ok((record.seq < last).then_some(record.seq));
                        }
                    }
                    after = records.last().map_or(*range.end(), |record| record.seq);
                }
            }
        }
        Ok(None)
    }

    /// Fills a page with events before a place, the newest first; gives back where the next page
    /// begins.
    async fn fill_newest(&self, page: &mut Page, end: u64) -> Result<Option<u64>, ApiError> {
        let first = self.0.first_seq().max(1);
        let mut rest = Some(first..=end.saturating_sub(1));
        while let Some(within) = rest {
            let selection = self.0.select(&page.conditions, within).await?;
            rest = selection.rest;
            for range in selection.ranges {
                let mut end = *range.end();
                while end >= *range.start() {
                    let (held, begin) = self.hold(page, *range.start()..=end).await?;
                    for record in held.iter().rev() {
                        page.take(record);
                        if page.is_full() {
                            return Ok((record.seq > first).then_some(record.seq));
                        }
                    }
                    if page.is_full() {
                        return Ok((begin > first).then_some(begin));
                    }
                    end = begin.saturating_sub(1);
                }
            }
        }
        Ok(None)
    }

    /// The records of a stretch that are asked for, as far as there is room, and the first place that
    /// they cover.
    async fn hold(
        &self,
        page: &mut Page,
        range: RangeInclusive<u64>,
    ) -> Result<(VecDeque<LogRecord>, u64), ApiError> {
        let (mut held, mut bytes) = (VecDeque::new(), 0);
        let mut begin = *range.start();
        let mut after = range.start().saturating_sub(1);
        while after < *range.end() {
            let records = self.read_within(after, *range.end()).await?;
            after = records.last().map_or(*range.end(), |record| record.seq);
            for record in records {
                page.looked_at += 1;
                if !is_asked_for(&page.conditions, &record) {
                    continue;
                }
                bytes += record.bytes.len();
                held.push_back(record);
                while bytes > HELD_BYTES && held.len() > 1 {
                    if let Some(oldest) = held.pop_front() {
                        bytes -= oldest.bytes.len();
                        begin = oldest.seq + 1;
                    }
                }
            }
        }
        Ok((held, begin))
    }

    /// Some records after a place, up to another; none if they are gone.
    async fn read_within(&self, after: u64, last: u64) -> Result<Vec<LogRecord>, ApiError> {
        let rows = usize::try_from(last - after).unwrap_or(READ_ROWS).min(READ_ROWS);
        let mut records = self.0.read(after, rows, READ_BYTES).await?;
        records.retain(|record| record.seq <= last);
        Ok(records)
    }
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
