//! What every request meets on its way: one value, made once, shared by all connections.

use std::sync::Arc;

use arc_swap::ArcSwap;
use audit::Policy;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::audit::backend::JournalBackend;
use crate::authn::Authenticator;
use crate::health::Health;
use crate::limits::{InFlight, Limits};
use crate::metrics::Metrics;
use crate::routes::VersionInfo;
use crate::{Authorizer, Clock, Registry};

/// Who decides, who keeps, who answers.
pub(crate) struct ServerState {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) authenticator: Authenticator,
    pub(crate) authorizer: Arc<dyn Authorizer>,
    pub(crate) policy: Arc<ArcSwap<Policy>>,
    pub(crate) in_flight: InFlight,
    pub(crate) registry: Registry,
    pub(crate) backend: JournalBackend,
    pub(crate) health: Health,
    pub(crate) metrics: Metrics,
    pub(crate) limits: Limits,
    pub(crate) version: VersionInfo,
    /// For the index.
    pub(crate) paths: Vec<String>,
    /// All tasks of the server; shutdown waits for them.
    pub(crate) tracker: TaskTracker,
    pub(crate) runtime: Handle,
    /// Watches end when this is cancelled.
    pub(crate) closing: CancellationToken,
}
