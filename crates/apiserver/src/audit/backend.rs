//! Logs audit events durably before responses are sent, and counts requests that could not be
//! logged.
//!
//! The backend does not interpret the records. It writes one event of its own, the gap event: after
//! requests were rejected because their events could not be logged, it records their number.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use apimachinery::ApiError;
use bytes::Bytes;
use event::annotations::REJECTED_REQUESTS;
use event::{Event, InternalEvent, Stage, Status};
use store::{DiskUse, Health, Storage, StoreError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::Clock;
use crate::audit::intents::{Intent, Intents, Resolution, StoredKey};
use crate::audit::late_outcomes::{LateOutcome, LateOutcomes, not_sent};
use crate::limits::{GAP_PERIOD, LATE_PAUSE_MAX, LATE_PAUSE_MIN, RECORD_TIME_MAX};
use crate::metrics::Metrics;

/// Divisor of the store's limit: this fraction of the store is reserved for authenticated users.
const UNAUTHENTICATED_RESERVE: u64 = 8;

/// Writes audit events to the journal, as upstream's `audit.Backend` writes them to a log.
pub(crate) struct JournalBackend {
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    intents: Intents,
    late: LateOutcomes,
    /// Requests rejected since the last gap event. The store's own counter is not used: it counts a
    /// rejected write and the rejected record of that write as two.
    rejected: AtomicU64,
    /// Rejected requests without an authenticated user. Reported once the store has space for such
    /// requests again: a gap event after each record in between would use up the reserve.
    rejected_unauthenticated: AtomicU64,
    /// Wakes [`record_gaps`](Self::record_gaps) after a rejection.
    rejection: Notify,
}

impl JournalBackend {
    pub(crate) fn new(storage: Arc<dyn Storage>, clock: Arc<dyn Clock>, metrics: Metrics) -> Self {
        let (rejected, rejected_unauthenticated) = (AtomicU64::new(0), AtomicU64::new(0));
        Self {
            storage,
            clock,
            metrics,
            intents: Intents::new(),
            late: LateOutcomes::default(),
            rejected,
            rejected_unauthenticated,
            rejection: Notify::new(),
        }
    }

    /// Checks whether a request without an authenticated user may still be logged. The last part of
    /// the journal is reserved for authenticated users, because every client can send
    /// unauthenticated requests.
    pub(crate) fn check_unauthenticated_reserve(&self) -> Result<(), ApiError> {
        let health = self.storage.health();
        if has_unauthenticated_reserve(&health) {
            return Ok(());
        }
        let (used, limit) = (health.used_bytes, health.limit_bytes);
        let error = StoreError::Full { largest_use: DiskUse::Reserved, used, limit };
        if self.rejected_unauthenticated.fetch_add(1, Ordering::Relaxed) == 0 {
            error!(%error, "unauthenticated requests are rejected: the rest of the journal is reserved for authenticated users");
        }
        self.rejection.notify_one();
        Err(audit_unavailable(&error))
    }

    /// Resets the counters that can be reported now, and returns their sum.
    fn take_rejected(&self) -> u64 {
        let mut count = match self.rejected.load(Ordering::Relaxed) {
            0 => 0,
            _ => self.rejected.swap(0, Ordering::Relaxed),
        };
        if self.rejected_unauthenticated.load(Ordering::Relaxed) > 0
            && has_unauthenticated_reserve(&self.storage.health())
        {
            count += self.rejected_unauthenticated.swap(0, Ordering::Relaxed);
        }
        count
    }

    /// Returns when the record is durable, or immediately if there is no record. Fails after
    /// [`RECORD_TIME_MAX`].
    pub(crate) async fn log(&self, record: Option<Bytes>) -> Result<(), ApiError> {
        let Some(record) = record else { return Ok(()) };
        let logged = store::append(self.storage.as_ref(), record);
        match tokio::time::timeout(RECORD_TIME_MAX, logged).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(self.reject(&error)),
            Err(_) => Err(self.reject(&deadline_exceeded())),
        }
    }

    /// Stores the intent of a request before it is forwarded, in `intent`. It is there before the
    /// store is asked, so that it is resolved whatever happens to the caller.
    pub(crate) async fn declare(
        &self,
        intent: &mut Option<Intent>,
        record: Bytes,
    ) -> Result<(), ApiError> {
        let intent = intent.insert(self.intents.begin());
        let stored = self.intents.store(self.storage.as_ref(), intent, record).await;
        stored.map_err(|error| {
            intent.is_refused = true;
            audit_unavailable(&error)
        })
    }

    /// Replaces the event that is appended if the end of the request is never recorded.
    pub(crate) async fn redeclare(&self, intent: &Intent, record: Bytes) -> Result<(), ApiError> {
        let replaced = self.intents.replace(self.storage.as_ref(), intent, record).await;
        replaced.map_err(|error| audit_unavailable(&error))
    }

    /// Like [`log`](Self::log), and removes the intent in the same transaction. If that fails, it is
    /// tried again until it succeeds; `client` says what the event has to say then.
    pub(crate) async fn log_outcome(
        &self,
        record: Option<Bytes>,
        intent: Option<Intent>,
        client: Client,
    ) -> Result<(), ApiError> {
        let Some(key) = intent.and_then(Intent::into_key) else { return self.log(record).await };
        let resolution = record.clone().map_or(Resolution::Forget, Resolution::Append);
        match self.intents.resolve(self.storage.as_ref(), &key, resolution).await {
            Ok(true) => Ok(()),
            // An earlier attempt resolved it.
            Ok(false) if key.is_certain => Ok(()),
            // It was never stored.
            Ok(false) => self.log(record).await,
            Err(error) => {
                let record = record.map(|record| match client {
                    Client::GetsError => not_sent(record),
                    Client::HasResponse => record,
                });
                self.keep(key, record, &error);
                Err(audit_unavailable(&error))
            }
        }
    }

    /// Keeps an outcome for [`record_late_outcomes`](Self::record_late_outcomes).
    fn keep(&self, key: StoredKey, record: Option<Bytes>, error: &StoreError) {
        let resolution = record.map_or(Resolution::Forget, Resolution::Append);
        let may_be_recorded = may_have_run(error);
        if !self.late.push(LateOutcome { key, resolution, may_be_recorded }) {
            error!("too many outcomes wait for the store: the next start records this one");
            return;
        }
        let count = self.late.len();
        self.metrics.late_outcomes(count);
        if count == 1 {
            error!(%error, "outcomes of forwarded requests wait until the store accepts them");
        }
    }

    /// Number of outcomes that could not be appended yet.
    pub(crate) fn late_outcomes(&self) -> usize {
        self.late.len()
    }

    /// Appends the outcomes that could not be appended, as soon as the store accepts records again,
    /// until `closing`.
    pub(crate) async fn record_late_outcomes(&self, closing: &CancellationToken) {
        while closing.run_until_cancelled(self.late.arrived()).await.is_some() {
            let mut pause = LATE_PAUSE_MIN;
            while self.late.len() > 0 {
                let wait = tokio::time::sleep(pause);
                if closing.run_until_cancelled(wait).await.is_none() {
                    return;
                }
                pause = (2 * pause).min(LATE_PAUSE_MAX);
                // The store counts each refused attempt as a lost request.
                if self.storage.health().is_writable()
                    && let Err(error) = self.append_late_outcomes().await
                {
                    info!(%error, "outcomes of forwarded requests still wait for the store");
                }
            }
        }
    }

    /// Appends the outcomes that wait, before the server ends. The next start records the rest.
    pub(crate) async fn record_last_outcomes(&self) {
        if self.late.len() == 0 {
            return;
        }
        let appended = tokio::time::timeout(RECORD_TIME_MAX, self.append_late_outcomes()).await;
        if !matches!(appended, Ok(Ok(()))) {
            error!(count = self.late.len(), "outcomes are left for the next start to record");
        }
    }

    /// Appends outcomes until none waits or one fails.
    async fn append_late_outcomes(&self) -> Result<(), StoreError> {
        while let Some(LateOutcome { key, resolution, may_be_recorded }) = self.late.first() {
            let has_event = !matches!(resolution, Resolution::Forget);
            let resolved = self.intents.resolve(self.storage.as_ref(), &key, resolution).await;
            let is_stored = resolved.inspect_err(|error| {
                if may_have_run(error) {
                    self.late.first_may_be_recorded();
                }
            })?;
            self.late.remove_first();
            self.metrics.late_outcomes(self.late.len());
            if is_stored && has_event {
                self.metrics.event_logged();
            } else if !is_stored && !key.is_certain && !may_be_recorded {
                // Its intent was never stored, so nothing is on record of it. If an earlier attempt
                // may have recorded it, it is not counted: that would be a gap that is none.
                self.rejected.fetch_add(1, Ordering::Relaxed);
                self.rejection.notify_one();
            }
        }
        info!("all outcomes of forwarded requests are on record");
        Ok(())
    }

    /// Records the requests that earlier runs forwarded without recording their outcome. Repeats until
    /// all are recorded: the journal may be full.
    pub(crate) async fn recover_intents(&self) {
        let mut pause = LATE_PAUSE_MIN;
        // The store counts each refused attempt as a lost request.
        while !self.storage.health().is_writable()
            || !self.intents.recover(self.storage.as_ref()).await
        {
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(LATE_PAUSE_MAX);
        }
    }

    /// Counts a rejected request and builds its error. Used if the event cannot be logged or the
    /// outcome of a write is unknown.
    pub(crate) fn reject(&self, error: &StoreError) -> ApiError {
        if self.rejected.fetch_add(1, Ordering::Relaxed) == 0 {
            error!(%error, "requests are rejected because their audit events cannot be recorded");
        }
        self.rejection.notify_one();
        audit_unavailable(error)
    }

    /// Records rejected requests soon after the store accepts records again, until `closing`. No
    /// request does this: its response would wait for the disk a second time, without a limit.
    pub(crate) async fn record_gaps(&self, closing: &CancellationToken) {
        while closing.run_until_cancelled(self.rejection.notified()).await.is_some() {
            while self.has_rejected() {
                let wait = tokio::time::sleep(GAP_PERIOD);
                if closing.run_until_cancelled(wait).await.is_none() {
                    return;
                }
                if self.storage.health().is_writable() {
                    self.record_gap().await;
                }
            }
        }
    }

    /// Appends the gap event for rejected requests before the server ends, because their number is
    /// only in memory.
    pub(crate) async fn record_last_gap(&self) {
        let count = self.rejected.swap(0, Ordering::Relaxed)
            + self.rejected_unauthenticated.swap(0, Ordering::Relaxed);
        if count > 0 && tokio::time::timeout(RECORD_TIME_MAX, self.append_gap(count)).await.is_err()
        {
            error!(count, "the number of rejected requests was not recorded in time");
        }
    }

    fn has_rejected(&self) -> bool {
        [&self.rejected, &self.rejected_unauthenticated]
            .iter()
            .any(|count| count.load(Ordering::Relaxed) > 0)
    }

    /// Records how many requests were rejected, now that records can be logged again.
    async fn record_gap(&self) {
        let count = self.take_rejected();
        if count > 0 && !self.append_gap(count).await {
            self.rejected.fetch_add(count, Ordering::Relaxed);
            self.rejection.notify_one();
        }
    }

    /// Appends a gap event, and returns whether it is durable.
    async fn append_gap(&self, count: u64) -> bool {
        let record = event::record::write(&gap(count, self.clock.as_ref()));
        if let Err(error) = store::append(self.storage.as_ref(), record).await {
            error!(%error, count, "cannot record how many requests were rejected");
            return false;
        }
        // Also resets the store's counter: its health reports the requests that are not recorded
        // yet.
        self.storage.take_rejected();
        info!(count, "requests are recorded again");
        true
    }
}

/// What the client gets of a request whose outcome cannot be recorded in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    /// An error instead of the response.
    GetsError,
    /// It has got the response already.
    HasResponse,
}

/// Whether a transaction with this error may be committed nevertheless. Not if the writer never got it.
fn may_have_run(error: &StoreError) -> bool {
    !matches!(error, StoreError::Full { .. } | StoreError::Busy | StoreError::Closed)
}

/// Whether the part of the store that is not reserved for authenticated users has free space.
fn has_unauthenticated_reserve(health: &Health) -> bool {
    health.used_bytes < health.limit_bytes - health.limit_bytes / UNAUTHENTICATED_RESERVE
}

/// 503 for a request that cannot be logged or executed because of the store.
pub(crate) fn audit_unavailable(error: &StoreError) -> ApiError {
    let seconds = error.retry_after().map_or(30, |time| time.as_secs().max(1));
    let message = format!("the request cannot be recorded: {error}");
    ApiError::unavailable(message, u32::try_from(seconds).unwrap_or(30))
}

/// Error of a write that exceeds its time limit.
pub(crate) fn deadline_exceeded() -> StoreError {
    StoreError::Unavailable { reason: "the disk did not respond in time".to_owned() }
}

fn gap(count: u64, clock: &dyn Clock) -> Event {
    Event {
        audit_id: uuid::Uuid::new_v4().to_string(),
        response_status: Some(Status {
            code: 503,
            message: format!(
                "{count} requests were rejected because their audit events could not be recorded"
            ),
            ..Status::default()
        }),
        annotations: BTreeMap::from([(REJECTED_REQUESTS.to_owned(), count.to_string())]),
        ..InternalEvent::Gap.event(Stage::ResponseComplete, "", clock.now())
    }
}

#[cfg(test)]
mod tests {
    use event::Timestamp;
    use prometheus_client::registry::Registry;
    use store::{Settings, Sqlite};

    use super::*;

    struct Fixed;

    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            Timestamp::from_micros(1_795_000_000_000_000)
        }
    }

    #[tokio::test]
    async fn a_response_waited_for_the_gap_event() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(|| Fixed.now().as_micros());
        let store = Sqlite::open(&folder.path().join("db"), Settings::default(), clock).unwrap();
        let metrics = Metrics::new(&mut Registry::default(), &[]);
        let backend = JournalBackend::new(Arc::new(store.clone()), Arc::new(Fixed), metrics);
        drop(backend.reject(&StoreError::Busy));
        backend.log(Some(Bytes::from_static(b"record"))).await.unwrap();
        assert_eq!(store.journal().last_seq(), 1, "the gap is left to its own task");
        backend.record_last_gap().await;
        assert_eq!(store.journal().last_seq(), 2);
        store.close().await;
    }
}
