//! Retention of signals, by number and by age.
//!
//! Closed and archived signals are deleted first, then other closed ones, oldest first. Deleted
//! signals remain in the journal and at the destinations of delivery.

use std::time::Duration;

use apimachinery::ApiError;
use apiserver::Registry;
use event::Timestamp;
use serde::Deserialize;

use super::SIGNALS;

/// Default maximum number of signals.
pub const COUNT_MAX: usize = 10_000;
/// Default time that a closed signal is retained after its last event.
pub const AGE_MAX: Duration = Duration::from_hours(90 * 24);
/// Maximum number of signals that one transaction deletes.
const BATCH: usize = 100;

/// The retention policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Maximum number of signals.
    pub count_max: usize,
    /// Maximum time since the last event of a closed signal.
    pub age_max: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self { count_max: COUNT_MAX, age_max: AGE_MAX }
    }
}

/// The fields of a signal that decide on its retention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignalHead {
    /// Name of the object.
    pub name: String,
    /// Whether it is closed.
    pub is_closed: bool,
    /// Whether its triage state is `archived`.
    pub is_archived: bool,
    /// Time of its last event.
    pub last_seen: Timestamp,
}

impl SignalHead {
    /// Parses a stored signal; `None` if it is invalid.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let stored: Stored = serde_json::from_slice(body).ok()?;
        Some(Self {
            name: stored.metadata.name,
            is_closed: stored.status.state == "closed",
            is_archived: stored.status.triage.state == "archived",
            last_seen: stored.spec.last_seen,
        })
    }
}

#[derive(Deserialize)]
struct Stored {
    metadata: Metadata,
    spec: Spec,
    status: Status,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    last_seen: Timestamp,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    state: String,
    triage: Triage,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Triage {
    state: String,
}

/// The names of the signals to delete.
pub fn expired(signals: Vec<SignalHead>, retention: &Retention, now: Timestamp) -> Vec<String> {
    let age_max = i64::try_from(retention.age_max.as_micros()).unwrap_or(i64::MAX);
    let oldest = now.as_micros().saturating_sub(age_max);
    let mut signals = signals;
    signals.sort_by_key(|head| (!head.is_closed, !head.is_archived, head.last_seen));
    let excess = signals.len().saturating_sub(retention.count_max);
    signals
        .into_iter()
        .enumerate()
        .filter(|(at, head)| {
            *at < excess || (head.is_closed && head.last_seen.as_micros() < oldest)
        })
        .map(|(_, head)| head.name)
        .collect()
}

/// Deletes signals by the retention policy, as server actions, and returns their number.
pub async fn sweep(
    registry: &Registry,
    retention: &Retention,
    now: Timestamp,
) -> Result<usize, ApiError> {
    let mut heads = Vec::new();
    registry.scan(SIGNALS, |body| heads.extend(SignalHead::parse(body))).await?;
    let names = expired(heads, retention, now);
    for batch in names.chunks(BATCH) {
        let batch = batch.to_vec();
        let work = move |objects: &mut apiserver::Objects<'_>| {
            for name in &batch {
                // A user may have deleted it since the scan.
                if objects.get(SIGNALS, "", name).is_some() {
                    objects.delete(SIGNALS, "", name)?;
                }
            }
            Ok(())
        };
        registry.run_as_server(work).await?;
    }
    Ok(names.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000;

    /// `signals`: name, `o`pen or `c`losed, `a`rchived or `-`, hours since the last event.
    fn check(signals: &[(&str, &str, i64)], count_max: usize, expected: &str) {
        let now = Timestamp::from_micros(1_000 * HOUR);
        let heads = signals.iter().map(|(name, state, hours)| SignalHead {
            name: (*name).to_owned(),
            is_closed: state.starts_with('c'),
            is_archived: state.ends_with('a'),
            last_seen: Timestamp::from_micros(now.as_micros() - hours * HOUR),
        });
        let retention = Retention { count_max, age_max: Duration::from_hours(100) };
        assert_eq!(expired(heads.collect(), &retention, now).join(" "), expected);
    }

    #[test]
    fn old_signals_are_deleted_unless_they_are_open() {
        check(&[("a", "c-", 101), ("b", "ca", 100), ("c", "o-", 500)], 10, "a");
    }

    #[test]
    fn closed_and_archived_signals_are_deleted_first_then_closed_ones_then_the_oldest() {
        let signals =
            [("a", "o-", 50), ("b", "c-", 20), ("c", "c-", 30), ("d", "ca", 1), ("e", "oa", 2)];
        check(&signals, 5, "");
        check(&signals, 4, "d");
        check(&signals, 2, "d c b");
        check(&signals, 1, "d c b e");
        check(&signals, 0, "d c b e a");
    }

    #[test]
    fn a_body_that_is_not_a_signal_is_ignored() {
        assert_eq!(SignalHead::parse(b"{}"), None);
        assert_eq!(SignalHead::parse(b"nonsense"), None);
    }
}
