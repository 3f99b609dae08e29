//! A store that refuses writes while a test wants it to, like one whose disk is full, or that commits
//! them and says that it failed, like one whose disk fails after the write.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use store::{
    Condition, Health, ListOptions, Object, Page, PendingCommit, ReadError, Sqlite, Storage,
    StoreError, TransactionFn, Watch,
};

/// A real store behind a switch.
pub(crate) struct RefusingStore {
    pub(crate) sqlite: Arc<Sqlite>,
    pub(crate) refuses: AtomicBool,
    /// Transactions that were refused.
    pub(crate) refused: AtomicUsize,
    /// Transactions are committed, and their callers get an error.
    pub(crate) fails_after_commit: AtomicBool,
}

impl RefusingStore {
    pub(crate) fn new(sqlite: Sqlite) -> Self {
        let (refuses, fails_after_commit) = (AtomicBool::new(false), AtomicBool::new(false));
        let attempts = AtomicUsize::new(0);
        Self { sqlite: Arc::new(sqlite), refuses, refused: attempts, fails_after_commit }
    }

    fn is_refusing(&self) -> bool {
        self.refuses.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Storage for RefusingStore {
    async fn get(&self, key: &str) -> Result<Option<Arc<Object>>, ReadError> {
        self.sqlite.get(key).await
    }

    async fn newest_revision(&self) -> Result<u64, ReadError> {
        self.sqlite.newest_revision().await
    }

    fn observed_revision(&self) -> u64 {
        self.sqlite.observed_revision()
    }

    async fn wait_for_revision(&self, revision: u64) -> Result<(), ReadError> {
        self.sqlite.wait_for_revision(revision).await
    }

    fn oldest_revision(&self) -> u64 {
        self.sqlite.oldest_revision()
    }

    async fn list(&self, prefix: &str, options: ListOptions) -> Result<Page, ReadError> {
        self.sqlite.list(prefix, options).await
    }

    async fn watch(&self, prefix: &str, after: u64) -> Result<Watch, ReadError> {
        self.sqlite.watch(prefix, after).await
    }

    fn submit(&self, function: TransactionFn) -> PendingCommit {
        if self.is_refusing() {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return PendingCommit::rejected(StoreError::NoSpace);
        }
        let pending = self.sqlite.submit(function);
        if self.fails_after_commit.load(Ordering::SeqCst) {
            // The writer is a thread of its own, so this may block.
            let mut pending = tokio::task::unconstrained(pending);
            while futures::FutureExt::now_or_never(&mut pending).is_none() {
                std::thread::yield_now();
            }
            return PendingCommit::rejected(StoreError::Unavailable { reason: "told to".into() });
        }
        pending
    }

    fn append(&self, record: Bytes) -> PendingCommit {
        if self.is_refusing() {
            return PendingCommit::rejected(StoreError::NoSpace);
        }
        Storage::append(&*self.sqlite, record)
    }

    fn health(&self) -> Health {
        let mut health = self.sqlite.health();
        if self.is_refusing() {
            health.condition = Condition::NoSpace;
            health.reason = StoreError::NoSpace.to_string();
        }
        health
    }

    fn take_rejected(&self) -> u64 {
        self.sqlite.take_rejected()
    }
}
