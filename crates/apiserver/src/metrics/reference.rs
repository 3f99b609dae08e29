//! Creates one time series of each metric, to generate the reference page of the metrics.
//!
//! A server never calls this; there, a time series appears with its first value.

use super::Metrics;
use super::labels::{Answered, Attempt, Plugin, Recorded, Target, Username, Watched, Way};

impl Metrics {
    /// Creates one time series of each metric, so that an exposition contains all labels.
    pub fn create_each(&self) {
        drop(self.requests.get_or_create(&Answered::default()));
        drop(self.durations.get_or_create(&Target::default()));
        drop(self.sli_durations.get_or_create(&Target::default()));
        drop(self.response_sizes.get_or_create(&Target::default()));
        drop(self.terminations.get_or_create(&Answered::default()));
        drop(self.in_flight.get_or_create(&Way::default()));
        drop(self.watches.get_or_create(&Target::default()));
        drop(self.watch_events.get_or_create(&Watched::default()));
        drop(self.watch_event_sizes.get_or_create(&Watched::default()));
        drop(self.audit_levels.get_or_create(&Recorded::default()));
        drop(self.audit_errors.get_or_create(&Plugin::default()));
        drop(self.authentications.get_or_create(&Attempt::default()));
        drop(self.authentication_durations.get_or_create(&Attempt::default()));
        drop(self.users.get_or_create(&Username::default()));
        drop(self.authorizations.get_or_create(&Attempt::default()));
        drop(self.authorization_durations.get_or_create(&Attempt::default()));
    }
}
