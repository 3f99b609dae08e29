//! Checkpoints of readers: saved together with the transactions that they cover, and files without
//! any.

use bytes::Bytes;
use rusqlite::Connection;
use store::{Journal, ReadError, Sqlite, Storage as _, StoreError};

use crate::test_store::{TestStore, append, put};

fn chunks(texts: &[&'static str]) -> Vec<Bytes> {
    texts.iter().map(|text| Bytes::from_static(text.as_bytes())).collect()
}

/// One transaction: an object, a record, and the checkpoint that covers them.
async fn save(journal: &dyn Journal, seq: u64, texts: &[&'static str]) {
    let chunks = chunks(texts);
    let saved = journal.submit(Box::new(move |transaction| {
        let revision = transaction.next_revision();
        transaction.put("signals/a", revision, Bytes::from(seq.to_string()));
        transaction.append(Bytes::from_static(b"a signal"));
        transaction.save_checkpoint("detector", seq, chunks);
    }));
    saved.await.expect("it is saved");
}

async fn check(store: &Sqlite, seq: u64, texts: &[&'static str]) {
    let journal = store.journal();
    let checkpoint = journal.checkpoint("detector").await.expect("it can be read");
    assert_eq!(checkpoint.unwrap_or_default(), chunks(texts));
    assert_eq!(journal.cursor("detector").expect("it is registered").seq, seq);
}

#[tokio::test]
async fn a_checkpoint_and_its_cursor_survive_together() {
    let test = TestStore::new();
    let store = test.open();
    let journal = store.journal();
    journal.register("detector", 0).await.expect("it is registered");
    check(&store, 0, &[]).await;
    save(&*journal, 3, &["one", "", "three"]).await;
    check(&store, 3, &["one", "", "three"]).await;
    save(&*journal, 7, &["four"]).await;
    let advanced =
        journal.submit(Box::new(|transaction| transaction.advance("detector", 9, "state")));
    advanced.await.expect("it is advanced");
    store.close().await;
    let store = test.open();
    check(&store, 9, &["four"]).await;
    let journal = store.journal();
    assert_eq!(journal.cursor("detector").expect("a cursor").state, "state");
    save(&*journal, 10, &[]).await;
    assert_eq!(journal.checkpoint("detector").await, Ok(None));
}

#[tokio::test]
async fn a_cursor_of_a_transaction_replaces_one_in_memory() {
    let test = TestStore::new();
    let store = test.open();
    let journal = store.journal();
    journal.register("detector", 0).await.expect("it is registered");
    journal.advance("detector", 5, "by hand").expect("the cursor is its own");
    save(&*journal, 4, &["four"]).await;
    check(&store, 4, &["four"]).await;
    journal.advance_durably("detector", 6, "").await.expect("it is durable");
    store.close().await;
    check(&test.open(), 6, &["four"]).await;
}

#[tokio::test]
async fn a_rolled_back_transaction_moves_no_cursor() {
    let test = TestStore::new();
    let store = test.open();
    let journal = store.journal();
    journal.register("detector", 0).await.expect("it is registered");
    save(&*journal, 1, &["one"]).await;
    let work = journal.submit(Box::new(|transaction| {
        transaction.save_checkpoint("detector", 8, chunks(&["eight"]));
        transaction.rollback();
        transaction.advance("detector", 2, "");
    }));
    work.await.expect("the rest is committed");
    check(&store, 2, &["one"]).await;
    let unregistered = journal.submit(Box::new(|transaction| {
        transaction.append(Bytes::from_static(b"never"));
        transaction.save_checkpoint("unknown", 1, Vec::new());
    }));
    let rejection = unregistered.await;
    let expected = StoreError::Unregistered { reader: "unknown".to_owned() };
    assert_eq!(rejection, Err(expected));
    assert_eq!(append(&store, "next").await, Ok(2), "a rejected transaction left a record");
}

#[tokio::test]
async fn removing_a_reader_removes_its_checkpoint() {
    let test = TestStore::new();
    let store = test.open();
    let journal = store.journal();
    journal.register("detector", 0).await.expect("it is registered");
    save(&*journal, 1, &["one"]).await;
    // A queued transaction does not restore the reader after its removal.
    let waiting = journal.submit(Box::new(|transaction| transaction.advance("detector", 2, "")));
    journal.remove("detector").await.expect("it is removed");
    drop(waiting.await);
    assert_eq!(journal.cursor("detector"), None);
    assert_eq!(journal.checkpoint("detector").await, Ok(None));
    store.close().await;
    let store = test.open();
    store.journal().register("detector", 0).await.expect("it is registered");
    check(&store, 0, &[]).await;
}

#[tokio::test]
async fn a_damaged_checkpoint_is_an_error() {
    for damage in [
        "UPDATE checkpoints SET chunk = x'00' WHERE part = 1",
        "UPDATE checkpoints SET seq = 2 WHERE part = 1",
        "DELETE FROM checkpoints WHERE part = 1",
        "DELETE FROM checkpoints WHERE part = 0",
    ] {
        let test = TestStore::new();
        let store = test.open();
        let journal = store.journal();
        journal.register("detector", 0).await.expect("it is registered");
        save(&*journal, 1, &["one", "two"]).await;
        store.close().await;
        let file = Connection::open(test.path()).expect("the file");
        assert!(file.execute(damage, []).expect("it is damaged") > 0, "{damage}");
        drop(file);
        let store = test.open();
        let journal = store.journal();
        let checkpoint = journal.checkpoint("detector").await;
        assert!(matches!(checkpoint, Err(ReadError::Damaged { .. })), "{damage}: {checkpoint:?}");
        // The next checkpoint repairs it.
        save(&*journal, 2, &["three"]).await;
        check(&store, 2, &["three"]).await;
    }
}

#[tokio::test]
async fn a_file_of_schema_version_1_opens_and_keeps_everything() {
    let test = TestStore::new();
    let store = test.open();
    let journal = store.journal();
    journal.register("detector", 0).await.expect("it is registered");
    for number in 0..20 {
        put(&store, &format!("g/r/{number}"), "1").await.expect("it is put");
    }
    journal.advance_durably("detector", 11, "state").await.expect("it is durable");
    store.close().await;
    let file = Connection::open(test.path()).expect("the file");
    let downgrade = "DROP TABLE checkpoints; PRAGMA user_version = 1;";
    file.execute_batch(downgrade).expect("it has the previous layout");
    drop(file);
    let store = test.open();
    for number in 0..20 {
        let object = store.get(&format!("g/r/{number}")).await.expect("the disk is readable");
        assert_eq!(&*object.expect("the object exists").body, b"1");
    }
    let records = store.journal().read(0, 100, 1 << 20).await.expect("records");
    assert_eq!(records.len(), 20);
    assert_eq!(store.journal().cursor("detector").expect("a cursor").state, "state");
    save(&*store.journal(), 12, &["new"]).await;
    store.close().await;
    check(&test.open(), 12, &["new"]).await;
}
