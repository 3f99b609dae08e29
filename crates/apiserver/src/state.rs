//! State that all connections and requests share. It is created once, when the server binds.

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

/// Shared state of a server.
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
    /// Paths that `/` lists.
    pub(crate) paths: Vec<String>,
    /// All tasks of the server; shutdown waits for them.
    pub(crate) tracker: TaskTracker,
    pub(crate) runtime: Handle,
    /// Ends all watches when cancelled.
    pub(crate) closing: CancellationToken,
}
