//! How the sinks fare, readable at any time.
//!
//! A missing response is not reported before as much time has passed as the longest attempt takes. A
//! closed port is found out at once and a filtered one after a minute; people who read this, and chose
//! the endpoint, must not be able to tell one from the other by timing.

use event::Timestamp;
use sink::DeliveryHealth;
use tokio::sync::watch;
use tokio::time::Instant;

/// How one sink fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkHealth {
    /// The sink's name.
    pub sink: String,
    /// What it does.
    pub condition: DeliveryHealth,
    /// The last record that it has for good.
    pub seq: u64,
    /// Records that it has not got yet.
    pub lag: u64,
    /// When it last took something, if it keeps account of that.
    pub last_success: Option<Timestamp>,
}

/// What a sink publishes about itself.
pub(crate) struct SinkStatus {
    sink: String,
    now: watch::Sender<Now>,
}

#[derive(Clone)]
struct Now {
    seq: u64,
    condition: DeliveryHealth,
    silence: Option<Silence>,
    last_success: Option<Timestamp>,
}

/// There is no response.
#[derive(Clone)]
struct Silence {
    reason: String,
    /// Until then the last condition holds.
    until: Instant,
}

impl SinkStatus {
    pub(crate) fn new(sink: &str) -> Self {
        let condition = DeliveryHealth::Delivering;
        let now = Now { seq: 0, condition, silence: None, last_success: None };
        Self { sink: sink.to_owned(), now: watch::Sender::new(now) }
    }

    pub(crate) fn set_seq(&self, seq: u64) {
        self.now.send_modify(|now| now.seq = seq);
    }

    pub(crate) fn set_condition(&self, condition: DeliveryHealth) {
        self.now.send_modify(|now| {
            now.condition = condition;
            now.silence = None;
        });
    }

    /// There is no response; this is reported from a time on, unless it was to be reported before.
    pub(crate) fn no_response(&self, reason: String, until: Instant) {
        self.now.send_modify(|now| {
            now.silence.get_or_insert(Silence { reason, until });
        });
    }

    pub(crate) fn succeeded(&self, time: Timestamp) {
        self.now.send_modify(|now| now.last_success = Some(time));
    }

    pub(crate) fn seq(&self) -> u64 {
        self.now.borrow().seq
    }

    pub(crate) fn health(&self, last: u64) -> SinkHealth {
        let Now { seq, mut condition, silence, last_success } = self.now.borrow().clone();
        if let Some(Silence { reason, .. }) = silence.filter(|one| one.until <= Instant::now()) {
            condition = DeliveryHealth::NoResponse { reason };
        }
        let lag = last.saturating_sub(seq);
        SinkHealth { sink: self.sink.clone(), condition, seq, lag, last_success }
    }

    /// Waits until the sink has the record `seq`, or nothing more can be expected of it.
    pub(crate) async fn passed(&self, seq: u64) {
        let mut news = self.now.subscribe();
        // The sender is in `self`, so there is always news to wait for.
        drop(news.wait_for(|now| now.seq >= seq || now.condition == DeliveryHealth::Closed).await);
    }
}
