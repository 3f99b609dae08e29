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
use crate::audit::intents::{Intent, Intents};
use crate::limits::{GAP_PERIOD, RECORD_TIME_MAX};

/// Divisor of the store's limit: this fraction of the store is reserved for authenticated users.
const UNAUTHENTICATED_RESERVE: u64 = 8;

/// Writes audit events to the journal, as upstream's `audit.Backend` writes them to a log.
pub(crate) struct JournalBackend {
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    intents: Intents,
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
    pub(crate) fn new(storage: Arc<dyn Storage>, clock: Arc<dyn Clock>) -> Self {
        let (rejected, rejected_unauthenticated) = (AtomicU64::new(0), AtomicU64::new(0));
        Self {
            storage,
            clock,
            intents: Intents::new(),
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
            Ok(Ok(_)) => {
                self.record_gap().await;
                Ok(())
            }
            Ok(Err(error)) => Err(self.reject(&error)),
            Err(_) => Err(self.reject(&deadline_exceeded())),
        }
    }

    /// Stores an intent before its request is forwarded. The caller counts an error.
    pub(crate) async fn declare(&self, record: Bytes) -> Result<Intent, StoreError> {
        self.intents.declare(self.storage.as_ref(), record).await
    }

    /// Like [`log`](Self::log), and removes the intent in the same transaction.
    pub(crate) async fn log_outcome(
        &self,
        record: Option<Bytes>,
        intent: Option<Intent>,
    ) -> Result<(), ApiError> {
        let Some(intent) = intent else { return self.log(record).await };
        match self.intents.resolve(self.storage.as_ref(), intent, record).await {
            Ok(()) => {
                self.record_gap().await;
                Ok(())
            }
            Err(error) => Err(self.reject(&error)),
        }
    }

    /// Records the requests that earlier runs forwarded without recording their outcome.
    pub(crate) async fn recover_intents(&self, closing: &CancellationToken) {
        self.intents.recover(self.storage.as_ref(), closing).await;
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

    /// Records rejected requests soon after the store accepts records again, until `closing`. A
    /// write is committed with its own event, and a server may serve no other requests for hours.
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
