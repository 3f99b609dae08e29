//! The index of events on a real store: it follows the journal, and a damaged file is rebuilt from
//! the journal.

use std::fs::OpenOptions;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use event::term::{Term, TermField};
use store::event_index::{EventIndex, IndexQuery, SEGMENT_RECORDS};
use store::{Sqlite, Storage as _};
use tokio::task::JoinSet;

use super::fixture::{NOW, delivery, event, open_store};

/// An index with the task that fills it, which ends when this is dropped.
pub(super) struct IndexFixture {
    index: Arc<EventIndex>,
    delivery: delivery::Delivery,
    _tasks: JoinSet<()>,
}

impl IndexFixture {
    /// Waits until the index has all records.
    pub(super) async fn open(store: &Sqlite) -> Self {
        let mut delivery = delivery(store);
        let index = Arc::new(store.event_index());
        let mut tasks = JoinSet::new();
        tasks.spawn(delivery.event_indexer(Arc::clone(&index)).run());
        delivery.indexed().await;
        Self { index, delivery, _tasks: tasks }
    }

    /// Opens the index without filling it: it has the segments in the file that belong to the
    /// store's journal.
    pub(super) async fn check(store: &Sqlite) -> Self {
        let (delivery, index) = (delivery(store), Arc::new(store.event_index()));
        for segment in index.stored().unwrap() {
            let last = segment.last_seq();
            let records = store.journal().read(last - 1, 1, 1).await.unwrap();
            if segment.belongs_to(records.first()) {
                index.accept(&segment);
            }
        }
        Self { index, delivery, _tasks: JoinSet::new() }
    }

    /// The number of records up to `up_to` that a search for an audit ID examines.
    fn examined_records(&self, audit_id: &str, up_to: u64) -> u64 {
        let ranges = self.ranges(audit_id, up_to);
        ranges.into_iter().map(|range| range.end() - range.start() + 1).sum()
    }

    /// The records up to `up_to` that a search for an audit ID examines.
    pub(super) fn ranges(&self, audit_id: &str, up_to: u64) -> Vec<RangeInclusive<u64>> {
        let query = IndexQuery {
            terms: vec![Term::new(TermField::AuditId, audit_id.as_bytes())],
            since: i64::MIN,
            until: i64::MAX,
            newest_first: false,
        };
        let (mut all, mut rest) = (Vec::new(), Some(1..=up_to));
        while let Some(within) = rest {
            let selection = self.index.select(&query, within);
            all.extend(selection.ranges);
            rest = selection.rest;
        }
        all
    }
}

/// Records events up to number `last`. Their audit IDs are `prefix` and the number.
pub(super) async fn record(store: &Sqlite, prefix: &str, last: u64) {
    let numbers: Vec<u64> = (store.journal().last_seq() + 1..=last).collect();
    // Fewer than the store's queue can hold.
    for chunk in numbers.chunks(1_000) {
        let records = chunk.iter().map(|number| {
            store::append(store, event::record::write(&event(&format!("{prefix}{number}"))))
        });
        for record in records.collect::<Vec<_>>() {
            record.await.unwrap();
        }
    }
}

pub(super) fn index_file(folder: &Path) -> PathBuf {
    folder.join("store.db-events")
}

/// Copies the existing files of a store.
fn copy_files(from: &Path, to: &Path, suffixes: &[&str]) {
    for name in suffixes.iter().map(|suffix| format!("store.db{suffix}")) {
        if from.join(&name).exists() {
            std::fs::copy(from.join(&name), to.join(&name)).unwrap();
        }
    }
}

/// A store with one complete segment and a part of the next one.
async fn indexed(folder: &Path) -> Sqlite {
    let store = open_store(folder);
    record(&store, "", SEGMENT_RECORDS + 10).await;
    store
}

#[tokio::test]
async fn the_index_follows_the_journal_and_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = indexed(folder.path()).await;
    let fixture = IndexFixture::open(&store).await;
    assert_eq!(fixture.index.next_missing(1), 1);
    assert!((1..100).contains(&fixture.examined_records("77", SEGMENT_RECORDS)));
    assert!(fixture.examined_records("none", SEGMENT_RECORDS) < 1_000);
    assert!(fixture.delivery.health().iter().all(|health| health.lag == 0));
    assert!(store.journal().readers().is_empty(), "the journal retains no records for the index");
    drop(fixture);
    store.close().await;

    let store = open_store(folder.path());
    let index = store.event_index();
    assert_eq!(index.next_missing(1), 0, "a stored segment is not used before it is checked");
    let [stored] = <[_; 1]>::try_from(index.stored().unwrap()).unwrap();
    let last = store.journal().read(SEGMENT_RECORDS - 1, 1, 1).await.unwrap();
    assert!(stored.belongs_to(last.first()));
    drop(index);
    let fixture = IndexFixture::open(&store).await;
    assert!(fixture.examined_records("77", SEGMENT_RECORDS) < 1_000);
}

#[tokio::test]
async fn a_damaged_index_is_rebuilt() {
    let folder = tempfile::tempdir().unwrap();
    let store = indexed(folder.path()).await;
    drop(IndexFixture::open(&store).await);
    let path = index_file(folder.path());
    for (offset, bytes) in [(0, &b"no database"[..]), (60, &[9; 16]), (4_096, &vec![0xa5; 60_000])]
    {
        let mut file = OpenOptions::new().write(true).open(&path).unwrap();
        file.seek(SeekFrom::Start(offset)).unwrap();
        file.write_all(bytes).unwrap();
        let fixture = IndexFixture::open(&store).await;
        assert!(fixture.examined_records("77", SEGMENT_RECORDS) >= 1, "{offset}");
        drop(fixture);
        let fixture = IndexFixture::open(&store).await;
        let examined_records = fixture.examined_records("77", SEGMENT_RECORDS);
        assert!((1..1_000).contains(&examined_records), "{offset}: {examined_records}");
        drop(fixture);
    }
    std::fs::remove_file(&path).unwrap();
    let fixture = IndexFixture::open(&store).await;
    assert!(fixture.examined_records("77", SEGMENT_RECORDS) < 1_000);
}

#[tokio::test]
async fn the_index_of_another_copy_of_the_store_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let store = open_store(folder.path());
    record(&store, "", 10).await;
    store.close().await;
    drop(store);
    copy_files(folder.path(), copy.path(), &["", "-wal"]);
    let store = open_store(folder.path());
    record(&store, "", SEGMENT_RECORDS + 10).await;
    drop(IndexFixture::open(&store).await);
    store.close().await;
    drop(store);

    copy_files(folder.path(), copy.path(), &["-events"]);
    let store = open_store(copy.path());
    let restored = IndexFixture::open(&store).await;
    assert_eq!(restored.index.next_missing(1), 0, "the copy has no such segment");
    drop(restored);
    record(&store, "other-", SEGMENT_RECORDS).await;
    let fixture = IndexFixture::open(&store).await;
    assert!(fixture.examined_records("other-77", SEGMENT_RECORDS) >= 1);
    assert!(fixture.examined_records("77", SEGMENT_RECORDS) < 1_000);
    assert!(store.health().is_writable());
}

#[tokio::test]
async fn trimmed_records_are_removed_from_the_index() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(AtomicI64::new(NOW));
    let now = Arc::clone(&clock);
    let settings = store::Settings::default();
    let retention_age = i64::try_from(settings.journal_retention_age.as_micros()).unwrap();
    let path = folder.path().join("store.db");
    let clock_fn = Arc::new(move || now.load(Ordering::Relaxed));
    let store = Sqlite::open(&path, settings, clock_fn).unwrap();
    record(&store, "", 2 * SEGMENT_RECORDS + 10).await;
    let fixture = IndexFixture::open(&store).await;
    let all = fixture.index.bytes();
    clock.fetch_add(2 * retention_age, Ordering::Relaxed);
    let mut last = 2 * SEGMENT_RECORDS + 10;
    // Each commit removes some records.
    while store.journal().first_seq() <= SEGMENT_RECORDS + 100 {
        last += 10;
        record(&store, "", last).await;
    }
    record(&store, "", last.next_multiple_of(SEGMENT_RECORDS) + 10).await;
    fixture.delivery.indexed().await;
    let first = store.journal().first_seq();
    let stored: Vec<u64> = fixture
        .index
        .stored()
        .unwrap()
        .iter()
        .map(|segment| segment.last_seq() / SEGMENT_RECORDS)
        .collect();
    assert!(!stored.contains(&1) && stored.contains(&3), "{stored:?}");
    assert!(fixture.index.bytes() <= all * 2, "the space of deleted segments is used again");
    let seq = last.max(first);
    let ranges = fixture.ranges(&seq.to_string(), store.journal().last_seq());
    assert!(ranges.iter().any(|range| range.contains(&seq)), "{ranges:?}");
}
