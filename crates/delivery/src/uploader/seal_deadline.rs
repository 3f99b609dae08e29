//! The time at which an object is sealed because of the age of its records.
//!
//! The uploader decides on sealing because of size or of a signal.

use std::time::Duration;

use event::Timestamp;
use tokio::time::Instant;

use super::{DELETION_AGE, IDLE_AGE};

/// The urgency of delivering a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// A heartbeat, or a routine read by Kubernetes' own components.
    Idle,
    /// Any other event.
    Normal,
    /// A deletion.
    Deletion,
    /// A signal of high severity.
    Signal,
}

/// Commit times of the first records of an object, by urgency.
#[derive(Clone, Copy, Default)]
pub(super) struct FirstTimes {
    pub(super) normal: Option<Timestamp>,
    pub(super) deletion: Option<Timestamp>,
    /// Whether the object has a signal of high severity.
    pub(super) is_urgent: bool,
}

impl FirstTimes {
    pub(super) fn add(&mut self, urgency: Urgency, time: Timestamp) {
        if urgency >= Urgency::Normal {
            self.normal.get_or_insert(time);
        }
        if urgency == Urgency::Deletion {
            self.deletion.get_or_insert(time);
        }
        self.is_urgent |= urgency == Urgency::Signal;
    }
}

/// The latest times to seal an object, by urgency. They are computed once and are on the monotonic
/// clock, so that a later change of the wall clock does not move them.
#[derive(Default)]
pub(super) struct Deadlines {
    idle: Option<Instant>,
    normal: Option<Instant>,
    deletion: Option<Instant>,
}

impl Deadlines {
    /// The earliest deadline. `oldest` is the commit time of the first record.
    pub(super) fn next(
        &mut self,
        seal_age: Duration,
        first_times: &FirstTimes,
        oldest: Option<Timestamp>,
        now: Timestamp,
    ) -> Instant {
        let deadline_at = |age, since| Instant::now() + remaining_age(age, since, now);
        let idle = *self.idle.get_or_insert_with(|| deadline_at(seal_age.max(IDLE_AGE), oldest));
        if first_times.normal.is_some() {
            self.normal.get_or_insert_with(|| deadline_at(seal_age, first_times.normal));
        }
        if first_times.deletion.is_some() {
            let age = seal_age.min(DELETION_AGE);
            self.deletion.get_or_insert_with(|| deadline_at(age, first_times.deletion));
        }
        [self.normal, self.deletion].into_iter().flatten().fold(idle, Instant::min)
    }
}

/// The part of the maximum age that remains for a record of the time `since`; all of it if that is
/// unknown.
fn remaining_age(age_max: Duration, since: Option<Timestamp>, now: Timestamp) -> Duration {
    let age = since.map_or(0, |since| now.as_micros().saturating_sub(since.as_micros()));
    age_max.saturating_sub(Duration::from_micros(u64::try_from(age).unwrap_or(0)))
}
