//! The state of each source since the start: what arrived, what was recorded, and the last error.
//!
//! Metrics, `/readyz` and the resource `eventsources` show it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event::Timestamp;

use crate::outage::{PendingGap, Unavailability};

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
    /// Time in which it is normal that nothing is delivered.
    quiet_period: Duration,
    received: AtomicU64,
    recorded: AtomicU64,
    duplicates: AtomicU64,
    quarantined: AtomicU64,
    rejected: AtomicU64,
    last: Mutex<Last>,
    objects: Mutex<ObjectProgress>,
}

/// How far a source that reads objects is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectProgress {
    /// Number of objects that were read since the start.
    pub objects: u64,
    /// Number of objects of the last listing that are not read yet.
    pub waiting: u64,
    /// Number of records of other logs, which are not recorded.
    pub other: u64,
    /// The key of the object that was read last; empty before the first.
    pub last_key: String,
}

/// What changes together.
#[derive(Clone, Debug, Default)]
struct Last {
    event: Option<Timestamp>,
    /// When something was delivered last, by a source that may be quiet.
    delivered: Option<Timestamp>,
    /// Whether the last attempt succeeded to see what is there to be read.
    is_listed: bool,
    lag: Option<Duration>,
    error: Option<String>,
    /// What no gap event records yet.
    unavailability: Option<Unavailability>,
    /// The gap event that is being recorded.
    gap: Option<PendingGap>,
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
    /// How far a source that reads objects is; without numbers for another one.
    pub objects: ObjectProgress,
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
            quiet_period: Duration::ZERO,
            received: AtomicU64::new(0),
            recorded: AtomicU64::new(0),
            duplicates: AtomicU64::new(0),
            quarantined: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            last: Mutex::default(),
            objects: Mutex::default(),
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

    /// A source that may deliver nothing for this time without being silent.
    #[must_use]
    pub fn quiet_for(self, period: Duration) -> Self {
        Self { quiet_period: period, ..self }
    }

    /// Notes that something was delivered at this time.
    pub(crate) fn delivered(&self, time: Timestamp) {
        let mut last = self.last();
        last.delivered = last.delivered.max(Some(time));
    }

    /// Notes whether it was seen what is there to be read. If not, its silence may have another
    /// cause.
    pub(crate) fn set_listed(&self, is_listed: bool) {
        self.last().is_listed = is_listed;
    }

    /// Whether it delivered so recently that its silence is normal.
    pub(crate) fn is_quiet(&self, now: Timestamp) -> bool {
        let period = i64::try_from(self.quiet_period.as_micros()).unwrap_or(i64::MAX);
        let Last { delivered, is_listed: true, .. } = *self.last() else { return false };
        delivered.is_some_and(|time| now.as_micros().saturating_sub(time.as_micros()) < period)
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
            objects: self.progress(),
        }
    }

    /// How far a source that reads objects is.
    pub(crate) fn progress(&self) -> ObjectProgress {
        self.objects().clone()
    }

    /// Changes how far the source is.
    pub(crate) fn update_progress(&self, change: impl FnOnce(&mut ObjectProgress)) {
        change(&mut self.objects());
    }

    /// The last error lasts no longer.
    pub(crate) fn clear_error(&self) {
        self.last().error = None;
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

    /// Notes that events cannot be recorded at present. Returns since when, if that is not stored.
    pub(crate) fn unavailable(&self, now: Timestamp) -> Option<Timestamp> {
        let mut last = self.last();
        let noted = last.unavailability.get_or_insert(Unavailability::since(now));
        noted.until = None;
        (!noted.is_stored).then_some(noted.since)
    }

    /// The time since which events cannot be recorded is stored. Returns false if it is over
    /// meanwhile.
    pub(crate) fn set_stored(&self, since: Timestamp) -> bool {
        match &mut self.last().unavailability {
            Some(noted) if noted.since == since => {
                noted.is_stored = true;
                true
            }
            _ => false,
        }
    }

    /// Notes that events can be recorded. Returns whether that ends a time in which they could not
    /// be.
    pub(crate) fn available(&self, now: Timestamp) -> bool {
        match &mut self.last().unavailability {
            Some(noted) if noted.until.is_none() => {
                noted.until = Some(now);
                true
            }
            _ => false,
        }
    }

    /// Takes the time in which events could not be recorded, if it is over; otherwise returns
    /// since when, if that is not stored.
    pub(crate) fn take_ended(&self) -> Result<Unavailability, Option<Timestamp>> {
        let mut last = self.last();
        match last.unavailability {
            Some(noted) if noted.until.is_some() => {
                last.unavailability = None;
                Ok(noted)
            }
            Some(noted) => Err((!noted.is_stored).then_some(noted.since)),
            None => Err(None),
        }
    }

    /// Notes a time whose gap event is not recorded. Another one since belongs to it.
    pub(crate) fn put_back(&self, earlier: Unavailability) {
        let mut last = self.last();
        let merged = last.unavailability.map_or(earlier, |later| earlier.and(later));
        last.unavailability = Some(merged);
    }

    /// The gap event that is being recorded.
    pub(crate) fn gap(&self) -> Option<PendingGap> {
        self.last().gap.clone()
    }

    /// Notes that a gap event is being recorded, or no longer.
    pub(crate) fn set_gap(&self, gap: Option<PendingGap>) {
        self.last().gap = gap;
    }

    fn objects(&self) -> MutexGuard<'_, ObjectProgress> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Regression: a source whose objects are written once an hour seemed silent.
    #[test]
    fn a_source_that_delivers_rarely_is_quiet_for_its_period() {
        let hours = |hours: i64| Timestamp::from_micros(hours * 3_600_000_000);
        let source = SourceStatus::new("a", "b", "c").quiet_for(Duration::from_hours(2));
        assert!(!source.is_quiet(hours(1)), "it has never delivered");
        source.delivered(hours(10));
        source.delivered(hours(9));
        assert!(!source.is_quiet(hours(11)), "nothing was listed");
        source.set_listed(true);
        assert!(source.is_quiet(hours(11)) && !source.is_quiet(hours(12)));
        let source = SourceStatus::new("a", "b", "c");
        source.delivered(hours(10));
        assert!(!source.is_quiet(hours(10)), "others have no period");
    }
}
