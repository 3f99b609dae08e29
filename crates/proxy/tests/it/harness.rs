//! A proxy in this process, and a client that is the front proxy.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use apimachinery::ApiError;
use apiserver::authn::{Anonymous, Authenticator};
use apiserver::limits::Limits;
use apiserver::metrics::Metrics;
use apiserver::tls::ServingCertificate;
use apiserver::trust::{Trust, TrustFiles};
use apiserver::{
    Attributes, Authorizer, AuthorizerError, Clock, Decision, Forwarding, NamespaceSource,
    NamespaceState, Registry, RegistryConfig, Server, ServerConfig, VersionInfo,
};
use arc_swap::ArcSwap;
use async_trait::async_trait;
use audit::{Policy, Strictness};
use bytes::Bytes;
use event::{Event, Timestamp};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use proxy::{UpstreamClient, UpstreamConfig, UpstreamMetrics, WithheldBodies};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use store::{Settings, Sqlite, Storage};
use tempfile::TempDir;
use testkit::pki::Authority;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use crate::peer::Peer;
use crate::refusing_store::RefusingStore;

const POLICY: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\n\
rules:\n- level: None\n  nonResourceURLs: [/readyz]\n- level: RequestResponse\n";
/// Timeout of each step; only a hanging server reaches it.
const PATIENCE: Duration = Duration::from_secs(20);

struct Everything;

#[async_trait]
impl Authorizer for Everything {
    async fn authorize(&self, _: &Attributes) -> Result<Decision, AuthorizerError> {
        Ok(Decision::Allow(String::new()))
    }
}

#[async_trait]
impl NamespaceSource for Everything {
    async fn state(&self, _: &str) -> Result<NamespaceState, ApiError> {
        Ok(NamespaceState::Active)
    }
}

/// Autumn 2026; each call advances the clock by a microsecond.
struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// A running proxy.
pub(crate) struct TestProxy {
    folder: Arc<TempDir>,
    authority: Authority,
    front_proxies: Authority,
    address: SocketAddr,
    pub(crate) store: Arc<RefusingStore>,
    /// The address of its own API.
    pub(crate) api_address: SocketAddr,
    registry: prometheus_client::registry::Registry,
    shutdown: CancellationToken,
    running: JoinHandle<()>,
}

/// A complete response.
pub(crate) struct Reply {
    pub(crate) code: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl TestProxy {
    pub(crate) async fn start(peer: &Peer) -> Self {
        Self::start_with(peer, Arc::new(TempDir::new().unwrap()), Limits::default()).await
    }

    /// Starts with the store in this folder.
    pub(crate) async fn start_with(peer: &Peer, folder: Arc<TempDir>, limits: Limits) -> Self {
        let file = |name: &str, content: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        let (authority, front_proxies) = (Authority::new("proxy"), Authority::new("front"));
        let trust = Trust::open(TrustFiles {
            client_ca: None,
            request_header_ca: Some(file("front.pem", &front_proxies.pem())),
            allowed_names: vec!["aggregator".to_owned()],
            headers: None,
        })
        .unwrap();
        let clock = Arc::new(TestClock(AtomicI64::new(1_795_000_000_000_000)));
        let (certificate, key) =
            authority.server_of(&["localhost"]).write(folder.path(), "serving");
        let serving = ServingCertificate::open(certificate, key, clock.now()).unwrap();
        let store = Arc::new(RefusingStore::new(open_store(folder.path())));
        let mut metrics = prometheus_client::registry::Registry::default();
        let config = UpstreamConfig {
            url: format!("https://localhost:{}", peer.address.port()).parse().unwrap(),
            ca_file: Some(file("peer.pem", &peer.authority.pem())),
            token_file: Some(file("token", "the-proxys-token\n")),
            withheld: vec![WithheldBodies {
                group: "test.io".to_owned(),
                resource: "keys".to_owned(),
                recorded: &["spec.owner"],
            }],
            ..UpstreamConfig::default()
        };
        let upstream = UpstreamClient::new(config, UpstreamMetrics::new(&mut metrics)).unwrap();
        let server = Server::bind(server_config(
            (limits, Arc::clone(&store), clock, serving),
            Authenticator::new(trust, None, Anonymous::Refused),
            Metrics::new(&mut metrics, &[]),
            Forwarding { address: (Ipv4Addr::LOCALHOST, 0).into(), upstream: Arc::new(upstream) },
        ))
        .await
        .unwrap();
        let (address, api_address) = (server.forwarding_address().unwrap(), server.address());
        let shutdown = CancellationToken::new();
        #[expect(clippy::disallowed_methods, reason = "the test starts its own tasks")]
        let running = tokio::spawn(server.run(shutdown.clone()));
        Self {
            folder,
            authority,
            front_proxies,
            address,
            store,
            api_address,
            registry: metrics,
            shutdown,
            running,
        }
    }

    /// Sends a request for the thing with this name, as alice. Returns the head of the response.
    pub(crate) async fn begin(&self, method: &str, name: &str, body: &str) -> Response<Incoming> {
        self.begin_at(method, &format!("/apis/test.io/v1/namespaces/n/things/{name}"), body).await
    }

    pub(crate) async fn begin_at(
        &self,
        method: &str,
        path: &str,
        body: &str,
    ) -> Response<Incoming> {
        let mut sender = self.connect(self.address).await;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("content-type", "application/json")
            .header("x-remote-user", "alice")
            .header("x-remote-group", "devs")
            .header("x-remote-extra-scopes", "a")
            .header("x-forwarded-for", "192.0.2.7")
            .header("audit-id", "chosen")
            .header("impersonatefuture", "x")
            .header("connection", "close, x-private")
            .header("x-private", "1")
            .body(Full::new(Bytes::from(body.to_owned())))
            .unwrap();
        let response = tokio::time::timeout(PATIENCE, sender.send_request(request)).await;
        response.unwrap().unwrap()
    }

    /// Sends a request and receives the whole response.
    pub(crate) async fn send(&self, method: &str, name: &str, body: &str) -> Reply {
        let (head, body) = self.begin(method, name, body).await.into_parts();
        let body = tokio::time::timeout(PATIENCE, body.collect()).await.unwrap();
        Reply { code: head.status, headers: head.headers, body: body.unwrap().to_bytes() }
    }

    /// Sends a request with these headers beside those of the front proxy. Returns the head of the
    /// response.
    pub(crate) async fn begin_with(
        &self,
        method: &str,
        name: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response<Incoming> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/apis/test.io/v1/namespaces/n/things/{name}"))
            .header("host", "localhost")
            .header("x-remote-user", "alice");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut sender = self.connect(self.address).await;
        let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
        tokio::time::timeout(PATIENCE, sender.send_request(request)).await.unwrap().unwrap()
    }

    /// Gets a document of its own API.
    pub(crate) async fn api(&self, path: &str) -> String {
        let mut sender = self.connect(self.api_address).await;
        let request = Request::get(path)
            .header("host", "localhost")
            .header("x-remote-user", "admin")
            .header("x-remote-group", "system:masters")
            .body(Full::default())
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }

    /// Its metrics.
    pub(crate) fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }

    /// The addresses of both listeners.
    pub(crate) const fn addresses(&self) -> [SocketAddr; 2] {
        [self.address, self.api_address]
    }

    async fn connect(&self, address: SocketAddr) -> http1::SendRequest<Full<Bytes>> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(self.authority.pem().as_bytes()).unwrap())
            .unwrap();
        let identity = self.front_proxies.client("aggregator", &[]);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap(),
            )
            .unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        #[expect(clippy::disallowed_methods, reason = "the test starts its own tasks")]
        tokio::spawn(async move { connection.with_upgrades().await.ok() });
        sender
    }

    /// Waits until this number of events is recorded.
    pub(crate) async fn wait_events(&self, count: usize) -> Vec<Event> {
        let events = async {
            loop {
                let events = events(&self.store.sqlite).await;
                if events.len() >= count {
                    return events;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, events).await.unwrap()
    }

    /// Stops it as a crash would: nothing is finished. Returns the folder of its store.
    pub(crate) async fn crash(self) -> Arc<TempDir> {
        self.running.abort();
        self.store.sqlite.close().await;
        self.folder
    }

    /// Begins to shut it down.
    pub(crate) fn shut_down(&self) {
        self.shutdown.cancel();
    }

    /// Shuts it down, and returns its events.
    pub(crate) async fn close(self) -> Vec<Event> {
        self.shutdown.cancel();
        self.running.await.unwrap();
        let events = events(&self.store.sqlite).await;
        self.store.sqlite.close().await;
        events
    }
}

fn server_config(
    (limits, store, clock, serving): (
        Limits,
        Arc<RefusingStore>,
        Arc<TestClock>,
        Arc<ServingCertificate>,
    ),
    authenticator: Authenticator,
    metrics: Metrics,
    forwarding: Forwarding,
) -> ServerConfig {
    let storage: Arc<dyn Storage> = store;
    let registry = Registry::new(RegistryConfig {
        resources: Vec::new(),
        store: Arc::clone(&storage),
        authorizer: Arc::new(Everything),
        namespaces: Arc::new(Everything),
        clock: Arc::clone(&clock) as _,
        policy: policy(),
        server_user: Arc::default(),
        has_garbage_collector: false,
    });
    ServerConfig {
        address: (Ipv4Addr::LOCALHOST, 0).into(),
        serving,
        trust: None,
        authenticator,
        authorizer: Arc::new(Everything),
        policy: policy(),
        registry,
        storage,
        clock,
        checks: Vec::new(),
        advisories: Arc::new(Vec::new),
        metrics,
        limits,
        version: VersionInfo::default(),
        paths: Vec::new(),
        forwarding: Some(forwarding),
    }
}

fn policy() -> Arc<ArcSwap<Policy>> {
    let policy = Policy::load(POLICY.as_bytes(), Strictness::Strict).unwrap().policy;
    Arc::new(ArcSwap::from_pointee(policy))
}

fn open_store(folder: &Path) -> Sqlite {
    let time = AtomicI64::new(1_795_000_000_000_000);
    let clock = Arc::new(move || time.fetch_add(1, Ordering::Relaxed));
    Sqlite::open(&folder.join("store.db"), Settings::default(), clock).unwrap()
}

async fn events(store: &Sqlite) -> Vec<Event> {
    let records = store.journal().read(0, 1000, 1 << 24).await.unwrap();
    records.into_iter().map(|record| event::record::read(record.bytes).unwrap()).collect()
}
