//! Logs audit events durably before responses leave, and counts requests that could not be logged.
//!
//! Knows nothing of what a record means, except for the one event it writes itself: after a time in
//! which requests were refused for want of a record, an event says how many there were.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use event::annotations::REJECTED_REQUESTS;
use event::{Event, OwnEvent, Stage, Status};
use store::{Health, Holder, Storage, StoreError};
use tracing::{error, info};

use crate::limits::RECORD_TIME_MAX;
use crate::{ApiError, Clock};

/// The part of the store that is kept for requests of recognised users: one in so many.
const UNRECOGNISED_RESERVE: u64 = 8;

/// Writes audit events to the journal, as upstream's `audit.Backend` does to a log.
pub(crate) struct JournalBackend {
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    /// Requests refused since the last gap event. Counted here and not taken from the store, which
    /// counts a change that it refuses and the record of that refusal as two.
    refused: AtomicU64,
    /// The same of requests in which no user was recognised. Told when there is room for such requests
    /// again: a gap event for each record in between would use up what is kept for the others.
    refused_unrecognised: AtomicU64,
}

impl JournalBackend {
    pub(crate) fn new(storage: Arc<dyn Storage>, clock: Arc<dyn Clock>) -> Self {
        let (refused, refused_unrecognised) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { storage, clock, refused, refused_unrecognised }
    }

    /// Whether a request in which no user was recognised may still be recorded: the last part of the
    /// journal is for users who are known, since every client can send such requests.
    pub(crate) fn check_unauthenticated_reserve(&self) -> Result<(), ApiError> {
        let health = self.storage.health();
        if has_unauthenticated_reserve(&health) {
            return Ok(());
        }
        let (held, limit) = (health.used_bytes, health.limit_bytes);
        let error = StoreError::Full { holder: Holder::Reserve, held, limit };
        if self.refused_unrecognised.fetch_add(1, Ordering::Relaxed) == 0 {
            error!(%error, "requests in which no user is recognised are refused");
        }
        Err(audit_unavailable(&error))
    }

    /// How many requests were refused, as far as that is to be told now.
    fn take_refused(&self) -> u64 {
        let mut count = match self.refused.load(Ordering::Relaxed) {
            0 => 0,
            _ => self.refused.swap(0, Ordering::Relaxed),
        };
        if self.refused_unrecognised.load(Ordering::Relaxed) > 0
            && has_unauthenticated_reserve(&self.storage.health())
        {
            count += self.refused_unrecognised.swap(0, Ordering::Relaxed);
        }
        count
    }

    /// Returns when the record is durable; at once when there is none to keep.
    pub(crate) async fn log(&self, record: Option<Bytes>) -> Result<(), ApiError> {
        let Some(record) = record else { return Ok(()) };
        let kept = store::record(self.storage.as_ref(), record);
        match tokio::time::timeout(RECORD_TIME_MAX, kept).await {
            Ok(Ok(_)) => {
                self.record_gap().await;
                Ok(())
            }
            Ok(Err(error)) => Err(self.reject(&error)),
            Err(_) => Err(self.reject(&deadline_exceeded())),
        }
    }

    /// The error of a request that cannot be recorded, and of a change whose outcome is unknown.
    pub(crate) fn reject(&self, error: &StoreError) -> ApiError {
        if self.refused.fetch_add(1, Ordering::Relaxed) == 0 {
            error!(%error, "requests are refused, they cannot be recorded");
        }
        audit_unavailable(error)
    }

    /// Says how many requests were refused, now that records can be kept again.
    async fn record_gap(&self) {
        let count = self.take_refused();
        if count == 0 {
            return;
        }
        // The store's own count begins anew as well: its health shows what is not on record.
        self.storage.take_refused();
        info!(count, "requests are recorded again");
        let record = event::record::write(&gap(count, self.clock.as_ref()));
        if let Err(error) = store::record(self.storage.as_ref(), record).await {
            error!(%error, count, "the gap in the journal cannot be recorded");
        }
    }
}

/// Whether the part of the store that is not reserved for authenticated users has free space.
fn has_unauthenticated_reserve(health: &Health) -> bool {
    health.used_bytes < health.limit_bytes - health.limit_bytes / UNRECOGNISED_RESERVE
}

/// What a client hears when its request cannot be recorded or carried out for the store's sake.
pub(crate) fn audit_unavailable(error: &StoreError) -> ApiError {
    let seconds = error.retry_after().map_or(30, |time| time.as_secs().max(1));
    let message = format!("the request cannot be recorded: {error}");
    ApiError::unavailable(message, u32::try_from(seconds).unwrap_or(30))
}

/// The disk has been given long enough.
pub(crate) fn deadline_exceeded() -> StoreError {
    StoreError::Unavailable { reason: "the disk does not answer in time".to_owned() }
}

fn gap(count: u64, clock: &dyn Clock) -> Event {
    Event {
        audit_id: uuid::Uuid::new_v4().to_string(),
        response_status: Some(Status {
            code: 503,
            message: format!("{count} requests were refused because they could not be recorded"),
            ..Status::default()
        }),
        annotations: BTreeMap::from([(REJECTED_REQUESTS.to_owned(), count.to_string())]),
        ..OwnEvent::Gap.event(Stage::ResponseComplete, "", clock.now())
    }
}
