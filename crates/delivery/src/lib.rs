//! From the journal to the destinations.
//!
//! Each sink has a [`SinkTask`] of its own: it reads the journal behind its cursor, turns records
//! into lines, delivers them and moves the cursor. Buckets come and go while the server runs
//! ([`Delivery::attach`]); they get objects instead of lines. Each tries for ever; one that is slow or
//! dead holds up no other and costs no memory, only makes the journal longer, and
//! [`Delivery::health`] and the metrics say so.
//!
//! What all of them do in the same way is in `reader`. Nothing is dropped: a record that cannot be
//! read leaves a line that says so. How a destination works is the business of the crate `sink`; how
//! long records are kept, of the crate `store`.

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
pub use gap::hole_event;
pub use health::SinkHealth;
pub use heartbeat::HEARTBEAT_PERIOD;
pub use metrics::register_each;
pub use reader::{BATCH_BYTES_MAX, BATCH_ROWS_MAX, DRAIN_MAX};
pub use sink_task::{GATHER_TIME, LINE_BYTES_MAX, SinkTask};
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
    attached: Mutex<BTreeMap<String, UploaderHandle>>,
    uploaders: TaskTracker,
    stop: CancellationToken,
}

/// One sink, from outside.
#[derive(Clone)]
struct SinkHandle {
    status: Arc<SinkStatus>,
    wake: Arc<Notify>,
}

impl Delivery {
    /// No destination yet. Metrics go to `registry`.
    pub fn new(journal: Arc<dyn Journal>, registry: &mut Registry) -> Self {
        let metrics = Metrics::register(registry, Arc::clone(&journal));
        Self {
            journal,
            metrics,
            sinks: Vec::new(),
            line_bytes: LINE_BYTES_MAX,
            detector: None,
            event_index: None,
            attached: Mutex::default(),
            uploaders: TaskTracker::new(),
            stop: CancellationToken::new(),
        }
    }

    /// Delivers to `sink`; to be run by the caller.
    pub fn sink_task(&mut self, sink: Box<dyn Sink>) -> SinkTask {
        let status = Arc::new(SinkStatus::new(sink.name()));
        let wake = Arc::new(Notify::new());
        self.sinks.push(SinkHandle { status: Arc::clone(&status), wake: Arc::clone(&wake) });
        let (journal, metrics) = (Arc::clone(&self.journal), self.metrics.clone());
        SinkTask::new(journal, sink, self.line_bytes, metrics, status, wake)
    }

    /// Lines of sinks that are opened from now on have at most so many bytes.
    pub fn set_line_bytes(&mut self, line_bytes: usize) {
        self.line_bytes = line_bytes;
    }

    /// Lets every sink look after itself although there may be nothing to deliver.
    pub fn wake(&self) {
        self.sinks.iter().for_each(|sink| sink.wake.notify_one());
    }

    /// How each reader fares: first the sinks the server was started with, then the detector, then the
    /// attached, by name, then the index of events.
    pub fn health(&self) -> Vec<SinkHealth> {
        let last = self.journal.last_seq();
        let statuses = self.statuses().into_iter().chain(self.event_index.clone());
        statuses.map(|status| status.health(last)).collect()
    }

    /// What is to be said of the journal when it nears its bound: before any request is refused.
    pub fn journal_notice(&self) -> Option<String> {
        let health = self.journal.health();
        (health.condition != store::Condition::Well).then_some(health.reason)
    }

    /// Waits until every sink that is not closed has what the journal holds now.
    pub async fn delivered(&self) {
        let last = self.journal.last_seq();
        for status in self.statuses() {
            status.passed(last).await;
        }
    }

    /// Waits until every sink that the server was started with, and that is not closed, has what the
    /// journal holds now.
    pub async fn sinks_delivered(&self) {
        let last = self.journal.last_seq();
        for sink in &self.sinks {
            sink.status.passed(last).await;
        }
    }

    /// Waits until the index of events has what the journal holds now.
    pub async fn indexed(&self) {
        if let Some(status) = &self.event_index {
            status.passed(self.journal.last_seq()).await;
        }
    }

    fn statuses(&self) -> Vec<Arc<SinkStatus>> {
        let mut statuses: Vec<_> = self.sinks.iter().map(|sink| Arc::clone(&sink.status)).collect();
        statuses.extend(self.detector.clone());
        statuses.extend(self.attached().values().map(|attached| Arc::clone(&attached.status)));
        statuses
    }
}
