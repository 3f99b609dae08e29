//! An event that a rule cares about, ready to be counted: nothing in it refers to the event any more.
//!
//! Which rules match has been decided, and so have the groups: what is left is time, order and
//! counting, which is the engine's.

use std::sync::Arc;

use super::codec::saved_struct;
use super::digest::{Digest, Hasher};
use super::facts::Packed;
use super::settings::GROUP_VALUE_LEN_MAX;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    /// When it happened. Microseconds.
    pub(crate) time: i64,
    /// How late events of its source may arrive. Microseconds.
    pub(crate) lateness: i64,
    /// Orders events of the same time, and finds duplicates.
    pub(crate) identity: Identity,
    pub(crate) cluster: Arc<str>,
    pub(crate) source: Arc<str>,
    /// The detection rules that match.
    pub(crate) matched: Vec<u32>,
    /// What it counts for.
    pub(crate) parts: Vec<Part>,
    pub(crate) packed: Packed,
}

/// Which event it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Identity {
    /// Readable, so that events of one time are in an order that people can follow.
    pub(crate) audit_id: Arc<str>,
    /// Of everything that tells one event from another.
    pub(crate) digest: Digest,
}

/// One group of one rule that an event counts for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) rule: u32,
    /// Places in the correlation's list of rules for which these are the values.
    pub(crate) positions: Vec<u16>,
    pub(crate) group: Arc<Group>,
    /// The value that is counted, or that may be new.
    pub(crate) value: Digest,
    /// The suppression that hides what comes of it.
    pub(crate) hidden_by: Option<Arc<str>>,
}

/// The values that events have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) cluster: Arc<str>,
    pub(crate) values: Vec<Arc<str>>,
    /// Separates what a suppression hides from what it does not.
    pub(crate) salt: Arc<str>,
}

saved_struct!(Hit { time, lateness, identity, cluster, source, matched, parts, packed });
saved_struct!(Identity { audit_id, digest });
saved_struct!(Part { rule, positions, group, value, hidden_by });
saved_struct!(Group { cluster, values, salt });

impl super::codec::Saved for Arc<Group> {
    fn save(&self, to: &mut Vec<u8>) {
        Group::save(self, to);
    }

    fn load(from: &mut &[u8]) -> Result<Self, super::codec::CheckpointError> {
        Group::load(from).map(Self::new)
    }
}

impl Hit {
    /// When its turn is: later than any event before it can arrive.
    pub(crate) fn release(&self) -> i64 {
        self.time.saturating_add(self.lateness)
    }

    /// Bytes of memory, about.
    pub(crate) fn len(&self) -> usize {
        size_of::<Self>() + self.packed.len() + self.parts.len() * 256
    }
}

impl Group {
    /// How often a group can be made coarser: by each value, then by the cluster.
    pub(crate) fn level_max(&self) -> usize {
        self.values.len() + 1
    }

    /// Identity of the group without its last `level` values. At the last level there is one group.
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

/// Characters of the digest of a value that is cut.
const LABEL_LEN: usize = 20;

/// A value as groups have it: a long one is cut, and what is cut off counts by its digest.
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
    fn long_values_are_cut_and_stay_different() {
        let long = "x".repeat(1 << 20);
        let one = group_value(&format!("{long}1"));
        let two = group_value(&format!("{long}2"));
        assert_ne!(one, two);
        assert!(one.len() <= GROUP_VALUE_LEN_MAX);
        assert_eq!(&*group_value("alice"), "alice");
    }
}
