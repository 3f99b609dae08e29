//! Records the events of sources in the journal, each once.
//!
//! A [`Transfer`] is what a sender gets acknowledged at once: a request, a
//! part of a file. [`Recording`] records its events in several transactions, so that its memory is
//! bounded whatever the size of the transfer, and returns once all of them are durable. If it fails,
//! some events may be recorded; the sender sends all of them again, and those are duplicates.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use apiserver::Clock;
use bytes::Bytes;
use event::annotations::QUARANTINE_PLACE;
use event::{Event, Timestamp, record};
use store::{
    Direction, DiskUse, Journal, ListOptions, PendingCommit, ReadError, Record, Storage,
    StoreError, Transaction,
};
use tokio::sync::Notify;

use crate::convert::{convert, identity_of, quarantine};
use crate::identities::{Admitted, Chunk, Identities};
use crate::limits::{
    CHUNK_BYTES_MAX, CHUNK_EVENTS_MAX, OWN_RESERVE, QUARANTINED_MAX, RECORD_TIME_MAX,
};
use crate::raw;
use crate::redaction::redact;
use crate::refill::{RefillLimits, Refilled, refill, scan};
use crate::splitter::{Digest, Item};
use crate::status::{SourceStatus, Transfer};

/// As what the items of sources are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As events, in the journal of a server.
    Events,
    /// As they were received, in a journal that is only forwarded.
    Raw,
}

/// Records events. Shared by all sources of a server.
pub struct Recorder {
    form: Form,
    storage: Arc<dyn Storage>,
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    identities: Mutex<Identities>,
    started: Timestamp,
    before_start: Option<Timestamp>,
    /// Notified when an outage must be recorded or stored.
    pub(crate) outages: Notify,
    /// Held while records are read whose transactions failed.
    resolving: tokio::sync::Mutex<()>,
}

impl Recorder {
    /// Reads the identities of the events that were recorded last, within [`REFILL_TIME_MAX`].
    ///
    /// [`REFILL_TIME_MAX`]: crate::limits::REFILL_TIME_MAX
    pub async fn open(
        storage: Arc<dyn Storage>,
        journal: Arc<dyn Journal>,
        clock: Arc<dyn Clock>,
        form: Form,
    ) -> Result<Arc<Self>, ReadError> {
        let mut identities = Identities::default();
        let limits = RefillLimits::default();
        let Refilled { is_complete, newest } = refill(&*journal, &mut identities, &limits).await?;
        let known = identities.len();
        if is_complete {
            tracing::debug!(known, "identities of recorded events are known");
        } else {
            tracing::warn!(
                known,
                "the last events are too many to read all of them at the start: an older one that is \
                 sent again is recorded twice"
            );
        }
        let (started, before_start) = (clock.now(), newest);
        let (identities, resolving) = (Mutex::new(identities), tokio::sync::Mutex::new(()));
        Ok(Arc::new(Self {
            form,
            storage,
            journal,
            clock,
            identities,
            started,
            before_start,
            outages: Notify::new(),
            resolving,
        }))
    }

    /// Checks whether events of sources can be recorded. The last part of a server's journal is
    /// reserved for its own requests.
    pub fn check_space(&self) -> Result<(), StoreError> {
        let health = self.storage.health();
        if !health.is_writable() {
            return Err(StoreError::Unavailable { reason: health.reason });
        }
        let (used, limit) = (health.used_bytes, health.limit_bytes);
        if self.form == Form::Raw || used < limit - limit / OWN_RESERVE {
            return Ok(());
        }
        Err(StoreError::Full { largest_use: DiskUse::Reserved, used, limit })
    }

    /// Begins to record the events of a transfer.
    pub fn begin<'r>(&'r self, source: &'r SourceStatus) -> Recording<'r> {
        Recording {
            recorder: self,
            source,
            waiting: Vec::new(),
            bytes: 0,
            pending: None,
            others: Vec::new(),
            quarantined: 0,
            left_out: None,
            object: None,
            location: None,
            transfer: Transfer::default(),
        }
    }

    /// Records an event about a source. Fails without an attempt if the store takes no events.
    pub(crate) async fn append(&self, event: &Event) -> Result<(), StoreError> {
        self.check_space()?;
        store::append(&*self.storage, record::write(event)).await.map(drop)
    }

    /// Records an event about a source, also in the reserved part of the journal.
    pub(crate) async fn append_own(&self, event: &Event) -> Result<(), StoreError> {
        if !self.is_writable() {
            return Err(StoreError::Unavailable { reason: self.reason() });
        }
        store::append(&*self.storage, record::write(event)).await.map(drop)
    }

    /// Whether the store takes writes.
    pub(crate) fn is_writable(&self) -> bool {
        self.storage.health().is_writable()
    }

    /// Why it does not.
    pub(crate) fn reason(&self) -> String {
        self.storage.health().reason
    }

    /// Records an event about a source, also in the reserved part of the journal, and changes an
    /// object, in one transaction.
    pub(crate) fn append_and_store(
        &self,
        record: Option<Bytes>,
        object: StoredObject,
    ) -> PendingCommit {
        self.storage.submit(Box::new(move |transaction| {
            if let Some(record) = record {
                transaction.append(record);
            }
            object.write(transaction);
        }))
    }

    /// When this server started.
    pub(crate) fn started(&self) -> Timestamp {
        self.started
    }

    /// When the last record was written before the start.
    pub(crate) fn before_start(&self) -> Option<Timestamp> {
        self.before_start
    }

    /// The stored objects with this prefix.
    pub(crate) async fn objects(&self, prefix: &str) -> Result<Vec<(String, Bytes)>, ReadError> {
        let page = self.storage.list(prefix, ListOptions::default()).await?;
        Ok(page.items.iter().map(|item| (item.key.to_string(), item.body.clone())).collect())
    }

    /// Changes objects, and waits until that is durable.
    pub(crate) async fn store(&self, objects: Vec<StoredObject>) -> Result<(), StoreError> {
        let commit = self.storage.submit(Box::new(move |transaction| {
            for object in objects {
                object.write(transaction);
            }
        }));
        in_time(commit).await
    }

    /// The current time.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Submits the events that are new, with the object, unless it has to wait for other
    /// transactions.
    async fn submit(
        &self,
        source: &SourceStatus,
        events: Vec<(Digest, Bytes)>,
        object: &mut Option<StoredObject>,
    ) -> Result<Admitted, StoreError> {
        // A long body may have filled the journal since the request began.
        if let Err(full @ StoreError::Full { .. }) = self.check_space() {
            return Err(full);
        }
        self.resolve_doubt().await?;
        let (digests, records): (Vec<Digest>, Vec<Bytes>) = events.into_iter().unzip();
        let after = self.journal.last_seq();
        // Submitting only enqueues the transaction, so the lock is held for a moment.
        Ok(self.identities().admit(source.name(), &digests, after, |fresh, others_are_durable| {
            let object = if others_are_durable { object.take() } else { None };
            let fresh: Vec<Bytes> = fresh.iter().map(|at| records[*at].clone()).collect();
            self.storage.submit(Box::new(move |transaction| {
                for record in fresh {
                    transaction.append(record);
                }
                if let Some(object) = object {
                    object.write(transaction);
                }
            }))
        }))
    }

    /// Waits until a transaction is durable.
    async fn wait(&self, chunk: &Arc<Chunk>) -> Result<(), StoreError> {
        let commit = tokio::time::timeout(RECORD_TIME_MAX, chunk.commit.clone()).await;
        // After the time limit the outcome is still open, and the next copy of the events waits for
        // it.
        let outcome = commit.map_err(|_| late())?;
        let outcome = outcome.map(drop);
        self.identities().settle(chunk, outcome.as_ref().copied());
        outcome
    }

    /// Reads the records of transactions that failed but may have been committed.
    async fn resolve_doubt(&self) -> Result<(), StoreError> {
        if self.doubtful_after().is_none() {
            return Ok(());
        }
        let _resolving = self.resolving.lock().await;
        let Some(doubtful) = self.doubtful_after() else { return Ok(()) };
        self.check_space()?;
        let failed = |error: ReadError| StoreError::Unavailable { reason: error.to_string() };
        let range = doubtful.saturating_add(1)..=self.journal.last_seq();
        let add = |record: &Record| {
            if let Some((source, digest)) = identity_of(&record.bytes) {
                self.identities().add_recorded(source, digest);
            }
            ControlFlow::Continue(())
        };
        scan(&*self.journal, range, Direction::Forward, add).await.map_err(failed)?;
        self.identities().resolve_doubt(doubtful);
        Ok(())
    }

    fn doubtful_after(&self) -> Option<u64> {
        self.identities().doubtful_after()
    }

    fn identities(&self) -> MutexGuard<'_, Identities> {
        self.identities.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An object that is written, or deleted if it has no body.
#[derive(Debug)]
pub(crate) struct StoredObject {
    pub(crate) key: String,
    pub(crate) body: Option<Bytes>,
}

impl StoredObject {
    fn write(self, transaction: &mut dyn Transaction) {
        if self.body.is_none() && transaction.get(&self.key).is_none() {
            return;
        }
        let revision = transaction.next_revision();
        match self.body {
            Some(body) => transaction.put(&self.key, revision, body),
            None => transaction.delete(&self.key, revision, Bytes::new()),
        }
    }
}

/// Waits for a commit that nothing else waits for.
async fn in_time(commit: PendingCommit) -> Result<(), StoreError> {
    tokio::time::timeout(RECORD_TIME_MAX, commit).await.map_err(|_| late())?.map(drop)
}

fn late() -> StoreError {
    StoreError::Unavailable { reason: "the disk did not respond in time".to_owned() }
}

/// The recording of one transfer.
pub struct Recording<'r> {
    recorder: &'r Recorder,
    source: &'r SourceStatus,
    /// Records that are not submitted yet, and their bytes.
    waiting: Vec<(Digest, Bytes)>,
    bytes: usize,
    /// The transaction that is being committed.
    pending: Option<Arc<Chunk>>,
    /// Transactions of other transfers with the same events.
    others: Vec<Arc<Chunk>>,
    quarantined: usize,
    /// One item that represents all quarantined items beyond [`QUARANTINED_MAX`], and their number.
    left_out: Option<(Item, u64)>,
    /// Written with the events, in one transaction.
    object: Option<StoredObject>,
    /// Where the next item is from: the key of an object, and the offset in it.
    location: Option<(String, u64)>,
    transfer: Transfer,
}

impl Recording<'_> {
    /// Writes an object in the transaction of the events, of which there is only one then: the
    /// caller limits their number and size. To be called before the first event is added.
    pub(crate) fn write_with_events(&mut self, object: StoredObject) {
        self.object = Some(object);
    }

    /// Sets where the next items are from: an object, and the offset in its decompressed content.
    /// What is not an event is recorded with it.
    pub(crate) fn set_location(&mut self, key: &str, offset: u64) {
        match &mut self.location {
            Some((known, at)) if known == key => *at = offset,
            location => *location = Some((key.to_owned(), offset)),
        }
    }

    /// Adds an item. Waits for a commit if as much waits as may.
    pub async fn add(&mut self, mut item: Item) -> Result<(), StoreError> {
        self.transfer.received += 1;
        redact(&mut item.text);
        if self.recorder.form == Form::Raw {
            self.transfer.quarantined += u64::from(item.fault.is_some());
            self.transfer.newest = self.transfer.newest.max(raw::time(&item));
            return self.push_record(item.digest, raw::record(&item)).await;
        }
        let item = raw::unwrap(item);
        match convert(&item, self.source) {
            Ok(event) => {
                self.transfer.newest = self.transfer.newest.max(Some(event.stage_timestamp));
                self.push(item.digest, &event).await
            }
            Err(reason) => self.quarantine(item, &reason).await,
        }
    }

    /// Adds an event that was made from what was received, with the identity of that.
    pub(crate) async fn add_event(
        &mut self,
        digest: Digest,
        event: &Event,
    ) -> Result<(), StoreError> {
        self.transfer.received += 1;
        self.transfer.newest = self.transfer.newest.max(Some(event.stage_timestamp));
        self.push(digest, event).await
    }

    /// Adds an item that is not recorded as an event, whatever it is. The reason must not contain a
    /// text of the sender.
    pub(crate) async fn add_rejected(
        &mut self,
        item: Item,
        reason: &str,
    ) -> Result<(), StoreError> {
        self.transfer.received += 1;
        self.quarantine(item, reason).await
    }

    /// Waits until the events that were added are durable.
    pub async fn commit(&mut self) -> Result<(), StoreError> {
        self.flush().await?;
        self.settle().await
    }

    /// Waits until all events are durable, and counts them.
    pub async fn finish(mut self) -> Result<Transfer, StoreError> {
        if let Some((item, items)) = self.left_out.take() {
            let reason = format!("{items} more items that arrived together are not events");
            self.push_quarantine(&item, &reason).await?;
        }
        self.commit().await?;
        for chunk in std::mem::take(&mut self.others) {
            self.recorder.wait(&chunk).await?;
        }
        // All events were recorded before, or are in transactions of other transfers.
        if let Some(object) = self.object.take() {
            self.recorder.store(vec![object]).await?;
        }
        self.source.succeeded(&self.transfer, self.recorder.now());
        Ok(self.transfer)
    }

    async fn quarantine(&mut self, mut item: Item, reason: &str) -> Result<(), StoreError> {
        redact(&mut item.text);
        self.transfer.quarantined += 1;
        self.quarantined += 1;
        if self.quarantined <= QUARANTINED_MAX {
            return self.push_quarantine(&item, reason).await;
        }
        let (skipped, items) = self.left_out.get_or_insert((Item::default(), 0));
        *items += 1;
        skipped.len += item.len;
        // A request that is sent again has the same identity.
        for (sum, byte) in skipped.digest.iter_mut().zip(item.digest) {
            *sum = sum.rotate_left(1) ^ byte;
        }
        Ok(())
    }

    async fn push_quarantine(&mut self, item: &Item, reason: &str) -> Result<(), StoreError> {
        let mut event = quarantine(item, reason, self.source, self.recorder.now());
        if let Some((key, offset)) = &self.location {
            let location = format!("{key}, byte {offset}");
            event.annotations.insert(QUARANTINE_PLACE.to_owned(), location);
        }
        self.push(item.digest, &event).await
    }

    async fn push(&mut self, digest: Digest, event: &Event) -> Result<(), StoreError> {
        self.push_record(digest, record::write(event)).await
    }

    async fn push_record(&mut self, digest: Digest, record: Bytes) -> Result<(), StoreError> {
        self.bytes += record.len();
        self.waiting.push((digest, record));
        let is_full = self.waiting.len() >= CHUNK_EVENTS_MAX || self.bytes >= CHUNK_BYTES_MAX;
        if is_full && self.object.is_none() {
            self.flush().await?;
        }
        Ok(())
    }

    /// Submits what waits, once the previous transaction is committed.
    async fn flush(&mut self) -> Result<(), StoreError> {
        self.settle().await?;
        self.bytes = 0;
        let events = std::mem::take(&mut self.waiting);
        let count = events.len();
        let Admitted { chunk, others, duplicates } =
            self.recorder.submit(self.source, events, &mut self.object).await?;
        self.pending = chunk;
        self.transfer.duplicates += duplicates as u64;
        self.transfer.recorded += (count - duplicates) as u64;
        let last = self.others.last().map(Arc::as_ptr);
        let is_new = |other: &Arc<Chunk>| Some(Arc::as_ptr(other)) != last;
        self.others.extend(others.into_iter().filter(is_new));
        Ok(())
    }

    async fn settle(&mut self) -> Result<(), StoreError> {
        match self.pending.take() {
            Some(chunk) => self.recorder.wait(&chunk).await,
            None => Ok(()),
        }
    }
}
