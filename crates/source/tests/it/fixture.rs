//! A store in a temporary folder, a listener on it, and a client for one request at a time.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use apiserver::Clock;
use apiserver::tls::ServingCertificate;
use event::{Event, Timestamp, record};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use source::listener::{Credentials, ListenerConfig, Refusal, Refusals, Webhook};
use source::{
    AdmissionWebhook, AuditWebhook, EventSource, Form, Recorder, SourceSnapshot, SourceStatus,
    run_receipts,
};
use store::{Settings, Sqlite};
use tempfile::TempDir;
use testkit::pki::{Authority, Identity};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

/// The start time of the tests, in microseconds: 2026-11-23T09:30:00Z.
pub(super) const START: i64 = 1_795_426_200_000_000;
/// A token of the token file.
pub(super) const TOKEN: &str = "0123456789abcdef";

/// A token of the cluster `prod` only.
pub(super) const PROD_TOKEN: &str = "a-token-of-prod-only";

/// A clock that a test moves.
pub(super) struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// A store, open or closed.
pub(super) struct TestStore {
    pub(super) folder: TempDir,
    pub(super) settings: Settings,
    pub(super) clock: Arc<TestClock>,
}

impl TestStore {
    pub(super) fn new() -> Self {
        let clock = Arc::new(TestClock(AtomicI64::new(START)));
        Self { folder: tempfile::tempdir().unwrap(), settings: Settings::default(), clock }
    }

    pub(super) fn advance(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }

    pub(super) fn open(&self) -> Sqlite {
        let clock = Arc::clone(&self.clock);
        let path = self.folder.path().join("store").join("keepwatch.db");
        Sqlite::open(&path, self.settings.clone(), Arc::new(move || clock.now().as_micros()))
            .unwrap()
    }

    pub(super) async fn recorder(&self, store: &Sqlite) -> Arc<Recorder> {
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        Recorder::open(Arc::new(store.clone()), store.journal(), clock, Form::Events).await.unwrap()
    }
}

/// All events of the journal.
pub(super) async fn events(store: &Sqlite) -> Vec<Event> {
    let records = store.journal().read(0, usize::MAX, usize::MAX).await.unwrap();
    records.into_iter().map(|record| record::read(record.bytes).unwrap()).collect()
}

/// An event of kube-apiserver as JSON.
pub(super) fn event(audit_id: &str) -> String {
    format!(
        r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"{audit_id}","stage":"ResponseComplete","requestURI":"/apis/velero.io/v1/namespaces/shop/backups/b","verb":"delete","user":{{"username":"alice"}},"objectRef":{{"resource":"backups","namespace":"shop","name":"b","apiGroup":"velero.io","apiVersion":"v1"}},"responseStatus":{{"metadata":{{}},"code":200}},"requestReceivedTimestamp":"2026-11-23T09:29:57.000000Z","stageTimestamp":"2026-11-23T09:29:58.000000Z"}}"#
    )
}

/// A list of items as kube-apiserver sends it.
pub(super) fn list(items: &[String]) -> String {
    let items = items.join(",");
    format!(
        r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{{}},"items":[{items}]}}"#
    )
}

/// A listener for the clusters `prod` and `test`.
pub(super) struct TestServer {
    pub(super) store: Sqlite,
    pub(super) authority: Authority,
    pub(super) client_authority: Authority,
    recorder: Arc<Recorder>,
    statuses: Vec<Arc<SourceStatus>>,
    refusals: Arc<Refusals>,
    address: std::net::SocketAddr,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

/// A response of the server.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) code: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl TestServer {
    pub(super) async fn start(on: &TestStore) -> Self {
        Self::start_with(on, &[]).await
    }

    /// A listener for admission reviews.
    pub(super) async fn start_admission(on: &TestStore) -> Self {
        Self::start_webhook(on, &[], Webhook::Admission).await
    }

    /// With the names of client certificates that are valid for a cluster.
    pub(super) async fn start_with(on: &TestStore, client_names: &[(&str, &str)]) -> Self {
        Self::start_webhook(on, client_names, Webhook::Audit).await
    }

    async fn start_webhook(
        on: &TestStore,
        client_names: &[(&str, &str)],
        webhook: Webhook,
    ) -> Self {
        let folder = on.folder.path();
        let (authority, client_authority) = (Authority::new("ca"), Authority::new("client-ca"));
        authority.server().write(folder, "server");
        std::fs::write(token_file(folder), format!("old-old-old-old-old\n{TOKEN}\n")).unwrap();
        std::fs::write(folder.join("client-ca.crt"), client_authority.pem()).unwrap();
        let token_folder = folder.join("clusters");
        std::fs::create_dir_all(&token_folder).unwrap();
        std::fs::write(token_folder.join("prod"), PROD_TOKEN).unwrap();
        let client_names = client_names.iter();
        let client_names =
            client_names.map(|(name, other)| ((*name).to_owned(), (*other).to_owned()));
        let credentials = Credentials {
            token_file: Some(token_file(folder)),
            token_folder: Some(token_folder),
            client_ca_file: Some(folder.join("client-ca.crt")),
            client_names: client_names.collect(),
        };
        let clock: Arc<dyn Clock> = Arc::clone(&on.clock) as _;
        let now = clock.now();
        let (certificate, key) = (folder.join("server.crt"), folder.join("server.key"));
        let store = on.open();
        let recorder = on.recorder(&store).await;
        let config = ListenerConfig {
            address: "127.0.0.1:0".parse().unwrap(),
            serving: ServingCertificate::open(certificate, key, now).unwrap(),
            credentials,
            clusters: vec!["prod".to_owned(), "test".to_owned()],
            clock,
        };
        let (webhook, address, refusals): (Box<dyn EventSource>, _, _) = match webhook {
            Webhook::Audit => {
                let webhook = AuditWebhook::bind(config).await.unwrap();
                let (address, refusals) = (webhook.address(), webhook.refusals());
                (Box::new(webhook), address, refusals)
            }
            Webhook::Admission => {
                let webhook = AdmissionWebhook::bind(config).await.unwrap();
                let (address, refusals) = (webhook.address(), webhook.refusals());
                (Box::new(webhook), address, refusals)
            }
        };
        let statuses = webhook.statuses();
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        tasks.spawn(webhook.run(Arc::clone(&recorder), stop.clone()));
        Self {
            store,
            authority,
            client_authority,
            recorder,
            statuses,
            refusals,
            address,
            stop,
            tasks,
        }
    }

    /// Records receipts and gaps until `stop`.
    pub(super) async fn receipts(&self, stop: CancellationToken) {
        let (sources, recorder) = (self.statuses.clone(), Arc::clone(&self.recorder));
        run_receipts(sources, recorder, Duration::from_millis(1), stop).await;
    }

    /// The state of the source `prod`.
    pub(super) fn status(&self) -> SourceSnapshot {
        self.statuses.first().unwrap().snapshot()
    }

    /// The reasons for which senders were refused, with their numbers.
    pub(super) fn refused(&self) -> Vec<(Refusal, u64)> {
        let count = |refusal| (refusal, self.refusals.count(refusal));
        Refusal::ALL.into_iter().map(count).filter(|(_, count)| *count > 0).collect()
    }

    /// Sends a list with the token.
    pub(super) async fn post(&self, body: &str) -> Response {
        let headers = format!(
            "Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        );
        self.send("POST /audit/prod?timeout=30s", &headers, body.as_bytes(), None).await
    }

    /// Sends a request, and reads the response until the connection ends.
    pub(super) async fn send(
        &self,
        line: &str,
        headers: &str,
        body: &[u8],
        identity: Option<&Identity>,
    ) -> Response {
        let mut stream = self.begin(line, headers, body, identity).await;
        let mut response = Vec::new();
        stream.read_to_end(&mut response).await.ok();
        let response = String::from_utf8(response).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        let code = head.split_whitespace().nth(1).unwrap().parse().unwrap();
        Response { code, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    /// Opens a connection that sends nothing.
    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends the beginning of a request, and ends the connection.
    pub(super) async fn abandon(&self, line: &str, headers: &str, body: &[u8]) {
        let mut stream = self.begin(line, headers, body, None).await;
        stream.shutdown().await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.ok();
    }

    /// Sends the beginning of a request.
    pub(super) async fn begin(
        &self,
        line: &str,
        headers: &str,
        body: &[u8],
        identity: Option<&Identity>,
    ) -> TlsStream<TcpStream> {
        let stream = self.handshake(&self.authority, identity).await;
        let mut stream = stream.unwrap();
        let head =
            format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        // The server may respond without reading the body.
        stream.write_all(body).await.ok();
        stream.flush().await.ok();
        stream
    }

    /// Sets up TLS as a client that trusts this authority.
    pub(super) async fn handshake(
        &self,
        trusted: &Authority,
        identity: Option<&Identity>,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(trusted.pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => builder
                .with_client_auth_cert(
                    vec![CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap()],
                    PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap(),
                )
                .unwrap(),
        };
        let stream = self.connect().await;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// Stops the listener and closes the store.
    pub(super) async fn close(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        self.store.close().await;
    }
}

fn token_file(folder: &Path) -> PathBuf {
    folder.join("tokens")
}
