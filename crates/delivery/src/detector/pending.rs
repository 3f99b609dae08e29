//! Signal changes that are not written to the store yet.
//!
//! Changes of one signal are merged: only the newest is written. If the signal was opened and
//! closed in between, the opening is written before it. An update waits up to
//! [`UPDATE_PERIOD`](super::UPDATE_PERIOD) after the last write of its signal; an opening, a
//! closing and a higher severity do not wait.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use detect::engine::UNLISTED_MAX;
use detect::{ChangeKind, SignalChange};
use event::signal::{Severity, Signal, Target};
use tokio::time::Instant;

use super::UPDATE_PERIOD;

/// The changes to write, by signal.
#[derive(Default)]
pub(super) struct Pending {
    by_signal: BTreeMap<String, PendingChange>,
    /// The last write of each open signal: its time and severity.
    written: HashMap<String, (Instant, Severity)>,
}

/// The merged changes of one signal.
struct PendingChange {
    /// The opening, if the signal has been closed since.
    opening: Option<SignalChange>,
    change: SignalChange,
    /// The unlisted objects of all merged changes, up to [`UNLISTED_MAX`], as in a single change.
    unlisted: BTreeSet<Target>,
    /// Sequence number of the record that caused the first change.
    first_seq: u64,
    due: Instant,
}

impl Pending {
    /// Adds a change that was caused by the record `seq`.
    pub(super) fn add(&mut self, change: SignalChange, seq: u64, now: Instant) {
        let id = &change.signal.id;
        let due = match self.written.get(id) {
            Some((written_at, severity))
                if change.kind == ChangeKind::Updated
                    && change.signal.spec.severity <= *severity =>
            {
                *written_at + UPDATE_PERIOD
            }
            _ => now,
        };
        if let Some(pending) = self.by_signal.get_mut(id) {
            pending.due = pending.due.min(due);
            // An opening that was not written yet remains an opening.
            let kind = match (pending.change.kind, change.kind) {
                (ChangeKind::Opened, ChangeKind::Updated) => ChangeKind::Opened,
                (_, kind) => kind,
            };
            let previous = std::mem::replace(&mut pending.change, SignalChange { kind, ..change });
            if (previous.kind, kind) == (ChangeKind::Opened, ChangeKind::Closed) {
                let unlisted = pending.unlisted.iter().cloned().collect();
                pending.opening = Some(SignalChange { unlisted, ..previous });
            }
            pending.take_unlisted();
        } else {
            let (id, opening, unlisted) = (id.clone(), None, BTreeSet::new());
            let mut pending = PendingChange { opening, change, unlisted, first_seq: seq, due };
            pending.take_unlisted();
            self.by_signal.insert(id, pending);
        }
    }

    /// The last record whose changes are all written, if records up to `position` were processed.
    pub(super) fn written_up_to(&self, position: u64) -> u64 {
        let first = self.by_signal.values().map(|pending| pending.first_seq).min();
        first.map_or(position, |first| position.min(first.saturating_sub(1)))
    }

    /// The time at which the next change is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.by_signal.values().map(|pending| pending.due).min()
    }

    /// Removes and returns the changes of up to `limit` signals that are due at `now`, or of all
    /// signals if `all`.
    pub(super) fn take_due(&mut self, now: Instant, all: bool, limit: usize) -> Vec<SignalChange> {
        let due = self.by_signal.iter().filter(|(_, pending)| all || pending.due <= now);
        let ids: Vec<String> = due.map(|(id, _)| id.clone()).take(limit).collect();
        let mut due_changes = Vec::with_capacity(ids.len());
        for id in &ids {
            let Some(pending) = self.by_signal.remove(id) else { continue };
            self.record_write(&pending.change.signal, pending.change.kind, now);
            due_changes.extend(pending.opening);
            let unlisted = pending.unlisted.into_iter().collect();
            due_changes.push(SignalChange { unlisted, ..pending.change });
        }
        due_changes
    }

    fn record_write(&mut self, signal: &Arc<Signal>, kind: ChangeKind, now: Instant) {
        if kind == ChangeKind::Closed {
            self.written.remove(&signal.id);
        } else {
            self.written.insert(signal.id.clone(), (now, signal.spec.severity));
        }
    }
}

impl PendingChange {
    /// Moves the unlisted objects of the newest change to the merged objects.
    fn take_unlisted(&mut self) {
        for target in std::mem::take(&mut self.change.unlisted) {
            if self.unlisted.len() < UNLISTED_MAX {
                self.unlisted.insert(target);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use event::Timestamp;

    use super::*;

    fn change(kind: ChangeKind, names: impl Iterator<Item = usize>) -> SignalChange {
        let target = |name: usize| Target { name: name.to_string(), ..Target::default() };
        let signal = Signal { id: "s".to_owned(), ..Signal::default() };
        SignalChange {
            kind,
            signal: Arc::new(signal),
            rule: None,
            at: Timestamp::default(),
            unlisted: names.map(target).collect(),
        }
    }

    /// Regression: changes that were merged while the store could not write listed an unbounded
    /// number of objects.
    #[tokio::test]
    async fn merged_changes_name_no_more_objects_than_a_single_one() {
        let (mut pending, now) = (Pending::default(), Instant::now());
        pending.add(change(ChangeKind::Opened, 0..10), 1, now);
        for seq in 2..10 {
            pending.add(change(ChangeKind::Updated, 5..seq * 1_000), seq as u64, now);
        }
        pending.add(change(ChangeKind::Closed, 0..UNLISTED_MAX), 10, now);
        let changes = pending.take_due(now, true, 10);
        let kinds: Vec<(ChangeKind, usize)> =
            changes.iter().map(|change| (change.kind, change.unlisted.len())).collect();
        assert_eq!(kinds, [(ChangeKind::Opened, UNLISTED_MAX), (ChangeKind::Closed, UNLISTED_MAX)]);
        let named = changes[1].unlisted.iter().any(|target| target.name == "7");
        assert!(named, "the objects of the first changes are kept");
    }
}
