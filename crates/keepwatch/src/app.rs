//! The running server: its components, and the order in which they start and stop.
//!
//! The store opens first and closes last. On shutdown the background tasks stop, the server
//! finishes its requests, the sinks deliver the remaining records, and then the store closes. Both
//! `up` and `serve` use this; [`Components`] contains their differences.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use apiserver::authn::Authenticator;
use apiserver::health::{Advisories, Advisory, Degradation, HealthCheck};
use apiserver::limits::Limits;
use apiserver::metrics::Metrics;
use apiserver::registry::RegistryConfig;
use apiserver::tls::ServingCertificate;
use apiserver::trust::Trust;
use apiserver::{
    Authorizer, Clock, Forwarding, NamespaceSource, Registry, Resource, Server, ServerError,
    Upstream, VersionInfo,
};
use arc_swap::ArcSwap;
use audit::Policy;
use delivery::notification::Notifications;
use delivery::{Delivery, EventIndexer, SinkTask};
use event::UserInfo;
use kasten::Installation;
use prometheus_client::registry::Registry as MetricsRegistry;
use proxy::{UpstreamClient, UpstreamConfig, UpstreamMetrics};
use sink::DeliveryHealth;
use sink::Sink;
use source::buckets::BucketSourceConfig;
use source::listener::ListenerConfig;
use source::log_files::LogFilesConfig;
use store::event_index::EventIndex;
use store::{Sqlite, Storage};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::background_task::BackgroundTask;
use crate::clock::SystemClock;
use crate::detection::{Detection, Origin};
use crate::event_log::JournalLog;
use crate::journal_gaps::JournalGaps;
use crate::notifications::{self, Tester};
use crate::reader_positions::{self, ResumeFrom};
use crate::rule_files;
use crate::sources::{SourceStatuses, Sources};

/// Minimum and maximum number of worker threads. Most of the work is done by one other thread, the
/// store's writer.
pub(crate) const WORKERS: (usize, usize) = (2, 4);
/// Maximum number of threads for blocking disk operations.
pub(crate) const BLOCKING_MAX: usize = 8;

/// The components of a server.
pub(crate) struct Components {
    pub(crate) store: Sqlite,
    /// The storage of the registry: the store itself, or an encrypting wrapper.
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) address: SocketAddr,
    pub(crate) serving: Arc<ServingCertificate>,
    /// The trusted authorities, if they are reloaded from files.
    pub(crate) trust: Option<Arc<Trust>>,
    pub(crate) authenticator: Authenticator,
    pub(crate) authorizer: Arc<dyn Authorizer>,
    pub(crate) namespaces: Arc<dyn NamespaceSource>,
    pub(crate) policy: Policy,
    /// The listener that forwards to another API server, if there is one.
    pub(crate) forwarding: Option<ForwardingParts>,
    /// The served kinds in addition to those of `siem.keepwatch.io`.
    pub(crate) resources: Vec<Resource>,
    /// The installation of K10 that defines these kinds.
    pub(crate) installation: Installation,
    pub(crate) sinks: Vec<Box<dyn Sink>>,
    /// Maximum length of a line for the sinks, in bytes.
    pub(crate) line_bytes: usize,
    /// Where a sink resumes after it was switched off.
    pub(crate) resume_from: ResumeFrom,
    /// Whether the detector runs.
    pub(crate) detects: bool,
    pub(crate) limits: Limits,
    pub(crate) checks: Vec<HealthCheck>,
    /// The listener for events of other servers, if there is one.
    pub(crate) audit_webhook: Option<ListenerConfig>,
    /// The listener for admission reviews, if there is one.
    pub(crate) admission_webhook: Option<ListenerConfig>,
    /// The logs of other servers.
    pub(crate) log_files: Vec<LogFilesConfig>,
    /// The buckets with events of other servers.
    pub(crate) buckets: Vec<BucketSourceConfig>,
    /// Name of the cluster that is served; empty when unknown.
    pub(crate) cluster_name: String,
    /// Whether a garbage collector of the cluster deletes dependents of the served objects.
    pub(crate) has_garbage_collector: bool,
}

/// A listener that forwards.
pub(crate) struct ForwardingParts {
    pub(crate) address: SocketAddr,
    pub(crate) upstream: UpstreamConfig,
    /// The known kinds of the upstream server, for the labels of metrics.
    pub(crate) resources: Vec<Resource>,
}

/// A server that listens but does not accept connections yet.
pub(crate) struct App {
    store: Sqlite,
    server: Server,
    upstream: Option<Arc<UpstreamClient>>,
    sink_tasks: Vec<SinkTask>,
    delivery: Arc<Delivery>,
    registry: Registry,
    detection: Option<Detection>,
    indexer: EventIndexer,
    notifications: Arc<Notifications>,
    tester: Tester,
    gaps: Arc<JournalGaps>,
    sources: Sources,
}

impl App {
    /// Opens every component and binds the address.
    pub(crate) async fn open(parts: Components) -> Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let mut metrics_registry = MetricsRegistry::default();
        let mut resources = parts.resources.clone();
        let tester = Tester::default();
        let index = Arc::new(parts.store.event_index());
        let gaps = JournalGaps::new(parts.store.clone())?;
        let sources = Sources::open(&parts, &mut metrics_registry).await?;
        resources.extend(siem::resources(&services(&parts, &tester, &index, &gaps, &sources)));
        let (forwarding, upstream, metrics) =
            open_forwarding(parts.forwarding, &resources, &mut metrics_registry)?;
        reader_positions::set(&parts.store, &parts.sinks, parts.detects, parts.resume_from).await?;
        gaps.check_at_start().await?;
        let (mut delivery, sink_tasks) =
            open_delivery(&parts.store, (parts.sinks, parts.line_bytes), &mut metrics_registry);
        let notifications = notifications::open(Arc::clone(&parts.storage), &mut metrics_registry);
        metrics.expose(metrics_registry);
        let policy = Arc::new(ArcSwap::from_pointee(parts.policy));
        let registry = Registry::new(RegistryConfig {
            resources,
            store: Arc::clone(&parts.storage),
            authorizer: Arc::clone(&parts.authorizer),
            namespaces: parts.namespaces,
            clock: Arc::clone(&clock),
            policy: Arc::clone(&policy),
            server_user: Arc::new(server_user(&parts.installation)),
            has_garbage_collector: parts.has_garbage_collector,
        });
        let origin = origin(parts.cluster_name, &sources, forwarding.is_some());
        let detection = {
            let (store, installation) = (&parts.store, &parts.installation);
            let opening = Detection::open(&mut delivery, store, &registry, installation, origin);
            if parts.detects { Some(opening.await?) } else { None }
        };
        let (indexer, delivery) = (delivery.event_indexer(index), Arc::new(delivery));
        let server = Server::bind(apiserver::ServerConfig {
            address: parts.address,
            serving: parts.serving,
            trust: parts.trust,
            authenticator: parts.authenticator,
            authorizer: parts.authorizer,
            policy,
            registry: registry.clone(),
            storage: parts.storage,
            clock,
            checks: parts.checks.into_iter().chain([gaps.check()]).collect(),
            advisories: advisories(Arc::clone(&delivery), sources.statuses()),
            metrics,
            limits: parts.limits,
            version: version(),
            paths: Vec::new(),
            forwarding,
        })
        .await
        .map_err(explained)?;
        Ok(Self {
            store: parts.store,
            server,
            upstream,
            sink_tasks,
            delivery,
            registry,
            detection,
            indexer,
            notifications,
            tester,
            gaps,
            sources,
        })
    }

    /// The task that runs the notifiers.
    pub(crate) fn notify(&self, parts: notifications::NotifierConfig) -> BackgroundTask {
        let (notifications, storage) = (Arc::clone(&self.notifications), self.store.clone());
        notifications::run(
            notifications,
            Arc::new(storage),
            self.registry.clone(),
            parts,
            &self.tester,
        )
    }

    /// The address it listens on.
    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The handle of the readers of the journal.
    pub(crate) fn delivery(&self) -> Arc<Delivery> {
        Arc::clone(&self.delivery)
    }

    /// The task that records a heartbeat event each period; none if the period is zero.
    pub(crate) fn heartbeat(&self, period: Duration) -> Option<BackgroundTask> {
        if period.is_zero() {
            return None;
        }
        let (delivery, storage) = (self.delivery(), self.store.clone());
        Some(Box::pin(async move {
            delivery.run_heartbeat(&storage, period, || SystemClock.now()).await;
        }))
    }

    /// The store with its journal.
    pub(crate) fn store(&self) -> Sqlite {
        self.store.clone()
    }

    /// The registry, for tasks that change objects without a request.
    pub(crate) fn registry(&self) -> Registry {
        self.registry.clone()
    }

    /// Runs until `closing` resolves, then shuts down in order. A second signal ends it
    /// immediately.
    pub(crate) async fn run(
        self,
        tasks: Vec<BackgroundTask>,
        closing: impl Future<Output = ()>,
    ) -> Result<()> {
        let (serving, delivering) = (CancellationToken::new(), CancellationToken::new());
        let mut server = JoinSet::new();
        server.spawn(self.server.run(serving.clone()));
        self.sources.spawn(&mut server, &serving);
        let mut sinks = JoinSet::new();
        for task in self.sink_tasks {
            sinks.spawn(task.run(delivering.clone()));
        }
        let mut background = JoinSet::new();
        let detecting = CancellationToken::new();
        let mut detector = JoinSet::new();
        if let Some(detection) = self.detection {
            detector.spawn(detection.detector.run(detecting.clone()));
            background.spawn(detection.follower.run());
        }
        if let Some(upstream) = self.upstream {
            background.spawn(upstream.reload());
        }
        background.spawn(self.indexer.run());
        background.spawn(self.gaps.run());
        for task in tasks {
            background.spawn(task);
        }

        let outcome = tokio::select! {
            () = closing => Ok(()),
            _ended = server.join_next() => Err(anyhow!("the server stopped unexpectedly")),
        };
        let ending = async {
            background.shutdown().await;
            self.notifications.close().await;
            serving.cancel();
            while server.join_next().await.is_some() {}
            // The detector stops before the sinks, so that its last signals are delivered.
            detecting.cancel();
            while detector.join_next().await.is_some() {}
            delivering.cancel();
            self.delivery.close().await;
            while sinks.join_next().await.is_some() {}
            self.store.close().await;
        };
        tokio::select! {
            () = ending => outcome,
            () = shutdown_signal() => Err(anyhow!("second signal: stopped immediately")),
        }
    }
}

/// Waits for SIGINT or SIGTERM.
pub(crate) async fn shutdown_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        tracing::error!("signals cannot be received");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// A runtime with the number of worker threads limited by [`WORKERS`].
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    let cores = std::thread::available_parallelism().map_or(WORKERS.0, usize::from);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.clamp(WORKERS.0, WORKERS.1))
        .max_blocking_threads(BLOCKING_MAX)
        .enable_all()
        .build()
        .context("cannot start threads")
}

/// Delivery, and the tasks of the sinks for lines of this size.
fn open_delivery(
    store: &Sqlite,
    (sinks, line_bytes): (Vec<Box<dyn Sink>>, usize),
    metrics: &mut MetricsRegistry,
) -> (Delivery, Vec<SinkTask>) {
    let mut delivery = Delivery::new(store.journal(), metrics);
    delivery.set_line_bytes(line_bytes);
    let tasks = sinks.into_iter().map(|sink| delivery.sink_task(sink)).collect();
    (delivery, tasks)
}

/// The origin of the detector's events.
fn origin(cluster: String, sources: &Sources, is_proxy: bool) -> Origin {
    let has_other_events = is_proxy || !sources.is_empty();
    Origin { cluster, lateness: sources.lateness(), has_other_events }
}

/// The forwarding listener and its client, if there are any, and the metrics of the API server.
fn open_forwarding(
    parts: Option<ForwardingParts>,
    resources: &[Resource],
    registry: &mut MetricsRegistry,
) -> Result<(Option<Forwarding>, Option<Arc<UpstreamClient>>, Metrics)> {
    let Some(ForwardingParts { address, upstream, resources: forwarded }) = parts else {
        return Ok((None, None, Metrics::new(registry, resources)));
    };
    let client = Arc::new(UpstreamClient::new(upstream, UpstreamMetrics::new(registry))?);
    let upstream: Arc<dyn Upstream> = Arc::<UpstreamClient>::clone(&client);
    let metrics = Metrics::new(registry, &[resources, forwarded.as_slice()].concat());
    Ok((Some(Forwarding { address, upstream }), Some(client), metrics))
}

/// The services behind the kinds of `siem.keepwatch.io`.
fn services(
    parts: &Components,
    tester: &Tester,
    index: &Arc<EventIndex>,
    gaps: &Arc<JournalGaps>,
    sources: &Sources,
) -> siem::Services {
    let (journal, index, gaps) = (parts.store.journal(), Arc::clone(index), Arc::clone(gaps));
    siem::Services {
        rules: rule_files::load_options(&parts.installation),
        log: Arc::new(JournalLog { journal, index, gaps }),
        tester: Arc::new(tester.clone()),
        sources: Arc::new(sources.statuses()),
    }
}

/// The advisories of `/readyz` about the readers of the journal and the sources of events. The
/// server stays ready without them.
fn advisories(delivery: Arc<Delivery>, sources: SourceStatuses) -> Advisories {
    Arc::new(move || {
        let advisory = |sink: delivery::SinkHealth| {
            let reason = match sink.condition {
                DeliveryHealth::Delivering => None,
                DeliveryHealth::Failing { reason, attempts } => {
                    Some(format!("{reason} (attempt {attempts})"))
                }
                DeliveryHealth::NoResponse { reason } => Some(reason),
                DeliveryHealth::Closed => Some("its other end was closed".to_owned()),
                DeliveryHealth::CursorLost { reason } => {
                    Some(format!("{reason}; restart the server"))
                }
            };
            let extent = format!("{} records wait", sink.lag);
            let degradation = reason.map(|reason| Degradation { extent, reason });
            let name = if [delivery::DETECTOR, delivery::EVENT_INDEX].contains(&&*sink.sink) {
                sink.sink
            } else {
                format!("sink-{}", sink.sink)
            };
            Advisory { name, degradation }
        };
        let journal = Advisory {
            name: "journal".to_owned(),
            degradation: delivery
                .journal_notice()
                .map(|reason| Degradation { extent: "it nears its bound".to_owned(), reason }),
        };
        let readers = delivery.health().into_iter().map(advisory);
        readers.chain([journal]).chain(sources.advisories()).collect()
    })
}

/// The service account of the server's pod, by the name that K10's chart gives it.
const OWN_ACCOUNT: &str = "aggregatedapis-svc";

/// The user in events about actions of the server: the service account of its pod. The built-in
/// rules exempt the accounts of K10's namespace.
fn server_user(installation: &Installation) -> UserInfo {
    UserInfo {
        username: format!("system:serviceaccount:{}:{OWN_ACCOUNT}", installation.namespace()),
        groups: vec![
            "system:serviceaccounts".to_owned(),
            installation.accounts().to_owned(),
            "system:authenticated".to_owned(),
        ],
        ..UserInfo::default()
    }
}

/// The error with advice, if there is any.
fn explained(error: ServerError) -> anyhow::Error {
    let is_in_use = matches!(
        &error,
        ServerError::Listen { source, .. } if source.kind() == std::io::ErrorKind::AddrInUse
    );
    let error = anyhow::Error::new(error);
    if is_in_use {
        return anyhow!(
            "{error:#}: stop the process that listens there, or choose another address"
        );
    }
    error
}

/// The response of `/version`, by which clients decide which Kubernetes features they use.
fn version() -> VersionInfo {
    VersionInfo {
        major: "1".to_owned(),
        minor: "37".to_owned(),
        git_version: format!("v1.37.0-keepwatch.{}", env!("CARGO_PKG_VERSION")),
        git_commit: String::new(),
        git_tree_state: String::new(),
        build_date: String::new(),
        go_version: "rust".to_owned(),
        compiler: "rustc".to_owned(),
        platform: format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    }
}
