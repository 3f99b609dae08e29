//! The server as the binary sees it: bind it, then run it until it is told to close.
//!
//! Closing follows `k8s.io/apiserver`: not ready, but still serving, for the shutdown delay; then no
//! new connections; then requests and watches under way end; then [`Server::run`] returns, and only
//! after that may the caller close the store.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use audit::Policy;
use store::Storage;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::audit::backend::JournalBackend;
use crate::authn::Authenticator;
use crate::connection::Connections;
use crate::connection::bind::bind;
use crate::health::{Advisories, Health, HealthCheck, Reach};
use crate::limits::{InFlight, Limits};
use crate::metrics::Metrics;
use crate::state::ServerState;
use crate::tls::{ServingCertificate, TlsError, server_config};
use crate::trust::Trust;
use crate::{Authorizer, Clock, Registry, VersionInfo};

/// How often certificate and CA files are looked at.
const RELOAD_PERIOD: Duration = Duration::from_secs(5);

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Somebody else has the address, or it is not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The certificate cannot be used.
    #[error("cannot serve TLS")]
    Tls(#[source] TlsError),
}

/// What a server is made of.
pub struct ServerConfig {
    /// Where to listen; port 0 takes a free one, and an unspecified address means both families.
    pub address: SocketAddr,
    /// The serving certificate.
    pub serving: Arc<ServingCertificate>,
    /// Whom to believe; its files are read again from time to time when nothing else does.
    pub trust: Option<Arc<Trust>>,
    /// Who asks.
    pub authenticator: Authenticator,
    /// May they.
    pub authorizer: Arc<dyn Authorizer>,
    /// What is recorded; may be exchanged at any time.
    pub policy: Arc<ArcSwap<Policy>>,
    /// What is there.
    pub registry: Registry,
    /// Where it is kept.
    pub storage: Arc<dyn Storage>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What must be well beside the store.
    pub checks: Vec<HealthCheck>,
    /// What `/readyz?verbose` tells beside them.
    pub remarks: Advisories,
    /// The numbers.
    pub metrics: Metrics,
    /// The bounds.
    pub limits: Limits,
    /// What `/version` says.
    pub version: VersionInfo,
    /// What `/` lists beside the front's own paths.
    pub paths: Vec<String>,
}

/// A server that listens already but does not accept yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    tls: TlsAcceptor,
    serving: Arc<ServingCertificate>,
    trust: Option<Arc<Trust>>,
    state: Arc<ServerState>,
}

impl Server {
    /// Takes the address. Must be called inside a runtime, which then carries all tasks.
    #[expect(clippy::unused_async, reason = "the listener needs the runtime it is awaited in")]
    pub async fn bind(options: ServerConfig) -> Result<Self, ServerError> {
        let refused = |source| ServerError::Listen { address: options.address, source };
        let listener = bind(options.address).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let tls = server_config(Arc::clone(&options.serving)).map_err(ServerError::Tls)?;
        let mut checks = vec![store_check(&options.storage)];
        checks.extend(options.checks);
        let mut paths = options.paths;
        paths.extend(["/healthz", "/livez", "/metrics", "/readyz", "/version"].map(str::to_owned));
        paths.extend(options.registry.document_paths().map(str::to_owned));
        paths.sort();
        paths.dedup();
        let state = ServerState {
            backend: JournalBackend::new(options.storage, Arc::clone(&options.clock)),
            clock: options.clock,
            authenticator: options.authenticator,
            authorizer: options.authorizer,
            policy: options.policy,
            in_flight: InFlight::new(&options.limits),
            registry: options.registry,
            health: Health::new(checks, options.remarks),
            metrics: options.metrics,
            limits: options.limits,
            version: options.version,
            paths,
            tracker: TaskTracker::new(),
            runtime: Handle::current(),
            closing: CancellationToken::new(),
        };
        let (serving, trust) = (options.serving, options.trust);
        let tls = TlsAcceptor::from(tls);
        Ok(Self { listener, address, tls, serving, trust, state: Arc::new(state) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown`, then closes in order.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { listener, address, tls, serving, trust, state } = self;
        let (draining, abandoned) = (CancellationToken::new(), CancellationToken::new());
        let connections =
            Connections::new(Arc::clone(&state), tls, draining.clone(), abandoned.clone());
        let reload = reload(serving, trust, Arc::clone(&state.clock));
        let reload = draining.clone().run_until_cancelled_owned(reload);
        state.tracker.spawn_on(reload, &state.runtime);
        state.tracker.spawn_on(connections.accept(listener), &state.runtime);
        info!(%address, "serving");

        shutdown.cancelled().await;
        info!("closing: not ready any more");
        state.health.close();
        tokio::time::sleep(state.limits.shutdown_delay).await;
        draining.cancel();
        state.closing.cancel();
        state.tracker.close();
        let drained = tokio::time::timeout(state.limits.drain_time_max, state.tracker.wait()).await;
        if drained.is_err() {
            warn!(connections = state.tracker.len(), "not all requests ended in time");
            abandoned.cancel();
            state.tracker.wait().await;
        }
        info!("closed");
    }
}

/// Reads certificate files again, so that a rotation needs no restart.
async fn reload(
    serving: Arc<ServingCertificate>,
    trust: Option<Arc<Trust>>,
    clock: Arc<dyn Clock>,
) {
    loop {
        tokio::time::sleep(RELOAD_PERIOD).await;
        match serving.reload(clock.now()) {
            Ok(true) => info!("serving certificate has changed"),
            Ok(false) => {}
            Err(error) => warn!(%error, "cannot reload the serving certificate; the old one stays"),
        }
        if let Some(trust) = &trust
            && let Err(error) = trust.replace(None)
        {
            warn!(%error, "cannot reload the CA files; the old ones stay");
        }
    }
}

fn store_check(storage: &Arc<dyn Storage>) -> HealthCheck {
    let storage = Arc::clone(storage);
    HealthCheck {
        name: "store",
        reach: Reach::Readiness,
        probe: Arc::new(move || {
            let health = storage.health();
            if health.is_writable() { Ok(()) } else { Err(health.reason) }
        }),
    }
}
