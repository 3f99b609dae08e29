//! Readers of the journal: their cursors, the records retained for them, and the ends of the
//! journal.

use std::fs;
use std::time::Duration;

use bytes::Bytes;
use store::{Condition, Direction, DiskUse, Gap, ReadError, Storage, StoreError};

use crate::test_store::{TestStore, append, put};

#[tokio::test]
async fn records_are_read_in_order_from_memory_and_from_disk() {
    let mut test = TestStore::new();
    test.settings.tail_cache_bytes = 4096;
    let store = test.open();
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
    let test = TestStore::new();
    let store = test.open();
    let journal = store.journal();
    for number in 0..10 {
        append(&store, &number.to_string()).await.expect("it is recorded");
    }
    assert_eq!(journal.register("file", 0).await.expect("it is registered").seq, 0);
    journal.advance("file", 4, "inode 7, offset 400").expect("the cursor is its own");
    assert_eq!(journal.readers()[0].lag, 6);
    journal.register("gone", 3).await.expect("it is registered");
    journal.advance_durably("file", 5, "inode 7, offset 500").await.expect("it is durable");
    journal.remove("gone").await.expect("it is removed");
    journal.advance("file", 6, "inode 8, offset 0").expect("the cursor is its own");
    store.close().await;
    let store = test.open();
    let cursor = store.journal().register("file", 0).await.expect("the object exists");
    assert_eq!((cursor.seq, cursor.state.as_str()), (6, "inode 8, offset 0"));
    assert_eq!(store.journal().readers().len(), 1);
}

#[tokio::test]
async fn waiting_ends_with_the_next_record_or_with_the_store() {
    let test = TestStore::new();
    let store = test.open();
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
    let test = TestStore::new();
    let store = test.open();
    let mut watch = store.watch("g/r/", store.observed_revision()).await.expect("it begins");
    store.close().await;
    assert_eq!(watch.next().await.map(drop), Err(ReadError::Closed));
}

#[tokio::test]
async fn records_are_removed_by_age_once_every_reader_has_passed() {
    let mut test = TestStore::new();
    test.settings.journal_retention_age = Duration::from_hours(1);
    let store = test.open();
    let journal = store.journal();
    journal.register("fast", 0).await.expect("it is registered");
    journal.register("slow", 0).await.expect("it is registered");
    for number in 1..=200 {
        append(&store, &number.to_string()).await.expect("it is recorded");
    }
    journal.advance_durably("fast", 200, "").await.expect("it is durable");
    journal.advance_durably("slow", 50, "").await.expect("it is durable");
    test.clock.advance(3601);
    while journal.first_seq() < 51 {
        append(&store, "tick").await.expect("it is recorded");
    }
    assert_eq!(journal.first_seq(), 51, "records that the slow reader has not read are retained");
    let next = journal.read(50, 1, 1).await.expect("records");
    assert_eq!(next[0].seq, 51);
    // Recent records are kept, even if all readers have passed them.
    let last = journal.last_seq();
    journal.advance_durably("fast", last, "").await.expect("it is durable");
    journal.advance_durably("slow", last, "").await.expect("it is durable");
    while journal.first_seq() < 201 {
        append(&store, "tick").await.expect("it is recorded");
    }
    assert_eq!(journal.first_seq(), 201);
}

#[tokio::test]
async fn a_full_journal_rejects_writes_until_its_reader_advances() {
    let mut test = TestStore::new();
    test.settings.journal_retention_bytes = 1 << 20;
    test.settings.limit_bytes = 2 << 20;
    let store = test.open();
    let journal = store.journal();
    journal.register("stuck", 0).await.expect("it is registered");
    put(&store, "g/r/a", "1").await.expect("it is put");
    let body = "x".repeat(10_000);
    let mut warned = false;
    let rejection = loop {
        match append(&store, &body).await {
            Ok(_) => warned |= store.health().condition == Condition::Warning,
            Err(rejection) => break rejection,
        }
    };
    assert!(warned, "there was no warning at half of the limit");
    assert!(
        matches!(&rejection, StoreError::Full { largest_use: DiskUse::Reader { name, .. }, limit, .. }
            if name == "stuck" && *limit == 2 << 20),
        "{rejection:?}"
    );
    assert!(rejection.retry_after().is_some());
    assert_eq!(store.health().condition, Condition::Full);
    assert!(store.health().used_bytes < 3 << 20, "the file grew far beyond the limit");
    assert!(store.get("g/r/a").await.expect("the disk is readable").is_some(), "reads continue");
    assert!(put(&store, "g/r/a", "2").await.is_err(), "changes are rejected too");
    assert_eq!(store.take_rejected(), 2);
    assert_eq!(store.health().rejected_unrecorded, 0);
    let last = journal.last_seq();
    let work = journal.submit(Box::new(move |transaction| {
        transaction.append(Bytes::from_static(b"output of the reader"));
        transaction.advance("stuck", last + 1, "");
    }));
    assert_eq!(work.await.expect("a reader's work is done").seq, last + 1);
    let recovered = async {
        while append(&store, "again").await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), recovered)
        .await
        .expect("it accepts writes again");
}

#[tokio::test]
async fn short_first_records_hid_the_reader_that_fills_the_journal() {
    let mut test = TestStore::new();
    test.settings.journal_retention_bytes = 1 << 20;
    test.settings.limit_bytes = 2 << 20;
    let store = test.open();
    store.journal().register("stuck", 0).await.expect("it is registered");
    for _ in 0..80 {
        append(&store, "short").await.expect("it is recorded");
    }
    let body = "x".repeat(10_000);
    let rejection = loop {
        if let Err(rejection) = append(&store, &body).await {
            break rejection;
        }
    };
    assert!(
        matches!(&rejection, StoreError::Full { largest_use: DiskUse::Reader { name, .. }, .. }
            if name == "stuck"),
        "{rejection:?}"
    );
}

#[tokio::test]
async fn a_damaged_record_is_an_error_and_can_be_skipped() {
    let test = TestStore::new();
    let store = test.open();
    for number in 1..=9 {
        append(&store, &format!("{number}").repeat(500)).await.expect("it is recorded");
    }
    store.close().await;
    let mut bytes = fs::read(test.path()).expect("the file");
    let at = bytes.windows(500).position(|window| window.iter().all(|byte| *byte == b'5'));
    bytes[at.expect("the record is in the file") + 250] ^= 1;
    fs::write(test.path(), bytes).expect("the file");
    let store = test.open();
    let journal = store.journal();
    assert_eq!(journal.read(0, 100, 1 << 20).await.expect("records").len(), 4);
    let damage = journal.read(4, 100, 1 << 20).await;
    assert!(matches!(damage, Err(ReadError::Damaged { number: 5, .. })), "{damage:?}");
    assert_eq!(journal.read(5, 100, 1 << 20).await.expect("records").len(), 4);
    assert_eq!(journal.known_gaps(), [Gap { first: 5, last: 5 }]);
    store.close().await;
    let store = test.open();
    let journal = store.journal();
    assert!(journal.known_gaps().is_empty(), "nothing was read yet");
    let ranges = journal.read_ranges(vec![4..=6], Direction::Backward, 1 << 20).await;
    let seqs: Vec<u64> = ranges.expect("records").records.iter().map(|record| record.seq).collect();
    assert_eq!((seqs, journal.known_gaps()), (vec![6, 4], vec![Gap { first: 5, last: 5 }]));
}

/// A suffix of the SQL: remove the lock file too.
const WITHOUT_LOCK_FILE: &str = " -- without the lock file";

/// Change the file while no server has it open.
fn tamper(test: &TestStore, sql: &str) {
    if sql.ends_with(WITHOUT_LOCK_FILE) {
        let lock = test.path().with_added_extension("lock");
        fs::remove_file(lock).expect("the lock file");
    }
    let file = rusqlite::Connection::open(test.path()).expect("the file");
    file.execute_batch(sql).expect("it is changed");
}

/// Regression test: the sequence numbers of a truncated tail were allocated again below the
/// readers' cursors, so that readers skipped all new records.
#[tokio::test]
async fn a_truncated_journal_reuses_no_sequence_number_and_reports_the_gap() {
    let check = async |sql: &str, next: u64, gap: (u64, u64), expected: &[u64]| {
        let test = TestStore::new();
        let store = test.open();
        for number in 1..=20 {
            append(&store, &number.to_string()).await.expect("it is recorded");
        }
        let journal = store.journal();
        journal.register("sink", 0).await.expect("it is registered");
        journal.advance_durably("sink", 18, "").await.expect("it is durable");
        store.close().await;
        tamper(&test, sql);
        let store = test.open();
        let journal = store.journal();
        let gaps = journal.known_gaps();
        assert_eq!(gaps, [Gap { first: gap.0, last: gap.1 }], "{sql}");
        assert_eq!(append(&store, "new").await, Ok(next), "{sql}");
        let mut after = journal.cursor("sink").expect("the object exists").seq;
        let mut read = Vec::new();
        while after < journal.last_seq() {
            match journal.read(after, 10, 1000).await {
                Ok(records) => {
                    read.extend(records.iter().map(|record| record.seq));
                    after = records.last().expect("there is one").seq;
                }
                Err(ReadError::Missing { last, .. }) => after = last,
                Err(error) => panic!("{sql}: {error}"),
            }
        }
        assert_eq!(read, expected, "{sql}");
    };
    check("DELETE FROM journal WHERE seq > 10", 21, (11, 20), &[21]).await;
    check("DELETE FROM journal WHERE seq > 19", 21, (20, 20), &[19, 21]).await;
    check("DELETE FROM journal", 21, (19, 20), &[21]).await;
    check("DELETE FROM journal WHERE seq < 20", 21, (19, 19), &[20, 21]).await;
    // After a SIGKILL, only the lock file may have the number; after an older program, only a
    // cursor does.
    let without_number = "DELETE FROM meta WHERE key = 'seq'; DELETE FROM journal WHERE seq > 10";
    check(without_number, 21, (11, 20), &[21]).await;
    check(&format!("{without_number}{WITHOUT_LOCK_FILE}"), 19, (11, 18), &[19]).await;
    let cut = "DELETE FROM journal WHERE seq > 10";
    check(&format!("{cut}{WITHOUT_LOCK_FILE}"), 21, (11, 20), &[21]).await;
}

#[tokio::test]
async fn a_cursor_past_the_end_is_a_gap_and_its_reader_gets_new_records() {
    for (cursor, next) in [(1_000_000_u64, 1_000_001), (u64::MAX >> 1, 4), (1 << 40, 4)] {
        let test = TestStore::new();
        let store = test.open();
        for number in 1..=3 {
            append(&store, &number.to_string()).await.expect("it is recorded");
        }
        let journal = store.journal();
        journal.register("sink", 0).await.expect("it is registered");
        journal.advance_durably("sink", cursor, "").await.expect("it is durable");
        store.close().await;
        let store = test.open();
        assert_eq!(store.journal().known_gaps().len(), 1, "{cursor}");
        assert_eq!(append(&store, "new").await, Ok(next), "{cursor}");
        let after = store.journal().cursor("sink").expect("the object exists").seq;
        assert_eq!(after, next - 1, "{cursor}");
        let records = store.journal().read(after, 10, 1000).await.expect("records");
        assert_eq!(records.len(), 1, "{cursor}");
    }
}

#[tokio::test]
async fn gaps_inside_the_journal_are_found_and_each_is_one_error() {
    let test = TestStore::new();
    let store = test.open();
    for number in 1..=30 {
        append(&store, &number.to_string()).await.expect("it is recorded");
    }
    store.close().await;
    tamper(&test, "DELETE FROM journal WHERE seq IN (5, 11, 12, 13)");
    let store = test.open();
    let journal = store.journal();
    let single_gap = Gap { first: 5, last: 5 };
    let long_gap = Gap { first: 11, last: 13 };
    assert_eq!(journal.find_gaps(1, 1000).await, Ok((vec![single_gap, long_gap], 30)));
    assert_eq!(journal.find_gaps(1, 6).await, Ok((vec![single_gap], 7)));
    assert_eq!(journal.find_gaps(11, 6).await, Ok((vec![long_gap], 19)));
    assert_eq!(journal.read(10, 9, 999).await, Err(ReadError::Missing { first: 11, last: 13 }));
    assert!(journal.known_gaps().is_empty());
}
