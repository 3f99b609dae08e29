//! Runs notifiers: each receives signals independently of the others.
//!
//! A notifier watches the signal objects of the store, not the journal, so a stopped notifier does
//! not make the journal longer. The sent notifications are recorded under [`STATE_PREFIX`]: one
//! small record for each signal, and the revision up to which every signal was handled. After a
//! restart the notifier continues there; a notification that was being sent is sent again with the
//! same id.
//!
//! Each notification is retried forever. A destination that does not respond, or is overloaded, is
//! retried with growing delays. A single notification that is refused has its own delay, which does
//! not delay others.
//!
//! The crate `sink` implements the protocols. The caller of [`Notifications::apply`] decides which
//! notifiers run, reads their Secrets and writes their status.

mod decide;
mod health;
mod queue;
mod records;
mod task;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event::Timestamp;
use event::signal::Severity;
use prometheus_client::registry::Registry;
use sink::notifier::{Notification, Notifier, NotifyError};
use store::Storage;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use decide::UPDATE_INTERVAL;
pub use health::NotifierHealth;
pub use records::STATE_PREFIX;

use health::{HealthMonitor, Metrics};
use task::Task;

/// Prefix of the keys of signals in the store.
pub const SIGNALS_PREFIX: &str = "siem.keepwatch.io/signals/";
/// The maximum number of notifiers. More are not started, and their health reports it.
pub const NOTIFIERS_MAX: usize = 64;

/// Returns the current time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The configuration of one notifier.
#[derive(Clone)]
pub struct Target {
    /// The destination, or the reason why it cannot be used: a text without secrets.
    pub notifier: Result<Arc<dyn Notifier>, String>,
    /// The lowest severity of signals that are sent.
    pub min_severity: Severity,
    /// Ids or titles of the rules whose signals are sent; all if empty.
    pub rules: BTreeSet<String>,
    /// Whether updates of an open signal are sent.
    pub sends_updates: bool,
    /// Whether the closing of a signal is sent.
    pub sends_closed: bool,
}

/// Registers the metrics of notifiers with one time series each, for their reference page.
pub(crate) fn register_each(registry: &mut Registry) {
    Metrics::register_each(registry);
}

/// All notifiers of a server.
pub struct Notifications {
    storage: Arc<dyn Storage>,
    clock: Clock,
    metrics: Metrics,
    running: Mutex<BTreeMap<String, RunningNotifier>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

struct RunningNotifier {
    uid: String,
    target: watch::Sender<Target>,
    monitor: Arc<HealthMonitor>,
    /// Cancelled when the notifier is removed.
    removed: CancellationToken,
}

impl Notifications {
    /// Creates an empty set of notifiers. Metrics are registered in `registry`.
    pub fn new(storage: Arc<dyn Storage>, registry: &mut Registry, clock: Clock) -> Self {
        Self {
            storage,
            clock,
            metrics: Metrics::register(registry),
            running: Mutex::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }
    }

    /// Starts the notifier `name`, or changes its target. `uid` distinguishes it from an earlier
    /// notifier of the same name. Returns false if there are too many.
    pub fn apply(&self, name: &str, uid: &str, target: Target) -> bool {
        let mut running = self.running();
        if let Some(existing) = running.get(name) {
            if existing.uid == uid {
                existing.target.send_replace(target);
                return true;
            }
            existing.removed.cancel();
        } else if running.len() >= NOTIFIERS_MAX {
            tracing::warn!(notifier = name, limit = NOTIFIERS_MAX, "too many notifiers");
            return false;
        }
        let (sender, receiver) = watch::channel(target);
        let monitor = Arc::new(HealthMonitor::new(name));
        let removed = CancellationToken::new();
        self.metrics.init(name);
        let task = Task::new(task::Context {
            name: name.to_owned(),
            uid: uid.to_owned(),
            storage: Arc::clone(&self.storage),
            clock: Arc::clone(&self.clock),
            target: receiver,
            monitor: Arc::clone(&monitor),
            metrics: self.metrics.clone(),
        });
        self.tasks.spawn(task.run(self.stop.clone(), removed.clone()));
        let uid = uid.to_owned();
        running.insert(name.to_owned(), RunningNotifier { uid, target: sender, monitor, removed });
        true
    }

    /// Stops a notifier and deletes its records.
    pub fn remove(&self, name: &str) {
        if let Some(existing) = self.running().remove(name) {
            existing.removed.cancel();
            self.metrics.remove(name);
        }
    }

    /// Stops all notifiers except those in the list (name and uid), and deletes the records of the
    /// others, also from before the start of the server.
    pub async fn retain(&self, notifiers: &BTreeMap<String, String>) {
        let removed_names: Vec<String> = {
            let running = self.running();
            let removed_names = running.keys().filter(|name| !notifiers.contains_key(*name));
            removed_names.cloned().collect()
        };
        for name in removed_names {
            self.remove(&name);
        }
        let uids = notifiers.values().cloned().collect();
        records::delete_others(&*self.storage, &uids).await;
    }

    /// Health of each notifier, by name.
    pub fn health(&self) -> Vec<NotifierHealth> {
        self.running().values().map(|running| running.monitor.health()).collect()
    }

    /// Stops all notifiers. Pending notifications are sent after the next start.
    pub async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<String, RunningNotifier>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends a sample signal once. Returns the result as a message. A missing response is reported
/// after a delay that hides its cause.
pub async fn test(notifier: &dyn Notifier, name: &str, now: Timestamp) -> Result<String, String> {
    let start = Instant::now();
    let origin = notifier.origin();
    match notifier.send(&Notification::sample(name, now)).await {
        Ok(()) => Ok(format!("{origin} accepted a sample signal")),
        Err(error) => {
            if matches!(error, NotifyError::NoResponse { .. }) {
                tokio::time::sleep_until(start + notifier.no_response_delay()).await;
            }
            Err(format!("{origin}: {error}"))
        }
    }
}

/// Maximum `Retry-After` that is accepted from a destination.
const RETRY_AFTER_MAX: Duration = crate::RETRY_AFTER_MAX;
