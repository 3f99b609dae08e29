//! kube-apiserver's audit webhook: it sends its events to `POST /audit/<cluster>`.
//!
//! The sender gets 200 when all events of its request are durable. After any other response it sends
//! the request again.
//!
//! Deliberately absent: a Service or an address that kube-apiserver can reach, and its flags.

mod request;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::limits::{BODIES_MAX, LONG_EVENTS_MAX};
use crate::listener::{Listener, ListenerConfig, ListenerError, Refusals, Webhook};
use crate::{EventSource, Recorder, SourceStatus};
use request::Receiver;

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

/// A listener for kube-apiserver's audit webhook.
pub struct AuditWebhook {
    listener: Listener,
    statuses: Vec<Arc<SourceStatus>>,
}

/// The name of the source for a cluster.
pub fn source_name(cluster: &str) -> String {
    format!("audit-webhook-{cluster}")
}

impl AuditWebhook {
    /// Loads the files and binds the address. Must be called inside a Tokio runtime.
    pub async fn bind(config: ListenerConfig) -> Result<Self, ListenerError> {
        let status = |cluster: &String| {
            let status = SourceStatus::new(&source_name(cluster), KIND, cluster);
            Arc::new(status.drops_after(PATIENCE))
        };
        let statuses = config.clusters.iter().map(status).collect();
        Ok(Self { listener: Listener::bind(config, Webhook::Audit).await?, statuses })
    }

    /// Address that the listener uses, with the port that the system chose for port 0.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// The senders that are refused.
    pub fn refusals(&self) -> Arc<Refusals> {
        self.listener.refusals()
    }
}

#[async_trait]
impl EventSource for AuditWebhook {
    fn statuses(&self) -> Vec<Arc<SourceStatus>> {
        self.statuses.clone()
    }

    async fn run(self: Box<Self>, recorder: Arc<Recorder>, stop: CancellationToken) {
        let Self { listener, statuses } = *self;
        tracing::info!(address = %listener.address(), "receiving audit events of other servers");
        let receiver = Receiver {
            gate: listener.gate(),
            statuses,
            recorder,
            bodies: Semaphore::new(BODIES_MAX),
            long_events: Semaphore::new(LONG_EVENTS_MAX),
        };
        listener.serve(receiver, stop).await;
    }
}
