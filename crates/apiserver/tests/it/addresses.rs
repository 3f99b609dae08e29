//! IPv4 and IPv6: listening addresses, source IPs, and connections to kube-apiserver.

use std::net::SocketAddr;

use apiserver::kube::client::connect;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::harness::{Client, Protocol, TestServer, TestServerOptions};

const PATH: &str = "/apis/test.io/v1/namespaces/shop/things/x";

fn has_ipv6() -> bool {
    std::net::TcpListener::bind("[::1]:0").is_ok()
}

/// Checks the source IP in the event when the server listens on `on` and the client connects to
/// `to`.
async fn check(on: &str, to: &str, expected: &str) {
    let server = TestServer::open_options(TestServerOptions {
        address: on.parse().unwrap(),
        ..TestServerOptions::default()
    })
    .await;
    let address = SocketAddr::new(to.parse().unwrap(), server.address.port());
    let alice = server.ca.client("alice", &[]);
    let ca = server.ca.pem();
    let mut client = Client::connect(address, &ca, Some(&alice), Protocol::Http2).await;
    assert_eq!(client.call("GET", PATH).await.code, 404);
    let events = server.close().await;
    let recorded: Vec<&Vec<String>> = events.iter().map(|event| &event.source_ips).collect();
    assert_eq!(recorded, [&[expected.to_owned()]], "{on} {to}");
}

/// Regression: the server listened on IPv4 only, but upstream's servers listen on both for the same
/// flag.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_on_all_addresses_accepts_both_families_and_records_plain_addresses() {
    for on in ["0.0.0.0", "::"] {
        check(on, "127.0.0.1", "127.0.0.1").await;
        if has_ipv6() {
            check(on, "::1", "::1").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kube_apiserver_can_have_an_ipv6_url() {
    if !has_ipv6() {
        return;
    }
    let authority = testkit::pki::Authority::new("kubernetes");
    let serving = authority.server_of(&["::1"]);
    let making = TestServerOptions {
        address: "::1".parse().unwrap(),
        serving: Some(serving),
        client_ca: Some(authority.pem()),
        ..TestServerOptions::default()
    };
    let server = TestServer::open_options(making).await;
    let alice = authority.client("alice", &[]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kubeconfig");
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "k", "cluster": {
            "server": format!("https://{}", server.address),
            "certificate-authority-data": STANDARD.encode(authority.pem()),
        }}],
        "users": [{"name": "u", "user": {
            "client-certificate-data": STANDARD.encode(&alice.certificate),
            "client-key-data": STANDARD.encode(&alice.key),
        }}],
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
    });
    std::fs::write(&file, text.to_string()).unwrap();
    assert!(server.address.is_ipv6());
    let opened = connect(Some(&file)).await;
    // Alice is not authorized to read the version; a 403 proves that the connection works.
    let reason = opened.err().map(|error| format!("{:?}", std::error::Error::source(&error)));
    assert!(reason.as_ref().is_none_or(|reason| reason.contains("403")), "{reason:?}");
    server.close().await;
}
