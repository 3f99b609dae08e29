//! Intents: forwarded requests whose outcome is not recorded yet.
//!
//! Before a request that may change something is forwarded, the event that says "outcome unknown"
//! is stored as an object. The transaction that appends the real event deletes it, and does nothing
//! if it is gone: so each request has one event, however often its outcome is tried. After a crash
//! exactly the requests without an outcome are left, and the next start appends their events.
//! Objects and not records are used, because a record would be a second event of each request.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use store::{ListOptions, Storage, StoreError};
use tracing::{info, warn};

use crate::audit::write_claim::WriteClaim;
use crate::limits::{INTENTS_PAGE, INTENTS_PAGE_BYTES, RECORD_TIME_MAX};

/// Where intents are stored, each under the ID of the run of the server that made it.
const PREFIX: &str = "internal/intents/";

/// The intents of one run of the server.
pub(crate) struct Intents {
    /// Prefix of the keys of this run.
    own: String,
    next: AtomicU64,
}

/// The intent to forward one request. If it is dropped while it is stored, its event is appended at
/// the next start.
#[derive(Debug)]
pub(crate) struct Intent {
    key: String,
    /// Decides whether the intent is stored after its request has stopped waiting for that.
    claim: WriteClaim,
    /// Whether it is known to be stored.
    is_stored: bool,
    /// Whether the request was rejected because it could not be stored.
    pub(crate) is_refused: bool,
    /// What is known of the request.
    pub(crate) effect: Effect,
}

/// Whether a request had an effect at the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// No byte of it was sent.
    NotForwarded,
    /// It was sent, and its outcome has not arrived.
    Unknown,
    /// Its outcome has arrived.
    Known,
}

/// The key of an intent that is stored, or may be.
#[derive(Clone, Debug)]
pub(crate) struct StoredKey {
    key: String,
    /// `false` if the store did not say in time whether it was stored.
    pub(crate) is_certain: bool,
}

/// What becomes of a stored intent.
#[derive(Clone, Debug)]
pub(crate) enum Resolution {
    /// This event is appended.
    Append(Bytes),
    /// The event that says "outcome unknown" is appended.
    AppendStored,
    /// No event is appended.
    Forget,
}

impl Intent {
    /// The key, unless it is certain that the intent is not stored and never will be.
    pub(crate) fn into_key(self) -> Option<StoredKey> {
        let is_absent = !self.is_stored && self.claim.cancel();
        (!is_absent).then_some(StoredKey { key: self.key, is_certain: self.is_stored })
    }
}

impl Intents {
    pub(crate) fn new() -> Self {
        let own = format!("{PREFIX}{}/", uuid::Uuid::new_v4().simple());
        Self { own, next: AtomicU64::new(0) }
    }

    /// An intent that is not stored yet.
    pub(crate) fn begin(&self) -> Intent {
        let key = format!("{}{}", self.own, self.next.fetch_add(1, Ordering::Relaxed));
        let claim = WriteClaim::default();
        let (is_stored, is_refused) = (false, false);
        Intent { key, claim, is_stored, is_refused, effect: Effect::NotForwarded }
    }

    /// Stores an intent. `record` is the event that says that the outcome is unknown. The caller
    /// keeps the intent if this fails or is dropped: it may be stored nevertheless.
    pub(crate) async fn store(
        &self,
        storage: &dyn Storage,
        intent: &mut Intent,
        record: Bytes,
    ) -> Result<(), StoreError> {
        let (key, claim) = (intent.key.clone(), intent.claim.clone());
        let stored = store::write(storage, move |transaction| {
            // A request whose client no longer waits is not forwarded.
            if claim.claim() {
                let revision = transaction.next_revision();
                transaction.put(&key, revision, record);
            }
        });
        within_time(stored).await?;
        intent.is_stored = true;
        Ok(())
    }

    /// Replaces the event of a stored intent.
    pub(crate) async fn replace(
        &self,
        storage: &dyn Storage,
        intent: &Intent,
        record: Bytes,
    ) -> Result<(), StoreError> {
        let key = intent.key.clone();
        let replaced = store::write(storage, move |transaction| {
            let revision = transaction.next_revision();
            transaction.put(&key, revision, record);
        });
        within_time(replaced).await
    }

    /// Resolves a stored intent in one transaction. Returns false, and appends nothing, if it is not
    /// stored: it was resolved earlier, or never stored.
    pub(crate) async fn resolve(
        &self,
        storage: &dyn Storage,
        key: &StoredKey,
        resolution: Resolution,
    ) -> Result<bool, StoreError> {
        let key = key.key.clone();
        let resolved = store::write(storage, move |transaction| {
            let Some(stored) = transaction.get(&key) else { return false };
            match resolution {
                Resolution::Append(record) => transaction.append(record),
                Resolution::AppendStored => transaction.append(stored.body.clone()),
                Resolution::Forget => {}
            }
            let revision = transaction.next_revision();
            transaction.delete(&key, revision, Bytes::new());
            true
        });
        within_time(resolved).await
    }

    /// Appends the events of the intents that earlier runs left, and returns whether all are appended.
    /// It may be dropped at any time; the next start continues.
    pub(crate) async fn recover(&self, storage: &dyn Storage) -> bool {
        match self.recover_all(storage).await {
            Ok(0) => true,
            Ok(count) => {
                warn!(
                    count,
                    "the outcome of forwarded requests is unknown: the proxy ended before it was \
                     recorded; each has an event that says so"
                );
                true
            }
            Err(reason) => {
                info!(reason, "cannot record the requests of the previous run yet");
                false
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
                let key = StoredKey { key: intent.key.to_string(), is_certain: true };
                let recorded = self.resolve(storage, &key, Resolution::AppendStored).await;
                count += usize::from(recorded.map_err(|error| error.to_string())?);
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
