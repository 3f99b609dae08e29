//! Outcomes of forwarded requests that could not be appended when they arrived: the disk was full or
//! did not respond, or the journal was full.
//!
//! Their intents are stored, so none of them is lost in a crash. They are appended in their order
//! as soon as the store accepts records again. Above [`LATE_OUTCOMES_BYTES_MAX`] their events are
//! not kept: the events of their intents, which say "outcome unknown", are appended instead.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use event::Stage;
use event::annotations::INTERRUPTED;
use tokio::sync::Notify;

use crate::audit::intents::{Resolution, StoredKey};
use crate::limits::{LATE_OUTCOMES_BYTES_MAX, LATE_OUTCOMES_MAX};

/// Why a client did not get the response that its event has.
pub(crate) const NOT_SENT: &str =
    "the event could not be recorded in time: the client got 503 instead of the response";

/// An outcome that waits.
#[derive(Clone, Debug)]
pub(crate) struct LateOutcome {
    pub(crate) key: StoredKey,
    pub(crate) resolution: Resolution,
    /// Whether an earlier attempt may have recorded it.
    pub(crate) may_be_recorded: bool,
}

impl LateOutcome {
    fn bytes(&self) -> usize {
        match &self.resolution {
            Resolution::Append(record) => record.len(),
            Resolution::AppendStored | Resolution::Forget => 0,
        }
    }
}

/// All outcomes that wait.
#[derive(Default)]
pub(crate) struct LateOutcomes {
    queue: Mutex<Queue>,
    arrival: Notify,
}

#[derive(Default)]
struct Queue {
    outcomes: VecDeque<LateOutcome>,
    bytes: usize,
}

impl LateOutcomes {
    /// Adds an outcome. Returns false if too many wait: then the next start records it.
    pub(crate) fn push(&self, mut outcome: LateOutcome) -> bool {
        let mut queue = self.queue();
        if queue.outcomes.len() >= LATE_OUTCOMES_MAX {
            return false;
        }
        if queue.bytes.saturating_add(outcome.bytes()) > LATE_OUTCOMES_BYTES_MAX {
            outcome.resolution = Resolution::AppendStored;
        }
        queue.bytes += outcome.bytes();
        queue.outcomes.push_back(outcome);
        drop(queue);
        self.arrival.notify_one();
        true
    }

    /// The oldest outcome.
    pub(crate) fn first(&self) -> Option<LateOutcome> {
        self.queue().outcomes.front().cloned()
    }

    /// Notes that an attempt may have recorded the oldest outcome. Only the task that tries it calls
    /// this.
    pub(crate) fn first_may_be_recorded(&self) {
        if let Some(outcome) = self.queue().outcomes.front_mut() {
            outcome.may_be_recorded = true;
        }
    }

    /// Removes the oldest outcome. Only the task that has recorded it calls this.
    pub(crate) fn remove_first(&self) {
        let mut queue = self.queue();
        if let Some(outcome) = queue.outcomes.pop_front() {
            queue.bytes = queue.bytes.saturating_sub(outcome.bytes());
        }
    }

    /// Number of outcomes.
    pub(crate) fn len(&self) -> usize {
        self.queue().outcomes.len()
    }

    /// Waits until an outcome arrives.
    pub(crate) async fn arrived(&self) {
        self.arrival.notified().await;
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The event of a request whose client got an error instead of the response. It is the last event of
/// the request.
pub(crate) fn not_sent(record: Bytes) -> Bytes {
    let Ok(mut event) = event::record::read(record.clone()) else { return record };
    event.stage = Stage::ResponseComplete;
    event.annotations.entry(INTERRUPTED.to_owned()).or_insert_with(|| NOT_SENT.to_owned());
    event::record::write(&event)
}
