//! Notifiers on a real store: each sends every signal despite faults of its destination.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use delivery::notification::{
    Notifications, NotifierHealth, SIGNALS_PREFIX, STATE_PREFIX, Target, UPDATE_INTERVAL, test,
};
use event::Timestamp;
use event::signal::Severity;
use prometheus_client::registry::Registry;
use serde_json::json;
use sink::http::EgressPolicy;
use sink::notifier::{Kind, Notification, Notifier, NotifyError, Settings, open};
use store::{ListOptions, Sqlite, Storage as _};
use testkit::receiver::{CannedResponse, Receiver};
use tokio::sync::watch;
use tokio::time::Instant;

use super::fixture::{NOW, open_store};

/// Returns the result of sending a notification. The argument is `event signal`.
type FaultPlan = Box<dyn FnMut(&str) -> Result<(), NotifyError> + Send>;

/// A destination in memory.
struct FakeNotifier {
    faults: Mutex<FaultPlan>,
    /// Each attempt: `event signal severity count`, the notification's id, and the time.
    attempts: watch::Sender<Vec<(String, String, Instant)>>,
    resend: Option<Duration>,
}

impl FakeNotifier {
    fn new(faults: impl FnMut(&str) -> Result<(), NotifyError> + Send + 'static) -> Arc<Self> {
        let (faults, attempts) =
            (Mutex::new(Box::new(faults) as FaultPlan), watch::Sender::default());
        Arc::new(Self { faults, attempts, resend: None })
    }

    fn lines(&self) -> Vec<String> {
        self.attempts.borrow().iter().map(|(line, ..)| line.clone()).collect()
    }

    async fn wait_for(&self, count: usize) -> Vec<String> {
        let mut changes = self.attempts.subscribe();
        changes.wait_for(|attempts| attempts.len() >= count).await.unwrap();
        self.lines()
    }
}

#[async_trait]
impl Notifier for FakeNotifier {
    async fn send(&self, notification: &Notification) -> Result<(), NotifyError> {
        let (event, signal) = (notification.event.as_str(), &notification.signal);
        let request = format!("{event} {}", signal.id);
        let line = format!("{request} {} {}", signal.spec.severity, signal.spec.count);
        let attempt = (line, notification.id.clone(), Instant::now());
        self.attempts.send_modify(|all| all.push(attempt));
        (self.faults.lock().unwrap())(&request)
    }

    fn origin(&self) -> &'static str {
        "https://double.example"
    }

    fn resend_interval(&self) -> Option<Duration> {
        self.resend
    }

    fn no_response_delay(&self) -> Duration {
        Duration::from_secs(20)
    }
}

fn target(notifier: &Arc<FakeNotifier>) -> Target {
    let notifier: Arc<dyn Notifier> = Arc::<FakeNotifier>::clone(notifier);
    target_of(notifier)
}

fn target_of(notifier: Arc<dyn Notifier>) -> Target {
    Target {
        notifier: Ok(notifier),
        min_severity: Severity::Low,
        rules: <_>::default(),
        sends_updates: true,
        sends_closed: true,
    }
}

/// Notifiers whose clock starts at [`NOW`] and follows the clock of tokio.
fn notifications(store: &Sqlite) -> Notifications {
    let start = Instant::now();
    let clock = move || {
        let elapsed = i64::try_from(start.elapsed().as_micros()).unwrap();
        Timestamp::from_micros(NOW + elapsed)
    };
    Notifications::new(Arc::new(store.clone()), &mut Registry::default(), Arc::new(clock))
}

/// Writes a signal as the detector does: `name severity count state`.
async fn put(store: &Sqlite, signal: &str) {
    let words: Vec<&str> = signal.split(' ').collect();
    let [name, severity, count, state] = words[..] else { return };
    let object = json!({
        "metadata": {"name": name},
        "spec": {
            "rule": {"id": "r", "title": "R"},
            "severity": severity,
            "count": count.parse::<u64>().unwrap(),
        },
        "status": {"state": state},
    });
    let (key, body) = (format!("{SIGNALS_PREFIX}{name}"), Bytes::from(object.to_string()));
    store::write(store, move |transaction| {
        let revision = transaction.next_revision();
        transaction.put(&key, revision, body);
    })
    .await
    .unwrap();
}

async fn delete(store: &Sqlite, name: &str) {
    let key = format!("{SIGNALS_PREFIX}{name}");
    store::write(store, move |transaction| {
        let revision = transaction.next_revision();
        transaction.delete(&key, revision, Bytes::from_static(b"{}"));
    })
    .await
    .unwrap();
}

/// The keys of the notifiers' records in the store.
async fn state(store: &Sqlite) -> Vec<String> {
    let page = store.list(STATE_PREFIX, ListOptions::default()).await.unwrap();
    let keys = page.items.iter().map(|object| object.key.replace(STATE_PREFIX, ""));
    keys.collect()
}

/// Advances the clock by 100 ms.
async fn advance_100_ms() {
    tokio::time::advance(Duration::from_millis(100)).await;
}

/// Advances the clock by an hour and runs everything that is due.
async fn advance_one_hour() {
    tokio::time::sleep(Duration::from_hours(1)).await;
}

async fn health(
    notifications: &Notifications,
    matches: impl Fn(&NotifierHealth) -> bool,
) -> NotifierHealth {
    loop {
        let [health] = <[_; 1]>::try_from(notifications.health()).unwrap();
        if matches(&health) {
            return health;
        }
        advance_100_ms().await;
    }
}

fn temporary_store() -> (tempfile::TempDir, Sqlite) {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(dir.path());
    (dir, store)
}

#[tokio::test(start_paused = true)]
async fn each_signal_is_opened_updated_at_intervals_and_closed() {
    let (_dir, store) = temporary_store();
    let notifications = notifications(&store);
    let double = FakeNotifier::new(|_| Ok(()));
    notifications.apply("team", "u-1", target(&double));
    put(&store, "a low 1 open").await;
    assert_eq!(double.wait_for(1).await, ["opened a low 1"]);
    let opened = Instant::now();
    // A higher count is sent after a delay; a higher severity is sent at once.
    put(&store, "a low 2 updated").await;
    double.wait_for(2).await;
    assert!(opened.elapsed() >= UPDATE_INTERVAL * 9 / 10);
    put(&store, "a high 3 updated").await;
    double.wait_for(3).await;
    put(&store, "a high 3 closed").await;
    let expected = ["opened a low 1", "updated a low 2", "updated a high 3", "closed a high 3"];
    assert_eq!(double.wait_for(4).await, expected);
    // A signal that is new and already closed is sent as opened and closed. One below the minimum
    // severity is not sent.
    put(&store, "b informational 1 open").await;
    put(&store, "c medium 1 closed").await;
    put(&store, "d medium 1 open").await;
    let expected = ["opened c medium 1", "closed c medium 1", "opened d medium 1"];
    let lines = double.wait_for(7).await;
    assert_eq!((lines.len(), &lines[4..]), (7, &expected.map(str::to_owned)[..]));
    notifications.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_open_alert_is_sent_again_until_it_is_closed() {
    let (_dir, store) = temporary_store();
    let notifications = notifications(&store);
    let mut double = FakeNotifier::new(|_| Ok(()));
    Arc::get_mut(&mut double).unwrap().resend = Some(Duration::from_mins(1));
    let open_only = Target { sends_updates: false, sends_closed: false, ..target(&double) };
    notifications.apply("alertmanager", "u-1", open_only);
    put(&store, "a low 1 open").await;
    double.wait_for(1).await;
    let opened = Instant::now();
    let last_sent = health(&notifications, |health| health.last_sent.is_some()).await.last_sent;
    double.wait_for(4).await;
    assert!(opened.elapsed() >= Duration::from_secs(178), "{:?}", opened.elapsed());
    // A repeated notification does not change `last_sent`.
    assert_eq!(notifications.health()[0].last_sent, last_sent);
    put(&store, "a low 1 closed").await;
    while double.lines().last().unwrap() != "closed a low 1" {
        advance_100_ms().await;
    }
    let count = double.lines().len();
    advance_one_hour().await;
    assert_eq!(double.lines().len(), count);
    notifications.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_rejected_notification_waits_alone_and_is_retried_indefinitely() {
    let (_dir, store) = temporary_store();
    let notifications = notifications(&store);
    let is_fixed = Arc::new(AtomicBool::new(false));
    let is_fixed_in_fake = Arc::clone(&is_fixed);
    let double = FakeNotifier::new(move |request| {
        let is_poison = request.ends_with(" a") && !is_fixed_in_fake.load(Ordering::Relaxed);
        let reason = "the destination responded with 400 Bad Request".to_owned();
        if is_poison { Err(NotifyError::Refused { reason }) } else { Ok(()) }
    });
    for signal in ["a high 1 open", "b high 1 open", "c high 1 open"] {
        put(&store, signal).await;
    }
    notifications.apply("team", "u-1", target(&double));
    let others = ["opened b high 1", "opened c high 1"].map(str::to_owned);
    while !others.iter().all(|line| double.lines().contains(line)) {
        advance_100_ms().await;
    }
    let current = health(&notifications, |health| health.sent == 2 && health.pending == 1).await;
    assert_eq!(current.refused, 1);
    assert_eq!(current.error.as_deref(), Some("the destination responded with 400 Bad Request"));
    // If the signal is closed in the meantime, `opened` is still sent before `closed`.
    put(&store, "a high 2 closed").await;
    // Retries continue indefinitely, at growing intervals.
    let of_a = |(line, ..): &&(String, String, Instant)| line.starts_with("opened a");
    let times = || -> Vec<Instant> {
        double.attempts.borrow().iter().filter(of_a).map(|(_, _, time)| *time).collect()
    };
    while times().len() < 20 {
        advance_100_ms().await;
    }
    let [.., before, last] = times()[..] else { return };
    assert!(last - before >= Duration::from_mins(5), "{:?}", last - before);
    is_fixed.store(true, Ordering::Relaxed);
    let current = health(&notifications, |health| health.sent == 4 && health.pending == 0).await;
    assert_eq!((current.refused, current.error), (0, None));
    let lines = double.lines();
    assert_eq!(lines[lines.len() - 2..], ["opened a high 2", "closed a high 2"]);
    let attempts = double.attempts.borrow().clone();
    let ids: Vec<_> = attempts.iter().filter(of_a).map(|(_, id, _)| id).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    notifications.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_failing_destination_is_not_contacted_before_its_retry_after() {
    let (_dir, store) = temporary_store();
    let notifications = notifications(&store);
    let mut results = vec![
        Err(NotifyError::Retry { after: Some(Duration::from_secs(40)), reason: "429".to_owned() }),
        Err(NotifyError::NoResponse { is_connect_error: true }),
        Err(NotifyError::Misconfigured { reason: "404".to_owned() }),
    ];
    results.reverse();
    let double = FakeNotifier::new(move |_| results.pop().unwrap_or(Ok(())));
    put(&store, "a high 1 open").await;
    put(&store, "b high 1 open").await;
    notifications.apply("team", "u-1", target(&double));
    double.wait_for(1).await;
    let start = Instant::now();
    let current = health(&notifications, |health| health.error.is_some()).await;
    assert_eq!((current.error.as_deref(), current.pending), (Some("429"), 2));
    double.wait_for(2).await;
    assert!(start.elapsed() >= Duration::from_secs(39), "{:?}", start.elapsed());
    let lines = double.wait_for(5).await;
    let open_line = "opened a high 1";
    assert_eq!(lines, [open_line, open_line, open_line, open_line, "opened b high 1"]);
    let current = health(&notifications, |health| health.pending == 0).await;
    assert_eq!((current.error, current.sent, current.failures), (None, 2, 3));
    notifications.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_new_target_is_used_at_once_and_an_unusable_one_waits() {
    let (_dir, store) = temporary_store();
    let notifications = notifications(&store);
    let missing = "Secret keepwatch/team does not exist".to_owned();
    let misconfigured =
        Target { notifier: Err(missing.clone()), ..target(&FakeNotifier::new(|_| Ok(()))) };
    notifications.apply("team", "u-1", misconfigured);
    put(&store, "a high 1 open").await;
    let current = health(&notifications, |health| health.pending == 1).await;
    assert_eq!((current.error, current.is_misconfigured), (Some(missing), true));
    let double = FakeNotifier::new(|_| Ok(()));
    notifications.apply("team", "u-1", target(&double));
    assert_eq!(double.wait_for(1).await, ["opened a high 1"]);
    // The new target applies to open signals, not to closed ones.
    for signal in ["b informational 1 open", "c informational 1 closed"] {
        put(&store, signal).await;
    }
    put(&store, "d high 1 open").await;
    double.wait_for(2).await;
    let all = Target { min_severity: Severity::Informational, ..target(&double) };
    notifications.apply("team", "u-1", all);
    let lines = double.wait_for(3).await;
    assert_eq!(lines, ["opened a high 1", "opened d high 1", "opened b informational 1"]);
    notifications.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_new_notifier_gets_open_signals_and_a_removed_one_leaves_no_state() {
    let (_dir, store) = temporary_store();
    for signal in ["a high 1 closed", "b high 1 open"] {
        put(&store, signal).await;
    }
    let notifications = notifications(&store);
    let double = FakeNotifier::new(|_| Ok(()));
    notifications.apply("team", "u-1", target(&double));
    double.wait_for(1).await;
    // A change of a closed signal by a user sends no notification.
    put(&store, "a high 1 closed").await;
    put(&store, "c high 1 open").await;
    assert_eq!(double.wait_for(2).await, ["opened b high 1", "opened c high 1"]);
    delete(&store, "b").await;
    while state(&store).await != ["u-1/cursor", "u-1/signals/c"] {
        advance_100_ms().await;
    }
    notifications.remove("team");
    while !state(&store).await.is_empty() {
        advance_100_ms().await;
    }
    // A new notifier with the same name does not inherit the records: they belong to a UID. After a
    // restart, records of unknown UIDs are deleted.
    let other = FakeNotifier::new(|_| Ok(()));
    notifications.apply("team", "u-2", target(&other));
    assert_eq!(other.wait_for(1).await, ["opened c high 1"]);
    notifications.close().await;
    let notifications = self::notifications(&store);
    notifications.retain(&BTreeMap::from([("team".to_owned(), "u-3".to_owned())])).await;
    assert_eq!(state(&store).await, Vec::<String>::new());
}

/// A webhook notifier for the receiver, with the system clock.
fn webhook(receiver: &Receiver) -> Arc<dyn Notifier> {
    open(&Settings {
        kind: Kind::Webhook,
        url: receiver.url().into(),
        secret: Some("a signing key of a test".into()),
        ca_pem: None,
        renderer: None,
        egress: EgressPolicy {
            allowed: vec!["127.0.0.0/8".parse().unwrap()],
            plain_http: true,
            ..EgressPolicy::default()
        },
    })
    .unwrap()
}

/// Sends a signal and stops the notifier as soon as the receiver has `requests` requests.
async fn send_and_stop(dir: &Path, name: &str, receiver: &Receiver, requests: usize) {
    let store = open_store(dir);
    let notifications = notifications(&store);
    put(&store, name).await;
    notifications.apply("team", "u-1", target_of(webhook(receiver)));
    receiver.wait_for(requests).await;
    // Stops the task without waiting for it.
    drop(notifications);
    store.close().await;
}

#[tokio::test]
async fn after_each_kill_every_notification_keeps_its_id() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start().await.unwrap();
    let faults = [
        CannedResponse::CloseAfterBody,
        CannedResponse::status(503),
        CannedResponse::CloseBeforeBody,
    ];
    for round in 0..12_usize {
        let before = receiver.received().len();
        if let Some(fault) = faults.get(round % 4) {
            receiver.respond_next(fault.clone());
        }
        send_and_stop(dir.path(), &format!("s-{round} high 1 open"), &receiver, before + 1).await;
    }
    let store = open_store(dir.path());
    let notifications = notifications(&store);
    notifications.apply("team", "u-1", target_of(webhook(&receiver)));
    let mut ids: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let are_all_sent = |ids: &BTreeMap<String, Vec<String>>| ids.len() == 12;
    while !are_all_sent(&ids) {
        ids.clear();
        for request in receiver.received() {
            let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
            assert_eq!(body["id"], request.header("webhook-id"));
            let name = body["signal"]["metadata"]["name"].as_str().unwrap().to_owned();
            if request.response_status == 200 {
                ids.entry(name).or_default().push(request.header("webhook-id").to_owned());
            }
        }
        tokio::task::yield_now().await;
    }
    for (name, ids) in &ids {
        assert!(ids.iter().all(|id| *id == ids[0]), "{name}: {ids:?}");
    }
    notifications.close().await;
    store.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_test_reports_its_result_and_a_missing_response_after_a_delay() {
    let now = Timestamp::from_micros(NOW);
    let outcome = test(&*FakeNotifier::new(|_| Ok(())), "team", now).await;
    assert_eq!(outcome, Ok("https://double.example accepted a sample signal".to_owned()));
    let start = Instant::now();
    let no_response =
        FakeNotifier::new(|_| Err(NotifyError::NoResponse { is_connect_error: true }));
    let outcome = test(&*no_response, "team", now).await;
    assert_eq!(outcome, Err("https://double.example: no answer".to_owned()));
    assert_eq!(start.elapsed(), Duration::from_secs(20));
}
