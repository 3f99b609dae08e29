//! Writes the health of notifiers into their statuses: errors and changed states immediately,
//! counters periodically.

use std::collections::BTreeMap;
use std::time::Duration;

use apiserver::Registry;
use delivery::notification::NotifierHealth;
use event::Timestamp;
use siem::notifier::{NotifierState, NotifierStatus, record_status};

/// Time between two writes of counters; each write is an audit event.
const COUNTERS_PERIOD: Duration = Duration::from_secs(10);

/// Writes statuses.
pub(super) struct Statuses {
    registry: Registry,
    /// The last written status of each notifier, and the time of the write.
    written: BTreeMap<String, (NotifierStatus, Timestamp)>,
}

impl Statuses {
    pub(super) fn new(registry: Registry) -> Self {
        Self { registry, written: BTreeMap::new() }
    }

    /// Removes a notifier that was deleted.
    pub(super) fn forget(&mut self, name: &str) {
        self.written.remove(name);
    }

    /// Writes the statuses that changed.
    pub(super) async fn write(&mut self, health: Vec<NotifierHealth>, now: Timestamp) {
        for (name, status) in health.into_iter().map(status) {
            if !is_due(self.written.get(&name), &status, now) {
                continue;
            }
            let (object, latest) = (name.clone(), status.clone());
            let result = self
                .registry
                .run_as_server(move |objects| record_status(objects, &object, &latest));
            match result.await {
                Ok(()) => {
                    self.written.insert(name, (status, now));
                }
                // The next update retries it.
                Err(error) => {
                    let reason = error.status.message;
                    tracing::warn!(notifier = name, reason, "status of a notifier is not written");
                }
            }
        }
    }
}

fn status(health: NotifierHealth) -> (String, NotifierStatus) {
    let is_failing = health.error.is_some();
    let status = NotifierStatus {
        state: if is_failing { NotifierState::Failing } else { NotifierState::Active },
        last_sent: health.last_sent,
        last_error: health.error,
        cursor: health.cursor,
        pending: u64::try_from(health.pending).unwrap_or(u64::MAX),
    };
    (health.name, status)
}

fn is_due(
    written: Option<&(NotifierStatus, Timestamp)>,
    status: &NotifierStatus,
    now: Timestamp,
) -> bool {
    let Some((written, at)) = written else { return true };
    if (written.state, &written.last_error) != (status.state, &status.last_error) {
        return true;
    }
    let passed = now.as_micros().saturating_sub(at.as_micros());
    let period = i64::try_from(COUNTERS_PERIOD.as_micros()).unwrap_or(i64::MAX);
    // A change of only the position is not written, because it changes with every signal.
    let has_changed = *written != NotifierStatus { cursor: written.cursor, ..status.clone() };
    has_changed && !(0..period).contains(&passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_written_at_once_and_counters_at_intervals() {
        let of = |error: Option<&str>, pending| {
            let error = error.map(str::to_owned);
            status(NotifierHealth { error, pending, ..NotifierHealth::default() }).1
        };
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let written = (of(None, 0), at(100));
        for (status, seconds, expected) in [
            (of(None, 0), 999, false),
            (of(None, 1), 101, false),
            (of(None, 1), 110, true),
            (of(None, 1), 99, true),
            (of(Some("no answer"), 0), 100, true),
            (NotifierStatus { cursor: Some(7), ..of(None, 0) }, 999, false),
        ] {
            assert_eq!(is_due(Some(&written), &status, at(seconds)), expected, "{status:?}");
        }
        assert!(is_due(None, &of(None, 0), at(0)));
    }
}
