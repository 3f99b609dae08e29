//! The heartbeat: an internal event at regular intervals, so that its absence is visible
//! downstream.
//!
//! It is recorded like every event, so it reaches each destination once and in order. It carries
//! the number of records and the progress of each destination. A missing heartbeat means that the
//! server, the network or the destination is down. It contains no served object and no address, and
//! no request can have its user, so no rule matches it accidentally.

use std::time::Duration;

use event::annotations::{HEARTBEAT, HEARTBEAT_SINK};
use event::{Event, InternalEvent, Stage, Timestamp};
use store::Storage;

use crate::Delivery;

/// The default interval.
pub const HEARTBEAT_PERIOD: Duration = Duration::from_mins(1);

impl Delivery {
    /// Records a heartbeat in each period. Never returns.
    pub async fn run_heartbeat(
        &self,
        storage: &dyn Storage,
        period: Duration,
        clock: impl Fn() -> Timestamp + Send,
    ) {
        let mut due = tokio::time::interval(period);
        due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // The first heartbeat is due immediately: it reports that the server has started.
        loop {
            due.tick().await;
            // A full store would reject it and count it as a loss.
            if !storage.health().is_writable() {
                continue;
            }
            let event = self.heartbeat(clock());
            if let Err(error) = store::append(storage, event::record::write(&event)).await {
                tracing::warn!(%error, "cannot record the heartbeat");
            }
        }
    }

    fn heartbeat(&self, time: Timestamp) -> Event {
        let last = self.journal.last_seq();
        let annotation = |sink: crate::SinkHealth| {
            let text = format!("delivered={} backlog={}", sink.seq, sink.lag);
            (format!("{HEARTBEAT_SINK}{}", sink.sink), text)
        };
        let mut annotations: std::collections::BTreeMap<_, _> =
            self.health().into_iter().map(annotation).collect();
        annotations.insert(HEARTBEAT.to_owned(), last.to_string());
        Event {
            audit_id: format!("keepwatch-heartbeat-{}", time.as_micros()),
            annotations,
            ..InternalEvent::Heartbeat.event(Stage::ResponseComplete, "", time)
        }
    }
}
