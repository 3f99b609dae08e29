//! The common part of all readers of the journal.
//!
//! A [`JournalReader`] reads batches, replaces records that cannot be read by gap events, retries
//! while the store fails, keeps the cursor, and publishes the reader's health. Each sink, each
//! uploader, the detector and the indexer own one.
//!
//! Deliberately absent: the processing of records, and when the cursor advances.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use event::record::{SignalRecord, is_signal, raw_of, signal_of};
use event::{Event, EventRef, Timestamp};
use sink::error_chain;
use store::{Cursor, Gap, Journal, ReadError, Record, StoreError};
use tokio_util::sync::CancellationToken;

use crate::backoff::{Backoff, WAIT_MAX};
use crate::gap;
use crate::health::SinkStatus;
use crate::metrics::Metrics;
use sink::DeliveryHealth;

/// The maximum number of records in a batch.
pub const BATCH_ROWS_MAX: usize = 512;
/// Maximum number of bytes of lines in a batch, which the last line may exceed. It is also the
/// maximum number of bytes of records, in which bodies are compressed, that are read ahead.
pub const BATCH_BYTES_MAX: usize = 1 << 20;
/// Timeout for the last delivery when the server stops.
pub const DRAIN_MAX: Duration = Duration::from_secs(5);

/// A reader of the journal.
pub(crate) struct JournalReader {
    journal: Arc<dyn Journal>,
    decoder: Decoder,
    status: Arc<SinkStatus>,
    cursor: Cursor,
    /// The cursor belongs to another task, or was removed.
    has_lost_cursor: bool,
}

/// The reader has stopped; this is not an error.
#[derive(Debug)]
pub(crate) struct Stopped;

/// A record, or the reason why it cannot be read.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Its sequence number.
    pub(crate) seq: u64,
    /// The first of the records that it replaces, which differs from its own number only if several
    /// are missing.
    first: u64,
    /// The record, or why it cannot be read.
    record: Result<Record, String>,
}

/// The content of a record.
#[expect(clippy::large_enum_variant, reason = "nearly all are events, one at a time on the stack")]
pub(crate) enum Content<'a> {
    /// An event.
    Event(EventRef<'a>),
    /// A change of a signal.
    Signal(SignalRecord),
    /// An item as it was received, which is not parsed.
    Raw(&'a [u8]),
    /// An event that replaces records that cannot be read.
    Gap(Box<Event>),
}

/// Decodes records, in any thread. Counts and logs losses under the reader's name.
#[derive(Clone)]
pub(crate) struct Decoder {
    name: Arc<str>,
    metrics: Metrics,
}

impl JournalReader {
    /// A reader whose cursor is `cursor`.
    pub(crate) fn new(
        name: &str,
        journal: Arc<dyn Journal>,
        metrics: Metrics,
        status: Arc<SinkStatus>,
        cursor: Cursor,
    ) -> Self {
        status.set_seq(cursor.seq);
        metrics.init(name);
        Self {
            journal,
            decoder: Decoder { name: name.into(), metrics },
            status,
            cursor,
            has_lost_cursor: false,
        }
    }

    /// Loads the cursor, or creates it after the record `after`.
    pub(crate) async fn register(&mut self, after: u64) -> Result<(), Stopped> {
        let mut backoff = Backoff::default();
        self.cursor = loop {
            match self.journal.register(self.name(), after).await {
                Ok(cursor) => break cursor,
                Err(StoreError::Closed) => return Err(Stopped),
                Err(error) => self.back_off(&mut backoff, &error, None).await,
            }
        };
        self.status.set_seq(self.cursor.seq);
        Ok(())
    }

    pub(crate) fn name(&self) -> &str {
        &self.decoder.name
    }

    pub(crate) fn journal(&self) -> &dyn Journal {
        &*self.journal
    }

    pub(crate) fn status(&self) -> &SinkStatus {
        &self.status
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.decoder.metrics
    }

    pub(crate) fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// Sequence number of the last record that is delivered.
    pub(crate) fn seq(&self) -> u64 {
        self.cursor.seq
    }

    /// The state that is stored with the cursor.
    pub(crate) fn state(&self) -> &str {
        &self.cursor.state
    }

    /// Number of records that are not delivered yet.
    pub(crate) fn lag(&self) -> u64 {
        self.journal.last_seq().saturating_sub(self.seq())
    }

    /// The records after `after`; none if there are none at present.
    pub(crate) async fn next(&self, after: u64) -> Result<Vec<Entry>, Stopped> {
        if self.has_lost_cursor {
            return Err(Stopped);
        }
        let mut backoff = Backoff::default();
        loop {
            match self.journal.read(after, BATCH_ROWS_MAX, BATCH_BYTES_MAX).await {
                Ok(records) => return Ok(records.into_iter().map(Entry::from).collect()),
                Err(ReadError::Damaged { what, number }) => {
                    let record = Err(format!("{what} is damaged on disk"));
                    return Ok(vec![Entry { seq: number, first: number, record }]);
                }
                Err(error @ ReadError::Missing { first, last }) => {
                    return Ok(vec![Entry { seq: last, first, record: Err(error.to_string()) }]);
                }
                Err(ReadError::Closed) => return Err(Stopped),
                Err(error) => self.back_off(&mut backoff, &error, None).await,
            }
        }
    }

    /// Waits until there is a record after `after`.
    pub(crate) async fn wait_past(&self, after: u64) -> Result<(), Stopped> {
        if self.has_lost_cursor {
            return Err(Stopped);
        }
        self.journal.wait_past(after).await.map(drop).map_err(|_closed| Stopped)
    }

    /// Advances the cursor. It becomes durable with a later commit.
    pub(crate) fn advance(&mut self, seq: u64, state: &str) {
        if let Err(error) = self.journal.advance(self.name(), seq, state) {
            self.has_lost_cursor = true;
            self.report_lost_cursor(&error);
            return;
        }
        self.set_cursor(seq, state);
    }

    /// Advances the cursor and waits until it is durable.
    pub(crate) async fn persist(&mut self, seq: u64, state: &str) -> Result<(), Stopped> {
        let mut backoff = Backoff::default();
        loop {
            match self.journal.advance_durably(self.name(), seq, state).await {
                Ok(()) => break,
                Err(StoreError::Closed) => return Err(Stopped),
                Err(error) if is_lost_cursor(&error) => {
                    self.report_lost_cursor(&error);
                    return Err(Stopped);
                }
                Err(error) => self.back_off(&mut backoff, &error, None).await,
            }
        }
        self.set_cursor(seq, state);
        Ok(())
    }

    /// Waits until the cursor is durable.
    pub(crate) async fn flush(&mut self) -> Result<(), Stopped> {
        let Cursor { seq, state } = self.cursor.clone();
        self.persist(seq, &state).await
    }

    /// Publishes and logs the reason why the reader stops while the server continues.
    pub(crate) fn report_lost_cursor(&self, error: &StoreError) {
        tracing::error!(sink = self.name(), %error, "the cursor was not moved; the reader stops");
        self.status.set_condition(DeliveryHealth::CursorLost { reason: error.to_string() });
    }

    fn set_cursor(&mut self, seq: u64, state: &str) {
        self.cursor = Cursor { seq, state: state.to_owned() };
        self.status.set_seq(seq);
    }

    /// Publishes a failure and waits before the next attempt: the delay of `backoff`, and at least
    /// `after` up to the maximum delay.
    pub(crate) async fn back_off(
        &self,
        backoff: &mut Backoff,
        error: &(dyn Error + Sync),
        after: Option<Duration>,
    ) {
        let delay = backoff.failed().max(after.unwrap_or_default().min(WAIT_MAX));
        let reason = self.failed(delay, backoff, error);
        let attempts = backoff.failures_with_response();
        self.status.set_condition(DeliveryHealth::Failing { reason, attempts });
        tokio::time::sleep(delay).await;
    }

    /// Counts and logs a failure. Returns its reason.
    pub(crate) fn failed(
        &self,
        delay: Duration,
        backoff: &Backoff,
        error: &(dyn Error + Sync),
    ) -> String {
        let (sink, attempts, reason) = (self.name(), backoff.attempts(), error_chain(error));
        self.metrics().failed(sink);
        tracing::warn!(sink, attempts, wait_ms = delay.as_millis(), reason, "delivery failed");
        reason
    }

    /// Logs the number of records that are not delivered, if there are any.
    pub(crate) fn report_lag(&self) {
        let (sink, lag) = (self.name(), self.lag());
        if lag > 0 {
            tracing::warn!(
                sink,
                lag,
                "sink stopped before it had everything; it continues at the next start"
            );
        }
    }
}

/// Whether the reader has permanently lost its cursor.
pub(crate) fn is_lost_cursor(error: &StoreError) -> bool {
    matches!(error, StoreError::NotOwner { .. } | StoreError::Unregistered { .. })
}

/// Resolves when the time for the last delivery after `stop` is over.
pub(crate) async fn drain_deadline(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(DRAIN_MAX).await;
}

impl From<Record> for Entry {
    fn from(record: Record) -> Self {
        Self { seq: record.seq, first: record.seq, record: Ok(record) }
    }
}

impl Entry {
    /// Whether it is a change of a signal. Cheaper than decoding.
    pub(crate) fn is_signal(&self) -> bool {
        self.record.as_ref().is_ok_and(|record| is_signal(&record.bytes))
    }

    /// Removes the records after `last`. Returns whether any remains.
    pub(crate) fn truncate_after(&mut self, last: u64) -> bool {
        if self.first <= last {
            self.seq = self.seq.min(last);
        }
        self.seq <= last
    }

    /// The record, if it can be read.
    pub(crate) fn record(&self) -> Option<&Record> {
        self.record.as_ref().ok()
    }

    /// When it was committed, if that can be read.
    pub(crate) fn time(&self) -> Option<Timestamp> {
        self.record().map(|record| Timestamp::from_micros(record.time))
    }
}

impl Decoder {
    /// Decodes a record. `time` is the time of a gap event.
    pub(crate) fn decode<'a>(&self, entry: &'a Entry, time: Timestamp) -> Content<'a> {
        let record = entry.record.as_ref().map_err(Clone::clone);
        let decoded = record.and_then(|Record { bytes, .. }| match signal_of(bytes) {
            Some(signal) => signal.map(Content::Signal).map_err(|error| error_chain(&error)),
            None => read_other(bytes),
        });
        decoded.unwrap_or_else(|reason| {
            let (sink, seq) = (&*self.name, entry.seq);
            tracing::warn!(sink, seq, reason, "record cannot be read; a gap event replaces it");
            self.metrics.unreadable(sink);
            let gap = Gap { first: entry.first, last: seq };
            Content::Gap(Box::new(gap::event(gap, &reason, time)))
        })
    }
}

fn read_other(bytes: &[u8]) -> Result<Content<'_>, String> {
    let content = match raw_of(bytes) {
        Some(item) => item.map(|item| Content::Raw(item.text)),
        None => EventRef::parse(bytes).map(Content::Event),
    };
    content.map_err(|error| error_chain(&error))
}
