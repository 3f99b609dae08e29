//! The contract of the object store: objects under keys, one increasing revision, and a journal
//! that changes in the same transactions.
//!
//! [`Storage`] is the interface that the other crates use. A change and its record are committed
//! together or not at all, and neither is visible before it is durable. The store does not
//! interpret bodies or records; retention and the location on disk are up to the implementation.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::oneshot;

use crate::{Health, Holder};

/// The state of one object at one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// `group/resource/namespace/name`, or `group/resource/name` without a namespace.
    pub key: Arc<str>,
    /// The revision that wrote this state.
    pub revision: u64,
    /// The body, byte for byte as the transaction put it.
    pub body: Bytes,
}

/// A transaction's closure, run on the writer thread. It must not block: all other requests wait
/// for it.
pub type Work = Box<dyn FnOnce(&mut dyn Transaction) + Send>;

/// A stream of the changes under a prefix of keys.
pub type Watch = Box<dyn Changes>;

/// A store of objects with a journal that is written in the same transactions.
#[async_trait]
pub trait Storage: Send + Sync {
    /// The newest committed state of one object; `None` if it does not exist.
    async fn get(&self, key: &str) -> Result<Option<Arc<Object>>, ReadError>;

    /// The revision of the newest committed change.
    fn current_revision(&self) -> u64;

    /// The oldest revision that can still be listed, or watched from.
    fn oldest_revision(&self) -> u64;

    /// One page of the objects under `prefix` in key order, all as of the same revision.
    async fn list(&self, prefix: &str, options: ListOptions) -> Result<Page, ReadError>;

    /// All changes to objects under `prefix` after revision `after`.
    fn watch(&self, prefix: &str, after: u64) -> Result<Watch, ReadError>;

    /// Enqueue a transaction. It is committed even if the returned future is dropped.
    fn submit(&self, work: Work) -> Pending;

    /// Enqueue a record without a change: the same as [`submit`](Self::submit), but cheaper.
    fn append(&self, record: Bytes) -> Pending;

    /// The state of the store. Cheap enough to call for each request.
    fn health(&self) -> Health;

    /// The number of requests that were rejected without a record since the last call, so that the
    /// gap itself can be recorded. Resets the count.
    fn take_refused(&self) -> u64;
}

/// The operations of a transaction. Reads see the changes of this transaction and of all earlier
/// ones. If a read from disk fails, the transaction is rolled back, whatever the closure did next.
pub trait Transaction {
    /// The state of one object; `None` if it does not exist.
    fn get(&self, key: &str) -> Option<Arc<Object>>;
    /// All objects under a prefix, in key order.
    fn scan(&self, prefix: &str) -> Vec<Arc<Object>>;
    /// Allocate the next revision. Each revision is valid for one [`put`](Self::put) or
    /// [`delete`](Self::delete).
    fn next_revision(&mut self) -> u64;
    /// Create or replace an object. `revision` must come from
    /// [`next_revision`](Self::next_revision).
    fn put(&mut self, key: &str, revision: u64, body: Bytes);
    /// Delete an object. `last_state` is the body that watchers receive.
    fn delete(&mut self, key: &str, revision: u64, last_state: Bytes);
    /// Append a record to the journal.
    fn record(&mut self, record: Bytes);
    /// Move the cursor of a registered reader to `seq`, with an empty state, and replace its
    /// checkpoint: the chunks from which the reader restores its own state. An empty list removes
    /// the checkpoint.
    fn save_checkpoint(&mut self, reader: &str, seq: u64, chunks: Vec<Bytes>);
    /// Move the cursor of a registered reader. Its checkpoint does not change.
    fn advance(&mut self, reader: &str, seq: u64, state: &str);
    /// Discard the changes, records and cursor moves of this transaction so far. Later operations
    /// of the same closure take effect.
    fn rollback(&mut self);
}

/// The parameters of a list request.
#[derive(Debug, Clone, Default)]
pub struct ListOptions {
    /// The revision to read at; the newest if `None`.
    pub at: Option<u64>,
    /// List only keys greater than this one.
    pub start_after: Option<String>,
    /// The maximum number of objects; 0 is no limit.
    pub limit: usize,
    /// The page ends with the object whose body brings the total to this many bytes; 0 is no limit.
    /// Nothing beyond that is read from disk.
    pub bytes_max: usize,
    /// Whether to count the objects after the page. The time it takes grows with their number.
    pub counts_rest: bool,
}

/// One page of a list.
#[derive(Debug, Clone)]
pub struct Page {
    /// The objects, in key order.
    pub items: Vec<Arc<Object>>,
    /// The revision of the whole list.
    pub revision: u64,
    /// The key after which the next page starts ([`ListOptions::start_after`]); `None` on the last
    /// page.
    pub next: Option<String>,
    /// The number of objects after this page, if [`ListOptions::counts_rest`] is set.
    pub remaining: Option<usize>,
}

/// The changes under a prefix, in the order of their revisions.
#[async_trait]
pub trait Changes: Send {
    /// Wait for the next changes; the list is never empty. Cancel safe: dropping the future loses
    /// no change.
    async fn next(&mut self) -> Result<Vec<Change>, ReadError>;

    /// The revision up to which this watch has returned all changes: the revision of a bookmark.
    fn seen(&mut self) -> u64;
}

/// The kind of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// The object did not exist before.
    Created,
    /// The object has a new state.
    Updated,
    /// The object was deleted.
    Deleted,
}

/// One change of one object.
#[derive(Debug, Clone)]
pub struct Change {
    /// The kind of the change.
    pub kind: ChangeKind,
    /// The revision of the change.
    pub revision: u64,
    /// The new state. For a deletion: the last state, with the revision of the deletion.
    pub object: Arc<Object>,
    /// The state before the change; `None` if the object was created.
    pub previous: Option<Arc<Object>>,
}

impl Change {
    /// The key of the object.
    pub fn key(&self) -> &str {
        &self.object.key
    }

    /// The bytes of both bodies.
    pub fn bytes(&self) -> usize {
        let previous = self.previous.as_ref().map_or(0, |previous| previous.body.len());
        self.object.body.len() + previous
    }
}

/// Why a list, a watch or a read of the journal failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The revision was compacted, or belongs to a history that a restore has undone.
    #[error("revision {revision} is not kept any more, the oldest is {floor}")]
    Compacted {
        /// The requested revision.
        revision: u64,
        /// The oldest revision that can be read.
        floor: u64,
    },
    /// The revision does not exist yet.
    #[error("revision {revision} is ahead of the newest, {current}")]
    TooLarge {
        /// The requested revision.
        revision: u64,
        /// The newest revision.
        current: u64,
    },
    /// The bytes on disk differ from those that were written.
    #[error("{what} is damaged on disk")]
    Damaged {
        /// The revision or record, as text for people.
        what: String,
        /// The number of the revision, or the sequence number of the record.
        number: u64,
    },
    /// Records were written to the journal and are missing from it.
    #[error("the journal's records {first} to {last} are missing")]
    Missing {
        /// Sequence number of the first missing record.
        first: u64,
        /// Sequence number of the last missing record.
        last: u64,
    },
    /// The file cannot be read.
    #[error("cannot read the store: {reason}")]
    Unavailable {
        /// The text of the I/O or database error.
        reason: String,
    },
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
}

/// Why a transaction failed. On an error, no change was published. Only after `NoSpace` and
/// `Unavailable` may the transaction turn out to be committed, with its record, once the file has
/// been checked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file has reached its size limit; everything that retention may remove was removed
    /// before.
    #[error("the journal is full at {held} of {limit} bytes: {holder}")]
    Full {
        /// What uses most of the file.
        holder: Holder,
        /// The used bytes of the file.
        held: u64,
        /// The size limit in bytes.
        limit: u64,
    },
    /// The disk has no free space.
    #[error("no space is left on the disk of the store")]
    NoSpace,
    /// The disk failed. The file is reopened and checked before anything else is acknowledged.
    #[error("the store is unavailable: {reason}")]
    Unavailable {
        /// The text of the I/O or database error.
        reason: String,
    },
    /// The closure panicked. Its transaction is rolled back; others are not affected.
    #[error("the work panicked: {message}")]
    Panicked {
        /// The panic message.
        message: String,
    },
    /// The transaction used a revision that it did not allocate, or used one twice. It is rolled
    /// back.
    #[error("the work misused revision {revision}")]
    Misused {
        /// The misused revision.
        revision: u64,
    },
    /// The transaction moved the cursor of a reader that is not registered. It is rolled back.
    #[error("reader `{reader}` is not registered: register it before its cursor is moved")]
    Unregistered {
        /// The name of the reader.
        reader: String,
    },
    /// The queue of the writer is full.
    #[error("too many requests wait for the store")]
    Busy,
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// The time after which a retry can succeed; `None` if it never can.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy | Self::Full { holder: Holder::Upkeep, .. } => Some(Duration::from_secs(1)),
            Self::NoSpace | Self::Unavailable { .. } => Some(Duration::from_secs(5)),
            Self::Full { .. } => Some(Duration::from_secs(30)),
            Self::Panicked { .. }
            | Self::Misused { .. }
            | Self::Unregistered { .. }
            | Self::Closed => None,
        }
    }
}

/// The result of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// The sequence number of the transaction's last record, or of the journal's last record if it
    /// has none.
    pub seq: u64,
    /// The newest revision after the transaction.
    pub revision: u64,
}

/// The sending half of a [`Pending`].
pub(crate) type Answer = oneshot::Sender<Result<Committed, StoreError>>;

/// An enqueued transaction. The future resolves when the commit is durable or has failed.
#[derive(Debug)]
pub struct Pending(State);

#[derive(Debug)]
enum State {
    Waiting(oneshot::Receiver<Result<Committed, StoreError>>),
    Refused(StoreError),
}

impl Pending {
    pub(crate) fn channel() -> (Answer, Self) {
        let (sender, receiver) = oneshot::channel();
        (sender, Self(State::Waiting(receiver)))
    }

    /// A transaction that is rejected immediately.
    pub fn refused(error: StoreError) -> Self {
        Self(State::Refused(error))
    }
}

impl Future for Pending {
    type Output = Result<Committed, StoreError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Refused(error) => Poll::Ready(Err(error.clone())),
            State::Waiting(receiver) => Pin::new(receiver)
                .poll(context)
                .map(|answer| answer.unwrap_or(Err(StoreError::Closed))),
        }
    }
}

/// Run `work` in a transaction and return its result after the commit.
///
/// The transaction is enqueued before this function returns, so it is committed even if the future
/// is dropped.
pub fn write<T, W>(
    storage: &dyn Storage,
    work: W,
) -> impl Future<Output = Result<T, StoreError>> + Send + use<T, W>
where
    T: Send + 'static,
    W: FnOnce(&mut dyn Transaction) -> T + Send + 'static,
{
    let result = Arc::new(Mutex::new(None));
    let slot = Arc::clone(&result);
    let pending = storage.submit(Box::new(move |transaction| {
        let value = work(transaction);
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
    }));
    async move {
        pending.await?;
        let value = result.lock().unwrap_or_else(PoisonError::into_inner).take();
        value.ok_or_else(|| StoreError::Panicked { message: "no result".into() })
    }
}

/// Append a record without a change. Returns its sequence number after the commit.
pub fn record(
    storage: &dyn Storage,
    record: Bytes,
) -> impl Future<Output = Result<u64, StoreError>> + Send + use<> {
    let pending = storage.append(record);
    async move { pending.await.map(|committed| committed.seq) }
}
