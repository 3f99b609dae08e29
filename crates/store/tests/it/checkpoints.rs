//! Checkpoints of readers: saved together with the transactions that they cover, and files without
//! any.

use bytes::Bytes;
use rusqlite::Connection;
use store::{ReadError, Sqlite, Storage, StoreError, write};

use crate::support::{Place, append, put};

fn chunks(texts: &[&'static str]) -> Vec<Bytes> {
    texts.iter().map(|text| Bytes::from_static(text.as_bytes())).collect()
}

/// One transaction: an object, a record, and the checkpoint that covers them.
async fn save(store: &Sqlite, seq: u64, texts: &[&'static str]) {
    let chunks = chunks(texts);
    let work = write(store, move |transaction| {
        let revision = transaction.next_revision();
        transaction.put("signals/a", revision, Bytes::from(seq.to_string()));
        transaction.record(Bytes::from_static(b"a signal"));
        transaction.save_checkpoint("detector", seq, chunks);
    });
    work.await.expect("it is saved");
}

async fn check(store: &Sqlite, seq: u64, texts: &[&'static str]) {
    let journal = store.journal();
    let found = journal.checkpoint("detector").await.expect("it can be read");
    assert_eq!(found.unwrap_or_default(), chunks(texts));
    assert_eq!(journal.cursor("detector").expect("it is registered").seq, seq);
}

#[tokio::test]
async fn a_checkpoint_and_its_cursor_survive_together() {
    let place = Place::new();
    let store = place.open();
    store.journal().register("detector", 0).await.expect("it is registered");
    check(&store, 0, &[]).await;
    save(&store, 3, &["one", "", "three"]).await;
    check(&store, 3, &["one", "", "three"]).await;
    save(&store, 7, &["four"]).await;
    let advanced = write(&store, |transaction| transaction.advance("detector", 9, "state"));
    advanced.await.expect("it is advanced");
    store.close().await;
    let store = place.open();
    check(&store, 9, &["four"]).await;
    assert_eq!(store.journal().cursor("detector").expect("a cursor").state, "state");
    save(&store, 10, &[]).await;
    assert_eq!(store.journal().checkpoint("detector").await, Ok(None));
}

#[tokio::test]
async fn a_cursor_in_memory_gives_way_to_the_one_that_work_moves() {
    let place = Place::new();
    let store = place.open();
    let journal = store.journal();
    journal.register("detector", 0).await.expect("it is registered");
    journal.advance("detector", 5, "by hand");
    save(&store, 4, &["four"]).await;
    check(&store, 4, &["four"]).await;
    journal.advance_durably("detector", 6, "").await.expect("it is durable");
    store.close().await;
    check(&place.open(), 6, &["four"]).await;
}

#[tokio::test]
async fn rolled_back_work_moves_nothing() {
    let place = Place::new();
    let store = place.open();
    store.journal().register("detector", 0).await.expect("it is registered");
    save(&store, 1, &["one"]).await;
    let work = write(&store, |transaction| {
        transaction.save_checkpoint("detector", 8, chunks(&["eight"]));
        transaction.rollback();
        transaction.advance("detector", 2, "");
    });
    work.await.expect("the rest is done");
    check(&store, 2, &["one"]).await;
    let unregistered = write(&store, |transaction| {
        transaction.record(Bytes::from_static(b"never"));
        transaction.save_checkpoint("unknown", 1, Vec::new());
    });
    let refusal = unregistered.await;
    assert_eq!(refusal, Err(StoreError::Unregistered { reader: "unknown".to_owned() }));
    assert_eq!(append(&store, "next").await, Ok(2), "work that was refused left a record");
}

#[tokio::test]
async fn a_reader_that_is_removed_leaves_no_checkpoint() {
    let place = Place::new();
    let store = place.open();
    let journal = store.journal();
    journal.register("detector", 0).await.expect("it is registered");
    save(&store, 1, &["one"]).await;
    // A queued transaction does not restore the reader after its removal.
    let waiting = write(&store, |transaction| transaction.advance("detector", 2, ""));
    journal.remove("detector").await.expect("it is removed");
    drop(waiting.await);
    assert_eq!(journal.cursor("detector"), None);
    assert_eq!(journal.checkpoint("detector").await, Ok(None));
    store.close().await;
    let store = place.open();
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
        let place = Place::new();
        let store = place.open();
        store.journal().register("detector", 0).await.expect("it is registered");
        save(&store, 1, &["one", "two"]).await;
        store.close().await;
        let file = Connection::open(place.path()).expect("the file");
        assert!(file.execute(damage, []).expect("it is damaged") > 0, "{damage}");
        drop(file);
        let store = place.open();
        let found = store.journal().checkpoint("detector").await;
        assert!(matches!(found, Err(ReadError::Damaged { .. })), "{damage}: {found:?}");
        // The next checkpoint repairs it.
        save(&store, 2, &["three"]).await;
        check(&store, 2, &["three"]).await;
    }
}

#[tokio::test]
async fn a_file_of_layout_1_opens_and_keeps_everything() {
    let place = Place::new();
    let store = place.open();
    store.journal().register("detector", 0).await.expect("it is registered");
    for number in 0..20 {
        put(&store, &format!("g/r/{number}"), "1").await.expect("it is put");
    }
    store.journal().advance_durably("detector", 11, "state").await.expect("it is durable");
    store.close().await;
    let file = Connection::open(place.path()).expect("the file");
    let back = "DROP TABLE checkpoints; PRAGMA user_version = 1;";
    file.execute_batch(back).expect("it has the layout of before");
    drop(file);
    let store = place.open();
    for number in 0..20 {
        let object = store.get(&format!("g/r/{number}")).await.expect("the disk answers");
        assert_eq!(&*object.expect("it is there").body, b"1");
    }
    let records = store.journal().read(0, 100, 1 << 20).await.expect("records");
    assert_eq!(records.len(), 20);
    assert_eq!(store.journal().cursor("detector").expect("a cursor").state, "state");
    save(&store, 12, &["new"]).await;
    store.close().await;
    check(&place.open(), 12, &["new"]).await;
}
