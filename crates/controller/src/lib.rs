//! Reconciles `AuditConfig`s with `Profile`s and the Secrets they name: configures delivery, and
//! writes status.
//!
//! It is an ordinary client of the API, in a cluster and in standalone mode. Decisions are pure
//! functions: [`resolve`] derives a destination from a profile and its Secret, [`plan`] derives
//! actions from the observed state. The rest applies them: [`object_cache`] watches the objects, a
//! reconciler runs for each `AuditConfig`, and delivery is controlled through [`DeliveryControl`].
//!
//! Nothing here reads the journal, sends to a bucket or keeps state: cursors belong to the journal,
//! and after a restart all state is read from the objects.

mod backoff;
mod delivery_control;
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
pub mod watch;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use event::Timestamp;
use tokio::task::JoinSet;

pub use backoff::{RETRY_TIME_MAX, RETRY_TIME_MIN};
pub use delivery_control::{DeliveryControl, DeliveryError, DestinationError, ParkReason, Start};
pub use settings::Settings;

use backoff::Backoff;
use event_recorder::EventRecorder;
use object_cache::ObjectCache;
use objects::AuditConfigView;
use orphans::Orphans;
use reconciler::Reconciler;
use status_writer::StatusWriter;

/// Returns the current time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The state that all reconcilers share.
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
        let (mut orphans, mut backoff) = (Orphans::default(), Backoff::default());
        loop {
            // In this order, so that the configs contain everything that was listed.
            let scopes = self.context.cache.scopes();
            let configs: Vec<AuditConfigView> =
                self.context.cache.configs().iter().map(AuditConfigView::from_object).collect();
            let retry = if orphans.reconcile(&self.context, scopes, &configs).await.is_ok() {
                backoff.succeeded();
                None
            } else {
                Some(backoff.failed())
            };
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
                () = wait(retry) => {}
            }
        }
    }
}

/// Waits for this time, or forever if it is `None`.
async fn wait(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}
