//! A sign of life: an event of our own at regular times, so that silence is visible downstream.
//!
//! It is recorded as every event, and so it reaches each destination once and in order. It carries
//! how many records there are, and of each destination how far it is. A missing one means that the
//! server, the way, or the destination is down. It names no object that is served and no address, and
//! no request can have its user, so no rule takes it for an act.

use std::time::Duration;

use event::annotations::{HEARTBEAT, HEARTBEAT_SINK};
use event::{Event, OwnEvent, Stage, Timestamp};
use store::Storage;

use crate::Delivery;

/// How often, unless configured otherwise.
pub const HEARTBEAT_PERIOD: Duration = Duration::from_mins(1);

impl Delivery {
    /// Records a heartbeat each period, for ever.
    pub async fn run_heartbeat(
        &self,
        storage: &dyn Storage,
        period: Duration,
        clock: impl Fn() -> Timestamp + Send,
    ) {
        let mut due = tokio::time::interval(period);
        due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // The first is due at once: it says that the server has started.
        loop {
            due.tick().await;
            // A store that is full refuses it, and would count it as a loss.
            if !storage.health().is_writable() {
                continue;
            }
            let event = self.heartbeat(clock());
            if let Err(error) = store::record(storage, event::record::write(&event)).await {
                tracing::warn!(%error, "the heartbeat could not be recorded");
            }
        }
    }

    fn heartbeat(&self, time: Timestamp) -> Event {
        let last = self.journal.last_seq();
        let of_sink = |sink: crate::SinkHealth| {
            let text = format!("delivered={} backlog={}", sink.seq, sink.lag);
            (format!("{HEARTBEAT_SINK}{}", sink.sink), text)
        };
        let mut annotations: std::collections::BTreeMap<_, _> =
            self.health().into_iter().map(of_sink).collect();
        annotations.insert(HEARTBEAT.to_owned(), last.to_string());
        Event {
            audit_id: format!("keepwatch-heartbeat-{}", time.as_micros()),
            annotations,
            ..OwnEvent::Heartbeat.event(Stage::ResponseComplete, "", time)
        }
    }
}
