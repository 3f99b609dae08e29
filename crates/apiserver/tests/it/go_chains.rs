//! Which chains of client certificates are accepted: those that Go's `crypto/x509` accepts for
//! client authentication, and no other.
//!
//! `data/go_chains.txt` was generated with Go, the certificates of version 1 with openssl. The
//! expected results are those of `Certificate.Verify` of Go 1.26 on 1 December 2026.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use apiserver::trust::CaBundle;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use testkit::pki::Identity;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::harness::{Client, Protocol, TestServer, TestServerOptions, get, own_certificate};

const CERTIFICATES: &str = include_str!("../data/go_chains.txt");
const PATH: &str = "/apis/test.io/v1/namespaces/shop/things/x";
/// 1 December 2026, since the Unix epoch.
const NOW: Duration = Duration::from_hours(498_912);

/// The certificates of the bundle, the chain of the client, and the expected result.
const CHAINS: &str = "
ca | plain => accepted
ca | no_usage => accepted
ca | any => accepted
ca | any_server => accepted
ca | server => refused
ca | is_ca => accepted
ca | is_ca_server => refused
ca | is_ca_forged => refused
ca_other_key ca | is_ca => accepted
ca | forged => refused
ca | is_ca_expired => refused
ca | policies => accepted
ca | unknown => refused
ca | odd_name => refused
ca | v1 => accepted
ca | v1_forged => refused
ca | expired => refused
ca | not_yet => refused
ca | self => refused
self | self => accepted
ca self | self => accepted
self_server | self_server => refused
self_expired | self_expired => refused
self | plain => refused
plain | plain => accepted
ca | ca => accepted
ca_server | of_server => refused
ca_client | of_client => accepted
ca_no_constraints | of_no_constraints => refused
ca_no_sign | of_no_sign => refused
ca_no_sign | is_ca_of_no_sign => refused
ca_expired | of_expired => refused
ca_unknown | of_unknown => refused
ca_path0 | of_path0 => accepted
ca_v1 | of_v1 => accepted
ca_names | of_names => accepted
ca_names | is_ca_of_names => only Go accepts
ca | by_inter inter => accepted
ca | by_inter => refused
inter | by_inter => accepted
ca | by_inter_server inter_server => refused
ca | by_inter_any inter_any => accepted
ca | by_inter_no_sign inter_no_sign => refused
ca_path0 | by_inter_path0 inter_path0 => refused
ca | is_ca_by_inter inter => only Go accepts
ca_server | plain => refused
ca | uri_name => accepted
";

/// The PEM blocks of a section of the data: a certificate, and the key of some.
fn pems(name: &str) -> Vec<String> {
    let section = CERTIFICATES.split("== ").find_map(|section| {
        let (section_name, pems) = section.split_once('\n')?;
        (section_name == name).then_some(pems)
    });
    let pems = section.unwrap_or_else(|| panic!("{name} is not in the data")).split("-----BEGIN");
    pems.skip(1).map(|pem| format!("-----BEGIN{pem}")).collect()
}

fn certificate(name: &str) -> String {
    pems(name).swap_remove(0)
}

/// Regression: certificates with anyExtendedKeyUsage, CA:TRUE or a critical policy, and those of
/// the bundle itself, were refused; CAs that may not sign clients' certificates were trusted.
#[test]
fn a_chain_is_accepted_only_if_go_accepts_it() {
    let now = UnixTime::since_unix_epoch(NOW);
    let mut differences = Vec::new();
    for line in CHAINS.trim().lines() {
        let (names, expected) = line.split_once(" => ").unwrap();
        let (bundle, chain) = names.split_once(" | ").unwrap();
        let bundle: String = bundle.split(' ').map(certificate).collect();
        let bundle = CaBundle::from_pem(bundle.as_bytes(), "ca.crt").unwrap();
        let chain: Vec<CertificateDer<'_>> = chain
            .split(' ')
            .map(|name| CertificateDer::from_pem_slice(certificate(name).as_bytes()).unwrap())
            .collect();
        let verified = bundle.verify(&chain, now);
        if verified.is_ok() != (expected == "accepted") {
            differences.push(format!("{line}, but {verified:?}"));
        }
        if let Err(error) = verified {
            assert!(error.ends_with(" (verified with ca.crt)") && error.len() > 40, "{error}");
        }
    }
    assert!(differences.is_empty(), "{differences:#?}");
    for name in ["plain", "is_ca", "v1"] {
        let bundle = CaBundle::from_pem(certificate("ca").as_bytes(), "ca.crt").unwrap();
        let der = CertificateDer::from_pem_slice(certificate(name).as_bytes()).unwrap();
        for at in 0..der.len() {
            let mut changed = der.to_vec();
            changed[at] ^= 1;
            assert!(bundle.verify(&[changed.into()], now).is_err(), "{name}: byte {at}");
        }
        let longer = CertificateDer::from([&*der, &[0]].concat());
        assert!(bundle.verify(&[longer], now).is_err(), "{name}");
    }
}

#[test]
fn the_reason_of_a_refusal_is_in_the_error() {
    for (bundle, chain, expected) in [
        ("ca", "server", "extendedKeyUsage has neither clientAuth nor anyExtendedKeyUsage"),
        ("ca", "expired", "it has expired"),
        ("ca", "unknown", "it has a critical extension that is not supported"),
        ("ca", "forged", "the chain is not accepted: InvalidSignatureForPublicKey"),
        ("ca", "is_ca_forged", "no CA with the name of its issuer signed it"),
        ("ca", "self", "no CA has the name of its issuer"),
        ("ca_no_sign", "of_no_sign", "may not sign certificates: its keyUsage has no keyCertSign"),
        ("ca_no_constraints", "of_no_constraints", "it has no basicConstraints"),
        ("ca_expired", "of_expired", "may not sign certificates: it has expired"),
    ] {
        let bundle = CaBundle::from_pem(certificate(bundle).as_bytes(), "ca.crt").unwrap();
        let leaf = CertificateDer::from_pem_slice(certificate(chain).as_bytes()).unwrap();
        let error = bundle.verify(&[leaf], UnixTime::since_unix_epoch(NOW)).unwrap_err();
        assert!(error.contains(expected), "{chain}: {error}");
    }
}

/// Regression: the connection was closed without an event or a line in the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_certificate_gets_an_audited_401_and_no_broken_connection() {
    let options =
        TestServerOptions { client_ca: Some(certificate("ca")), ..TestServerOptions::default() };
    let server = TestServer::open_options(options).await;
    let ca = server.ca.pem();
    let mut names = Vec::new();
    for (name, code) in
        [("any", 404), ("is_ca", 404), ("policies", 404), ("unknown", 401), ("v1", 404)]
    {
        let [certificate, key] = pems(name).try_into().unwrap();
        let identity = Identity { certificate, key };
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let connected = Client::connect(server.address, &ca, Some(&identity), protocol).await;
            let mut client = connected;
            assert_eq!(client.send(get(PATH, &[])).await.code, code, "{name} {protocol:?}");
        }
        let line = status_line_with_tls12(server.address, &ca, &identity).await;
        assert!(line.starts_with(&format!("HTTP/1.1 {code} ")), "{name}: {line}");
        names.extend([if code == 401 { "" } else { "alice" }; 3]);
    }
    let users: Vec<String> =
        server.close().await.iter().map(|event| event.user.username.clone()).collect();
    assert_eq!(users, names);
}

/// The status line of the response to a request with TLS 1.2.
async fn status_line_with_tls12(address: SocketAddr, ca: &str, identity: &Identity) -> String {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_cert_resolver(own_certificate(identity));
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let mut stream = connector.connect(name, stream).await.unwrap();
    let request = format!("GET {PATH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await.unwrap();
    line
}
