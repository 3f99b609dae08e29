//! The corridor from the journal to the sinks.
//!
//! Each sink has a [`Corridor`] of its own: it reads the journal behind its cursor, turns records
//! into lines, delivers them and moves the cursor. Buckets come and go while the server runs
//! ([`Delivery::attach`]); they get objects instead of lines. Each tries for ever; one that is slow or
//! dead holds up nobody else and costs no memory, only makes the journal longer, and
//! [`Delivery::health`] and the metrics say so.
//!
//! It drops nothing. A record that cannot be read leaves a line that says so. How a destination
//! works is the business of the crate `sink`; how long records are kept, of the crate `store`.

mod attached;
mod backoff;
mod corridor;
mod detector;
mod fixed;
mod gap;
mod hauler;
mod health;
mod heartbeat;
mod metrics;
pub mod notification;
mod orders;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use prometheus_client::registry::Registry;
use sink::Sink;
use store::Journal;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use attached::Detached;
pub use corridor::{BATCH_BYTES_MAX, BATCH_ROWS_MAX, Corridor, DRAIN_MAX, GATHER_TIME};
pub use detector::*;
pub use hauler::RETRY_AFTER_MAX;
pub use health::{Condition, SinkHealth};
pub use heartbeat::{HEARTBEAT, HEARTBEAT_PERIOD, HEARTBEAT_SINK, USER};

use attached::Attached;
use health::Pulse;
use metrics::Metrics;

/// All corridors of a server.
pub struct Delivery {
    journal: Arc<dyn Journal>,
    metrics: Metrics,
    doors: Vec<Door>,
    attached: Mutex<BTreeMap<String, Attached>>,
    /// Those who haul to buckets.
    haulers: TaskTracker,
    stop: CancellationToken,
}

/// What is known of one corridor from outside.
#[derive(Clone)]
struct Door {
    pulse: Arc<Pulse>,
    nudge: Arc<Notify>,
}

impl Delivery {
    /// No corridor yet. Metrics go to `registry`.
    pub fn new(journal: Arc<dyn Journal>, registry: &mut Registry) -> Self {
        let metrics = Metrics::register(registry, Arc::clone(&journal));
        Self {
            journal,
            metrics,
            doors: Vec::new(),
            attached: Mutex::default(),
            haulers: TaskTracker::new(),
            stop: CancellationToken::new(),
        }
    }

    /// A corridor to `sink`, to be run by the caller.
    pub fn corridor(&mut self, sink: Box<dyn Sink>) -> Corridor {
        let pulse = Arc::new(Pulse::new(sink.name()));
        let nudge = Arc::new(Notify::new());
        self.doors.push(Door { pulse: Arc::clone(&pulse), nudge: Arc::clone(&nudge) });
        Corridor::new(Arc::clone(&self.journal), sink, self.metrics.clone(), pulse, nudge)
    }

    /// Lets every sink look after itself although there may be nothing to deliver.
    pub fn nudge(&self) {
        self.doors.iter().for_each(|door| door.nudge.notify_one());
    }

    /// How each sink fares: first those the server was started with, then the attached, by name.
    pub fn health(&self) -> Vec<SinkHealth> {
        let last = self.journal.last_seq();
        self.pulses().iter().map(|pulse| pulse.health(last)).collect()
    }

    /// What is to be said of the journal when it nears its bound: before any request is refused.
    pub fn journal_notice(&self) -> Option<String> {
        let health = self.journal.health();
        if health.condition == store::Condition::Well {
            return None;
        }
        let slowest = self.journal.readers().into_iter().max_by_key(|reader| reader.lag);
        let slowest = slowest.filter(|reader| reader.lag > 0).map(|reader| {
            format!("; `{}` is furthest behind, by {} records", reader.name, reader.lag)
        });
        Some(format!("{}{}", health.reason, slowest.unwrap_or_default()))
    }

    /// Waits until every sink that is not closed has what the journal holds now.
    pub async fn delivered(&self) {
        let last = self.journal.last_seq();
        for pulse in self.pulses() {
            pulse.passed(last).await;
        }
    }

    fn pulses(&self) -> Vec<Arc<Pulse>> {
        let mut pulses: Vec<_> = self.doors.iter().map(|door| Arc::clone(&door.pulse)).collect();
        pulses.extend(self.attached().values().map(|attached| Arc::clone(&attached.pulse)));
        pulses
    }
}
