//! Detects events of several rules in the order of the list.
//!
//! For each position in the list the window keeps the latest start of a chain that reaches it, and
//! an event updates it in one step. A late event, or one with the same time as another, recomputes
//! the chains from the kept times, which are few.

use super::{Spec, WindowResult};
use crate::engine::codec::saved_struct;

/// Maximum number of kept times. A run of events of one rule is kept as its first and last.
const TIMES_MAX: usize = 256;

/// The chains of one group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Order {
    /// For each position, the latest start of a chain that ends there.
    starts: Vec<Option<i64>>,
    /// Ordered by time, then by position.
    times: Vec<Step>,
    /// Number of events so far; it numbers events, so that the times of one event are known.
    events: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    time: i64,
    /// The event's first position: at equal times, an event that starts a chain sorts first.
    lead: u16,
    event: u64,
    /// Position counted from the end, so that an event does not follow itself.
    reverse: u16,
    position: u16,
}

saved_struct!(Step { time, lead, event, reverse, position });
saved_struct!(Order { starts, times, events });

impl Order {
    pub(super) fn new(len: usize) -> Self {
        Self { starts: vec![None; len], ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        size_of::<Self>() + self.starts.capacity() * 16 + self.times.capacity() * size_of::<Step>()
    }

    pub(super) fn insert(&mut self, spec: &Spec, time: i64, positions: &[u16]) -> WindowResult {
        let newest = self.times.last().map_or(i64::MIN, |last| last.time);
        self.events += 1;
        let lead = positions.iter().copied().min().unwrap_or_default();
        for &position in positions {
            let new =
                Step { time, lead, event: self.events, reverse: u16::MAX - position, position };
            let place = self.times.partition_point(|known| *known < new);
            self.times.insert(place, new);
            self.thin(place);
        }
        let over = self
            .times
            .partition_point(|known| known.time <= newest.max(time).saturating_sub(spec.horizon));
        let excess = self.times.len().saturating_sub(TIMES_MAX);
        self.times.drain(..over.max(excess));
        let met = if time > newest {
            let mut positions = positions.to_vec();
            positions.sort_unstable_by(|one, two| two.cmp(one));
            for position in positions {
                advance(&mut self.starts, spec, time, position);
            }
            is_complete(&self.starts, spec, time)
        } else {
            self.search(spec, time)
        };
        WindowResult { met, level: u64::from(met) }
    }

    /// Removes the middle of three neighbours with the same position.
    fn thin(&mut self, place: usize) {
        for middle in [place + 1, place, place.wrapping_sub(1)] {
            let at = |index: usize| self.times.get(index).map(|time| time.position);
            let is_middle = at(middle).is_some()
                && at(middle) == at(middle.wrapping_add(1))
                && at(middle) == at(middle.wrapping_sub(1));
            if is_middle {
                self.times.remove(middle);
            }
        }
    }

    /// Recomputes the chains. Returns whether a window with an event of `time` has a complete one.
    fn search(&mut self, spec: &Spec, time: i64) -> bool {
        let mut starts = vec![None; self.starts.len()];
        let mut met = false;
        for known in &self.times {
            advance(&mut starts, spec, known.time, known.position);
            met |= (time..time + spec.timespan).contains(&known.time)
                && is_complete(&starts, spec, known.time);
        }
        // Keep the starts of chains whose times were removed: they remain valid.
        for (known, found) in self.starts.iter_mut().zip(starts) {
            *known = (*known).max(found);
        }
        met
    }
}

/// Extends the chains by an event at a position.
fn advance(starts: &mut [Option<i64>], spec: &Spec, time: i64, position: u16) {
    let position = usize::from(position);
    let start = match position.checked_sub(1) {
        None => Some(time),
        Some(before) => starts.get(before).copied().flatten(),
    };
    let start = start.filter(|start| time - start < spec.timespan);
    if let Some(known) = starts.get_mut(position) {
        *known = (*known).max(start);
    }
}

/// Whether the window that ends at `time` contains a complete chain.
fn is_complete(starts: &[Option<i64>], spec: &Spec, time: i64) -> bool {
    starts.last().copied().flatten().is_some_and(|start| time - start < spec.timespan)
}
