//! Readers of the journal: their cursors, what is held for them, and where it ends.

use std::fs;
use std::time::Duration;

use bytes::Bytes;
use store::{Condition, ReadError, Storage, StoreError};

use crate::support::{Place, append, put};

#[tokio::test]
async fn records_come_in_order_from_memory_and_from_disk() {
    let mut place = Place::new();
    place.settings.recent_bytes = 4096;
    let store = place.open();
    for number in 1..=100 {
        assert_eq!(append(&store, &format!("record {number}")).await, Ok(number));
    }
    let journal = store.journal();
    let mut seq = 0;
    while seq < journal.last_seq() {
        for record in journal.read(seq, 7, 1 << 20).await.expect("records") {
            seq += 1;
            assert_eq!((record.seq, &*record.bytes), (seq, format!("record {seq}").as_bytes()));
        }
    }
    assert_eq!(seq, 100);
    let bytes_bound = journal.read(0, 100, 20).await.expect("records");
    assert_eq!(bytes_bound.len(), 2, "two records of 8 bytes fit in 20");
    let one_at_least = journal.read(99, 100, 1).await.expect("records");
    assert_eq!(one_at_least.len(), 1);
    assert!(journal.read(100, 100, 1).await.expect("records").is_empty());
}

#[tokio::test]
async fn cursors_and_their_state_survive() {
    let place = Place::new();
    let store = place.open();
    let journal = store.journal();
    for number in 0..10 {
        append(&store, &number.to_string()).await.expect("it is recorded");
    }
    assert_eq!(journal.register("file", 0).await.expect("it is registered").seq, 0);
    journal.advance("file", 4, "inode 7, offset 400");
    assert_eq!(journal.readers()[0].lag, 6);
    journal.register("gone", 3).await.expect("it is registered");
    journal.advance_durably("file", 5, "inode 7, offset 500").await.expect("it is durable");
    journal.remove("gone").await.expect("it is removed");
    journal.advance("file", 6, "inode 8, offset 0");
    store.close().await;
    let store = place.open();
    let cursor = store.journal().register("file", 0).await.expect("it is there");
    assert_eq!((cursor.seq, cursor.state.as_str()), (6, "inode 8, offset 0"));
    assert_eq!(store.journal().readers().len(), 1);
}

#[tokio::test]
async fn waiting_ends_with_the_next_record_or_with_the_store() {
    let place = Place::new();
    let store = place.open();
    let journal = store.journal();
    let waiting = journal.wait_past(0);
    append(&store, "one").await.expect("it is recorded");
    assert_eq!(waiting.await, Ok(1));
    let waiting = journal.wait_past(1);
    store.close().await;
    assert_eq!(waiting.await, Err(ReadError::Closed));
    assert_eq!(append(&store, "two").await, Err(StoreError::Closed));
    assert_eq!(store.health().condition, Condition::Closed);
}

#[tokio::test]
async fn a_watch_ends_with_the_store() {
    let place = Place::new();
    let store = place.open();
    let mut watch = store.watch("g/r/", store.current_revision()).expect("it begins");
    store.close().await;
    assert_eq!(watch.next().await.map(drop), Err(ReadError::Closed));
}

#[tokio::test]
async fn records_go_by_age_once_every_reader_has_passed() {
    let mut place = Place::new();
    place.settings.journal_time = Duration::from_hours(1);
    let store = place.open();
    let journal = store.journal();
    journal.register("fast", 0).await.expect("it is registered");
    journal.register("slow", 0).await.expect("it is registered");
    for number in 1..=200 {
        append(&store, &number.to_string()).await.expect("it is recorded");
    }
    journal.advance_durably("fast", 200, "").await.expect("it is durable");
    journal.advance_durably("slow", 50, "").await.expect("it is durable");
    place.clock.advance(3601);
    while journal.first_seq() < 51 {
        append(&store, "tick").await.expect("it is recorded");
    }
    assert_eq!(journal.first_seq(), 51, "nothing that the slow one has not read may go");
    let next = journal.read(50, 1, 1).await.expect("records");
    assert_eq!(next[0].seq, 51);
    // Fresh ones stay, however many have read them.
    let last = journal.last_seq();
    journal.advance_durably("fast", last, "").await.expect("it is durable");
    journal.advance_durably("slow", last, "").await.expect("it is durable");
    while journal.first_seq() < 201 {
        append(&store, "tick").await.expect("it is recorded");
    }
    assert_eq!(journal.first_seq(), 201);
}

#[tokio::test]
async fn a_full_journal_refuses_until_its_reader_moves_on() {
    let mut place = Place::new();
    place.settings.journal_bytes = 1 << 20;
    place.settings.limit_bytes = 2 << 20;
    let store = place.open();
    let journal = store.journal();
    journal.register("stuck", 0).await.expect("it is registered");
    put(&store, "g/r/a", "1").await.expect("it is put");
    let body = "x".repeat(10_000);
    let mut warned = false;
    let refusal = loop {
        match append(&store, &body).await {
            Ok(_) => warned |= store.health().condition == Condition::Warning,
            Err(refusal) => break refusal,
        }
    };
    assert!(warned, "there was no warning at half of the bound");
    assert!(
        matches!(&refusal, StoreError::Full { slowest, limit, .. } if slowest == "stuck" && *limit == 2 << 20),
        "{refusal:?}"
    );
    assert!(refusal.retry_after().is_some());
    assert_eq!(store.health().condition, Condition::Full);
    assert!(store.health().used_bytes < 3 << 20, "the bound was passed by far");
    assert!(store.get("g/r/a").await.expect("the disk answers").is_some(), "reads go on");
    assert!(put(&store, "g/r/a", "2").await.is_err(), "changes are refused, too");
    assert_eq!(store.take_refused(), 2);
    assert_eq!(store.health().refused_unrecorded, 0);
    let last = journal.last_seq();
    let work = journal.submit(Box::new(move |transaction| {
        transaction.record(Bytes::from_static(b"what the reader found"));
        transaction.advance("stuck", last + 1, "");
    }));
    assert_eq!(work.await.expect("a reader's work is done").seq, last + 1);
    let recovered = async {
        while append(&store, "again").await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), recovered).await.expect("it takes work again");
}

#[tokio::test]
async fn a_damaged_record_is_named_and_can_be_passed() {
    let place = Place::new();
    let store = place.open();
    for number in 1..=9 {
        append(&store, &format!("{number}").repeat(500)).await.expect("it is recorded");
    }
    store.close().await;
    let mut bytes = fs::read(place.path()).expect("the file");
    let at = bytes.windows(500).position(|window| window.iter().all(|byte| *byte == b'5'));
    bytes[at.expect("the record is in the file") + 250] ^= 1;
    fs::write(place.path(), bytes).expect("the file");
    let store = place.open();
    let journal = store.journal();
    assert_eq!(journal.read(0, 100, 1 << 20).await.expect("records").len(), 4);
    let damage = journal.read(4, 100, 1 << 20).await;
    assert!(matches!(damage, Err(ReadError::Damaged { number: 5, .. })), "{damage:?}");
    assert_eq!(journal.read(5, 100, 1 << 20).await.expect("records").len(), 4);
}
