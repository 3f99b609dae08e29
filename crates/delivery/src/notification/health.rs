//! The health of notifiers, which can be read at any time, and their metrics.
//!
//! As for sinks, a missing response is not reported before the timeout of the longest attempt.

use event::Timestamp;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::time::Instant;

/// The health of one notifier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotifierHealth {
    /// Its name.
    pub name: String,
    /// Why it does not send all notifications; `None` if it does. Contains no secrets.
    pub error: Option<String>,
    /// Whether the notifier or its Secret has to be changed.
    pub is_misconfigured: bool,
    /// Number of pending notifications.
    pub pending: usize,
    /// Number of pending notifications that were refused individually, while others are accepted.
    pub refused: usize,
    /// The revision up to which every signal was handled.
    pub cursor: Option<u64>,
    /// Time of the last accepted notification, not counting repetitions of an open signal.
    pub last_sent: Option<Timestamp>,
    /// Number of notifications that were accepted since the server started.
    pub sent: u64,
    /// Number of failed attempts since the server started.
    pub failures: u64,
}

/// The published state of a notifier.
pub(super) struct HealthMonitor {
    state: watch::Sender<MonitorState>,
}

#[derive(Clone)]
struct MonitorState {
    health: NotifierHealth,
    /// A missing response is reported from this time on.
    no_response_until: Option<Instant>,
}

impl HealthMonitor {
    pub(super) fn new(name: &str) -> Self {
        let health = NotifierHealth { name: name.to_owned(), ..NotifierHealth::default() };
        Self { state: watch::Sender::new(MonitorState { health, no_response_until: None }) }
    }

    /// Resets the health for a new target.
    pub(super) fn reset(&self) {
        self.state.send_modify(|state| {
            state.no_response_until = None;
            state.health.error = None;
            state.health.is_misconfigured = false;
        });
    }

    pub(super) fn set_pending(&self, pending: usize, refused: usize) {
        self.state.send_if_modified(|state| {
            let is_new = (state.health.pending, state.health.refused) != (pending, refused);
            state.health.pending = pending;
            state.health.refused = refused;
            is_new
        });
    }

    pub(super) fn set_cursor(&self, cursor: u64) {
        self.state.send_if_modified(|state| state.health.cursor.replace(cursor) != Some(cursor));
    }

    /// Records an accepted notification. `refusal` is the reason why others are still refused.
    pub(super) fn succeeded(&self, sent_at: Option<Timestamp>, refusal: Option<String>) {
        self.state.send_modify(|state| {
            state.no_response_until = None;
            state.health.error = refusal;
            state.health.is_misconfigured = false;
            state.health.sent += 1;
            state.health.last_sent = sent_at.or(state.health.last_sent);
        });
    }

    pub(super) fn failed(&self, error: String, is_misconfigured: bool) {
        self.state.send_modify(|state| {
            state.no_response_until = None;
            state.health.error = Some(error);
            state.health.is_misconfigured = is_misconfigured;
            state.health.failures += 1;
        });
    }

    /// Records a missing response. It is reported from `until` on, or earlier if an earlier one is
    /// pending.
    pub(super) fn no_response(&self, until: Instant) {
        self.state.send_modify(|state| {
            state.no_response_until.get_or_insert(until);
            state.health.failures += 1;
        });
    }

    pub(super) fn health(&self) -> NotifierHealth {
        let MonitorState { mut health, no_response_until } = self.state.borrow().clone();
        if no_response_until.is_some_and(|until| until <= Instant::now()) {
            health.error = Some("no answer".to_owned());
            health.is_misconfigured = false;
        }
        health
    }
}

/// The label with the name of a notifier.
type Labels = [(&'static str, String); 1];

/// Metrics by notifier.
#[derive(Clone)]
pub(super) struct Metrics {
    sent: Family<Labels, Counter>,
    errors: Family<Labels, Counter>,
    pending: Family<Labels, Gauge>,
    last_success: Family<Labels, Gauge>,
}

impl Metrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            sent: Family::default(),
            errors: Family::default(),
            pending: Family::default(),
            last_success: Family::default(),
        };
        let registry = registry.sub_registry_with_prefix("keepwatch_notifier");
        registry.register("sent", "Notifications sent by a notifier", metrics.sent.clone());
        registry.register(
            "errors",
            "Failed attempts to send a notification",
            metrics.errors.clone(),
        );
        registry.register(
            "pending",
            "Notifications that are not sent yet",
            metrics.pending.clone(),
        );
        registry.register(
            "last_success_timestamp_seconds",
            "Unix time at which a notifier last sent a notification",
            metrics.last_success.clone(),
        );
        metrics
    }

    /// Registers everything with one time series each, for the reference page of the metrics.
    pub(super) fn register_each(registry: &mut Registry) {
        let metrics = Self::register(registry);
        metrics.init("");
        drop(metrics.last_success.get_or_create(&labels("")));
    }

    /// Exports zeros for a notifier, so that its first failure is visible as an increase.
    pub(super) fn init(&self, notifier: &str) {
        for family in [&self.sent, &self.errors] {
            drop(family.get_or_create(&labels(notifier)));
        }
        self.set_pending(notifier, 0);
    }

    pub(super) fn sent(&self, notifier: &str, now: Timestamp) {
        self.sent.get_or_create(&labels(notifier)).inc();
        self.last_success.get_or_create(&labels(notifier)).set(now.as_micros() / 1_000_000);
    }

    pub(super) fn failed(&self, notifier: &str) {
        self.errors.get_or_create(&labels(notifier)).inc();
    }

    pub(super) fn set_pending(&self, notifier: &str, pending: usize) {
        let pending = i64::try_from(pending).unwrap_or(i64::MAX);
        self.pending.get_or_create(&labels(notifier)).set(pending);
    }

    /// Removes the metrics of a notifier.
    pub(super) fn remove(&self, notifier: &str) {
        let labels = labels(notifier);
        self.sent.remove(&labels);
        self.errors.remove(&labels);
        self.pending.remove(&labels);
        self.last_success.remove(&labels);
    }
}

fn labels(notifier: &str) -> Labels {
    [("notifier", notifier.to_owned())]
}
