//! `keepwatch serve`: behind kube-apiserver's aggregator, for the cluster's users. `keepwatch
//! proxy` is the same server with a listener that forwards.

mod check;
mod destinations;
mod left_out;
mod sinks;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use apiserver::Clock as _;
use apiserver::authn::token::{self, TokenReviews};
use apiserver::authn::{Anonymous, Authenticator};
use apiserver::authz::sar::{self, SubjectAccessReviews};
use apiserver::authz::union::Union;
use apiserver::kube::client::connect;
use apiserver::limits::Limits;
use apiserver::namespaces::ClusterNamespaces;
use apiserver::tls::ServingCertificate;
use apiserver::trust::config_map::AuthenticationConfigMap;
use apiserver::trust::{Trust, TrustFiles};
use audit::{Builtin, Policy, Strictness};
use kasten::Installation;
use tokio_util::sync::CancellationToken;

use crate::app::{self, App, Components, ForwardingParts};
use crate::args::proxy::UpstreamArgs;
use crate::args::serve::{AccessArgs, AuditArgs, ListenArgs, ServeArgs, StoreArgs};
use crate::background_task::BackgroundTask;
use crate::certificate::CertificateRotator;
use crate::clock::SystemClock;
use crate::commands::policy;
use crate::modes::{self, FolderUse};
use crate::namespace_watcher;
use crate::passkeys;
use crate::standalone::pki;
use crate::store_file::{self, STORE_FILE};

/// Time for remaining blocking threads after shutdown.
const LEAVE_TIME_MAX: Duration = Duration::from_millis(500);
/// Name of the self-signed certificate's files, as K10 has it.
const SELF_SIGNED: &str = "apiserver";

/// Serves until SIGINT or SIGTERM.
pub(crate) fn run(args: &ServeArgs) -> Result<ExitCode> {
    run_with(args, None)
}

/// Like [`run`]. With an upstream, K10's kinds are not served, and requests on the secure port are
/// forwarded.
pub(super) fn run_with(args: &ServeArgs, upstream: Option<&UpstreamArgs>) -> Result<ExitCode> {
    let installation = check::all(args)?;
    crate::log::init(args.log_format, false);
    let runtime = app::runtime()?;
    let outcome = runtime.block_on(serve_until_shutdown(args, upstream, installation));
    // A log agent that stopped reading may block a write forever.
    runtime.shutdown_timeout(LEAVE_TIME_MAX);
    outcome.map(|()| ExitCode::SUCCESS)
}

async fn serve_until_shutdown(
    args: &ServeArgs,
    upstream: Option<&UpstreamArgs>,
    installation: Installation,
) -> Result<()> {
    let policy = policy_of(&args.audit, &installation)?;
    left_out::warn(&policy, &installation);
    let (authorities, reader) = destinations::authorities(&args.destinations)?;
    let settings =
        destinations::settings(&args.audit, &args.destinations, &installation, authorities)?;
    check_modes(args, upstream);
    let from_files = serving(&args.listen)?;
    let trust = Trust::open(trust_files(&args.access)?)?;
    let store = open_store(&args.store)?;
    let cluster = Cluster::open(&args.access, &trust).await?;
    let rotator = rotator(&args.listen, &cluster, &installation).await?;
    let serving = from_files
        .or(rotator.as_ref().map(CertificateRotator::serving))
        .context("no certificate")?;
    let audit_webhook = args.audit_webhook.config(args.listen.bind_address, &serving)?;
    let admission_webhook = args.admission_webhook.config(args.listen.bind_address, &serving)?;
    let sinks = sinks::open(&args.audit);
    let reopen = sinks.reopen;
    let (address, forwarding) = listeners(&args.listen, upstream, &installation);
    let app = App::open(Components {
        address,
        forwarding,
        serving,
        trust: cluster.config_map.is_none().then(|| Arc::clone(&trust)),
        authenticator: Authenticator::new(trust, Some(cluster.tokens), Anonymous::Allowed),
        authorizer: authorizer(&args.access, cluster.reviews),
        namespaces: Arc::new(ClusterNamespaces::new(cluster.client.clone())),
        policy,
        resources: if upstream.is_some() { Vec::new() } else { kasten::resources(&installation) },
        installation,
        sinks: sinks.sinks,
        line_bytes: usize::try_from(args.audit.audit_line_size).unwrap_or(usize::MAX),
        resume_from: args.audit.audit_log_resume_from,
        detects: args.siem_detection,
        limits: limits(&args.listen),
        audit_webhook,
        admission_webhook,
        log_files: args.log_files.configs(),
        buckets: args.buckets.configs()?,
        checks: rotator.iter().map(CertificateRotator::check).collect(),
        cluster_name: args.audit.cluster_name.clone(),
        has_garbage_collector: true,
        storage: Arc::new(store.clone()),
        store,
    })
    .await?;
    let client = cluster.client.clone();
    let mut tasks: Vec<BackgroundTask> = vec![
        destinations::notifiers(&app, client.clone(), &settings, &args.destinations),
        destinations::controller(&app, client, settings, &args.audit, &args.destinations),
        Box::pin(sinks::reopen_on_hangup(reopen, app.delivery())),
    ];
    if upstream.is_none() {
        tasks.extend(kind_tasks(&app, cluster.client, installation));
    }
    tasks.extend(app.heartbeat(args.destinations.heartbeat));
    tasks.extend(reader);
    if let Some(rotator) = rotator {
        tasks.push(Box::pin(rotator.run()));
    }
    if let Some(config_map) = cluster.config_map {
        tasks.push(Box::pin(config_map.run(CancellationToken::new())));
    }
    app.run(tasks, app::shutdown_signal()).await
}

/// Reports or restricts the modes of the files that the flags name.
fn check_modes(args: &ServeArgs, upstream: Option<&UpstreamArgs>) {
    let upstream_files = upstream.into_iter().flat_map(UpstreamArgs::provided_files);
    modes::warn_of_provided(check::provided_files(args).chain(upstream_files));
    if !args.audit.is_stdout() {
        modes::tighten_log(&args.audit.audit_log_file);
    }
}

/// The address of the server's own API, and the listener that forwards, if there is one. Forwarding
/// takes the secure port.
fn listeners(
    listen: &ListenArgs,
    upstream: Option<&UpstreamArgs>,
    installation: &Installation,
) -> (SocketAddr, Option<ForwardingParts>) {
    let address = |port| SocketAddr::new(listen.bind_address, port);
    let secure = address(listen.secure_port);
    match upstream {
        Some(upstream) => (address(upstream.api_port), Some(upstream.parts(secure, installation))),
        None => (secure, None),
    }
}

fn authorizer(access: &AccessArgs, reviews: SubjectAccessReviews) -> Arc<Union> {
    let paths = access.authorization_always_allow_paths.clone();
    Arc::new(Union::new(paths, vec![Arc::new(reviews)]))
}

/// The tasks behind K10's kinds.
fn kind_tasks(app: &App, client: kube::Client, installation: Installation) -> [BackgroundTask; 2] {
    let (store, registry) = (app.store(), app.registry());
    [
        Box::pin(passkeys::run(client.clone(), store, registry.clone(), installation)),
        Box::pin(namespace_watcher::run(client, registry, installation)),
    ]
}

/// The clients of kube-apiserver.
struct Cluster {
    client: kube::Client,
    tokens: TokenReviews,
    reviews: SubjectAccessReviews,
    config_map: Option<AuthenticationConfigMap>,
}

impl Cluster {
    async fn open(access: &AccessArgs, trust: &Arc<Trust>) -> Result<Self> {
        // As K10's chart has it, one kubeconfig may be given under any of the names.
        let general = access.kubeconfig.as_deref();
        let general = general.or(access.authentication_kubeconfig.as_deref());
        let client = connect(general).await?;
        let authentication = own_or(&client, access.authentication_kubeconfig.as_deref()).await?;
        let authorization = own_or(&client, access.authorization_kubeconfig.as_deref()).await?;
        let config_map = config_map(access, authentication.clone(), trust).await?;
        Ok(Self {
            client,
            tokens: TokenReviews::new(authentication, token::CACHE_TIME),
            reviews: SubjectAccessReviews::new(authorization, sar::CACHE_TIME, sar::CACHE_TIME),
            config_map,
        })
    }
}

/// The client of another kubeconfig, if there is one.
async fn own_or(general: &kube::Client, own: Option<&Path>) -> Result<kube::Client> {
    match own {
        Some(own) => Ok(connect(Some(own)).await?),
        None => Ok(general.clone()),
    }
}

/// The ConfigMap with kube-apiserver's request-header authority.
async fn config_map(
    access: &AccessArgs,
    client: kube::Client,
    trust: &Arc<Trust>,
) -> Result<Option<AuthenticationConfigMap>> {
    if access.authentication_skip_lookup {
        return Ok(None);
    }
    let config_map = AuthenticationConfigMap::new(client, Arc::clone(trust));
    if let Err(error) = config_map.load().await {
        if !access.authentication_tolerate_lookup_failure {
            return Err(error).context(
                "grant this account Role kube-system/extension-apiserver-authentication-reader, \
                 or give --authentication-tolerate-lookup-failure or --authentication-skip-lookup",
            );
        }
        tracing::warn!(reason = %error, "request-header authentication is off until \
            the ConfigMap can be read");
    }
    Ok(Some(config_map))
}

fn policy_of(audit: &AuditArgs, installation: &Installation) -> Result<Policy> {
    match (&audit.audit_policy_file, &audit.audit_policy) {
        (Some(file), _) => policy::load(file, Strictness::Kubernetes),
        (None, Some(name)) => policy::named(name, installation),
        (None, None) => Ok(Policy::builtin(Builtin::K10, installation.domain())?),
    }
}

/// The rotator of the certificate, if the server generates one for a Service.
async fn rotator(
    listen: &ListenArgs,
    cluster: &Cluster,
    installation: &Installation,
) -> Result<Option<CertificateRotator>> {
    let Some(service) = listen.tls_service.clone() else { return Ok(None) };
    let mut groups = installation.groups().map(|group| (group, kasten::names::VERSION)).to_vec();
    groups.push((siem::GROUP, siem::VERSION));
    let configuration = listen.admission_webhook_configuration.clone();
    let client = cluster.client.clone();
    Ok(Some(CertificateRotator::open(client, service, groups, configuration).await?))
}

/// The configured certificate, or a self-signed one from the certificate folder, created if it is
/// missing. None if the certificate is stored in the cluster.
fn serving(listen: &ListenArgs) -> Result<Option<Arc<ServingCertificate>>> {
    if listen.tls_service.is_some() {
        return Ok(None);
    }
    let now = SystemClock.now();
    let configured = listen.tls_cert_file.clone().zip(listen.tls_private_key_file.clone());
    let (certificate, key) = match configured {
        Some(configured) => configured,
        None => self_signed(listen)?,
    };
    Ok(Some(ServingCertificate::open(certificate, key, now)?))
}

/// The files of a self-signed certificate.
fn self_signed(listen: &ListenArgs) -> Result<(PathBuf, PathBuf)> {
    let folder = &listen.cert_dir;
    let certificate = folder.join(format!("{SELF_SIGNED}.crt"));
    let key = folder.join(format!("{SELF_SIGNED}.key"));
    if certificate.exists() && key.exists() {
        modes::tighten(folder, FolderUse::Volume)?;
        return Ok((certificate, key));
    }
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot create --cert-dir {}", folder.display()))?;
    let mut hosts = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    if !listen.bind_address.is_unspecified() && !listen.bind_address.is_loopback() {
        hosts.push(listen.bind_address.to_string());
    }
    pki::self_signed(hosts, SystemClock.now())?.write(folder, SELF_SIGNED)
}

fn trust_files(access: &AccessArgs) -> Result<TrustFiles> {
    Ok(TrustFiles {
        client_ca: access.client_ca_file.clone(),
        request_header_ca: access.requestheader_client_ca_file.clone(),
        allowed_names: access.requestheader_allowed_names.clone(),
        headers: Some(check::remote_headers(access)?),
    })
}

fn open_store(args: &StoreArgs) -> Result<store::Sqlite> {
    modes::tighten(&args.data_dir, FolderUse::Volume)?;
    store_file::open_store(&args.data_dir.join(STORE_FILE), args.retention.settings())
}

fn limits(listen: &ListenArgs) -> Limits {
    Limits {
        reads_max: listen.max_requests_inflight,
        mutations_max: listen.max_mutating_requests_inflight,
        request_time_max: listen.request_timeout,
        shutdown_delay: listen.shutdown_delay_duration,
        ..Limits::default()
    }
}
