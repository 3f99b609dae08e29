//! A client that loads a server as many users would: HTTP/1.1 or HTTP/2 over TLS, with a client
//! certificate, one request at a time on each lane.
//!
//! Deliberately without retries, pools or redirects: a lane is a connection (or a stream of one),
//! and what the server does to it is what the test sees.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How requests share connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// A connection for each lane.
    Http1,
    /// Streams on shared connections.
    Http2,
}

/// Where to connect and as whom.
#[derive(Clone)]
pub struct Endpoint {
    /// The address to dial.
    pub address: SocketAddr,
    /// The name the server's certificate must carry.
    pub server_name: String,
    tls: [Arc<ClientConfig>; 2],
}

/// One lane: sends a request, waits for the whole answer, sends the next.
pub enum Lane {
    /// A connection of its own.
    Http1(http1::SendRequest<Full<Bytes>>),
    /// A stream at a time on a shared connection.
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// A whole answer.
pub struct Reply {
    /// HTTP status.
    pub code: u16,
    /// The body in full.
    pub body: Bytes,
}

impl Endpoint {
    /// An endpoint whose server is vouched for by `authority` and that knows us by `certificate`;
    /// all as PEM.
    pub fn new(
        address: SocketAddr,
        server_name: &str,
        authority: &str,
        certificate: &str,
        key: &str,
    ) -> anyhow::Result<Self> {
        let config = |protocol: &[u8]| -> anyhow::Result<Arc<ClientConfig>> {
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
                roots.add(certificate?)?;
            }
            let chain: Result<Vec<_>, _> =
                CertificateDer::pem_slice_iter(certificate.as_bytes()).collect();
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes())?;
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let mut config = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()?
                .with_root_certificates(roots)
                .with_client_auth_cert(chain?, key)?;
            config.alpn_protocols = vec![protocol.to_vec()];
            Ok(Arc::new(config))
        };
        let tls = [config(b"http/1.1")?, config(b"h2")?];
        Ok(Self { address, server_name: server_name.to_owned(), tls })
    }

    /// `lanes` lanes: as many connections, or `lanes / 16` connections with 16 streams each.
    pub async fn lanes(&self, protocol: Protocol, lanes: usize) -> anyhow::Result<Vec<Lane>> {
        let mut all = Vec::with_capacity(lanes);
        match protocol {
            Protocol::Http1 => {
                for _ in 0..lanes {
                    all.push(self.http1().await?);
                }
            }
            Protocol::Http2 => {
                while all.len() < lanes {
                    let sender = self.http2().await?;
                    let streams = (lanes - all.len()).min(16);
                    all.extend((0..streams).map(|_| Lane::Http2(sender.clone())));
                }
            }
        }
        Ok(all)
    }

    async fn http1(&self) -> anyhow::Result<Lane> {
        let io = self.connect(Protocol::Http1).await?;
        let (sender, connection) = http1::handshake(io).await?;
        background(connection);
        Ok(Lane::Http1(sender))
    }

    async fn http2(&self) -> anyhow::Result<http2::SendRequest<Full<Bytes>>> {
        let io = self.connect(Protocol::Http2).await?;
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(1 << 20).initial_connection_window_size(16 << 20);
        let (sender, connection) = builder.handshake(io).await?;
        background(connection);
        Ok(sender)
    }

    async fn connect(
        &self,
        protocol: Protocol,
    ) -> anyhow::Result<TokioIo<tokio_rustls::client::TlsStream<TcpStream>>> {
        let stream = TcpStream::connect(self.address).await.context("cannot connect")?;
        stream.set_nodelay(true)?;
        let config = Arc::clone(&self.tls[usize::from(protocol == Protocol::Http2)]);
        let name = ServerName::try_from(self.server_name.clone())?;
        let stream = TlsConnector::from(config).connect(name, stream).await?;
        Ok(TokioIo::new(stream))
    }
}

impl Lane {
    /// Sends one request and reads the answer to its end. `path` begins with a slash.
    pub async fn send(
        &mut self,
        endpoint: &Endpoint,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> anyhow::Result<Reply> {
        let response = self.begin(endpoint, method, path, headers, body).await?;
        let code = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        Ok(Reply { code, body })
    }

    /// Sends one request and waits for the head of the answer; the body is the caller's to read.
    pub async fn begin(
        &mut self,
        endpoint: &Endpoint,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> anyhow::Result<http::Response<Incoming>> {
        let mut request = http::Request::builder().method(method);
        request = match self {
            Self::Http1(_) => request.uri(path).header("host", &endpoint.server_name),
            Self::Http2(_) => request.uri(format!("https://{}{path}", endpoint.server_name)),
        };
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body))?;
        Ok(match self {
            Self::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Self::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
        })
    }
}

impl Reply {
    /// Fails unless the status is `code`.
    pub fn expect(self, code: u16) -> anyhow::Result<Self> {
        if self.code != code {
            bail!("{} instead of {code}: {}", self.code, String::from_utf8_lossy(&self.body));
        }
        Ok(self)
    }
}

/// A connection lives until one side closes it; how it ended is seen by the lanes.
#[expect(clippy::disallowed_methods, reason = "a test client has no house to shut down")]
fn background<E>(connection: impl Future<Output = Result<(), E>> + Send + 'static)
where
    E: Send + 'static,
{
    tokio::spawn(async move {
        connection.await.ok();
    });
}
