//! Connections: accepting, limiting, timing out, and graceful shutdown.
//!
//! Each connection has one task. ALPN selects HTTP/2 or HTTP/1.1; a watch over HTTP/1.1 may upgrade
//! to WebSocket in the same task. A slow handshake, a slow request head and an idle connection are
//! closed. `serve` limits single requests.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::Either;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::CertificateDer;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::MissedTickBehavior;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::Upstream;
use crate::authn::peer::{Peer, Protocol};
use crate::connection::websocket::Slot;
use crate::handler::body::ResponseBody;
use crate::handler::{DetachOnDrop, Target, serve};
use crate::limits;
use crate::state::ServerState;
use activity::{ConnectionActivity, HeadTimer};
use coalescing_writer::CoalescingWriter;
use frames::{Frames, TotalBuffered};
use head_budget::{HeadBudget, HeadBytes};
use limiter::{ConnectionLimiter, ConnectionPermit};
use lingering_close::LingeringClose;
use request_head::HeadError;

mod activity;
pub(crate) mod bind;
mod coalescing_writer;
mod frames;
mod head_budget;
pub(crate) mod limiter;
mod lingering_close;
mod long_uri;
mod request_head;
pub(crate) mod websocket;

pub(crate) use activity::ActiveRequest;

/// Delay after an error of accepting a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Interval at which a connection is checked for being idle or slow.
const CHECK_PERIOD: Duration = Duration::from_secs(4);
/// After graceful shutdown of a connection began, it is dropped when it is idle for this long.
const CLOSING_IDLE_MAX: Duration = Duration::from_secs(10);

/// The response to a head for which no memory is left. As for other heads that are refused before
/// they are complete, there is no audit event.
const HEAD_REFUSED: &[u8] = b"HTTP/1.1 431 Request Header Fields Too Large\r\n\
    connection: close\r\ncontent-length: 0\r\n\r\n";

/// State shared by all connections.
#[derive(Clone)]
pub(crate) struct Connections {
    state: Arc<ServerState>,
    /// The upstream to which requests are forwarded; `None` if this server serves them.
    upstream: Option<Arc<dyn Upstream>>,
    tls: TlsAcceptor,
    limiter: Arc<ConnectionLimiter>,
    total_buffered: TotalBuffered,
    head_budget: Arc<HeadBudget>,
    /// Starts the graceful shutdown of all connections when cancelled.
    draining: CancellationToken,
    /// Drops all connections when cancelled.
    aborted: CancellationToken,
}

impl Connections {
    /// The connections whose requests this server serves. All limits are those of the server, so a
    /// second listener shares them: see [`forwarding`](Self::forwarding).
    pub(crate) fn new(
        state: Arc<ServerState>,
        tls: TlsAcceptor,
        draining: CancellationToken,
        aborted: CancellationToken,
    ) -> Self {
        let limiter =
            ConnectionLimiter::new(limits::CONNECTIONS_MAX, limits::ADDRESS_CONNECTIONS_MAX);
        let (total_buffered, head_budget) = (TotalBuffered::default(), Arc::default());
        let upstream = None;
        Self { state, upstream, tls, limiter, total_buffered, head_budget, draining, aborted }
    }

    /// The connections whose requests are forwarded, within the same limits.
    pub(crate) fn forwarding(self, upstream: Arc<dyn Upstream>) -> Self {
        Self { upstream: Some(upstream), ..self }
    }

    /// Accepts connections until draining begins, then closes the listener.
    pub(crate) async fn accept(self, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                () = self.draining.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let (stream, from) = match accepted {
                Ok(accepted) => accepted,
                Err(error) if is_transient(&error) => continue,
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Some(permit) = self.limiter.try_acquire(from.ip()) else {
                self.state.metrics.connection_rejected();
                debug!(%from, "connection limit reached");
                continue;
            };
            let connection = self.clone().handshake(stream, from, permit);
            self.state.tracker.spawn_on(connection, &self.state.runtime);
        }
    }

    /// Runs one connection, from the TLS handshake to the end.
    async fn handshake(self, stream: TcpStream, from: SocketAddr, permit: ConnectionPermit) {
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "cannot set TCP_NODELAY");
        }
        let handshake = tokio::time::timeout(limits::HANDSHAKE_TIME_MAX, self.tls.accept(stream));
        let handshake = tokio::select! {
            () = self.aborted.cancelled() => return,
            handshake = handshake => handshake,
        };
        match handshake {
            Ok(Ok(stream)) => self.serve_http(stream, from.ip()).await,
            Ok(Err(error)) => {
                self.state.metrics.handshake_failed();
                debug!(%error, %from, "TLS handshake error");
            }
            Err(_) => {
                self.state.metrics.handshake_failed();
                debug!(%from, "TLS handshake timeout");
            }
        }
        drop(permit);
    }

    async fn serve_http(&self, stream: TlsStream<TcpStream>, from: IpAddr) {
        let (_, session) = stream.get_ref();
        let protocol = match session.alpn_protocol() {
            Some(b"h2") => Protocol::Http2,
            _ => Protocol::Http1,
        };
        let chain: Vec<CertificateDer<'static>> = session
            .peer_certificates()
            .unwrap_or_default()
            .iter()
            .map(|certificate| certificate.clone().into_owned())
            .collect();
        let peer = Arc::new(Peer::new(from, chain, protocol));
        let activity = Arc::new(match protocol {
            Protocol::Http1 => ConnectionActivity::new(HeadBytes::new(&self.head_budget, from)),
            Protocol::Http2 => ConnectionActivity::multiplexed(),
        });
        let slot = Slot::default();
        let service = {
            let (state, peer, activity) =
                (Arc::clone(&self.state), Arc::clone(&peer), Arc::clone(&activity));
            let (slot, upstream) = (slot.clone(), self.upstream.clone());
            service_fn(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(slot.clone());
                let active_request = ActiveRequest::start(&activity);
                let answer = respond(&state, upstream.as_ref(), &peer, request);
                async move {
                    let response = answer.await;
                    Ok::<_, Infallible>(response.map(|body| body.keeping(active_request)))
                }
            })
        };
        let stream = LingeringClose::new(stream);
        match protocol {
            Protocol::Http2 => {
                let state = Arc::clone(&self.state);
                let count = move || state.metrics.head_rejected();
                let stream = Frames::new(stream, Arc::clone(&self.total_buffered), count);
                let io = TokioIo::new(CoalescingWriter::new(stream));
                let connection = std::pin::pin!(self.http2().serve_connection(io, service));
                self.drive(connection, &peer, &activity).await.ok();
            }
            Protocol::Http1 => self.serve_http1(stream, service, &peer, &activity, slot).await,
        }
    }

    async fn serve_http1<S>(
        &self,
        stream: LingeringClose<TlsStream<TcpStream>>,
        service: S,
        peer: &Peer,
        activity: &Arc<ConnectionActivity>,
        slot: Slot,
    ) where
        S: HttpService<Incoming, ResBody = ResponseBody, Error = Infallible> + Send,
        S::Future: Send,
    {
        let io = TokioIo::new(HeadTimer::new(stream, Arc::clone(activity)));
        let mut connection = http1_builder().serve_connection(io, service).with_upgrades();
        let result = self.drive(Pin::new(&mut connection), peer, activity).await;
        if let Some(session) = slot.take() {
            activity.upgrade();
            tokio::select! {
                () = self.aborted.cancelled() => {}
                () = session => {}
            }
        }
        if result.is_ok() {
            return;
        }
        let Some(http1::Parts { io, read_buf, service, .. }) = connection.into_parts() else {
            return;
        };
        if activity.is_head_refused() {
            self.state.metrics.head_rejected();
            drop(read_buf);
            activity.release_head();
            // A client that does not read the response only misses the reason.
            let mut stream = io.into_inner();
            let sent = async {
                stream.write_all(HEAD_REFUSED).await?;
                stream.shutdown().await
            };
            let _sent = tokio::time::timeout(CLOSING_IDLE_MAX, sent).await;
        } else if let Some(head) = long_uri::shortened(&read_buf)
            && let Some(io) = io.into_inner().restart(head)
        {
            // No longer counted as an incomplete head.
            drop(read_buf);
            let connection = http1_builder().serve_connection(TokioIo::new(io), service);
            let connection = std::pin::pin!(connection.with_upgrades());
            self.drive(connection, peer, activity).await.ok();
        }
    }

    fn http2(&self) -> http2::Builder<TrackedExecutor> {
        let executor = TrackedExecutor {
            tracker: self.state.tracker.clone(),
            runtime: self.state.runtime.clone(),
        };
        let mut builder = http2::Builder::new(executor);
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits::STREAMS_MAX)
            .max_pending_accept_reset_streams(limits::RESET_STREAMS_MAX)
            .max_header_list_size(limits::HEADER_BYTES_MAX)
            .initial_stream_window_size(limits::STREAM_WINDOW)
            .initial_connection_window_size(limits::CONNECTION_WINDOW)
            .keep_alive_interval(limits::PING_PERIOD)
            .keep_alive_timeout(limits::PING_TIME_MAX);
        builder
    }

    /// Drives a connection until it ends. Starts its graceful shutdown when requested.
    async fn drive<C: GracefulConnection>(
        &self,
        mut connection: Pin<&mut C>,
        peer: &Peer,
        activity: &ConnectionActivity,
    ) -> Result<(), hyper::Error> {
        let mut check = tokio::time::interval_at(activity.start + CHECK_PERIOD, CHECK_PERIOD);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_closing = false;
        loop {
            let close = tokio::select! {
                biased;
                outcome = connection.as_mut() => {
                    if let Err(error) = &outcome {
                        if error.is_parse() {
                            self.state.metrics.head_rejected();
                        }
                        debug!(%error, "connection error");
                    }
                    return outcome;
                }
                () = self.aborted.cancelled() => return Ok(()),
                () = self.draining.cancelled(), if !is_closing => true,
                () = peer.closing(), if !is_closing => true,
                _ = check.tick() => match activity.idle_time() {
                    // HTTP/1 has one response at a time. With HTTP/2, other streams continue beside
                    // a stalled one.
                    _ if activity.end_stalled() && peer.protocol == Protocol::Http1 => return Ok(()),
                    // Graceful shutdown has begun and no request is in flight.
                    Some(time) if is_closing && time >= CLOSING_IDLE_MAX => return Ok(()),
                    _ => activity.is_overdue(),
                },
            };
            if close && !is_closing {
                is_closing = true;
                connection.as_mut().finish();
            }
        }
    }
}

/// Serves a request, or rejects a request head that Go's server would reject.
fn respond(
    state: &Arc<ServerState>,
    upstream: Option<&Arc<dyn Upstream>>,
    peer: &Arc<Peer>,
    request: Request<Incoming>,
) -> impl Future<Output = Response<ResponseBody>> + use<> {
    if let Some(error) = HeadError::check(&request) {
        state.metrics.head_rejected();
        return Either::Left(std::future::ready(error.answer(request.version())));
    }
    let left = upstream.map(|_| CancellationToken::new());
    let target = upstream.cloned().zip(left.clone());
    let target = target.map(|(upstream, left)| Target { upstream, left });
    let answer = serve(Arc::clone(state), target, Arc::clone(peer), request);
    Either::Right(DetachOnDrop::new(answer, state.tracker.clone(), state.runtime.clone(), left))
}

fn http1_builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // `HeadTimer` measures this from the start of a head.
        .header_read_timeout(None)
        .max_buf_size(limits::HEAD_BYTES_MAX)
        .keep_alive(true);
    builder
}

/// Whether the client closed the connection before it was accepted.
fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// A connection of either protocol that supports graceful shutdown. `hyper_util` has a trait of
/// this name, which is sealed and not implemented for connections that may be upgraded.
trait GracefulConnection: Future<Output = Result<(), hyper::Error>> {
    /// Accepts no further requests and finishes those in flight.
    fn finish(self: Pin<&mut Self>);
}

impl<I, S, B> GracefulConnection for http1::UpgradeableConnection<I, S>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: hyper::body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S, B, E> GracefulConnection for http2::Connection<I, S, E>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: hyper::body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    E: hyper::rt::bounds::Http2ServerConnExec<S::Future, B>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Spawns hyper's streams on the server's task tracker.
#[derive(Clone)]
struct TrackedExecutor {
    tracker: TaskTracker,
    runtime: tokio::runtime::Handle,
}

impl<F> Executor<F> for TrackedExecutor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        self.tracker.spawn_on(future, &self.runtime);
    }
}
