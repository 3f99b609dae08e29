//! The window of one group of a correlation, by event time and in any order of arrival.
//!
//! A window that ends at time `t` contains the events of `(t - timespan, t]`. A late event may
//! complete a window that ended after it, so each insertion searches the fullest window that
//! contains the new event. For events in order that window ends with the event, in O(log n).
//!
//! Bounded: it keeps only as many times as the rule's largest threshold needs, and as many details
//! as a signal shows. Deliberately absent: grouping, and signals.

mod distinct;
mod order;

use std::collections::VecDeque;

use super::codec::{CheckpointError, Decoder, Saved};
use super::digest::Digest;
use super::event_summary::Packed;
use super::open_signal::Marks;
use super::settings::WINDOW_DETAILS_MAX;
use distinct::Distinct;
use order::Order;

/// The window specification of a rule.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) kind: Kind,
    /// Length of the window. Microseconds.
    pub(crate) timespan: i64,
    /// Retention of an event: the time span plus the largest lateness. Microseconds.
    pub(crate) horizon: i64,
    pub(crate) at_least: u64,
    pub(crate) at_most: u64,
    /// The largest count that a threshold or a case distinguishes.
    pub(crate) count_max: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Number of events.
    Count,
    /// Number of distinct values.
    Values,
    /// Number of distinct rules.
    Rules,
    /// This many rules, in the order of the list.
    Order(usize),
}

/// The result of an insertion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WindowResult {
    /// Whether a window with the event meets the rule's condition.
    pub(crate) met: bool,
    /// The largest count of the windows with the event.
    pub(crate) level: u64,
}

/// An event that is inserted into a window.
pub(crate) struct InsertedEvent<'a> {
    pub(crate) time: i64,
    /// Indices in the correlation's list of rules.
    pub(crate) positions: &'a [u16],
    /// The counted value of a value count.
    pub(crate) value: Digest,
    pub(crate) marks: Marks,
    /// Whether an open signal of the group contains it.
    pub(crate) is_in_signal: bool,
}

/// The events of one group.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    /// Ordered by time.
    entries: VecDeque<Entry>,
    /// Approximate size of the entries, in bytes.
    entries_bytes: usize,
    /// Number of entries with details: events that are kept as evidence.
    details: usize,
    pattern: Pattern,
}

#[derive(Clone, Debug)]
struct Entry {
    time: i64,
    marks: Marks,
    /// Its first index in the correlation's list of rules.
    position: u16,
    /// The summary for a signal, if they are kept.
    summary: Option<Packed>,
    /// Whether a signal contains the event.
    is_in_signal: bool,
}

#[derive(Clone, Debug)]
enum Pattern {
    Count,
    Distinct(Box<Distinct>),
    Order(Box<Order>),
}

/// Approximate size of an entry without its summary, in bytes.
const ENTRY_LEN: usize = size_of::<Entry>() + 16;
/// Approximate size of a window without its entries, in bytes: table entry and timer.
pub(crate) const WINDOW_LEN: usize = 160;
/// Minimum number of times that a window keeps to count the events of a signal.
const TIMES_MIN: usize = 1024;

impl Window {
    pub(crate) fn new(spec: &Spec) -> Self {
        let pattern = match spec.kind {
            Kind::Count => Pattern::Count,
            Kind::Values | Kind::Rules => Pattern::Distinct(Box::default()),
            Kind::Order(len) => Pattern::Order(Box::new(Order::new(len))),
        };
        // Capacity 1: most groups never have a second event.
        Self { entries: VecDeque::with_capacity(1), entries_bytes: 0, details: 0, pattern }
    }

    /// The time of the newest event.
    pub(crate) fn newest(&self) -> i64 {
        self.entries.back().map_or(i64::MIN, |entry| entry.time)
    }

    /// Inserts an event.
    pub(crate) fn insert(
        &mut self,
        spec: &Spec,
        event: &InsertedEvent<'_>,
        summary: Option<Packed>,
    ) -> WindowResult {
        let time = event.time;
        let index = self.entries.partition_point(|entry| entry.time <= time);
        let summary = summary.filter(|_| self.has_capacity());
        let position = event.positions.first().copied().unwrap_or_default();
        let (marks, is_in_signal) = (event.marks, event.is_in_signal);
        let entry = Entry { time, marks, position, summary, is_in_signal };
        self.entries_bytes += entry.len();
        self.details += usize::from(entry.has_details());
        self.entries.insert(index, entry);
        self.expire(spec);
        match &mut self.pattern {
            Pattern::Count => self.count(spec, time),
            Pattern::Distinct(distinct) if spec.kind == Kind::Rules => {
                let positions = event.positions.iter();
                let values = positions.map(|position| Digest::of([&position.to_le_bytes()[..]]));
                values.fold(WindowResult::default(), |_, value| distinct.insert(spec, time, value))
            }
            Pattern::Distinct(distinct) => distinct.insert(spec, time, event.value),
            Pattern::Order(order) => order.insert(spec, time, event.positions),
        }
    }

    /// Whether the details of another event fit, possibly after those of an event that a signal
    /// contains are removed.
    fn has_capacity(&mut self) -> bool {
        if self.details < WINDOW_DETAILS_MAX {
            return true;
        }
        // In practice the details are of the first or of the last events.
        let last = self.entries.len().saturating_sub(2 * WINDOW_DETAILS_MAX);
        let first = last.min(WINDOW_DETAILS_MAX);
        let indices = (0..first).chain(last..self.entries.len());
        for index in indices {
            if let Some(entry) = self.entries.get_mut(index).filter(|entry| entry.is_in_signal)
                && let Some(summary) = entry.summary.take()
            {
                self.entries_bytes -= summary.len();
                self.details -= 1;
                return true;
            }
        }
        false
    }

    /// Removes the events that no window can contain from now on.
    fn expire(&mut self, spec: &Spec) {
        let over = self.newest() - spec.horizon;
        while self.entries.front().is_some_and(|entry| entry.time <= over)
            || self.entries.len() > spec.times_max()
        {
            if let Some(entry) = self.entries.pop_front() {
                self.entries_bytes -= entry.len();
                self.details -= usize::from(entry.has_details());
            }
        }
    }

    /// The result of the fullest window that contains an event of that time.
    fn count(&self, spec: &Spec, time: i64) -> WindowResult {
        let entries = &self.entries;
        let mut result = WindowResult::default();
        let mut end = entries.partition_point(|entry| entry.time <= time);
        let mut start = entries.partition_point(|entry| entry.time <= time - spec.timespan);
        // For events in order there is no later event.
        loop {
            let count = end.saturating_sub(start) as u64;
            result.level = result.level.max(count);
            result.met |= spec.is_met(count);
            let Some(next) = entries.get(end).map(|entry| entry.time) else {
                return result;
            };
            if next - time >= spec.timespan {
                return result;
            }
            while entries.get(end).is_some_and(|entry| entry.time <= next) {
                end += 1;
            }
            while entries.get(start).is_some_and(|entry| entry.time <= next - spec.timespan) {
                start += 1;
            }
        }
    }

    /// The events around `time`, oldest first, for a new signal; for an open one, those that no
    /// signal contains yet. If memory is short (`is_memory_low`), the window keeps only their
    /// summaries.
    pub(crate) fn take_signal_events(
        &mut self,
        spec: &Spec,
        time: i64,
        (is_new, is_memory_low): (bool, bool),
    ) -> Vec<WindowEvent> {
        let over = time.saturating_sub(spec.timespan);
        let start = self.entries.partition_point(|entry| entry.time <= over);
        let mut events = Vec::new();
        for entry in self.entries.range_mut(start..) {
            if is_new || !entry.is_in_signal {
                entry.is_in_signal = true;
                let Entry { time, marks, position, .. } = *entry;
                events.push(WindowEvent { time, marks, position, packed: entry.summary.clone() });
                if is_memory_low && let Some(summary) = &mut entry.summary {
                    self.entries_bytes -= summary.len();
                    *summary = summary.without_evidence();
                    self.entries_bytes += summary.len();
                }
            }
        }
        events
    }

    /// Approximate size in memory, in bytes.
    pub(crate) fn len(&self) -> usize {
        let pattern = match &self.pattern {
            Pattern::Count => 0,
            Pattern::Distinct(distinct) => distinct.len(),
            Pattern::Order(order) => order.len(),
        };
        WINDOW_LEN + self.entries_bytes + pattern
    }
}

/// An event that a window adds to a signal.
pub(crate) struct WindowEvent {
    pub(crate) time: i64,
    pub(crate) marks: Marks,
    pub(crate) position: u16,
    pub(crate) packed: Option<Packed>,
}

impl Entry {
    fn has_details(&self) -> bool {
        self.summary.is_some()
    }

    fn len(&self) -> usize {
        ENTRY_LEN + self.summary.as_ref().map_or(0, Packed::len)
    }
}

impl Spec {
    /// Maximum number of event times of a group that are remembered.
    pub(super) fn times_max(&self) -> usize {
        match self.kind {
            Kind::Count => self.count_max,
            Kind::Values | Kind::Rules | Kind::Order(_) => TIMES_MIN,
        }
    }

    /// The largest lateness bound of all sources. Microseconds.
    pub(crate) const fn lateness(&self) -> i64 {
        self.horizon.saturating_sub(self.timespan)
    }

    pub(crate) fn is_met(&self, count: u64) -> bool {
        (self.at_least..=self.at_most).contains(&count)
    }
}

impl Saved for Entry {
    fn save(&self, to: &mut Vec<u8>) {
        self.time.save(to);
        self.marks.save(to);
        self.position.save(to);
        self.summary.save(to);
        self.is_in_signal.save(to);
    }

    fn load(from: &mut Decoder<'_>) -> Result<Self, CheckpointError> {
        let (time, marks) = (i64::load(from)?, Marks::load(from)?);
        let (position, summary) = (u16::load(from)?, Option::<Packed>::load(from)?);
        // Version 1 removed the summary when a signal contained the event, and kept an empty
        // summary for an event without details.
        let is_in_signal = if from.version < 2 { summary.is_none() } else { bool::load(from)? };
        Ok(Self {
            time,
            marks,
            position,
            summary: summary.filter(|summary| summary.len() > 0),
            is_in_signal,
        })
    }
}

impl Saved for Pattern {
    fn save(&self, to: &mut Vec<u8>) {
        match self {
            Self::Count => to.push(0),
            Self::Distinct(distinct) => {
                to.push(1);
                distinct.save(to);
            }
            Self::Order(order) => {
                to.push(2);
                order.save(to);
            }
        }
    }

    fn load(from: &mut Decoder<'_>) -> Result<Self, CheckpointError> {
        match u8::load(from)? {
            0 => Ok(Self::Count),
            1 => Ok(Self::Distinct(Box::load(from)?)),
            2 => Ok(Self::Order(Box::load(from)?)),
            _ => Err(CheckpointError::Damaged("a window is of an unknown kind")),
        }
    }
}

impl Saved for Window {
    fn save(&self, to: &mut Vec<u8>) {
        self.entries.save(to);
        self.pattern.save(to);
    }

    fn load(from: &mut Decoder<'_>) -> Result<Self, CheckpointError> {
        let entries = VecDeque::<Entry>::load(from)?;
        let entries_bytes = entries.iter().map(Entry::len).sum();
        let details = entries.iter().filter(|entry| entry.has_details()).count();
        let window = Self { entries, entries_bytes, details, pattern: Pattern::load(from)? };
        if window.entries.is_empty() || !window.entries.iter().is_sorted_by_key(|entry| entry.time)
        {
            return Err(CheckpointError::Damaged("the events of a window are out of order"));
        }
        Ok(window)
    }
}
