//! An event that matched a rule, ready to be counted. It does not borrow from the event.
//!
//! Matching and grouping are done; time, order and counting remain.

use std::sync::Arc;

use super::codec::saved_struct;
use super::digest::{Digest, Hasher};
use super::event_summary::Packed;
use super::settings::GROUP_VALUE_LEN_MAX;

/// An event that matched a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    /// Event time. Microseconds.
    pub(crate) time: i64,
    /// Lateness bound of its source, or how late the event came if that is more. Microseconds.
    pub(crate) lateness: i64,
    /// Orders events of the same time, and finds duplicates.
    pub(crate) identity: Identity,
    /// Identifies the request in the logs of several sources; the default if it has no audit ID.
    pub(crate) request: Digest,
    /// What identifies the request in logs that name only the user that it impersonates; the default
    /// if it has no audit ID.
    pub(crate) effective_request: Digest,
    /// Whether the event names an actor beside the user that the request impersonates.
    pub(crate) is_impersonation: bool,
    pub(crate) cluster: Arc<str>,
    pub(crate) source: Arc<str>,
    /// The detection rules that match.
    pub(crate) matched: Vec<u32>,
    /// The groups that the event counts for.
    pub(crate) parts: Vec<Part>,
    pub(crate) packed: Packed,
}

/// The identity of an event.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Identity {
    /// Audit ID, the first sort key of events with equal times.
    pub(crate) audit_id: Arc<str>,
    /// Digest of everything that distinguishes events.
    pub(crate) digest: Digest,
}

/// One group of one rule that an event counts for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) rule: u32,
    /// Indices of the correlation's rules that have these values.
    pub(crate) positions: Vec<u16>,
    pub(crate) group: Arc<Group>,
    /// The value that a value count or a first-seen rule uses.
    pub(crate) value: Digest,
    /// Name of the suppression that hides its signals.
    pub(crate) suppressed_by: Option<Arc<str>>,
}

/// The group-by values of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) cluster: Arc<str>,
    pub(crate) values: Vec<Arc<str>>,
    /// Separates suppressed events from others.
    pub(crate) salt: Arc<str>,
}

saved_struct!(Hit {
    time,
    lateness,
    identity,
    cluster,
    source,
    matched,
    parts,
    packed
} since 2 { request } since 5 { effective_request, is_impersonation });
saved_struct!(Identity { audit_id, digest });
saved_struct!(Part { rule, positions, group, value, suppressed_by });
saved_struct!(Group { cluster, values, salt });

impl super::codec::Saved for Arc<Group> {
    fn save(&self, to: &mut Vec<u8>) {
        Group::save(self, to);
    }

    fn load(from: &mut super::codec::Decoder<'_>) -> Result<Self, super::codec::CheckpointError> {
        Group::load(from).map(Self::new)
    }
}

impl Hit {
    /// Time at which the event is counted: no earlier event can arrive after it.
    pub(crate) fn release(&self) -> i64 {
        self.time.saturating_add(self.lateness)
    }

    /// Approximate size in memory, in bytes.
    pub(crate) fn len(&self) -> usize {
        size_of::<Self>() + self.packed.len() + self.parts.len() * 256
    }
}

impl Group {
    /// Number of levels of coarser groups: one for each value, then one for the cluster.
    pub(crate) fn level_max(&self) -> usize {
        self.values.len() + 1
    }

    /// Digest of the group without its last `level` values. All groups are equal at the last level.
    pub(crate) fn key(&self, level: usize) -> Digest {
        let mut hasher = Hasher::default();
        hasher.part(self.salt.as_bytes());
        hasher.part(&[u8::try_from(level).unwrap_or(u8::MAX)]);
        if level < self.level_max() {
            hasher.part(self.cluster.as_bytes());
        }
        for value in self.values.iter().take(self.values.len().saturating_sub(level)) {
            hasher.part(value.as_bytes());
        }
        hasher.finish()
    }
}

/// Length of the digest of a truncated value, in characters.
const LABEL_LEN: usize = 20;

/// Truncates a long value and appends a digest of it, so that long values stay distinct.
pub(crate) fn group_value(value: &str) -> Arc<str> {
    if value.len() <= GROUP_VALUE_LEN_MAX {
        return Arc::from(value);
    }
    let end = value.floor_char_boundary(GROUP_VALUE_LEN_MAX - LABEL_LEN - "...".len());
    let label = Digest::of([value.as_bytes()]).label(LABEL_LEN);
    Arc::from(format!("{}...{label}", value.get(..end).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncated_values_stay_distinct() {
        let long = "x".repeat(1 << 20);
        let first = group_value(&format!("{long}1"));
        let second = group_value(&format!("{long}2"));
        assert_ne!(first, second);
        assert!(first.len() <= GROUP_VALUE_LEN_MAX);
        assert_eq!(&*group_value("alice"), "alice");
    }
}
