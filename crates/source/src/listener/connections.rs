//! The connections of a listener: accepting, TLS, HTTP, and graceful shutdown.
//!
//! ALPN selects HTTP/2 or HTTP/1.1, as for the API server. kube-apiserver opens few connections, so
//! further ones are closed at once, and so is a connection without valid credentials after a while:
//! a client that only reaches the port must not keep events away.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use apiserver::limits::HANDSHAKE_TIME_MAX;
use apiserver::{ConnectionLimiter, ConnectionPermit};
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::Endpoint;
use super::refusals::Refusal;
use crate::limits::{
    ADDRESS_CONNECTIONS_MAX, CONNECTION_WINDOW, CONNECTIONS_MAX, DRAIN_TIME_MAX, HEAD_TIME_MAX,
    STREAM_WINDOW, STREAMS_MAX, UNAUTHENTICATED_TIME_MAX,
};

/// Pause after the system could not provide another socket.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// State shared by all connections.
pub(super) struct Connections<E> {
    tls: TlsAcceptor,
    endpoint: Arc<E>,
    limiter: Arc<ConnectionLimiter>,
    tracker: TaskTracker,
    /// Starts the graceful shutdown of all connections when cancelled.
    draining: CancellationToken,
    /// Drops all connections when cancelled.
    aborted: CancellationToken,
}

// Derived, it would need an endpoint that can be cloned.
impl<E> Clone for Connections<E> {
    fn clone(&self) -> Self {
        Self {
            tls: self.tls.clone(),
            endpoint: Arc::clone(&self.endpoint),
            limiter: Arc::clone(&self.limiter),
            tracker: self.tracker.clone(),
            draining: self.draining.clone(),
            aborted: self.aborted.clone(),
        }
    }
}

impl<E: Endpoint> Connections<E> {
    pub(super) fn new(tls: TlsAcceptor, endpoint: Arc<E>) -> Self {
        Self {
            tls,
            endpoint,
            limiter: ConnectionLimiter::new(CONNECTIONS_MAX, ADDRESS_CONNECTIONS_MAX),
            tracker: TaskTracker::new(),
            draining: CancellationToken::new(),
            aborted: CancellationToken::new(),
        }
    }

    /// Accepts connections until `stop`, and returns when their requests are complete.
    pub(super) async fn accept(self, listener: TcpListener, stop: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            let (stream, from) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Some(permit) = self.limiter.try_acquire(from.ip()) else {
                self.endpoint.gate().refuse(Refusal::Connections, from, "");
                continue;
            };
            self.tracker.spawn(self.clone().serve(stream, from, permit));
        }
        drop(listener);
        self.draining.cancel();
        self.tracker.close();
        if tokio::time::timeout(DRAIN_TIME_MAX, self.tracker.wait()).await.is_err() {
            self.aborted.cancel();
            self.tracker.wait().await;
        }
    }

    /// Runs one connection, from the TLS handshake to the end.
    async fn serve(self, stream: TcpStream, from: SocketAddr, permit: ConnectionPermit) {
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "cannot set TCP_NODELAY");
        }
        let handshake = tokio::time::timeout(HANDSHAKE_TIME_MAX, self.tls.accept(stream));
        let served = async {
            match handshake.await {
                Ok(Ok(stream)) => self.serve_http(stream, from).await,
                Ok(Err(error)) => {
                    let refusal = Refusal::of_handshake(&error);
                    self.endpoint.gate().refuse(refusal, from, &error.to_string());
                }
                Err(_) => self.endpoint.gate().refuse(Refusal::Handshake, from, "it took too long"),
            }
        };
        tokio::select! {
            () = self.aborted.cancelled() => {}
            () = served => {}
        }
        drop(permit);
    }

    async fn serve_http(&self, stream: TlsStream<TcpStream>, from: SocketAddr) {
        let (_, session) = stream.get_ref();
        let is_http2 = session.alpn_protocol() == Some(b"h2");
        let chain = session.peer_certificates().unwrap_or_default();
        let chain: Vec<CertificateDer<'static>> =
            chain.iter().map(|certificate| certificate.clone().into_owned()).collect();
        let is_known = Arc::new(AtomicBool::new(false));
        let (endpoint, known) = (Arc::clone(&self.endpoint), Arc::clone(&is_known));
        let service = service_fn(move |request| {
            let endpoint = Arc::clone(&endpoint);
            let admitted = endpoint.admit(&request, &chain);
            known.fetch_or(admitted.is_ok(), Ordering::Relaxed);
            async move {
                let response = endpoint.respond(request, admitted, from).await;
                Ok::<_, std::convert::Infallible>(response)
            }
        });
        let io = TokioIo::new(stream);
        let ended = if is_http2 {
            let mut builder = http2::Builder::new(TrackedExecutor(self.tracker.clone()));
            builder
                .timer(TokioTimer::new())
                .max_concurrent_streams(STREAMS_MAX)
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .keep_alive_interval(apiserver::limits::PING_PERIOD)
                .keep_alive_timeout(apiserver::limits::PING_TIME_MAX);
            let connection = std::pin::pin!(builder.serve_connection(io, service));
            self.drive(connection, &is_known, http2::Connection::graceful_shutdown).await
        } else {
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME_MAX);
            let connection = std::pin::pin!(builder.serve_connection(io, service));
            self.drive(connection, &is_known, http1::Connection::graceful_shutdown).await
        };
        if let Err(error) = ended {
            debug!(%error, "connection error");
        }
    }

    /// Drives a connection until it ends. Starts its graceful shutdown when requested, and drops a
    /// connection that has had no request with valid credentials for too long.
    async fn drive<C>(
        &self,
        mut connection: Pin<&mut C>,
        is_known: &AtomicBool,
        finish: impl FnOnce(Pin<&mut C>),
    ) -> Result<(), hyper::Error>
    where
        C: Future<Output = Result<(), hyper::Error>>,
    {
        let unknown = async {
            tokio::time::sleep(UNAUTHENTICATED_TIME_MAX).await;
            if is_known.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            outcome = connection.as_mut() => return outcome,
            () = unknown => return Ok(()),
            () = self.draining.cancelled() => {}
        }
        finish(connection.as_mut());
        connection.await
    }
}

/// Spawns hyper's streams on the task tracker of the listener.
#[derive(Clone)]
struct TrackedExecutor(TaskTracker);

impl<F> Executor<F> for TrackedExecutor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        drop(self.0.spawn(future));
    }
}
