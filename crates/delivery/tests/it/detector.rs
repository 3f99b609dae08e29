//! The detector on a real store: what it commits, and that a kill neither loses nor duplicates a
//! signal.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use delivery::{
    DETECTOR, Delivery, Detector, DetectorParts, DetectorRules, DetectorStatus, Enricher,
    SignalWriter, TIMER_PERIOD, Written,
};
use detect::{Document, LoadOptions, RuleSet, Settings};
use event::annotations::{SOURCE, SOURCE_CLUSTER};
use event::record::signal_of;
use event::signal::{ChangeKind, Remaining, Signal, SignalState, Target};
use event::{Event, ObjectReference, Stage, Status, Timestamp, UserInfo};
use prometheus_client::registry::Registry;
use store::{ListOptions, Sqlite, Storage as _, Transaction};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const RULE: &str = "
title: Restore points deleted
id: deleted
logsource: {product: kubernetes, service: audit}
level: high
detection:
  deleted: {verb: delete, objectRef.resource: restorepoints}
  condition: deleted
keepwatch: {group-by: [user.username]}
";
const PREFIX: &str = "siem/signals/";
const START: i64 = 1_795_566_600_000_000;

/// Stores a signal as JSON, unless the stored signal is as recent.
struct Writer;

impl SignalWriter for Writer {
    fn write(
        &self,
        transaction: &mut dyn Transaction,
        signal: &Signal,
        _time: Timestamp,
    ) -> Option<Written> {
        let key = format!("{PREFIX}{}", signal.id);
        let stored = transaction.get(&key).map(|stored| read(&stored.body));
        let written = if stored.is_some() { Written::Updated } else { Written::Created };
        let is_closed = signal.state == SignalState::Closed;
        let is_as_recent = |stored: Signal| {
            stored.spec.count >= signal.spec.count
                && (stored.state == SignalState::Closed || !is_closed)
        };
        if stored.is_some_and(is_as_recent) {
            return None;
        }
        let revision = transaction.next_revision();
        transaction.put(&key, revision, Bytes::from(serde_json::to_vec(signal).unwrap()));
        Some(written)
    }
}

struct FixedEnricher;

#[async_trait]
impl Enricher for FixedEnricher {
    async fn start(&mut self) {}

    async fn enrich(&mut self, signal: &mut Signal, _unlisted: &[Target]) {
        signal.spec.remaining =
            vec![Remaining { application: "shop".to_owned(), ..Remaining::default() }];
    }
}

fn read(body: &[u8]) -> Signal {
    serde_json::from_slice(body).unwrap()
}

/// Opens the store with a clock that advances a millisecond with each call.
fn open(folder: &Path) -> Sqlite {
    open_with(folder, 1_000)
}

/// Opens the store with a clock that advances by `step` microseconds with each call.
fn open_with(folder: &Path, step: i64) -> Sqlite {
    let now = AtomicI64::new(START);
    let clock = Arc::new(move || now.fetch_add(step, Ordering::Relaxed));
    Sqlite::open(&folder.join("store.db"), store::Settings::default(), clock).unwrap()
}

pub(super) fn rules(texts: &[&str]) -> DetectorRules {
    let documents: Vec<Document> =
        texts.iter().map(|text| Document::new("rule.yaml", *text)).collect();
    let rules = RuleSet::load(&documents, &LoadOptions::default()).unwrap();
    DetectorRules { rules: Arc::new(rules), suppressions: Arc::from([]) }
}

async fn detector(store: &Sqlite, rules: watch::Receiver<DetectorRules>) -> Detector {
    detector_at(store, rules, &Arc::new(AtomicI64::new(START))).await
}

/// A detector whose clock shows a settable time.
async fn detector_at(
    store: &Sqlite,
    rules: watch::Receiver<DetectorRules>,
    now: &Arc<AtomicI64>,
) -> Detector {
    detector_of(&mut Delivery::new(store.journal(), &mut Registry::default()), rules, now).await
}

pub(super) async fn detector_of(
    delivery: &mut Delivery,
    rules: watch::Receiver<DetectorRules>,
    now: &Arc<AtomicI64>,
) -> Detector {
    let now = Arc::clone(now);
    let parts = DetectorParts {
        writer: Arc::new(Writer),
        enricher: Box::new(FixedEnricher),
        rules,
        settings: Settings::default(),
        cluster: "prod".to_owned(),
        clock: Arc::new(move || Timestamp::from_micros(now.load(Ordering::Relaxed))),
    };
    delivery.detector(parts).await.unwrap()
}

async fn delete(store: &Sqlite, number: i64) {
    append(store, deletion(number)).await;
}

async fn append(store: &Sqlite, event: Event) {
    store::append(store, event::record::write(&event)).await.unwrap();
}

fn deletion(number: i64) -> Event {
    Event {
        audit_id: number.to_string(),
        user: UserInfo { username: format!("user-{}", number % 3), ..UserInfo::default() },
        object_ref: Some(ObjectReference {
            resource: "restorepoints".to_owned(),
            namespace: "shop".to_owned(),
            name: format!("rp-{number}"),
            ..ObjectReference::default()
        }),
        response_status: Some(Status { code: 200, ..Status::default() }),
        ..Event::internal(Stage::ResponseComplete, "delete", Timestamp::from_micros(START + number))
    }
}

/// The event as a source of this cluster sends it.
fn sent(cluster: &str, event: Event) -> Event {
    let annotations =
        [(SOURCE, format!("audit-webhook-{cluster}")), (SOURCE_CLUSTER, cluster.into())];
    let annotations = annotations.map(|(key, value)| (key.to_owned(), value));
    Event { annotations: annotations.into(), ..event }
}

/// Runs a detector over all records and shuts it down gracefully.
async fn run(store: &Sqlite) {
    let (_sender, rules) = watch::channel(rules(&[RULE]));
    let stop = CancellationToken::new();
    stop.cancel();
    detector(store, rules).await.run(stop).await;
}

/// The stored signals by ID, and how often the journal contains their opening.
async fn stored_signals(store: &Sqlite) -> BTreeMap<String, (Signal, usize)> {
    // The journal first, because an object exists no later than its record.
    let records = store.journal().read(0, 10_000, 64 << 20).await.unwrap();
    let page = store.list(PREFIX, ListOptions::default()).await.unwrap();
    let mut stored_signals: BTreeMap<String, (Signal, usize)> = page
        .items
        .iter()
        .map(|object| read(&object.body))
        .map(|signal| (signal.id.clone(), (signal, 0)))
        .collect();
    for record in records {
        let Some(record) = signal_of(&record.bytes) else { continue };
        let record = record.unwrap();
        let opened = usize::from(record.change == ChangeKind::Opened);
        stored_signals.get_mut(&record.signal().unwrap().id).unwrap().1 += opened;
    }
    stored_signals
}

#[tokio::test]
async fn a_signal_its_record_and_the_position_are_committed_together() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for number in 0..6 {
        delete(&store, number).await;
    }
    run(&store).await;
    let stored_signals = stored_signals(&store).await;
    assert_eq!(stored_signals.len(), 3);
    for (signal, opened) in stored_signals.values() {
        assert_eq!((signal.spec.count, *opened), (2, 1), "{signal:?}");
        assert_eq!(signal.spec.cluster, "prod");
        assert_eq!(signal.spec.remaining[0].application, "shop");
        assert_eq!(signal.spec.evidence.audit_ids.len(), 2);
    }
    let cursor = store.journal().cursor(DETECTOR).unwrap();
    assert!(cursor.seq >= 6, "{cursor:?}");
    assert!(store.journal().checkpoint(DETECTOR).await.unwrap().is_some());
    store.close().await;
}

/// A request that kube-apiserver and this server both record counts once; the events of another
/// cluster count there.
#[tokio::test]
async fn an_event_of_a_source_counts_in_its_own_cluster_and_once_beside_our_own_record() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for number in [0, 3] {
        delete(&store, number).await;
        append(&store, sent("prod", deletion(number))).await;
    }
    append(&store, sent("test", deletion(6))).await;
    run(&store).await;
    let stored_signals = stored_signals(&store).await;
    let counts =
        stored_signals.values().map(|(signal, _)| (&*signal.spec.cluster, signal.spec.count));
    assert_eq!(counts.collect::<BTreeMap<_, _>>(), BTreeMap::from([("prod", 2), ("test", 1)]));
    store.close().await;
}

#[tokio::test]
async fn a_killed_detector_raises_the_same_signals() {
    let expected = {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        for number in 0..30 {
            delete(&store, number).await;
        }
        run(&store).await;
        stored_signals(&store).await
    };
    assert_eq!(expected.len(), 3);
    for killed_after in [1, 7, 29] {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        for number in 0..killed_after {
            delete(&store, number).await;
        }
        let (_sender, rules) = watch::channel(rules(&[RULE]));
        let killed = detector(&store, rules).await;
        let mut status = killed.status();
        // The detector is dropped once it has read everything, without a graceful shutdown.
        tokio::select! {
            () = killed.run(CancellationToken::new()) => {}
            _ = status.wait_for(|status| status.seq >= killed_after.cast_unsigned()) => {}
        }
        for number in killed_after..30 {
            delete(&store, number).await;
        }
        run(&store).await;
        let stored_signals = stored_signals(&store).await;
        let counts = |stored_signals: &BTreeMap<String, (Signal, usize)>| -> Vec<_> {
            stored_signals.values().map(|(signal, opened)| (signal.spec.count, *opened)).collect()
        };
        assert_eq!(counts(&stored_signals), counts(&expected), "killed after {killed_after}");
        store.close().await;
    }
}

#[tokio::test]
async fn a_signal_that_closes_before_it_is_written_is_recorded_as_opened_and_closed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_with(folder.path(), 5_000_000);
    for number in [0, 5_000_000] {
        delete(&store, number).await;
    }
    let (_sender, rules) =
        watch::channel(rules(&[&RULE.replace("{group-by", "{keep-alive: 1s, group-by")]));
    let stop = CancellationToken::new();
    stop.cancel();
    detector(&store, rules).await.run(stop).await;
    let stored_signals = stored_signals(&store).await;
    let opened: Vec<usize> = stored_signals.values().map(|(_, opened)| *opened).collect();
    assert_eq!(opened, [1, 1]);
    store.close().await;
}

#[tokio::test]
async fn a_signal_closes_by_the_system_clock_when_nothing_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    delete(&store, 0).await;
    for (hours, state) in [(0, SignalState::Open), (2, SignalState::Closed)] {
        let (_sender, rules) = watch::channel(rules(&[RULE]));
        let stop = CancellationToken::new();
        stop.cancel();
        let now = Arc::new(AtomicI64::new(START + hours * 3_600_000_000));
        detector_at(&store, rules, &now).await.run(stop).await;
        let states: Vec<_> =
            stored_signals(&store).await.into_values().map(|(signal, _)| signal.state).collect();
        assert_eq!(states, [state], "after {hours} hours");
    }
    store.close().await;
}

#[tokio::test]
async fn a_signal_does_not_close_while_an_event_that_extends_it_is_being_written() {
    // The second event has the same user as the first.
    const SECOND: i64 = 999_999;
    let rule = RULE.replace("keepwatch: {", "keepwatch: {keep-alive: 2s, ");
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    delete(&store, 0).await;
    let (_sender, receiver) = watch::channel(rules(&[&rule]));
    let now = Arc::new(AtomicI64::new(START));
    let detector = detector_at(&store, receiver, &now).await;
    let stop = CancellationToken::new();
    let scenario = async {
        while stored_signals(&store).await.is_empty() {
            tokio::task::yield_now().await;
        }
        let (disk_is_slow, disk_is_done) = std::sync::mpsc::channel::<()>();
        let slow = store.submit(Box::new(move |_| disk_is_done.recv().unwrap()));
        let resume = async {
            // The detector reads the clock, by which the signal has expired.
            now.store(START + 90 * SECOND, Ordering::Relaxed);
            tokio::time::pause();
            tokio::time::advance(2 * TIMER_PERIOD).await;
            tokio::time::resume();
            tokio::time::sleep(Duration::from_millis(100)).await;
            disk_is_slow.send(()).unwrap();
        };
        // The event happened a second before the signal expires.
        let (.., slow) = tokio::join!(delete(&store, SECOND), resume, slow);
        slow.unwrap();
        stop.cancel();
    };
    tokio::join!(detector.run(stop.clone()), scenario);
    let stored_signals = stored_signals(&store).await;
    let counts: Vec<_> = stored_signals.values().map(|(signal, _)| signal.spec.count).collect();
    assert_eq!(counts, [2]);
    store.close().await;
}

#[tokio::test]
async fn the_lag_of_the_detector_is_the_number_of_unread_records() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (_sender, receiver) = watch::channel(rules(&[]));
    let mut registry = Registry::default();
    let mut delivery = Delivery::new(store.journal(), &mut registry);
    let detector = detector_of(&mut delivery, receiver, &Arc::new(AtomicI64::new(START))).await;
    let mut status = detector.status();
    let stop = CancellationToken::new();
    let scenario = async {
        delete(&store, 0).await;
        status.wait_for(|status| status.seq >= 1).await.unwrap();
        let mut metrics = String::new();
        prometheus_client::encoding::text::encode(&mut metrics, &registry).unwrap();
        stop.cancel();
        metrics
    };
    let ((), metrics) = tokio::join!(detector.run(stop.clone()), scenario);
    let of_detector = "keepwatch_delivery_lag_events{sink=\"detector\"}";
    let lag = metrics.lines().find(|line| line.starts_with(of_detector)).unwrap();
    assert_eq!(lag, format!("{of_detector} 0"));
    store.close().await;
}

#[tokio::test]
async fn a_changed_rule_is_live_for_the_next_event() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (sender, receiver) = watch::channel(rules(&[]));
    let detector = detector(&store, receiver).await;
    let mut status = detector.status();
    let stop = CancellationToken::new();
    let scenario = async {
        delete(&store, 0).await;
        status.wait_for(|status| status.seq >= 1).await.unwrap();
        sender.send_replace(rules(&[RULE]));
        let has_rule =
            |status: &DetectorStatus| status.rules.iter().any(|rule| rule.rule == "deleted");
        status.wait_for(has_rule).await.unwrap();
        delete(&store, 3).await;
        status.wait_for(|status| status.seq >= 2).await.unwrap();
        stop.cancel();
    };
    tokio::join!(detector.run(stop.clone()), scenario);
    let stored_signals = stored_signals(&store).await;
    let signals: Vec<_> = stored_signals.values().map(|(signal, _)| signal.spec.count).collect();
    assert_eq!(signals, [1], "the event before the rule does not count");
    store.close().await;
}
