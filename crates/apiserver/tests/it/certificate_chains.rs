//! Certificates that Kubernetes components accept: every curve with every digest, in the chain of a
//! client, of the front proxy, and of the server.
//!
//! `data/chains.txt` was generated with openssl: for each curve and digest, a CA and a certificate
//! that it signed, with its key.

use testkit::pki::Identity;

use crate::harness::{Client, Protocol, TestServer, TestServerOptions, get};

const CHAINS: &str = include_str!("../data/chains.txt");
const PATH: &str = "/apis/test.io/v1/namespaces/shop/things/x";

/// A CA, and a certificate that it signed.
struct Chain {
    name: &'static str,
    authority: String,
    identity: Identity,
}

fn chains() -> Vec<Chain> {
    let sections = CHAINS.split("== ").filter(|section| !section.is_empty());
    let chain = |section: &'static str| {
        let (name, pems) = section.split_once('\n').unwrap();
        let pems: Vec<String> =
            pems.split("-----BEGIN").skip(1).map(|pem| format!("-----BEGIN{pem}")).collect();
        let [authority, certificate, key] = pems.try_into().unwrap();
        Chain { name, authority, identity: Identity { certificate, key } }
    };
    sections.map(chain).collect()
}

/// Regression: six of these nine chains were refused, without a log message.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_curve_and_digest_is_accepted_for_front_proxy_users_and_server() {
    let chains = chains();
    assert_eq!(chains.len(), 9);
    for Chain { name, authority, identity } in chains {
        let proxy = TestServerOptions {
            proxy_ca: Some(authority.clone()),
            serving: Some(identity.clone()),
            ..TestServerOptions::default()
        };
        let server = TestServer::open_options(proxy).await;
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let connected =
                Client::connect(server.address, &authority, Some(&identity), protocol).await;
            let mut client = connected;
            let reply = client.send(get(PATH, &[("x-remote-user", "alice")])).await;
            assert_eq!(reply.code, 404, "{name} {protocol:?} {}", reply.body);
        }
        let users: Vec<String> =
            server.close().await.iter().map(|event| event.user.username.clone()).collect();
        assert_eq!(users, ["alice", "alice"], "{name}");

        let users =
            TestServerOptions { client_ca: Some(authority), ..TestServerOptions::default() };
        let server = TestServer::open_options(users).await;
        let ca = server.ca.pem();
        let mut client =
            Client::connect(server.address, &ca, Some(&identity), Protocol::Http2).await;
        assert_eq!(client.send(get(PATH, &[])).await.code, 403, "{name}");
        server.close().await;
    }
}
