//! Delivery to a server with every fault: each object is stored once, with few repeated requests.
//!
//! The final objects are compared with the journal, byte by byte.

use std::time::Duration;

use delivery::Delivery;
use objectstore::Bucket;
use store::Sqlite;
use testkit::s3::{Fault, FaultPlan, S3Double};

use super::fixture::{
    bucket_config, delivery, destination, events, journal_lines, lines, open_store, record, s3,
    small_objects, wait_until_delivered,
};

/// Readers at the same time, each with its own stream of objects.
const READERS: usize = 32;
/// Number of events. Each is a separate object for each reader.
const EVENTS: u64 = 75;

fn name(reader: usize) -> String {
    format!("reader-{reader:02}")
}

/// Delivers to all readers, with this timeout for responses.
async fn deliver(
    store: &Sqlite,
    delivery: &Delivery,
    double: &S3Double,
    response_timeout: Duration,
) {
    record(store, 1..EVENTS + 1).await;
    for reader in 0..READERS {
        let mut bucket_config = bucket_config("test");
        bucket_config.egress.response_timeout = response_timeout;
        let destination = destination(s3(&double.endpoint()), small_objects(1));
        let bucket = Bucket::open(&destination, bucket_config).unwrap();
        delivery.attach(&name(reader), bucket, 0).await.unwrap();
    }
    for reader in 0..READERS {
        wait_until_delivered(delivery, &store.journal(), &name(reader)).await;
    }
    let objects = double.objects();
    assert_eq!(objects.len() as u64, READERS as u64 * EVENTS);
    let journal_lines = journal_lines(&store.journal()).await;
    for reader in 0..READERS {
        let delivered = events(&objects, &name(reader));
        assert_eq!(delivered, (1..=EVENTS).collect::<Vec<_>>(), "{}", name(reader));
        assert_eq!(lines(&objects, &name(reader)), journal_lines, "{}", name(reader));
    }
    assert_eq!(double.overwritten(), 0);
    delivery.close().await;
}

/// Every `nth` request has a fault, each kind in turn.
fn every(nth: u64) -> FaultPlan {
    let mut kinds = Fault::ALL.into_iter().cycle();
    Box::new(move |number| if number % nth == 0 { kinds.next() } else { None })
}

#[tokio::test]
async fn each_object_is_stored_once_despite_faults_of_every_other_request() {
    let store_dir = tempfile::tempdir().unwrap();
    let double = S3Double::start(every(2)).await.unwrap();
    let store = open_store(store_dir.path());
    let delivery = delivery(&store);
    deliver(&store, &delivery, &double, Duration::from_millis(500)).await;
    let (requests, faults) = double.counts();
    assert!(faults >= 2000, "{faults} of {requests}");
    let kinds = double.faults();
    assert_eq!(kinds.len(), Fault::ALL.len());
    assert!(kinds.values().all(|count| *count >= 50), "{kinds:?}");
}

#[tokio::test]
async fn with_one_fault_in_twenty_requests_few_are_repeated() {
    let store_dir = tempfile::tempdir().unwrap();
    let double = S3Double::start(every(20)).await.unwrap();
    let store = open_store(store_dir.path());
    let delivery = delivery(&store);
    deliver(&store, &delivery, &double, Duration::from_secs(3)).await;
    let (requests, faults) = double.counts();
    let needed = READERS as u64 * EVENTS;
    assert!(faults >= needed / 20, "{faults}");
    assert!(requests * 10 <= needed * 11, "{requests} for {needed}");
}
