//! Intents: forwarded requests whose outcome is not recorded yet.
//!
//! Before a request that may change something is forwarded, the event that says "outcome unknown"
//! is stored as an object. The transaction that appends the real event deletes it. So after a crash
//! exactly the requests without an outcome are left, and the next start appends their events.
//! Objects and not records are used, because a record would be a second event of each request.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use store::{ListOptions, Storage, StoreError};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::limits::{INTENTS_PAGE, INTENTS_PAGE_BYTES, RECORD_TIME_MAX};

/// Where intents are stored, each under the ID of the run of the server that made it.
const PREFIX: &str = "internal/intents/";
/// Pause after the events of a previous run could not be appended.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The intents of one run of the server.
pub(crate) struct Intents {
    /// Prefix of the keys of this run.
    own: String,
    next: AtomicU64,
}

/// A stored intent. If it is dropped without [`Intents::resolve`], its event is appended at the next
/// start.
#[derive(Debug)]
pub(crate) struct Intent {
    key: String,
    /// Whether the request may have had an effect that is not known.
    pub(crate) is_in_doubt: bool,
}

impl Intents {
    pub(crate) fn new() -> Self {
        let own = format!("{PREFIX}{}/", uuid::Uuid::new_v4().simple());
        Self { own, next: AtomicU64::new(0) }
    }

    /// Stores an intent. `record` is the event that says that the outcome is unknown.
    pub(crate) async fn declare(
        &self,
        storage: &dyn Storage,
        record: Bytes,
    ) -> Result<Intent, StoreError> {
        let key = format!("{}{}", self.own, self.next.fetch_add(1, Ordering::Relaxed));
        let object = key.clone();
        let stored = store::write(storage, move |transaction| {
            let revision = transaction.next_revision();
            transaction.put(&object, revision, record);
        });
        within_time(stored).await?;
        Ok(Intent { key, is_in_doubt: false })
    }

    /// Appends the event of an outcome and removes the intent, in one transaction.
    pub(crate) async fn resolve(
        &self,
        storage: &dyn Storage,
        intent: Intent,
        record: Option<Bytes>,
    ) -> Result<(), StoreError> {
        let resolved = store::write(storage, move |transaction| {
            if let Some(record) = record {
                transaction.append(record);
            }
            let revision = transaction.next_revision();
            transaction.delete(&intent.key, revision, Bytes::new());
        });
        within_time(resolved).await
    }

    /// Appends the events of the intents that earlier runs left. Repeats until all are appended, or
    /// until `closing`: the journal may be full.
    pub(crate) async fn recover(&self, storage: &dyn Storage, closing: &CancellationToken) {
        loop {
            match self.recover_all(storage).await {
                Ok(0) => return,
                Ok(count) => {
                    warn!(
                        count,
                        "the outcome of forwarded requests is unknown: the proxy ended before it \
                         was recorded; each has an event that says so"
                    );
                    return;
                }
                Err(reason) => info!(reason, "cannot record the requests of the previous run yet"),
            }
            let pause = tokio::time::sleep(RETRY_PAUSE);
            if closing.run_until_cancelled(pause).await.is_none() {
                return;
            }
        }
    }

    async fn recover_all(&self, storage: &dyn Storage) -> Result<usize, String> {
        let (mut count, mut start_after) = (0, None);
        loop {
            let options = ListOptions {
                start_after: start_after.take(),
                limit: INTENTS_PAGE,
                bytes_max: INTENTS_PAGE_BYTES,
                ..ListOptions::default()
            };
            let page = storage.list(PREFIX, options).await.map_err(|error| error.to_string())?;
            for intent in page.items.iter().filter(|intent| !intent.key.starts_with(&self.own)) {
                let (key, record) = (intent.key.to_string(), intent.body.clone());
                let intent = Intent { key, is_in_doubt: true };
                let recorded = self.resolve(storage, intent, Some(record)).await;
                recorded.map_err(|error| error.to_string())?;
                count += 1;
            }
            match page.next {
                Some(next) => start_after = Some(next),
                None => return Ok(count),
            }
        }
    }
}

/// The result of a commit, or an error if the disk does not respond in time.
async fn within_time<T>(
    commit: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let timeout = tokio::time::timeout(RECORD_TIME_MAX, commit).await;
    timeout.unwrap_or_else(|_| Err(super::backend::deadline_exceeded()))
}
