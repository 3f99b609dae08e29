//! Lists that exceed the memory budget.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use store::{
    Health, ListOptions, Object, Page, PendingCommit, ReadError, Settings, Sqlite, Storage,
};
use store::{TransactionFn, Watch};

use super::test_registry::{TestRegistry, VAULTS};
use crate::ApiResponse;
use crate::limits::{
    BYTES_SHARES, LIST_BYTES_MAX, LIST_PAGE_BYTES_MAX, RESPONSES_BYTES_MAX, TABLE_SHARE,
};
use crate::registry::gather::PAGE_BYTES;

const OBJECTS: usize = 60;
const OBJECT_BYTES: usize = 1 << 20;

/// A store that counts the bytes of the objects that it lists.
struct CountingStorage {
    store: Sqlite,
    listed: Arc<AtomicUsize>,
}

#[async_trait]
impl Storage for CountingStorage {
    async fn get(&self, key: &str) -> Result<Option<Arc<Object>>, ReadError> {
        self.store.get(key).await
    }

    async fn newest_revision(&self) -> Result<u64, ReadError> {
        self.store.newest_revision().await
    }

    fn observed_revision(&self) -> u64 {
        self.store.observed_revision()
    }

    async fn wait_for_revision(&self, revision: u64) -> Result<(), ReadError> {
        self.store.wait_for_revision(revision).await
    }

    fn oldest_revision(&self) -> u64 {
        self.store.oldest_revision()
    }

    async fn list(&self, prefix: &str, options: ListOptions) -> Result<Page, ReadError> {
        let page = self.store.list(prefix, options).await?;
        let bytes = page.items.iter().map(|object| object.body.len()).sum();
        self.listed.fetch_add(bytes, Ordering::SeqCst);
        Ok(page)
    }

    async fn watch(&self, prefix: &str, after: u64) -> Result<Watch, ReadError> {
        self.store.watch(prefix, after).await
    }

    fn submit(&self, work: TransactionFn) -> PendingCommit {
        self.store.submit(work)
    }

    fn append(&self, record: Bytes) -> PendingCommit {
        self.store.append(record)
    }

    fn health(&self) -> Health {
        self.store.health()
    }

    fn take_rejected(&self) -> u64 {
        self.store.take_rejected()
    }
}

/// A registry whose objects are on disk only, because its cache is small.
async fn registry() -> (TestRegistry, Arc<AtomicUsize>) {
    let listed = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&listed);
    let settings = Settings { object_cache_bytes: 1, ..Settings::default() };
    let registry = TestRegistry::open_on(settings, true, move |store| {
        Arc::new(CountingStorage { store, listed: counted })
    });
    let padding = "x".repeat(OBJECT_BYTES);
    for number in 0..OBJECTS {
        let body = format!(r#"{{"metadata":{{"name":"v{number:02}"}},"note":"{padding}"}}"#);
        let written = store::write(&registry.store, move |transaction| {
            let revision = transaction.next_revision();
            let key = format!("test.example.com/vaults/v{number:02}");
            transaction.put(&key, revision, Bytes::from(body));
        });
        written.await.unwrap();
    }
    (registry, listed)
}

/// Regression: all objects were in memory before the budget was checked.
#[tokio::test]
async fn a_list_beyond_the_budget_is_rejected_before_it_is_read() {
    let (registry, listed) = registry().await;
    let share = RESPONSES_BYTES_MAX / BYTES_SHARES;
    let object = OBJECT_BYTES + 1024;
    // Responses that are being sent.
    let mut pending: Vec<ApiResponse> = Vec::new();
    let page = LIST_PAGE_BYTES_MAX + PAGE_BYTES + object;
    for (user, query, expected, listed_max) in [
        ("alice", "limit=20", 200, page),
        // The same list again: only its first objects are read.
        ("alice", "limit=20", 200, PAGE_BYTES + object),
        ("alice", "limit=21", 200, page),
        ("alice", "limit=22", 200, page),
        ("alice", "limit=1000", 429, share - 24 * OBJECT_BYTES + PAGE_BYTES + object),
        ("bob", "limit=1000", 200, page),
        // Without pages the client would mistake a part for the complete list.
        ("dave", "", 413, LIST_BYTES_MAX + PAGE_BYTES + object),
        ("carol", "limit=1", 200, object),
    ] {
        let before = listed.load(Ordering::SeqCst);
        let reply = registry.send_as(user, &format!("GET {VAULTS}?{query}"), "", &[]).await;
        let listed = listed.load(Ordering::SeqCst) - before;
        assert_eq!(reply.code, expected, "{user} {query}");
        assert!(listed <= listed_max, "{user} {query}: {listed} bytes and not {listed_max}");
        if expected == 200 {
            pending.push(reply.response);
        }
    }
    drop(pending);
}

/// Regression: one list in YAML took more than three times the memory of all objects.
#[tokio::test]
async fn a_page_ends_when_it_has_enough_bytes_for_its_format() {
    let (registry, _) = registry().await;
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    for (accept, share) in [("application/json", 1), (table, TABLE_SHARE)] {
        let headers = &[("accept", accept)];
        let (mut names, mut query) = (0, "limit=500".to_owned());
        loop {
            let reply = registry.send(&format!("GET {VAULTS}?{query}"), "", headers).await;
            assert_eq!(reply.code, 200, "{accept}");
            let items = reply.json.get("items").or_else(|| reply.json.get("rows")).unwrap();
            let count = items.as_array().unwrap().len();
            assert!(
                count <= LIST_PAGE_BYTES_MAX / share / OBJECT_BYTES + PAGE_BYTES / OBJECT_BYTES
            );
            names += count;
            match reply.json["metadata"]["continue"].as_str() {
                Some(token) => query = format!("limit=500&continue={token}"),
                None => break,
            }
        }
        assert_eq!(names, OBJECTS, "{accept}");
        let reply = registry.send(&format!("GET {VAULTS}"), "", headers).await;
        assert_eq!(reply.code, 413, "{accept}");
    }
    // The deletion of a namespace lists metadata, and not in pages.
    let metadata = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    let reply = registry.send(&format!("GET {VAULTS}"), "", &[("accept", metadata)]).await;
    assert_eq!((reply.code, reply.json["items"].as_array().unwrap().len()), (200, OBJECTS));
}

#[tokio::test]
async fn a_list_is_the_same_for_any_page_size() {
    let (registry, _) = registry().await;
    let mut query = "limit=5".to_owned();
    let mut names = Vec::new();
    while names.len() < OBJECTS {
        let reply = registry.send(&format!("GET {VAULTS}?{query}"), "", &[]).await;
        let items = reply.json["items"].as_array().unwrap();
        names.extend(items.iter().map(|item| item["metadata"]["name"].clone()));
        let metadata = &reply.json["metadata"];
        let remaining = (OBJECTS - names.len()) as u64;
        assert_eq!(metadata["remainingItemCount"].as_u64(), (remaining > 0).then_some(remaining));
        let token = metadata["continue"].as_str().unwrap_or_default();
        query = format!("limit=5&continue={token}");
    }
    let expected: Vec<String> = (0..OBJECTS).map(|number| format!("v{number:02}")).collect();
    assert_eq!(names, expected);
}
