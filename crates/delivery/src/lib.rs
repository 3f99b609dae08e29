//! Readers of the journal: they deliver its records to destinations, or detect and index.
//!
//! Each sink has its own [`SinkTask`]: it reads the journal after its cursor, encodes records as
//! lines, delivers them and advances the cursor. Object stores are attached and detached while the
//! server runs ([`Delivery::attach`]); an uploader sends them objects instead of lines. Each reader
//! retries forever. A slow or dead destination does not delay others and takes no memory; the
//! journal only becomes longer, and [`Delivery::health`] and the metrics show it.
//!
//! `reader` is their common code. Nothing is dropped: an unreadable record is replaced by an event
//! that reports it. The crates `sink` and `objectstore` know how destinations work; `store` knows
//! how long records are kept.

mod backoff;
mod cursor_event;
mod detector;
mod event_indexer;
mod gap;
mod health;
mod heartbeat;
mod metrics;
pub mod notification;
mod reader;
mod sink_task;
mod upload_intent;
mod upload_target;
mod uploader;
mod uploads;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use prometheus_client::registry::Registry;
use sink::Sink;
use store::Journal;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use cursor_event::cursor_event;
pub use detector::*;
pub use event::USER;
pub use event_indexer::{EVENT_INDEX, EventIndexer, INDEX_GATHER_TIME};
pub use gap::gap_event;
pub use health::SinkHealth;
pub use heartbeat::HEARTBEAT_PERIOD;
pub use metrics::register_each;
pub use reader::{BATCH_BYTES_MAX, BATCH_ROWS_MAX, DRAIN_MAX};
pub use sink_task::{GATHER_TIME, LINE_BYTES_MAX, SinkTask};
pub use upload_intent::UploadIntent;
pub use uploader::{DELETION_AGE, IDLE_AGE, RETRY_AFTER_MAX, URGENT_PERIOD};
pub use uploads::DetachOutcome;

use health::SinkStatus;
use metrics::Metrics;
use uploads::UploaderHandle;

/// All destinations of a server.
pub struct Delivery {
    journal: Arc<dyn Journal>,
    metrics: Metrics,
    sinks: Vec<SinkHandle>,
    line_bytes: usize,
    detector: Option<Arc<SinkStatus>>,
    event_index: Option<Arc<SinkStatus>>,
    uploaders: Mutex<BTreeMap<String, UploaderHandle>>,
    uploader_tasks: TaskTracker,
    stop: CancellationToken,
}

/// A handle of a [`SinkTask`].
#[derive(Clone)]
struct SinkHandle {
    status: Arc<SinkStatus>,
    wake: Arc<Notify>,
}

impl Delivery {
    /// Delivery without destinations. Metrics are registered in `registry`.
    pub fn new(journal: Arc<dyn Journal>, registry: &mut Registry) -> Self {
        let metrics = Metrics::register(registry, Arc::clone(&journal));
        Self {
            journal,
            metrics,
            sinks: Vec::new(),
            line_bytes: LINE_BYTES_MAX,
            detector: None,
            event_index: None,
            uploaders: Mutex::default(),
            uploader_tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }
    }

    /// A task that delivers to `sink`. The caller runs it.
    pub fn sink_task(&mut self, sink: Box<dyn Sink>) -> SinkTask {
        let status = Arc::new(SinkStatus::new(sink.name()));
        let wake = Arc::new(Notify::new());
        self.sinks.push(SinkHandle { status: Arc::clone(&status), wake: Arc::clone(&wake) });
        let (journal, metrics) = (Arc::clone(&self.journal), self.metrics.clone());
        SinkTask::new(journal, sink, self.line_bytes, metrics, status, wake)
    }

    /// Sets the maximum length of a line in bytes, newline included, for sinks that are added
    /// later.
    pub fn set_line_bytes(&mut self, line_bytes: usize) {
        self.line_bytes = line_bytes;
    }

    /// Sends an empty batch to every sink that has nothing to deliver, for its maintenance.
    pub fn wake(&self) {
        self.sinks.iter().for_each(|sink| sink.wake.notify_one());
    }

    /// Health of each reader: the sinks that the server was started with, the detector, the
    /// attached object stores by name, and the index of events, in this order.
    pub fn health(&self) -> Vec<SinkHealth> {
        let last = self.journal.last_seq();
        let statuses = self.statuses().into_iter().chain(self.event_index.clone());
        statuses.map(|status| status.health(last)).collect()
    }

    /// A warning if the journal approaches its limit. Requests are refused when it reaches the
    /// limit.
    pub fn journal_notice(&self) -> Option<String> {
        let health = self.journal.health();
        (health.condition != store::Condition::Healthy).then_some(health.reason)
    }

    /// Waits until every destination that has not stopped for good has received what the journal
    /// holds now.
    pub async fn delivered(&self) {
        let last = self.journal.last_seq();
        for status in self.statuses() {
            status.passed(last).await;
        }
    }

    /// Waits until every sink that the server was started with, and that has not stopped for good,
    /// has received what the journal holds now.
    pub async fn sinks_delivered(&self) {
        let last = self.journal.last_seq();
        for sink in &self.sinks {
            sink.status.passed(last).await;
        }
    }

    /// Waits until the index of events contains what the journal holds now.
    pub async fn indexed(&self) {
        if let Some(status) = &self.event_index {
            status.passed(self.journal.last_seq()).await;
        }
    }

    fn statuses(&self) -> Vec<Arc<SinkStatus>> {
        let mut statuses: Vec<_> = self.sinks.iter().map(|sink| Arc::clone(&sink.status)).collect();
        statuses.extend(self.detector.clone());
        statuses
            .extend(self.lock_uploaders().values().map(|uploader| Arc::clone(&uploader.status)));
        statuses
    }
}
