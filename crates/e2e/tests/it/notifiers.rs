//! Notifiers with real receivers: a webhook over TLS with a private CA, and Alertmanager.

use std::net::SocketAddr;
use std::sync::Arc;

use e2e::fixtures::alertmanager::Alertmanager;
use e2e::fixtures::standalone::{NAMESPACE, Standalone, send, wait};
use e2e::fixtures::until;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use testkit::pki::Authority;
use testkit::receiver::{Receiver, RecordedRequest};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::buckets::run;
use crate::fixture::{bob, executor, shared, text};

const GROUP: &str = "siem.keepwatch.io/v1alpha1";
const SIGNING_KEY: &str = "the-key-that-signs-notifications";
const REPOSITORIES: &str =
    "/apis/repositories.kio.kasten.io/v1alpha1/namespaces/kasten-io/storagerepositories";

/// A webhook receiver behind TLS.
struct TlsReceiver {
    receiver: Receiver,
    address: SocketAddr,
    authority: Authority,
    _running: JoinSet<()>,
}

impl TlsReceiver {
    async fn start() -> Self {
        let (receiver, authority) = (Receiver::start().await.unwrap(), Authority::new("receivers"));
        let identity = authority.server();
        let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let receiver_address = receiver.url().replace("http://", "");
        let mut running = JoinSet::new();
        running.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, receiver_address) = (acceptor.clone(), receiver_address.clone());
                connections.spawn(async move {
                    let mut client = acceptor.accept(stream).await?;
                    let mut upstream = TcpStream::connect(receiver_address).await?;
                    tokio::io::copy_bidirectional(&mut client, &mut upstream).await
                });
            }
        });
        Self { receiver, address, authority, _running: running }
    }

    fn spec(&self, authority: &Authority) -> Value {
        let key = json!({"namespace": NAMESPACE, "name": "on-call", "key": "signing-key"});
        json!({"type": "Webhook", "url": format!("https://{}/hook", self.address),
            "secretRef": key, "caBundle": authority.pem()})
    }

    /// The notification that opened the signal of this user.
    fn opened_notification(&self, user: &str) -> Option<RecordedRequest> {
        self.receiver.received().into_iter().find(|received| {
            let body: Value = serde_json::from_slice(&received.body).unwrap_or_default();
            body["event"] == "opened" && body["signal"]["spec"]["actor"]["username"] == user
        })
    }
}

fn object(kind: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": GROUP, "kind": kind, "metadata": {"name": name}, "spec": spec})
}

fn signing_key_secret() -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "on-call",
        "namespace": NAMESPACE}, "stringData": {"signing-key": SIGNING_KEY}})
}

fn repository(name: &str) -> Value {
    json!({"apiVersion": "repositories.kio.kasten.io/v1alpha1", "kind": "StorageRepository",
        "metadata": {"name": name, "namespace": NAMESPACE}, "spec": {"disableMaintenance": false}})
}

/// Makes `name` raise a signal of high severity.
async fn raise_signal(server: &Standalone, name: &str) {
    let (code, response) =
        send(&server.worker, "POST", REPOSITORIES, Some(&repository(name))).await.unwrap();
    assert_eq!(code, 201, "{response}");
    let user = server.user_endpoint(name, &["k10:admins"]).unwrap();
    let patch = json!({"spec": {"disableMaintenance": true}});
    let uri = format!("{REPOSITORIES}/{name}");
    let (code, response) = send(&user, "PATCH", &uri, Some(&patch)).await.unwrap();
    assert_eq!(code, 200, "{response}");
}

async fn create_object(server: &Standalone, path: &str, object: &Value) {
    let (code, response) = send(&server.admin, "POST", path, Some(object)).await.unwrap();
    assert_eq!(code, 201, "{path}: {response}");
}

/// Waits for a state of a notifier, and returns its last error.
async fn wait_state(server: &Standalone, name: &str, state: &str) -> String {
    let path = format!("/apis/{GROUP}/notifiers/{name}");
    let mut status = Value::Null;
    let description = format!("{name} is {state}");
    let last_error = wait(&description, async || {
        status = send(&server.admin, "GET", &path, None).await?.1["status"].take();
        Ok((status["state"] == state).then(|| text(&status, "/lastError").to_owned()))
    });
    last_error.await.unwrap_or_else(|error| panic!("{error:#}: {status}"))
}

#[test]
fn a_webhook_over_tls_gets_signals_once_its_ca_is_configured() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let receiver = TlsReceiver::start().await;
        let server = Standalone::start(folder.path()).await.unwrap();
        create_object(
            &server,
            &format!("/api/v1/namespaces/{NAMESPACE}/secrets"),
            &signing_key_secret(),
        )
        .await;
        let wrong_ca = receiver.spec(&Authority::new("others"));
        let notifiers = format!("/apis/{GROUP}/notifiers");
        create_object(&server, &notifiers, &object("Notifier", "hook", &wrong_ca)).await;
        raise_signal(&server, "erin").await;
        let error = wait_state(&server, "hook", "failing").await;
        assert!(error.contains("its certificate is refused"), "{error}");
        assert!(error.contains("Add that CA to caBundle"), "{error}");
        let log = std::fs::read_to_string(server.process.log()).unwrap();
        assert!(log.contains("invalid peer certificate") && !log.contains(SIGNING_KEY), "{log}");
        assert!(receiver.receiver.received().is_empty(), "a stranger was trusted");

        let right_ca = json!({"spec": {"caBundle": receiver.authority.pem()}});
        let path = format!("{notifiers}/hook");
        assert_eq!(send(&server.admin, "PATCH", &path, Some(&right_ca)).await.unwrap().0, 200);
        wait_state(&server, "hook", "active").await;
        let test = format!("{notifiers}/hook/test");
        let opened_notification = receiver.opened_notification("erin").unwrap();
        assert!(
            !opened_notification.header("webhook-signature").is_empty(),
            "{opened_notification:?}"
        );
        let (code, response) = send(&server.admin, "POST", &test, Some(&json!({}))).await.unwrap();
        assert_eq!(code, 200, "{response}");
    });
}

#[test]
fn a_notifier_in_the_cluster_reads_its_secret_from_kube_apiserver() {
    let (plane, _keepwatch) = shared();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let receiver = runtime.block_on(TlsReceiver::start());
    let admin = plane.admin();
    admin.kubectl_with("create -f -", &signing_key_secret().to_string()).unwrap();
    let spec = receiver.spec(&receiver.authority);
    admin.kubectl_with("create -f -", &object("Notifier", "hook", &spec).to_string()).unwrap();
    let test = format!("create --raw /apis/{GROUP}/notifiers/hook/test -f /dev/null");
    until("a sample is sent", || Ok(admin.try_kubectl(&test)?.success.then_some(()))).unwrap();
    // Open signals of other tests may be sent too.
    assert!(!receiver.receiver.received().is_empty());

    executor(&plane).kubectl_with("create -f -", &repository("notified").to_string()).unwrap();
    let off = r#"{"spec":{"disableMaintenance":true}}"#;
    let line = format!("patch storagerepository notified -n {NAMESPACE} --type=merge -p {off}");
    let frank = plane.user("frank", Some("k10:admins"));
    frank.kubectl(&line).unwrap();
    until("frank's signal is sent", || Ok(receiver.opened_notification("frank").map(drop)))
        .unwrap();
    let table = admin.kubectl("get notifiers").unwrap();
    assert!(table.contains("hook") && table.contains("Webhook"), "{table}");
    // A user that must not read the Secret must not make a notifier use it.
    let output = bob(&plane)
        .try_kubectl_with("create -f -", &object("Notifier", "borrowed", &spec).to_string())
        .unwrap();
    assert!(output.stderr.contains("Forbidden"), "{output:?}");
    admin.kubectl("delete notifier hook").unwrap();
}

#[test]
fn a_real_alertmanager_has_one_alert_per_signal_with_its_current_severity() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let alertmanager = Alertmanager::start(folder.path()).unwrap();
        let server = Standalone::start(folder.path()).await.unwrap();
        let spec =
            json!({"type": "Alertmanager", "url": alertmanager.url(), "minSeverity": "medium"});
        create_object(
            &server,
            &format!("/apis/{GROUP}/notifiers"),
            &object("Notifier", "am", &spec),
        )
        .await;
        raise_signal(&server, "erin").await;
        shorten_expiry(&server, 0..4).await;
        wait_alerts(&alertmanager, &["erin high", "grace high"]).await;
        // The fifth makes it critical: the old alert ends, and a new one begins.
        shorten_expiry(&server, 4..5).await;
        wait_alerts(&alertmanager, &["erin high", "grace critical"]).await;
        let test = format!("/apis/{GROUP}/notifiers/am/test");
        let (code, response) = send(&server.admin, "POST", &test, Some(&json!({}))).await.unwrap();
        assert_eq!(code, 200, "{response}");
    });
}

/// Grace shortens the expiry of backups to the past.
async fn shorten_expiry(server: &Standalone, numbers: std::ops::Range<u32>) {
    let contents = "/apis/apps.kio.kasten.io/v1alpha1/restorepointcontents";
    let grace = server.user_endpoint("grace", &["k10:admins"]).unwrap();
    for number in numbers {
        let name = format!("content-{number}");
        let content = json!({"apiVersion": "apps.kio.kasten.io/v1alpha1",
            "kind": "RestorePointContent", "metadata": {"name": name}, "spec": {}});
        let (code, response) =
            send(&server.worker, "POST", contents, Some(&content)).await.unwrap();
        assert_eq!(code, 201, "{response}");
        let patch = json!({"spec": {"expiresAt": "2020-01-01T00:00:00Z"}});
        let uri = format!("{contents}/{name}");
        assert_eq!(send(&grace, "PATCH", &uri, Some(&patch)).await.unwrap().0, 200);
    }
}

/// Waits until these are the active alerts, as user and severity.
async fn wait_alerts(alertmanager: &Alertmanager, expected: &[&str]) {
    let mut actual: Vec<String> = Vec::new();
    let reached = wait("the alerts", async || {
        let alerts = alertmanager.alerts()?;
        let label = |alert: &Value, name: &str| text(alert, &format!("/labels/{name}")).to_owned();
        let line = |alert: &Value| format!("{} {}", label(alert, "user"), label(alert, "severity"));
        actual = alerts.iter().map(line).collect();
        actual.sort();
        Ok((actual == expected).then_some(()))
    });
    let reached = reached.await;
    assert!(reached.is_ok(), "{actual:?}");
}
