//! Passes the notifiers to delivery: watches `Notifier` objects and the Secrets they name, and
//! writes their statuses.
//!
//! Notifiers are objects of this server, watched in the store. Secrets are read through the API of
//! the cluster, or of this server if it is standalone, and only in allowed namespaces. No log line
//! and no status contains the content of a Secret.

mod resolve;
mod secrets;
mod status;
mod tester;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use apiserver::{Clock as _, Registry};
use delivery::notification::Notifications;
use prometheus_client::registry::Registry as MetricsRegistry;
use siem::notifier::{StoredNotifier, stored};
use sink::http::EgressPolicy;
use store::{Change, ChangeKind, ListOptions, ReadError, Storage};
use tokio::sync::watch;

use crate::background_task::BackgroundTask;
use crate::clock::SystemClock;
use resolve::{Inputs, target};
use secrets::Secrets;
use status::Statuses;

pub(crate) use tester::Tester;

/// Prefix of the keys of notifiers in the store.
const PREFIX: &str = "siem.keepwatch.io/notifiers/";
/// Time between two status updates.
const STATUS_PERIOD: Duration = Duration::from_secs(1);
/// Pause after a failed read of the store.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// What notifiers need in addition to their objects.
#[derive(Clone)]
pub(crate) struct NotifierConfig {
    /// The client that reads Secrets.
    pub(crate) client: kube::Client,
    /// Namespaces whose Secrets may be named; empty for all.
    pub(crate) namespaces: Vec<String>,
    /// The egress policy.
    pub(crate) egress: EgressPolicy,
    /// CA certificates, PEM, that are trusted in addition to the system's.
    pub(crate) ca_pem: watch::Receiver<Option<Vec<u8>>>,
}

/// Creates the notifiers of a server, none of which is applied yet. Metrics go to `metrics`.
pub(crate) fn open(storage: Arc<dyn Storage>, metrics: &mut MetricsRegistry) -> Arc<Notifications> {
    let clock = Arc::new(|| SystemClock.now());
    Arc::new(Notifications::new(storage, metrics, clock))
}

/// A task that runs every notifier, and lets `tester` send test notifications.
pub(crate) fn run(
    notifications: Arc<Notifications>,
    storage: Arc<dyn Storage>,
    registry: Registry,
    parts: NotifierConfig,
    tester: &Tester,
) -> BackgroundTask {
    tester.enable(parts.clone());
    let secrets = Secrets::new(parts.client.clone(), parts.namespaces.clone());
    let statuses = Statuses::new(registry);
    let follower =
        Follower { notifications, storage, parts, secrets, statuses, known: BTreeMap::new() };
    Box::pin(follower.run())
}

struct Follower {
    notifications: Arc<Notifications>,
    storage: Arc<dyn Storage>,
    parts: NotifierConfig,
    secrets: Secrets,
    statuses: Statuses,
    known: BTreeMap<String, Known>,
}

/// A notifier, and its last resolved form.
struct Known {
    stored: StoredNotifier,
    applied: Option<Inputs>,
}

impl Follower {
    async fn run(mut self) {
        loop {
            match self.list_and_watch().await {
                Ok(()) | Err(ReadError::Compacted { .. }) => {}
                Err(ReadError::Closed) => return,
                Err(error) => {
                    tracing::warn!(%error, "notifiers cannot be read");
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
        }
    }

    /// Reads all notifiers, then watches them and their Secrets.
    async fn list_and_watch(&mut self) -> Result<(), ReadError> {
        let page = self.storage.list(PREFIX, ListOptions::default()).await?;
        let mut deleted: BTreeSet<String> = self.known.keys().cloned().collect();
        for notifier in page.items.iter().filter_map(|object| stored(&object.body)) {
            deleted.remove(&notifier.name);
            self.add(notifier);
        }
        self.known.retain(|name, _| !deleted.contains(name));
        let uids = self.known.values();
        let uids =
            uids.map(|known| (known.stored.name.clone(), known.stored.uid.clone())).collect();
        self.notifications.retain(&uids).await;
        let mut changes = self.storage.watch(PREFIX, page.revision).await?;
        let mut secrets = self.secrets.changes();
        let mut status_update = tokio::time::interval(STATUS_PERIOD);
        loop {
            self.apply();
            tokio::select! {
                next = changes.next() => {
                    for change in next? {
                        self.apply_change(&change);
                    }
                }
                // The senders outlive this loop; if not, there are no more changes.
                Ok(()) = secrets.changed() => {}
                Ok(()) = self.parts.ca_pem.changed() => {}
                _ = status_update.tick() => {
                    let health = self.notifications.health();
                    self.statuses.write(health, SystemClock.now()).await;
                }
            }
        }
    }

    fn add(&mut self, notifier: StoredNotifier) {
        match self.known.get_mut(&notifier.name) {
            Some(known) if known.stored.uid == notifier.uid => known.stored = notifier,
            _ => {
                let known = Known { stored: notifier.clone(), applied: None };
                self.known.insert(notifier.name, known);
            }
        }
    }

    fn apply_change(&mut self, change: &Change) {
        let name = change.key().strip_prefix(PREFIX).unwrap_or_default();
        match stored(&change.object.body) {
            Some(notifier) if change.kind != ChangeKind::Deleted => self.add(notifier),
            _ => {
                self.known.remove(name);
                self.statuses.forget(name);
                self.notifications.remove(name);
            }
        }
    }

    /// Passes each notifier that changed, or whose Secret changed, to delivery.
    fn apply(&mut self) {
        let specs = self.known.values().map(|known| &known.stored.spec);
        self.secrets
            .watch_only(specs.flat_map(|spec| [&spec.url_secret_ref, &spec.secret_ref]).flatten());
        let ca_pem = self.parts.ca_pem.borrow_and_update().clone();
        for (name, known) in &mut self.known {
            let inputs =
                Inputs::new(&known.stored.spec, ca_pem.clone(), |key| self.secrets.get(key));
            if known.applied.as_ref() == Some(&inputs) {
                continue;
            }
            let target = target(&inputs, &self.parts.egress);
            if self.notifications.apply(name, &known.stored.uid, target) {
                known.applied = Some(inputs);
            }
        }
    }
}
