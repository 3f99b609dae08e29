//! Readers whose cursor another task takes over: they stop and report it, and can be replaced.

use std::sync::Arc;
use std::time::Duration;

use delivery::{DETECTOR, Delivery};
use objectstore::Provider;
use prometheus_client::registry::Registry;
use sink::DeliveryHealth;
use tokio_util::sync::CancellationToken;

use super::detector::{detector_of, rules};
use super::fixture::{
    bucket, delivery, event, events, open_store, read_objects, record, small_objects,
    wait_until_delivered,
};
use super::{TestStore, accepting, sink};

const NAME: &str = "reader";
/// Longer than a reader needs to notice that its cursor was taken over.
const DEADLINE: Duration = Duration::from_secs(20);

/// Waits until the only reader has lost its cursor.
async fn wait_until_lost(delivery: &Delivery) {
    let is_lost = async {
        while !matches!(delivery.health()[0].condition, DeliveryHealth::CursorLost { .. }) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, is_lost).await.unwrap();
}

#[tokio::test]
async fn an_uploader_that_lost_its_cursor_is_replaced_when_it_is_attached_again() {
    let (store_dir, bucket_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open_store(store_dir.path());
    let bucket = || {
        let root = bucket_dir.path().to_owned();
        let path = std::path::PathBuf::new();
        bucket(Provider::File(objectstore::FileStore { root, path }), small_objects(1))
    };
    let (first, second) = (delivery(&store), delivery(&store));
    first.attach(NAME, bucket(), 0).await.unwrap();
    record(&store, 1..2).await;
    wait_until_delivered(&first, &store.journal(), NAME).await;

    second.attach(NAME, bucket(), 0).await.unwrap();
    record(&store, 2..3).await;
    wait_until_delivered(&second, &store.journal(), NAME).await;
    wait_until_lost(&first).await;
    let DeliveryHealth::CursorLost { reason } = &first.health()[0].condition else { return };
    assert!(reason.contains("taken over"), "{reason}");
    assert!(!first.retarget(NAME, bucket()), "the uploader has stopped");
    assert!(matches!(first.health()[0].condition, DeliveryHealth::CursorLost { .. }));

    first.attach(NAME, bucket(), 0).await.unwrap();
    record(&store, 3..4).await;
    wait_until_delivered(&first, &store.journal(), NAME).await;
    assert_eq!(first.health()[0].condition, DeliveryHealth::Delivering);
    wait_until_lost(&second).await;
    assert_eq!(events(&read_objects(bucket_dir.path()), NAME), [1, 2, 3]);
    first.close().await;
    second.close().await;
}

#[tokio::test]
async fn a_sink_that_lost_its_cursor_stops_and_reports_it() {
    let (store, fake) = (TestStore::open(), accepting());
    let mut delivery = Delivery::new(store.journal(), &mut Registry::default());
    let task = delivery.sink_task(sink("fake", &fake)).run(CancellationToken::new());
    let takeover = async {
        store.append("a").await;
        delivery.delivered().await;
        store.journal().register("fake", 0).await.unwrap();
        store.append("b").await;
        // It does not wait for a sink that has stopped.
        delivery.delivered().await;
    };
    let run = async { tokio::join!(task, takeover) };
    tokio::time::timeout(DEADLINE, run).await.unwrap();
    let condition = &delivery.health()[0].condition;
    assert!(matches!(condition, DeliveryHealth::CursorLost { .. }), "{condition:?}");
}

#[tokio::test]
async fn a_detector_that_lost_its_cursor_stops_and_reports_it() {
    let store_dir = tempfile::tempdir().unwrap();
    let store = open_store(store_dir.path());
    let mut delivery = delivery(&store);
    let (_sender, receiver) = tokio::sync::watch::channel(rules(&[]));
    let detector = detector_of(&mut delivery, receiver, &Arc::default()).await;
    store.journal().register(DETECTOR, 0).await.unwrap();
    store::append(&store, event::record::write(&event("1"))).await.unwrap();
    let stop = CancellationToken::new();
    // The detector saves a checkpoint when it stops.
    stop.cancel();
    detector.run(stop).await;
    let condition = &delivery.health()[0].condition;
    assert!(matches!(condition, DeliveryHealth::CursorLost { .. }), "{condition:?}");
}
