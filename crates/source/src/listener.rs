//! What the listeners for kube-apiserver's webhooks share: port, TLS, connections, credentials of
//! senders, and refusals.
//!
//! A listener has its own port, because kube-apiserver is not a user of the API there, and its
//! requests are not audited themselves. Which events a request has is up to its [`Endpoint`].

mod access;
mod connections;
mod log_line;
mod messages;
mod refusals;
mod tokens;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use apiserver::tls::{ServingCertificate, TlsError, server_config};
use apiserver::{Clock, bind};
use bytes::Bytes;
use http::header::{HeaderValue, WWW_AUTHENTICATE};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use rustls::pki_types::CertificateDer;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::SourceStatus;
use crate::limits::CLUSTER_BYTES_MAX;
pub(crate) use access::{Access, Grant, Refused};
pub use access::{AccessError, Credentials};
use connections::Connections;
pub(crate) use log_line::LogLine;
pub(crate) use messages::{BodyError, HeadError, check_head, next_frame, text_response};
pub use refusals::{Refusal, Refusals, Webhook};
pub use tokens::TokenError;

/// Interval at which the files of a listener are checked for changes.
const RELOAD_PERIOD: Duration = Duration::from_secs(5);

/// Configuration of a listener.
#[derive(Clone)]
pub struct ListenerConfig {
    /// Listen address; port 0 picks a free port.
    pub address: SocketAddr,
    /// The serving certificate. Its files are reloaded every five seconds.
    pub serving: Arc<ServingCertificate>,
    /// The credentials of senders. Their files are reloaded every five seconds.
    pub credentials: Credentials,
    /// The clusters that may send events.
    pub clusters: Vec<String>,
    /// Source of the current time.
    pub clock: Arc<dyn Clock>,
}

/// Why a listener cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenerError {
    /// The address is in use or does not belong to this machine.
    #[error("cannot listen on {address} for the {webhook} webhook")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The webhook.
        webhook: Webhook,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The serving certificate cannot be used.
    #[error("cannot serve TLS")]
    Tls(#[source] TlsError),
    /// A file of credentials cannot be used.
    #[error(transparent)]
    Access(#[from] AccessError),
}

/// A bound port that accepts no connections yet.
pub(crate) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    tls: TlsAcceptor,
    serving: Arc<ServingCertificate>,
    gate: Arc<Gate>,
}

/// Who may send, and who was refused.
pub(crate) struct Gate {
    access: Access,
    refusals: Arc<Refusals>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// What handles the requests of a listener.
pub(crate) trait Endpoint: Send + Sync + 'static {
    /// Who may send.
    fn gate(&self) -> &Gate;

    /// Checks the credentials of a request. `chain` is the client's certificate chain, leaf first.
    fn admit(
        &self,
        request: &Request<Incoming>,
        chain: &[CertificateDer<'_>],
    ) -> Result<Grant, Refused> {
        self.gate().check(request, chain)
    }

    /// Handles a request.
    fn respond(
        &self,
        request: Request<Incoming>,
        admitted: Result<Grant, Refused>,
        from: SocketAddr,
    ) -> impl Future<Output = Response<Full<Bytes>>> + Send;
}

/// Whether a name can be that of a cluster: lower-case letters, digits, hyphens and dots, as in the
/// names of Kubernetes' objects.
pub fn is_cluster_name(name: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_end = |byte: Option<&u8>| byte.is_some_and(|byte| is_inner(*byte));
    let bytes = name.as_bytes();
    bytes.len() <= CLUSTER_BYTES_MAX
        && is_end(bytes.first())
        && is_end(bytes.last())
        && bytes.iter().all(|byte| is_inner(*byte) || *byte == b'-' || *byte == b'.')
        && !name.contains("..")
}

impl Listener {
    /// Loads the files and binds the address. Must be called inside a Tokio runtime.
    #[expect(clippy::unused_async, reason = "the listener needs the runtime it is awaited in")]
    pub(crate) async fn bind(
        config: ListenerConfig,
        webhook: Webhook,
    ) -> Result<Self, ListenerError> {
        let access = Access::open(config.credentials, &config.clusters)?;
        let refused = |source| ListenerError::Listen { address: config.address, webhook, source };
        let socket = bind(config.address).map_err(refused)?;
        let address = socket.local_addr().map_err(refused)?;
        let tls = server_config(Arc::clone(&config.serving)).map_err(ListenerError::Tls)?;
        let refusals = Arc::new(Refusals::new(webhook));
        let gate = Arc::new(Gate { access, refusals, clock: config.clock });
        let tls = TlsAcceptor::from(tls);
        Ok(Self { socket, address, tls, serving: config.serving, gate })
    }

    /// Address that the listener uses, with the port that the system chose for port 0.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn gate(&self) -> Arc<Gate> {
        Arc::clone(&self.gate)
    }

    /// The senders that are refused.
    pub(crate) fn refusals(&self) -> Arc<Refusals> {
        Arc::clone(&self.gate.refusals)
    }

    /// Passes requests to the endpoint until `stop`, and returns when they are complete.
    pub(crate) async fn serve<E: Endpoint>(self, endpoint: E, stop: CancellationToken) {
        let Self { socket, tls, serving, gate, .. } = self;
        let connections = Connections::new(tls, Arc::new(endpoint));
        tokio::select! {
            () = connections.accept(socket, stop) => {}
            () = reload(serving, gate) => {}
        }
    }
}

impl Gate {
    /// Checks the credentials of a request in its header or its client certificate.
    pub(crate) fn check(
        &self,
        request: &Request<Incoming>,
        chain: &[CertificateDer<'_>],
    ) -> Result<Grant, Refused> {
        self.access.check(request.headers(), chain, self.clock.now())
    }

    /// Checks a token that is not in a header.
    pub(crate) fn check_token(&self, token: &str) -> Result<Grant, Refused> {
        self.access.check_token(token.as_bytes())
    }

    /// Counts and logs a sender that is refused.
    pub(crate) fn refuse(&self, refusal: Refusal, from: SocketAddr, detail: &str) {
        self.refusals.add(refusal, from, detail, self.clock.now());
    }

    /// The source of a cluster, or the response to a sender that is refused: its credentials are not
    /// accepted or are those of another cluster, or it names none of the sources. A sender that is
    /// not authenticated learns nothing but that.
    pub(crate) fn source<'s>(
        &self,
        sources: &'s [Arc<SourceStatus>],
        admitted: Result<Grant, Refused>,
        (path, cluster): (&str, &str),
        from: SocketAddr,
    ) -> Result<&'s SourceStatus, Box<Response<Full<Bytes>>>> {
        let grant = match admitted {
            Ok(grant) => grant,
            Err(Refused { refusal, detail }) => {
                self.refuse(refusal, from, &detail);
                let header = (WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                let response =
                    text_response(StatusCode::UNAUTHORIZED, Some(header), "Unauthorized");
                return Err(Box::new(response));
            }
        };
        let refuse = |refusal, code, text: &str| {
            let detail = if is_cluster_name(cluster) { cluster } else { "" };
            self.refuse(refusal, from, detail);
            Box::new(text_response(code, None, text))
        };
        // A sender of one cluster does not learn which others there are.
        if !grant.covers(cluster) {
            let text = "the credentials are not valid for this cluster";
            return Err(refuse(Refusal::Cluster, StatusCode::FORBIDDEN, text));
        }
        let source = sources.iter().find(|source| source.cluster() == cluster);
        source.map(|source| &**source).ok_or_else(|| {
            let text = format!("the path is {path} and the name of a configured cluster");
            refuse(Refusal::Path, StatusCode::NOT_FOUND, &text)
        })
    }
}

/// Rereads the files periodically, so that a rotation needs no restart.
async fn reload(serving: Arc<ServingCertificate>, gate: Arc<Gate>) {
    loop {
        tokio::time::sleep(RELOAD_PERIOD).await;
        if let Err(error) = serving.reload(gate.clock.now()) {
            tracing::warn!(%error, "cannot reload the certificate; the old one stays in use");
        }
        for error in gate.access.reload() {
            tracing::warn!(%error, "credentials of senders cannot be reloaded completely");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_clusters_are_names_of_objects() {
        for (name, expected) in [
            ("prod", true),
            ("prod-eu.1", true),
            ("", false),
            ("Prod", false),
            ("a/b", false),
            ("-a", false),
            ("a.", false),
            ("a..b", false),
            ("a b", false),
        ] {
            assert_eq!(is_cluster_name(name), expected, "{name}");
        }
        assert!(!is_cluster_name(&"a".repeat(CLUSTER_BYTES_MAX + 1)));
    }
}
