//! The events of one group of a correlation, by their own time and in any order of arrival.
//!
//! A window that ends at time `t` holds the events of `(t - timespan, t]`. An event that comes late
//! may complete a window that ended after it, so each insertion asks for the fullest window that
//! holds the new event. In order, that is the one which ends with it, and costs O(log n).
//!
//! Bounded: no more times are kept than the rule's largest threshold needs, no more details than a
//! signal shows. Deliberately absent: which group an event belongs to, and what becomes of it.

mod distinct;
mod order;

use std::collections::VecDeque;

use super::codec::{CheckpointError, Saved, saved_struct};
use super::digest::Digest;
use super::episode::Marks;
use super::facts::Packed;
use super::settings::WINDOW_DETAILS_MAX;
use distinct::Distinct;
use order::Order;

/// What a rule asks of its windows.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) kind: Kind,
    /// Microseconds.
    pub(crate) timespan: i64,
    /// How long an event can matter: the time span and the largest lateness. Microseconds.
    pub(crate) horizon: i64,
    pub(crate) at_least: u64,
    pub(crate) at_most: u64,
    /// The largest number that makes a difference.
    pub(crate) count_max: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Events.
    Count,
    /// Different values.
    Values,
    /// Different rules.
    Rules,
    /// So many rules, in their order.
    Order(usize),
}

/// What an insertion led to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Whether a window that holds the event meets the rule's condition.
    pub(crate) met: bool,
    /// The largest count of a window that holds the event.
    pub(crate) level: u64,
}

/// One event for a window.
pub(crate) struct Arrived<'a> {
    pub(crate) time: i64,
    /// Places in the correlation's list of rules.
    pub(crate) positions: &'a [u16],
    /// The value that is counted, where values are.
    pub(crate) value: Digest,
    pub(crate) marks: Marks,
}

/// The events of one group.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    /// Ordered by time.
    entries: VecDeque<Entry>,
    /// Bytes of the entries, about.
    held: usize,
    /// Entries that have details.
    details: usize,
    pattern: Pattern,
}

#[derive(Clone, Debug)]
struct Entry {
    time: i64,
    marks: Marks,
    /// Its first place in the correlation's list of rules.
    position: u16,
    /// What a signal will tell of it; `None` once one does.
    facts: Option<Packed>,
}

#[derive(Clone, Debug)]
enum Pattern {
    Count,
    Distinct(Box<Distinct>),
    Order(Box<Order>),
}

/// Bytes of an entry beside its facts, about.
const ENTRY_LEN: usize = size_of::<Entry>() + 16;
/// Bytes of a window beside its entries, about: its place in tables and its timer.
pub(crate) const WINDOW_LEN: usize = 160;
/// Times that a window keeps to count the events of a signal, where the condition needs fewer.
const TIMES_MIN: usize = 1024;

impl Window {
    pub(crate) fn new(spec: &Spec) -> Self {
        let pattern = match spec.kind {
            Kind::Count => Pattern::Count,
            Kind::Values | Kind::Rules => Pattern::Distinct(Box::default()),
            Kind::Order(len) => Pattern::Order(Box::new(Order::new(len))),
        };
        // One: most groups never have a second.
        Self { entries: VecDeque::with_capacity(1), held: 0, details: 0, pattern }
    }

    /// The time of the newest event.
    pub(crate) fn newest(&self) -> i64 {
        self.entries.back().map_or(i64::MIN, |entry| entry.time)
    }

    /// Takes an event in. `facts` is `None` when a signal tells of it already.
    pub(crate) fn insert(
        &mut self,
        spec: &Spec,
        arrived: &Arrived<'_>,
        facts: Option<Packed>,
    ) -> Verdict {
        let time = arrived.time;
        let place = self.entries.partition_point(|entry| entry.time <= time);
        let is_full = self.details >= WINDOW_DETAILS_MAX;
        let facts = facts.map(|facts| if is_full { Packed::nothing() } else { facts });
        let position = arrived.positions.first().copied().unwrap_or_default();
        let entry = Entry { time, marks: arrived.marks, position, facts };
        self.held += entry.len();
        self.details += usize::from(entry.has_details());
        self.entries.insert(place, entry);
        self.forget(spec);
        match &mut self.pattern {
            Pattern::Count => self.count(spec, time),
            Pattern::Distinct(distinct) if spec.kind == Kind::Rules => {
                let positions = arrived.positions.iter();
                let values = positions.map(|position| Digest::of([&position.to_le_bytes()[..]]));
                values.fold(Verdict::default(), |_, value| distinct.insert(spec, time, value))
            }
            Pattern::Distinct(distinct) => distinct.insert(spec, time, arrived.value),
            Pattern::Order(order) => order.insert(spec, time, arrived.positions),
        }
    }

    /// Lets go of what can no longer matter.
    fn forget(&mut self, spec: &Spec) {
        let over = self.newest() - spec.horizon;
        let count_max = match spec.kind {
            Kind::Count => spec.count_max,
            Kind::Values | Kind::Rules | Kind::Order(_) => TIMES_MIN,
        };
        while self.entries.front().is_some_and(|entry| entry.time <= over)
            || self.entries.len() > count_max
        {
            if let Some(entry) = self.entries.pop_front() {
                self.held -= entry.len();
                self.details -= usize::from(entry.has_details());
            }
        }
    }

    /// The fullest window that holds an event of that time.
    fn count(&self, spec: &Spec, time: i64) -> Verdict {
        let entries = &self.entries;
        let mut verdict = Verdict::default();
        let mut end = entries.partition_point(|entry| entry.time <= time);
        let mut start = entries.partition_point(|entry| entry.time <= time - spec.timespan);
        // In order there is nothing behind it.
        loop {
            let count = end.saturating_sub(start) as u64;
            verdict.level = verdict.level.max(count);
            verdict.met |= spec.is_met(count);
            let Some(next) = entries.get(end).map(|entry| entry.time) else {
                return verdict;
            };
            if next - time >= spec.timespan {
                return verdict;
            }
            while entries.get(end).is_some_and(|entry| entry.time <= next) {
                end += 1;
            }
            while entries.get(start).is_some_and(|entry| entry.time <= next - spec.timespan) {
                start += 1;
            }
        }
    }

    /// The events around `time` that no signal tells of yet, oldest first; they count as told.
    pub(crate) fn witnesses(&mut self, spec: &Spec, time: i64) -> Vec<Told> {
        let over = time.saturating_sub(spec.timespan);
        let start = self.entries.partition_point(|entry| entry.time <= over);
        let mut told = Vec::new();
        for entry in self.entries.range_mut(start..) {
            self.held -= entry.len();
            self.details -= usize::from(entry.has_details());
            if let Some(packed) = entry.facts.take() {
                let Entry { time, marks, position, .. } = *entry;
                told.push(Told { time, marks, position, packed });
            }
            self.held += entry.len();
        }
        told
    }

    /// Bytes of memory, about.
    pub(crate) fn len(&self) -> usize {
        let pattern = match &self.pattern {
            Pattern::Count => 0,
            Pattern::Distinct(distinct) => distinct.len(),
            Pattern::Order(order) => order.len(),
        };
        WINDOW_LEN + self.held + pattern
    }
}

/// An event of a window, for a signal.
pub(crate) struct Told {
    pub(crate) time: i64,
    pub(crate) marks: Marks,
    pub(crate) position: u16,
    pub(crate) packed: Packed,
}

impl Entry {
    fn has_details(&self) -> bool {
        self.facts.as_ref().is_some_and(|facts| facts.len() > 0)
    }

    fn len(&self) -> usize {
        ENTRY_LEN + self.facts.as_ref().map_or(0, Packed::len)
    }
}

impl Spec {
    fn is_met(&self, count: u64) -> bool {
        (self.at_least..=self.at_most).contains(&count)
    }
}

saved_struct!(Entry { time, marks, position, facts });

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

    fn load(from: &mut &[u8]) -> Result<Self, CheckpointError> {
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

    fn load(from: &mut &[u8]) -> Result<Self, CheckpointError> {
        let entries = VecDeque::<Entry>::load(from)?;
        let held = entries.iter().map(Entry::len).sum();
        let details = entries.iter().filter(|entry| entry.has_details()).count();
        let window = Self { entries, held, details, pattern: Pattern::load(from)? };
        if window.entries.is_empty() || !window.entries.iter().is_sorted_by_key(|entry| entry.time)
        {
            return Err(CheckpointError::Damaged("the events of a window are out of order"));
        }
        Ok(window)
    }
}
