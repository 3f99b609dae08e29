//! Uncached objects give the same results as cached ones.

use std::collections::BTreeMap;

use bytes::Bytes;
use rusqlite::Connection;
use store::{ListOptions, ReadError, Sqlite, Storage, StoreError, write};

use crate::test_store::{TestStore, put};

/// A directory whose store caches at most `object_cache_bytes` bytes.
fn test(object_cache_bytes: usize) -> TestStore {
    let mut test = TestStore::new();
    test.settings.object_cache_bytes = object_cache_bytes;
    test
}

/// All objects of a store, by list, scan and get.
async fn contents(store: &Sqlite) -> BTreeMap<String, Bytes> {
    let listed = store.list("g/r/", ListOptions::default()).await.expect("a list").items;
    let scanned = write(store, |transaction| transaction.scan("g/r/")).await.expect("a scan");
    assert_eq!(listed, scanned);
    for object in &listed {
        let got = store.get(&object.key).await.expect("the disk is readable");
        assert_eq!(got.as_ref(), Some(object));
    }
    listed.iter().map(|object| (object.key.to_string(), object.body.clone())).collect()
}

/// Put and delete objects repeatedly, in the store and in a map, and compare the two.
async fn check_contents(object_cache_bytes: usize) {
    let test = test(object_cache_bytes);
    let mut expected = BTreeMap::new();
    for round in 0..3 {
        let store = test.open();
        assert_eq!(contents(&store).await, expected);
        for number in 0..60 {
            let key = format!("g/r/{:02}", (number * 7 + round) % 20);
            if number % 5 == 4 {
                let deleted_key = key.clone();
                let was_there = write(&store, move |transaction| {
                    let last = transaction.get(&deleted_key)?;
                    let revision = transaction.next_revision();
                    transaction.delete(&deleted_key, revision, last.body.clone());
                    Some(last.body.clone())
                });
                assert_eq!(was_there.await.expect("it is done"), expected.remove(&key));
            } else {
                let body = format!("{round}-{number}-{}", "x".repeat(number * 10));
                put(&store, &key, &body).await.expect("it is put");
                expected.insert(key, Bytes::from(body));
            }
        }
        assert_eq!(contents(&store).await, expected);
        store.close().await;
    }
}

#[tokio::test]
async fn contents_do_not_depend_on_what_is_cached() {
    for object_cache_bytes in [0, 300, 2000, 1 << 20] {
        check_contents(object_cache_bytes).await;
    }
}

#[tokio::test]
async fn a_change_has_its_previous_state_from_disk() {
    let test = test(0);
    let store = test.open();
    let created = put(&store, "g/r/a", "1").await.expect("it is put");
    let mut watch = store.watch("g/r/", created).await.expect("it begins");
    put(&store, "g/r/a", "2").await.expect("it is put");
    let changes = watch.next().await.expect("a change");
    let previous = changes[0].previous.as_ref().expect("there was one");
    assert_eq!((previous.revision, &*previous.body), (created, &b"1"[..]));
}

/// An object that is damaged on disk is an error for all reads, and never treated as absent.
#[tokio::test]
async fn a_damaged_object_is_an_error_and_never_absent() {
    let test = test(0);
    let store = test.open();
    put(&store, "g/r/a", "1").await.expect("it is put");
    put(&store, "g/r/b", "1").await.expect("it is put");
    let file = Connection::open(test.path()).expect("the file");
    let updated = file.execute("UPDATE revisions SET body = x'32' WHERE key = 'g/r/a'", []);
    assert_eq!(updated, Ok(1));
    let damaged = |error: ReadError| matches!(error, ReadError::Damaged { .. });
    assert!(store.get("g/r/a").await.is_err_and(damaged));
    assert!(store.list("g/r/", ListOptions::default()).await.is_err_and(damaged));
    let before = store.observed_revision();
    let rejected = write(&store, |transaction| {
        if transaction.get("g/r/a").is_none() {
            let revision = transaction.next_revision();
            transaction.put("g/r/a", revision, Bytes::from_static(b"3"));
        }
    });
    assert!(matches!(rejected.await, Err(StoreError::Unavailable { .. })));
    assert_eq!(store.observed_revision(), before);
    assert!(store.get("g/r/b").await.is_ok_and(|object| object.is_some()));
    put(&store, "g/r/b", "2").await.expect("others go on");
    assert_eq!(file.execute("DELETE FROM revisions WHERE key = 'g/r/a'", []), Ok(1));
    assert!(store.get("g/r/a").await.is_err_and(damaged));
}
