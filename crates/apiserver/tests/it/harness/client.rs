//! A test client for HTTP/1.1 and HTTP/2.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use testkit::pki::Identity;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Timeout of each step; only a hanging server reaches it.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// One connection.
pub(crate) struct Client {
    sender: Sender,
    connection: tokio::task::JoinHandle<()>,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// A complete response.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Client {
    pub(crate) async fn connect(
        address: SocketAddr,
        server_ca: &str,
        identity: Option<&Identity>,
        protocol: Protocol,
    ) -> Self {
        let stream = TokioIo::new(tls(address, server_ca, identity, protocol).await.unwrap());
        match protocol {
            Protocol::Http1 => {
                let (sender, connection) = http1::handshake(stream).await.unwrap();
                Self { sender: Sender::Http1(sender), connection: spawn(connection) }
            }
            Protocol::Http2 => {
                let (sender, connection) =
                    http2::handshake(TokioExecutor::new(), stream).await.unwrap();
                Self { sender: Sender::Http2(sender), connection: spawn(connection) }
            }
        }
    }

    /// The serving certificate of the server.
    pub(crate) async fn certificate(address: SocketAddr, server_ca: &str) -> Vec<u8> {
        let stream = tls(address, server_ca, None, Protocol::Http1).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    }

    /// Sends a request and waits for the head of the response.
    pub(crate) async fn begin(&mut self, request: Request<String>) -> http::Response<Incoming> {
        let request = request.map(|body| Full::new(Bytes::from(body)));
        let response = async {
            match &mut self.sender {
                Sender::Http1(sender) => {
                    sender.ready().await?;
                    sender.send_request(request).await
                }
                Sender::Http2(sender) => sender.send_request(request).await,
            }
        };
        tokio::time::timeout(PATIENCE, response).await.expect("a response in time").unwrap()
    }

    /// Sends a request and waits for the whole response.
    pub(crate) async fn send(&mut self, request: Request<String>) -> Outcome {
        let (head, body) = self.begin(request).await.into_parts();
        let body = tokio::time::timeout(PATIENCE, body.collect()).await.expect("a body in time");
        let body = String::from_utf8(body.unwrap().to_bytes().to_vec()).unwrap();
        Outcome { code: head.status, headers: head.headers, body }
    }

    /// Sends a request without a body.
    pub(crate) async fn call(&mut self, method: &str, path: &str) -> Outcome {
        self.send(request(method, path, "")).await
    }

    /// Sends JSON.
    pub(crate) async fn post(&mut self, path: &str, body: &str) -> Outcome {
        self.send(request("POST", path, body)).await
    }

    /// Waits until the server has closed the connection.
    pub(crate) async fn closed(self) {
        let Self { sender, connection } = self;
        tokio::time::timeout(PATIENCE, connection).await.expect("a close in time").unwrap();
        drop(sender);
    }

    /// Drops the connection without closing it.
    pub(crate) fn abort(self) {
        self.connection.abort();
    }
}

/// A request like kubectl's.
pub(crate) fn request(method: &str, path: &str, body: &str) -> Request<String> {
    Request::builder()
        .method(method)
        .uri(format!("https://localhost{path}"))
        .header("host", "localhost")
        .header("user-agent", "test")
        .header("content-type", "application/json")
        .body(body.to_owned())
        .unwrap()
}

/// A GET with headers.
pub(crate) fn get(path: &str, headers: &[(&str, &str)]) -> Request<String> {
    let mut request = request("GET", path, "");
    for (name, value) in headers {
        let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        request.headers_mut().append(name, value.parse().unwrap());
    }
    request
}

/// Opens a TLS connection.
pub(crate) async fn tls(
    address: SocketAddr,
    server_ca: &str,
    identity: Option<&Identity>,
    protocol: Protocol,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(server_ca.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => builder.with_client_cert_resolver(own_certificate(identity)),
    };
    config.alpn_protocols = match protocol {
        Protocol::Http1 => vec![b"http/1.1".to_vec()],
        Protocol::Http2 => vec![b"h2".to_vec()],
    };
    let stream = TcpStream::connect(address).await?;
    // With Nagle's algorithm, a body waits for the acknowledgment of its head: 40 ms.
    stream.set_nodelay(true)?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

#[expect(clippy::disallowed_methods, reason = "the test starts its own tasks")]
fn spawn<E: Send + 'static>(
    connection: impl Future<Output = Result<(), E>> + Send + 'static,
) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move { drop(connection.await) })
}

/// The certificate of a client. Unlike `with_client_auth_cert`, this does not check it.
pub(crate) fn own_certificate(identity: &Identity) -> Arc<SingleCertAndKey> {
    let chain = vec![CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let key = provider.key_provider.load_private_key(key).unwrap();
    Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, key)))
}
