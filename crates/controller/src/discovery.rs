//! Whether the CRDs of the cluster have a status subresource, by API discovery.
//!
//! The result is cached, also a failure: while kube-apiserver does not serve the group, one request
//! is made per delay, regardless of the number of objects.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kasten::names::{CONFIG, ResourceNames, VERSION};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::status_writer::with_timeout;

/// Time for which a result is cached.
const CACHE_TIME: Duration = Duration::from_mins(1);

/// The resources of K10's group, as kube-apiserver lists them.
#[derive(Clone)]
pub(crate) struct Discovery {
    client: kube::Client,
    last: Arc<Mutex<LastDiscovery>>,
}

/// The last request and its outcome.
#[derive(Default)]
struct LastDiscovery {
    outcome: Option<Outcome>,
    /// When the next request may be made.
    next_at: Option<Instant>,
    backoff: Backoff,
}

enum Outcome {
    /// Names of resources and subresources.
    Served(BTreeSet<String>),
    /// The error.
    Failed(String),
}

impl Discovery {
    pub(crate) fn new(client: kube::Client) -> Self {
        Self { client, last: Arc::default() }
    }

    /// Whether a kind has a status subresource.
    pub(crate) async fn has_status(&self, names: ResourceNames) -> kube::Result<bool> {
        // Locked during the request, so that concurrent callers share the result.
        let mut last = self.last.lock().await;
        if last.next_at.is_none_or(|next| Instant::now() >= next) {
            last.request_resources(&self.client).await;
        }
        match &last.outcome {
            Some(Outcome::Served(resources)) => {
                Ok(resources.contains(&format!("{}/status", names.plural)))
            }
            Some(Outcome::Failed(error)) => Err(kube::Error::Service(error.as_str().into())),
            None => Err(kube::Error::Service("discovery has not been requested".into())),
        }
    }

    /// Invalidates the cached result, because a write contradicts it.
    pub(crate) async fn invalidate(&self) {
        let mut last = self.last.lock().await;
        if matches!(last.outcome, Some(Outcome::Served(_))) {
            last.next_at = None;
        }
    }
}

impl LastDiscovery {
    async fn request_resources(&mut self, client: &kube::Client) {
        let version = format!("{CONFIG}/{VERSION}");
        let (outcome, delay) = match with_timeout(client.list_api_group_resources(&version)).await {
            Ok(list) => {
                self.backoff.succeeded();
                let names = list.resources.into_iter().map(|resource| resource.name).collect();
                (Outcome::Served(names), CACHE_TIME)
            }
            Err(error) => {
                let delay = self.backoff.failed();
                tracing::debug!(version, %error, ?delay, "discovery failed");
                (Outcome::Failed(format!("discovery of {version} fails: {error}")), delay)
            }
        };
        (self.outcome, self.next_at) = (Some(outcome), Some(Instant::now() + delay));
    }
}
