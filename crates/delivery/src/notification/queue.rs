//! The signals that a notifier knows, and which of them has something to send.
//!
//! Holds names, revisions and records only: bodies are read when they are sent, so that a notifier
//! that is dead for days costs next to nothing and sends the newest state in the end.

use std::collections::{BTreeMap, BTreeSet};

use super::records::Record;
use crate::backoff::Backoff;

/// One signal.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// Its newest revision.
    pub(super) revision: u64,
    /// What was told of it.
    pub(super) record: Option<Record>,
    /// Attempts that were refused because of it.
    pub(super) refusals: Backoff,
    place: Place,
}

/// Where a signal waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// For a change.
    #[default]
    Idle,
    /// To be looked at, at this time in microseconds; the revision it had when that was found.
    Due(i64, u64),
    /// To be sent; the revision it had when that was found.
    Ready(u64),
}

/// All signals that a notifier knows.
#[derive(Debug, Default)]
pub(super) struct Queue {
    entries: BTreeMap<String, Entry>,
    due: BTreeSet<(i64, u64, String)>,
    ready: BTreeSet<(u64, String)>,
    /// Those that were refused one by one.
    refused: BTreeSet<String>,
}

impl Queue {
    /// The signals of which something was told.
    pub(super) fn of(records: BTreeMap<String, Record>) -> Self {
        let entry = |(name, record)| (name, Entry { record: Some(record), ..Entry::default() });
        Self { entries: records.into_iter().map(entry).collect(), ..Self::default() }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Entry> {
        self.entries.get_mut(name)
    }

    /// The names of all signals.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.entries.keys()
    }

    /// A signal has this revision now and is to be looked at; what is ready stays so, and what was
    /// refused waits on.
    pub(super) fn changed(&mut self, name: &str, revision: u64, now: i64) {
        let is_refused = self.refused.contains(name);
        let entry = self.entries.entry(name.to_owned()).or_default();
        entry.revision = entry.revision.max(revision);
        if !matches!(entry.place, Place::Ready(_)) && !is_refused {
            self.look_at(name, now);
        }
    }

    /// A signal is to be looked at, at a time.
    pub(super) fn look_at(&mut self, name: &str, time: i64) {
        self.idle(name);
        if let Some(entry) = self.entries.get_mut(name) {
            entry.place = Place::Due(time, entry.revision);
            self.due.insert((time, entry.revision, name.to_owned()));
        }
    }

    /// A signal is to be sent.
    pub(super) fn make_ready(&mut self, name: &str) {
        self.idle(name);
        if let Some(entry) = self.entries.get_mut(name) {
            entry.place = Place::Ready(entry.revision);
            self.ready.insert((entry.revision, name.to_owned()));
        }
    }

    /// Nothing is to be done for a signal until it changes.
    pub(super) fn idle(&mut self, name: &str) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        match std::mem::take(&mut entry.place) {
            Place::Idle => {}
            Place::Due(time, revision) => {
                self.due.remove(&(time, revision, name.to_owned()));
            }
            Place::Ready(revision) => drop(self.ready.remove(&(revision, name.to_owned()))),
        }
    }

    /// A signal is gone, or is of no interest.
    pub(super) fn remove(&mut self, name: &str) -> Option<Entry> {
        self.idle(name);
        self.refused.remove(name);
        self.entries.remove(name)
    }

    /// A signal was refused, or is not any more.
    pub(super) fn set_refused(&mut self, name: &str, is_refused: bool) {
        if is_refused {
            self.refused.insert(name.to_owned());
        } else if self.refused.remove(name)
            && let Some(entry) = self.entries.get_mut(name)
        {
            entry.refusals = Backoff::default();
        }
    }

    /// What was refused is tried again at once: things have changed.
    pub(super) fn forgive(&mut self) {
        for name in std::mem::take(&mut self.refused) {
            if let Some(entry) = self.entries.get_mut(&name) {
                entry.refusals = Backoff::default();
            }
        }
    }

    /// The signal to be looked at next, if its time has come.
    pub(super) fn pop_due(&mut self, now: i64) -> Option<String> {
        let (time, _, name) = self.due.first()?;
        if *time > now {
            return None;
        }
        let name = name.clone();
        self.idle(&name);
        Some(name)
    }

    /// When a signal is to be looked at next.
    pub(super) fn next_due(&self) -> Option<i64> {
        self.due.first().map(|(time, ..)| *time)
    }

    /// The signal to be sent next: that of the lowest revision.
    pub(super) fn next_ready(&self) -> Option<String> {
        self.ready.first().map(|(_, name)| name.clone())
    }

    /// How many wait to be sent, and how many of them were refused.
    pub(super) fn waiting(&self) -> (usize, usize) {
        let is_apart = |name: &&String| {
            let entry = self.entries.get(*name);
            entry.is_some_and(|entry| !matches!(entry.place, Place::Ready(_)))
        };
        let apart = self.refused.iter().filter(is_apart).count();
        (self.ready.len() + apart, self.refused.len())
    }

    /// Every signal up to this revision was looked at and, if wanted, told; `seen` is the revision up
    /// to which they are known.
    pub(super) fn cursor(&self, seen: u64) -> u64 {
        let is_untold = |entry: &&Entry| entry.record.is_none() && entry.place != Place::Idle;
        let untold = self.entries.values().filter(is_untold).map(|entry| entry.revision).min();
        untold.map_or(seen, |revision| seen.min(revision.saturating_sub(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_sent_in_the_order_of_their_revisions_and_refused_ones_wait_apart() {
        let mut queue = Queue::default();
        for (name, revision) in [("c", 5), ("a", 9), ("b", 7)] {
            queue.changed(name, revision, 100);
        }
        assert_eq!((queue.pop_due(99), queue.next_due()), (None, Some(100)));
        while let Some(name) = queue.pop_due(100) {
            queue.make_ready(&name);
        }
        assert_eq!((queue.next_ready().as_deref(), queue.cursor(20)), (Some("c"), 4));
        queue.set_refused("c", true);
        queue.look_at("c", 500);
        assert_eq!((queue.next_ready().as_deref(), queue.waiting()), (Some("b"), (3, 1)));
        // A change does not hasten it.
        queue.changed("c", 11, 200);
        assert_eq!((queue.pop_due(400), queue.cursor(20)), (None, 6));
        queue.remove("b");
        queue.remove("a");
        assert_eq!((queue.pop_due(500).as_deref(), queue.waiting()), (Some("c"), (1, 1)));
        queue.set_refused("c", false);
        queue.idle("c");
        assert_eq!((queue.waiting(), queue.cursor(20)), ((0, 0), 20));
    }
}
