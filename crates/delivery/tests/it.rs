//! The corridor between a real store and sinks that fail on request.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod it {
    mod buckets;
    mod detector;
    mod faults;
    mod fixture;
    mod notifications;
    mod silence;
}

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use delivery::{Condition, Delivery};
use event::{Event, Stage, Timestamp};
use prometheus_client::registry::Registry;
use sink::{Batch, DeliverError, Delivered, Encoding, Sink};
use store::{Journal, Sqlite};
use tokio_util::sync::CancellationToken;

/// What the sink got, and what it is to answer before it takes anything (the last is next).
#[derive(Clone, Default)]
struct Far {
    lines: Arc<Mutex<Vec<String>>>,
    trouble: Arc<Mutex<Vec<DeliverError>>>,
    /// Records that are taken of each batch.
    at_once: usize,
}

struct FarSink(&'static str, Encoding, Far);

#[async_trait]
impl Sink for FarSink {
    fn name(&self) -> &str {
        self.0
    }

    fn encoding(&self) -> &Encoding {
        &self.1
    }

    async fn resume(&mut self, _state: &str) -> Result<(), DeliverError> {
        Ok(())
    }

    async fn deliver(&mut self, batch: &Batch) -> Result<Delivered, DeliverError> {
        if let Some(error) = self.2.trouble.lock().unwrap().pop() {
            return Err(error);
        }
        let lines = batch.lines().take(self.2.at_once);
        let lines: Vec<_> = lines.map(|line| String::from_utf8(line.to_vec()).unwrap()).collect();
        let records = lines.len();
        self.2.lines.lock().unwrap().extend(lines);
        Ok(Delivered { records, state: format!("{records} at once"), settle: true })
    }
}

struct House {
    _folder: tempfile::TempDir,
    store: Sqlite,
}

impl House {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let store = Sqlite::open(&path, store::Settings::default(), Arc::new(|| 1)).unwrap();
        Self { _folder: folder, store }
    }

    async fn append(&self, name: &str) {
        let event = Event {
            audit_id: name.to_owned(),
            ..Event::without_request(Stage::ResponseComplete, "get", Timestamp::default())
        };
        store::record(&self.store, event::record::write(&event)).await.unwrap();
    }

    fn journal(&self) -> Arc<dyn Journal> {
        self.store.journal()
    }
}

fn far() -> Far {
    Far { at_once: usize::MAX, ..Far::default() }
}

fn sink(name: &'static str, far: &Far) -> Box<dyn Sink> {
    Box::new(FarSink(name, Encoding::V1, far.clone()))
}

/// Delivers what is there to one sink, and stops.
async fn run(house: &House, far: &Far) {
    let mut delivery = Delivery::new(house.journal(), &mut Registry::default());
    let stop = CancellationToken::new();
    let corridor = delivery.corridor(sink("far", far)).run(stop.clone());
    let delivered = async {
        delivery.delivered().await;
        stop.cancel();
    };
    tokio::join!(corridor, delivered);
}

fn check(far: &Far, expected: &[&str]) {
    let lines = far.lines.lock().unwrap();
    assert_eq!(lines.len(), expected.len(), "{lines:?}");
    for (line, name) in lines.iter().zip(expected) {
        assert!(line.contains(&format!(r#""auditID":"{name}""#)) && line.ends_with('\n'), "{line}");
    }
}

#[tokio::test]
async fn every_record_arrives_once_in_order_and_the_cursor_is_kept() {
    let (house, mut far) = (House::open(), far());
    for name in ["a", "b", "c"] {
        house.append(name).await;
    }
    far.at_once = 2;
    run(&house, &far).await;
    check(&far, &["a", "b", "c"]);
    assert_eq!(house.journal().cursor("far").unwrap().seq, 3);
    assert_eq!(house.journal().cursor("far").unwrap().state, "1 at once");
    house.append("d").await;
    run(&house, &far).await;
    check(&far, &["a", "b", "c", "d"]);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_fails_is_tried_until_it_takes_the_batch() {
    let (house, far) = (House::open(), far());
    house.append("a").await;
    for _ in 0..20 {
        let retry = DeliverError::Retry { after: None, source: "not now".into() };
        far.trouble.lock().unwrap().push(retry);
    }
    far.trouble.lock().unwrap().push(DeliverError::Misconfigured { source: "no".into() });
    run(&house, &far).await;
    check(&far, &["a"]);
}

#[tokio::test]
async fn a_closed_sink_stops_alone_and_keeps_its_place() {
    let (house, open, closed) = (House::open(), far(), far());
    house.append("a").await;
    closed.trouble.lock().unwrap().push(DeliverError::Closed);
    let mut registry = Registry::default();
    let mut delivery = Delivery::new(house.journal(), &mut registry);
    let stop = CancellationToken::new();
    let first = delivery.corridor(sink("closed", &closed)).run(stop.clone());
    let second = delivery.corridor(sink("open", &open)).run(stop.clone());
    let delivered = async {
        delivery.delivered().await;
        stop.cancel();
    };
    tokio::join!(first, second, delivered);
    check(&open, &["a"]);
    check(&closed, &[]);
    let health = delivery.health();
    assert_eq!((&health[0].condition, health[0].lag), (&Condition::Closed, 1));
    assert_eq!((&health[1].condition, health[1].lag), (&Condition::Delivering, 0));
    let mut metrics = String::new();
    prometheus_client::encoding::text::encode(&mut metrics, &registry).unwrap();
    assert!(metrics.contains(r#"keepwatch_delivery_lag_events{sink="closed"} 1"#), "{metrics}");
    assert!(metrics.contains(r#"keepwatch_delivery_delivered_total{sink="open"} 1"#), "{metrics}");
}

#[tokio::test]
async fn a_record_that_cannot_be_read_leaves_a_line_that_says_so() {
    let (house, far) = (House::open(), far());
    store::record(&house.store, Bytes::from_static(b"\xff nonsense")).await.unwrap();
    house.append("b").await;
    run(&house, &far).await;
    let lines = far.lines.lock().unwrap();
    assert_eq!(lines.len(), 2);
    assert!(
        lines[0].contains("keepwatch.io/gap") && lines[0].contains(r#""keepwatch.io/seq":"1""#)
    );
    assert!(lines[1].contains(r#""auditID":"b""#));
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_never_takes_anything_does_not_hold_up_the_end() {
    let (house, far) = (House::open(), far());
    house.append("a").await;
    for _ in 0..1000 {
        let retry = DeliverError::Retry { after: None, source: "not now".into() };
        far.trouble.lock().unwrap().push(retry);
    }
    let mut delivery = Delivery::new(house.journal(), &mut Registry::default());
    let stop = CancellationToken::new();
    stop.cancel();
    let run = delivery.corridor(sink("far", &far)).run(stop);
    tokio::time::timeout(2 * delivery::DRAIN_MAX, run).await.unwrap();
    assert_eq!(delivery.health()[0].lag, 1);
}
