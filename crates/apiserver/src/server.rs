//! The server as the binary uses it: bind it, then run it until shutdown.
//!
//! Shutdown follows `k8s.io/apiserver`. During the shutdown delay the server is not ready but still
//! serves. Then it accepts no new connections. Then requests and watches in flight end. Then
//! [`Server::run`] returns; only after that may the caller close the store.

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
use crate::handler::max_in_flight::InFlight;
use crate::health::{Advisories, Advisory, CheckScope, Degradation, Health, HealthCheck};
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::state::ServerState;
use crate::tls::{ServingCertificate, TlsError, server_config};
use crate::trust::Trust;
use crate::{Authorizer, Clock, Registry, Upstream, VersionInfo};

/// Interval at which certificate and CA files are checked for changes.
const RELOAD_PERIOD: Duration = Duration::from_secs(5);

/// Error of [`Server::bind`].
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address is in use or does not belong to this machine.
    #[error("cannot listen on {address}")]
    Listen {
        /// Address from [`ServerConfig::address`].
        address: SocketAddr,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The serving certificate cannot be used.
    #[error("cannot serve TLS")]
    Tls(#[source] TlsError),
}

/// Configuration and dependencies of a [`Server`].
pub struct ServerConfig {
    /// Listen address. Port 0 picks a free port; an unspecified address listens on IPv4 and IPv6.
    pub address: SocketAddr,
    /// The serving certificate. Its files are reloaded every five seconds.
    pub serving: Arc<ServingCertificate>,
    /// CAs and headers that authentication trusts. If set, the server rereads its files every five
    /// seconds; `None` if another task does that.
    pub trust: Option<Arc<Trust>>,
    /// Authenticates every request.
    pub authenticator: Authenticator,
    /// Authorizes every authenticated request.
    pub authorizer: Arc<dyn Authorizer>,
    /// Audit policy. May be replaced at any time; a new policy applies to requests that arrive
    /// later.
    pub policy: Arc<ArcSwap<Policy>>,
    /// Resources that the server serves.
    pub registry: Registry,
    /// Store of the audit events.
    pub storage: Arc<dyn Storage>,
    /// Source of the current time.
    pub clock: Arc<dyn Clock>,
    /// Health checks in addition to the check of the store.
    pub checks: Vec<HealthCheck>,
    /// Advisories that `/readyz?verbose` lists after the checks.
    pub advisories: Advisories,
    /// Metrics of the server, exposed at `/metrics`.
    pub metrics: Metrics,
    /// Limits that an operator can configure.
    pub limits: Limits,
    /// Response to `/version`.
    pub version: VersionInfo,
    /// Paths that `/` lists in addition to the server's own paths.
    pub paths: Vec<String>,
    /// A second listener, whose requests are forwarded.
    pub forwarding: Option<Forwarding>,
}

/// A listener that forwards all requests to another API server.
#[derive(Clone)]
pub struct Forwarding {
    /// Listen address, as [`ServerConfig::address`].
    pub address: SocketAddr,
    /// The other API server.
    pub upstream: Arc<dyn Upstream>,
}

/// A server that listens but does not accept connections yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    forwarding: Option<(TcpListener, Forwarding)>,
    tls: TlsAcceptor,
    serving: Arc<ServingCertificate>,
    trust: Option<Arc<Trust>>,
    state: Arc<ServerState>,
}

impl Server {
    /// Binds the listen address. Must be called inside a Tokio runtime; all tasks of the server run
    /// on that runtime.
    #[expect(clippy::unused_async, reason = "the listener needs the runtime it is awaited in")]
    pub async fn bind(config: ServerConfig) -> Result<Self, ServerError> {
        let (listener, address) = listen(config.address)?;
        let forwarding = match config.forwarding {
            Some(forwarding) => {
                let (listener, address) = listen(forwarding.address)?;
                Some((listener, Forwarding { address, ..forwarding }))
            }
            None => None,
        };
        let tls = server_config(Arc::clone(&config.serving)).map_err(ServerError::Tls)?;
        let mut checks = vec![store_check(&config.storage)];
        checks.extend(config.checks);
        let mut paths = config.paths;
        paths.extend(["/healthz", "/livez", "/metrics", "/readyz", "/version"].map(str::to_owned));
        paths.extend(config.registry.document_paths().map(str::to_owned));
        paths.sort();
        paths.dedup();
        let (clock, metrics) = (Arc::clone(&config.clock), config.metrics.clone());
        let backend = Arc::new(JournalBackend::new(config.storage, clock, metrics));
        let advisories = match forwarding {
            Some(_) => with_late_outcomes(config.advisories, Arc::clone(&backend)),
            None => config.advisories,
        };
        let state = ServerState {
            backend,
            clock: config.clock,
            authenticator: config.authenticator,
            authorizer: config.authorizer,
            policy: config.policy,
            in_flight: InFlight::new(&config.limits),
            registry: config.registry,
            health: Health::new(checks, advisories),
            metrics: config.metrics,
            limits: config.limits,
            version: config.version,
            paths,
            tracker: TaskTracker::new(),
            runtime: Handle::current(),
            closing: CancellationToken::new(),
        };
        let (serving, trust) = (config.serving, config.trust);
        let tls = TlsAcceptor::from(tls);
        Ok(Self { listener, address, forwarding, tls, serving, trust, state: Arc::new(state) })
    }

    /// Address that the server listens on, with the port that the system chose for port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Address of the listener that forwards, if there is one.
    pub fn forwarding_address(&self) -> Option<SocketAddr> {
        self.forwarding.as_ref().map(|(_, forwarding)| forwarding.address)
    }

    /// Serves until `shutdown` is cancelled, then shuts down as the module documentation describes.
    /// Drops connections that are still open after [`Limits::drain_time_max`].
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { listener, address, forwarding, tls, serving, trust, state } = self;
        let (draining, aborted) = (CancellationToken::new(), CancellationToken::new());
        let connections =
            Connections::new(Arc::clone(&state), tls, draining.clone(), aborted.clone());
        let reload = reload(serving, trust, Arc::clone(&state.clock));
        let reload = draining.clone().run_until_cancelled_owned(reload);
        state.tracker.spawn_on(reload, &state.runtime);
        let (gaps, closing) = (Arc::clone(&state), draining.clone());
        let gaps = async move { gaps.backend.record_gaps(&closing).await };
        let gaps = aborted.clone().run_until_cancelled_owned(gaps);
        state.tracker.spawn_on(gaps, &state.runtime);
        let (late, closing) = (Arc::clone(&state), draining.clone());
        let late = async move { late.backend.record_late_outcomes(&closing).await };
        let late = aborted.clone().run_until_cancelled_owned(late);
        state.tracker.spawn_on(late, &state.runtime);
        // An intent is resolved once, so this may be dropped at any point.
        let recovering = Arc::clone(&state);
        let recovered = async move { recovering.backend.recover_intents().await };
        let recovered = draining.clone().run_until_cancelled_owned(recovered);
        state.tracker.spawn_on(recovered, &state.runtime);
        state.tracker.spawn_on(connections.clone().accept(listener), &state.runtime);
        info!(%address, "serving");
        if let Some((listener, Forwarding { address, upstream })) = forwarding {
            info!(%address, upstream = upstream.name(), "forwarding");
            let connections = connections.forwarding(upstream);
            state.tracker.spawn_on(connections.accept(listener), &state.runtime);
        }

        shutdown.cancelled().await;
        info!("shutting down: no longer ready");
        state.health.close();
        tokio::time::sleep(state.limits.shutdown_delay).await;
        draining.cancel();
        state.closing.cancel();
        state.tracker.close();
        let drained = tokio::time::timeout(state.limits.drain_time_max, state.tracker.wait()).await;
        if drained.is_err() {
            warn!(
                connections = state.tracker.len(),
                "requests did not end within the drain time; their connections are dropped"
            );
            aborted.cancel();
            state.tracker.wait().await;
        }
        state.backend.record_last_outcomes().await;
        state.backend.record_last_gap().await;
        info!("closed");
    }
}

fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServerError> {
    let refused = |source| ServerError::Listen { address, source };
    let listener = bind(address).map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    Ok((listener, address))
}

/// Rereads the certificate files periodically, so that a rotation needs no restart.
async fn reload(
    serving: Arc<ServingCertificate>,
    trust: Option<Arc<Trust>>,
    clock: Arc<dyn Clock>,
) {
    loop {
        tokio::time::sleep(RELOAD_PERIOD).await;
        match serving.reload(clock.now()) {
            Ok(true) => info!("reloaded the serving certificate"),
            Ok(false) => {}
            Err(error) => {
                warn!(%error, "cannot reload the serving certificate; the old one stays in use");
            }
        }
        if let Some(trust) = &trust
            && let Err(error) = trust.replace(None)
        {
            warn!(%error, "cannot reload the CA files; the old ones stay in use");
        }
    }
}

/// Adds how many outcomes of forwarded requests are not on record yet.
fn with_late_outcomes(advisories: Advisories, backend: Arc<JournalBackend>) -> Advisories {
    Arc::new(move || {
        let count = backend.late_outcomes();
        let degradation = (count > 0).then(|| Degradation {
            extent: format!("{count} of forwarded requests are not on record yet"),
            reason: "the store did not accept them; they are tried again".to_owned(),
        });
        let outcomes = Advisory { name: "outcomes".to_owned(), degradation };
        advisories().into_iter().chain([outcomes]).collect()
    })
}

fn store_check(storage: &Arc<dyn Storage>) -> HealthCheck {
    let storage = Arc::clone(storage);
    HealthCheck {
        name: "store",
        scope: CheckScope::ReadyzOnly,
        probe: Arc::new(move || {
            let health = storage.health();
            if health.is_writable() { Ok(()) } else { Err(health.reason) }
        }),
    }
}
