//! Tests of delivery from a real store to sinks with fault injection.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod buckets;
mod detector;
mod event_index;
mod event_index_kill;
mod faults;
mod fixture;
mod lost_cursor;
mod no_response;
mod notifications;
mod signals;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use delivery::Delivery;
use event::{Event, Stage, Timestamp};
use prometheus_client::registry::Registry;
use sink::DeliveryHealth;
use sink::{Batch, DeliverError, Delivered, Encoding, Sink};
use store::{Journal, Sqlite};
use tokio_util::sync::CancellationToken;

/// The records that the sink received, and its next results (the last is used first).
#[derive(Clone, Default)]
struct FakeDestination {
    lines: Arc<Mutex<Vec<String>>>,
    failures: Arc<Mutex<Vec<DeliverError>>>,
    /// Number of records that it accepts of each batch.
    batch_max: usize,
}

struct FakeSink(&'static str, Encoding, FakeDestination);

#[async_trait]
impl Sink for FakeSink {
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
        if let Some(error) = self.2.failures.lock().unwrap().pop() {
            return Err(error);
        }
        let lines = batch.lines().take(self.2.batch_max);
        let lines: Vec<_> = lines.map(|line| String::from_utf8(line.to_vec()).unwrap()).collect();
        let records = lines.len();
        self.2.lines.lock().unwrap().extend(lines);
        Ok(Delivered { records, state: format!("{records} at once"), sync_cursor: true })
    }
}

struct TestStore {
    _folder: tempfile::TempDir,
    store: Sqlite,
}

impl TestStore {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let store = Sqlite::open(&path, store::Settings::default(), Arc::new(|| 1)).unwrap();
        Self { _folder: folder, store }
    }

    async fn append(&self, name: &str) {
        let event = Event {
            audit_id: name.to_owned(),
            ..Event::internal(Stage::ResponseComplete, "get", Timestamp::default())
        };
        store::append(&self.store, event::record::write(&event)).await.unwrap();
    }

    fn journal(&self) -> Arc<dyn Journal> {
        self.store.journal()
    }
}

fn accepting() -> FakeDestination {
    FakeDestination { batch_max: usize::MAX, ..FakeDestination::default() }
}

fn sink(name: &'static str, fake: &FakeDestination) -> Box<dyn Sink> {
    Box::new(FakeSink(name, Encoding::V1, fake.clone()))
}

/// Delivers all records to one sink, and stops.
async fn run(store: &TestStore, fake: &FakeDestination) {
    let mut delivery = Delivery::new(store.journal(), &mut Registry::default());
    let stop = CancellationToken::new();
    let task = delivery.sink_task(sink("fake", fake)).run(stop.clone());
    let delivered = async {
        delivery.delivered().await;
        stop.cancel();
    };
    tokio::join!(task, delivered);
}

fn check(fake: &FakeDestination, expected: &[&str]) {
    let lines = fake.lines.lock().unwrap();
    assert_eq!(lines.len(), expected.len(), "{lines:?}");
    for (line, name) in lines.iter().zip(expected) {
        assert!(line.contains(&format!(r#""auditID":"{name}""#)) && line.ends_with('\n'), "{line}");
    }
}

#[tokio::test]
async fn every_record_arrives_once_in_order_and_the_cursor_is_kept() {
    let (store, mut fake) = (TestStore::open(), accepting());
    for name in ["a", "b", "c"] {
        store.append(name).await;
    }
    fake.batch_max = 2;
    run(&store, &fake).await;
    check(&fake, &["a", "b", "c"]);
    assert_eq!(store.journal().cursor("fake").unwrap().seq, 3);
    assert_eq!(store.journal().cursor("fake").unwrap().state, "1 at once");
    store.append("d").await;
    run(&store, &fake).await;
    check(&fake, &["a", "b", "c", "d"]);
}

#[tokio::test(start_paused = true)]
async fn a_failing_sink_is_retried_until_it_accepts_the_batch() {
    let (store, fake) = (TestStore::open(), accepting());
    store.append("a").await;
    for _ in 0..20 {
        let retry = DeliverError::Retry { after: None, source: "not now".into() };
        fake.failures.lock().unwrap().push(retry);
    }
    fake.failures.lock().unwrap().push(DeliverError::Misconfigured { source: "no".into() });
    run(&store, &fake).await;
    check(&fake, &["a"]);
}

#[tokio::test]
async fn a_closed_sink_stops_alone_and_keeps_its_cursor() {
    let (store, open, closed) = (TestStore::open(), accepting(), accepting());
    store.append("a").await;
    closed.failures.lock().unwrap().push(DeliverError::Closed);
    let mut registry = Registry::default();
    let mut delivery = Delivery::new(store.journal(), &mut registry);
    let stop = CancellationToken::new();
    let first = delivery.sink_task(sink("closed", &closed)).run(stop.clone());
    let second = delivery.sink_task(sink("open", &open)).run(stop.clone());
    let delivered = async {
        delivery.delivered().await;
        stop.cancel();
    };
    tokio::join!(first, second, delivered);
    check(&open, &["a"]);
    check(&closed, &[]);
    let health = delivery.health();
    assert_eq!((&health[0].condition, health[0].lag), (&DeliveryHealth::Closed, 1));
    assert_eq!((&health[1].condition, health[1].lag), (&DeliveryHealth::Delivering, 0));
    let mut metrics = String::new();
    prometheus_client::encoding::text::encode(&mut metrics, &registry).unwrap();
    assert!(metrics.contains(r#"keepwatch_delivery_lag_events{sink="closed"} 1"#), "{metrics}");
    assert!(metrics.contains(r#"keepwatch_delivery_delivered_total{sink="open"} 1"#), "{metrics}");
}

#[tokio::test]
async fn an_unreadable_record_is_delivered_as_a_gap_event() {
    let (store, fake) = (TestStore::open(), accepting());
    store::append(&store.store, Bytes::from_static(b"\xff nonsense")).await.unwrap();
    store.append("b").await;
    run(&store, &fake).await;
    let lines = fake.lines.lock().unwrap();
    assert_eq!(lines.len(), 2);
    assert!(
        lines[0].contains("keepwatch.io/gap") && lines[0].contains(r#""keepwatch.io/seq":"1""#)
    );
    assert!(lines[1].contains(r#""auditID":"b""#));
}

#[tokio::test]
async fn a_signal_is_a_separate_line_and_a_damaged_one_a_gap_event() {
    let (store, fake) = (TestStore::open(), accepting());
    let spec = event::SignalSpec { title: "7 backups are gone".to_owned(), ..Default::default() };
    let state = event::SignalState::Closed;
    let signal = event::Signal { id: "signal-1".to_owned(), spec, state };
    let change = event::signal::ChangeKind::Closed;
    let record = event::record::write_signal(change, Timestamp::default(), &signal);
    let cut = record.slice(..record.len() - 1);
    for record in [record, cut] {
        store::append(&store.store, record).await.unwrap();
    }
    store.append("c").await;
    run(&store, &fake).await;
    let lines = fake.lines.lock().unwrap();
    assert_eq!(lines.len(), 3);
    assert!(lines[0].contains(r#""message":"Keepwatch signal closed""#), "{}", lines[0]);
    assert!(lines[1].contains(r#""keepwatch.io/seq":"2""#), "{}", lines[1]);
    assert!(lines[2].contains(r#""auditID":"c""#), "{}", lines[2]);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_accepts_nothing_does_not_block_shutdown() {
    let (store, fake) = (TestStore::open(), accepting());
    store.append("a").await;
    for _ in 0..1000 {
        let retry = DeliverError::Retry { after: None, source: "not now".into() };
        fake.failures.lock().unwrap().push(retry);
    }
    let mut delivery = Delivery::new(store.journal(), &mut Registry::default());
    let stop = CancellationToken::new();
    stop.cancel();
    let run = delivery.sink_task(sink("fake", &fake)).run(stop);
    tokio::time::timeout(2 * delivery::DRAIN_MAX, run).await.unwrap();
    assert_eq!(delivery.health()[0].lag, 1);
}
