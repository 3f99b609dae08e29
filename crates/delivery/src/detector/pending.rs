//! Signal changes that the engine made and the store does not have yet.
//!
//! Changes of one signal are merged: only the newest is written. An update waits up to
//! [`UPDATE_PERIOD`](super::UPDATE_PERIOD) after the last write of its signal; an opening, a closing
//! and a higher severity do not wait.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use detect::{ChangeKind, SignalChange};
use event::signal::{Severity, Signal};
use tokio::time::Instant;

use super::UPDATE_PERIOD;

/// What waits to be written, by signal.
#[derive(Default)]
pub(super) struct Pending {
    waiting: BTreeMap<String, Waiting>,
    /// Signals that are not closed: when they were last written, and with which severity.
    written: HashMap<String, (Instant, Severity)>,
}

/// The merged changes of one signal.
struct Waiting {
    change: SignalChange,
    /// Record in which the first of them was made.
    since: u64,
    due: Instant,
}

impl Pending {
    /// Takes a change that the record `seq` led to.
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
        match self.waiting.get_mut(id) {
            Some(waiting) => {
                waiting.due = waiting.due.min(due);
                // An opening that was not written yet stays one.
                let kind = match (waiting.change.kind, change.kind) {
                    (ChangeKind::Opened, ChangeKind::Updated) => ChangeKind::Opened,
                    (_, kind) => kind,
                };
                waiting.change = SignalChange { kind, ..change };
            }
            None => {
                self.waiting.insert(id.clone(), Waiting { change, since: seq, due });
            }
        }
    }

    /// The last record whose changes are all written, given that records up to `position` were read.
    pub(super) fn settled(&self, position: u64) -> u64 {
        let first = self.waiting.values().map(|waiting| waiting.since).min();
        first.map_or(position, |first| position.min(first.saturating_sub(1)))
    }

    /// When the next change is to be written.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.waiting.values().map(|waiting| waiting.due).min()
    }

    /// Takes out up to `most` changes that are due at `now`, or any if `all`.
    pub(super) fn take_due(&mut self, now: Instant, all: bool, most: usize) -> Vec<SignalChange> {
        let due = self.waiting.iter().filter(|(_, waiting)| all || waiting.due <= now);
        let ids: Vec<String> = due.map(|(id, _)| id.clone()).take(most).collect();
        ids.iter()
            .filter_map(|id| {
                let change = self.waiting.remove(id)?.change;
                self.note_written(&change.signal, change.kind, now);
                Some(change)
            })
            .collect()
    }

    fn note_written(&mut self, signal: &Arc<Signal>, kind: ChangeKind, now: Instant) {
        if kind == ChangeKind::Closed {
            self.written.remove(&signal.id);
        } else {
            self.written.insert(signal.id.clone(), (now, signal.spec.severity));
        }
    }
}
