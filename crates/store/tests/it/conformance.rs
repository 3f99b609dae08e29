//! The conformance suites, with different sizes of the caches.

use std::time::Duration;

use store::{Settings, conformance};

use crate::test_store::TestStore;

/// Stores that stay open until a suite has ended, and whose waits for a revision are short.
struct Stores {
    settings: Settings,
    tests: Vec<TestStore>,
}

impl Stores {
    fn new(mut settings: Settings) -> Self {
        settings.revision_wait = Duration::from_millis(100);
        Self { settings, tests: Vec::new() }
    }

    fn open(&mut self) -> store::Sqlite {
        let mut test = TestStore::new();
        test.settings = self.settings.clone();
        let store = test.open();
        self.tests.push(test);
        store
    }
}

#[tokio::test]
async fn sqlite_conforms_as_a_store() {
    for object_cache_bytes in [Settings::default().object_cache_bytes, 0] {
        let settings = Settings { object_cache_bytes, ..Settings::default() };
        let mut stores = Stores::new(settings);
        let open = || {
            let store = stores.open();
            [store.clone(), store]
        };
        assert_eq!(conformance::storage(open).await, Ok(()), "{object_cache_bytes}");
    }
}

#[tokio::test]
async fn sqlite_conforms_as_a_journal() {
    // Records are read from memory, then from disk.
    for tail_cache_bytes in [Settings::default().tail_cache_bytes, 0] {
        let mut stores = Stores::new(Settings { tail_cache_bytes, ..Settings::default() });
        let open = || {
            let store = stores.open();
            let journals = [store.journal(), store.journal()];
            (store, journals)
        };
        assert_eq!(conformance::journal(open).await, Ok(()), "{tail_cache_bytes}");
    }
}
