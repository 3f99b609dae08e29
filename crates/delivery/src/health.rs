//! The health of readers, which can be read at any time.
//!
//! A missing response is not reported before the timeout of the longest attempt. A closed port is
//! detected immediately and a filtered one after a minute; the author of a profile must not be able
//! to distinguish them by timing.

use event::Timestamp;
use sink::DeliveryHealth;
use tokio::sync::watch;
use tokio::time::Instant;

/// The health of one reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkHealth {
    /// Name of the reader.
    pub sink: String,
    /// Its current condition.
    pub condition: DeliveryHealth,
    /// Sequence number of the last record that is durable at the destination.
    pub seq: u64,
    /// Number of records that are not delivered yet.
    pub lag: u64,
    /// Time of the last successful upload; `None` for readers that do not record it.
    pub last_success: Option<Timestamp>,
}

/// The published state of a reader.
pub(crate) struct SinkStatus {
    sink: String,
    state: watch::Sender<ReaderState>,
}

#[derive(Clone)]
struct ReaderState {
    seq: u64,
    condition: DeliveryHealth,
    no_response: Option<NoResponse>,
    last_success: Option<Timestamp>,
}

/// A missing response.
#[derive(Clone)]
struct NoResponse {
    reason: String,
    /// The time before which the last condition is reported.
    until: Instant,
}

impl ReaderState {
    fn has_stopped(&self) -> bool {
        matches!(self.condition, DeliveryHealth::Closed | DeliveryHealth::CursorLost { .. })
    }
}

impl SinkStatus {
    pub(crate) fn new(sink: &str) -> Self {
        let condition = DeliveryHealth::Delivering;
        let state = ReaderState { seq: 0, condition, no_response: None, last_success: None };
        Self { sink: sink.to_owned(), state: watch::Sender::new(state) }
    }

    pub(crate) fn set_seq(&self, seq: u64) {
        self.state.send_modify(|state| state.seq = seq);
    }

    /// Publishes a condition. A task that has lost its cursor has stopped, and keeps that
    /// condition.
    pub(crate) fn set_condition(&self, condition: DeliveryHealth) {
        self.state.send_modify(|state| {
            if !matches!(state.condition, DeliveryHealth::CursorLost { .. }) {
                state.condition = condition;
                state.no_response = None;
            }
        });
    }

    /// Records a missing response. It is reported from `until` on, or earlier if an earlier one is
    /// pending.
    pub(crate) fn no_response(&self, reason: String, until: Instant) {
        self.state.send_modify(|state| {
            state.no_response.get_or_insert(NoResponse { reason, until });
        });
    }

    pub(crate) fn succeeded(&self, time: Timestamp) {
        self.state.send_modify(|state| state.last_success = Some(time));
    }

    pub(crate) fn seq(&self) -> u64 {
        self.state.borrow().seq
    }

    pub(crate) fn health(&self, last: u64) -> SinkHealth {
        let ReaderState { seq, mut condition, no_response, last_success } =
            self.state.borrow().clone();
        if let Some(NoResponse { reason, .. }) =
            no_response.filter(|state| state.until <= Instant::now())
        {
            condition = DeliveryHealth::NoResponse { reason };
        }
        let lag = last.saturating_sub(seq);
        SinkHealth { sink: self.sink.clone(), condition, seq, lag, last_success }
    }

    /// Waits until the reader is past the record `seq`, or has stopped permanently.
    pub(crate) async fn passed(&self, seq: u64) {
        let mut changes = self.state.subscribe();
        // The sender is in `self`, so this does not fail.
        drop(changes.wait_for(|state| state.seq >= seq || state.has_stopped()).await);
    }
}
