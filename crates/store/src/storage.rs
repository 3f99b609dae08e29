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

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::oneshot;

use crate::{Health, ReadError, StoreError};

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

/// The closure of a transaction. It runs on the writer thread and must not block: all other
/// requests wait for it.
pub type TransactionFn = Box<dyn FnOnce(&mut dyn Transaction) + Send>;

/// A stream of the changes under a prefix of keys.
pub type Watch = Box<dyn WatchStream>;

/// A store of objects with a journal that is written in the same transactions.
///
/// A value of this type is a handle. Several handles, possibly in several processes, can share one
/// store: each sees every commit, but possibly later than the handle that made it. Only
/// [`newest_revision`](Self::newest_revision) and the reads without a revision are always current.
#[async_trait]
pub trait Storage: Send + Sync {
    /// The newest state of one object, with every commit before the call; `None` if it does not
    /// exist.
    async fn get(&self, key: &str) -> Result<Option<Arc<Object>>, ReadError>;

    /// Ask the store for its newest revision. It covers every commit before the call, by any
    /// handle.
    async fn newest_revision(&self) -> Result<u64, ReadError>;

    /// The newest revision that this handle has observed, without asking the store. Other handles
    /// may have committed newer ones.
    fn observed_revision(&self) -> u64;

    /// Wait until this handle has observed `revision`, at most
    /// [`Settings::revision_wait`](crate::Settings::revision_wait); then the error is
    /// [`ReadError::TooLarge`].
    async fn wait_for_revision(&self, revision: u64) -> Result<(), ReadError>;

    /// The oldest revision that can still be listed, or watched from.
    fn oldest_revision(&self) -> u64;

    /// One page of the objects under `prefix` in key order, all as of the same revision. Without a
    /// revision in the options, the page covers every commit before the call. A revision that is
    /// not committed yet is an error.
    async fn list(&self, prefix: &str, options: ListOptions) -> Result<Page, ReadError>;

    /// All changes to objects under `prefix` after revision `after`. A revision that this handle
    /// has not observed yet is waited for, as in [`wait_for_revision`](Self::wait_for_revision).
    async fn watch(&self, prefix: &str, after: u64) -> Result<Watch, ReadError>;

    /// Enqueue a transaction. It is committed even if the returned future is dropped.
    fn submit(&self, function: TransactionFn) -> PendingCommit;

    /// Enqueue a record without a change: the same as [`submit`](Self::submit), but cheaper.
    fn append(&self, record: Bytes) -> PendingCommit;

    /// The state of the store. Cheap enough to call for each request.
    fn health(&self) -> Health;

    /// The number of requests that were rejected without a record since the last call, so that the
    /// gap itself can be recorded. Resets the count.
    fn take_rejected(&self) -> u64;
}

/// The operations of a transaction. Reads see the changes of this transaction and of all earlier
/// ones. If a read from disk fails, the transaction is rolled back, regardless of later operations
/// of the closure.
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
    fn append(&mut self, record: Bytes);
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
pub trait WatchStream: Send {
    /// Wait for the next changes; the list is never empty. Cancel safe: dropping the future loses
    /// no change.
    async fn next(&mut self) -> Result<Vec<Change>, ReadError>;

    /// The next changes that are committed already; an empty list if this watch has returned all of
    /// them.
    async fn next_committed(&mut self) -> Result<Vec<Change>, ReadError>;

    /// The revision up to which this watch has returned all changes: the revision of a bookmark.
    fn progress(&mut self) -> u64;
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

/// The result of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// The sequence number of the transaction's last record, or of the journal's last record if it
    /// has none.
    pub seq: u64,
    /// The newest revision after the transaction.
    pub revision: u64,
}

/// The sending half of a [`PendingCommit`]: completes the request of one caller.
pub(crate) type Completion = oneshot::Sender<Result<Committed, StoreError>>;

/// An enqueued transaction. The future resolves when the commit is durable or has failed.
#[derive(Debug)]
pub struct PendingCommit(State);

#[derive(Debug)]
enum State {
    Waiting(oneshot::Receiver<Result<Committed, StoreError>>),
    Rejected(StoreError),
}

impl PendingCommit {
    pub(crate) fn channel() -> (Completion, Self) {
        let (sender, receiver) = oneshot::channel();
        (sender, Self(State::Waiting(receiver)))
    }

    /// A transaction that is rejected immediately.
    pub fn rejected(error: StoreError) -> Self {
        Self(State::Rejected(error))
    }
}

impl Future for PendingCommit {
    type Output = Result<Committed, StoreError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Rejected(error) => Poll::Ready(Err(error.clone())),
            State::Waiting(receiver) => Pin::new(receiver)
                .poll(context)
                .map(|outcome| outcome.unwrap_or(Err(StoreError::Closed))),
        }
    }
}

/// Run `function` in a transaction and return its result after the commit.
///
/// The transaction is enqueued before this function returns, so it is committed even if the future
/// is dropped.
pub fn write<T, W>(
    storage: &dyn Storage,
    function: W,
) -> impl Future<Output = Result<T, StoreError>> + Send + use<T, W>
where
    T: Send + 'static,
    W: FnOnce(&mut dyn Transaction) -> T + Send + 'static,
{
    let result = Arc::new(Mutex::new(None));
    let slot = Arc::clone(&result);
    let pending = storage.submit(Box::new(move |transaction| {
        let value = function(transaction);
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
    }));
    async move {
        pending.await?;
        let value = result.lock().unwrap_or_else(PoisonError::into_inner).take();
        value.ok_or_else(|| StoreError::Panicked { message: "no result".into() })
    }
}

/// Append a record without a change. Returns its sequence number after the commit.
pub fn append(
    storage: &dyn Storage,
    record: Bytes,
) -> impl Future<Output = Result<u64, StoreError>> + Send + use<> {
    let pending = storage.append(record);
    async move { pending.await.map(|committed| committed.seq) }
}
