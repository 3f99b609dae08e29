//! `/healthz`, `/livez`, `/readyz` and `/metrics` by plain HTTP, for the kubelet and a monitoring
//! system on the node.
//!
//! It serves no secrets, only numbers, names of logs and errors. Deliberately absent: TLS and
//! users.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use delivery::Delivery;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::registry::Registry;
use sink::DeliveryHealth;
use source::SourceStatus;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::buffer::Buffer;

/// Maximum number of concurrent connections; further ones wait.
pub(crate) const CONNECTIONS_MAX: usize = 32;
/// Maximum duration of a connection.
pub(crate) const CONNECTION_TIME_MAX: Duration = Duration::from_secs(30);
/// Timeout for the head of a request.
const HEAD_TIME_MAX: Duration = Duration::from_secs(5);
/// Delay after an error of accepting a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// The state to report.
pub(super) struct Parts {
    pub(super) metrics: Registry,
    pub(super) statuses: Vec<Arc<SourceStatus>>,
    pub(super) buffer: Buffer,
    pub(super) delivery: Arc<Delivery>,
}

/// A listener that does not accept connections yet.
pub(super) struct HealthServer {
    listener: TcpListener,
    parts: Arc<Parts>,
}

impl HealthServer {
    pub(super) async fn bind(address: SocketAddr, parts: Parts) -> Result<Self> {
        let listener = TcpListener::bind(address).await;
        let listener =
            listener.with_context(|| format!("cannot listen on --health-address={address}"))?;
        tracing::info!(address = %listener.local_addr()?, "serving health and metrics");
        Ok(Self { listener, parts: Arc::new(parts) })
    }

    pub(super) async fn run(self) {
        let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        loop {
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
            while connections.try_join_next().is_some() {}
            let Ok((stream, _)) = self.listener.accept().await else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let parts = Arc::clone(&self.parts);
            connections.spawn(async move {
                // A client that disconnects is not an error.
                drop(tokio::time::timeout(CONNECTION_TIME_MAX, serve(stream, parts)).await);
                drop(permit);
            });
        }
    }
}

async fn serve(stream: TcpStream, parts: Arc<Parts>) -> Result<(), hyper::Error> {
    let service = service_fn(move |request: Request<Incoming>| {
        let response = parts.respond(request.uri().path());
        async move { Ok::<_, Infallible>(response) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

impl Parts {
    fn respond(&self, path: &str) -> Response<Full<Bytes>> {
        let (code, media_type, body) = match path {
            "/healthz" | "/livez" => (StatusCode::OK, TEXT, "ok\n".to_owned()),
            "/readyz" => self.readiness(),
            "/metrics" => self.metrics(),
            _ => (StatusCode::NOT_FOUND, TEXT, "not found\n".to_owned()),
        };
        let mut response = Response::new(Full::from(body));
        *response.status_mut() = code;
        response.headers_mut().insert(CONTENT_TYPE, media_type);
        response
    }

    /// One line for each part. It is ready while lines can be buffered.
    fn readiness(&self) -> (StatusCode, HeaderValue, String) {
        let pause = self.buffer.pause();
        let code = if pause.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let (used, limit) = self.buffer.usage();
        let mut text = match pause {
            None => format!("[+]buffer ok: {used} of {limit} bytes are in use\n"),
            Some(reason) => format!("[-]buffer failed: {reason}\n"),
        };
        for source in &self.statuses {
            let source = source.snapshot();
            let (name, recorded) = (source.name, source.recorded);
            let line = match source.error {
                None => format!("[+]source-{name} ok: {recorded} lines were read\n"),
                Some(reason) => format!("[!]source-{name}: {reason}\n"),
            };
            text.push_str(&line);
        }
        for reader in self.delivery.health() {
            let (name, lag) = (reader.sink, reader.lag);
            let reason = match reader.condition {
                DeliveryHealth::Delivering => None,
                DeliveryHealth::Failing { reason, attempts } => {
                    Some(format!("{reason} (attempt {attempts})"))
                }
                DeliveryHealth::NoResponse { reason } => Some(reason),
                DeliveryHealth::Closed => Some("it is closed".to_owned()),
                DeliveryHealth::CursorLost { reason } => Some(format!("{reason}; restart it")),
            };
            let line = match reason {
                None => format!("[+]sink-{name} ok: {lag} events wait\n"),
                Some(reason) => format!("[!]sink-{name}: {lag} events wait: {reason}\n"),
            };
            text.push_str(&line);
        }
        (code, TEXT, text)
    }

    fn metrics(&self) -> (StatusCode, HeaderValue, String) {
        let mut text = String::new();
        match prometheus_client::encoding::text::encode(&mut text, &self.metrics) {
            Ok(()) => (StatusCode::OK, METRICS, text),
            Err(error) => {
                text.clear();
                // It only writes to memory.
                writeln!(text, "{error}").ok();
                (StatusCode::INTERNAL_SERVER_ERROR, TEXT, text)
            }
        }
    }
}
