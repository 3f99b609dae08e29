//! Stores in temporary directories, and helpers for short tests.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use store::{Clock, OpenError, Settings, Sqlite, Storage, StoreError, write};
use tempfile::TempDir;

/// A clock that moves only when a test sets it.
#[derive(Clone)]
pub(crate) struct TestClock(Arc<AtomicI64>);

impl TestClock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicI64::new(1_700_000_000_000_000)))
    }

    pub(crate) fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1_000_000, Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn clock(&self) -> Clock {
        let time = Arc::clone(&self.0);
        Arc::new(move || time.load(Ordering::Relaxed))
    }
}

/// A directory with a store, open or closed.
pub(crate) struct TestStore {
    directory: TempDir,
    pub(crate) clock: TestClock,
    pub(crate) settings: Settings,
}

impl TestStore {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        // Tests need not wait for revisions that are never committed.
        let revision_wait = Duration::from_millis(50);
        let settings = Settings { revision_wait, ..Settings::default() };
        Self { directory, clock: TestClock::new(), settings }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("store").join("keepwatch.db")
    }

    pub(crate) fn open(&self) -> Sqlite {
        self.try_open().expect("the store opens")
    }

    pub(crate) fn try_open(&self) -> Result<Sqlite, OpenError> {
        open(&self.path(), &self.settings, &self.clock)
    }
}

pub(crate) fn open(
    path: &Path,
    settings: &Settings,
    clock: &TestClock,
) -> Result<Sqlite, OpenError> {
    Sqlite::open(path, settings.clone(), clock.clock())
}

pub(crate) async fn put(store: &dyn Storage, key: &str, body: &str) -> Result<u64, StoreError> {
    let (key, body) = (key.to_owned(), Bytes::copy_from_slice(body.as_bytes()));
    write(store, move |transaction| {
        let revision = transaction.next_revision();
        transaction.put(&key, revision, body);
        transaction.append(Bytes::from(format!("put {key} {revision}")));
        revision
    })
    .await
}

pub(crate) async fn append(store: &dyn Storage, text: &str) -> Result<u64, StoreError> {
    store::append(store, Bytes::copy_from_slice(text.as_bytes())).await
}
