//! The promise: objects under keys, one rising revision, and a journal that changes with them.
//!
//! [`Storage`] is what the rest of the house sees. A change and its record are committed together or
//! not at all, and nobody hears of either before they are durable. What a body or a record means is
//! unknown here; retention and the place on disk belong to the implementation.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::oneshot;

use crate::{Health, Holder};

/// One object as it was at one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// `group/resource/namespace/name`, or `group/resource/name` without a namespace.
    pub key: Arc<str>,
    /// The revision that wrote this state.
    pub revision: u64,
    /// The state, as it was handed in.
    pub body: Bytes,
}

/// Work on the store, run on its writer. It must not block: everybody's requests wait behind it.
pub type Work = Box<dyn FnOnce(&mut dyn Transaction) + Send>;

/// A live view of a prefix.
pub type Watch = Box<dyn Changes>;

/// A store of objects with a journal beside them.
#[async_trait]
pub trait Storage: Send + Sync {
    /// The newest committed state of one object.
    async fn get(&self, key: &str) -> Result<Option<Arc<Object>>, ReadError>;

    /// The revision of the newest committed change.
    fn current_revision(&self) -> u64;

    /// The oldest revision that can still be listed, and watched from.
    fn oldest_revision(&self) -> u64;

    /// A page of the objects under `prefix` in the order of their keys, all as they were at one revision.
    async fn list(&self, prefix: &str, options: ListOptions) -> Result<Page, ReadError>;

    /// Everything that happens to objects under `prefix` after a revision.
    fn watch(&self, prefix: &str, after: u64) -> Result<Watch, ReadError>;

    /// Hand in work. It is committed even if the returned future is dropped.
    fn submit(&self, work: Work) -> Pending;

    /// Hand in a record that goes with no change. The same as [`submit`](Self::submit), cheaper.
    fn append(&self, record: Bytes) -> Pending;

    /// How the store fares; cheap enough to ask for each request.
    fn health(&self) -> Health;

    /// How many requests were refused without a record since this was last asked, so that the gap itself
    /// can be recorded.
    fn take_refused(&self) -> u64;
}

/// What work may do. Reads see the changes of this work and of all work before it. Work for which
/// the disk could not be read is undone whatever it made of that.
pub trait Transaction {
    /// The state of one object.
    fn get(&self, key: &str) -> Option<Arc<Object>>;
    /// All objects under a prefix in the order of their keys.
    fn scan(&self, prefix: &str) -> Vec<Arc<Object>>;
    /// Take the next revision. Each is good for one [`put`](Self::put) or [`delete`](Self::delete).
    fn next_revision(&mut self) -> u64;
    /// Create or replace an object.
    fn put(&mut self, key: &str, revision: u64, body: Bytes);
    /// Remove an object. `last_state` is what watchers get to see.
    fn delete(&mut self, key: &str, revision: u64, last_state: Bytes);
    /// Add a record to the journal.
    fn record(&mut self, record: Bytes);
    /// Move the cursor of a registered reader to `seq`, with an empty state, and replace its
    /// checkpoint: the chunks from which it restores its own state. No chunk means no checkpoint.
    fn save_checkpoint(&mut self, reader: &str, seq: u64, chunks: Vec<Bytes>);
    /// Move the cursor of a registered reader; its checkpoint stays as it is.
    fn advance(&mut self, reader: &str, seq: u64, state: &str);
    /// Forget the changes, records and cursors of this work so far. What it does afterwards counts
    /// again.
    fn rollback(&mut self);
}

/// What a list asks for.
#[derive(Debug, Clone, Default)]
pub struct ListOptions {
    /// The revision to read at; the newest if `None`.
    pub at: Option<u64>,
    /// Begin behind this key.
    pub start_after: Option<String>,
    /// At most so many objects; 0 is no limit.
    pub limit: usize,
    /// The page ends with the object whose body makes up so many bytes with those before it; 0 is no
    /// limit. No more than that is read from disk.
    pub bytes_max: usize,
    /// Whether to count what is left behind the page; that takes as long as there is much left.
    pub counts_rest: bool,
}

/// A part of a list.
#[derive(Debug, Clone)]
pub struct Page {
    /// The objects, in the order of their keys.
    pub items: Vec<Arc<Object>>,
    /// The revision the whole list shows.
    pub revision: u64,
    /// Where the next page starts ([`ListOptions::start_after`]), if there is one.
    pub next: Option<String>,
    /// How many objects are left behind this page, if that was asked for.
    pub remaining: Option<usize>,
}

/// The changes under a prefix, in the order of their revisions.
#[async_trait]
pub trait Changes: Send {
    /// Wait for changes. Never an empty list. Dropping the future loses nothing.
    async fn next(&mut self) -> Result<Vec<Change>, ReadError>;

    /// The revision up to which this watch has handed out everything: what a bookmark says.
    fn seen(&mut self) -> u64;
}

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It was not there before.
    Created,
    /// It has a new state.
    Updated,
    /// It is gone.
    Deleted,
}

/// One change of one object.
#[derive(Debug, Clone)]
pub struct Change {
    /// What happened.
    pub kind: ChangeKind,
    /// The revision of the change.
    pub revision: u64,
    /// The new state; for a deletion the last one, with the deletion's revision.
    pub object: Arc<Object>,
    /// The state before.
    pub previous: Option<Arc<Object>>,
}

impl Change {
    /// The key of the object.
    pub fn key(&self) -> &str {
        &self.object.key
    }

    /// Bytes of both states.
    pub fn bytes(&self) -> usize {
        let previous = self.previous.as_ref().map_or(0, |previous| previous.body.len());
        self.object.body.len() + previous
    }
}

/// Why a list or a watch cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The revision is no longer kept, or belongs to a past that a restore has undone.
    #[error("revision {revision} is not kept any more, the oldest is {floor}")]
    Compacted {
        /// What was asked for.
        revision: u64,
        /// The oldest revision that can be read.
        floor: u64,
    },
    /// The revision has not happened yet.
    #[error("revision {revision} is ahead of the newest, {current}")]
    TooLarge {
        /// What was asked for.
        revision: u64,
        /// The newest revision.
        current: u64,
    },
    /// The bytes on disk are not those that were written.
    #[error("{what} is damaged on disk")]
    Damaged {
        /// Which revision or record.
        what: String,
        /// Its number: the revision, or the sequence number in the journal.
        number: u64,
    },
    /// Records of the journal that were written are gone.
    #[error("the journal's records {first} to {last} are missing")]
    Missing {
        /// The first of them.
        first: u64,
        /// The last of them.
        last: u64,
    },
    /// The disk does not answer.
    #[error("cannot read the store: {reason}")]
    Unavailable {
        /// What the disk said.
        reason: String,
    },
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
}

/// Why work was not done. It changed nothing that anybody was told of; only after `NoSpace` and
/// `Unavailable` may it still come to light, with its record, when the file has been checked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file is at its bound. What could go went before.
    #[error("the journal is full at {held} of {limit} bytes: {holder}")]
    Full {
        /// What takes most of it.
        holder: Holder,
        /// Bytes in use.
        held: u64,
        /// The bound.
        limit: u64,
    },
    /// The disk is full.
    #[error("no space is left on the disk of the store")]
    NoSpace,
    /// The disk failed; the file is reopened and checked before anything is acknowledged again.
    #[error("the store is unavailable: {reason}")]
    Unavailable {
        /// What the disk said.
        reason: String,
    },
    /// The work panicked; its changes are undone, others are not touched.
    #[error("the work panicked: {message}")]
    Panicked {
        /// What the panic said.
        message: String,
    },
    /// The work used a revision that it did not take, or used one twice; it is undone.
    #[error("the work misused revision {revision}")]
    Misused {
        /// The revision in question.
        revision: u64,
    },
    /// The work moved the cursor of a reader that is not registered; it is undone.
    #[error("reader `{reader}` is not registered: register it before its cursor is moved")]
    Unregistered {
        /// The reader in question.
        reader: String,
    },
    /// Too many requests wait already.
    #[error("too many requests wait for the store")]
    Busy,
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// After what time trying again makes sense; `None` if it never does.
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

/// What a commit tells whoever asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// The sequence number of the work's last record, or of the journal's last one if it had none.
    pub seq: u64,
    /// The newest revision after the work.
    pub revision: u64,
}

/// The sending half of a [`Pending`].
pub(crate) type Answer = oneshot::Sender<Result<Committed, StoreError>>;

/// Work that has been handed in: resolves when it is durable, or will not be.
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

    /// Work that will not be done, known at once.
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

/// Run `work` in a transaction; its result arrives after the commit.
///
/// The work is handed in before this returns, so it is committed even if the future is dropped.
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

/// Add a record that goes with no change; its sequence number arrives after the commit.
pub fn record(
    storage: &dyn Storage,
    record: Bytes,
) -> impl Future<Output = Result<u64, StoreError>> + Send + use<> {
    let pending = storage.append(record);
    async move { pending.await.map(|committed| committed.seq) }
}
