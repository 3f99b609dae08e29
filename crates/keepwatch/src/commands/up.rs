//! `keepwatch up`: a server for one machine, with everything that a cluster would provide.
//!
//! Audit lines go to stdout, everything else to stderr. All state is in one folder; a second start
//! continues with it.

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use apiserver::authn::{Anonymous, Authenticator};
use apiserver::authz::union::{ALWAYS_ALLOWED, Union};
use apiserver::limits::Limits;
use apiserver::tls::ServingCertificate;
use apiserver::trust::{Trust, TrustFiles};
use apiserver::{Authorizer, Clock as _, Resource};
use event::k10::LineContext;
use kasten::roles::USERS;
use sink::{Sink, StdoutSink};
use tokio::sync::oneshot;

use crate::app::{self, App, Components};
use crate::args::UpArgs;
use crate::background_task::BackgroundTask;
use crate::clock::SystemClock;
use crate::commands::policy;
use crate::encoding;
use crate::line_labels::labels;
use crate::modes::{self, FolderUse};
use crate::passkeys;
use crate::program;
use crate::reader_positions::ResumeFrom;
use crate::standalone::data_dir::DataDir;
use crate::standalone::demo::{Demo, Narrator};
use crate::standalone::encrypted_storage::EncryptedStorage;
use crate::standalone::executor::Executor;
use crate::standalone::namespace_controller::NamespaceController;
use crate::standalone::namespaces::{self, StoredNamespaces};
use crate::standalone::pki::{Authority, write_private};
use crate::standalone::{
    CONTROLLER, INSTALLATION, NAMESPACE_CONTROLLER, core_events, destinations, kubeconfig, rbac,
    reviews, secrets, services,
};
use crate::store_file::open_store;
use crate::terminal::eprint_line;
use crate::usage_error::UsageError;

/// Time for requests in flight after Ctrl-C.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(3);
/// Time for remaining blocking threads after shutdown.
const LEAVE_TIME_MAX: Duration = Duration::from_millis(100);

/// Serves until SIGINT or SIGTERM.
pub(crate) fn run(args: &UpArgs) -> Result<ExitCode> {
    let mut errors = Vec::from_iter(args.retention.contradiction());
    args.audit_webhook.check(&mut errors);
    args.admission_webhook.check(&mut errors);
    args.log_files.check(&mut errors);
    args.buckets.check(&mut errors);
    if !errors.is_empty() {
        return Err(UsageError(errors).into());
    }
    crate::log::init(args.log_format, args.demo || std::io::stderr().is_terminal());
    let runtime = app::runtime()?;
    let outcome = runtime.block_on(serve_until_shutdown(args));
    // A pager that has stopped reading may hold a write for ever.
    runtime.shutdown_timeout(LEAVE_TIME_MAX);
    outcome.map(|()| ExitCode::SUCCESS)
}

async fn serve_until_shutdown(args: &UpArgs) -> Result<()> {
    modes::warn_of_provided(args.audit_webhook.provided_files());
    modes::warn_of_provided(args.admission_webhook.provided_files());
    let data_dir = DataDir::open(&args.dir)?;
    let authority = Authority::open(&data_dir.pki(), SystemClock.now())?;
    let resources = resources();
    let app = open(args, &data_dir, &authority, resources.clone()).await?;

    let server = format!("https://{}", reachable(app.address()));
    let people = identities(&authority, &USERS)?;
    let text = kubeconfig::text(&server, &authority.certificate, &people);
    write_private(&data_dir.kubeconfig(), &format!("{}{text}", kubeconfig::HEAD))?;
    let path = data_dir.kubeconfig();

    let own = identities(&authority, &[NAMESPACE_CONTROLLER, CONTROLLER])?;
    let own = kubeconfig::text(&server, &authority.certificate, &own);
    let emptying = kubeconfig::controller_client(&own, NAMESPACE_CONTROLLER.context).await?;
    let emptying = NamespaceController::new(emptying, &resources);
    let controller = kubeconfig::controller_client(&own, CONTROLLER.context).await?;
    let notifiers = destinations::notifiers(&app, controller.clone());
    let passkeys = passkeys::run(controller.clone(), app.store(), app.registry(), INSTALLATION);
    let controller = destinations::controller(&app, controller, &data_dir);
    let executor = Executor::new(kubeconfig::client(&text, "kasten").await?, args.demo);
    let (demo_done, demo_ending) = oneshot::channel();
    let narrator = Narrator::new(app.delivery());
    let begin = Startup {
        greeting: greeting(&server, &path, args.demo || args.once),
        admin: kubeconfig::client(&text, "admin").await?,
        demo: if args.demo {
            Some(Demo::connect(&text, path, narrator, !args.once).await?)
        } else {
            None
        },
        demo_done,
    };
    let mut tasks: Vec<BackgroundTask> =
        vec![Box::pin(emptying.run()), Box::pin(executor.run()), controller, Box::pin(begin.run())];
    tasks.extend([notifiers, Box::pin(passkeys) as BackgroundTask]);
    tasks.extend(app.heartbeat(args.heartbeat));

    let (once, delivery) = (args.once, app.delivery());
    let closing = async move {
        let at_end = async {
            // The task of the demo does not return before shutdown.
            _ = demo_ending.await;
            if !once {
                std::future::pending::<()>().await;
            }
            delivery.delivered().await;
        };
        tokio::select! {
            () = app::shutdown_signal() => {}
            () = at_end => {}
        }
    };
    app.run(tasks, closing).await
}

/// The first line. The demo prints its own commands at its end, and a server that exits immediately
/// accepts none (`is_short`).
fn greeting(server: &str, kubeconfig: &Path, is_short: bool) -> String {
    if is_short {
        return format!("Keepwatch serves at {server}.");
    }
    let kubeconfig = program::quoted(kubeconfig);
    let hint =
        if program::on_path("kubectl").is_none() { " (kubectl is not on your PATH)" } else { "" };
    format!(
        "Keepwatch serves at {server}; try: kubectl --kubeconfig {kubeconfig} get namespaces{hint}"
    )
}

/// What runs once, when the server accepts connections.
struct Startup {
    greeting: String,
    admin: kube::Client,
    demo: Option<Demo>,
    demo_done: oneshot::Sender<()>,
}

impl Startup {
    async fn run(self) {
        namespaces::create_initial(&self.admin).await;
        eprint_line(&self.greeting);
        if let Some(demo) = self.demo {
            demo.run().await;
        }
        // The receiver is gone when the server is already shutting down.
        _ = self.demo_done.send(());
        std::future::pending::<()>().await;
    }
}

/// Every kind that a standalone server serves.
fn resources() -> Vec<Resource> {
    let mut resources = kasten::resources(&INSTALLATION);
    resources.extend(kasten::kinds::config_resources());
    resources.push(namespaces::resource());
    resources.push(secrets::resource());
    resources.push(core_events::resource());
    resources.push(services::resource());
    resources
}

async fn open(
    args: &UpArgs,
    data_dir: &DataDir,
    authority: &Authority,
    mut resources: Vec<Resource>,
) -> Result<App> {
    if let Some(home) = data_dir.store().parent() {
        modes::tighten(home, FolderUse::Private)?;
    }
    let now = SystemClock.now();
    let policy = policy::named(&args.policy, &INSTALLATION)?;
    let rbac = Arc::new(rbac::open(&data_dir.rbac())?);
    let members: Vec<Arc<dyn Authorizer>> = vec![Arc::clone(&rbac) as Arc<dyn Authorizer>];
    let authorizer = Union::new(ALWAYS_ALLOWED.map(str::to_owned).to_vec(), members);
    let authorizer: Arc<dyn Authorizer> = Arc::new(authorizer);
    resources.extend(reviews::resources(Arc::clone(&authorizer), rbac));
    let store = open_store(&data_dir.store(), args.retention.settings())?;
    let sealed =
        EncryptedStorage::open(store.clone(), &data_dir.secrets_key(), secrets::FOLDER).await?;
    let serving = authority.server(args.listen.ip())?.write(&data_dir.pki(), "server")?;
    let serving = ServingCertificate::open(serving.0, serving.1, now)?;
    let audit_webhook = args.audit_webhook.config(args.listen.ip(), &serving)?;
    let admission_webhook = args.admission_webhook.config(args.listen.ip(), &serving)?;
    let files =
        TrustFiles { client_ca: Some(data_dir.pki().join("ca.crt")), ..TrustFiles::default() };
    let trust = Trust::open(files)?;
    let labels =
        LineContext { signals_match_filter: args.siem_signals_match_k10_filter, ..labels("") };
    let format = args.audit_log_format.unwrap_or_else(encoding::default_for_stdout);
    let encoding = encoding::for_stdout(format, labels)?;
    let stdout = StdoutSink::open(encoding).context("cannot use standard output")?;
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(stdout)];
    App::open(Components {
        forwarding: None,
        address: args.listen,
        serving,
        trust: None,
        authenticator: Authenticator::new(trust, None, Anonymous::Allowed),
        authorizer,
        namespaces: Arc::new(StoredNamespaces(store.clone())),
        policy,
        resources,
        installation: INSTALLATION,
        sinks,
        line_bytes: delivery::LINE_BYTES_MAX,
        resume_from: ResumeFrom::default(),
        detects: true,
        limits: Limits { drain_time_max: DRAIN_TIME_MAX, ..Limits::default() },
        audit_webhook,
        admission_webhook,
        log_files: args.log_files.configs(),
        buckets: args.buckets.configs()?,
        checks: Vec::new(),
        cluster_name: String::new(),
        has_garbage_collector: false,
        storage: Arc::new(sealed),
        store,
    })
    .await
}

/// The client certificates of users, by context.
fn identities(
    authority: &Authority,
    users: &[kasten::roles::User],
) -> Result<Vec<(&'static str, crate::standalone::pki::Identity)>> {
    users.iter().map(|user| Ok((user.context, authority.client(user)?))).collect()
}

/// An address that a client on this machine can use.
fn reachable(address: std::net::SocketAddr) -> String {
    if address.ip().is_unspecified() {
        format!("127.0.0.1:{}", address.port())
    } else {
        address.to_string()
    }
}
