//! A test server with a few kinds, and a client that connects over TLS.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use apimachinery::ApiError;
use apiserver::authn::token::{CACHE_TIME, TokenReviews};
use apiserver::authn::{Anonymous, Authenticator};
use apiserver::authz::{Rbac, Union};
use apiserver::limits::Limits;
use apiserver::metrics::Metrics;
use apiserver::tls::ServingCertificate;
use apiserver::trust::{Trust, TrustFiles};
use apiserver::{
    Attributes, Authorizer, AuthorizerError, Clock, Decision, NamespaceSource, NamespaceState,
    Objects, Registry, RegistryConfig, Resource, Scope, Server, ServerConfig, Strategy, Verb,
    VersionInfo, WriteContext,
};
use arc_swap::ArcSwap;
use async_trait::async_trait;
use audit::{Policy, Strictness};
use event::{Event, Timestamp};
use serde_json::json;
use store::{Settings, Sqlite, Storage};
use tempfile::TempDir;
use testkit::pki::{Authority, Identity};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

mod client;
mod kinds;

pub(crate) use client::{Client, Outcome, Protocol, get, own_certificate, request, tls};

/// Policy of the registry: no events about server actions.
const NO_EVENTS: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: None\n";

/// Health and metrics are not audited, all other requests are.
const POLICY: &str = r#"
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: None, nonResourceURLs: ["/healthz*", "/readyz*", "/livez*", "/metrics"]}
- {level: RequestResponse}
"#;

const RBAC: &str = r#"
kind: ClusterRole
metadata: {name: editor}
rules:
- {apiGroups: ["test.io"], resources: ["things", "notes", "notes/status", "keys"], verbs: ["*"]}
- {nonResourceURLs: ["*"], verbs: ["get"]}
---
kind: ClusterRoleBinding
metadata: {name: editors}
subjects: [{kind: User, name: alice}]
roleRef: {kind: ClusterRole, name: editor}
---
kind: ClusterRole
metadata: {name: reader of one}
rules:
- {apiGroups: ["test.io"], resources: ["things"], resourceNames: ["allowed"], verbs: ["get", "list", "watch"]}
---
kind: ClusterRoleBinding
metadata: {name: readers of one}
subjects: [{kind: User, name: limited}]
roleRef: {kind: ClusterRole, name: reader of one}
---
kind: ClusterRole
metadata: {name: impersonator}
rules:
- {apiGroups: [""], resources: ["users"], resourceNames: ["alice"], verbs: ["impersonate"]}
- {apiGroups: [""], resources: ["groups"], resourceNames: ["dev"], verbs: ["impersonate"]}
- {apiGroups: [""], resources: ["serviceaccounts"], resourceNames: ["robot"], verbs: ["impersonate"]}
- {apiGroups: ["authentication.k8s.io"], resources: ["uids"], resourceNames: ["7"], verbs: ["impersonate"]}
- {apiGroups: ["authentication.k8s.io"], resources: ["userextras/scopes"], resourceNames: ["view"], verbs: ["impersonate"]}
---
kind: ClusterRoleBinding
metadata: {name: impersonators}
subjects: [{kind: User, name: robot}]
roleRef: {kind: ClusterRole, name: impersonator}
"#;

/// A test server.
pub(crate) struct TestServer {
    pub(crate) folder: TempDir,
    pub(crate) ca: Authority,
    pub(crate) proxy_ca: Authority,
    pub(crate) address: std::net::SocketAddr,
    pub(crate) store: Arc<Sqlite>,
    pub(crate) gate: Arc<Gate>,
    shutdown: CancellationToken,
    running: JoinHandle<()>,
}

/// Blocks requests for the object `gate` until it is opened.
#[derive(Debug)]
pub(crate) struct Gate {
    /// While a test holds this lock, the object `held` blocks the store's writer.
    pub(crate) writer: tokio::sync::Mutex<()>,
    pub(crate) arrived: Notify,
    pub(crate) open: Semaphore,
}

/// A kind whose object `held` blocks its create, and `burst` panics.
struct Things(Arc<Gate>);

impl Strategy for Things {
    fn on_create(
        &self,
        thing: &mut serde_json::Map<String, serde_json::Value>,
        _: &mut Objects<'_>,
        _: &WriteContext,
    ) -> Result<(), ApiError> {
        match thing["metadata"]["name"].as_str() {
            Some("held") => {
                self.0.arrived.notify_one();
                drop(self.0.writer.blocking_lock());
            }
            Some("burst") => panic!("requested by the test"),
            _ => {}
        }
        Ok(())
    }
}

/// RBAC, except that the name `gate` waits, `panic` panics and `unknown` fails.
struct GateAuthorizer {
    rbac: Union,
    gate: Arc<Gate>,
}

#[async_trait]
impl Authorizer for GateAuthorizer {
    async fn authorize(&self, attributes: &Attributes) -> Result<Decision, AuthorizerError> {
        match attributes.name.as_str() {
            "gate" => {
                self.gate.arrived.notify_one();
                self.gate.open.acquire().await.unwrap().forget();
            }
            "panic" => panic!("requested by the test"),
            "unknown" => return Err(AuthorizerError("requested by the test".to_owned())),
            _ => {}
        }
        self.rbac.authorize(attributes).await
    }
}

/// Every namespace exists.
struct AllNamespaces;

#[async_trait]
impl NamespaceSource for AllNamespaces {
    async fn state(&self, _: &str) -> Result<NamespaceState, ApiError> {
        Ok(NamespaceState::Active)
    }
}

/// A clock that advances at each call.
#[derive(Default)]
struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        // Autumn 2026; each call advances the clock by a microsecond.
        Timestamp::from_micros(1_795_000_000_000_000 + self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// Options of a test server.
pub(crate) struct TestServerOptions {
    pub(crate) limits: Limits,
    pub(crate) anonymous: Anonymous,
    pub(crate) settings: Settings,
    /// The API server for token reviews.
    pub(crate) tokens: Option<kube::Client>,
    /// Wraps the store.
    pub(crate) storage: fn(Arc<Sqlite>) -> Arc<dyn Storage>,
    /// The listening address.
    pub(crate) address: IpAddr,
    /// Client CA instead of the default one, as PEM.
    pub(crate) client_ca: Option<String>,
    pub(crate) proxy_ca: Option<String>,
    /// Serving certificate instead of the default one.
    pub(crate) serving: Option<Identity>,
}

impl Default for TestServerOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            anonymous: Anonymous::Refused,
            settings: Settings::default(),
            tokens: None,
            storage: |store| store,
            address: Ipv4Addr::LOCALHOST.into(),
            client_ca: None,
            proxy_ca: None,
            serving: None,
        }
    }
}

impl TestServer {
    pub(crate) async fn open() -> Self {
        Self::open_options(TestServerOptions::default()).await
    }

    pub(crate) async fn open_with(limits: Limits, anonymous: Anonymous) -> Self {
        Self::open_options(TestServerOptions { limits, anonymous, ..TestServerOptions::default() })
            .await
    }

    pub(crate) async fn open_options(options: TestServerOptions) -> Self {
        let TestServerOptions { limits, anonymous, settings, tokens, storage, .. } = options;
        let tokens = tokens.map(|client| TokenReviews::new(client, CACHE_TIME));
        let folder = TempDir::new().unwrap();
        let (ca, proxy_ca) = (Authority::new("clients"), Authority::new("front-proxy"));
        let file = |name: &str, pem: String| {
            let path = folder.path().join(name);
            std::fs::write(&path, pem).unwrap();
            path
        };
        let trust = Trust::open(TrustFiles {
            client_ca: Some(file("clients.pem", options.client_ca.unwrap_or(ca.pem()))),
            request_header_ca: Some(file("proxy.pem", options.proxy_ca.unwrap_or(proxy_ca.pem()))),
            allowed_names: vec!["front-proxy-client".to_owned()],
            headers: None,
        })
        .unwrap();
        let clock = Arc::new(TestClock::default());
        let serving = options.serving.unwrap_or_else(|| ca.server());
        let (certificate, key) = serving.write(folder.path(), "serving");
        let serving = ServingCertificate::open(certificate, key, clock.now()).unwrap();
        let gate = Arc::new(Gate {
            writer: tokio::sync::Mutex::default(),
            arrived: Notify::new(),
            open: Semaphore::new(0),
        });
        let rbac = Arc::new(Rbac::from_manifests([("rbac.yaml", RBAC)]).unwrap());
        let rbac = Union::new(vec!["/healthz".to_owned(), "/readyz".to_owned()], vec![rbac]);
        let authorizer = Arc::new(GateAuthorizer { rbac, gate: Arc::clone(&gate) });
        let store = Arc::new(open_store(&folder.path().join("store.db"), settings));
        let shutdown = CancellationToken::new();
        let mut metrics_registry = prometheus_client::registry::Registry::default();
        let resources = vec![things(&gate), kinds::notes(), kinds::keys()];
        let metrics = Metrics::new(&mut metrics_registry, &resources);
        metrics.expose(metrics_registry);
        let config = RegistryConfig {
            resources,
            store: storage(Arc::clone(&store)),
            authorizer: Arc::clone(&authorizer) as _,
            namespaces: Arc::new(AllNamespaces),
            clock: Arc::clone(&clock) as _,
            policy: policy(NO_EVENTS),
            server_user: Arc::default(),
            has_garbage_collector: true,
        };
        let server = Server::bind(ServerConfig {
            address: (options.address, 0).into(),
            serving,
            trust: None,
            authenticator: Authenticator::new(trust, tokens, anonymous),
            authorizer,
            policy: policy(POLICY),
            registry: Registry::new(config),
            storage: storage(Arc::clone(&store)),
            clock,
            checks: Vec::new(),
            advisories: Arc::new(Vec::new),
            metrics,
            limits,
            version: VersionInfo { git_version: "v1.37.0".to_owned(), ..VersionInfo::default() },
            paths: vec!["/apis".to_owned()],
            forwarding: None,
        })
        .await
        .unwrap();
        let address = server.address();
        #[expect(clippy::disallowed_methods, reason = "the test starts its own tasks")]
        let running = tokio::spawn(server.run(shutdown.clone()));
        Self { folder, ca, proxy_ca, address, store, gate, shutdown, running }
    }

    /// A client with a certificate of the client CA.
    pub(crate) async fn client(&self, name: &str) -> Client {
        self.client_of(name, &[], Protocol::Http2).await
    }

    pub(crate) async fn client_of(
        &self,
        name: &str,
        groups: &[&str],
        protocol: Protocol,
    ) -> Client {
        let identity = self.ca.client(name, groups);
        Client::connect(self.address, &self.ca.pem(), Some(&identity), protocol).await
    }

    /// Starts the shutdown; requests may still be in progress.
    pub(crate) fn begin_closing(&self) {
        self.shutdown.cancel();
    }

    /// Closes the server and returns its events.
    pub(crate) async fn close(self) -> Vec<Event> {
        self.shutdown.cancel();
        self.running.await.unwrap();
        let events = events(&self.store).await;
        self.store.close().await;
        events
    }

    /// The events so far.
    pub(crate) async fn events(&self) -> Vec<Event> {
        events(&self.store).await
    }
}

async fn events(store: &Sqlite) -> Vec<Event> {
    let records = store.journal().read(0, 1000, 1 << 24).await.unwrap();
    records.into_iter().map(|record| event::record::read(record.bytes).unwrap()).collect()
}

/// Closes the server and compares the events: `stage verb path code user`, one per line.
pub(crate) async fn check_record(server: TestServer, expected: &str) {
    let actual: Vec<String> = server.close().await.iter().map(line).collect();
    let expected: Vec<&str> =
        expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(actual, expected);
}

/// One event as a short line.
pub(crate) fn line(event: &Event) -> String {
    let code = event.response_status.as_ref().map_or(0, |status| status.code);
    let user = if event.user.username.is_empty() { "-" } else { &event.user.username };
    format!("{:?} {} {} {code} {user}", event.stage, event.verb, event.request_uri)
}

fn policy(text: &str) -> Arc<ArcSwap<Policy>> {
    let policy = Policy::load(text.as_bytes(), Strictness::Strict).unwrap().policy;
    Arc::new(ArcSwap::from_pointee(policy))
}

fn open_store(path: &Path, settings: Settings) -> Sqlite {
    let time = AtomicI64::new(1_795_000_000_000_000);
    let clock = Arc::new(move || time.fetch_add(1, Ordering::Relaxed));
    Sqlite::open(path, settings, clock).unwrap()
}

/// The main test kind.
fn things(gate: &Arc<Gate>) -> Resource {
    Resource {
        group: "test.io",
        version: "v1",
        kind: "Thing",
        plural: "things",
        singular: "thing",
        short_names: &[],
        categories: &[],
        scope: Scope::Namespaced,
        verbs: &[Verb::Create, Verb::Delete, Verb::Get, Verb::List, Verb::Update, Verb::Watch],
        columns: &[],
        schema: json!({
            "type": "object",
            "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}},
        })
        .into(),
        subresources: &[],
        selectable_fields: &[],
        omit_bodies: false,
        audit_level_min: event::Level::None,
        read_only: None,
        strategy: Arc::new(Things(Arc::clone(gate))) as Arc<dyn Strategy>,
    }
}

/// The JSON of a thing with this name.
pub(crate) fn thing(name: &str) -> String {
    json!({"apiVersion": "test.io/v1", "kind": "Thing", "metadata": {"name": name}}).to_string()
}
