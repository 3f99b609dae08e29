//! A validating admission webhook: kube-apiserver sends an `AdmissionReview` for each write of the
//! resources that its configuration names, to `POST /admission/<cluster>`.
//!
//! Every review is allowed, and only once its event is durable. If it cannot be recorded, it is
//! allowed too, and that is counted, logged and recorded: this source must not stop a cluster.
//!
//! kube-apiserver has no credentials for a webhook unless it is configured for that, which managed
//! clusters do not offer. So a token may also follow the name of the cluster in the path.
//!
//! Deliberately absent: reads, refused requests and outcomes, which kube-apiserver does not send.

mod convert;
mod request;
mod review;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::limits::REVIEWS_BYTES_MAX;
use crate::listener::{Listener, ListenerConfig, ListenerError, Refusals, Webhook};
use crate::{EventSource, Recorder, SourceStatus};
use request::Receiver;

/// The kind of these sources.
pub const KIND: &str = "AdmissionWebhook";
/// The path of the endpoint, which the name of a cluster follows, and a token if it is not in a
/// header.
pub const PATH: &str = "/admission/";
/// Time within which an event arrives: kube-apiserver waits for the answer.
pub const LATENESS: Duration = Duration::from_secs(2);
/// The name of the webhook in its configuration. kube-apiserver's own audit events of a reviewed
/// request have annotations with this prefix.
pub const WEBHOOK_NAME: &str = event::annotations::ADMISSION_WEBHOOK;

/// A listener for admission reviews.
pub struct AdmissionWebhook {
    listener: Listener,
    statuses: Vec<Arc<SourceStatus>>,
}

/// The name of the source for a cluster.
pub fn source_name(cluster: &str) -> String {
    format!("admission-webhook-{cluster}")
}

impl AdmissionWebhook {
    /// Loads the files and binds the address. Must be called inside a Tokio runtime.
    pub async fn bind(config: ListenerConfig) -> Result<Self, ListenerError> {
        let status = |cluster: &String| {
            let status = SourceStatus::new(&source_name(cluster), KIND, cluster);
            // kube-apiserver never repeats a review, and hours without a write of a backup are
            // normal.
            Arc::new(status.drops_after(Duration::ZERO).without_receipts())
        };
        let statuses = config.clusters.iter().map(status).collect();
        Ok(Self { listener: Listener::bind(config, Webhook::Admission).await?, statuses })
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
impl EventSource for AdmissionWebhook {
    fn statuses(&self) -> Vec<Arc<SourceStatus>> {
        self.statuses.clone()
    }

    async fn run(self: Box<Self>, recorder: Arc<Recorder>, stop: CancellationToken) {
        let Self { listener, statuses } = *self;
        tracing::info!(address = %listener.address(), "receiving admission reviews");
        let receiver = Receiver {
            gate: listener.gate(),
            statuses,
            recorder,
            bytes: Semaphore::new(REVIEWS_BYTES_MAX),
            log: Mutex::default(),
        };
        listener.serve(receiver, stop).await;
    }
}
