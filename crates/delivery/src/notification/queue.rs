//! The queue of a notifier: its signals, and which of them have to be sent.
//!
//! The queue contains only names, revisions and records. Bodies are read when they are sent, so a
//! destination that is down for days occupies little memory and finally receives the newest state.

use std::collections::{BTreeMap, BTreeSet};

use super::records::NotificationRecord;
use crate::backoff::Backoff;

/// One signal in the queue.
#[derive(Debug, Default)]
pub(super) struct QueuedSignal {
    /// Its newest revision.
    pub(super) revision: u64,
    /// The record of what was sent.
    pub(super) record: Option<NotificationRecord>,
    /// Consecutive refusals of its notification.
    pub(super) refusals: Backoff,
    schedule: Schedule,
}

/// When a signal is handled next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Schedule {
    /// Not until it changes.
    #[default]
    Idle,
    /// It is evaluated at this time in microseconds since the Unix epoch. The second number is the
    /// revision to handle.
    Due(i64, u64),
    /// It can be sent. The number is the revision to handle.
    Ready(u64),
}

/// All signals of a notifier.
#[derive(Debug, Default)]
pub(super) struct Queue {
    entries: BTreeMap<String, QueuedSignal>,
    due: BTreeSet<(i64, u64, String)>,
    ready: BTreeSet<(u64, String)>,
    /// Names of the signals whose notification was refused.
    refused: BTreeSet<String>,
}

impl Queue {
    /// The signals that have records.
    pub(super) fn from_records(records: BTreeMap<String, NotificationRecord>) -> Self {
        let entry = |(name, record)| {
            (name, QueuedSignal { record: Some(record), ..QueuedSignal::default() })
        };
        Self { entries: records.into_iter().map(entry).collect(), ..Self::default() }
    }

    pub(super) fn get(&self, name: &str) -> Option<&QueuedSignal> {
        self.entries.get(name)
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut QueuedSignal> {
        self.entries.get_mut(name)
    }

    /// The names of all signals.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.entries.keys()
    }

    /// Registers a new revision of a signal, which is evaluated at `now` unless it is ready to be
    /// sent or waits after a refusal.
    pub(super) fn update(&mut self, name: &str, revision: u64, now: i64) {
        let is_refused = self.refused.contains(name);
        let entry = self.entries.entry(name.to_owned()).or_default();
        entry.revision = entry.revision.max(revision);
        if !matches!(entry.schedule, Schedule::Ready(_)) && !is_refused {
            self.examine_at(name, now);
        }
    }

    /// Schedules the evaluation of a signal.
    pub(super) fn examine_at(&mut self, name: &str, time: i64) {
        self.set_idle(name);
        if let Some(entry) = self.entries.get_mut(name) {
            entry.schedule = Schedule::Due(time, entry.revision);
            self.due.insert((time, entry.revision, name.to_owned()));
        }
    }

    /// Makes a signal ready to be sent.
    pub(super) fn make_ready(&mut self, name: &str) {
        self.set_idle(name);
        if let Some(entry) = self.entries.get_mut(name) {
            entry.schedule = Schedule::Ready(entry.revision);
            self.ready.insert((entry.revision, name.to_owned()));
        }
    }

    /// Marks a signal as idle until it changes.
    pub(super) fn set_idle(&mut self, name: &str) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        match std::mem::take(&mut entry.schedule) {
            Schedule::Idle => {}
            Schedule::Due(time, revision) => {
                self.due.remove(&(time, revision, name.to_owned()));
            }
            Schedule::Ready(revision) => {
                self.ready.remove(&(revision, name.to_owned()));
            }
        }
    }

    /// Removes a signal that was deleted or must not be sent.
    pub(super) fn remove(&mut self, name: &str) -> Option<QueuedSignal> {
        self.set_idle(name);
        self.refused.remove(name);
        self.entries.remove(name)
    }

    /// Records whether the notification of a signal was refused.
    pub(super) fn set_refused(&mut self, name: &str, is_refused: bool) {
        if is_refused {
            self.refused.insert(name.to_owned());
        } else if self.refused.remove(name)
            && let Some(entry) = self.entries.get_mut(name)
        {
            entry.refusals = Backoff::default();
        }
    }

    /// Schedules all refused signals for the current time.
    pub(super) fn retry_refused(&mut self) {
        for name in std::mem::take(&mut self.refused) {
            if let Some(entry) = self.entries.get_mut(&name) {
                entry.refusals = Backoff::default();
            }
        }
    }

    /// Removes and returns the next signal to evaluate, if it is due.
    pub(super) fn pop_due(&mut self, now: i64) -> Option<String> {
        let (time, _, name) = self.due.first()?;
        if *time > now {
            return None;
        }
        let name = name.clone();
        self.set_idle(&name);
        Some(name)
    }

    /// The time at which the next signal is due.
    pub(super) fn next_due(&self) -> Option<i64> {
        self.due.first().map(|(time, ..)| *time)
    }

    /// The next signal to send, which is the one with the lowest revision.
    pub(super) fn next_ready(&self) -> Option<String> {
        self.ready.first().map(|(_, name)| name.clone())
    }

    /// The number of signals to send, and how many of them were refused.
    pub(super) fn pending_counts(&self) -> (usize, usize) {
        let is_delayed = |name: &&String| {
            let entry = self.entries.get(*name);
            entry.is_some_and(|entry| !matches!(entry.schedule, Schedule::Ready(_)))
        };
        let delayed = self.refused.iter().filter(is_delayed).count();
        (self.ready.len() + delayed, self.refused.len())
    }

    /// The revision up to which every signal was handled. `queued_revision` is the revision up to
    /// which signals are in the queue.
    pub(super) fn cursor(&self, queued_revision: u64) -> u64 {
        let is_unhandled =
            |entry: &&QueuedSignal| entry.record.is_none() && entry.schedule != Schedule::Idle;
        let unhandled =
            self.entries.values().filter(is_unhandled).map(|entry| entry.revision).min();
        unhandled
            .map_or(queued_revision, |revision| queued_revision.min(revision.saturating_sub(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_sent_in_order_and_rejected_ones_wait_alone() {
        let mut queue = Queue::default();
        for (name, revision) in [("c", 5), ("a", 9), ("b", 7)] {
            queue.update(name, revision, 100);
        }
        assert_eq!((queue.pop_due(99), queue.next_due()), (None, Some(100)));
        while let Some(name) = queue.pop_due(100) {
            queue.make_ready(&name);
        }
        assert_eq!((queue.next_ready().as_deref(), queue.cursor(20)), (Some("c"), 4));
        queue.set_refused("c", true);
        queue.examine_at("c", 500);
        assert_eq!((queue.next_ready().as_deref(), queue.pending_counts()), (Some("b"), (3, 1)));
        // A change does not shorten the delay.
        queue.update("c", 11, 200);
        assert_eq!((queue.pop_due(400), queue.cursor(20)), (None, 6));
        queue.remove("b");
        queue.remove("a");
        assert_eq!((queue.pop_due(500).as_deref(), queue.pending_counts()), (Some("c"), (1, 1)));
        queue.set_refused("c", false);
        queue.set_idle("c");
        assert_eq!((queue.pending_counts(), queue.cursor(20)), ((0, 0), 20));
    }
}
