//! How the sinks fare, readable at any time.

use event::Timestamp;
use tokio::sync::watch;

/// How one sink fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkHealth {
    /// The sink's name.
    pub sink: String,
    /// What it does.
    pub condition: Condition,
    /// The last record that it has for good.
    pub seq: u64,
    /// Records that it has not got yet.
    pub lag: u64,
    /// What went wrong last, even if all is well again.
    pub last_error: Option<String>,
    /// When it last took something, if it keeps account of that.
    pub last_success: Option<Timestamp>,
}

/// What a sink does at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It takes what comes.
    Delivering,
    /// It does not take anything; the reason, and for how many attempts.
    Failing {
        /// The last error.
        reason: String,
        /// How often it failed in a row.
        attempts: u32,
    },
    /// Its reader went away; it is not tried again before the next start.
    Closed,
}

/// What a corridor publishes about itself.
pub(crate) struct Pulse {
    sink: String,
    now: watch::Sender<Now>,
}

#[derive(Clone)]
struct Now {
    seq: u64,
    condition: Condition,
    last_error: Option<String>,
    last_success: Option<Timestamp>,
}

impl Pulse {
    pub(crate) fn new(sink: &str) -> Self {
        let now =
            Now { seq: 0, condition: Condition::Delivering, last_error: None, last_success: None };
        Self { sink: sink.to_owned(), now: watch::Sender::new(now) }
    }

    pub(crate) fn set_seq(&self, seq: u64) {
        self.now.send_modify(|now| now.seq = seq);
    }

    pub(crate) fn set_condition(&self, condition: Condition) {
        self.now.send_modify(|now| {
            if let Condition::Failing { reason, .. } = &condition {
                now.last_error = Some(reason.clone());
            }
            now.condition = condition;
        });
    }

    pub(crate) fn succeeded(&self, time: Timestamp) {
        self.now.send_modify(|now| now.last_success = Some(time));
    }

    pub(crate) fn seq(&self) -> u64 {
        self.now.borrow().seq
    }

    pub(crate) fn health(&self, last: u64) -> SinkHealth {
        let Now { seq, condition, last_error, last_success } = self.now.borrow().clone();
        let lag = last.saturating_sub(seq);
        SinkHealth { sink: self.sink.clone(), condition, seq, lag, last_error, last_success }
    }

    /// Waits until the sink has the record `seq`, or nothing more can be expected of it.
    pub(crate) async fn passed(&self, seq: u64) {
        let mut news = self.now.subscribe();
        // The sender is in `self`, so there is always news to wait for.
        drop(news.wait_for(|now| now.seq >= seq || now.condition == Condition::Closed).await);
    }
}
