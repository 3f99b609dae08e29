//! Watches `AuditConfig`, `Profile` and the Secrets they name; says where events go; writes status.
//!
//! An ordinary client of the API, in a cluster and without one. What is to be done is decided by
//! pure functions: [`resolve`] makes a destination of a profile and its Secret, [`decide`] makes
//! the next steps of what is seen. The rest carries them out: [`mirror`] follows the objects, one
//! keeper looks after each `AuditConfig`, and delivery is reached through [`Corridors`].
//!
//! Nothing here reads the journal, talks to a bucket or keeps state: cursors are the journal's, and
//! after a restart everything is found again in the objects.

mod backoff;
pub mod decide;
mod discovery;
mod keeper;
pub mod mirror;
mod orphans;
mod pen;
pub mod profiles;
pub mod resolve;
pub mod seen;
pub mod settings;
pub mod uninstall;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use event::Timestamp;
use objectstore::Destination;
use tokio::task::JoinSet;

pub use backoff::{RETRY_TIME_MAX, RETRY_TIME_MIN};
pub use settings::Settings;

use decide::Fare;
use keeper::Keeper;
use mirror::Mirror;
use orphans::Orphans;
use pen::Pen;
use seen::Config;

/// Where the journal is read from for a new reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Everything that is still held.
    Oldest,
    /// What was recorded since.
    Since(Timestamp),
}

/// Why nothing is held for a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParkReason {
    /// Its delivery is switched off: what is recorded meanwhile is not owed.
    Off,
    /// There is nowhere to deliver to, since a Profile or Secret is missing or cannot be used. What is
    /// kept anyway is delivered once there is.
    NoDestination,
}

/// The ways from the journal to destinations, as the controller moves them.
#[async_trait]
pub trait Corridors: Send + Sync {
    /// Holds the journal's events for a reader, durably; one that is known stays where it is.
    async fn reserve(&self, reader: &str, start: Start) -> Result<(), String>;
    /// Writes to a destination and reads back. What people should know of it, if there is anything;
    /// the error is for people too.
    async fn check(&self, destination: &Destination) -> Result<String, String>;
    /// Delivers there from now on, from where the reader is.
    async fn go(&self, reader: &str, destination: &Destination) -> Result<(), String>;
    /// Delivers nothing for now; the reader stays where it is.
    async fn pause(&self, reader: &str);
    /// Delivers nothing for now and holds nothing in the journal for the reader: its place is
    /// remembered, from which a later [`reserve`](Self::reserve) goes on. How many events waited for
    /// it, if the journal was held until now.
    async fn park(
        &self,
        reader: &str,
        start: Start,
        reason: ParkReason,
    ) -> Result<Option<u64>, String>;
    /// Delivers what the journal holds now, if that is done in time, and forgets the reader; how
    /// many events were not delivered.
    async fn leave(&self, reader: &str, time: Duration) -> Result<u64, String>;
    /// How delivery fares, if there is any.
    fn fare(&self, reader: &str) -> Option<Fare>;
    /// Every reader of the journal, also those for which nothing is held.
    fn readers(&self) -> Vec<String>;
}

/// The time of day.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What all keepers share.
struct Parts {
    mirror: Mirror,
    pen: Pen,
    corridors: Arc<dyn Corridors>,
    settings: Settings,
    clock: Clock,
}

/// The controller.
pub struct Controller {
    client: kube::Client,
    parts: Arc<Parts>,
}

impl Controller {
    /// A controller that acts as `client`.
    pub fn new(
        client: kube::Client,
        corridors: Arc<dyn Corridors>,
        settings: Settings,
        clock: Clock,
    ) -> Self {
        let (mirror, pen) = (Mirror::default(), Pen::new(client.clone()));
        Self { client, parts: Arc::new(Parts { mirror, pen, corridors, settings, clock }) }
    }

    /// Runs for ever.
    pub async fn run(self) {
        let namespaces = self.namespaces();
        // Dropped with this future, and everybody with them.
        let mut followers = JoinSet::new();
        for namespace in namespaces.iter().cloned() {
            followers.spawn(self.parts.mirror.clone().follow(self.client.clone(), namespace));
        }
        let settings = self.parts.settings.clone();
        followers.spawn(
            self.parts
                .mirror
                .clone()
                .follow_secrets(self.client.clone(), move |one| settings.allows(&one.namespace)),
        );
        if self.parts.settings.reports_profiles {
            followers.spawn(profiles::keep(Arc::clone(&self.parts)));
        }
        self.keep().await;
    }

    /// The namespaces to look at; the empty one stands for all.
    fn namespaces(&self) -> Vec<String> {
        let settings = &self.parts.settings;
        if settings.sees_all || settings.namespaces.is_empty() {
            vec![String::new()]
        } else {
            settings.namespaces.clone()
        }
    }

    /// A keeper for each `AuditConfig`.
    async fn keep(&self) {
        let mut news = self.parts.mirror.news();
        let mut keepers = JoinSet::new();
        let mut kept = BTreeSet::new();
        let mut orphans = Orphans::default();
        loop {
            // In this order, so that what was listed is among the configs.
            let scopes = self.parts.mirror.looked_at();
            let configs: Vec<Config> = self.parts.mirror.configs().iter().map(Config::of).collect();
            orphans.settle(&self.parts, scopes, &configs).await;
            for config in configs {
                if kept.insert(config.uid.clone()) {
                    let uid = config.uid.clone();
                    let keeper = Keeper::new(Arc::clone(&self.parts), &config);
                    keepers.spawn(async move {
                        keeper.run().await;
                        uid
                    });
                }
            }
            tokio::select! {
                // The sender is in the mirror.
                _ = news.changed() => {}
                Some(ended) = keepers.join_next() => {
                    if let Ok(uid) = ended {
                        kept.remove(&uid);
                    }
                }
            }
        }
    }
}
