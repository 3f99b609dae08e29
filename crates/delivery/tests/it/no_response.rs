//! Destinations that do not respond: delivery must not reveal the reason.

use std::sync::Arc;
use std::time::Duration;

use delivery::{Delivery, SinkHealth};
use objectstore::Bucket;
use sink::DeliveryHealth;
use testkit::s3::{Fault, S3Double};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::fixture::{
    bucket_config, delivery, destination, open_store, record, s3, small_objects,
    wait_until_delivered,
};

/// Longer than a server on this machine takes to respond.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(1200);

fn bucket(endpoint: &str) -> Bucket {
    let mut bucket_config = bucket_config("test");
    bucket_config.egress.response_timeout = RESPONSE_TIMEOUT;
    Bucket::open(&destination(s3(endpoint), small_objects(1)), bucket_config).unwrap()
}

fn health(delivery: &Delivery, name: &str) -> SinkHealth {
    delivery.health().into_iter().find(|health| health.sink == name).unwrap()
}

/// The first condition other than `Delivering`.
async fn first_failure(delivery: &Delivery, name: &str) -> DeliveryHealth {
    loop {
        let condition = health(delivery, name).condition;
        if condition != DeliveryHealth::Delivering {
            return condition;
        }
        tokio::task::yield_now().await;
    }
}

/// An address on which no program listens.
async fn closed_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn closed_and_filtered_ports_are_reported_alike() {
    let store_dir = tempfile::tempdir().unwrap();
    let store = open_store(store_dir.path());
    record(&store, 1..4).await;
    let delivery = Arc::new(delivery(&store));
    // The system accepts connections, and no program responds.
    let silent_listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut endpoints = vec![
        format!("http://{}", closed_address().await),
        format!("http://{}", silent_listener.local_addr().unwrap()),
        format!("https://{}", silent_listener.local_addr().unwrap()),
        "http://no-such-name.invalid".to_owned(),
    ];
    let mut doubles = Vec::new();
    for fault in
        [Fault::CloseBeforeBody, Fault::NoResponse, Fault::InvalidHttp, Fault::StoreThenPartialHead]
    {
        let double = S3Double::start(Box::new(move |_| Some(fault))).await.unwrap();
        endpoints.push(double.endpoint());
        doubles.push(double);
    }
    // A server without TLS.
    endpoints.push(doubles[0].endpoint().replace("http:", "https:"));

    let report_delay = bucket(&endpoints[0]).no_response_delay();
    assert!(report_delay > RESPONSE_TIMEOUT);
    let mut tasks = JoinSet::new();
    for (number, endpoint) in endpoints.into_iter().enumerate() {
        let delivery = Arc::clone(&delivery);
        tasks.spawn(async move {
            let (name, start) = (format!("reader-{number}"), Instant::now());
            delivery.attach(&name, bucket(&endpoint), 0).await.unwrap();
            let health = first_failure(&delivery, &name).await;
            let elapsed = start.elapsed();
            // Earlier would tell a closed port from a filtered one. How much later depends on the
            // machine.
            assert!(elapsed >= report_delay, "{endpoint}: {elapsed:?}");
            let DeliveryHealth::NoResponse { reason } = health else {
                panic!("{endpoint}: {health:?}")
            };
            assert_eq!(
                reason.replace(&endpoint, "it"),
                "destination is not ready: endpoint it cannot be reached: no answer; check its \
                 name, port and certificate, and the log of keepwatch for details"
            );
        });
    }
    tasks.join_all().await;
    delivery.close().await;
}

#[tokio::test]
async fn a_response_is_reported_at_once_and_earlier_missing_ones_do_not_count() {
    let store_dir = tempfile::tempdir().unwrap();
    let store = open_store(store_dir.path());
    record(&store, 1..2).await;
    let delivery = delivery(&store);
    let faults = |number| {
        let is_first = number < 3;
        Some(if is_first { Fault::CloseBeforeBody } else { Fault::Error(404, "NoSuchBucket") })
    };
    let s3 = S3Double::start(Box::new(faults)).await.unwrap();
    delivery.attach("reader", bucket(&s3.endpoint()), 0).await.unwrap();
    let DeliveryHealth::Failing { reason, attempts } = first_failure(&delivery, "reader").await
    else {
        panic!("{:?}", health(&delivery, "reader"));
    };
    assert!(s3.counts().0 >= 3 && attempts == 1, "{:?}, {attempts}", s3.counts());
    assert!(reason.ends_with("the store responded with 404 NoSuchBucket"), "{reason}");
    delivery.close().await;
}

/// A delivery between two missing responses restarts the delay.
#[tokio::test]
async fn the_delay_of_a_missing_response_starts_at_the_last_success() {
    let store_dir = tempfile::tempdir().unwrap();
    let store = open_store(store_dir.path());
    record(&store, 1..2).await;
    let delivery = delivery(&store);
    let no_response = || Box::new(|_| Some(Fault::CloseBeforeBody));
    let s3 = S3Double::start(no_response()).await.unwrap();
    delivery.attach("reader", bucket(&s3.endpoint()), 0).await.unwrap();
    first_failure(&delivery, "reader").await;
    s3.set_fault_plan(Box::new(|_| None));
    wait_until_delivered(&delivery, &store.journal(), "reader").await;
    assert_eq!(health(&delivery, "reader").condition, DeliveryHealth::Delivering);
    s3.set_fault_plan(no_response());
    let start = Instant::now();
    record(&store, 2..3).await;
    first_failure(&delivery, "reader").await;
    assert!(start.elapsed() >= RESPONSE_TIMEOUT, "{:?}", start.elapsed());
    delivery.close().await;
}

#[tokio::test]
async fn a_new_bucket_does_not_inherit_the_failure_of_the_old_one() {
    let store_dir = tempfile::tempdir().unwrap();
    let store = open_store(store_dir.path());
    record(&store, 1..2).await;
    let delivery = delivery(&store);
    let broken = S3Double::start(Box::new(|_| Some(Fault::CloseBeforeBody))).await.unwrap();
    delivery.attach("reader", bucket(&broken.endpoint()), 0).await.unwrap();
    first_failure(&delivery, "reader").await;
    let working = S3Double::start(Box::new(|_| None)).await.unwrap();
    assert!(delivery.retarget("reader", bucket(&working.endpoint())));
    assert_eq!(health(&delivery, "reader").condition, DeliveryHealth::Delivering);
    wait_until_delivered(&delivery, &store.journal(), "reader").await;
    assert_eq!(working.objects().len(), 1);
    delivery.close().await;
}
