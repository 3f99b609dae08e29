//! Signals in the journal are delivered as separate lines, and seal an object early.

use std::time::Duration;

use delivery::Delivery;
use event::Severity;
use event::signal::ChangeKind;
use objectstore::{Bucket, Limits};
use store::{Sqlite, Storage};
use testkit::s3::S3Double;

use super::fixture::{
    bucket_config, delivery, destination, journal_lines, lines, open_store, record, s3, signal,
    wait_until_delivered,
};

const NAME: &str = "reader";
/// Maximum time until evidence is delivered.
const EVIDENCE_TIME: Duration = Duration::from_secs(5);

/// Limits under which objects wait for events longer than any test lasts.
fn long_seal_age() -> Limits {
    Limits { seal_age: Duration::from_hours(1), ..Limits::default() }
}

async fn attach(delivery: &Delivery, double: &S3Double) {
    let destination = destination(s3(&double.endpoint()), long_seal_age());
    let bucket = Bucket::open(&destination, bucket_config("test")).unwrap();
    delivery.attach(NAME, bucket, 0).await.unwrap();
}

async fn record_signal(store: &Sqlite, severity: Severity, change: ChangeKind) {
    store.append(signal(severity, change)).await.unwrap();
}

#[tokio::test]
async fn a_high_signal_seals_the_object_with_earlier_events_at_once() {
    let store_dir = tempfile::tempdir().unwrap();
    let double = S3Double::start(Box::new(|_| None)).await.unwrap();
    let store = open_store(store_dir.path());
    let delivery = delivery(&store);
    attach(&delivery, &double).await;
    record(&store, 1..4).await;
    record_signal(&store, Severity::Medium, ChangeKind::Opened).await;
    record(&store, 5..6).await;
    record_signal(&store, Severity::High, ChangeKind::Opened).await;
    let journal = store.journal();
    let delivered =
        tokio::time::timeout(EVIDENCE_TIME, wait_until_delivered(&delivery, &journal, NAME));
    delivered.await.unwrap();
    // The medium signal waited for the high one, in the same object.
    let objects = double.objects();
    assert_eq!(objects.len(), 1, "{:?}", objects.keys());
    let lines = lines(&objects, NAME);
    assert_eq!(lines, journal_lines(&journal).await);
    assert!(lines[3].contains(r#""kind":"Signal""#), "{}", lines[3]);
    // A following update is uploaded soon, too.
    record_signal(&store, Severity::Critical, ChangeKind::Updated).await;
    let delivered =
        tokio::time::timeout(EVIDENCE_TIME, wait_until_delivered(&delivery, &journal, NAME));
    delivered.await.unwrap();
    delivery.close().await;
}

/// Regression: lines in buckets had no identity except values that clients choose.
#[tokio::test]
async fn each_line_in_a_bucket_has_its_sequence_number() {
    let store_dir = tempfile::tempdir().unwrap();
    let double = S3Double::start(Box::new(|_| None)).await.unwrap();
    let store = open_store(store_dir.path());
    let delivery = delivery(&store);
    attach(&delivery, &double).await;
    record(&store, 1..4).await;
    record_signal(&store, Severity::Critical, ChangeKind::Opened).await;
    wait_until_delivered(&delivery, &store.journal(), NAME).await;
    let lines = lines(&double.objects(), NAME);
    let number = |line: &String| -> u64 {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let of_event = line.pointer("/annotations/keepwatch.io~1journal-seq");
        let of_event = of_event.and_then(|seq| seq.as_str()?.parse().ok());
        of_event.or_else(|| line.get("journalSeq")?.as_u64()).unwrap()
    };
    assert_eq!(lines.iter().map(number).collect::<Vec<_>>(), [1, 2, 3, 4]);
    delivery.close().await;
}

#[tokio::test]
async fn updates_of_a_signal_share_objects() {
    let store_dir = tempfile::tempdir().unwrap();
    let double = S3Double::start(Box::new(|_| None)).await.unwrap();
    let store = open_store(store_dir.path());
    let delivery = delivery(&store);
    attach(&delivery, &double).await;
    record_signal(&store, Severity::High, ChangeKind::Opened).await;
    wait_until_delivered(&delivery, &store.journal(), NAME).await;
    for _ in 0..200 {
        record_signal(&store, Severity::High, ChangeKind::Updated).await;
    }
    wait_until_delivered(&delivery, &store.journal(), NAME).await;
    let objects = double.objects();
    assert!(objects.len() <= 4, "{:?}", objects.keys());
    assert_eq!(lines(&objects, NAME), journal_lines(&store.journal()).await);
    delivery.close().await;
}
