//! The state of each source since the start: what arrived, what was recorded, and the last error.
//!
//! Metrics, `/readyz` and the resource `eventsources` show it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event::Timestamp;

use crate::outage::Outage;

/// Maximum length of an error text, in bytes.
const ERROR_BYTES_MAX: usize = 1024;

/// One source: events of one kind from one cluster.
#[derive(Debug)]
pub struct SourceStatus {
    name: String,
    kind: &'static str,
    cluster: String,
    /// The time for which its sender repeats an event at least; `None` if it never drops one.
    patience: Option<Duration>,
    has_receipts: bool,
    received: AtomicU64,
    recorded: AtomicU64,
    duplicates: AtomicU64,
    quarantined: AtomicU64,
    rejected: AtomicU64,
    last: Mutex<Last>,
}

/// What changes together.
#[derive(Clone, Debug, Default)]
struct Last {
    event: Option<Timestamp>,
    lag: Option<Duration>,
    error: Option<String>,
    /// When the first transfer was rejected of those since the last that succeeded.
    unavailable_since: Option<Timestamp>,
}

/// The state of a source at one point in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceSnapshot {
    /// Its name, unique on this server.
    pub name: String,
    /// Its kind, for example `AuditWebhook`.
    pub kind: &'static str,
    /// The cluster in which its events were made.
    pub cluster: String,
    /// Number of events that were received, with duplicates and quarantined ones.
    pub received: u64,
    /// Number of events that were recorded.
    pub recorded: u64,
    /// Number of events that were recorded before.
    pub duplicates: u64,
    /// Number of texts that are not events.
    pub quarantined: u64,
    /// Number of requests, or other transfers, that were rejected.
    pub rejected: u64,
    /// Stage timestamp of the newest event that was recorded.
    pub last_event: Option<Timestamp>,
    /// Time between the newest stage timestamp of the last transfer and its commit.
    pub lag: Option<Duration>,
    /// Why the last transfer failed; `None` after one that succeeded.
    pub error: Option<String>,
}

/// The result of one transfer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transfer {
    /// Number of events that were received, with duplicates and quarantined ones.
    pub received: u64,
    /// Number of events that were recorded.
    pub recorded: u64,
    /// Number of events that were recorded before.
    pub duplicates: u64,
    /// Number of texts that are not events.
    pub quarantined: u64,
    /// The newest stage timestamp.
    pub newest: Option<Timestamp>,
}

impl SourceStatus {
    /// A source that has received nothing yet.
    pub fn new(name: &str, kind: &'static str, cluster: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            cluster: cluster.to_owned(),
            patience: None,
            has_receipts: true,
            received: AtomicU64::new(0),
            recorded: AtomicU64::new(0),
            duplicates: AtomicU64::new(0),
            quarantined: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            last: Mutex::default(),
        }
    }

    /// A source whose sender drops an event that it could not send for this time.
    #[must_use]
    pub fn drops_after(self, patience: Duration) -> Self {
        Self { patience: Some(patience), ..self }
    }

    /// A source that may deliver nothing for hours, so that its silence means nothing.
    #[must_use]
    pub fn without_receipts(self) -> Self {
        Self { has_receipts: false, ..self }
    }

    /// Whether an event says regularly that it delivers.
    pub(crate) fn has_receipts(&self) -> bool {
        self.has_receipts
    }

    /// The time for which its sender repeats an event at least; `None` if it never drops one.
    pub(crate) fn patience(&self) -> Option<Duration> {
        self.patience
    }

    /// The name of the source.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The kind of the source.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// The cluster of its events.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// The current state.
    pub fn snapshot(&self) -> SourceSnapshot {
        let Last { event, lag, error, .. } = self.last().clone();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SourceSnapshot {
            name: self.name.clone(),
            kind: self.kind,
            cluster: self.cluster.clone(),
            received: count(&self.received),
            recorded: count(&self.recorded),
            duplicates: count(&self.duplicates),
            quarantined: count(&self.quarantined),
            rejected: count(&self.rejected),
            last_event: event,
            lag,
            error,
        }
    }

    /// Counts a transfer whose events are durable since `now`.
    pub(crate) fn succeeded(&self, transfer: &Transfer, now: Timestamp) {
        self.received.fetch_add(transfer.received, Ordering::Relaxed);
        self.recorded.fetch_add(transfer.recorded, Ordering::Relaxed);
        self.duplicates.fetch_add(transfer.duplicates, Ordering::Relaxed);
        self.quarantined.fetch_add(transfer.quarantined, Ordering::Relaxed);
        let mut last = self.last();
        last.error = None;
        if let Some(newest) = transfer.newest {
            let micros = now.as_micros().saturating_sub(newest.as_micros()).max(0);
            last.lag = Some(Duration::from_micros(micros.unsigned_abs()));
            last.event = last.event.max(Some(newest));
        }
    }

    /// Counts a transfer that was rejected. The text must not contain what the sender sent.
    pub(crate) fn failed(&self, error: &str) {
        self.rejected.fetch_add(1, Ordering::Relaxed);
        self.show_error(error);
    }

    /// Shows an error that lasts, without counting it.
    pub(crate) fn show_error(&self, error: &str) {
        let mut error = error.to_owned();
        error.truncate(error.floor_char_boundary(ERROR_BYTES_MAX));
        self.last().error = Some(error);
    }

    /// Notes that events cannot be recorded at present.
    pub(crate) fn unavailable(&self, now: Timestamp) {
        self.last().unavailable_since.get_or_insert(now);
    }

    /// The time in which events could not be recorded, if it was too long. It ends now.
    pub(crate) fn take_outage(&self, now: Timestamp) -> Option<Outage> {
        let since = self.last().unavailable_since.take()?;
        Outage::new(since, now, self.patience?)
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_time_longer_than_the_senders_patience_is_an_outage() {
        let seconds = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let patience = Duration::from_secs(81);
        let source = SourceStatus::new("a", "b", "c").drops_after(patience);
        assert_eq!(source.take_outage(seconds(1000)), None);
        source.unavailable(seconds(1000));
        assert_eq!(source.take_outage(seconds(1081)), None);
        source.unavailable(seconds(2000));
        source.unavailable(seconds(2081));
        let (from, until) = (seconds(2000), seconds(2082));
        assert_eq!(source.take_outage(until), Some(Outage { from, until, patience }));
        assert_eq!(source.take_outage(seconds(9000)), None, "it is reported once");
        let patient = SourceStatus::new("a", "b", "c");
        patient.unavailable(seconds(1));
        assert_eq!(patient.take_outage(seconds(9000)), None);
    }
}
