//! Reconciles `AuditConfig`s with `Profile`s and the Secrets they name: says where events go, and writes
//! status.
//!
//! An ordinary client of the API, in a cluster and without one. Decisions are pure functions:
//! [`resolve`] makes a destination of a profile and its Secret, [`plan`] makes actions of what is
//! observed. The rest applies them: [`object_cache`] watches the objects, a reconciler runs for each
//! `AuditConfig`, and delivery is controlled through [`DeliveryControl`].
//!
//! Nothing here reads the journal, sends to a bucket or keeps state: cursors belong to the journal, and
//! after a restart everything is found in the objects.

mod backoff;
mod discovery;
mod event_recorder;
pub mod object_cache;
pub mod objects;
mod orphans;
pub mod plan;
pub mod profiles;
mod reconciler;
pub mod resolve;
pub mod settings;
mod status_writer;
pub mod uninstall;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use event::Timestamp;
use objectstore::Destination;
use sink::DeliveryHealth;
use tokio::task::JoinSet;

pub use backoff::{RETRY_TIME_MAX, RETRY_TIME_MIN};
pub use settings::Settings;

use event_recorder::EventRecorder;
use object_cache::ObjectCache;
use objects::AuditConfigView;
use orphans::Orphans;
use reconciler::Reconciler;
use status_writer::StatusWriter;

/// The position from which a new reader reads the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The oldest record that the journal has.
    Oldest,
    /// The first record at this time or later.
    Since(Timestamp),
}

/// Why the journal keeps nothing for a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParkReason {
    /// Its delivery is switched off: records of that time need not be delivered.
    Off,
    /// It has no destination, because a Profile or Secret is missing or cannot be used. Records that the
    /// journal still has are delivered when there is one.
    NoDestination,
}

/// Controls the delivery of the journal to destinations. Implemented by the binary.
#[async_trait]
pub trait DeliveryControl: Send + Sync {
    /// Makes the journal keep its events for a reader, durably. A reader that exists keeps its position.
    async fn reserve(&self, reader: &str, start: Start) -> Result<(), String>;
    /// Writes to a destination and reads back. Returns a remark for its owner, often empty; the error is
    /// for the owner too.
    async fn check(&self, destination: &Destination) -> Result<String, String>;
    /// Delivers to a destination from now on, from the reader's position.
    async fn start(&self, reader: &str, destination: &Destination) -> Result<(), String>;
    /// Stops delivery. The journal keeps its events, and the reader its position.
    async fn pause(&self, reader: &str);
    /// Stops delivery. The journal keeps nothing for the reader, but its position is remembered, and a
    /// later [`reserve`](Self::reserve) continues there. Returns the number of undelivered events, if the
    /// journal kept them until now.
    async fn park(
        &self,
        reader: &str,
        start: Start,
        reason: ParkReason,
    ) -> Result<Option<u64>, String>;
    /// Delivers what the journal holds now, within `time`, and forgets the reader. Returns the number of
    /// undelivered events.
    async fn drain(&self, reader: &str, time: Duration) -> Result<u64, String>;
    /// Health of the delivery, if the reader has a destination.
    fn health(&self, reader: &str) -> Option<DeliveryHealth>;
    /// Names of all readers of the journal, including those for which it keeps nothing.
    fn readers(&self) -> Vec<String>;
}

/// Returns the current time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What all reconcilers share.
struct Context {
    cache: ObjectCache,
    status_writer: StatusWriter,
    recorder: EventRecorder,
    delivery: Arc<dyn DeliveryControl>,
    settings: Settings,
    clock: Clock,
}

/// The controller.
pub struct Controller {
    client: kube::Client,
    context: Arc<Context>,
}

impl Controller {
    /// A controller that acts as `client`. Sends nothing yet.
    pub fn new(
        client: kube::Client,
        delivery: Arc<dyn DeliveryControl>,
        settings: Settings,
        clock: Clock,
    ) -> Self {
        let context = Context {
            cache: ObjectCache::default(),
            status_writer: StatusWriter::new(client.clone()),
            recorder: EventRecorder::new(client.clone()),
            delivery,
            settings,
            clock,
        };
        Self { client, context: Arc::new(context) }
    }

    /// Runs until it is dropped.
    pub async fn run(self) {
        let namespaces = self.namespaces();
        // Dropped with this future, which ends all of them.
        let mut watches = JoinSet::new();
        for namespace in namespaces.iter().cloned() {
            watches.spawn(self.context.cache.clone().watch(self.client.clone(), namespace));
        }
        let settings = self.context.settings.clone();
        watches.spawn(
            self.context.cache.clone().watch_secrets(self.client.clone(), move |secret| {
                settings.allows(&secret.namespace)
            }),
        );
        if self.context.settings.reports_profiles {
            watches.spawn(profiles::run(Arc::clone(&self.context)));
        }
        self.reconcile_all().await;
    }

    /// The namespaces to watch; the empty one means all.
    fn namespaces(&self) -> Vec<String> {
        let settings = &self.context.settings;
        if settings.sees_all || settings.namespaces.is_empty() {
            vec![String::new()]
        } else {
            settings.namespaces.clone()
        }
    }

    /// Runs a reconciler for each `AuditConfig`.
    async fn reconcile_all(&self) {
        let mut changes = self.context.cache.changes();
        let mut reconcilers = JoinSet::new();
        let mut running = BTreeSet::new();
        let mut orphans = Orphans::default();
        loop {
            // In this order, so that the configs contain everything that was listed.
            let scopes = self.context.cache.scopes();
            let configs: Vec<AuditConfigView> =
                self.context.cache.configs().iter().map(AuditConfigView::from_object).collect();
            orphans.reconcile(&self.context, scopes, &configs).await;
            for config in configs {
                if running.insert(config.uid.clone()) {
                    let uid = config.uid.clone();
                    let reconciler = Reconciler::new(Arc::clone(&self.context), &config);
                    reconcilers.spawn(async move {
                        reconciler.run().await;
                        uid
                    });
                }
            }
            tokio::select! {
                // The sender is in the cache, so this does not fail.
                _ = changes.changed() => {}
                Some(ended) = reconcilers.join_next() => {
                    if let Ok(uid) = ended {
                        running.remove(&uid);
                    }
                }
            }
        }
    }
}
