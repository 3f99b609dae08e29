//! How the sinks fare, readable at any time.

use tokio::sync::watch;

/// How one sink fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkHealth {
    /// The sink's name.
    pub sink: String,
    /// What it does.
    pub condition: Condition,
    /// Records that it has not got yet.
    pub lag: u64,
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
    now: watch::Sender<(u64, Condition)>,
}

impl Pulse {
    pub(crate) fn new(sink: &str) -> Self {
        Self { sink: sink.to_owned(), now: watch::Sender::new((0, Condition::Delivering)) }
    }

    pub(crate) fn set_seq(&self, seq: u64) {
        self.now.send_modify(|now| now.0 = seq);
    }

    pub(crate) fn set_condition(&self, condition: Condition) {
        self.now.send_modify(|now| now.1 = condition);
    }

    pub(crate) fn health(&self, last: u64) -> SinkHealth {
        let (seq, condition) = self.now.borrow().clone();
        SinkHealth { sink: self.sink.clone(), condition, lag: last.saturating_sub(seq) }
    }

    /// Waits until the sink has the record `seq`, or nothing more can be expected of it.
    pub(crate) async fn passed(&self, seq: u64) {
        let mut news = self.now.subscribe();
        // The sender is in `self`, so there is always news to wait for.
        drop(news.wait_for(|now| now.0 >= seq || now.1 == Condition::Closed).await);
    }
}
