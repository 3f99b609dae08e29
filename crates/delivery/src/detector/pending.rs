//! Signal changes that are not written to the store yet.
//!
//! Changes of one signal are merged: only the newest is written, and before it the opening of a signal
//! that has been closed meanwhile. An update waits up to [`UPDATE_PERIOD`](super::UPDATE_PERIOD) after the
//! last write of its signal; an opening, a closing and a higher severity do not wait.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use detect::{ChangeKind, SignalChange};
use event::signal::{Severity, Signal};
use tokio::time::Instant;

use super::UPDATE_PERIOD;

/// The changes to write, by signal.
#[derive(Default)]
pub(super) struct Pending {
    waiting: BTreeMap<String, Waiting>,
    /// The last write of each open signal: its time and severity.
    written: HashMap<String, (Instant, Severity)>,
}

/// The merged changes of one signal.
struct Waiting {
    /// The opening, if the signal has been closed since.
    opening: Option<SignalChange>,
    change: SignalChange,
    /// Sequence number of the record that caused the first of them.
    since: u64,
    due: Instant,
}

impl Pending {
    /// Adds a change that was caused by the record `seq`.
    pub(super) fn add(&mut self, change: SignalChange, seq: u64, now: Instant) {
        let id = &change.signal.id;
        let due = match self.written.get(id) {
            Some((at, severity))
                if change.kind == ChangeKind::Updated
                    && change.signal.spec.severity <= *severity =>
            {
                *at + UPDATE_PERIOD
            }
            _ => now,
        };
        if let Some(waiting) = self.waiting.get_mut(id) {
            waiting.due = waiting.due.min(due);
            // An opening that was not written yet remains one.
            let kind = match (waiting.change.kind, change.kind) {
                (ChangeKind::Opened, ChangeKind::Updated) => ChangeKind::Opened,
                (_, kind) => kind,
            };
            let before = std::mem::replace(&mut waiting.change, SignalChange { kind, ..change });
            waiting.change.unlisted.extend(before.unlisted.iter().cloned());
            if (before.kind, kind) == (ChangeKind::Opened, ChangeKind::Closed) {
                waiting.opening = Some(before);
            }
        } else {
            let opening = None;
            self.waiting.insert(id.clone(), Waiting { opening, change, since: seq, due });
        }
    }

    /// The last record whose changes are all written, if records up to `position` were processed.
    pub(super) fn written_up_to(&self, position: u64) -> u64 {
        let first = self.waiting.values().map(|waiting| waiting.since).min();
        first.map_or(position, |first| position.min(first.saturating_sub(1)))
    }

    /// The time at which the next change is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.waiting.values().map(|waiting| waiting.due).min()
    }

    /// Removes and returns the changes of up to `most` signals that are due at `now`, or of any if `all`.
    pub(super) fn take_due(&mut self, now: Instant, all: bool, most: usize) -> Vec<SignalChange> {
        let due = self.waiting.iter().filter(|(_, waiting)| all || waiting.due <= now);
        let ids: Vec<String> = due.map(|(id, _)| id.clone()).take(most).collect();
        let mut taken = Vec::with_capacity(ids.len());
        for id in &ids {
            let Some(waiting) = self.waiting.remove(id) else { continue };
            self.note_written(&waiting.change.signal, waiting.change.kind, now);
            taken.extend(waiting.opening);
            taken.push(waiting.change);
        }
        taken
    }

    fn note_written(&mut self, signal: &Arc<Signal>, kind: ChangeKind, now: Instant) {
        if kind == ChangeKind::Closed {
            self.written.remove(&signal.id);
        } else {
            self.written.insert(signal.id.clone(), (now, signal.spec.severity));
        }
    }
}
