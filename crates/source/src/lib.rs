//! Sources: where events come from that were made elsewhere.
//!
//! An [`EventSource`] receives events and records them with the [`Recorder`] in the same journal as
//! the server's own, with its name, kind and cluster. It acknowledges events to their sender only
//! when they are durable. An event that is sent again is recorded once. What is not an event is
//! recorded as a quarantine event, never dropped.
//!
//! Deliberately absent: rules, sinks, and the API resource that shows the sources (crate `siem`).

pub mod admission_webhook;
pub mod audit_webhook;
pub mod buckets;
mod convert;
pub mod envelopes;
mod identities;
pub mod limits;
pub mod listener;
pub mod log_files;
mod metrics;
mod outage;
mod raw;
mod receipts;
mod recorder;
mod redaction;
mod refill;
pub mod splitter;
mod status;

use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

pub use admission_webhook::AdmissionWebhook;
pub use audit_webhook::AuditWebhook;
pub use buckets::Buckets;
pub use log_files::LogFiles;
pub use metrics::{register, register_each, register_refusals};
pub use receipts::{RECEIPT_PERIOD, record_downtime, run_receipts};
pub use recorder::{Form, Recorder, Recording};
pub use status::{ObjectProgress, SourceSnapshot, SourceStatus, Transfer};

/// A source of events: a listener, or a reader of files or buckets.
#[async_trait]
pub trait EventSource: Send {
    /// The states of its parts, which it updates.
    fn statuses(&self) -> Vec<Arc<SourceStatus>>;

    /// Receives events until `stop`, and returns when the last of them are acknowledged.
    async fn run(self: Box<Self>, recorder: Arc<Recorder>, stop: CancellationToken);
}
