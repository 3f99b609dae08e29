//! Revisions across restarts, restores and compaction, and lists at a fixed revision.

use std::fs;
use std::time::Duration;

use store::{ListOptions, ReadError, Storage};

use crate::test_store::{TestStore, append, put};

/// The result of a watch from `after`: `ok`, or the name of an error.
async fn watch_from(store: &dyn Storage, after: u64) -> &'static str {
    match store.watch("g/r/", after).await {
        Ok(_) => "ok",
        Err(ReadError::Compacted { .. }) => "compacted",
        Err(ReadError::TooLarge { .. }) => "too large",
        Err(_) => "something else",
    }
}

#[tokio::test]
async fn a_restart_loses_nothing_and_revisions_continue_above() {
    let test = TestStore::new();
    let store = test.open();
    let created = put(&store, "g/r/a", "1").await.expect("it is put");
    let updated = put(&store, "g/r/a", "2").await.expect("it is put");
    store.close().await;
    test.clock.advance(60);
    let store = test.open();
    assert_eq!(store.observed_revision(), updated);
    assert_eq!(
        store
            .get("g/r/a")
            .await
            .expect("the disk is readable")
            .expect("the object exists")
            .revision,
        updated
    );
    assert_eq!(watch_from(&store, updated).await, "ok");
    let changes =
        store.watch("g/r/", created).await.expect("it begins").next().await.expect("a change");
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].previous.as_ref().map(|object| object.revision), Some(created));
    let restarted = put(&store, "g/r/a", "3").await.expect("it is put");
    assert_eq!(restarted, test.clock.now().cast_unsigned());
}

#[tokio::test]
async fn a_restored_copy_never_allocates_a_revision_twice() {
    let test = TestStore::new();
    let store = test.open();
    let backed_up = put(&store, "g/r/a", "1").await.expect("it is put");
    store.close().await;
    let copy = fs::read(test.path()).expect("a backup");
    let store = test.open();
    test.clock.advance(1);
    let after_backup = put(&store, "g/r/a", "2").await.expect("it is put");
    store.close().await;
    fs::write(test.path(), copy).expect("the backup is restored");
    test.clock.advance(3600);
    let store = test.open();
    assert_eq!(store.observed_revision(), backed_up);
    assert_eq!(watch_from(&store, after_backup).await, "compacted");
    let next = put(&store, "g/r/a", "3").await.expect("it is put");
    assert!(next > after_backup, "{next} is not above {after_backup}");
    let start = test.clock.now().cast_unsigned();
    let expected = [
        (backed_up, "ok"),
        (after_backup, "compacted"),
        (start - 1, "compacted"),
        (next, "ok"),
        (next + 1, "too large"),
    ];
    for (revision, how) in expected {
        assert_eq!(watch_from(&store, revision).await, how, "from {revision}");
    }
    // The gap is stored in the file.
    store.close().await;
    assert_eq!(watch_from(&test.open(), after_backup).await, "compacted");
}

#[tokio::test]
async fn a_clock_set_back_does_not_decrease_revisions() {
    let test = TestStore::new();
    let store = test.open();
    let before = put(&store, "g/r/a", "1").await.expect("it is put");
    store.close().await;
    test.clock.advance(-86_400);
    let after = put(&test.open(), "g/r/a", "2").await.expect("it is put");
    assert_eq!(after, before + 1);
}

/// Wait until the writer has compacted up to a revision, while records trigger commits.
async fn compacted_to(store: &store::Sqlite, revision: u64) {
    while store.oldest_revision() < revision {
        append(store, "tick").await.expect("it is recorded");
    }
}

#[tokio::test]
async fn old_revisions_are_compacted_and_reading_them_is_an_error() {
    let mut test = TestStore::new();
    test.settings.history_age = Duration::from_mins(1);
    let store = test.open();
    let first = put(&store, "g/r/a", "1").await.expect("it is put");
    let second = put(&store, "g/r/a", "2").await.expect("it is put");
    test.clock.advance(61);
    let third = put(&store, "g/r/b", "1").await.expect("it is put");
    compacted_to(&store, second).await;
    assert_eq!(watch_from(&store, first).await, "compacted");
    assert_eq!(watch_from(&store, second).await, "ok");
    let options = ListOptions { at: Some(first), ..ListOptions::default() };
    let list = store.list("g/r/", options).await;
    assert!(matches!(list, Err(ReadError::Compacted { .. })), "{list:?}");
    store.close().await;
    let store = test.open();
    assert_eq!(store.oldest_revision(), second);
    assert_eq!(watch_from(&store, first).await, "compacted");
    assert_eq!(watch_from(&store, second).await, "ok");
    assert_eq!(store.observed_revision(), third);
    assert_eq!(
        &*store.get("g/r/a").await.expect("the disk is readable").expect("the object exists").body,
        b"2"
    );
}

#[tokio::test]
async fn history_is_bounded_in_rows() {
    let mut test = TestStore::new();
    test.settings.history_rows = 10;
    let store = test.open();
    let first = put(&store, "g/r/a", "0").await.expect("it is put");
    for number in 1..100 {
        put(&store, "g/r/a", &number.to_string()).await.expect("it is put");
    }
    compacted_to(&store, first + 89).await;
    assert_eq!(watch_from(&store, first + 88).await, "compacted");
}

#[tokio::test]
async fn pages_show_one_revision_while_everything_changes() {
    let test = TestStore::new();
    let store = test.open();
    for number in 0..100 {
        put(&store, &format!("g/r/{number:03}"), "old").await.expect("it is put");
    }
    let at = store.observed_revision();
    let mut options = ListOptions { limit: 7, counts_rest: true, ..ListOptions::default() };
    let mut objects = Vec::new();
    loop {
        let page = store.list("g/r/", options.clone()).await.expect("a page");
        assert_eq!(page.revision, at);
        assert_eq!(page.remaining, Some(100 - objects.len() - page.items.len()));
        objects
            .extend(page.items.iter().map(|object| (object.key.to_string(), object.body.clone())));
        let Some(next) = page.next else { break };
        options.at = Some(at);
        options.start_after = Some(next);
        for number in 0..100 {
            put(&store, &format!("g/r/{number:03}"), "new").await.expect("it is put");
        }
        put(&store, &format!("g/r/{}x", objects.len()), "new").await.expect("it is put");
    }
    assert_eq!(objects.len(), 100);
    assert!(objects.iter().all(|(_, body)| &**body == b"old"), "a page contains a newer state");
}

/// Regression test: 1,150 superseded revisions filled the file, and requests were rejected until
/// the revisions were old enough.
#[tokio::test]
async fn history_is_compacted_early_before_changes_are_rejected() {
    let mut test = TestStore::new();
    test.settings.limit_bytes = 4 << 20;
    let store = test.open();
    let journal = store.journal();
    journal.register("stdout", 0).await.expect("it is registered");
    let body = "x".repeat(20_000);
    let mut last = 0;
    for number in 0..1000 {
        last = put(&store, &format!("g/r/{}", number % 7), &body).await.expect("it is put");
        journal.advance("stdout", journal.last_seq(), "").expect("the cursor is its own");
    }
    assert!(store.health().used_bytes < 4 << 20, "{:?}", store.health());
    // A watch that keeps up is not affected.
    assert_eq!(watch_from(&store, last).await, "ok");
    let objects = store.list("g/r/", ListOptions::default()).await.expect("the disk is readable");
    assert_eq!(objects.items.len(), 7);
}

/// Regression test: a reader that had passed all records was blamed for space used by objects, and
/// one with few unread records for space used by many others.
#[tokio::test]
async fn a_full_file_names_what_uses_most_of_it() {
    for (reader_bytes, object_bytes, expected) in [
        (0, 20_000, "objects use most of it"),
        (9_000, 100, "reader `slow`"),
        (50, 20_000, "objects use most of it"),
    ] {
        let mut test = TestStore::new();
        test.settings.limit_bytes = 4 << 20;
        let store = test.open();
        let journal = store.journal();
        journal.register("fast", 0).await.expect("it is registered");
        if reader_bytes > 0 {
            journal.register("slow", 0).await.expect("it is registered");
        }
        let (record, body) = ("r".repeat(reader_bytes), "x".repeat(object_bytes));
        let mut number = 0;
        let rejection = loop {
            number += 1;
            let done = async {
                put(&store, &format!("g/r/{number}"), &body).await?;
                if reader_bytes > 0 {
                    append(&store, &record).await?;
                }
                journal.advance_durably("fast", journal.last_seq(), "").await
            };
            if let Err(rejection) = done.await {
                break rejection.to_string();
            }
        };
        assert!(rejection.contains(expected), "{reader_bytes} and {object_bytes}: {rejection}");
        assert_eq!(rejection.contains("reader"), expected.contains("reader"), "{rejection}");
    }
}

/// Regression test: one watch that had fallen behind loaded 256 changes of large objects into
/// memory, with their previous states.
#[tokio::test]
async fn a_watch_that_is_behind_gets_a_few_megabytes_at_a_time() {
    let test = TestStore::new();
    let store = test.open();
    let first = put(&store, "g/r/x", "small").await.expect("it is put");
    let body = "x".repeat(1 << 20);
    for _ in 0..20 {
        put(&store, "g/r/x", &body).await.expect("it is put");
    }
    let mut watch = store.watch("g/r/", first).await.expect("the revision is there");
    let mut count = 0;
    while count < 20 {
        let batch = watch.next().await.expect("the disk is readable");
        let bytes: usize = batch.iter().map(store::Change::bytes).sum();
        assert!(bytes < store::settings::WATCH_BYTES_MAX + 2 * body.len(), "{bytes}");
        count += batch.len();
    }
    assert_eq!(count, 20, "each change is returned once");
}
