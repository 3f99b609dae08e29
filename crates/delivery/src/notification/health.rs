//! How notifiers fare, readable at any time, and what they count.
//!
//! As with sinks, that no answer came is kept back until as much time has passed as the longest
//! attempt takes.

use event::Timestamp;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::time::Instant;

/// How one notifier fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotifierHealth {
    /// Its name.
    pub name: String,
    /// Why it does not send everything, if it does not; for people, without secrets.
    pub error: Option<String>,
    /// Whether only people can put that right, by changing the notifier or its Secret.
    pub is_misconfigured: bool,
    /// Notifications that wait.
    pub pending: usize,
    /// Those of them that were refused one by one while others are taken.
    pub refused: usize,
    /// The revision up to which every signal was looked at and, if it was wanted, taken.
    pub cursor: Option<u64>,
    /// When it last took news. An open signal that is sent once more is none.
    pub last_sent: Option<Timestamp>,
    /// Notifications that it took since this server started.
    pub sent: u64,
    /// Attempts that failed since this server started.
    pub failures: u64,
}

/// What a notifier publishes about itself.
pub(super) struct Monitor {
    now: watch::Sender<Now>,
}

#[derive(Clone)]
struct Now {
    health: NotifierHealth,
    /// No answer came; it is told from a time on.
    silence: Option<Instant>,
}

impl Monitor {
    pub(super) fn new(name: &str) -> Self {
        let health = NotifierHealth { name: name.to_owned(), ..NotifierHealth::default() };
        Self { now: watch::Sender::new(Now { health, silence: None }) }
    }

    /// Another target: what was wrong with the last one is no news.
    pub(super) fn begin(&self) {
        self.now.send_modify(|now| {
            now.silence = None;
            now.health.error = None;
            now.health.is_misconfigured = false;
        });
    }

    pub(super) fn waits(&self, pending: usize, refused: usize) {
        self.now.send_if_modified(|now| {
            let is_new = (now.health.pending, now.health.refused) != (pending, refused);
            now.health.pending = pending;
            now.health.refused = refused;
            is_new
        });
    }

    pub(super) fn moved(&self, cursor: u64) {
        self.now.send_if_modified(|now| now.health.cursor.replace(cursor) != Some(cursor));
    }

    /// A notification was taken. `refusal` is why others still are not.
    pub(super) fn succeeded(&self, news_at: Option<Timestamp>, refusal: Option<String>) {
        self.now.send_modify(|now| {
            now.silence = None;
            now.health.error = refusal;
            now.health.is_misconfigured = false;
            now.health.sent += 1;
            now.health.last_sent = news_at.or(now.health.last_sent);
        });
    }

    pub(super) fn failed(&self, error: String, is_misconfigured: bool) {
        self.now.send_modify(|now| {
            now.silence = None;
            now.health.error = Some(error);
            now.health.is_misconfigured = is_misconfigured;
            now.health.failures += 1;
        });
    }

    /// No answer came; this is told from a time on, unless it was to be told before.
    pub(super) fn fell_silent(&self, until: Instant) {
        self.now.send_modify(|now| {
            now.silence.get_or_insert(until);
            now.health.failures += 1;
        });
    }

    pub(super) fn health(&self) -> NotifierHealth {
        let Now { mut health, silence } = self.now.borrow().clone();
        if silence.is_some_and(|until| until <= Instant::now()) {
            health.error = Some("no answer".to_owned());
            health.is_misconfigured = false;
        }
        health
    }
}

/// The notifier a number belongs to.
type Labels = [(&'static str, String); 1];

/// Numbers by notifier.
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
        metrics.begin("");
        drop(metrics.last_success.get_or_create(&of("")));
    }

    /// What a notifier does is counted from zero on, so that its first failure is seen as one more.
    pub(super) fn begin(&self, notifier: &str) {
        for family in [&self.sent, &self.errors] {
            drop(family.get_or_create(&of(notifier)));
        }
        self.waits(notifier, 0);
    }

    pub(super) fn sent(&self, notifier: &str, now: Timestamp) {
        self.sent.get_or_create(&of(notifier)).inc();
        self.last_success.get_or_create(&of(notifier)).set(now.as_micros() / 1_000_000);
    }

    pub(super) fn failed(&self, notifier: &str) {
        self.errors.get_or_create(&of(notifier)).inc();
    }

    pub(super) fn waits(&self, notifier: &str, pending: usize) {
        let pending = i64::try_from(pending).unwrap_or(i64::MAX);
        self.pending.get_or_create(&of(notifier)).set(pending);
    }

    /// Nothing more comes of a notifier.
    pub(super) fn forget(&self, notifier: &str) {
        let of = of(notifier);
        self.sent.remove(&of);
        self.errors.remove(&of);
        self.pending.remove(&of);
        self.last_success.remove(&of);
    }
}

fn of(notifier: &str) -> Labels {
    [("notifier", notifier.to_owned())]
}
