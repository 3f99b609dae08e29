//! kube-apiserver's audit webhook: it sends its events to `POST /audit/<cluster>`.
//!
//! The listener has its own port, because kube-apiserver is not a user of the API there, and its
//! requests are not audited themselves. The sender gets 200 when all events of its request are
//! durable. After any other response it sends the request again.
//!
//! Deliberately absent: a Service or an address that kube-apiserver can reach, and its flags.

mod access;
mod connections;
mod refusals;
mod request;
mod tokens;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use apiserver::tls::{ServingCertificate, TlsError, server_config};
use apiserver::{Clock, bind};
use async_trait::async_trait;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::limits::{BODIES_MAX, CLUSTER_BYTES_MAX, LONG_EVENTS_MAX};
use crate::{EventSource, Recorder, SourceStatus};
use access::Access;
pub use access::{AccessError, Credentials};
use connections::Connections;
pub use refusals::{Refusal, Refusals};
use request::Receiver;
pub use tokens::TokenError;

/// The kind of these sources.
pub const KIND: &str = "AuditWebhook";
/// The path of the endpoint, which the name of a cluster follows.
pub const PATH: &str = "/audit/";
/// Time within which an event arrives: kube-apiserver sends a batch at the latest after 30 seconds,
/// its default.
pub const LATENESS: Duration = Duration::from_secs(30);
/// Time for which kube-apiserver repeats a request at least: with its defaults, it waits 10, 15,
/// 22.5 and 33.75 seconds between five attempts.
pub const PATIENCE: Duration = Duration::from_secs(81);
/// Interval at which the files of the listener are checked for changes.
const RELOAD_PERIOD: Duration = Duration::from_secs(5);

/// Configuration of an [`AuditWebhook`].
#[derive(Clone)]
pub struct AuditWebhookConfig {
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
pub enum AuditWebhookError {
    /// The address is in use or does not belong to this machine.
    #[error("cannot listen on {address} for the audit webhook")]
    Listen {
        /// The address.
        address: SocketAddr,
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

/// A listener for kube-apiserver's audit webhook.
pub struct AuditWebhook {
    listener: TcpListener,
    address: SocketAddr,
    tls: TlsAcceptor,
    serving: Arc<ServingCertificate>,
    access: Arc<Access>,
    statuses: Vec<Arc<SourceStatus>>,
    refusals: Arc<Refusals>,
    clock: Arc<dyn Clock>,
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

/// The name of the source for a cluster.
pub fn source_name(cluster: &str) -> String {
    format!("audit-webhook-{cluster}")
}

impl AuditWebhook {
    /// Loads the files and binds the address. Must be called inside a Tokio runtime.
    #[expect(clippy::unused_async, reason = "the listener needs the runtime it is awaited in")]
    pub async fn bind(config: AuditWebhookConfig) -> Result<Self, AuditWebhookError> {
        let access = Access::open(config.credentials, &config.clusters)?;
        let refused = |source| AuditWebhookError::Listen { address: config.address, source };
        let listener = bind(config.address).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let tls = server_config(Arc::clone(&config.serving)).map_err(AuditWebhookError::Tls)?;
        let status = |cluster: &String| {
            let status = SourceStatus::new(&source_name(cluster), KIND, cluster);
            Arc::new(status.drops_after(PATIENCE))
        };
        Ok(Self {
            listener,
            address,
            tls: TlsAcceptor::from(tls),
            serving: config.serving,
            access: Arc::new(access),
            statuses: config.clusters.iter().map(status).collect(),
            refusals: Arc::default(),
            clock: config.clock,
        })
    }

    /// Address that the listener uses, with the port that the system chose for port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The senders that are refused.
    pub fn refusals(&self) -> Arc<Refusals> {
        Arc::clone(&self.refusals)
    }
}

#[async_trait]
impl EventSource for AuditWebhook {
    fn statuses(&self) -> Vec<Arc<SourceStatus>> {
        self.statuses.clone()
    }

    async fn run(self: Box<Self>, recorder: Arc<Recorder>, stop: CancellationToken) {
        let Self { listener, address, tls, serving, access, statuses, refusals, clock } = *self;
        tracing::info!(%address, "receiving audit events of other servers");
        let reload = reload(serving, Arc::clone(&access), Arc::clone(&clock));
        let receiver = Arc::new(Receiver {
            access,
            statuses,
            refusals,
            recorder,
            clock,
            bodies: Semaphore::new(BODIES_MAX),
            long_events: Semaphore::new(LONG_EVENTS_MAX),
        });
        let connections = Connections::new(tls, receiver);
        tokio::select! {
            () = connections.accept(listener, stop.clone()) => {}
            () = reload => {}
        }
    }
}

/// Rereads the files periodically, so that a rotation needs no restart.
async fn reload(serving: Arc<ServingCertificate>, access: Arc<Access>, clock: Arc<dyn Clock>) {
    loop {
        tokio::time::sleep(RELOAD_PERIOD).await;
        if let Err(error) = serving.reload(clock.now()) {
            tracing::warn!(%error, "cannot reload the certificate; the old one stays in use");
        }
        for error in access.reload() {
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
