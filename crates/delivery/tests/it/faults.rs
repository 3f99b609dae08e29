//! A store that misbehaves in every way: each object is there once, and little is asked twice.

use delivery::Delivery;
use store::Sqlite;
use testkit::s3::{Fault, S3Double};

use super::fixture::{arrived, bucket, delivery, events, open_store, record, s3, small};

/// Readers at the same time, each with its own stream of objects.
const READERS: usize = 16;
/// Events, each an object of its own for each reader.
const EVENTS: u64 = 60;

fn name(reader: usize) -> String {
    format!("reader-{reader}")
}

async fn deliver(store: &Sqlite, delivery: &Delivery, place: &S3Double) {
    record(store, 1..EVENTS + 1).await;
    for reader in 0..READERS {
        let bucket = bucket(s3(&place.endpoint()), small(1));
        delivery.attach(&name(reader), bucket, 0).await.unwrap();
    }
    for reader in 0..READERS {
        arrived(delivery, &store.journal(), &name(reader)).await;
    }
    let objects = place.objects();
    assert_eq!(objects.len() as u64, READERS as u64 * EVENTS);
    for reader in 0..READERS {
        let found = events(&objects, &name(reader));
        assert_eq!(found, (1..=EVENTS).collect::<Vec<_>>(), "{}", name(reader));
    }
    delivery.close().await;
}

/// Every `nth` request goes wrong, in each way in turn.
fn every(nth: u64) -> testkit::s3::Mood {
    let mut kinds = Fault::ALL.into_iter().cycle();
    Box::new(move |number| if number % nth == 0 { kinds.next() } else { None })
}

#[tokio::test]
async fn each_object_is_there_once_whatever_every_third_request_meets() {
    let home = tempfile::tempdir().unwrap();
    let place = S3Double::start(every(3)).await.unwrap();
    let store = open_store(home.path());
    let delivery = delivery(&store);
    deliver(&store, &delivery, &place).await;
    let (requests, faults) = place.counts();
    assert!(faults >= 400, "{faults} of {requests}");
}

#[tokio::test]
async fn one_request_in_twenty_goes_wrong_and_few_are_sent_in_vain() {
    let home = tempfile::tempdir().unwrap();
    let place = S3Double::start(every(20)).await.unwrap();
    let store = open_store(home.path());
    let delivery = delivery(&store);
    deliver(&store, &delivery, &place).await;
    let (requests, _) = place.counts();
    let needed = READERS as u64 * EVENTS;
    assert!(requests * 10 <= needed * 11, "{requests} for {needed}");
}
