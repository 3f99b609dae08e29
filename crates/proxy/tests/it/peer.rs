//! An API server behind the proxy, whose responses depend on the name of the object.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use testkit::pki::Authority;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

type Body = BoxBody<Bytes, std::io::Error>;

/// Bytes of the long response, and their parts.
pub(crate) const LONG: usize = 3 << 20;
const PART: usize = 48 << 10;

/// A running peer.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) authority: Authority,
    /// Requests that arrived.
    pub(crate) requests: Arc<AtomicUsize>,
    /// Lets a slow response continue.
    pub(crate) gate: Arc<Semaphore>,
    running: JoinHandle<()>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Peer {
    #[expect(clippy::disallowed_methods, reason = "the test starts its own tasks")]
    pub(crate) async fn start() -> Self {
        let authority = Authority::new("peer");
        let identity = authority.server_of(&["localhost"]);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let (counter, waiting) = (Arc::clone(&requests), Arc::clone(&gate));
        let running = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, counter, gate) =
                    (acceptor.clone(), Arc::clone(&counter), Arc::clone(&waiting));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = service_fn(move |request| {
                        counter.fetch_add(1, Ordering::SeqCst);
                        respond(request, Arc::clone(&gate))
                    });
                    let connection =
                        http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                    connection.with_upgrades().await.ok();
                });
            }
        });
        Self { address, authority, requests, gate, running }
    }
}

fn full(body: impl Into<Bytes>) -> Body {
    Full::new(body.into()).map_err(|never: Infallible| match never {}).boxed()
}

/// A body of parts. An error ends the connection.
fn parts(
    parts: impl futures::Stream<Item = std::io::Result<Bytes>> + Send + Sync + 'static,
) -> Body {
    StreamBody::new(futures::StreamExt::map(parts, |part| part.map(Frame::data))).boxed()
}

/// [`LONG`] bytes.
fn long() -> Body {
    let part = Bytes::from(vec![b'x'; PART]);
    let all = (0..LONG / PART).map(move |_| Ok(part.clone()));
    let rest = Bytes::from(vec![b'x'; LONG % PART]);
    parts(futures::stream::iter(all.chain([Ok(rest)])))
}

/// A body whose second part waits.
fn slow(gate: Arc<Semaphore>) -> Body {
    parts(futures::stream::unfold((0, gate), |(number, gate)| async move {
        let part = match number {
            0 => Bytes::from_static(b"{\"a\":"),
            1 => {
                gate.acquire().await.ok()?.forget();
                Bytes::from_static(b"1}")
            }
            _ => return None,
        };
        Some((Ok(part), (number + 1, gate)))
    }))
}

async fn respond(
    mut request: Request<Incoming>,
    gate: Arc<Semaphore>,
) -> Result<Response<Body>, std::io::Error> {
    let path = request.uri().path().to_owned();
    let name = path.rsplit('/').next().unwrap_or_default().to_owned();
    let mut headers: Vec<String> = request
        .headers()
        .iter()
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
        .collect();
    headers.sort();
    let protocol = request.headers().get("upgrade").cloned();
    let upgrade = hyper::upgrade::on(&mut request);
    let body = request.into_body().collect().await.map_err(std::io::Error::other)?.to_bytes();
    let json = |code: StatusCode, body: Body| {
        let response = Response::builder().status(code).header("content-type", "application/json");
        response.header("x-peer", "1").body(body).map_err(std::io::Error::other)
    };
    match name.as_str() {
        "echo" => {
            let body = String::from_utf8_lossy(&body).into_owned();
            json(StatusCode::OK, full(json!({"headers": headers, "body": body}).to_string()))
        }
        "redirect" => Response::builder()
            .status(StatusCode::FOUND)
            .header("location", "https://192.0.2.1/")
            .body(full(""))
            .map_err(std::io::Error::other),
        // Switches to what the client asks for, or to another protocol.
        "exec" if protocol.is_some() => switch(upgrade, protocol.as_ref()),
        "other-protocol" if protocol.is_some() => {
            switch(upgrade, Some(&HeaderValue::from_static("tls")))
        }
        // Switches although no client asked for it.
        "switch-unasked" => Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .body(full(""))
            .map_err(std::io::Error::other),
        // No response: the connection ends.
        "hang-up" => Err(std::io::Error::other("told to")),
        "break-off" => {
            let first = futures::stream::iter([Ok(Bytes::from_static(b"{\"a\":"))]);
            // hyper sends nothing of a response that fails before the connection was polled again.
            let failure = futures::stream::once(async move {
                gate.acquire().await.map_err(std::io::Error::other)?.forget();
                Err(std::io::Error::other("told to"))
            });
            json(StatusCode::OK, parts(futures::StreamExt::chain(first, failure)))
        }
        "long" => json(StatusCode::OK, long()),
        "slow" => json(StatusCode::OK, slow(gate)),
        "stalled" | "log" | "proxy" => {
            gate.acquire().await.map_err(std::io::Error::other)?.forget();
            json(StatusCode::OK, full("{}"))
        }
        // Responds with the code in the name, such as `code-409`.
        name => {
            let code = name.strip_prefix("code-").and_then(|code| code.parse().ok());
            json(code.unwrap_or(StatusCode::NOT_FOUND), full("{}"))
        }
    }
}

/// Switches to a protocol, and sends back what it gets.
fn switch(upgrade: OnUpgrade, protocol: Option<&HeaderValue>) -> std::io::Result<Response<Body>> {
    #[expect(clippy::disallowed_methods, reason = "the test starts its own tasks")]
    tokio::spawn(async move {
        let Ok(stream) = upgrade.await else { return };
        let (mut reader, mut writer) = tokio::io::split(TokioIo::new(stream));
        tokio::io::copy(&mut reader, &mut writer).await.ok();
    });
    let mut response =
        Response::builder().status(StatusCode::SWITCHING_PROTOCOLS).header("connection", "Upgrade");
    if let Some(protocol) = protocol {
        response = response.header("upgrade", protocol);
    }
    response.body(full("")).map_err(std::io::Error::other)
}
